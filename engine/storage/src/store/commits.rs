//! Committing: what is proposed is appended, synced and applied, group by group; and the flush thread, after which old log goes. The order and
//! the guarantees are those of [`super`].
//!
//! **Whose turn it is.** Who commits holds the [`Committer`]; while nobody does, it lies in the store's state. A proposal whose thread waits for it, and that finds it there, nobody
//! before it, no company to be expected ([`gather`](super::gather)) and syncs that are fast is committed by the thread that proposed it: to wake the
//! commit thread and to be woken by it takes longer than such a sync. Everything else is the commit thread's: groups, large proposals, slow disks.
//! A proposing thread is held up for one commit of its own, at most [`ALONE_BYTES_MAX`] large and with a sync of about [`FAST_SYNC`], never for
//! those of others: what came meanwhile it leaves to the commit thread.

use super::gather::FAST_SYNC;
use super::*;

/// Bytes of a proposal that its own thread commits, at most.
const ALONE_BYTES_MAX: usize = 64 << 10;

/// What it takes to commit; there is one of it.
pub(super) struct Committer {
    pub(super) log: Log,
    pub(super) rows: Arc<dyn Rows>,
    pub(super) stages: Stages,
    pub(super) last_timestamp: Timestamp,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) times: Arc<Times>,
    pub(super) counters: Arc<StoreCounters>,
    pub(super) gather: Gather,
    /// What the last one took.
    pub(super) last_sync: Duration,
}

impl Committer {
    /// Appends and syncs a group: what is to be applied then.
    ///
    /// # Errors
    /// 53100 while the log is not broken: nothing happened. With any other error the store must stop.
    fn append(&mut self, proposals: &mut [Vec<Vec<u8>>]) -> Result<Vec<Unit>> {
        for entries in proposals.iter_mut() {
            self.last_timestamp = self.times.of_commit(self.clock.wall_micros(), self.last_timestamp);
            entries
                .iter_mut()
                .for_each(|entry| entry::stamp(entry, self.last_timestamp));
        }
        let payloads: Vec<&[u8]> = proposals.iter().flatten().map(Vec::as_slice).collect();
        let mut index = self.log.last_index();
        let positions = self.log.append_all(LOCAL_TERM, &payloads)?;
        let start = self.clock.monotonic();
        self.log.sync()?;
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.last_sync = self.clock.monotonic() - start;
        let micros = self.last_sync.as_micros();
        self.counters.sync_micros.fetch_add(micros as u64, Ordering::Relaxed);
        self.counters
            .log_bytes
            .store(self.log.appended_bytes(), Ordering::Relaxed);
        let mut at = 0;
        let mut units = Vec::with_capacity(proposals.len());
        for entries in proposals.iter_mut() {
            let new_stages = entries.len() - 1;
            let commit_index = LogIndex(index.0 + entries.len() as u64);
            if new_stages > 0
                && let Body::Stage { txn, .. } = entry::decode(&entries[0])?.body
            {
                for stage in 0..new_stages {
                    self.stages
                        .add(txn, LogIndex(index.0 + 1 + stage as u64), positions[at + stage]);
                }
                self.stages.take(txn, commit_index);
            }
            at += entries.len();
            index = commit_index;
            units.push(Unit {
                index,
                term: LOCAL_TERM,
                entries: std::mem::take(entries),
                new_stages,
            });
        }
        Ok(units)
    }

    /// Whether a proposal of so many bytes should be committed by the thread that made it, nobody else being there. See the module's header.
    pub(super) fn is_for_proposer(&self, bytes: usize) -> bool {
        bytes <= ALONE_BYTES_MAX && self.gather.is_alone() && self.gather.sync().is_some_and(|sync| sync < FAST_SYNC)
    }

    pub(super) fn discard_abandoned(&mut self, applier: &mut Applier) -> Result<()> {
        let abandoned = self.stages.abandoned();
        for txn in abandoned {
            self.last_timestamp = self.times.of_commit(self.clock.wall_micros(), self.last_timestamp);
            let mut bytes = entry::encode_discard(txn);
            entry::stamp(&mut bytes, self.last_timestamp);
            self.log.append(LOCAL_TERM, &bytes)?;
            self.log.sync()?;
            let index = self.log.last_index();
            self.stages.take(txn, index);
            applier.apply(&[Unit {
                index,
                term: LOCAL_TERM,
                entries: vec![bytes],
                new_stages: 0,
            }])?;
        }
        Ok(())
    }

