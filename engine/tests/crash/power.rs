//! Four writers of two-row transactions against kills and power cuts: nothing acknowledged is lost, nothing is half there.
//!
//! All rounds of a test go to one directory. Some rounds kill while the store is still opening; some are not looked at, so
//! that the next writer, not the checker, is the one who recovers, and may be killed doing it. Nothing is ever deleted,
//! so what one round lost is missed at the next look, at the latest at the last.

use std::path::Path;
use std::time::Duration;

use aion_base::rng::SeededRng;

use super::child::{Disk, Writer, small_options};
use super::ledger::Ledger;
use crate::program::{at_length, seed};

/// The ids of each round begin a million further, so that no round knows those of another.
const IDS_PER_ROUND: u64 = 1_000_000;

/// The acceptance: 500 kills and 500 power cuts.
const ROUNDS_FULL: usize = 500;
const ACKNOWLEDGED_FULL: usize = 5_000;
const ROUNDS_SLICE: usize = 6;
const ACKNOWLEDGED_SLICE: usize = 500;
/// Some segments of the log.
const MISSED_WITHIN: usize = 600;

struct Hunt {
    data: tempfile::TempDir,
    disk: Disk,
    rng: SeededRng,
    ledger: Ledger,
    round: u64,
}

impl Hunt {
    fn new(disk: Disk) -> Self {
        let seed = seed();
        Self {
            data: tempfile::tempdir().expect("a directory"),
            disk,
            rng: SeededRng::new(seed ^ disk as u64),
            ledger: Ledger::new(seed),
            round: 0,
        }
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    fn start(&mut self) -> Writer {
        self.round += 1;
        let first_id = self.round * IDS_PER_ROUND;
        Writer::start(self.path(), self.ledger.seed, first_id, self.disk, None)
    }

    /// One crash.
    fn crash(&mut self) {
        let mut writer = self.start();
        if self.rng.chance(1, 8) {
            writer.listen_for(Duration::from_micros(self.rng.below(60_000)));
        } else {
            let count = 20 + self.rng.below(240) as usize;
            assert!(
                writer.listen_to(count),
                "round {}: the writer ended by itself or is stuck; its message stands above",
                self.round
            );
            writer.listen_for(Duration::from_micros(self.rng.below(10_000)));
        }
        self.ledger.acknowledged.extend(writer.kill());
    }

    /// Fails with the directory kept if anything is missing, half there or wrong; how many transactions are there.
    fn look(&self) -> usize {
        let checked = self.ledger.check(self.path(), small_options());
        match checked {
            Ok((whole, damage)) if damage.is_none() => whole,
            bad => {
                let kept = std::env::temp_dir().join(format!("aion-lost-{}-{}", self.ledger.seed, self.round));
                super::directory::copy(self.path(), &kept);
                panic!(
                    "round {}: {bad:?}; the directory is kept as {}",
                    self.round,
                    kept.display()
                );
            }
        }
    }
}

fn nothing_acknowledged_is_lost(disk: Disk) {
    let rounds = at_length(ROUNDS_SLICE, ROUNDS_FULL) as u64;
    let acknowledged = at_length(ACKNOWLEDGED_SLICE, ACKNOWLEDGED_FULL);
    let mut hunt = Hunt::new(disk);
    while hunt.round < rounds || hunt.ledger.acknowledged.len() < acknowledged {
        hunt.crash();
        if hunt.round.is_multiple_of(50) {
            println!("{disk:?}: {} crashes of {rounds}", hunt.round);
        }
        if hunt.rng.chance(2, 3) {
            hunt.look();
        }
    }
    let whole = hunt.look();
    println!(
        "{disk:?}: {} crashes, {} acknowledged, {whole} found, 0 lost, 0 half",
        hunt.round,
        hunt.ledger.acknowledged.len()
    );
}

#[test]
fn kills_lose_nothing_that_was_acknowledged() {
    nothing_acknowledged_is_lost(Disk::Kernel);
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    nothing_acknowledged_is_lost(Disk::PowerCut);
}

/// A test that cannot fail proves nothing: with syncs that do nothing, a few power cuts must lose something, and the
/// same check must see it: as rows that are gone, or as a store that does not open.
#[test]
fn power_cuts_are_noticed_when_syncs_do_nothing() {
    something_is_missed(Disk::PowerCutWithoutSync);
}

/// Nor is it blind to a log that is given up while the rows still need it.
#[test]
fn kills_are_noticed_when_the_log_is_purged_early() {
    if cfg!(debug_assertions) {
        something_is_missed(Disk::PurgedEarly);
    } else {
        println!("not run: nothing can be planted in a release");
    }
}

fn something_is_missed(disk: Disk) {
    let mut hunt = Hunt::new(disk);
    // A directory that began well: without it the first segment would not even get its header.
    let mut writer = Writer::start(hunt.path(), hunt.ledger.seed, 1, Disk::Kernel, Some(10));
    writer.listen_until_done();
    hunt.ledger.acknowledged.extend(writer.close());
    for _ in 0..8 {
        let mut writer = hunt.start();
        if !writer.listen_to(MISSED_WITHIN) {
            println!(
                "round {}: the next writer refused to open: {:?}",
                hunt.round,
                writer.exit_code()
            );
            return;
        }
        hunt.ledger.acknowledged.extend(writer.kill());
        match hunt.ledger.check(hunt.path(), small_options()) {
            Ok((_, damage)) if damage.is_none() => {}
            Ok((_, damage)) => {
                println!("round {}: {} lost", hunt.round, damage.lost.len());
                return;
            }
            Err(error) => {
                println!("round {}: {error}", hunt.round);
                return;
            }
        }
    }
    panic!(
        "{disk:?}: {} rounds, and nothing was missed: the test is blind",
        hunt.round
    );
}
