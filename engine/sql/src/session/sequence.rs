//! CREATE, ALTER and DROP SEQUENCE, and the sequences of serial and identity columns.

use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnId, NAME_BYTES_MAX, SequenceDescriptor, TableDescriptor, check_name};
use aion_catalog::objects::{Catalog, Object, sequence_state_key};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast;

use super::Session;
use super::ddl::Definition;
use super::numbered::{default_of, rename_in_defaults};
use crate::dml::{normalize, reference};
use crate::sequences::State;
use crate::utility::SequenceOption;

/// The ends of a type's numbers.
fn ends(data_type: SqlType) -> Result<(i64, i64)> {
    match data_type {
        SqlType::SmallInt => Ok((i16::MIN.into(), i16::MAX.into())),
        SqlType::Integer => Ok((i32::MIN.into(), i32::MAX.into())),
        SqlType::BigInt => Ok((i64::MIN, i64::MAX)),
        _ => Err(wrong("sequence type must be smallint, integer, or bigint")),
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
        state: 0,
        first: None,
    })
}

/// What options say that is looked at when all of them are known.
#[derive(Default)]
struct Asked {
    min: Option<Option<i64>>,
    max: Option<Option<i64>>,
    start: Option<i64>,
    restart: Option<Option<i64>>,
}

/// What options make of a sequence, and where it is put, if they say so.
pub(super) fn apply(
    sequence: &mut SequenceDescriptor,
    options: &[SequenceOption],
    is_new: bool,
) -> Result<Option<State>> {
    let asked = take(sequence, options)?;
    let (lowest, highest) = ends(sequence.data_type.parse()?)?;
    let (default_min, default_max) = match sequence.increment > 0 {
        true => (1, highest),
        false => (lowest, -1),
    };
    match asked.min {
        Some(value) => sequence.min = value.unwrap_or(default_min),
        None if is_new => sequence.min = default_min,
        None => {}
    }
    match asked.max {
        Some(value) => sequence.max = value.unwrap_or(default_max),
        None if is_new => sequence.max = default_max,
        None => {}
    }
    match asked.start {
        Some(value) => sequence.start = value,
        None if is_new && sequence.increment > 0 => sequence.start = sequence.min,
        None if is_new => sequence.start = sequence.max,
        None => {}
    }
    for (name, value) in [("MAXVALUE", sequence.max), ("MINVALUE", sequence.min)] {
        if !(lowest..=highest).contains(&value) {
            let data_type = &sequence.data_type;
            return Err(wrong(format!(
                "{name} ({value}) is out of range for sequence data type {data_type}"
            )));
        }
    }
    let SequenceDescriptor { min, max, start, .. } = *sequence;
    if min >= max {
        return Err(wrong(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    check_within("START", start, sequence)?;
    let Some(restart) = asked.restart else {
        return Ok(None);
    };
    let last = restart.unwrap_or(start);
    check_within("RESTART", last, sequence)?;
    Ok(Some(State { last, is_called: false }))
}

/// Each option once; those that depend on others are only noted.
fn take(sequence: &mut SequenceDescriptor, options: &[SequenceOption]) -> Result<Asked> {
    let mut asked = Asked::default();
    for (at, option) in options.iter().enumerate() {
        let is_same = |other: &SequenceOption| std::mem::discriminant(other) == std::mem::discriminant(option);
        if options[..at].iter().any(is_same) {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                "conflicting or redundant options",
            ));
        }
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
            SequenceOption::Min(value) => asked.min = Some(*value),
            SequenceOption::Max(value) => asked.max = Some(*value),
            SequenceOption::Start(value) => asked.start = Some(*value),
            SequenceOption::Restart(value) => asked.restart = Some(*value),
            SequenceOption::Cache(cache) if *cache > 0 => sequence.cache = *cache,
            SequenceOption::Cache(cache) => return Err(wrong(format!("CACHE ({cache}) must be greater than zero"))),
            SequenceOption::Cycle(is_cycle) => sequence.is_cycle = *is_cycle,
        }
    }
    Ok(asked)
}

fn check_within(what: &str, value: i64, sequence: &SequenceDescriptor) -> Result<()> {
    let SequenceDescriptor { min, max, .. } = *sequence;
    if value < min {
        return Err(wrong(format!(
            "{what} value ({value}) cannot be less than MINVALUE ({min})"
        )));
    }
    if value > max {
        return Err(wrong(format!(
            "{what} value ({value}) cannot be greater than MAXVALUE ({max})"
        )));
    }
    Ok(())
}

