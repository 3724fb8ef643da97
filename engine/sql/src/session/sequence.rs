//! CREATE, ALTER and DROP SEQUENCE, and the sequences of serial and identity columns.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnId, Identity, NAME_BYTES_MAX, SequenceDescriptor, TableDescriptor};
use aion_catalog::objects::{Catalog, Object, sequence_state_key};
use datafusion::sql::sqlparser::ast;

use super::Session;
use super::ddl::Definition;
use crate::dml::{normalize, reference};
use crate::sequences::State;
use crate::utility::SequenceOption;

/// The ends of a type's numbers.
fn ends(data_type: SqlType) -> Result<(i64, i64)> {
    match data_type {
        SqlType::SmallInt => Ok((i16::MIN.into(), i16::MAX.into())),
        SqlType::Integer => Ok((i32::MIN.into(), i32::MAX.into())),
        SqlType::BigInt => Ok((i64::MIN, i64::MAX)),
        other => Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("sequence type must be smallint, integer, or bigint, not {other}"),
        )),
    }
}

/// A sequence that counts up from 1 over all numbers of a type.
pub(super) fn plain(id: u32, schema: String, name: String, data_type: SqlType) -> Result<SequenceDescriptor> {
    Ok(SequenceDescriptor {
        id,
        schema,
        name,
        data_type: data_type.to_string(),
        start: 1,
        increment: 1,
        min: 1,
        max: ends(data_type)?.1,
        cache: 1,
        is_cycle: false,
        owned_by: None,
        comment: None,
    })
}

