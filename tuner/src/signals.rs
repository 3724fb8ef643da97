//! What the storage engine says of itself.

use std::time::Duration;

/// One window of time. What counts events counts those of the window; what is a size is as at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// How long the window was.
    pub window: Duration,
    /// Blocks that a reader found in the cache.
    pub block_cache_hits: u64,
    /// Blocks that a reader did not find there.
    pub block_cache_misses: u64,
    /// What the cache holds.
    pub block_cache_used_bytes: u64,
    /// Memtables that are full and not flushed yet.
    pub memtables_waiting: u64,
    /// Their bytes.
    pub memtable_bytes_waiting: u64,
    /// Files of level 0, of the column family that has most.
    pub l0_files: u64,
    /// What compaction has to rewrite before the tree has its shape.
    pub pending_compaction_bytes: u64,
    /// How long writers were slowed down or stopped.
    pub stall_micros: u64,
    /// What the process uses of the budget.
    pub memory_used_bytes: u64,
    /// What it may use; 0 where nobody said.
    pub memory_budget_bytes: u64,
}

impl Signals {
    /// The part of reads that the cache answered; None without reads.
    pub fn hit_ratio(&self) -> Option<f64> {
        let reads = self.block_cache_hits.saturating_add(self.block_cache_misses);
        (reads > 0).then(|| self.block_cache_hits as f64 / reads as f64)
    }

    /// The part of the window in which writers waited, 0 to 1.
    pub fn stalled(&self) -> f64 {
        let window = self.window.as_micros().max(1) as f64;
        (self.stall_micros as f64 / window).min(1.0)
    }

    /// Whether more memory is used than may be.
    pub fn is_over_budget(&self) -> bool {
        self.memory_budget_bytes > 0 && self.memory_used_bytes > self.memory_budget_bytes
    }

    /// What may still be taken of the budget, less `reserve` of it, a part from 0 to 1. Nothing where nobody said what the budget is.
    pub fn memory_left(&self, reserve: f64) -> u64 {
        let usable = self.memory_budget_bytes as f64 * (1.0 - reserve);
        // A cast of a negative number or NaN is 0.
        (usable as u64).saturating_sub(self.memory_used_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_survives_nothing_and_too_much() {
        let nothing = Signals::default();
        assert_eq!((nothing.hit_ratio(), nothing.stalled()), (None, 0.0));
        assert_eq!((nothing.is_over_budget(), nothing.memory_left(0.1)), (false, 0));
        let much = Signals {
            block_cache_hits: u64::MAX,
            block_cache_misses: u64::MAX,
            stall_micros: u64::MAX,
            memory_used_bytes: 60,
            memory_budget_bytes: 100,
            ..nothing
        };
        assert_eq!((much.hit_ratio(), much.stalled()), (Some(1.0), 1.0));
        assert_eq!(
            (much.memory_left(0.1), much.memory_left(0.5), much.memory_left(f64::NAN)),
            (30, 0, 0)
        );
    }
}
