//! What the system's functions answer.

use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::is_temporary;
use aion_security::RoleId;

pub use super::numbers::{currval, lastval, nextval, sequence_last_value, serial_sequence, setval};
pub use super::sizes::{indexes_size, relation_size, size_pretty, total_size};

use crate::settings;
use crate::system;
use crate::system::cells::Cell;
use crate::system::comments;
use crate::system::definitions;
use crate::system::written::{self, Form};
use crate::system::{Facts, Relation, RelationKind, oids, quoted, quoted_literal, split_name};

pub fn version(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(format!(
        "PostgreSQL 15.0 compatible, Aion {} on {}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )))
}

pub fn current_database(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(facts.identity.database.as_str()))
}

/// Of a client's address, which is not kept: NULL, as for one of the same machine.
pub fn no_address(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Null)
}

pub fn current_user(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(facts.identity.user.as_str()))
}

pub fn current_schema(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(facts.current_schema()))
}

pub fn current_schemas(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let has_implicit = arguments.first() == Some(&Cell::Bool(true));
    let is_there = |schema: &&String| facts.catalog.has_schema(schema) && (has_implicit || !is_temporary(schema));
    let mut schemas: Vec<String> = facts.search_path.iter().filter(is_there).cloned().collect();
    if has_implicit && !schemas.iter().any(|schema| schema == "pg_catalog") {
        schemas.insert(0, "pg_catalog".to_owned());
    }
    Ok(Cell::Texts(schemas))
}

pub fn current_setting(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let name = arguments.first().and_then(Cell::text).unwrap_or_default();
    match facts.identity.settings.show(name) {
        Ok(value) => Ok(Cell::from(value)),
        Err(_) if arguments.get(1) == Some(&Cell::Bool(true)) => Ok(Cell::Null),
        Err(error) => Err(error),
    }
}

pub fn set_config(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let [name, value, is_local] = arguments else {
        return Err(Error::internal("set_config has three arguments"));
    };
    let is_local = *is_local == Cell::Bool(true);
    let (name, value) = (name.text().unwrap_or_default(), value.text().unwrap_or_default());
    if settings::is_of_superusers(name) && !facts.identity.roles.is_superuser()? {
        return Err(Error::denied(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to set parameter \"{name}\""),
        ));
    }
    // What it refuses, it refuses here.
    let mut settings = facts.identity.settings.clone();
    settings.set(name, value)?;
    facts
        .identity
        .assigned
        .lock()
        .push((name.to_owned(), value.to_owned(), is_local));
    Ok(Cell::from(settings.show(name)?))
}

/// Notifies those who listen once the transaction commits.
pub fn notify(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let text = |at: usize| arguments.get(at).and_then(Cell::text).unwrap_or_default();
    let identity = &facts.identity;
    identity.pending.lock().notify(identity.process_id, text(0), text(1))?;
    Ok(Cell::from(""))
}

pub fn notification_queue_usage(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Float(facts.identity.notifications.usage()))
}

pub fn listening_channels(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Texts(facts.identity.channels.clone()))
}

/// Forgets a statement that was noted, with its literals; false where it is not known.
pub fn forget(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let queryid = arguments.first().and_then(Cell::int).unwrap_or_default();
    let observer = facts.identity.observer.as_ref();
    Ok(Cell::Bool(observer.is_some_and(|observer| observer.forget(queryid))))
}

pub fn process_id(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(facts.identity.process_id))
}

/// Ends what a session runs; false where there is no such session.
pub fn cancel(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let process_id = arguments
        .first()
        .and_then(Cell::int)
        .and_then(|id| i32::try_from(id).ok());
    Ok(Cell::Bool(
        process_id.is_some_and(|id| facts.identity.activity.cancel(id)),
    ))
}

/// Ends a session; false where there is none.
pub fn terminate(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let process_id = arguments
        .first()
        .and_then(Cell::int)
        .and_then(|id| i32::try_from(id).ok());
    Ok(Cell::Bool(
        process_id.is_some_and(|id| facts.identity.activity.terminate(id)),
    ))
}

