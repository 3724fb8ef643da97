//! INSERT, UPDATE, DELETE, ON CONFLICT and TRUNCATE.

use aion_base::rng::SeededRng;

use super::expressions::{Scope, boolean, expression};
use super::literals::spelled;
use super::world::{Column, Kind, Table, World, index};

/// A change of the rows of a table.
pub fn change(rng: &mut SeededRng, world: &World) -> Option<String> {
    if world.tables.is_empty() {
        return None;
    }
    let table = &world.tables[index(rng, world.tables.len())];
    Some(match rng.below(20) {
        0..8 => insert(rng, world, table),
        8..10 => upsert(rng, world, table),
        10 => insert_select(rng, world, table),
        11..15 => update(rng, world, table),
        15 => update_from(rng, world, table),
        16..18 => delete(rng, world, table),
        18 => delete_using(rng, world, table),
        _ => match rng.below(3) {
            0 => format!("TRUNCATE {} RESTART IDENTITY", table.name),
            _ => format!("TRUNCATE {}", table.name),
        },
    })
}

fn scope<'a>(world: &'a World, table: &Table, alias: &str) -> Scope<'a> {
    let columns = table.columns.iter();
    Scope {
        world,
        columns: columns
            .map(|column| (format!("{alias}.{}", column.name), column.kind))
            .collect(),
    }
}

fn returning(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    match rng.below(5) {
        0 => " RETURNING *".to_owned(),
        1 => {
            let column = &table.columns[index(rng, table.columns.len())];
            let scope = Scope {
                // A subquery in RETURNING sees other rows here: known.
                world: &World::default(),
                columns: scope(world, table, &table.name).columns,
            };
            format!(" RETURNING {} AS r", expression(rng, &scope, column.kind, 2))
        }
        _ => String::new(),
    }
}

/// The columns that a statement gives values for.
fn given<'a>(rng: &mut SeededRng, table: &'a Table) -> Vec<&'a Column> {
    let mut columns: Vec<&Column> = table.columns.iter().filter(|column| !column.is_serial).collect();
    if columns.len() > 1 && rng.chance(1, 4) {
        columns.remove(index(rng, columns.len()));
    }
    columns
}

fn value(rng: &mut SeededRng, column: &Column) -> String {
    let none = Scope {
        world: &World::default(),
        columns: Vec::new(),
    };
    match rng.below(12) {
        0 => "DEFAULT".to_owned(),
        1 => "NULL".to_owned(),
        2 => expression(rng, &none, column.kind, 1),
        _ => spelled(rng, column.kind),
    }
}

