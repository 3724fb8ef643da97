//! What the running database does in a window of time: the signals of its rows, and the measures that a change of a knob is judged by.
//!
//! Operations are the statements that are observed, and the commits. Statements on the direct path (a row by its key) are not observed, for
//! speed: where commits outnumber what is observed, the mean time of a sync of the log stands for the 99 % latency, in both arms alike. A
//! database that does nothing but direct reads is not measured.
//!
//! All is counted from when the database was opened; a window is the difference of two [`Reading`]s, so that several may look at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aion_storage::RowsSignals;
use aion_tuner::reward::Measured;
use aion_tuner::signals::Signals;

/// Statements, or commits, in a window without which it says nothing: the 99 % latency of fewer is that of one.
const OPERATIONS_MIN: u64 = 20;

/// Buckets of one octave.
const STEPS: u64 = 8;
/// The largest octave: 2^39 us are 6 days.
const OCTAVE_MAX: u64 = 39;
const BUCKETS: usize = (STEPS + (OCTAVE_MAX - 2) * STEPS) as usize;

/// Execution times since the database was opened, in buckets of an eighth of an octave: a quantile is at most 12.5 % too large.
#[derive(Debug)]
pub struct Latencies {
    buckets: Box<[AtomicU64]>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Latencies {
    /// Takes note of an execution: one addition.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were, and the milliseconds that half of them, and 99 %, do not exceed; None without any.
    pub fn summary(&self) -> Option<(u64, f64, f64)> {
        let counts = self.counts();
        let quantiles = quantile_ms(&counts, 0.5).zip(quantile_ms(&counts, 0.99));
        quantiles.map(|(half, most)| (counts.iter().sum(), half, most))
    }

    fn counts(&self) -> Vec<u64> {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect()
    }
}

fn bucket_of(micros: u64) -> usize {
    let octave = u64::from(micros.max(1).ilog2());
    let at = match octave {
        0..3 => micros,
        3..=OCTAVE_MAX => STEPS + (octave - 3) * STEPS + ((micros >> (octave - 3)) & (STEPS - 1)),
        _ => BUCKETS as u64 - 1,
    };
    at as usize
}

/// The microseconds that no execution of a bucket reaches.
fn bound_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match bucket < STEPS {
        true => bucket + 1,
        false => {
            let (octave, step) = ((bucket - STEPS) / STEPS, (bucket - STEPS) % STEPS);
            (STEPS + step + 1) << octave
        }
    }
}

/// The milliseconds that this part of the executions does not exceed; None without any.
fn quantile_ms(counts: &[u64], part: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let wanted = (all > 0).then(|| (all as f64 * part).ceil() as u64)?;
    let mut sum = 0;
    let found = counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    });
    found.map(|bucket| bound_of(bucket) as f64 / 1_000.0)
}

/// The database's counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// A monotonic time.
    pub at: Duration,
    /// Of the rows.
    pub rows: RowsSignals,
    /// Bytes of commits.
    pub log_bytes: u64,
    /// Commits that had an effect or were refused.
    pub commits: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// What they took.
    pub sync_micros: u64,
    /// What queries have reserved.
    pub query_bytes: u64,
    /// What all of it may take.
    pub memory_budget_bytes: u64,
    /// Executions by how long they took.
    pub counts: Vec<u64>,
}

impl Reading {
    /// With the executions up to now.
    pub fn with(self, latencies: &Latencies) -> Self {
        Self {
            counts: latencies.counts(),
            ..self
        }
    }

