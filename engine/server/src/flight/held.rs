//! Things that clients hold by handle: logins, transactions, prepared statements, results.
//!
//! **Guarantees.** A handle cannot be guessed. An owner has at most so many things and bytes of each kind. A thing that
//! is not used for its time is dropped, at the latest when [`Held::sweep`] comes by; using it begins its time anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aion_base::clock::Clock;
use aion_base::{Error, Result, SqlState};
use bytes::Bytes;

const HANDLE_BYTES: usize = 16;

/// Whose a thing is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A connection's: it goes with the connection.
    Connection(u64),
    /// A login's.
    Login(Bytes),
}

/// What may be held, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Things of one owner.
    pub(super) count_max: usize,
    /// Things of all owners.
    pub(super) total_max: usize,
    /// Bytes of the things of one owner.
    pub(super) bytes_max: usize,
    /// Time that a thing may be unused.
    pub(super) idle_max: Duration,
}

/// Things of one kind.
pub(super) struct Held<T> {
    what: &'static str,
    bounds: Bounds,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<Bytes, Entry<T>>>,
}

struct Entry<T> {
    value: T,
    owner: Owner,
    bytes: usize,
    used: Duration,
}

impl<T> Held<T> {
    /// Nothing yet; `what` is the plural for messages.
    pub(super) fn new(what: &'static str, bounds: Bounds, clock: Arc<dyn Clock>) -> Self {
        Self {
            what,
            bounds,
            clock,
            entries: Mutex::default(),
        }
    }

    /// Keeps a thing for `owner`; answers its handle.
    ///
    /// # Errors
    /// 54000 beyond a limit.
    pub(super) fn insert(&self, owner: &Owner, bytes: usize, value: T) -> Result<Bytes> {
        let mut handle = [0; HANDLE_BYTES];
        getrandom::fill(&mut handle)
            .map_err(|error| Error::internal(format!("no randomness for a handle: {error}")))?;
        let handle = Bytes::copy_from_slice(&handle);
        self.sweep();
        let mut entries = self.lock();
        self.check_room(&entries, owner, None, bytes)?;
        let used = self.clock.monotonic();
        let entry = Entry {
            value,
            owner: owner.clone(),
            bytes,
            used,
        };
        entries.insert(handle.clone(), entry);
        Ok(handle)
    }

    /// Changes how many bytes a thing has, which counts as using it.
    ///
    /// # Errors
    /// As [`Held::take`]; 54000 beyond a limit.
    pub(super) fn resize(&self, handle: &[u8], bytes: usize) -> Result<()> {
        let mut entries = self.lock();
        let owner = entries.get(handle).map(|entry| entry.owner.clone());
        let owner = owner.ok_or_else(|| self.unknown())?;
        self.check_room(&entries, &owner, Some(handle), bytes)?;
        if let Some(entry) = entries.get_mut(handle) {
            entry.bytes = bytes;
            entry.used = self.clock.monotonic();
        }
        Ok(())
    }

