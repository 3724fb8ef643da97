//! The loop around every engine: a thread for each task, for a while.
//!
//! 1. All threads begin together, and each draws an operation, tries it until it succeeds, and takes its time.
//! 2. An operation that lost against another (kind [`ErrorKind::Conflict`]) is tried again at once, and counted; its time is that
//!    from the first attempt to the answer.
//! 3. Whoever sees that the time is over ends after its operation. Any other error ends all threads, and the run.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, ErrorKind, Result};

use crate::histogram::Histogram;

/// Attempts of one operation, at most.
const ATTEMPTS_MAX: u32 = 10_000;

/// What one thread does.
pub trait Task: Send {
    /// What is tried until it succeeds.
    type Operation;

    /// The next operation.
    fn draw(&mut self) -> Self::Operation;

    /// Tries it; what was read.
    ///
    /// # Errors
    /// Conflict where another attempt may succeed.
    fn attempt(&mut self, operation: &Self::Operation) -> Result<Answer>;
}

/// What an operation read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Rows.
    pub rows: u64,
    /// The sum of their digests.
    pub checksum: u64,
}

impl Answer {
    /// One row.
    pub fn row(digest: u64) -> Self {
        Self {
            rows: 1,
            checksum: digest,
        }
    }

    /// Takes more rows in.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}

/// What all threads did.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Threads.
    pub threads: usize,
    /// Operations that succeeded.
    pub operations: u64,
    /// Attempts that lost and were made again.
    pub retries: u64,
    /// What was read.
    pub read: Answer,
    /// From the common beginning to the end of the last operation.
    pub elapsed: Duration,
    /// Of the operations.
    pub latency: Histogram,
}

impl Measured {
    /// Operations in a second, of all threads together.
    pub fn per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn add(&mut self, other: &Self) {
        self.threads += other.threads;
        self.operations += other.operations;
        self.retries += other.retries;
        self.read.add(other.read);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.latency.merge(&other.latency);
    }
}

/// Runs each task on a thread of its own for so long.
///
/// # Errors
/// The first that is not a conflict; 40001 for an operation that loses ten thousand times.
pub fn drive<T: Task>(tasks: Vec<T>, duration: Duration) -> Result<Measured> {
    let clock = SystemClock::default();
    let (start, is_over) = (Barrier::new(tasks.len()), AtomicBool::new(false));
    let done: Vec<Result<Measured>> = std::thread::scope(|scope| {
        let threads: Vec<_> = tasks
            .into_iter()
            .map(|task| {
                let (clock, start, is_over) = (&clock, &start, &is_over);
                scope.spawn(move || {
                    start.wait();
                    let done = work(task, clock, duration, is_over);
                    is_over.store(true, Ordering::Relaxed);
                    done
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err(Error::internal("a measuring thread panicked")))
        };
        threads.into_iter().map(join).collect()
    });
    let mut all = Measured::default();
    for measured in done {
        all.add(&measured?);
    }
    Ok(all)
}

fn work<T: Task>(mut task: T, clock: &SystemClock, duration: Duration, is_over: &AtomicBool) -> Result<Measured> {
    let begun = clock.monotonic();
    let mut measured = Measured {
        threads: 1,
        ..Measured::default()
    };
    let mut now = begun;
    while now - begun < duration && !is_over.load(Ordering::Relaxed) {
        let operation = task.draw();
        let before = clock.monotonic();
        let mut attempts = 1;
        let answer = loop {
            match task.attempt(&operation) {
                Ok(answer) => break answer,
                Err(error) if error.kind() == ErrorKind::Conflict && attempts < ATTEMPTS_MAX => attempts += 1,
                Err(error) => return Err(error),
            }
        };
        now = clock.monotonic();
        measured.latency.record(now - before);
        measured.operations += 1;
        measured.retries += u64::from(attempts - 1);
        measured.read.add(answer);
    }
    measured.elapsed = now - begun;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aion_base::SqlState;

    /// Counts from 0, and loses each third attempt.
    struct Counting {
        next: u64,
        attempts: u64,
        fails_at: Option<u64>,
    }

    impl Counting {
        fn new(fails_at: Option<u64>) -> Self {
            Self {
                next: 0,
                attempts: 0,
                fails_at,
            }
        }
    }

    impl Task for Counting {
        type Operation = u64;

        fn draw(&mut self) -> u64 {
            self.next += 1;
            self.next - 1
        }

        fn attempt(&mut self, operation: &u64) -> Result<Answer> {
            self.attempts += 1;
            if self.fails_at.is_some_and(|at| *operation == at) {
                return Err(Error::internal("it was told to fail"));
            }
            if self.attempts.is_multiple_of(3) {
                return Err(Error::conflict(SqlState::SERIALIZATION_FAILURE, "lost"));
            }
            Ok(Answer::row(*operation))
        }
    }

    #[test]
    fn operations_are_counted_once_and_attempts_that_lost_beside_them() {
        let tasks = vec![Counting::new(None), Counting::new(None)];
        let measured = drive(tasks, Duration::from_millis(20)).expect("driven");
        assert_eq!(measured.threads, 2);
        assert!(measured.operations > 2 && measured.per_second() > 0.0);
        assert_eq!(measured.operations, measured.latency.count());
        assert_eq!(measured.operations, measured.read.rows);
        // Of three attempts one loses: half as many as succeed, for each of two threads.
        assert!(
            (measured.operations / 2).abs_diff(measured.retries) <= 2,
            "{} of {}",
            measured.retries,
            measured.operations
        );
    }

    #[test]
    fn an_error_ends_all_threads_at_once() {
        let tasks = vec![Counting::new(None), Counting::new(Some(10))];
        let begun = SystemClock::default();
        let error = drive(tasks, Duration::from_secs(600)).expect_err("it fails");
        assert_eq!(error.message(), "it was told to fail");
        assert!(begun.monotonic() < Duration::from_secs(60));
    }
}