    /// The end: rows durable, log given up as far as possible and closed.
    fn finish(mut self, floor: LogIndex) -> Result<()> {
        let flushed = self.rows.flush().and_then(|()| self.rows.durable_applied());
        let purged = flushed.and_then(|durable| self.purge(durable.index, floor));
        // Whatever became of the rows, the log has it all.
        self.log.close()?;
        purged
    }

    fn purge(&mut self, durable: LogIndex, floor: LogIndex) -> Result<()> {
        let upto = durable.min(floor).min(self.stages.purge_limit(durable));
        self.log.purge(upto).map(|_| ())
    }
}

/// Whoever has it commits, and nobody else does; dropped, it goes back to where the next one finds it.
pub(super) struct Turn<'a> {
    shared: &'a Shared,
    /// None only while it is dropped.
    committer: Option<Box<Committer>>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(shared: &'a Shared, committer: Box<Committer>) -> Self {
        Self {
            shared,
            committer: Some(committer),
        }
    }

    fn committer(&mut self) -> &mut Committer {
        self.committer.as_mut().expect("there until it is dropped")
    }

    /// Makes a group durable, applies it and answers.
    ///
    /// # Errors
    /// The store has stopped, after `on_fatal` was told. A disk that is full before the log has the group is an answer and no error.
    pub(super) fn commit(&mut self, group: Vec<Proposal>) -> Result<()> {
        let shared = self.shared;
        let committer = self.committer();
        let (mut entries, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|proposal| (proposal.entries, proposal.answer))
            .unzip();
        let group = answers.len();
        let units = match committer.append(&mut entries) {
            Ok(units) => units,
            Err(error) if error.state() == SqlState::DISK_FULL && !committer.log.is_broken() => {
                for answer in answers {
                    let refused = Error::exhausted(SqlState::DISK_FULL, error.message())
                        .with_hint("Nothing was written. Free space on the disk.");
                    let _ = answer.send(Err(refused));
                }
                return Ok(());
            }
            Err(error) => return Err(shared.stop(error)),
        };
        // The log has it: whatever keeps it from the rows now, a full disk too, it counts as done, and the next to open the store does it.
        let outcomes = match shared.applier.lock().apply(&units) {
            Ok(outcomes) => outcomes,
            Err(error) => return Err(shared.stop(error)),
        };
        for (outcome, answer) in outcomes.into_iter().zip(answers) {
            let answered = outcome.ok_or_else(|| Error::internal("a commit has an outcome"));
            if let Ok(outcome) = &answered {
                committer.counters.count(outcome);
            }
            // Whoever dropped the ticket does not want to know.
            let _ = answer.send(answered);
        }
        let waiting = shared.state.lock().queue.len();
        committer.gather.synced(group, committer.last_sync, waiting);
        if waiting == 0
            && let Err(error) = committer.log.mark()
        {
            return Err(shared.stop(error));
        }
        if shared.is_flush_due(&committer.counters) {
            shared.flush.notify_one();
        }
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if std::thread::panicking() {
            // The log may end in the middle of something.
            state.is_dead = true;
            state.queue.clear();
            self.shared.room.notify_all();
        }
        state.idle = self.committer.take();
        state.turns += 1;
        self.shared.turned.notify_all();
        if !state.queue.is_empty() || state.purge_upto.is_some() || state.is_closing || state.is_dead {
            self.shared.work.notify_one();
        }
    }
}

