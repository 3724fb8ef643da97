//! Snapshots that end when they are too old.
//!
//! A snapshot keeps every version that it sees, on disk or in memory. One that is forgotten, by a client that went away in the middle of a
//! transaction, keeps more and more of them. So there is a limit: a snapshot beyond it answers no more (72000), and lets go of what it kept.
//!
//! **How.** The age is looked at whenever a key is read, and now and then in a scan. Those that nobody reads through are found by whoever takes
//! another one: without anybody there is nothing that could pile up. A scan that has begun keeps its versions until it is moved or dropped.
//!
//! While there is no limit a snapshot is handed out as it is, and costs nothing more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aion_base::clock::Clock;
use aion_base::id::Timestamp;
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use parking_lot::{Mutex, RwLock};

use super::Store;
use crate::rows::{Direction, ReadPoint, Rows, Scan, Snapshot, Version};

/// Keys of a scan between two looks at the age.
const STEPS: u32 = 256;
/// Snapshots that are remembered before those that are gone are forgotten.
const REMEMBERED: usize = 1024;

/// The limit, and the snapshots that it is for.
#[derive(Debug)]
pub(super) struct Ages {
    clock: Arc<dyn Clock>,
    /// Microseconds; 0 is no limit.
    max: AtomicU64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The oldest first.
    snapshots: VecDeque<(Duration, Weak<Aging>)>,
    /// At so many the dead are counted out.
    full: usize,
}

impl Ages {
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            max: AtomicU64::new(0),
            taken: Mutex::default(),
        })
    }

    fn max(&self) -> Option<Duration> {
        match self.max.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// The snapshot, which ends when it is too old.
    pub fn bounded(self: &Arc<Self>, snapshot: Arc<dyn Snapshot>) -> Arc<dyn Snapshot> {
        let Some(max) = self.max() else {
            return snapshot;
        };
        let now = self.clock.monotonic();
        let aging = Arc::new(Aging {
            ages: self.clone(),
            taken: now,
            snapshot: RwLock::new(Some(snapshot)),
        });
        let mut taken = self.taken.lock();
        while let Some((at, snapshot)) = taken.snapshots.front() {
            let is_over = now.saturating_sub(*at) > max;
            match snapshot.upgrade() {
                Some(snapshot) if is_over => snapshot.let_go(),
                Some(_) => break,
                None => {}
            }
            taken.snapshots.pop_front();
        }
        if taken.snapshots.len() >= taken.full.max(REMEMBERED) {
            taken.snapshots.retain(|(_, snapshot)| snapshot.strong_count() > 0);
            taken.full = taken.snapshots.len() * 2;
        }
        taken.snapshots.push_back((now, Arc::downgrade(&aging)));
        aging
    }

    fn check(&self, taken: Duration) -> Result<()> {
        match self.max() {
            Some(max) if self.clock.monotonic().saturating_sub(taken) > max => Err(too_old(max)),
            _ => Ok(()),
        }
    }
}

fn too_old(max: Duration) -> Error {
    Error::unavailable(
        SqlState::SNAPSHOT_TOO_OLD,
        format!("snapshot too old: it was taken more than {max:?} ago"),
    )
    .with_hint("Run the transaction again. The setting snapshot_age_max says how old a snapshot may grow.")
}

/// A snapshot with an age.
struct Aging {
    ages: Arc<Ages>,
    taken: Duration,
    /// None once it was too old.
    snapshot: RwLock<Option<Arc<dyn Snapshot>>>,
}

impl std::fmt::Debug for Aging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aging({:?})", self.snapshot.read())
    }
}

impl Aging {
    fn let_go(&self) {
        *self.snapshot.write() = None;
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.ages.check(self.taken).inspect_err(|_| self.let_go())?;
        let snapshot = self.snapshot.read().clone();
        // The limit was lower for a while.
        snapshot.ok_or_else(|| too_old(self.ages.max().unwrap_or_default()))
    }
}

