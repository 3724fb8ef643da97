//! The ledger: every decision in order, chained by hashes.
//!
//! **Format.** The hash of an entry is the SHA-256, as 64 lower-case hexadecimal digits, of one line of JSON without spaces, in
//! UTF-8 without a newline:
//!
//! ```text
//! [seq,at,recommendation_id,from_state,to_state,actor,reason,log_index,version,seed,evidence_sha256,prev_hash]
//! ```
//!
//! `seq` counts from 1 without gaps; `at` is in microseconds since 1970 in UTC; `from_state` is null for the first decision on a
//! recommendation; `evidence_sha256` is null where a decision rests on no evidence; `prev_hash` is the hash of the entry before,
//! and 64 zeros for the first. Python's `json.dumps(fields, separators=(",", ":"), ensure_ascii=False)` writes the same line.
//!
//! **Guarantee.** [`verify`] finds the first entry that was edited, inserted, moved or taken out from between others. Entries cut off
//! at the end are found only by who kept the last hash: that is what it is shown for.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::state::State;

/// The `prev_hash` of the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What is decided, before it stands in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Microseconds since 1970, UTC.
    pub at: i64,
    /// What is decided on.
    pub recommendation_id: u64,
    /// None for the first decision on it.
    pub from_state: Option<State>,
    /// Where it stands now.
    pub to_state: State,
    /// A role, or `pipeline`.
    pub actor: String,
    /// Why, for people.
    pub reason: String,
    /// The last entry of the log that the decision could see.
    pub log_index: u64,
    /// The version of the program that decided.
    pub version: String,
    /// Of the draws behind the verdict.
    pub seed: u64,
    /// The hash of the evidence as it is stored.
    pub evidence_sha256: Option<String>,
}

/// A decision in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1.
    pub seq: u64,
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
    /// The hash of the entry before.
    pub prev_hash: String,
    /// Of all the above.
    pub hash: String,
}

/// The first entry that does not belong where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What its `seq` says.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decision {}: {}", self.seq, self.what)
    }
}

impl Entry {
    /// The entry that follows `last`, or the first.
    pub fn following(last: Option<&Self>, decision: Decision) -> Self {
        let seq = last.map_or(1, |last| last.seq + 1);
        let prev_hash = last.map_or(GENESIS, |last| &last.hash).to_owned();
        let hash = hash(seq, &decision, &prev_hash);
        Self {
            seq,
            decision,
            prev_hash,
            hash,
        }
    }
}

fn hash(seq: u64, decision: &Decision, prev_hash: &str) -> String {
    let line = serde_json::json!([
        seq,
        decision.at,
        decision.recommendation_id,
        decision.from_state.map(State::name),
        decision.to_state.name(),
        decision.actor,
        decision.reason,
        decision.log_index,
        decision.version,
        decision.seed,
        decision.evidence_sha256,
        prev_hash,
    ]);
    hex(&Sha256::digest(line.to_string()))
}

/// The SHA-256 of what is stored as evidence, as it stands in a decision.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
    }
    text
}

/// Checks a chain from its first entry.
///
/// # Errors
/// The first entry that does not belong.
pub fn verify<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<(), Broken> {
    let mut last: Option<&Entry> = None;
    for entry in entries {
        let broken = |what: String| Err(Broken { seq: entry.seq, what });
        let expected = last.map_or(1, |last| last.seq + 1);
        if entry.seq != expected {
            return broken(format!("decision {expected} is missing before it"));
        }
        if entry.prev_hash != last.map_or(GENESIS, |last| &last.hash) {
            return broken("it does not follow the decision before it".to_owned());
        }
        if entry.hash != hash(entry.seq, &entry.decision, &entry.prev_hash) {
            return broken("its fields are not those that it was made with".to_owned());
        }
        last = Some(entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(id: u64, to_state: State) -> Decision {
        Decision {
            at: 1_796_000_000_000_000 + id as i64,
            recommendation_id: id,
            from_state: (to_state != State::Proposed).then_some(State::Proposed),
            to_state,
            actor: "pipeline".to_owned(),
            reason: "a \"reason\" with\tsigns: \u{1}, ü, 数".to_owned(),
            log_index: 42,
            version: "0.1.0".to_owned(),
            seed: u64::MAX,
            evidence_sha256: None,
        }
    }

    fn chain(count: u64) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for id in 1..=count {
            let state = if id % 2 == 0 {
                State::Rehearsing
            } else {
                State::Proposed
            };
            let entry = Entry::following(entries.last(), decision(id, state));
            entries.push(entry);
        }
        entries
    }

    /// The format is read by others: the line below was hashed by Python's hashlib over json.dumps.
    #[test]
    fn the_first_hash_is_the_one_that_python_computes() {
        let entries = chain(1);
        assert_eq!(
            entries[0].hash,
            "174dfe48768dbfac765c780a0d22f86c912b2d662a9d2f64864f6c5425a24141"
        );
        assert_eq!(verify(&entries), Ok(()));
    }

    #[test]
    fn every_edit_is_found_where_it_was_made() {
        let entries = chain(9);
        assert_eq!(verify(&entries), Ok(()));
        type Edit = (&'static str, fn(&mut Entry));
        let edits: [Edit; 9] = [
            ("at", |entry| entry.decision.at += 1),
            ("recommendation", |entry| entry.decision.recommendation_id += 1),
            ("from", |entry| entry.decision.from_state = Some(State::Kept)),
            ("to", |entry| entry.decision.to_state = State::Ready),
            ("actor", |entry| entry.decision.actor.push('x')),
            ("reason", |entry| entry.decision.reason.clear()),
            ("version", |entry| entry.decision.version.push('1')),
            ("seed", |entry| entry.decision.seed = 1),
            ("evidence", |entry| {
                entry.decision.evidence_sha256 = Some(GENESIS.to_owned())
            }),
        ];
        for (name, edit) in edits {
            for at in 0..entries.len() {
                let mut edited = entries.clone();
                edit(&mut edited[at]);
                let found = verify(&edited).expect_err(name);
                assert_eq!(found.seq, at as u64 + 1, "{name}");
                // Hashed again, it breaks the one after it.
                edited[at].hash = hash(edited[at].seq, &edited[at].decision, &edited[at].prev_hash);
                let found = verify(&edited).err().map(|broken| broken.seq);
                let after = (at + 1 < entries.len()).then_some(at as u64 + 2);
                assert_eq!(found, after, "{name}");
            }
        }
    }

    #[test]
    fn what_is_taken_out_moved_or_put_in_is_found() {
        let entries = chain(5);
        for at in 0..4 {
            let mut less = entries.clone();
            less.remove(at);
            assert_eq!(verify(&less).expect_err("one is gone").seq, at as u64 + 2);
            let mut moved = entries.clone();
            moved.swap(at, at + 1);
            assert!(verify(&moved).is_err());
            let mut more = entries.clone();
            more.insert(at, entries[at].clone());
            assert!(verify(&more).is_err());
        }
    }
}