/// The commit thread: every group that whoever proposed it did not commit by itself.
pub(super) fn run_commits(shared: &Shared) -> Result<()> {
    loop {
        let (mut turn, group, purge_upto) = {
            let mut state = shared.state.lock();
            let committer = loop {
                if state.is_dead {
                    return Err(stopped());
                }
                let is_asked = !state.queue.is_empty() || state.purge_upto.is_some() || state.is_closing;
                if is_asked && let Some(committer) = state.idle.take() {
                    break committer;
                }
                shared.work.wait(&mut state);
            };
            if state.queue.is_empty() && state.purge_upto.is_none() {
                // It is closing.
                drop(state);
                let floor = shared.applier.lock().window().floor();
                return committer.finish(floor);
            }
            let mut turn = Turn::new(shared, committer);
            let there = state.queue.len();
            if there > 0
                && let Some((wanted, longest)) = turn.committer().gather.wish(there)
                && !state.is_closing
            {
                state.wanted = wanted;
                // Whoever closes the store or flushed the rows wakes it too: then it goes on with those that are there.
                let _ = shared.work.wait_for(&mut state, longest);
                state.wanted = 0;
                turn.committer().gather.waited(there, state.queue.len());
            }
            let mut group = Vec::new();
            let mut bytes = 0;
            while let Some(next) = state.queue.front() {
                if bytes > 0 && bytes + next.bytes > GROUP_BYTES_MAX {
                    break;
                }
                bytes += next.bytes;
                group.extend(state.queue.pop_front());
            }
            state.queue_bytes -= bytes;
            shared.room.notify_all();
            (turn, group, state.purge_upto.take())
        };
        if let Some(durable) = purge_upto {
            let floor = shared.applier.lock().window().floor();
            if let Err(error) = turn.committer().purge(durable, floor) {
                tracing::warn!(%error, "could not give up old log segments; they stay");
            }
        }
        if !group.is_empty() {
            turn.commit(group)?;
        }
    }
}

fn stopped() -> Error {
    Error::internal("the store stopped after an error that was reported when it happened")
}

pub(super) struct Flusher {
    pub(super) shared: Arc<Shared>,
    pub(super) rows: Arc<dyn Rows>,
    pub(super) counters: Arc<StoreCounters>,
    pub(super) interval: Duration,
    /// Bytes of log when nothing had been due for an interval.
    pub(super) seen: u64,
}

/// What the flush thread is to do.
enum Due {
    Flush,
    /// And to bring the rows to rest: little was written in an interval.
    Rest,
    End,
}

/// Bytes of log in an interval that are little.
const LITTLE_BYTES: u64 = 1 << 20;

impl Flusher {
    pub(super) fn run(&mut self) {
        loop {
            let due = self.wait();
            if matches!(due, Due::End) {
                return;
            }
            if self.shared.unflushed(&self.counters) > 0
                && let Err(error) = flush_rows(&*self.rows, &self.shared, &self.counters)
            {
                // A full disk passes; the log keeps everything meanwhile.
                if error.state() == SqlState::DISK_FULL {
                    tracing::warn!(%error, "could not flush the rows; trying again");
                } else {
                    (self.shared.on_fatal)(&error);
                    return;
                }
            }
            if matches!(due, Due::Rest)
                && let Err(error) = self.rows.settle().and_then(|_| self.settle_log())
            {
                tracing::warn!(%error, "could not bring the rows to rest; trying again");
            }
        }
    }

    /// Has the log let go of segments that nobody wants.
    fn settle_log(&self) -> Result<()> {
        let durable = self.rows.durable_applied()?.index;
        self.shared.state.lock().purge_upto = Some(durable);
        self.shared.work.notify_all();
        Ok(())
    }

    /// Returns when something is to be done.
    fn wait(&mut self) -> Due {
        let mut state = self.shared.state.lock();
        loop {
            if state.is_closing || state.is_dead {
                return Due::End;
            }
            let waited = self.shared.flush.wait_for(&mut state, self.interval);
            if state.is_closing || state.is_dead {
                return Due::End;
            }
            if self.shared.is_flush_due(&self.counters) {
                return Due::Flush;
            }
            if waited.timed_out() {
                let bytes = self.counters.log_bytes.load(Ordering::Relaxed);
                let before = std::mem::replace(&mut self.seen, bytes);
                return match bytes - before <= LITTLE_BYTES {
                    true => Due::Rest,
                    false => Due::Flush,
                };
            }
        }
    }
}

pub(super) fn flush_rows(rows: &dyn Rows, shared: &Shared, counters: &StoreCounters) -> Result<()> {
    let log_bytes = counters.log_bytes.load(Ordering::Relaxed);
    rows.flush()?;
    shared.flushed_at.store(log_bytes, Ordering::Relaxed);
    counters.flushes.fetch_add(1, Ordering::Relaxed);
    let durable = rows.durable_applied()?.index;
    shared.state.lock().purge_upto = Some(durable);
    shared.work.notify_all();
    Ok(())
}

#[cfg(test)]
mod tests;
