//! The program `aion-peers`: embedded engines under the work that `aion bench oltp` gives to us, one run for each start.
//!
//! ```text
//! aion-peers sqlite txns        small durable transactions: two accounts of 100,000 change, on 8 threads     sqlite
//! aion-peers sqlite point-read  one balance by primary key, on one thread                                    sqlite
//! aion-peers rocksdb ycsb       YCSB A to F, each write synced                                               rocks
//! aion-peers rocksdb fill       bytes written to the disk for each byte given                                rocks::fill
//! ```
//!
//! It is a program of its own so that `aion` contains no other database. It prints one line of JSON ([`Outcome`]) and, on stderr, what it
//! is doing. Keys, values, draws and the loop around them are those of [`aion_workload`], which says how they look.
//!
//! **Durability.** Whatever is counted as written was synced before, as with us: SQLite in WAL mode with `synchronous=FULL`, RocksDB with
//! its log synced on each write. Each engine is set as its own documentation advises for this work; what is set stands in its module.
//!
//! Exit codes: 0 done; 1 it failed, or found a wrong answer; 2 the command line was wrong.

#![allow(
    clippy::disallowed_methods,
    reason = "a program that measures, and reads and makes the folders it is told to"
)]

mod folder;
mod progress;
mod rocks;
mod sqlite;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aion_base::{Error, Result};
use aion_workload::accounts::ACCOUNTS;
use aion_workload::outcome::Outcome;
use aion_workload::ycsb::{VALUE_BYTES, Workload};
use clap::{Args, Parser, Subcommand};

/// Embedded engines under the work of `aion bench oltp`.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    engine: Engine,
}

#[derive(Debug, Subcommand)]
enum Engine {
    /// SQLite
    #[command(subcommand)]
    Sqlite(Sqlite),
    /// RocksDB
    #[command(subcommand)]
    Rocksdb(Rocksdb),
}

#[derive(Debug, Subcommand)]
enum Sqlite {
    /// Two accounts change in each transaction
    Txns {
        #[command(flatten)]
        run: Run,
        /// Threads
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
        threads: u16,
        /// Accounts
        #[arg(long, default_value_t = ACCOUNTS, value_parser = clap::value_parser!(u32).range(2..=100_000_000))]
        rows: u32,
        /// How they come to write
        #[arg(long, value_enum, default_value_t)]
        writers: sqlite::Writers,
    },
    /// One balance by primary key, on one thread
    PointRead {
        #[command(flatten)]
        run: Run,
        /// Accounts
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
        rows: u32,
        /// Keep the lock on the file, which no other connection can use then
        #[arg(long)]
        exclusive: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Rocksdb {
    /// A core workload of YCSB
    Ycsb {
        #[command(flatten)]
        run: Run,
        /// Which: a, b, c, d, e or f
        #[arg(long)]
        workload: Workload,
        /// Records that are loaded, unless the folder has them
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        rows: u64,
        /// Bytes of a value
        #[arg(long, default_value_t = VALUE_BYTES)]
        value_bytes: usize,
        /// Threads
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
        threads: u16,
        /// Draw all records alike
        #[arg(long)]
        uniform: bool,
        /// Memory for blocks that were read
        #[arg(long, default_value = "1GiB", value_parser = bytes)]
        cache_bytes: u64,
    },
    /// Loads and updates records, and counts the bytes that reach the disk
    Fill {
        /// Where the database is made and removed
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Of keys and values that are loaded
        #[arg(long, default_value = "4GiB", value_parser = bytes)]
        bytes: u64,
        /// Bytes of a value
        #[arg(long, default_value_t = 200)]
        value_bytes: usize,
        /// Records that are updated then, all alike
        #[arg(long, default_value_t = 0)]
        updates: u64,
        /// Records of one write
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        batch: u64,
        /// Threads
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
        threads: u16,
        /// Decides which records are updated
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// What all runs that take a while are told.
#[derive(Clone, Debug, Args)]
struct Run {
    /// Where the database is made; it is taken up again where it is there already
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How long to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    seconds: u16,
    /// Decides what is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Run {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse()).and_then(|outcome| print(&outcome)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if stderr is gone too.
            let _ = writeln!(std::io::stderr(), "aion-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<Outcome> {
    match arguments.engine {
        Engine::Sqlite(Sqlite::Txns {
            run,
            threads,
            rows,
            writers,
        }) => sqlite::transactions(&run.dir, rows, threads.into(), writers, run.duration(), run.seed),
        Engine::Sqlite(Sqlite::PointRead { run, rows, exclusive }) => {
            let locking = if exclusive {
                sqlite::Locking::Exclusive
            } else {
                sqlite::Locking::Normal
            };
            sqlite::point_reads(&run.dir, rows, locking, run.duration(), run.seed)
        }
        Engine::Rocksdb(Rocksdb::Ycsb {
            run,
            workload,
            rows,
            value_bytes,
            threads,
            uniform,
            cache_bytes,
        }) => {
            let options = rocks::ycsb::Options {
                workload,
                distribution: distribution(uniform),
                records: rows,
                value_bytes,
                threads: threads.into(),
                cache_bytes,
                duration: run.duration(),
                seed: run.seed,
            };
            rocks::ycsb::run(&run.dir, &options)
        }
        Engine::Rocksdb(Rocksdb::Fill {
            dir,
            bytes,
            value_bytes,
            updates,
            batch,
            threads,
            seed,
        }) => {
            let options = rocks::fill::Options {
                bytes,
                value_bytes,
                updates,
                batch,
                threads: threads.into(),
                seed,
            };
            rocks::fill::run(&dir, &options)
        }
    }
}

fn distribution(is_uniform: bool) -> aion_workload::ycsb::Distribution {
    match is_uniform {
        true => aion_workload::ycsb::Distribution::Uniform,
        false => aion_workload::ycsb::Distribution::Own,
    }
}

fn print(outcome: &Outcome) -> Result<()> {
    let line = serde_json::to_string(outcome).map_err(|error| Error::internal(error.to_string()))?;
    writeln!(std::io::stdout(), "{line}").map_err(|error| Error::io("write to standard output", error))
}

/// Reads a number of bytes: `4GiB`, `500MiB`, `16KiB`, or digits alone.
fn bytes(text: &str) -> std::result::Result<u64, String> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(format!("{unit:?} is no unit of bytes: write B, KiB, MiB or GiB")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("{text:?} does not begin with a number"))?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("{text} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("4GiB"), Ok(4 << 30));
        assert_eq!(bytes("500MiB"), Ok(500 << 20));
        assert_eq!(bytes("123"), Ok(123));
        for wrong in ["", "GiB", "1GB", "0", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_lines_of_the_header_are_understood() {
        for line in [
            "sqlite txns --dir d --threads 8 --seconds 5",
            "sqlite point-read --dir d --rows 1000 --exclusive",
            "rocksdb ycsb --dir d --workload A --uniform --cache-bytes 64MiB",
            "rocksdb fill --dir d --bytes 1GiB --updates 10",
        ] {
            let words = std::iter::once("aion-peers").chain(line.split(' '));
            Arguments::try_parse_from(words).expect(line);
        }
        Arguments::try_parse_from(["aion-peers", "rocksdb", "ycsb", "--dir", "d", "--workload", "g"])
            .expect_err("there are six");
    }
}
