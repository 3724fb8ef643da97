//! LISTEN and NOTIFY: what a transaction tells the sessions that are there, once it commits.
//!
//! **Vocabulary.** A *notification* is a channel, a payload and the process that sent it. A session *listens* to channels.
//!
//! **How it works.**
//! 1. A transaction gathers what it notifies of and to what it begins or ends to listen ([`Pending`]). Of equal notifications it keeps one.
//! 2. When it has committed, they go to the end of one queue, in the order of such commits, unless nobody listens.
//! 3. A session that listens has a place in the queue ([`Listener`]). Outside of transactions it goes on to the end, and takes what is on a
//!    channel of its own.
//! 4. What all of them have passed is forgotten.
//!
//! **Limits.** The queue and what is gathered for it have [`QUEUE_BYTES_MAX`] together. A session that listens and stays in a transaction, or whose
//! client does not read, holds the queue; once it is full NOTIFY fails (54000).
//!
//! Nothing of it is written down: it concerns the sessions of this process, and none outlives it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Bytes of a payload, at most.
const PAYLOAD_BYTES_MAX: usize = 7_999;
/// Bytes of a channel's name, at most.
const CHANNEL_BYTES_MAX: usize = 63;
/// Bytes of all notifications.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// What a notification takes besides its texts, about.
const OVERHEAD_BYTES: usize = 128;
/// Channels that a session listens to, and changes of them in a transaction, at most.
const CHANNELS_MAX: usize = 10_000;

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notification {
    /// Who sent it.
    pub process_id: i32,
    /// Where.
    pub channel: String,
    /// What.
    pub payload: String,
}

impl Notification {
    fn bytes(&self) -> usize {
        // Twice: what is gathered is looked for, too.
        2 * (self.channel.len() + self.payload.len() + OVERHEAD_BYTES)
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Notifications {
    queue: Mutex<Queue>,
    /// The end of the queue.
    end: watch::Sender<u64>,
    /// Held from before a commit until its notifications are in the queue.
    pub committing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Arc<Notification>>,
    /// The place of the first entry: how many there were before.
    first: u64,
    /// Those of the entries, and of what is gathered.
    bytes: usize,
    /// The places of those who listen.
    places: BTreeMap<u64, u64>,
    next_listener: u64,
}

impl Queue {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Forgets what everybody has passed.
    fn trim(&mut self) {
        let passed = self.places.values().min().copied().unwrap_or_else(|| self.end());
        while self.first < passed
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(entry.bytes());
            self.first += 1;
        }
    }
}

impl Notifications {
    /// The part of the queue's room that is taken, 0 to 1.
    pub fn usage(&self) -> f64 {
        self.queue.lock().bytes as f64 / QUEUE_BYTES_MAX as f64
    }

    /// Takes room for a notification that may come.
    fn reserve(&self, bytes: usize) -> Result<()> {
        let mut queue = self.queue.lock();
        if queue.bytes + bytes > QUEUE_BYTES_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "too many notifications in the NOTIFY queue",
            )
            .with_hint("A session that listens has been in a transaction for long, or does not read."));
        }
        queue.bytes += bytes;
        Ok(())
    }

    /// Gives room back.
    fn release(&self, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
    }

    /// Puts notifications, for which room was taken, to the end.
    fn publish(&self, notifications: Vec<Notification>) {
        let mut queue = self.queue.lock();
        queue.entries.extend(notifications.into_iter().map(Arc::new));
        queue.trim();
        let end = queue.end();
        drop(queue);
        self.end.send_replace(end);
    }
}

/// To what a transaction begins or ends to listen.
#[derive(Clone, Debug)]
pub enum Listening {
    /// LISTEN
    To(String),
    /// UNLISTEN
    NoLongerTo(String),
    /// UNLISTEN *
    ToNothing,
}

/// What a transaction does once it commits.
#[derive(Debug)]
pub struct Pending {
    all: Arc<Notifications>,
    listening: Vec<Listening>,
    notifications: Vec<Notification>,
    known: HashSet<Notification>,
}

/// Where a savepoint is.
#[derive(Clone, Copy, Debug)]
pub struct PendingMark {
    listening: usize,
    notifications: usize,
}