/// The sessions whose locks a session waits for.
pub fn blocking(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let label = format!("process {}", arguments.first().and_then(Cell::int).unwrap_or_default());
    let all = facts.identity.locks.list(usize::MAX);
    let is_its = |lock: &&aion_storage::LockEntry| !lock.is_granted && lock.label.as_deref() == Some(label.as_str());
    let mut found = Vec::new();
    for waiting in all.iter().filter(is_its) {
        let holders = all.iter().filter(|lock| lock.is_granted && lock.key == waiting.key);
        for holder in holders.filter(|holder| holder.mode.conflicts_with(waiting.mode)) {
            found.extend(
                holder
                    .label
                    .as_deref()
                    .and_then(|label| label.strip_prefix("process ")?.parse::<i64>().ok()),
            );
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(Cell::Ints(found))
}

pub fn never(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Bool(false))
}

pub fn always(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Bool(true))
}

pub fn nothing(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Null)
}

pub fn my_temporary_schema(facts: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Int(
        facts.temporary_schema().map_or(0, |own| oids::schema(own).into()),
    ))
}

pub fn is_other_temporary_schema(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let own = facts.temporary_schema();
    let mut others = facts
        .catalog
        .schemas()
        .filter(|schema| is_temporary(schema) && Some(*schema) != own);
    let is_other = others.any(|schema| arguments.first() == Some(&Cell::Int(oids::schema(schema).into())));
    Ok(Cell::Bool(is_other))
}

pub fn encoding(_: &Facts, arguments: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(match arguments.first().and_then(Cell::int) {
        Some(0) => "SQL_ASCII",
        Some(6) => "UTF8",
        _ => "",
    }))
}

pub fn format_type(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let Some(oid) = arguments.first().and_then(Cell::oid) else {
        return Ok(Cell::Null);
    };
    let modifier = arguments.get(1).and_then(Cell::int).unwrap_or(-1);
    Ok(Cell::from(facts.type_name(oid, i32::try_from(modifier).unwrap_or(-1))))
}

pub fn role_name(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let oid = arguments.first().and_then(Cell::oid).unwrap_or_default();
    let roles = facts.identity.roles.read()?;
    Ok(match roles.by_id(RoleId(oid)) {
        Some(role) => Cell::from(role.name.as_str()),
        None => Cell::from(format!("unknown (OID={oid})")),
    })
}

/// Expressions are kept as their text, in all parentheses.
pub fn expression(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let text = arguments.first().and_then(Cell::text);
    let shown = text.map(|text| match form(arguments.get(2)) {
        Form::Pretty if text.starts_with('(') => written::expression(text, None, Form::Pretty),
        _ => text.to_owned(),
    });
    Ok(Cell::from(shown.map(|shown| facts.shortened(shown))))
}

fn form(is_pretty: Option<&Cell>) -> Form {
    match is_pretty == Some(&Cell::Bool(true)) {
        true => Form::Pretty,
        false => Form::Full,
    }
}

pub(super) fn relation_of<'a>(facts: &'a Facts, argument: Option<&Cell>) -> Option<&'a Relation> {
    match argument? {
        Cell::Text(name) => match name.parse::<u32>() {
            Ok(oid) => facts.relation(oid),
            Err(_) => facts.named(name),
        },
        cell => facts.relation(cell.oid()?),
    }
}

pub fn index_definition(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let Some(relation) = relation_of(facts, arguments.first()) else {
        return Ok(Cell::Null);
    };
    let form = form(arguments.get(2));
    let place = arguments.get(1).and_then(Cell::int).unwrap_or(0);
    if let Some(place) = usize::try_from(place).ok().filter(|&place| place > 0) {
        let name = system::index_column_name(relation, place, form);
        return Ok(Cell::from(name.map(|name| facts.shortened(name))));
    }
    // For reading, the schema is left out where the search path finds the table.
    let is_visible = match &relation.kind {
        RelationKind::PrimaryKey(table) | RelationKind::Index(table, _) => facts
            .relation(oids::table(table.id))
            .is_some_and(|table| facts.is_visible(table)),
        _ => false,
    };
    let definition = system::index_definition(relation, !(form == Form::Pretty && is_visible), form);
    Ok(Cell::from(definition.map(|definition| facts.shortened(definition))))
}

pub fn constraint_definition(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let constraint = arguments.first().and_then(Cell::oid);
    let constraint = constraint.and_then(|oid| facts.constraints().find(oid));
    let form = form(arguments.get(1));
    Ok(Cell::from(constraint.and_then(|found| found.definition(facts, form))))
}

/// The comment of a relation or constraint: the second argument, where there is one, is the catalog that has the oid.
pub fn comment(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    if arguments.get(1).and_then(Cell::text) == Some("pg_constraint") {
        let oid = arguments.first().and_then(Cell::oid);
        return Ok(Cell::from(oid.and_then(|oid| comments::of_constraint(facts, oid))));
    }
    let of_relation = arguments
        .get(1)
        .is_none_or(|catalog| catalog.text() == Some("pg_class"));
    let relation = relation_of(facts, arguments.first()).filter(|_| of_relation);
    Ok(Cell::from(relation.and_then(comments::of_relation)))
}

