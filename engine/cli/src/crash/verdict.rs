//! Looking at what a crash left, with the list of what was acknowledged in hand.

use std::collections::BTreeMap;
use std::path::Path;

use aion_base::{Error, Result};
use aion_storage::{Direction, Snapshot, Store, StoreOptions};

use super::rows::{self, RowRule};

/// What was found; counts of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// With both rows.
    pub found: u64,
    /// Acknowledged, and a row is not there.
    pub lost: u64,
    /// With one row only.
    pub half: u64,
    /// With a value that was never written.
    pub wrong: u64,
}

impl Verdict {
    /// Nothing is missing, half or wrong.
    pub fn is_good(&self) -> bool {
        (self.lost, self.half, self.wrong) == (0, 0, 0)
    }
}

/// Opens the store, which recovers it, and compares it with what was acknowledged.
pub fn judge(data: &Path, rule: RowRule, acknowledged: &[u64]) -> Result<Verdict> {
    let store = Store::open(data, StoreOptions::default())?;
    let verdict = compare(&*store.snapshot(), rule, acknowledged)?;
    store.close()?;
    Ok(verdict)
}

fn compare(snapshot: &dyn Snapshot, rule: RowRule, acknowledged: &[u64]) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut sides: BTreeMap<u64, [bool; 2]> = BTreeMap::new();
    for side in 0..rows::TABLES.len() {
        let mut scan = snapshot.scan(&rows::range(side), Direction::Forward);
        while scan.advance()? {
            let id = rows::id_of(scan.key())?.ok_or_else(|| Error::corrupt("a key of the test without an id"))?;
            sides.entry(id).or_default()[side] = true;
            verdict.wrong += u64::from(scan.value() != rule.value(id, side));
        }
    }
    for is_there in sides.values() {
        match is_there {
            [true, true] => verdict.found += 1,
            _ => verdict.half += 1,
        }
    }
    let is_found = |id: &u64| sides.get(id) == Some(&[true, true]);
    verdict.lost = acknowledged.iter().filter(|id| !is_found(id)).count() as u64;
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use aion_base::id::{LogIndex, TxnId};
    use aion_storage::{Change, Commit, Replicator};

    use super::*;

    #[test]
    fn each_kind_of_damage_is_seen() {
        let rule = RowRule {
            seed: 5,
            large_every: 0,
        };
        let store = Store::in_memory(&StoreOptions::default());
        let mut commit = Commit::new(TxnId(1), LogIndex(0));
        for (id, side) in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)] {
            commit.write(rows::key(id, side), Change::Insert(rule.value(id, side)));
        }
        commit.write(rows::key(4, 0), Change::Insert(b"never written".to_vec()));
        commit.write(rows::key(4, 1), Change::Insert(rule.value(4, 1)));
        store.propose(commit).expect("taken").wait().expect("answered");

        let good = Verdict {
            found: 3,
            lost: 0,
            half: 1,
            wrong: 1,
        };
        let verdict = |acknowledged: &[u64]| compare(&*store.snapshot(), rule, acknowledged).expect("readable");
        assert_eq!(verdict(&[1, 2]), good);
        assert_eq!(verdict(&[1, 3, 5]), Verdict { lost: 2, ..good });
        assert!(
            !good.is_good()
                && Verdict {
                    found: 9,
                    ..Verdict::default()
                }
                .is_good()
        );
    }
}
