//! Functions of sequences.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::SequenceDescriptor;

use crate::sequences::State;
use crate::system::cells::Cell;
use crate::system::{Facts, RelationKind, quoted, sequences, split_name};

/// The sequence that a name or an oid stands for.
fn sequence(facts: &Facts, argument: Option<&Cell>) -> Result<Arc<SequenceDescriptor>> {
    let relation = match argument {
        Some(Cell::Int(oid)) => u32::try_from(*oid).ok().and_then(|oid| facts.relation(oid)),
        Some(cell) => facts.named(cell.text().unwrap_or_default()),
        None => None,
    };
    match relation.map(|relation| &relation.kind) {
        Some(RelationKind::Sequence(sequence)) => Ok(sequence.clone()),
        Some(_) => Err(Error::invalid(
            SqlState::WRONG_OBJECT_TYPE,
            format!("{} is not a sequence", shown(argument)),
        )),
        None => Err(Error::not_found(
            SqlState::UNDEFINED_TABLE,
            format!("relation {} does not exist", shown(argument)),
        )),
    }
}

fn shown(argument: Option<&Cell>) -> String {
    match argument {
        Some(Cell::Int(oid)) => oid.to_string(),
        Some(cell) => {
            let written = cell.text().unwrap_or_default();
            let parts = split_name(written).map(|parts| parts.join("."));
            format!("\"{}\"", parts.as_deref().unwrap_or(written))
        }
        None => String::new(),
    }
}

pub fn nextval(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let sequence = sequence(facts, arguments.first())?;
    facts.identity.numbers.check_writable("nextval")?;
    let number = facts.identity.sequences.next(&sequence)?;
    facts.identity.numbers.note(sequence.id, number);
    Ok(Cell::Int(number))
}

pub fn currval(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let sequence = sequence(facts, arguments.first())?;
    facts.identity.numbers.of(sequence.id).map(Cell::Int).ok_or_else(|| {
        Error::invalid(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "currval of sequence \"{}\" is not yet defined in this session",
                sequence.name
            ),
        )
    })
}

pub fn lastval(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    facts.identity.numbers.last().map(Cell::Int).ok_or_else(|| {
        Error::invalid(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "lastval is not yet defined in this session",
        )
    })
}

pub fn setval(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let sequence = sequence(facts, arguments.first())?;
    let last = arguments.get(1).and_then(Cell::int).unwrap_or_default();
    let is_called = arguments.get(2) != Some(&Cell::Bool(false));
    facts.identity.numbers.check_writable("setval")?;
    facts.identity.sequences.set(&sequence, State { last, is_called })?;
    if is_called {
        facts.identity.numbers.note(sequence.id, last);
    }
    Ok(Cell::Int(last))
}

/// The last number that a sequence gave; NULL before the first.
pub fn sequence_last_value(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let sequence = sequence(facts, arguments.first())?;
    Ok(Cell::from(sequences::last_value(facts, &sequence)?))
}

/// The sequence of a serial or identity column, quoted where it must be; NULL where there is none.
pub fn serial_sequence(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let (Some(table), Some(column)) = (
        arguments.first().and_then(Cell::text),
        arguments.get(1).and_then(Cell::text),
    ) else {
        return Ok(Cell::Null);
    };
    let missing = || {
        Error::not_found(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{table}\" does not exist"),
        )
    };
    let relation = facts.named(table).ok_or_else(missing)?;
    let RelationKind::Table(table) = &relation.kind else {
        return Ok(Cell::Null);
    };
    let position = table.position(column).ok_or_else(|| {
        Error::not_found(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column}\" of relation \"{}\" does not exist", table.name),
        )
    })?;
    let column = table.columns[position].id;
    let mut sequences = facts.catalog.sequences();
    let found = sequences.find(|sequence| sequence.is_of(table.id, Some(column)));
    Ok(found.map_or(Cell::Null, |sequence| {
        Cell::from(format!("{}.{}", quoted(&sequence.schema), quoted(&sequence.name)))
    }))
}
