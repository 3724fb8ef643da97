//! `aion check`: reads every row of a data directory.
//!
//! Opening replays the log and refuses what is damaged; reading verifies the checksum of every block. The digest is
//! sha256 over the rows in key order, each as key length u32 LE, key, value length u32 LE, value: two directories
//! with the same rows have the same digest, however their files look.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use aion_base::range::KeyRange;
use aion_base::{Error, Result};
use aion_storage::{Direction, Store, StoreOptions};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::arguments::check_directory;
use crate::screen::{Screen, count};

/// What to check.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Runs `aion check`.
pub fn run(arguments: &CheckArguments) -> Result<ExitCode> {
    let path = &arguments.data;
    check_directory(path)?;
    let store = Store::open(path, StoreOptions::default())?;
    let replayed = store.counters().replayed.load(Ordering::Relaxed);
    let mut rows = 0;
    let mut digest = Sha256::new();
    let mut scan = store.snapshot().scan(&KeyRange::ALL, Direction::Forward);
    while scan.advance()? {
        for bytes in [scan.key(), scan.value()] {
            let length = u32::try_from(bytes.len()).map_err(|_| Error::internal("a key or value above 4 GiB"))?;
            digest.update(length.to_le_bytes());
            digest.update(bytes);
        }
        rows += 1;
    }
    drop(scan);
    store.close()?;
    let sha256: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Screen::new().line(format_args!(
        "{} rows, sha256 {sha256}, {} entries of the log replayed",
        count(rows),
        count(replayed)
    ))?;
    Ok(ExitCode::SUCCESS)
}