pub fn column_comment(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let relation = relation_of(facts, arguments.first());
    let number = arguments.get(1).and_then(Cell::int);
    let comment = relation.zip(number);
    Ok(Cell::from(
        comment.and_then(|(relation, number)| comments::of_column(relation, number)),
    ))
}

/// No table is part of another.
pub fn no_relations(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Ints(Vec::new()))
}

pub fn view_definition(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    Ok(
        match relation_of(facts, arguments.first()).map(|relation| &relation.kind) {
            Some(RelationKind::View(view)) => Cell::from(view.query.as_str()),
            Some(RelationKind::Table(table)) => Cell::from(table.view.as_ref().map(|view| view.query.as_str())),
            _ => Cell::Null,
        },
    )
}

pub fn graph_definition(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let relation = relation_of(facts, arguments.first()).filter(|relation| relation.relkind() == "g");
    let graph = relation.and_then(|relation| {
        let mut graphs = facts.catalog.graphs();
        graphs.find(|graph| graph.schema == relation.schema && graph.name == relation.name)
    });
    Ok(Cell::from(graph.map(|graph| definitions::graph_definition(graph))))
}

pub fn any_result(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::from("\"any\""))
}

pub fn any_arguments(_: &Facts, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::from("VARIADIC \"any\""))
}

pub fn relation_is_visible(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let relation = relation_of(facts, arguments.first());
    Ok(Cell::from(relation.map(|relation| facts.is_visible(relation))))
}

pub fn type_is_visible(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let oid = match arguments.first() {
        Some(Cell::Text(name)) => facts.type_oid(name),
        other => other.and_then(Cell::oid),
    };
    let is_of_public =
        |oid: u32| (aion_catalog::types::VECTOR_OID..=aion_catalog::types::VECTOR_OID + 1).contains(&oid);
    if let Some(of) = oid
        .and_then(|oid| facts.catalog.type_of_oid(oid))
        .and_then(|sql_type| sql_type.made())
    {
        return Ok(Cell::from(facts.is_type_visible(of)));
    }
    Ok(Cell::from(oid.and_then(|oid| facts.type_of(oid)).map(|found| {
        !is_of_public(found.oid) || facts.path().any(|schema| schema == "public")
    })))
}

pub fn function_is_visible(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let name = function_name(facts, arguments)?;
    // Those of the schema `aion` are called by their whole name alone.
    let is_there = |name: &str| !name.contains('.') && facts.functions.iter().any(|(known, _)| known == name);
    Ok(Cell::from(name.text().map(is_there)))
}

pub fn to_relation(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(
        relation_of(facts, arguments.first()).map(|relation| relation.oid),
    ))
}

pub fn to_type(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let name = arguments.first().and_then(Cell::text);
    Ok(Cell::from(name.and_then(|name| facts.type_oid(name))))
}

pub fn to_schema(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let name = arguments.first().and_then(Cell::text).and_then(split_name);
    Ok(Cell::from(match name.as_deref() {
        Some([name]) if facts.catalog.has_schema(name) => Some(oids::schema(name)),
        _ => None,
    }))
}

/// A number as it is, in digits or as a number; a name by `find`.
fn oid_of(arguments: &[Cell], state: SqlState, kind: &str, find: impl FnOnce(&str) -> Option<u32>) -> Result<Cell> {
    let Some(name) = arguments.first().and_then(Cell::text) else {
        return Ok(arguments.first().cloned().unwrap_or(Cell::Null));
    };
    if name == "-" {
        return Ok(Cell::Int(0));
    }
    if let Ok(oid) = name.parse::<u32>() {
        return Ok(Cell::from(oid));
    }
    let found = find(name).ok_or_else(|| Error::not_found(state, format!("{kind} \"{name}\" does not exist")))?;
    Ok(Cell::from(found))
}

/// A name for the oid that the first argument is, or names; the number itself where nothing has it.
fn name_of(oid: Cell, find: impl FnOnce(u32) -> Option<String>) -> Cell {
    match oid.oid() {
        Some(0) => Cell::from("-"),
        Some(oid) => Cell::from(find(oid).unwrap_or_else(|| oid.to_string())),
        None => oid,
    }
}