    /// What is used of the budget: what is held, not what may be.
    fn memory_bytes(&self) -> u64 {
        let rows = &self.rows;
        let held = [
            rows.block_cache_used_bytes,
            rows.memtable_bytes,
            rows.table_reader_bytes,
            self.query_bytes,
        ];
        held.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// The signals of the window from an earlier reading to this one.
    pub fn signals_since(&self, earlier: &Self) -> Signals {
        let (now, then) = (&self.rows, &earlier.rows);
        Signals {
            window: self.at.saturating_sub(earlier.at),
            block_cache_hits: now.block_cache_hits.saturating_sub(then.block_cache_hits),
            block_cache_misses: now.block_cache_misses.saturating_sub(then.block_cache_misses),
            block_cache_used_bytes: now.block_cache_used_bytes,
            memtables_waiting: now.memtables_waiting,
            memtable_bytes_waiting: now.memtable_bytes_waiting,
            l0_files: now.level0_files,
            pending_compaction_bytes: now.pending_compaction_bytes,
            stall_micros: now.stall_micros.saturating_sub(then.stall_micros),
            memory_used_bytes: self.memory_bytes(),
            memory_budget_bytes: self.memory_budget_bytes,
        }
    }

    /// The measures of the same window; None where too little ran to say anything.
    pub fn measured_since(&self, earlier: &Self) -> Option<Measured> {
        let signals = self.signals_since(earlier);
        let zeros = std::iter::repeat(&0);
        let pairs = self.counts.iter().zip(earlier.counts.iter().chain(zeros));
        let counts: Vec<u64> = pairs.map(|(now, then)| now.saturating_sub(*then)).collect();
        let statements: u64 = counts.iter().sum();
        let commits = self.commits.saturating_sub(earlier.commits);
        let syncs = self.syncs.saturating_sub(earlier.syncs);
        if statements.max(commits) < OPERATIONS_MIN || signals.window.is_zero() {
            return None;
        }
        let latency_ms = match statements >= commits {
            true => quantile_ms(&counts, 0.99)?,
            false => self.sync_micros.saturating_sub(earlier.sync_micros) as f64 / syncs.max(1) as f64 / 1_000.0,
        };
        let written = |rows: &RowsSignals| rows.flushed_bytes.saturating_add(rows.compacted_bytes);
        let written = written(&self.rows).saturating_sub(written(&earlier.rows));
        let of_users = self.log_bytes.saturating_sub(earlier.log_bytes);
        Some(Measured {
            throughput: statements.saturating_add(commits) as f64 / signals.window.as_secs_f64(),
            p99_ms: latency_ms,
            write_amplification: match of_users {
                0 => 0.0,
                bytes => written as f64 / bytes as f64,
            },
            stalled: signals.stalled(),
            memory_bytes: signals.memory_used_bytes as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knobs_latencies_fall_into_buckets_that_hold_them() {
        let mut micros: u64 = 0;
        let mut last = 0;
        while micros < 1 << 39 {
            let bucket = bucket_of(micros);
            let bound = bound_of(bucket);
            assert!(
                micros < bound && bound as f64 <= micros.max(8) as f64 * 1.126 + 1.0,
                "{micros} {bound}"
            );
            assert!(bucket >= last && bucket < BUCKETS, "{micros}");
            last = bucket;
            micros += micros / 37 + 1;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_window_of_a_knob_is_the_difference_of_two_readings() {
        let latencies = Latencies::default();
        (0..50).for_each(|_| latencies.record(Duration::from_secs(100)));
        let rows = RowsSignals {
            stall_micros: 1_000_000,
            flushed_bytes: 1_000,
            block_cache_hits: 10,
            block_cache_used_bytes: 5,
            ..RowsSignals::default()
        };
        let before = Reading {
            at: Duration::from_secs(10),
            rows,
            log_bytes: 100,
            ..Reading::default()
        };
        let before = before.with(&latencies);
        assert!(
            before.measured_since(&Reading::default()).is_some(),
            "since the beginning"
        );
        (0..990).for_each(|_| latencies.record(Duration::from_millis(1)));
        (0..10).for_each(|_| latencies.record(Duration::from_millis(500)));
        let after = Reading {
            at: Duration::from_secs(20),
            rows: RowsSignals {
                stall_micros: 3_000_000,
                flushed_bytes: 2_000,
                compacted_bytes: 3_000,
                block_cache_hits: 30,
                memtable_bytes: 7,
                ..rows
            },
            log_bytes: 1_100,
            query_bytes: 3,
            memory_budget_bytes: 100,
            ..Reading::default()
        };
        let after = after.with(&latencies);
        let signals = after.signals_since(&before);
        assert_eq!(
            (
                signals.block_cache_hits,
                signals.stall_micros,
                signals.memory_used_bytes
            ),
            (20, 2_000_000, 15)
        );
        let measured = after.measured_since(&before).expect("a thousand statements");
        assert_eq!(
            (measured.throughput, measured.write_amplification, measured.stalled),
            (100.0, 4.0, 0.2)
        );
        assert!((1.0..=1.125).contains(&measured.p99_ms), "{measured:?}");
        assert_eq!(after.measured_since(&after), None, "nothing ran");
        // More commits than statements: they came by the direct path.
        let direct = Reading {
            commits: 4_000,
            syncs: 1_000,
            sync_micros: 5_000_000,
            ..after
        };
        let measured = direct.measured_since(&before).expect("four thousand commits");
        assert_eq!((measured.throughput, measured.p99_ms), (500.0, 5.0));
    }
}
