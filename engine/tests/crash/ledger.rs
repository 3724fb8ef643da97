//! What was acknowledged, and what of it is there.
//!
//! Written from the description in the header of `engine/cli/src/crash/rows.rs` and sharing no code with it, so that one
//! mistake cannot hide on both sides: transaction `id` inserts a row `id` into table 2000 and one into table 2001, both with
//! values drawn from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aion_base::rng::SeededRng;
use aion_base::{Error, KeyRange, Result};
use aion_storage::{Direction, Store, StoreOptions};

/// Every 250th transaction is too large for one entry of the log.
pub const LARGE_EVERY: u64 = 250;
const LARGE_BYTES: usize = 1_300_000;

/// What must be there.
#[derive(Debug)]
pub struct Ledger {
    pub seed: u64,
    pub acknowledged: Vec<u64>,
}

/// What of it is wrong.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Damage {
    pub lost: Vec<u64>,
    pub half: Vec<u64>,
    pub wrong: Vec<u64>,
}

impl Damage {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            acknowledged: Vec::new(),
        }
    }

    /// Opens the directory, reads everything, closes it; how many transactions are whole, and what is wrong.
    pub fn check(&self, data: &Path, options: StoreOptions) -> Result<(usize, Damage)> {
        let store = Store::open(data, options)?;
        let mut sides: [BTreeSet<u64>; 2] = Default::default();
        let mut damage = Damage::default();
        let mut scan = store.snapshot().scan(&KeyRange::ALL, Direction::Forward);
        while scan.advance()? {
            let (side, id) = address(scan.key()).ok_or_else(|| Error::corrupt("a key that nobody wrote"))?;
            sides[side].insert(id);
            if scan.value() != value(self.seed, id, side) {
                damage.wrong.push(id);
            }
        }
        drop(scan);
        store.close()?;
        let [left, right] = &sides;
        damage.half = left.symmetric_difference(right).copied().collect();
        let whole: BTreeSet<u64> = left.intersection(right).copied().collect();
        let acknowledged: BTreeMap<u64, usize> = self.acknowledged.iter().copied().zip(0..).collect();
        assert_eq!(
            acknowledged.len(),
            self.acknowledged.len(),
            "an id was acknowledged twice"
        );
        damage.lost = acknowledged.into_keys().filter(|id| !whole.contains(id)).collect();
        Ok((whole.len(), damage))
    }
}

/// Table u32 BE, index u16 BE, tag 01, i64 BE with the sign bit flipped.
fn address(key: &[u8]) -> Option<(usize, u64)> {
    let (head, id) = key.split_at_checked(7)?;
    let side = match head {
        [0, 0, 0x07, 0xD0, 0, 0, 1] => 0,
        [0, 0, 0x07, 0xD1, 0, 0, 1] => 1,
        _ => return None,
    };
    Some((side, u64::from_be_bytes(id.try_into().ok()?) ^ 1 << 63))
}

fn value(seed: u64, id: u64, side: usize) -> Vec<u8> {
    let mut rng = SeededRng::new(seed ^ (2 * id + side as u64));
    let small = 16 + rng.below(480) as usize;
    let length = if id.is_multiple_of(LARGE_EVERY) {
        LARGE_BYTES
    } else {
        small
    };
    let words = (0..length.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes());
    words.take(length).collect()
}

#[test]
fn what_is_missing_half_or_wrong_is_seen() {
    use aion_base::id::{LogIndex, TxnId};
    use aion_storage::{Change, Commit, Replicator};

    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), StoreOptions::default()).expect("opens");
    let mut commit = Commit::new(TxnId(1), LogIndex(0));
    let key = |id: u64, side: u8| [&[0, 0, 0x07, 0xD0 + side, 0, 0, 1], &(id ^ 1 << 63).to_be_bytes()[..]].concat();
    for (id, side) in [(1, 0), (1, 1), (2, 0), (3, 0), (3, 1)] {
        let value = if id == 3 { vec![0] } else { value(9, id, side.into()) };
        commit.write(key(id, side), Change::Insert(value));
    }
    store.propose(commit).expect("taken").wait().expect("answered");
    store.close().expect("closes");
    let mut ledger = Ledger::new(9);
    ledger.acknowledged = vec![1, 4];
    let (whole, damage) = ledger.check(dir.path(), StoreOptions::default()).expect("readable");
    let wanted = Damage {
        lost: vec![4],
        half: vec![2],
        wrong: vec![3, 3],
    };
    assert_eq!((whole, damage), (2, wanted));
}