impl Snapshot for Aging {
    fn read_point(&self) -> Result<ReadPoint> {
        self.snapshot()?.read_point()
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<Option<Timestamp>> {
        self.snapshot()?.get(key, value)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Version>>> {
        self.snapshot()?.multi_get(keys)
    }

    fn check(&self) -> Result<()> {
        self.snapshot().map(|_| ())
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Scan> {
        let snapshot = self.snapshot();
        Box::new(AgingScan {
            ages: self.ages.clone(),
            taken: self.taken,
            scan: snapshot.map(|snapshot| snapshot.scan(range, direction)).map_err(Some),
            steps: 0,
        })
    }
}

/// A scan of a snapshot with an age.
struct AgingScan {
    ages: Arc<Ages>,
    taken: Duration,
    /// The error is given once: nobody goes on after it.
    scan: Result<Box<dyn Scan>, Option<Error>>,
    steps: u32,
}

impl Scan for AgingScan {
    fn advance(&mut self) -> Result<bool> {
        if self.steps.is_multiple_of(STEPS)
            && let Err(error) = self.ages.check(self.taken)
        {
            self.scan = Err(Some(error));
        }
        self.steps = self.steps.wrapping_add(1);
        match &mut self.scan {
            Ok(scan) => scan.advance(),
            Err(error) => Err(error
                .take()
                .unwrap_or_else(|| too_old(self.ages.max().unwrap_or_default()))),
        }
    }

    fn key(&self) -> &[u8] {
        self.scan.as_ref().map_or(&[], |scan| scan.key())
    }

    fn value(&self) -> &[u8] {
        self.scan.as_ref().map_or(&[], |scan| scan.value())
    }

    fn timestamp(&self) -> Timestamp {
        self.scan.as_ref().map_or(Timestamp(0), |scan| scan.timestamp())
    }
}

impl Store {
    /// How old a snapshot of [`Store::bounded_snapshot`] may grow that is taken from now on; None for as old as it likes.
    pub fn set_snapshot_age_max(&self, max: Option<Duration>) {
        let micros = max.map_or(0, |max| u64::try_from(max.as_micros()).unwrap_or(u64::MAX));
        self.ages.max.store(micros, Ordering::Relaxed);
    }

    /// As [`Store::snapshot`], for who may forget it: reading through it ends with 72000 when it is too old.
    pub fn bounded_snapshot(&self) -> Arc<dyn Snapshot> {
        self.ages.bounded(self.rows.snapshot())
    }
}

#[cfg(test)]
mod tests {
    use aion_base::clock::ManualClock;

    use super::*;
    use crate::store::StoreOptions;
    use crate::store::tests::{begin, commit, reason};

    fn store() -> (Store, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_000));
        let options = StoreOptions {
            clock: clock.clone(),
            ..StoreOptions::default()
        };
        let store = Store::in_memory(&options);
        let mut first = begin(&store, 1);
        for key in 0..1_000_u32 {
            first.write(key.to_be_bytes(), crate::Change::Put(vec![1]));
        }
        assert_eq!(reason(&commit(&store, first)), None);
        (store, clock)
    }

    #[test]
    fn an_old_snapshot_answers_no_more_and_keeps_nothing() {
        let (store, clock) = store();
        let unbounded = store.bounded_snapshot();
        store.set_snapshot_age_max(Some(Duration::from_secs(10)));
        let snapshot = store.bounded_snapshot();
        let key = 7_u32.to_be_bytes();
        let mut value = Vec::new();
        let mut scan = snapshot.scan(&KeyRange::ALL, Direction::Forward);
        assert!(scan.advance().expect("young"));
        clock.advance(Duration::from_secs(10));
        assert!(snapshot.get(&key, &mut value).expect("just young enough").is_some());
        clock.advance(Duration::from_secs(1));
        let error = snapshot.get(&key, &mut value).expect_err("too old");
        assert_eq!(error.state(), SqlState::SNAPSHOT_TOO_OLD);
        let mut steps = 0;
        let error = loop {
            match scan.advance() {
                Ok(more) => assert!(more, "it ended after {steps}"),
                Err(error) => break error,
            }
            steps += 1;
        };
        assert_eq!(error.state(), SqlState::SNAPSHOT_TOO_OLD);
        assert!(steps < 300, "{steps}");
        assert!(scan.advance().is_err() && snapshot.multi_get(&[&key]).is_err());
        assert!(unbounded.get(&key, &mut value).expect("it has no limit").is_some());
    }

    /// Nobody reads through it: the next one that is taken lets it go.
    #[test]
    fn a_forgotten_snapshot_is_let_go_by_others() {
        let (store, clock) = store();
        store.set_snapshot_age_max(Some(Duration::from_secs(10)));
        let inner = store.snapshot();
        let forgotten = store.ages.bounded(inner.clone());
        let young = || Arc::strong_count(&inner);
        assert_eq!(young(), 2);
        for _ in 0..5_000 {
            drop(store.bounded_snapshot());
        }
        assert!(store.ages.taken.lock().snapshots.len() <= REMEMBERED + 1);
        clock.advance(Duration::from_secs(11));
        drop(store.bounded_snapshot());
        assert_eq!(young(), 1, "it keeps nothing any more");
        assert!(forgotten.read_point().is_err());
    }
}