/// What options make of a sequence, and where it is put, if they say so.
pub(super) fn apply(
    sequence: &mut SequenceDescriptor,
    options: &[SequenceOption],
    is_new: bool,
) -> Result<Option<State>> {
    let mut restart = None;
    let (mut min, mut max, mut start) = (None, None, None);
    for option in options {
        match option {
            SequenceOption::As(data_type) => {
                let (lowest, highest) = ends(*data_type)?;
                let old: SqlType = sequence.data_type.parse()?;
                let (old_lowest, old_highest) = ends(old)?;
                // An end that was the old type's becomes the new one's.
                if sequence.max == old_highest {
                    sequence.max = highest;
                }
                if sequence.min == old_lowest {
                    sequence.min = lowest;
                }
                sequence.data_type = data_type.to_string();
            }
            SequenceOption::Increment(0) => {
                return Err(wrong("INCREMENT must not be zero"));
            }
            SequenceOption::Increment(increment) => sequence.increment = *increment,
            SequenceOption::Min(value) => min = Some(*value),
            SequenceOption::Max(value) => max = Some(*value),
            SequenceOption::Start(value) => start = Some(*value),
            SequenceOption::Restart(value) => restart = Some(*value),
            SequenceOption::Cache(cache) if *cache > 0 => sequence.cache = *cache,
            SequenceOption::Cache(cache) => return Err(wrong(format!("CACHE ({cache}) must be greater than zero"))),
            SequenceOption::Cycle(is_cycle) => sequence.is_cycle = *is_cycle,
        }
    }
    let (lowest, highest) = ends(sequence.data_type.parse()?)?;
    let (default_min, default_max) = match sequence.increment > 0 {
        true => (1, highest),
        false => (lowest, -1),
    };
    match min {
        Some(value) => sequence.min = value.unwrap_or(default_min),
        None if is_new => sequence.min = default_min,
        None => {}
    }
    match max {
        Some(value) => sequence.max = value.unwrap_or(default_max),
        None if is_new => sequence.max = default_max,
        None => {}
    }
    match start {
        Some(value) => sequence.start = value,
        None if is_new && sequence.increment > 0 => sequence.start = sequence.min,
        None if is_new => sequence.start = sequence.max,
        None => {}
    }
    let SequenceDescriptor { min, max, start, .. } = *sequence;
    if min < lowest || max > highest {
        let message = format!(
            "the ends {min} and {max} are out of range for sequence data type {}",
            sequence.data_type
        );
        return Err(wrong(message));
    }
    if min >= max {
        return Err(wrong(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    if start < min {
        return Err(wrong(format!(
            "START value ({start}) cannot be less than MINVALUE ({min})"
        )));
    }
    if start > max {
        return Err(wrong(format!(
            "START value ({start}) cannot be greater than MAXVALUE ({max})"
        )));
    }
    let restart = restart.map(|value| value.unwrap_or(start));
    if let Some(value) = restart.filter(|value| !(min..=max).contains(value)) {
        return Err(wrong(format!(
            "RESTART value ({value}) must lie between MINVALUE ({min}) and MAXVALUE ({max})"
        )));
    }
    Ok(restart.map(|last| State { last, is_called: false }))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The options that sqlparser read, of an identity column.
pub(super) fn options_of(options: &[ast::SequenceOptions]) -> Result<Vec<SequenceOption>> {
    let number = |expr: &ast::Expr| {
        expr.to_string()
            .replace(' ', "")
            .parse::<i64>()
            .map_err(|_| wrong(format!("{expr} is no number of a sequence")))
    };
    let option = |option: &ast::SequenceOptions| {
        Ok(match option {
            ast::SequenceOptions::IncrementBy(expr, _) => SequenceOption::Increment(number(expr)?),
            ast::SequenceOptions::MinValue(expr) => SequenceOption::Min(expr.as_ref().map(number).transpose()?),
            ast::SequenceOptions::MaxValue(expr) => SequenceOption::Max(expr.as_ref().map(number).transpose()?),
            ast::SequenceOptions::StartWith(expr, _) => SequenceOption::Start(number(expr)?),
            ast::SequenceOptions::Cache(expr) => SequenceOption::Cache(number(expr)?),
            // It says true for NO CYCLE and false for CYCLE.
            ast::SequenceOptions::Cycle(is_no) => SequenceOption::Cycle(!is_no),
        })
    };
    options.iter().map(option).collect()
}

/// A column whose values come from a sequence of its own.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub column: ColumnId,
    pub options: Vec<SequenceOption>,
}

impl Session {
    /// Gives columns their sequences: those of serial and identity columns. The table has its id already.
    pub(super) fn add_sequences(
        &self,
        definition: &mut Definition,
        table: &mut TableDescriptor,
        counted: Vec<Counted>,
        catalog: &Catalog,
    ) -> Result<()> {
        let mut taken: Vec<String> = Vec::new();
        for Counted { column, options } in counted {
            let position = table
                .position_of(column)
                .ok_or_else(|| Error::internal("no such column"))?;
            let of = &table.columns[position];
            let name = free_name(catalog, table, &of.name, &taken);
            let id = self.engine.storages.allocate()?.0;
            let mut sequence = plain(id, table.schema.clone(), name.clone(), of.sql_type)?;
            apply(&mut sequence, &options, true)?;
            sequence.owned_by = Some((table.id.0, column));
            definition.changes.extend(catalog.put_sequence(&sequence));
            let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
            let full = format!("{}.{}", quoted(&table.schema), quoted(&name));
            table.columns[position].default = Some(format!("nextval('{}')", full.replace('\'', "''")));
            taken.push(name);
        }
        Ok(())
    }

    pub(super) fn create_sequence(
        &self,
        name: &ast::ObjectName,
        if_not_exists: bool,
        options: &[SequenceOption],
        owned_by: Option<&ast::ObjectName>,
        catalog: &Catalog,
    ) -> Result<Definition> {
        let (schema, name) = self.new_name(name)?;
        if if_not_exists && catalog.object(&schema, &name).is_some() {
            let notice = format!("relation \"{name}\" already exists, skipping");
            return Ok(Definition::nothing(
                "CREATE SEQUENCE",
                SqlState::DUPLICATE_TABLE,
                notice,
            ));
        }
        catalog.check_new(&schema, &name, "sequence")?;
        let id = self.engine.storages.allocate()?.0;
        let mut sequence = plain(id, schema, name, SqlType::BigInt)?;
        apply(&mut sequence, options, true)?;
        if let Some(owner) = owned_by {
            sequence.owned_by = self.owner(owner, catalog)?;
        }
        Ok(Definition::new("CREATE SEQUENCE", catalog.put_sequence(&sequence)))
    }

    /// `table.column`, or NONE.
    fn owner(&self, name: &ast::ObjectName, catalog: &Catalog) -> Result<Option<(u32, ColumnId)>> {
        let Some((ast::ObjectNamePart::Identifier(column), table)) = name.0.split_last() else {
            return Err(Error::invalid(SqlState::SYNTAX_ERROR, "OWNED BY names no column"));
        };
        if table.is_empty() {
            return match column.value.eq_ignore_ascii_case("none") {
                true => Ok(None),
                false => Err(Error::invalid(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                    .with_hint("Specify OWNED BY table.column or OWNED BY NONE.")),
            };
        }
        let path = self.search_path()?;
        let table = ast::ObjectName(table.to_vec());
        let Object::Table(table) = self.names(catalog, &path).resolve(&reference(&table)?)? else {
            return Err(Error::invalid(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{table}\" is not a table"),
            ));
        };
        let column = normalize(column);
        let position = table.position(&column).ok_or_else(|| {
            Error::not_found(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{}\" does not exist", table.name),
            )
        })?;
        Ok(Some((table.id.0, table.columns[position].id)))
    }

    /// The sequence of that name.
    pub(super) fn sequence_named(&self, name: &ast::ObjectName, catalog: &Catalog) -> Result<Arc<SequenceDescriptor>> {
        let path = self.search_path()?;
        match self.names(catalog, &path).resolve(&reference(name)?)? {
            Object::Sequence(sequence) => Ok(sequence),
            _ => Err(Error::invalid(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a sequence"),
            )),
        }
    }

    pub(super) fn alter_sequence(
        &self,
        name: &ast::ObjectName,
        if_exists: bool,
        options: &[SequenceOption],
        owned_by: Option<&ast::ObjectName>,
        renamed: Option<&ast::Ident>,
        catalog: &Catalog,
    ) -> Result<Definition> {
        let before = match self.sequence_named(name, catalog) {
            Err(error) if if_exists && error.state() == SqlState::UNDEFINED_TABLE => {
                let notice = format!("relation \"{name}\" does not exist, skipping");
                return Ok(Definition::nothing(
                    "ALTER SEQUENCE",
                    SqlState::SUCCESSFUL_COMPLETION,
                    notice,
                ));
            }
            found => found?,
        };
        let mut sequence = SequenceDescriptor::clone(&before);
        let restart = apply(&mut sequence, options, false)?;
        if let Some(owner) = owned_by {
            sequence.owned_by = self.owner(owner, catalog)?;
        }
        let mut definition = Definition::new("ALTER SEQUENCE", Vec::new());
        if let Some(new) = renamed {
            sequence.name = normalize(new);
            catalog.check_new(&sequence.schema, &sequence.name, "sequence")?;
            definition.changes.extend(catalog.drop_sequence(&before));
        }
        definition.changes.extend(catalog.put_sequence(&sequence));
        if let Some(state) = restart {
            definition.restart(sequence.id, state);
        } else if !options.is_empty() {
            // What was taken for the old description is not to be given; what was given stays so.
            let state = self.engine.sequences.state(&before)?;
            let is_within = (sequence.min..=sequence.max).contains(&state.last);
            if !is_within {
                return Err(wrong(format!(
                    "RESTART value ({}) must lie between MINVALUE ({}) and MAXVALUE ({})",
                    state.last, sequence.min, sequence.max
                )));
            }
            definition.restart(sequence.id, state);
        }
        Ok(definition)
    }
}

impl Definition {
    /// A sequence is put to a number, with the transaction.
    pub fn restart(&mut self, sequence: u32, state: State) {
        self.changes.push(aion_catalog::objects::KeyChange {
            key: sequence_state_key(sequence),
            value: Some(state.encode()),
        });
        self.restarted.push(sequence);
    }
}

/// The name that PostgreSQL gives: table, column, `seq`, and a number where that is taken.
fn free_name(catalog: &Catalog, table: &TableDescriptor, column: &str, taken: &[String]) -> String {
    let mut base = format!("{}_{column}", table.name);
    let mut end = base.len().min(NAME_BYTES_MAX - 8);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    base.truncate(end);
    let base = format!("{base}_seq");
    let is_free = |name: &String| {
        !taken.contains(name) && *name != table.name && catalog.check_new(&table.schema, name, "sequence").is_ok()
    };
    let numbered = (1..).map(|number| format!("{base}{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    names
        .find(is_free)
        .expect("the catalog has fewer names than there are numbers")
}

/// What `serial` and its kin mean; None for any other type.
pub(super) fn serial(data_type: &ast::DataType) -> Option<SqlType> {
    match data_type.to_string().to_ascii_lowercase().as_str() {
        "smallserial" | "serial2" => Some(SqlType::SmallInt),
        "serial" | "serial4" => Some(SqlType::Integer),
        "bigserial" | "serial8" => Some(SqlType::BigInt),
        _ => None,
    }
}

/// What GENERATED ... AS IDENTITY says.
pub(super) fn identity(generated: &ast::GeneratedAs) -> Option<Identity> {
    match generated {
        ast::GeneratedAs::Always => Some(Identity::Always),
        ast::GeneratedAs::ByDefault => Some(Identity::ByDefault),
        ast::GeneratedAs::ExpStored => None,
    }
}