impl Pending {
    pub fn new(all: Arc<Notifications>) -> Self {
        Self {
            all,
            listening: Vec::new(),
            notifications: Vec::new(),
            known: HashSet::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.listening.is_empty() && self.notifications.is_empty()
    }

    /// Notifies once the transaction commits.
    ///
    /// # Errors
    /// 22023 for a channel or a payload that is none, 54000 where there is no room.
    pub fn notify(&mut self, process_id: i32, channel: &str, payload: &str) -> Result<()> {
        let invalid = |message: &str| Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message));
        if channel.is_empty() {
            return invalid("channel name cannot be empty");
        }
        if channel.len() > CHANNEL_BYTES_MAX {
            return invalid("channel name too long");
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return invalid("payload string too long");
        }
        let notification = Notification {
            process_id,
            channel: channel.to_owned(),
            payload: payload.to_owned(),
        };
        if self.known.contains(&notification) {
            return Ok(());
        }
        self.all.reserve(notification.bytes())?;
        self.known.insert(notification.clone());
        self.notifications.push(notification);
        Ok(())
    }

    /// Begins or ends to listen once the transaction commits.
    ///
    /// # Errors
    /// 54000 for too many in one transaction.
    pub fn listen(&mut self, listening: Listening) -> Result<()> {
        if self.listening.len() >= CHANNELS_MAX {
            return Err(too_many_channels());
        }
        self.listening.push(listening);
        Ok(())
    }

    /// Where a savepoint is.
    pub fn mark(&self) -> PendingMark {
        PendingMark {
            listening: self.listening.len(),
            notifications: self.notifications.len(),
        }
    }

    /// Forgets what came after a savepoint.
    pub fn return_to(&mut self, mark: PendingMark) {
        self.listening.truncate(mark.listening);
        for notification in self.notifications.drain(mark.notifications..) {
            self.all.release(notification.bytes());
            self.known.remove(&notification);
        }
    }

    /// Forgets everything: the transaction is rolled back.
    pub fn clear(&mut self) {
        self.return_to(PendingMark {
            listening: 0,
            notifications: 0,
        });
    }

    /// Does what is to be done: the transaction has committed.
    pub fn settle(&mut self, listener: &mut Option<Listener>) {
        for listening in self.listening.drain(..) {
            match listening {
                Listening::To(channel) => {
                    let listener = listener.get_or_insert_with(|| Listener::new(self.all.clone()));
                    listener.channels.insert(channel);
                }
                Listening::NoLongerTo(channel) => {
                    if let Some(listener) = listener {
                        listener.channels.remove(&channel);
                    }
                }
                Listening::ToNothing => *listener = None,
            }
            if listener.as_ref().is_some_and(|listener| listener.channels.is_empty()) {
                *listener = None;
            }
        }
        self.known.clear();
        if !self.notifications.is_empty() {
            self.all.publish(std::mem::take(&mut self.notifications));
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.clear();
    }
}

pub fn too_many_channels() -> Error {
    Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("a session listens to at most {CHANNELS_MAX} channels"),
    )
}

/// A session that listens.
#[derive(Debug)]
pub struct Listener {
    all: Arc<Notifications>,
    number: u64,
    channels: BTreeSet<String>,
}

impl Listener {
    /// At the end of the queue, and to no channel yet.
    fn new(all: Arc<Notifications>) -> Self {
        let mut queue = all.queue.lock();
        let number = queue.next_listener;
        queue.next_listener += 1;
        let end = queue.end();
        queue.places.insert(number, end);
        drop(queue);
        Self {
            all,
            number,
            channels: BTreeSet::new(),
        }
    }