fn wrong(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// That a column of that type can count.
///
/// # Errors
/// 22023 for all but integers.
pub(super) fn check_identity_type(data_type: SqlType) -> Result<()> {
    match ends(data_type) {
        Ok(_) => Ok(()),
        Err(_) => Err(wrong("identity column type must be smallint, integer, or bigint")),
    }
}

/// A column whose values come from a sequence of its own.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub column: ColumnId,
    pub options: Vec<SequenceOption>,
    /// What the sequence is to be called; PostgreSQL's name for it where that is not said.
    pub name: Option<ast::ObjectName>,
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
        for Counted { column, options, name } in counted {
            let position = table
                .position_of(column)
                .ok_or_else(|| Error::internal("no such column"))?;
            let of = &table.columns[position];
            let name = match name {
                Some(name) => self.given_name(&name, table, catalog)?,
                None => free_name(catalog, table, &of.name, &taken),
            };
            let id = self.engine.storages.allocate()?.0;
            let mut sequence = plain(id, table.schema.clone(), name.clone(), of.sql_type)?;
            apply(&mut sequence, &options, true)?;
            sequence.owned_by = Some((table.id.0, column));
            definition.first.extend(catalog.put_sequence(&sequence));
            table.columns[position].default = Some(default_of(&sequence));
            taken.push(name);
        }
        Ok(())
    }

    /// The name that SEQUENCE NAME gives to the sequence of a table's column.
    fn given_name(&self, name: &ast::ObjectName, table: &TableDescriptor, catalog: &Catalog) -> Result<String> {
        let (schema, name) = match reference(name)? {
            TableReference::Bare { table: name } => (table.schema.clone(), name.to_string()),
            _ => self.new_name(name, false)?,
        };
        if schema != table.schema {
            return Err(Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "sequence must be in same schema as table it is linked to",
            ));
        }
        catalog.check_new(&schema, &name, "sequence")?;
        Ok(name)
    }

    pub(super) fn create_sequence(
        &self,
        name: &ast::ObjectName,
        if_not_exists: bool,
        options: &[SequenceOption],
        owned_by: Option<&ast::ObjectName>,
        catalog: &Catalog,
    ) -> Result<Definition> {
        let (schema, name) = self.new_name(name, false)?;
        let (catalog, schema_changes) = self.with_temporary_schema(&schema, catalog)?;
        let catalog = &*catalog;
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
        let changes = schema_changes.into_iter().chain(catalog.put_sequence(&sequence));
        Ok(Definition::new("CREATE SEQUENCE", changes.collect()))
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
        let mut definition = Definition::new("ALTER SEQUENCE", Vec::new());
        let mut sequence = self.change_sequence(&mut definition, &before, options)?;
        if let Some(owner) = owned_by {
            sequence.owned_by = self.owner(owner, catalog)?;
        }
        if let Some(new) = renamed {
            sequence.name = normalize(new);
            check_name(&sequence.name, "sequence")?;
            catalog.check_new(&sequence.schema, &sequence.name, "sequence")?;
            definition.changes.extend(catalog.drop_sequence(&before));
            definition
                .changes
                .extend(rename_in_defaults(catalog, &before, &sequence)?);
        }
        definition.changes.extend(catalog.put_sequence(&sequence));
        Ok(definition)
    }

    /// What options make of a sequence. That it is described so is left to the caller.
    pub(super) fn change_sequence(
        &self,
        definition: &mut Definition,
        before: &Arc<SequenceDescriptor>,
        options: &[SequenceOption],
    ) -> Result<SequenceDescriptor> {
        let mut sequence = SequenceDescriptor::clone(before);
        match apply(&mut sequence, options, false)? {
            Some(state) => self.restart(definition, &mut sequence, state)?,
            None if options.is_empty() => {}
            None => {
                // It goes on where it is: that lies within the new ends, and START is for the next RESTART.
                let state = self.engine.sequences.state(before)?;
                check_within("RESTART", state.last, &sequence)?;
                sequence.first.get_or_insert((before.start, false));
            }
        }
        Ok(sequence)
    }

    /// Puts a sequence to a number, with the transaction: it gets another state, and the old one is nobody's from the commit on.
    /// That it is described so is left to the caller.
    pub(super) fn restart(
        &self,
        definition: &mut Definition,
        sequence: &mut SequenceDescriptor,
        state: State,
    ) -> Result<()> {
        definition.retire_numbers(sequence);
        sequence.state = self.engine.storages.allocate()?.0;
        sequence.first = Some((state.last, state.is_called));
        Ok(())
    }
}

impl Definition {
    /// The numbers of a sequence are nobody's from the commit on.
    ///
    /// It is no write of the transaction, which would lose against every nextval meanwhile, also against its own.
    pub fn retire_numbers(&mut self, sequence: &SequenceDescriptor) {
        self.retire(KeyRange::prefix(&sequence_state_key(sequence.state_id())));
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
