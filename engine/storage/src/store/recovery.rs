//! Opening a store: from rows and a log to where the last process was.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aion_base::id::{LogIndex, Timestamp};
use aion_base::{Error, Result};

use super::{GROUP_BYTES_MAX, StoreCounters};
use crate::apply::{Applier, Rebuild, Stages, Unit};
use crate::entry::{self, Body};
use crate::log::Log;
use crate::rows::{Applied, Rows};

/// What the store goes on with.
pub struct Opened {
    pub applier: Applier,
    pub stages: Stages,
    pub last_timestamp: Timestamp,
}

/// Refuses rows and a log between which entries are missing.
pub fn check_ends(path: &Path, applied: Applied, log: &Log) -> Result<()> {
    if log.first_index() > applied.index.next() {
        return Err(Error::corrupt(format!(
            "in {} the log begins with entry {}, and the rows hold only what is up to entry {}: files of the rows are missing or damaged",
            path.display(),
            log.first_index(),
            applied.index
        ))
        .with_hint("Restore the data directory from a backup; nothing was changed."));
    }
    if log.last_index() < applied.index {
        return Err(Error::corrupt(format!(
            "in {} the log ends with entry {}, and the rows hold the effect of entry {}: files of the log are missing",
            path.display(),
            log.last_index(),
            applied.index
        ))
        .with_hint("Restore the log from a backup; nothing was changed."));
    }
    Ok(())
}

/// Rebuilds the window from the entries whose effect is in the rows, and applies the rest.
pub fn recover(
    path: &Path,
    rows: &Arc<dyn Rows>,
    log: &Log,
    window_bytes: u64,
    counters: &StoreCounters,
) -> Result<Opened> {
    let applied = rows.durable_applied()?;
    check_ends(path, applied, log)?;
    let mut stages = Stages::default();
    let mut last_timestamp = applied.timestamp;
    let before = LogIndex(log.first_index().0 - 1);
    let mut rebuild = Some(Rebuild::new(window_bytes, before, rows.notes()?));
    let mut applier = None;
    let finish = |rebuild: &mut Option<Rebuild>| {
        let (window, noted) = rebuild.take().expect("finished once").finish();
        Applier::new(rows.clone(), window, applied, noted)
    };
    let mut pending = Pending::default();
    log.replay(log.first_index(), |entry| {
        let decoded = entry::decode(entry.payload)?;
        last_timestamp = last_timestamp.max(decoded.timestamp);
        if entry.index > applied.index {
            let applier = applier.get_or_insert_with(|| finish(&mut rebuild));
            counters.replayed.fetch_add(1, Ordering::Relaxed);
            match decoded.body {
                Body::Stage { txn, .. } => {
                    pending.apply(applier)?;
                    applier.remember_stage(entry.index, entry.payload.len());
                    stages.add(txn, entry.index, entry.position);
                }
                Body::Commit {
                    header: entry::Header { txn, .. },
                    ..
                }
                | Body::Discard { txn } => {
                    let mut entries = Vec::new();
                    for position in stages.take(txn, entry.index) {
                        entries.push(log.read(position)?);
                    }
                    entries.push(entry.payload.to_vec());
                    pending.push(Unit {
                        index: entry.index,
                        term: entry.term,
                        entries,
                        new_stages: 0,
                    });
                    if pending.bytes > GROUP_BYTES_MAX {
                        pending.apply(applier)?;
                    }
                }
            }
            return Ok(());
        }
        match decoded.body {
            Body::Stage { txn, .. } => stages.add(txn, entry.index, entry.position),
            Body::Commit {
                header: entry::Header { txn, .. },
                ..
            }
            | Body::Discard { txn } => {
                stages.take(txn, entry.index);
            }
        }
        match &mut rebuild {
            Some(rebuild) => rebuild.remember(entry.index, entry.payload),
            None => Err(Error::internal("an entry was replayed out of order")),
        }
    })?;
    let mut applier = applier.unwrap_or_else(|| finish(&mut rebuild));
    pending.apply(&mut applier)?;
    Ok(Opened {
        applier,
        stages,
        last_timestamp,
    })
}

/// Units that are applied together.
#[derive(Default)]
struct Pending {
    units: Vec<Unit>,
    bytes: usize,
}

impl Pending {
    fn push(&mut self, unit: Unit) {
        self.bytes += unit.entries.iter().map(Vec::len).sum::<usize>();
        self.units.push(unit);
    }

    fn apply(&mut self, applier: &mut Applier) -> Result<()> {
        if !self.units.is_empty() {
            applier.apply(&self.units)?;
            self.units.clear();
            self.bytes = 0;
        }
        Ok(())
    }
}
