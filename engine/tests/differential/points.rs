//! Statements about single rows, few forms and many values: what goes the direct path, and is one statement whatever its literals.

use aion_base::rng::SeededRng;

use super::literals::spelled;
use super::world::{Column, Table, World, index, pick};

/// A statement about a row; None where no table has a key.
pub fn point(rng: &mut SeededRng, world: &World) -> Option<String> {
    let keyed: Vec<&Table> = world.tables.iter().filter(|table| !table.keys.is_empty()).collect();
    if keyed.is_empty() {
        return None;
    }
    let table = keyed[index(rng, keyed.len())];
    let name = &table.name;
    let column = &table.columns[index(rng, table.columns.len())];
    let at_key = at_key(rng, table)?;
    Some(match rng.below(13) {
        0..3 => format!("SELECT * FROM {name} WHERE {at_key}"),
        3 => format!(
            "SELECT {} FROM {name} WHERE {at_key} LIMIT {}",
            column.name,
            rng.below(3)
        ),
        4 => format!(
            "SELECT {} FROM {name} WHERE {at_key} AND {} {} {}",
            column.name,
            column.name,
            pick(rng, &["=", "<", ">=", "<>"]),
            spelled(rng, column.kind)
        ),
        5 => {
            let key = key(rng, table)?;
            let (one, other) = (spelled(rng, key.kind), spelled(rng, key.kind));
            match rng.below(2) {
                0 => format!("SELECT * FROM {name} WHERE {} IN ({one}, {other})", key.name),
                _ => format!("SELECT * FROM {name} WHERE {} BETWEEN {one} AND {other}", key.name),
            }
        }
        6..9 => insert(rng, table),
        9..11 if !column.is_serial => {
            let set = match (column.kind.is_whole(), rng.below(2)) {
                (true, 0) => format!(
                    "{} {} {}",
                    column.name,
                    pick(rng, &["+", "-"]),
                    spelled(rng, column.kind)
                ),
                _ => spelled(rng, column.kind),
            };
            format!("UPDATE {name} SET {} = {set} WHERE {at_key}", column.name)
        }
        9..12 => format!("DELETE FROM {name} WHERE {at_key}"),
        _ => format!(
            "SELECT {}, {}, {} FROM {name} WHERE {at_key}",
            spelled(rng, column.kind),
            column.name,
            rng.below(9)
        ),
    })
}

/// The column of a key of one.
fn key<'a>(rng: &mut SeededRng, table: &'a Table) -> Option<&'a Column> {
    let key = &table.keys[index(rng, table.keys.len())];
    table.columns.iter().find(|column| key.first() == Some(&column.name))
}

fn at_key(rng: &mut SeededRng, table: &Table) -> Option<String> {
    let key = &table.keys[index(rng, table.keys.len())];
    let columns = key.iter().map(|name| {
        let column = table.columns.iter().find(|column| column.name == *name)?;
        Some(format!("{name} = {}", spelled(rng, column.kind)))
    });
    Some(columns.collect::<Option<Vec<_>>>()?.join(" AND "))
}

fn insert(rng: &mut SeededRng, table: &Table) -> String {
    let columns: Vec<&Column> = table.columns.iter().filter(|column| !column.is_serial).collect();
    if columns.is_empty() {
        return format!("INSERT INTO {} DEFAULT VALUES", table.name);
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let values: Vec<String> = columns.iter().map(|column| spelled(rng, column.kind)).collect();
    format!(
        "INSERT INTO {} ({}) VALUES ({}){}",
        table.name,
        names.join(", "),
        values.join(", "),
        pick(rng, &["", "", " ON CONFLICT DO NOTHING", " RETURNING *"])
    )
}
