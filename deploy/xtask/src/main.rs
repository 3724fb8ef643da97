//! `cargo xtask`: the gate that every change passes, here and in CI, and the two other ways to run the tests.
//!
//! `tidy` checks what the compiler cannot; `ci` runs everything; `bless` rewrites golden files; `hunt` runs the random
//! tests at length. It stands alone: it builds in seconds, and does not need the workspace to compile.

#![allow(
    clippy::disallowed_methods,
    reason = "a build tool reads files and measures its steps"
)]

mod gate;
mod model;
mod policy;
mod process;
mod scan;
mod steps;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::gate::Hunt;

const HELP: &str = "\
cargo xtask <command>

  tidy [--verbose]          layers, homes, banned calls, sizes, headers, names, forgotten files;
                            --verbose also lists the files above the length to aim for
  ci                        fmt, tidy, clippy with warnings denied, all tests; stops at the first failure
  bless [name]              run the tests whose name contains `name` with AION_BLESS=1: they rewrite their golden files
  hunt [--seed N] [area]    run the random tests at length, with AION_HUNT=full; AION_SEED=N replays one run
  help                      this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    let passed = match arguments {
        ["tidy"] => tidy(false)?,
        ["tidy", "--verbose"] => tidy(true)?,
        ["ci"] | ["bless"] | ["bless", _] | ["hunt", ..] if process::needs_environment() => {
            return process::again_with_environment(&model::metadata()?, arguments);
        }
        ["ci"] => gate::ci()?,
        ["bless"] => gate::bless(None)?,
        ["bless", name] => gate::bless(Some(name))?,
        ["hunt", rest @ ..] => gate::hunt(&parse_hunt(rest)?)?,
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            true
        }
        _ => bail!("cannot read `{}`; the commands are:\n\n{HELP}", arguments.join(" ")),
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tidy(verbose: bool) -> Result<bool> {
    let model = model::load(&model::metadata()?)?;
    if verbose {
        for (path, count) in tidy::long_files(&model) {
            println!("{path}: {count} lines without tests; aim below {}", policy::LINES_AIM);
        }
    }
    Ok(gate::report_tidy(&model))
}

fn parse_hunt(arguments: &[&str]) -> Result<Hunt> {
    let (seed, area) = match arguments {
        [] => (None, None),
        ["--seed"] => bail!("--seed takes a number: cargo xtask hunt --seed 42"),
        ["--seed", seed] => (Some(*seed), None),
        ["--seed", seed, area] | [area, "--seed", seed] => (Some(*seed), Some(*area)),
        [area] if !area.starts_with('-') => (None, Some(*area)),
        _ => bail!(
            "cannot read `hunt {}`: it is hunt [--seed N] [area]",
            arguments.join(" ")
        ),
    };
    let seed = match seed.map(str::parse) {
        None => None,
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => bail!(
            "--seed takes a whole number from 0 to 2^64-1, not `{}`",
            seed.unwrap_or_default()
        ),
    };
    Ok(Hunt {
        seed,
        area: area.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_an_area_are_read_in_either_order() {
        let both = Hunt {
            seed: Some(7),
            area: Some("crash".to_owned()),
        };
        assert_eq!(parse_hunt(&["--seed", "7", "crash"]).unwrap(), both);
        assert_eq!(parse_hunt(&["crash", "--seed", "7"]).unwrap(), both);
        assert_eq!(parse_hunt(&[]).unwrap(), Hunt { seed: None, area: None });
    }

    #[test]
    fn arguments_that_cannot_be_read_are_refused() {
        for wrong in [
            &["--seed"][..],
            &["--seed", "x"],
            &["--sed", "7"],
            &["--fast"],
            &["a", "b", "c", "d"],
        ] {
            parse_hunt(wrong).unwrap_err();
        }
    }

    #[test]
    fn unknown_commands_are_refused_with_the_help() {
        let error = run(&["tydy"]).unwrap_err().to_string();
        assert!(
            error.contains("tydy") && error.contains("cargo xtask <command>"),
            "{error}"
        );
    }
}
