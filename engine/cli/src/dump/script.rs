//! Objects as statements.

use std::io::Write;

use aion_base::Result;

use super::objects::{Column, Constraint, Name, Objects, Sequence, Table, View, literal, quoted, unwritten};

/// What every script begins with: nothing that the session has set changes what it means.
const HEAD: &str = "--
-- Aion database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET client_min_messages = warning;
";

/// Schemas, types, sequences and tables.
pub fn before_rows(objects: &Objects, out: &mut impl Write) -> Result<()> {
    let mut text = HEAD.to_owned();
    for schema in &objects.schemas {
        text.push_str(&format!("\nCREATE SCHEMA {};\n", quoted(schema)));
    }
    for one in &objects.enums {
        let labels: Vec<_> = one.labels.iter().map(|label| literal(label)).collect();
        let labels = labels.join(", ");
        text.push_str(&format!("\nCREATE TYPE {} AS ENUM ({labels});\n", one.name.sql()));
    }
    let of_identity = |sequence: &&Sequence| sequence.owner.as_ref().is_some_and(|owner| owner.is_identity);
    for sequence in objects.sequences.iter().filter(|sequence| !of_identity(sequence)) {
        let data_type = &sequence.data_type;
        text.push_str(&format!(
            "\nCREATE SEQUENCE {}\n    AS {data_type}{};\n",
            sequence.name.sql(),
            sequence_options(sequence)
        ));
    }
    for table in &objects.tables {
        text.push_str(&create_table(table));
    }
    for sequence in &objects.sequences {
        let Some(owner) = &sequence.owner else {
            continue;
        };
        let (table, column) = (owner.table.sql(), quoted(&owner.column));
        let of = objects.tables.iter().find(|table| table.name == owner.table);
        let of = of.and_then(|table| table.columns.iter().find(|of| of.name == owner.column));
        let identity = of.and_then(|of| of.identity).filter(|_| owner.is_identity);
        match identity {
            Some(identity) => text.push_str(&format!(
                "\nALTER TABLE {table} ALTER COLUMN {column} ADD GENERATED {identity} AS IDENTITY (\n    \
                 SEQUENCE NAME {}{}\n);\n",
                sequence.name.sql(),
                sequence_options(sequence)
            )),
            None => text.push_str(&format!(
                "\nALTER SEQUENCE {} OWNED BY {table}.{column};\n",
                sequence.name.sql()
            )),
        }
    }
    out.write_all(text.as_bytes()).map_err(unwritten)
}

fn sequence_options(sequence: &Sequence) -> String {
    let (low, high) = match sequence.data_type.as_str() {
        "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
        "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let (min, max) = match sequence.increment > 0 {
        true => (1, high),
        false => (low, -1),
    };
    let bound = |word: &str, value: i64, default: i64| match value == default {
        true => format!("NO {word}"),
        false => format!("{word} {value}"),
    };
    format!(
        "\n    START WITH {}\n    INCREMENT BY {}\n    {}\n    {}\n    CACHE {}{}",
        sequence.start,
        sequence.increment,
        bound("MINVALUE", sequence.min, min),
        bound("MAXVALUE", sequence.max, max),
        sequence.cache,
        if sequence.is_cycle { "\n    CYCLE" } else { "" }
    )
}

fn create_table(table: &Table) -> String {
    let mut lines: Vec<String> = table.columns.iter().map(column).collect();
    let constraints = table.checks.iter().chain(&table.primary_key);
    lines.extend(constraints.map(|one| format!("CONSTRAINT {} {}", quoted(&one.name), one.definition)));
    let inside = match lines.is_empty() {
        true => String::new(),
        false => format!("    {}\n", lines.join(",\n    ")),
    };
    let options: Vec<String> = table
        .options
        .iter()
        .map(|option| match option.split_once('=') {
            Some((name, value)) => format!("{}={}", quoted(name), literal(value)),
            None => quoted(option),
        })
        .collect();
    let with = match options.is_empty() {
        true => String::new(),
        false => format!("\nWITH ({})", options.join(", ")),
    };
    format!("\nCREATE TABLE {} (\n{inside}){with};\n", table.name.sql())
}

