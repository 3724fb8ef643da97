//! How recommendations, evidence, decisions and the settings of the pipeline lie in the data.
//!
//! ```text
//! table 2 | index 0 | id i64   -> version u8 (1) | Recommendation as JSON
//! table 2 | index 1 | id i64   -> version u8 (1) | Grounds as JSON
//! table 2 | index 2 | seq i64  -> version u8 (1) | ledger Entry as JSON
//! table 2 | index 3 | 0   i64  -> version u8 (1) | Settings as JSON
//! ```
//!
//! A move is one commit: the recommendation, its decision, and the evidence where it rests on some. The hash of the evidence in a
//! decision is that of its JSON as it lies here.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use aion_base::id::{IndexId, LogIndex, TableId, TxnId};
use aion_base::key::{ColumnOrder, KeyWriter};
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState, rng};
use aion_shadow::ledger::{self, Decision, Entry};
use aion_shadow::recommendation::{Grounds, Recommendation};
use aion_shadow::state::{Kind, Mode, State};
use aion_storage::{Change, Commit, Direction, Outcome, Replicator, Snapshot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Kept, Pipeline, RECOMMENDATIONS_MAX};

/// The table id under which all of it lies.
const LEARNED_TABLE: TableId = TableId(2);
const RECOMMENDATIONS: IndexId = IndexId(0);
const PROOFS: IndexId = IndexId(1);
const DECISIONS: IndexId = IndexId(2);
const SETTINGS: IndexId = IndexId(3);
/// What a value begins with.
const VERSION: u8 = 1;

/// Settings of the database for its learned parts; None is the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What may be done.
    pub ai_mode: Option<Mode>,
    /// The kinds that mode auto changes without asking.
    #[serde(default)]
    pub auto_kinds: Option<Vec<Kind>>,
    /// The knobs that a person set, by name.
    #[serde(default)]
    pub knobs: BTreeMap<String, i64>,
    /// The knobs that recommendations set, by name.
    #[serde(default)]
    pub tuned: BTreeMap<String, Tuned>,
    /// Settings of its sessions, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sessions: BTreeMap<String, String>,
}

/// A knob that a recommendation set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// Its value.
    pub value: i64,
    /// Which recommendation.
    pub recommendation: u64,
}

fn key(index: IndexId, id: u64) -> Vec<u8> {
    let mut key = Vec::new();
    // Ids count from 1: beyond i64 there are none.
    let id = i64::try_from(id).unwrap_or(i64::MAX);
    KeyWriter::new(&mut key)
        .table(LEARNED_TABLE, index)
        .i64(id, ColumnOrder::ASC);
    key
}

fn value(stored: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, stored)
        .map_err(|error| Error::internal(format!("a recommendation cannot be written: {error}")))?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json)
            .map_err(|error| Error::corrupt(format!("{what} of the learned parts cannot be read: {error}"))),
        Some((version, _)) => Err(Error::unsupported(format!(
            "{what} of the learned parts has format {version}; this program reads {VERSION}"
        ))
        .with_hint("Open the database with the program that wrote it, or a newer one.")),
        None => Err(Error::corrupt(format!("{what} of the learned parts is empty"))),
    }
}

fn each<T: DeserializeOwned>(snapshot: &dyn Snapshot, what: &str, index: IndexId) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut scan = snapshot.scan(&KeyRange::index(LEARNED_TABLE, index), Direction::Forward);
    while scan.advance()? {
        all.push(decode(what, scan.value())?);
    }
    Ok(all)
}

/// All that is kept in memory.
///
/// # Errors
/// Corrupt where it cannot be read, 0A000 for a newer format.
pub fn read(snapshot: &dyn Snapshot) -> Result<Kept> {
    let recommendations: Vec<Recommendation> = each(snapshot, "a recommendation", RECOMMENDATIONS)?;
    let settings: Vec<Settings> = each(snapshot, "a setting", SETTINGS)?;
    let mut last: Option<Entry> = None;
    let mut scan = snapshot.scan(&KeyRange::index(LEARNED_TABLE, DECISIONS), Direction::Backward);
    if scan.advance()? {
        last = Some(decode("a decision", scan.value())?);
    }
    drop(scan);
    let next_id = recommendations.iter().map(|one| one.id).max();
    // Those that were removed have had their ids, too.
    let decided = last.as_ref().map(|last| last.decision.recommendation_id);
    Ok(Kept {
        next_id: next_id.max(decided).map_or(1, |id| id + 1),
        recommendations: recommendations.into_iter().map(|one| (one.id, one)).collect(),
        last,
        settings: settings.into_iter().next().unwrap_or_default(),
    })
}

/// All decisions, by their sequence.
///
/// # Errors
/// As [`read`].
pub fn entries(snapshot: &dyn Snapshot) -> Result<Vec<Entry>> {
    each(snapshot, "a decision", DECISIONS)
}