fn rows(rng: &mut SeededRng, table: &Table) -> String {
    let columns = given(rng, table);
    if columns.is_empty() {
        return format!("INSERT INTO {} DEFAULT VALUES", table.name);
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    // A statement that fails has taken the numbers of all of its rows here, and of those up to the bad one there.
    let rows_max = if table.columns.iter().any(|column| column.is_serial) {
        1
    } else {
        4
    };
    let rows: Vec<String> = (0..1 + rng.below(rows_max))
        .map(|_| {
            let values: Vec<String> = columns.iter().map(|column| value(rng, column)).collect();
            format!("({})", values.join(", "))
        })
        .collect();
    format!(
        "INSERT INTO {} ({}) VALUES {}",
        table.name,
        names.join(", "),
        rows.join(", ")
    )
}

fn insert(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    format!("{}{}", rows(rng, table), returning(rng, world, table))
}

fn upsert(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    let rows = rows(rng, table);
    let target = match table.keys.len() {
        0 => "",
        length => &table.keys[index(rng, length)].join(", "),
    };
    let action = match (target, rng.below(3)) {
        ("", _) => "ON CONFLICT DO NOTHING".to_owned(),
        (target, 0) => format!("ON CONFLICT ({target}) DO NOTHING"),
        (target, _) => {
            let mut scope = scope(world, table, &table.name);
            scope.columns.extend(
                table
                    .columns
                    .iter()
                    .map(|of| (format!("excluded.{}", of.name), of.kind)),
            );
            let set = assignments(rng, &scope, table);
            let filter = match rng.below(3) {
                0 => format!(" WHERE {}", boolean(rng, &scope, 1)),
                _ => String::new(),
            };
            match set.is_empty() {
                true => format!("ON CONFLICT ({target}) DO NOTHING"),
                false => format!("ON CONFLICT ({target}) DO UPDATE SET {set}{filter}"),
            }
        }
    };
    format!("{rows} {action}{}", returning(rng, world, table))
}

fn insert_select(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    let relations = world.relations();
    let from = relations[index(rng, relations.len())];
    let scope = scope(world, from, "f");
    let columns = given(rng, table);
    // In which order a column numbers the rows of a SELECT is nobody's promise.
    let is_numbered = table.columns.iter().any(|column| column.is_serial);
    if columns.is_empty() || is_numbered {
        return insert(rng, world, table);
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let values: Vec<String> = columns
        .iter()
        .map(|column| expression(rng, &scope, column.kind, 1))
        .collect();
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {} f WHERE {}{}",
        table.name,
        names.join(", "),
        values.join(", "),
        from.name,
        boolean(rng, &scope, 1),
        returning(rng, world, table)
    )
}

/// SET. Keys get constants: which of two rows that become equal is told of depends on the order in which they are taken.
fn assignments(rng: &mut SeededRng, scope: &Scope<'_>, table: &Table) -> String {
    let columns: Vec<&Column> = table.columns.iter().filter(|column| !column.is_serial).collect();
    let mut taken: Vec<String> = Vec::new();
    for column in columns {
        if !rng.chance(1, 2) {
            continue;
        }
        let value = match (rng.below(10), table.is_key(&column.name)) {
            (0, _) => "DEFAULT".to_owned(),
            (_, true) => spelled(rng, column.kind),
            _ => expression(rng, scope, column.kind, 2),
        };
        taken.push(format!("{} = {value}", column.name));
    }
    taken.join(", ")
}

fn update(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    let scope = scope(world, table, &table.name);
    let set = assignments(rng, &scope, table);
    if set.is_empty() {
        return delete(rng, world, table);
    }
    let filter = match rng.below(5) {
        0 => String::new(),
        _ => format!(" WHERE {}", boolean(rng, &scope, 2)),
    };
    format!(
        "UPDATE {} SET {set}{filter}{}",
        table.name,
        returning(rng, world, table)
    )
}

/// One row of the other table at most for each, or it is nobody's promise which one it is.
fn update_from(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    let relations = world.relations();
    let other = relations[index(rng, relations.len())];
    let own = scope(world, table, &table.name);
    let Some(column) = table
        .columns
        .iter()
        .find(|column| !column.is_serial && !table.is_key(&column.name))
    else {
        return delete(rng, world, table);
    };
    let Some(from) = other.columns.iter().find(|of| of.kind == column.kind) else {
        return update(rng, world, table);
    };
    let aggregate = if from.kind == Kind::Boolean { "bool_or" } else { "max" };
    format!(
        "UPDATE {} SET {} = o.v FROM (SELECT {aggregate}({}) AS v FROM {}) o WHERE {}",
        table.name,
        column.name,
        from.name,
        other.name,
        boolean(rng, &own, 1)
    )
}

fn delete(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    let scope = scope(world, table, &table.name);
    format!(
        "DELETE FROM {} WHERE {}{}",
        table.name,
        boolean(rng, &scope, 2),
        returning(rng, world, table)
    )
}

fn delete_using(rng: &mut SeededRng, world: &World, table: &Table) -> String {
    let relations = world.relations();
    let other = relations[index(rng, relations.len())];
    let mut scope = scope(world, table, &table.name);
    scope.columns.extend(
        other
            .columns
            .iter()
            .map(|column| (format!("o.{}", column.name), column.kind)),
    );
    format!(
        "DELETE FROM {} USING {} o WHERE {}",
        table.name,
        other.name,
        boolean(rng, &scope, 1)
    )
}