    /// Whether a thing of these bytes fits; one that is replaced does not count.
    fn check_room(
        &self,
        entries: &HashMap<Bytes, Entry<T>>,
        owner: &Owner,
        replaced: Option<&[u8]>,
        bytes: usize,
    ) -> Result<()> {
        let others = || entries.iter().filter(|(handle, _)| replaced != Some(&***handle));
        let own = || others().filter(|(_, entry)| entry.owner == *owner);
        let (count, held): (usize, usize) = (own().count(), own().map(|(_, entry)| entry.bytes).sum());
        let Bounds {
            count_max,
            total_max,
            bytes_max,
            ..
        } = self.bounds;
        let total = others().count();
        if count < count_max && total < total_max && bytes <= bytes_max.saturating_sub(held) {
            return Ok(());
        }
        let what = self.what;
        Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("too many {what}: {count} of {count_max}, with {held} of {bytes_max} bytes"),
        )
        .with_detail(format!("All clients together have {total} of {total_max}."))
        .with_hint("Close those that are not needed any more."))
    }

    /// Takes a thing out.
    ///
    /// # Errors
    /// 26000 for a handle that is unknown, or was too long unused.
    pub(super) fn take(&self, handle: &[u8]) -> Result<T> {
        let entry = self.lock().remove(handle).filter(|entry| !self.is_expired(entry));
        entry.map(|entry| entry.value).ok_or_else(|| self.unknown())
    }

    /// Drops what an owner has.
    pub(super) fn drop_owner(&self, owner: &Owner) {
        self.drop_where(|entry| entry.owner == *owner);
    }

    /// Drops what was too long unused.
    pub(super) fn sweep(&self) {
        self.drop_where(|entry| self.is_expired(entry));
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        self.drop_where(|_| true);
    }

    fn drop_where(&self, is_over: impl Fn(&Entry<T>) -> bool) {
        let dropped: Vec<Entry<T>> = {
            let mut entries = self.lock();
            entries
                .extract_if(|_, entry| is_over(entry))
                .map(|(_, entry)| entry)
                .collect()
        };
        // Not under the lock: what is dropped may take its time.
        drop(dropped);
    }

    fn is_expired(&self, entry: &Entry<T>) -> bool {
        self.clock.monotonic().saturating_sub(entry.used) >= self.bounds.idle_max
    }

    fn unknown(&self) -> Error {
        let idle = self.bounds.idle_max;
        Error::not_found(
            SqlState::INVALID_SQL_STATEMENT_NAME,
            format!(
                "the handle is not one of the {} here: it is unknown, closed or expired",
                self.what
            ),
        )
        .with_hint(format!("What is not used for {idle:?} is dropped; begin it again."))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Entry<T>>> {
        // The map is whole after every statement above, also if a value's drop panicked.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Held<T> {
    /// The only thing of an owner, which counts as used; None if it has none or several.
    pub(super) fn only_one_of(&self, owner: &Owner) -> Option<T> {
        let mut entries = self.lock();
        let mut own = entries
            .values_mut()
            .filter(|entry| entry.owner == *owner && !self.is_expired(entry));
        let (entry, None) = (own.next()?, own.next()) else {
            return None;
        };
        entry.used = self.clock.monotonic();
        Some(entry.value.clone())
    }

    /// A thing, which counts as used.
    ///
    /// # Errors
    /// As [`Held::take`].
    pub(super) fn get(&self, handle: &[u8]) -> Result<T> {
        let mut entries = self.lock();
        let entry = entries.get_mut(handle).filter(|entry| !self.is_expired(entry));
        let entry = entry.ok_or_else(|| self.unknown())?;
        entry.used = self.clock.monotonic();
        Ok(entry.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use aion_base::clock::ManualClock;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        count_max: 2,
        total_max: 3,
        bytes_max: 100,
        idle_max: Duration::from_secs(60),
    };

    fn held() -> (Held<i32>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(0));
        (Held::new("things", BOUNDS, clock.clone()), clock)
    }

    #[test]
    fn an_owner_has_its_share() {
        let (held, _) = held();
        let (one, two) = (Owner::Connection(1), Owner::Login(Bytes::from_static(b"x")));
        assert_eq!(held.only_one_of(&one), None);
        held.insert(&one, 90, 1).expect("the first");
        assert_eq!((held.only_one_of(&one), held.only_one_of(&two)), (Some(1), None));
        let error = held.insert(&one, 11, 2).expect_err("too many bytes");
        assert_eq!(error.message(), "too many things: 1 of 2, with 90 of 100 bytes");
        let handle = held.insert(&one, 10, 2).expect("fits");
        held.insert(&one, 0, 3).expect_err("too many");
        assert_eq!(held.only_one_of(&one), None);
        held.insert(&two, 100, 4).expect("another's share");
        held.insert(&two, 0, 5).expect_err("too many in all");
        held.resize(&handle, 11).expect_err("too many bytes");
        held.resize(&handle, 5).expect("fits");
        assert_eq!(held.take(&handle).expect("there"), 2);
        held.insert(&two, 0, 5).expect("there is room again");
        held.drop_owner(&two);
        assert_eq!(held.lock().len(), 1);
    }

    #[test]
    fn what_is_not_used_expires_and_what_is_used_does_not() {
        let (held, clock) = held();
        let handle = held.insert(&Owner::Connection(1), 0, 7).expect("kept");
        for _ in 0..3 {
            clock.advance(Duration::from_secs(59));
            assert_eq!(held.get(&handle).expect("used in time"), 7);
        }
        clock.advance(Duration::from_secs(60));
        let error = held.get(&handle).expect_err("expired");
        assert_eq!(error.state(), SqlState::INVALID_SQL_STATEMENT_NAME);
        assert!(error.hint().is_some_and(|hint| hint.contains("60s")), "{error}");
        held.take(b"never there").expect_err("unknown");
    }
}