fn column(column: &Column) -> String {
    let mut line = format!("{} {}", quoted(&column.name), column.data_type);
    match (&column.default, column.is_generated) {
        (Some(expression), true) => line.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED")),
        (Some(default), false) => line.push_str(&format!(" DEFAULT {default}")),
        (None, _) => {}
    }
    if !column.is_nullable {
        line.push_str(" NOT NULL");
    }
    line
}

/// Where the sequences are.
pub fn states(states: &[(Name, String, bool)], out: &mut impl Write) -> Result<()> {
    let mut text = String::new();
    for (name, last, is_called) in states {
        text.push_str(&format!(
            "\nSELECT pg_catalog.setval({}, {last}, {is_called});\n",
            literal(&name.sql())
        ));
    }
    out.write_all(text.as_bytes()).map_err(unwritten)
}

/// What is made once the rows are there.
pub fn after_rows(objects: &Objects, out: &mut impl Write) -> Result<()> {
    let mut text = String::new();
    for (table, constraint) in constraints(objects, |table| &table.unique) {
        text.push_str(&add_constraint(table, constraint));
    }
    for index in objects.tables.iter().flat_map(|table| &table.indexes) {
        text.push_str(&format!("\n{index};\n"));
    }
    for (table, key) in constraints(objects, |table| &table.foreign_keys) {
        text.push_str(&add_constraint(table, key));
    }
    for graph in &objects.graphs {
        text.push_str(&format!("\n{};\n", graph.definition));
    }
    views(&objects.views, &mut text);
    for comment in &objects.comments {
        text.push_str(&format!("\nCOMMENT ON {} IS {};\n", comment.on, literal(&comment.text)));
    }
    text.push_str("\n--\n-- Aion database dump complete\n--\n");
    out.write_all(text.as_bytes()).map_err(unwritten)
}

/// Constraints of one kind of all tables.
fn constraints(objects: &Objects, of: fn(&Table) -> &Vec<Constraint>) -> impl Iterator<Item = (&Table, &Constraint)> {
    let tables = objects.tables.iter();
    tables.flat_map(move |table| of(table).iter().map(move |constraint| (table, constraint)))
}

fn add_constraint(table: &Table, constraint: &Constraint) -> String {
    format!(
        "\nALTER TABLE ONLY {}\n    ADD CONSTRAINT {} {};\n",
        table.name.sql(),
        quoted(&constraint.name),
        constraint.definition
    )
}

/// Each along the path that its names are looked up on.
fn views(views: &[View], text: &mut String) {
    let mut current: &[String] = &[];
    let set = |path: &[String]| {
        let path: Vec<_> = path.iter().map(|schema| quoted(schema)).collect();
        let path = literal(&path.join(", "));
        format!("\nSELECT pg_catalog.set_config('search_path', {path}, false);\n")
    };
    for view in views {
        if view.search_path != current {
            text.push_str(&set(&view.search_path));
            current = &view.search_path;
        }
        let columns: Vec<_> = view.columns.iter().map(|column| quoted(column)).collect();
        let kind = view.held.as_ref().map_or("VIEW", |_| "MATERIALIZED VIEW");
        let is_without = view.held.as_ref().is_some_and(|held| !held.is_populated);
        let data = if is_without { "\nWITH NO DATA" } else { "" };
        // What follows a comment would be a part of it.
        let end = if view.query.contains("--") { "\n;" } else { ";" };
        text.push_str(&format!(
            "\nCREATE {kind} {} ({}) AS\n{}{data}{end}\n",
            view.name.sql(),
            columns.join(", "),
            view.query
        ));
        for index in view.held.iter().flat_map(|held| &held.indexes) {
            text.push_str(&format!("\n{index};\n"));
        }
    }
    if !current.is_empty() {
        text.push_str(&set(&[]));
    }
}
