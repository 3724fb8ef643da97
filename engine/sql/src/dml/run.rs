//! Rows that rise, on their way into files of the store (see [`Store::load`]): a thread of its own makes the files while the next rows come.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use aion_base::{Error, Result, SqlState};
use aion_storage::{RisingRows, Store};

use crate::transaction::{Appended, Transaction};

/// Chunks that wait for the thread.
const CHUNKS_WAITING: usize = 2;

/// Rows of one private range. They are all there when [`Run::finish`] returns. Who drops it waits, too: nothing is put into the range afterwards.
pub struct Run {
    /// None once the end is known.
    sender: Option<SyncSender<Part>>,
    thread: Option<JoinHandle<Result<()>>>,
    /// Has the range until the thread has ended.
    _transaction: Arc<Transaction>,
}

enum Part {
    Rows(Appended),
    End,
}

impl Run {
    /// Begins one in a range that is the transaction's alone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn begin(transaction: &Arc<Transaction>) -> Result<Self> {
        let (sender, receiver) = sync_channel(CHUNKS_WAITING);
        let store: Arc<Store> = transaction.store().clone();
        let thread = std::thread::Builder::new()
            .name("aion-load".to_owned())
            .spawn(move || store.load(&mut Source::new(receiver)));
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread.map_err(|error| Error::io("start a thread", error))?),
            _transaction: transaction.clone(),
        })
    }

    /// Adds rows, each behind all that came before. Waits where files are made more slowly than rows come.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn add(&mut self, rows: Appended) -> Result<()> {
        self.send(Part::Rows(rows))
    }

    /// Waits until all rows are durable, and seen by who looks from then on.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn finish(mut self) -> Result<()> {
        self.send(Part::End)?;
        self.join()
    }

    fn send(&mut self, part: Part) -> Result<()> {
        let is_sent = self.sender.as_ref().is_some_and(|sender| sender.send(part).is_ok());
        if is_sent {
            return Ok(());
        }
        // The thread has ended, and knows why.
        self.join()?;
        Err(Error::internal("the files of a load were ended before its rows"))
    }

    fn join(&mut self) -> Result<()> {
        self.sender = None;
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(ended) => ended.map_err(|_| Error::internal("a thread that makes files of rows panicked"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Err(error) = self.join() {
            // The load has failed already: what there is of it is cleared away.
            tracing::debug!(%error, "a load was given up");
        }
    }
}

/// What the thread reads.
struct Source {
    parts: Receiver<Part>,
    rows: Appended,
    next: usize,
}

impl Source {
    fn new(parts: Receiver<Part>) -> Self {
        Self {
            parts,
            rows: Appended::default(),
            next: 0,
        }
    }
}

impl RisingRows for Source {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        while self.next == self.rows.len() {
            match self.parts.recv() {
                Ok(Part::Rows(rows)) => (self.rows, self.next) = (rows, 0),
                Ok(Part::End) => return Ok(None),
                Err(_) => {
                    return Err(Error::unavailable(SqlState::QUERY_CANCELED, "the load was given up"));
                }
            }
        }
        self.next += 1;
        Ok(self.rows.row(self.next - 1))
    }
}
