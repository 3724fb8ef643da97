//! What is being done, on stderr: a line now and then.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(2);

/// Counts towards a total, from any thread.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: u64,
    done: AtomicU64,
    clock: SystemClock,
    /// Milliseconds after which a line is due.
    due_ms: AtomicU64,
}

impl Progress {
    /// Of so many.
    pub fn new(what: &'static str, total: u64) -> Self {
        Self {
            what,
            total,
            done: AtomicU64::new(0),
            clock: SystemClock::default(),
            due_ms: AtomicU64::new(EVERY.as_millis() as u64),
        }
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let now = self.clock.monotonic().as_millis() as u64;
        let due = self.due_ms.load(Ordering::Relaxed);
        let next = now + EVERY.as_millis() as u64;
        let is_mine = now >= due
            && self
                .due_ms
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_mine {
            say(format_args!("{}: {done} of {}", self.what, self.total));
        }
    }
}

/// A line on stderr; whoever closed it does not want it.
pub fn say(what: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