    /// The channels, by name.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &String> {
        self.channels.iter()
    }

    /// Whether there is room for another channel.
    pub fn is_full(&self) -> bool {
        self.channels.len() >= CHANNELS_MAX
    }

    /// Told when there is something in the queue.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.all.end.subscribe()
    }

    /// Whether there is something in the queue that it has not passed.
    pub fn is_behind(&self) -> bool {
        let queue = self.all.queue.lock();
        queue.places.get(&self.number).is_some_and(|place| *place < queue.end())
    }

    /// The next notifications that concern it, at most so many; none where it is at the end of the queue.
    pub fn take(&self, count_max: usize) -> Vec<Arc<Notification>> {
        let mut queue = self.all.queue.lock();
        let Some(place) = queue.places.get(&self.number).copied() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut next = place;
        for entry in queue.entries.range((place - queue.first) as usize..) {
            if found.len() == count_max {
                break;
            }
            next += 1;
            if self.channels.contains(&entry.channel) {
                found.push(entry.clone());
            }
        }
        queue.places.insert(self.number, next);
        if place == queue.first {
            queue.trim();
        }
        found
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut queue = self.all.queue.lock();
        queue.places.remove(&self.number);
        queue.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(all: &Arc<Notifications>, channel: &str) -> Option<Listener> {
        let mut listener = None;
        let mut pending = Pending::new(all.clone());
        pending.listen(Listening::To(channel.to_owned())).expect("room");
        pending.settle(&mut listener);
        listener
    }

    fn notify(all: &Arc<Notifications>, channel: &str, payload: &str) {
        let mut pending = Pending::new(all.clone());
        pending.notify(1, channel, payload).expect("room");
        pending.settle(&mut None);
    }

    fn payloads(listener: &Listener, count_max: usize) -> Vec<String> {
        let found = listener.take(count_max);
        found.iter().map(|each| each.payload.clone()).collect()
    }

    #[test]
    fn each_listener_takes_its_own_and_what_all_have_passed_is_forgotten() {
        let all = Arc::new(Notifications::default());
        notify(&all, "a", "nobody is there");
        let (first, second) = (listening(&all, "a"), listening(&all, "b"));
        let (first, second) = (first.expect("listens"), second.expect("listens"));
        for (channel, payload) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            notify(&all, channel, payload);
        }
        assert!(first.is_behind());
        assert_eq!(payloads(&first, 1), ["1"]);
        assert_eq!(payloads(&first, 10), ["3"]);
        assert!(!first.is_behind());
        assert_eq!(all.queue.lock().entries.len(), 4, "the second has passed none");
        assert_eq!(payloads(&second, 10), ["2"]);
        assert_eq!(all.queue.lock().entries.len(), 0);
        notify(&all, "a", "5");
        drop(first);
        assert_eq!(all.queue.lock().entries.len(), 1);
        drop(second);
        assert_eq!(all.queue.lock().entries.len(), 0);
        assert_eq!(all.queue.lock().bytes, 0, "all room is given back");
    }

    #[test]
    fn savepoints_take_back_and_equal_ones_are_one() {
        let all = Arc::new(Notifications::default());
        let listener = listening(&all, "a").expect("listens");
        let mut pending = Pending::new(all.clone());
        for payload in ["1", "2", "1"] {
            pending.notify(1, "a", payload).expect("room");
        }
        let mark = pending.mark();
        for payload in ["2", "3"] {
            pending.notify(1, "a", payload).expect("room");
        }
        pending.listen(Listening::To("b".to_owned())).expect("room");
        pending.return_to(mark);
        pending.notify(1, "a", "3").expect("it is not known any more");
        let mut other = None;
        pending.settle(&mut other);
        assert!(other.is_none());
        assert_eq!(payloads(&listener, 10), ["1", "2", "3"]);
        pending.notify(1, "a", "1").expect("of another transaction");
        drop(pending);
        assert!(!listener.is_behind());
        assert_eq!(all.queue.lock().bytes, 0);
    }

    #[test]
    fn a_full_queue_takes_no_more_until_somebody_reads() {
        let all = Arc::new(Notifications::default());
        let listener = listening(&all, "a").expect("listens");
        let mut pending = Pending::new(all.clone());
        let payload = "x".repeat(PAYLOAD_BYTES_MAX - 10);
        let refused = (0..).find_map(|number| pending.notify(1, "a", &format!("{payload}{number:010}")).err());
        let refused = refused.expect("it is bounded");
        assert_eq!(refused.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        pending.settle(&mut None);
        pending.notify(1, "a", &payload).expect_err("still full");
        while !listener.take(100).is_empty() {}
        pending.notify(1, "a", &payload).expect("there is room");
        drop(pending);
        assert_eq!(all.queue.lock().bytes, 0);
    }

    #[test]
    fn refuses_what_postgresql_refuses() {
        let mut pending = Pending::new(Arc::default());
        let long = "x".repeat(PAYLOAD_BYTES_MAX + 1);
        pending.notify(1, "", "").expect_err("no channel");
        pending.notify(1, &long[..64], "").expect_err("too long a channel");
        pending.notify(1, &long[..63], "").expect("the longest channel");
        pending.notify(1, "a", &long).expect_err("too long a payload");
        pending.notify(1, "a", &long[1..]).expect("the longest payload");
    }
}
