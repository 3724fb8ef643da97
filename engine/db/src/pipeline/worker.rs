//! The threads of the pipeline.
//!
//! - `aion-watch` does what the watch found, at once, and once a second what is left to do of earlier decisions. It begins with the
//!   mode shadow: what was made is taken back whatever the mode is now, as long as something is observed.
//! - `aion-learning`, at the lowest priority, trains models from mode shadow on, and from advise on looks at the workload and rehearses.
//!   After each round it rests until the round's processor time, that of its child processes with it, is within its share of the
//!   machine's.
//!
//! Both end within a second of [`Pipeline::stop`], a rehearsal that runs is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aion_base::clock::Clock;
use aion_base::{Error, Result};
use parking_lot::{Condvar, Mutex};

use super::watching::Found;
use super::{Pipeline, Progress};

/// How often there may be something to do that nobody tells of.
const TICK: Duration = Duration::from_secs(1);
/// The lowest priority of a thread.
const NICE: i32 = 19;

/// What the threads of a pipeline share.
#[derive(Debug, Default)]
pub(super) struct Worker {
    is_stopped: AtomicBool,
    found: Mutex<Vec<Found>>,
    news: Condvar,
    threads: Mutex<Threads>,
}

#[derive(Debug, Default)]
struct Threads {
    watch: Option<std::thread::JoinHandle<()>>,
    learning: Option<std::thread::JoinHandle<()>>,
}

impl Worker {
    /// Hands over what the watch found. There is at most one finding of each kind for each change.
    pub fn post(&self, found: Vec<Found>) {
        if !found.is_empty() {
            self.found.lock().extend(found);
            self.news.notify_all();
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Sleeps for a while, or until there is something to do.
    fn rest(&self, time: Duration) {
        let mut found = self.found.lock();
        if found.is_empty() && !self.is_stopped() {
            self.news.wait_for(&mut found, time);
        }
    }
}

impl Pipeline {
    /// Starts the threads that the mode asks for and that do not run yet.
    pub(super) fn start(&self) -> Result<()> {
        let mode = self.current_mode();
        let Some(pipeline) = self.me.upgrade() else {
            return Ok(());
        };
        let mut threads = self.worker.threads.lock();
        if mode.observes() && threads.watch.is_none() && !self.worker.is_stopped() {
            threads.watch = Some(spawn("aion-watch", pipeline.clone(), Pipeline::keep_watch)?);
        }
        if mode.observes() && threads.learning.is_none() && !self.worker.is_stopped() {
            threads.learning = Some(spawn("aion-learning", pipeline, Pipeline::keep_learning)?);
        }
        Ok(())
    }

    /// Ends the threads, and waits for their end where `waits`.
    pub fn stop(&self, waits: bool) {
        {
            // Under the lock, so that a thread that is about to rest sees it.
            let _found = self.worker.found.lock();
            self.worker.is_stopped.store(true, Ordering::Relaxed);
        }
        self.worker.news.notify_all();
        let threads = std::mem::take(&mut *self.worker.threads.lock());
        if waits {
            for thread in [threads.watch, threads.learning].into_iter().flatten() {
                if thread.join().is_err() {
                    tracing::warn!("a thread of the pipeline panicked");
                }
            }
        }
        // Where somebody's rehearsal still runs it goes with the pipeline.
        if let Some(mut sandboxes) = self.work.try_lock() {
            sandboxes.clear();
        }
    }

    fn keep_watch(&self) {
        let mut tidied = Duration::ZERO;
        while !self.worker.is_stopped() {
            self.worker.rest(TICK);
            let found = std::mem::take(&mut *self.worker.found.lock());
            for found in found {
                if let Err(error) = self.found(&found) {
                    tracing::warn!(%error, id = found.id, "what the watch found could not be done; it is tried again");
                }
            }
            let now = self.clock.monotonic();
            if now.saturating_sub(tidied) >= TICK && !self.worker.is_stopped() {
                tidied = now;
                let unused = self.work.try_lock().and_then(|mut sandboxes| sandboxes.take_unused());
                drop(unused);
                if let Err(error) = self.tidy().and_then(|()| self.judge_model()).and_then(|()| self.tune()) {
                    tracing::warn!(%error, "decisions could not be carried out; it is tried again in a second");
                }
            }
        }
    }

    fn keep_learning(&self) {
        lower_priority();
        let is_cancelled = || self.worker.is_stopped() || !self.current_mode().rehearses();
        let is_idle = || self.worker.is_stopped() || !self.current_mode().observes();
        let mut next = self.clock.monotonic() + self.options.learning.look_every;
        while !self.worker.is_stopped() {
            self.worker.rest(TICK);
            if self.clock.monotonic() < next || is_idle() {
                continue;
            }
            let before = self.spent();
            let progress = Progress {
                is_cancelled: &is_cancelled,
                sampled: &|_| {},
            };
            if let Err(error) = self.train_if_due() {
                tracing::warn!(%error, "no model could be trained; it is tried again");
            }
            if self.current_mode().rehearses()
                && let Err(error) = self.cycle(&progress)
                && !is_cancelled()
            {
                tracing::warn!(%error, "the workload could not be looked at; it is tried again");
            }
            let spent = self.spent().saturating_sub(before);
            let processors = self.options.threads.max(1) as f64;
            let share = (self.options.learning.processor_share * processors).max(1e-6);
            let rest = spent.div_f64(share.min(1.0)).max(self.options.learning.look_every);
            next = self.clock.monotonic() + rest;
        }
    }
}

fn spawn(name: &str, pipeline: Arc<Pipeline>, run: fn(&Pipeline)) -> Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        // Plans are walked by recursion, as in the threads of queries.
        .stack_size(16 << 20)
        .spawn(move || run(&pipeline))
        .map_err(|error| Error::io("start a thread of the pipeline", error))
}

/// Lets every other thread go first. Where the system does not allow it the share of processor time holds all the same.
fn lower_priority() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "the priority of learning could not be lowered");
    }
}
