//! What one run found, as the line of JSON that `aion-peers` prints.

use aion_base::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::driver::{Answer, Measured};

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name and version.
    pub engine: String,
    /// What was run, with the options that it was run with.
    pub workload: String,
    /// Rows when the time began.
    pub rows_before: u64,
    /// Rows at the end.
    pub rows_after: u64,
    /// Equal to other engines' that were asked the same before the time began; None where nothing can be compared.
    pub answers: Option<String>,
    /// The sum of all balances at the end, for accounts.
    pub balances: Option<i64>,
    /// Threads.
    pub threads: usize,
    /// Operations that succeeded.
    pub operations: u64,
    /// Attempts that lost and were made again.
    pub retries: u64,
    /// How long it ran.
    pub seconds: f64,
    /// Operations in a second.
    pub per_second: f64,
    /// Of the operations, in microseconds: the mean, the median, the 99th percentile, the longest.
    pub latency_us: [f64; 4],
    /// Rows that were read.
    pub rows_read: u64,
    /// The sum of their digests.
    pub checksum: String,
    /// What was given to the engine and what it wrote, by phase; empty where that was not measured.
    pub written: Vec<Written>,
}

/// Bytes of one phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Which phase, and since when its bytes are counted.
    pub phase: String,
    /// Of keys and values that were written.
    pub bytes_given: u64,
    /// That the process caused to be written to the disk.
    pub bytes_written: u64,
    /// The second for each of the first.
    pub amplification: f64,
}

impl Written {
    /// A phase.
    pub fn new(phase: &str, bytes_given: u64, bytes_written: u64) -> Self {
        Self {
            phase: phase.to_owned(),
            bytes_given,
            bytes_written,
            amplification: bytes_written as f64 / bytes_given.max(1) as f64,
        }
    }
}

impl Outcome {
    /// Takes in what was measured.
    #[must_use]
    pub fn with_measured(mut self, measured: &Measured) -> Self {
        let latency = &measured.latency;
        let times = [
            latency.mean(),
            latency.quantile(50),
            latency.quantile(99),
            latency.longest(),
        ];
        self.threads = measured.threads;
        self.operations = measured.operations;
        self.retries = measured.retries;
        self.seconds = measured.elapsed.as_secs_f64();
        self.per_second = measured.per_second();
        self.latency_us = times.map(|time| time.as_nanos() as f64 / 1e3);
        self.rows_read = measured.read.rows;
        self.checksum = shown(measured.read);
        self
    }
}

/// What was read, as text that can be compared.
pub fn shown(read: Answer) -> String {
    format!("{} rows {:016x}", read.rows, read.checksum)
}

/// Where the kernel counts what a process causes to be written.
pub const COUNTED_IN: &str = "/proc/self/io";

/// Bytes that the process caused to be written to the disk, of what stands in [`COUNTED_IN`]; those that were cancelled by the removal of a file are
/// taken off.
///
/// # Errors
/// 0A000 where the kernel does not count.
pub fn written_bytes(text: &str) -> Result<u64> {
    counted(text).ok_or_else(|| Error::unsupported(format!("this system's {COUNTED_IN} does not count bytes")))
}

fn counted(text: &str) -> Option<u64> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().parse::<u64>().ok()
    };
    Some(field("write_bytes")?.saturating_sub(field("cancelled_write_bytes")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_understood() {
        let text =
            "rchar: 9\nwchar: 8\nsyscr: 7\nsyscw: 6\nread_bytes: 5\nwrite_bytes: 4096\ncancelled_write_bytes: 96\n";
        assert_eq!(counted(text), Some(4_000));
        assert_eq!(counted("rchar: 9\n"), None);
    }
    use std::time::Duration;

    #[test]
    fn an_outcome_survives_json() {
        let mut measured = Measured {
            threads: 8,
            operations: 1_000,
            elapsed: Duration::from_millis(500),
            read: Answer {
                rows: 3,
                checksum: u64::MAX,
            },
            ..Measured::default()
        };
        measured.latency.record(Duration::from_micros(4));
        let outcome = Outcome {
            engine: "an engine".to_owned(),
            balances: Some(-1),
            written: vec![Written::new("filled", 100, 450)],
            ..Outcome::default()
        }
        .with_measured(&measured);
        let text = serde_json::to_string(&outcome).expect("text");
        assert_eq!(serde_json::from_str::<Outcome>(&text).expect("an outcome"), outcome);
        assert_eq!(outcome.per_second, 2_000.0);
        assert_eq!(outcome.checksum, "3 rows ffffffffffffffff");
        assert_eq!(outcome.written[0].amplification, 4.5);
    }
}
