//! `aion ai verify`: the ledger is checked by this program, whatever the server says of itself.

use std::process::ExitCode;

use aion_base::{Error, SqlState};
use aion_shadow::ledger::{self, Decision, Entry};
use aion_shadow::recommendation::Proof;
use aion_shadow::state::State;

use super::{Asking, Done, text};
use crate::screen::Screen;
use crate::shell::Complaint;

/// `at` in microseconds, which the hash is made of.
const DECISIONS: &str = "SELECT seq, CAST(extract(epoch FROM at) * 1000000 AS bigint), recommendation_id, from_state, to_state, actor, \
     reason, log_index, version, seed, evidence_sha256, prev_hash, hash FROM aion.decisions ORDER BY seq";

/// Checks chain and verdicts. The exit code is 1 where something is wrong.
pub fn verify(asking: &mut Asking, screen: &Screen) -> Done {
    let rows = asking.ask(DECISIONS)?;
    let entries: Vec<Entry> = rows.iter().map(|row| entry(row)).collect::<Result<_, _>>()?;
    if let Err(broken) = ledger::verify(&entries) {
        screen.line(format_args!("the ledger is broken: {broken}"))?;
        return Ok(ExitCode::FAILURE);
    }
    let mut verdicts = 0;
    for row in asking.ask("SELECT id, evidence FROM aion.recommendations WHERE evidence IS NOT NULL ORDER BY id")? {
        let (id, evidence) = (text(&row[0]), text(&row[1]));
        let proof: Proof = serde_json::from_str(evidence)
            .map_err(|error| Error::internal(format!("the evidence of {id} cannot be read: {error}")))?;
        let of_this = entries
            .iter()
            .rev()
            .filter(|entry| entry.decision.recommendation_id.to_string() == id);
        let decided = of_this
            .filter_map(|entry| entry.decision.evidence_sha256.clone())
            .next();
        if decided.is_none_or(|decided| decided != ledger::sha256(evidence.as_bytes())) {
            screen.line(format_args!(
                "the evidence of recommendation {id} is not that of its decision"
            ))?;
            return Ok(ExitCode::FAILURE);
        }
        if proof.judge() != proof.verdict {
            screen.line(format_args!(
                "the verdict on recommendation {id} does not follow from its evidence"
            ))?;
            return Ok(ExitCode::FAILURE);
        }
        verdicts += 1;
    }
    screen.line(format_args!(
        "the ledger is whole: {} decisions, {verdicts} verdicts computed again from their evidence",
        entries.len()
    ))?;
    if let Some(last) = entries.last() {
        screen.line(format_args!("  last hash {}", last.hash))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn entry(row: &[Option<String>]) -> Done<Entry> {
    let wrong = |what: &str| {
        let error = Error::new(
            aion_base::ErrorKind::Corrupt,
            SqlState::DATA_CORRUPTED,
            format!("decision {}: its {what} cannot be read", text(&row[0])),
        );
        Box::<Complaint>::from(error)
    };
    let state = |at: usize, what| match &row[at] {
        None => Ok(None),
        Some(name) => State::from_name(name).map(Some).ok_or_else(|| wrong(what)),
    };
    let whole = |at: usize, what| text(&row[at]).parse::<u64>().map_err(|_| wrong(what));
    Ok(Entry {
        seq: whole(0, "seq")?,
        decision: Decision {
            at: text(&row[1]).parse().map_err(|_| wrong("time"))?,
            recommendation_id: whole(2, "recommendation")?,
            from_state: state(3, "state")?,
            to_state: state(4, "state")?.ok_or_else(|| wrong("state"))?,
            actor: text(&row[5]).to_owned(),
            reason: row[6].clone().unwrap_or_default(),
            log_index: whole(7, "log index")?,
            version: text(&row[8]).to_owned(),
            seed: whole(9, "seed")?,
            evidence_sha256: row[10].clone(),
        },
        prev_hash: text(&row[11]).to_owned(),
        hash: text(&row[12]).to_owned(),
    })
}