pub fn relation_oid(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let find = |name: &str| facts.named(name).map(|relation| relation.oid);
    oid_of(arguments, SqlState::UNDEFINED_TABLE, "relation", find)
}

pub fn relation_name(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let find = |oid| facts.relation(oid).map(|relation| facts.shown(relation));
    Ok(name_of(relation_oid(facts, arguments)?, find))
}

pub fn type_oid(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    oid_of(arguments, SqlState::UNDEFINED_OBJECT, "type", |name| {
        facts.type_oid(name)
    })
}

pub fn type_name(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let find = |oid| facts.type_of(oid).map(|found| facts.type_name(found.oid, -1));
    Ok(name_of(type_oid(facts, arguments)?, find))
}

pub fn schema_oid(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let find = |name: &str| match split_name(name)?.as_slice() {
        [name] if facts.catalog.has_schema(name) => Some(oids::schema(name)),
        _ => None,
    };
    oid_of(arguments, SqlState::INVALID_SCHEMA_NAME, "schema", find)
}

pub fn schema_name(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let find = |oid| {
        let mut schemas = facts.catalog.schemas();
        schemas.find(|schema| oids::schema(schema) == oid).map(quoted)
    };
    Ok(name_of(schema_oid(facts, arguments)?, find))
}

pub fn role_oid(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let roles = facts.identity.roles.read()?;
    let find = |name: &str| match split_name(name)?.as_slice() {
        [name] => roles.get(name).map(|role| role.id.0),
        _ => None,
    };
    oid_of(arguments, SqlState::UNDEFINED_OBJECT, "role", find)
}

pub fn named_role(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let roles = facts.identity.roles.read()?;
    let find = |oid| roles.by_id(RoleId(oid)).map(|role| quoted(&role.name));
    Ok(name_of(role_oid(facts, arguments)?, find))
}

pub fn function_name(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    Ok(match arguments.first() {
        Some(Cell::Text(name)) => {
            let name = name.split('(').next().unwrap_or_default().trim();
            Cell::from(name.strip_prefix("pg_catalog.").unwrap_or(name))
        }
        Some(cell) => name_of(cell.clone(), |oid| {
            let mut functions = facts.functions.iter();
            functions
                .find(|(name, _)| system::function_oid(name) == oid)
                .map(|(name, _)| name.clone())
        }),
        None => Cell::Null,
    })
}

pub fn quote_identifier(_: &Facts, arguments: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(arguments.first().and_then(Cell::text).map(quoted)))
}

pub fn quote_literal(_: &Facts, arguments: &[Cell]) -> Result<Cell> {
    Ok(Cell::from(arguments.first().and_then(Cell::text).map(quoted_literal)))
}

pub fn quote_nullable(facts: &Facts, arguments: &[Cell]) -> Result<Cell> {
    match arguments {
        [Cell::Null] => Ok(Cell::from("NULL")),
        arguments => quote_literal(facts, arguments),
    }
}

/// A LIKE pattern with another escape character, as one with a backslash.
pub fn like_escape(_: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let [Cell::Text(pattern), Cell::Text(escape)] = arguments else {
        return Err(Error::internal("like_escape has two texts"));
    };
    let mut characters = escape.chars();
    let (escape, None) = (characters.next(), characters.next()) else {
        return Err(Error::invalid(
            SqlState::INVALID_ESCAPE_SEQUENCE,
            format!("invalid escape string \"{escape}\""),
        )
        .with_hint("Escape string must be empty or one character."));
    };
    let mut written = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            character if Some(character) == escape => match characters.next() {
                Some(next @ ('%' | '_' | '\\')) => written.extend(['\\', next]),
                Some(next) => written.push(next),
                None => {
                    return Err(Error::invalid(
                        SqlState::INVALID_ESCAPE_SEQUENCE,
                        "LIKE pattern must not end with escape character",
                    ));
                }
            },
            '\\' => written.push_str("\\\\"),
            other => written.push(other),
        }
    }
    Ok(Cell::from(written))
}

/// The length of a list of one dimension; None for an empty one and for other dimensions.
fn length(arguments: &[Cell]) -> Option<i64> {
    match arguments {
        [Cell::Int(length), Cell::Int(1), ..] if *length > 0 => Some(*length),
        _ => None,
    }
}

pub fn subscripts(_: &Facts, arguments: &[Cell]) -> Result<Cell> {
    let from = arguments.get(2).and_then(Cell::int).unwrap_or(1);
    Ok(Cell::Ints((from..from + length(arguments).unwrap_or(0)).collect()))
}