/// The evidence of a recommendation as JSON.
///
/// # Errors
/// As [`read`].
pub fn evidence(snapshot: &dyn Snapshot, id: u64) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    if snapshot.get(&key(PROOFS, id), &mut bytes)?.is_none() {
        return Ok(None);
    }
    let json: &[u8] = bytes.get(1..).unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(json).into_owned()))
}

/// The evidence of a recommendation, and its hash.
///
/// # Errors
/// As [`read`].
pub fn proof(snapshot: &dyn Snapshot, id: u64) -> Result<Option<(Grounds, String)>> {
    let mut bytes = Vec::new();
    if snapshot.get(&key(PROOFS, id), &mut bytes)?.is_none() {
        return Ok(None);
    }
    let proof = decode("the evidence", &bytes)?;
    Ok(Some((proof, ledger::sha256(bytes.get(1..).unwrap_or_default()))))
}

impl Pipeline {
    /// Writes a recommendation that moved, with its decision.
    pub(super) fn write(
        &self,
        kept: &mut Kept,
        moved: Recommendation,
        from: Option<State>,
        proof: Option<&Grounds>,
    ) -> Result<()> {
        let read_point = self.store.snapshot().read_point()?.index;
        let proof = proof.map(value).transpose()?;
        let decision = Decision {
            at: moved.decided_at,
            recommendation_id: moved.id,
            from_state: from,
            to_state: moved.state,
            actor: moved.decided_by.clone(),
            reason: moved.state_reason.clone(),
            log_index: read_point.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: moved.measured.as_ref().map_or(0, |measured| measured.seed),
            evidence_sha256: proof.as_ref().map(|proof| ledger::sha256(&proof[1..])),
        };
        let entry = Entry::following(kept.last.as_ref(), decision);
        let mut commit = self.commit(read_point);
        commit.write(key(RECOMMENDATIONS, moved.id), Change::Put(value(&moved)?));
        commit.write(key(DECISIONS, entry.seq), Change::Insert(value(&entry)?));
        if let Some(proof) = proof {
            commit.write(key(PROOFS, moved.id), Change::Put(proof));
        }
        let removed = (!kept.recommendations.contains_key(&moved.id))
            .then(|| oldest_ended(kept))
            .flatten();
        if let Some(id) = removed {
            commit.write(key(RECOMMENDATIONS, id), Change::Delete);
            commit.write(key(PROOFS, id), Change::Delete);
        }
        self.propose(commit)?;
        if let Some(id) = removed {
            kept.recommendations.remove(&id);
        }
        kept.next_id = kept.next_id.max(moved.id + 1);
        kept.recommendations.insert(moved.id, moved);
        kept.last = Some(entry);
        Ok(())
    }

    /// Writes a recommendation whose state stayed.
    pub(super) fn rewrite(&self, kept: &mut Kept, changed: Recommendation) -> Result<()> {
        let mut commit = self.commit(self.store.snapshot().read_point()?.index);
        commit.write(key(RECOMMENDATIONS, changed.id), Change::Put(value(&changed)?));
        self.propose(commit)?;
        kept.recommendations.insert(changed.id, changed);
        Ok(())
    }

    /// Writes the settings.
    pub(super) fn write_settings(&self, kept: &mut Kept, settings: Settings) -> Result<()> {
        let mut commit = self.commit(self.store.snapshot().read_point()?.index);
        commit.write(key(SETTINGS, 0), Change::Put(value(&settings)?));
        self.propose(commit)?;
        kept.settings = settings;
        Ok(())
    }

    fn commit(&self, read_point: LogIndex) -> Commit {
        let mut commit = Commit::new(TxnId(rng::SeededRng::from_entropy().next_u128()), read_point);
        // Nobody else writes here; should that ever change, it is noticed.
        commit.read_ranges.push(KeyRange::table(LEARNED_TABLE));
        commit
    }

    fn propose(&self, commit: Commit) -> Result<()> {
        match self.store.propose(commit)?.wait()? {
            Outcome::Committed { .. } => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Outcome::Rejected(rejection) => Err(Error::from(rejection)),
        }
    }
}

/// The recommendation that makes room for another one, where that is needed.
fn oldest_ended(kept: &Kept) -> Option<u64> {
    if kept.recommendations.len() < RECOMMENDATIONS_MAX {
        return None;
    }
    let mut ended = kept
        .recommendations
        .values()
        .filter(|one| one.state.is_end() && !one.undo_is_due);
    ended.next().map(|one| one.id)
}

/// Refuses one more where none that ended can go.
///
/// # Errors
/// 54000.
pub fn check_room(kept: &Kept) -> Result<()> {
    if kept.recommendations.len() < RECOMMENDATIONS_MAX || oldest_ended(kept).is_some() {
        return Ok(());
    }
    Err(Error::exhausted(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("there are {RECOMMENDATIONS_MAX} recommendations, and none of them has ended"),
    )
    .with_hint("Dismiss some of them: SELECT aion.dismiss(id, 'reason')."))
}
