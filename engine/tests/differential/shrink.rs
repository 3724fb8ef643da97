//! Leaves statements out as long as the last one still differs in the same way.

use super::compare::Difference;
use super::{Pair, Statement};

/// Repetitions of a whole episode at most.
const TRIES_MAX: usize = 200;

/// The statements that matter, the last of which is the one that differs.
pub fn shrink(pair: &mut Pair, sent: Vec<Statement>, difference: Box<Difference>) -> (Vec<Statement>, Box<Difference>) {
    let mut kept = sent;
    let Some(mut last) = replay(pair, &kept) else {
        return (kept, difference);
    };
    let mut tries = 0;
    let mut chunk = kept.len() / 2;
    while chunk > 0 {
        let mut from = 0;
        while from + 1 < kept.len() && tries < TRIES_MAX {
            tries += 1;
            let upto = (from + chunk).min(kept.len() - 1);
            let fewer = [&kept[..from], &kept[upto..]].concat();
            match replay(pair, &fewer) {
                Some(found) if found.kind() == difference.kind() => (kept, last) = (fewer, found),
                _ => from += chunk,
            }
        }
        chunk /= 2;
    }
    (kept, last)
}

/// What the last statement of these differs in; None where it does not, or one before it does.
fn replay(pair: &mut Pair, statements: &[Statement]) -> Option<Box<Difference>> {
    pair.empty();
    let (last, before) = statements.split_last()?;
    for statement in before {
        if pair.ask(statement).is_err() {
            return None;
        }
    }
    pair.ask(last).err()
}

/// The statements as a script, and both answers to its last.
pub fn story(kept: &[Statement], difference: &Difference) -> String {
    let lines: Vec<String> = kept.iter().map(|statement| format!("{};", statement.sql)).collect();
    let shown = |answer: &super::client::Answer| match &answer.error {
        Some((code, message)) => format!("{code}: {message} [{}]", answer.status),
        None => {
            let columns: Vec<u32> = answer.columns.iter().map(|(_, oid)| *oid).collect();
            let rows: Vec<String> = answer
                .rows
                .iter()
                .take(12)
                .map(|row| format!("\n    {row:?}"))
                .collect();
            format!("{:?} [{}] {columns:?}{}", answer.tags, answer.status, rows.concat())
        }
    };
    format!(
        "{}\n-- {:?}, {} differs\n-- PostgreSQL: {}\n-- Aion: {}",
        lines.join("\n"),
        difference.statement.way,
        difference.what,
        shown(&difference.theirs),
        shown(&difference.ours)
    )
}
