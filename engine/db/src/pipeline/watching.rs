//! What was made is compared with its promise, execution by execution.
//!
//! Each statement that completes is looked up among the promises of the changes that are in force. Where nothing is watched that is one
//! load of an atomic; otherwise a lookup in a map under a lock. Nothing is decided here: what was found is posted to the pipeline's
//! thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aion_shadow::watch::{Finding, Promise, Watch};
use parking_lot::Mutex;

/// What follows from an execution for a recommendation.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The recommendation.
    pub id: u64,
    /// Keep or revert.
    pub finding: Finding,
}

/// See the module's header.
#[derive(Debug, Default)]
pub struct Watching {
    is_busy: AtomicBool,
    watches: Mutex<HashMap<u64, Watched>>,
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    /// It was found to keep its promise, or to break it: that is told once.
    is_kept: bool,
    is_over: bool,
}

impl Watching {
    /// Begins to watch a change at `now`.
    pub fn add(&self, id: u64, promises: impl IntoIterator<Item = Promise>, is_kept: bool, now: Duration) {
        let watched = Watched {
            watch: Watch::new(promises, now),
            is_kept,
            is_over: false,
        };
        let mut watches = self.watches.lock();
        watches.insert(id, watched);
        self.is_busy.store(true, Ordering::Relaxed);
    }

    /// Ends a watch.
    pub fn remove(&self, id: u64) {
        let mut watches = self.watches.lock();
        watches.remove(&id);
        self.is_busy.store(!watches.is_empty(), Ordering::Relaxed);
    }

    /// What follows from an execution that ended at `now`.
    pub fn executed(&self, queryid: i64, took: Duration, now: Duration) -> Vec<Found> {
        if !self.is_busy.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let ms = took.as_secs_f64() * 1_000.0;
        let mut found = Vec::new();
        for (&id, watched) in self.watches.lock().iter_mut().filter(|(_, watched)| !watched.is_over) {
            let finding = watched.watch.executed(queryid, ms, now);
            match finding {
                Finding::Watch => continue,
                Finding::Keep if watched.is_kept => continue,
                Finding::Keep => watched.is_kept = true,
                Finding::Revert(_) => watched.is_over = true,
            }
            found.push(Found { id, finding });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISE: Promise = Promise {
        queryid: 1,
        incumbent_ms: 100.0,
        candidate_ms: 10.0,
    };

    #[test]
    fn a_broken_promise_is_told_once() {
        let watching = Watching::default();
        let executed = |ms, second| watching.executed(1, Duration::from_millis(ms), Duration::from_secs(second));
        assert!(executed(500, 0).is_empty(), "nothing is watched");
        watching.add(7, [PROMISE], false, Duration::ZERO);
        assert!(executed(500, 1).is_empty());
        assert!(executed(500, 2).is_empty());
        let found = executed(500, 3);
        assert!(
            matches!(
                &found[..],
                [Found {
                    id: 7,
                    finding: Finding::Revert(_)
                }]
            ),
            "{found:?}"
        );
        assert!(executed(500, 4).is_empty(), "it was told");
        watching.remove(7);
        assert!(!watching.is_busy.load(Ordering::Relaxed));
    }

    #[test]
    fn what_was_kept_is_watched_on() {
        let watching = Watching::default();
        watching.add(7, [PROMISE], false, Duration::ZERO);
        let executed = |ms, second| watching.executed(1, Duration::from_millis(ms), Duration::from_secs(second));
        let kept: Vec<Found> = (0..100).flat_map(|second| executed(10, second)).collect();
        assert_eq!(
            kept,
            [Found {
                id: 7,
                finding: Finding::Keep
            }]
        );
        let reverted: Vec<Found> = (100..103).flat_map(|second| executed(500, second)).collect();
        assert!(
            matches!(
                &reverted[..],
                [Found {
                    finding: Finding::Revert(_),
                    ..
                }]
            ),
            "{reverted:?}"
        );
    }
}
