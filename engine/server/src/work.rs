//! Statements on the database's runtime, for the edges whose connections stay on the network's.
//!
//! A connection of Flight SQL or HTTP carries requests, and each runs as a task of its own where queries run, because
//! the network's threads must never wait for one.
//!
//! **Guarantees.** 1. No more tasks than the limit. 2. A task whose caller has gone is not dropped in the middle: its
//! statement is cancelled, so that a session never holds half of one. 3. [`Work::end`] returns once no task, and
//! nothing that a task had made, is left.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Time for cancelled statements to end.
const CANCELLED_GRACE: Duration = Duration::from_secs(5);

/// What ends a task's statement.
pub(crate) type Stop = Box<dyn Fn() + Send + Sync>;

/// The tasks of one edge.
pub(crate) struct Work {
    runtime: Handle,
    permits: Arc<Semaphore>,
    count_max: u32,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    last: u64,
    stops: HashMap<u64, Stop>,
}

/// A running task's entry; dropping it removes the entry.
struct Entry {
    work: Arc<Work>,
    number: u64,
}

/// What a task made. The permit is given back when what was made has gone, whoever drops it.
struct Made<T> {
    value: T,
    _permit: OwnedSemaphorePermit,
}

impl Work {
    /// At most `count_max` tasks on `runtime`.
    pub(crate) fn new(runtime: Handle, count_max: usize) -> Arc<Self> {
        let count_max = u32::try_from(count_max).unwrap_or(u32::MAX);
        Arc::new(Self {
            runtime,
            permits: Arc::new(Semaphore::new(count_max as usize)),
            count_max,
            running: Mutex::default(),
        })
    }

    /// Runs `work` to its end. If the caller no longer waits, or the server ends, `stop` is called, between two polls
    /// of the work, and the work ends by itself: it cancels the statement that runs, and no other may begin.
    ///
    /// # Errors
    /// 53300 when there are too many; else the work's own.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        stop: impl FnOnce() + Send + 'static,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permit()?;
        let told = Arc::new(Notify::new());
        let entry = self.enter({
            let told = Arc::clone(&told);
            Box::new(move || told.notify_one())
        });
        // Dropped with this future.
        let (_waiting, gone) = oneshot::channel::<()>();
        let task = self.runtime.spawn(async move {
            let value = {
                let mut work = std::pin::pin!(work);
                // The work first: a statement that it has begun is one that can be stopped.
                let done = tokio::select! {
                    biased;
                    done = &mut work => Some(done),
                    _ = gone => None,
                    () = told.notified() => None,
                };
                match done {
                    Some(done) => done,
                    None => {
                        stop();
                        work.await
                    }
                }
            };
            drop(entry);
            Made { value, _permit: permit }
        });
        match task.await {
            Ok(made) => made.value,
            Err(error) => Err(Error::internal(format!("a statement's task failed: {error}"))),
        }
    }

    /// Runs `work` in the background; it sees to it itself that somebody wants it. `stop`, which is called from
    /// anywhere, ends it for good.
    ///
    /// # Errors
    /// 53300 when there are too many.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        stop: impl Fn() + Send + Sync + 'static,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let permit = self.permit()?;
        let entry = self.enter(Box::new(stop));
        self.runtime.spawn(async move {
            work.await;
            drop(entry);
            drop(permit);
        });
        Ok(())
    }

    /// Waits for the tasks to end; after the grace their statements are cancelled.
    pub(crate) async fn end(&self, grace: Duration) {
        let all = || self.permits.acquire_many(self.count_max);
        if tokio::time::timeout(grace, all()).await.is_ok() {
            return;
        }
        for stop in self.lock().stops.values() {
            stop();
        }
        if tokio::time::timeout(CANCELLED_GRACE, all()).await.is_err() {
            tracing::warn!("a statement did not end although it was cancelled");
        }
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            Error::exhausted(SqlState::TOO_MANY_CONNECTIONS, "too many statements are running")
                .with_detail(format!("At most {} run at a time here.", self.count_max))
                .with_hint("Try again when others have ended.")
        })
    }

    fn enter(self: &Arc<Self>, stop: Stop) -> Entry {
        let mut running = self.lock();
        running.last += 1;
        let number = running.last;
        running.stops.insert(number, stop);
        Entry {
            work: Arc::clone(self),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // The map is whole after every statement above, also if a task panicked.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.work.lock().stops.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_than_the_limit() {
        let work = Work::new(Handle::current(), 1);
        let (inside, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn({
            let (work, inside, release) = (work.clone(), inside.clone(), release.clone());
            async move {
                let body = async move {
                    inside.notify_one();
                    release.notified().await;
                    Ok(7)
                };
                work.run(|| {}, body).await
            }
        });
        inside.notified().await;
        let error = work.run(|| {}, async { Ok(()) }).await.expect_err("one is running");
        assert_eq!(error.state(), SqlState::TOO_MANY_CONNECTIONS);
        release.notify_one();
        assert_eq!(first.await.expect("no panic").expect("done"), 7);
        work.run(|| {}, async { Ok(()) }).await.expect("there is room again");
    }

    /// A session whose request was dropped would otherwise keep what half a statement did.
    #[tokio::test]
    async fn work_whose_caller_left_is_stopped_and_not_dropped() {
        let work = Work::new(Handle::current(), 1);
        let (inside, stopped, ended) = (
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
        );
        let caller = tokio::spawn({
            let (work, inside, stopped, ended) = (work.clone(), inside.clone(), stopped.clone(), ended.clone());
            async move {
                let stop = {
                    let stopped = stopped.clone();
                    move || stopped.notify_one()
                };
                let body = async move {
                    inside.notify_one();
                    stopped.notified().await;
                    ended.notify_one();
                    Ok(())
                };
                work.run(stop, body).await
            }
        });
        inside.notified().await;
        caller.abort();
        ended.notified().await;
        work.end(Duration::from_secs(60)).await;
    }

    #[tokio::test]
    async fn at_the_end_what_still_runs_is_stopped() {
        let work = Work::new(Handle::current(), 2);
        let stopped = Arc::new(Notify::new());
        let stop = {
            let stopped = stopped.clone();
            move || stopped.notify_one()
        };
        work.spawn(stop, async move { stopped.notified().await }).expect("room");
        work.end(Duration::ZERO).await;
        assert_eq!(work.permits.available_permits(), 2);
    }
}
