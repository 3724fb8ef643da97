//! The program `aion`: reads the command line and runs one subcommand, each a module here.
//!
//! Exit codes: 0 done; 1 it failed, or found something wrong; 2 the command line was wrong.

#![allow(
    clippy::disallowed_methods,
    reason = "a program that measures time, starts processes and writes the files it is told to"
)]

mod admin;
mod advise;
mod ai;
mod arguments;
mod bench;
mod check;
mod crash;
mod demo;
mod dump;
mod screen;
mod serve;
mod shell;
mod version;

use std::process::ExitCode;

use clap::Parser;

/// glibc's costs a twentieth of the time of small statements. What RocksDB allocates is not concerned.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("AION_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"))
                // Whatever is asked for: it logs literals, and one of them may be a password.
                .add_directive("sqlparser=warn".parse().expect("a directive"))
                // Whatever level is asked for: the setting log_min_duration_statement says whether there is any.
                .add_directive(format!("{}=info", aion_db::LOG_TARGET).parse().expect("a directive")),
        )
        // Colours are for a person: in a file they are in the way of whoever searches it.
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .init();
    match arguments::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) if screen::is_closed_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to do if stderr is gone too.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("aion: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
