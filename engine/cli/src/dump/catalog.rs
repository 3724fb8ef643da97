//! Reading the objects out of the catalog: each of its tables once, whole, and put together here by their oids.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use aion_base::{Error, Result};

use super::objects::{
    Column, Comment, Constraint, Enum, Graph, Held, Name, Objects, Owner, Sequence, Table, View, items, quoted,
};
use crate::shell::{Complaint, Connection};

type Rows = Vec<Vec<Option<String>>>;

/// A relation.
struct Class {
    name: Name,
    kind: String,
    options: Vec<String>,
}

/// What is read before it is put together.
struct Read {
    classes: BTreeMap<String, Class>,
    columns: Rows,
    defaults: HashMap<(String, String), String>,
    constraints: Rows,
    indexes: Rows,
    /// The column of a table that a sequence goes with, and how: by the sequence's oid.
    owners: HashMap<String, (String, String, String)>,
}

/// The schemas that are always there.
fn is_system(schema: &str) -> bool {
    schema.starts_with("pg_") || matches!(schema, "information_schema" | "aion")
}

fn text(row: &[Option<String>], at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}

fn is_true(row: &[Option<String>], at: usize) -> bool {
    text(row, at) == "t"
}

fn number<T: FromStr>(row: &[Option<String>], at: usize) -> Result<T> {
    let text = text(row, at);
    text.parse()
        .map_err(|_| Error::internal(format!("the catalog has \"{text}\" where a number stands")))
}

/// All objects that users made.
///
/// # Errors
/// What the database says.
pub async fn read(connection: &mut Connection) -> Result<Objects, Box<Complaint>> {
    let namespaces = connection.ask("SELECT oid, nspname FROM pg_namespace").await?;
    let namespaces: HashMap<&str, &str> = namespaces.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    let name_in = |namespace: &str, name: &str| {
        let schema = namespaces.get(namespace).filter(|schema| !is_system(schema))?;
        Some(Name {
            schema: (*schema).to_owned(),
            name: name.to_owned(),
        })
    };
    let classes = connection
        .ask("SELECT oid, relname, relnamespace, relkind, reloptions FROM pg_class")
        .await?;
    let classes = classes.iter().filter_map(|row| {
        let class = Class {
            name: name_in(text(row, 2), text(row, 1))?,
            kind: text(row, 3).to_owned(),
            options: items(text(row, 4)),
        };
        Some((text(row, 0).to_owned(), class))
    });
    let read = read_parts(connection, classes.collect()).await?;
    let mut schemas: Vec<String> = namespaces.values().map(|schema| (*schema).to_owned()).collect();
    schemas.retain(|schema| !is_system(schema) && schema != "public");
    schemas.sort();
    let mut enums = enums(connection, &name_in).await?;
    enums.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Objects {
        schemas,
        enums,
        sequences: sequences(connection, &read).await?,
        tables: tables(&read),
        graphs: graphs(connection, &read).await?,
        views: views(connection, &read).await?,
        comments: comments(connection, &read, &namespaces).await?,
    })
}

async fn read_parts(connection: &mut Connection, classes: BTreeMap<String, Class>) -> Result<Read, Box<Complaint>> {
    let columns = connection
        .ask(
            "SELECT attrelid, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated \
             FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum",
        )
        .await?;
    let defaults = connection
        .ask("SELECT adrelid, adnum, pg_get_expr(adbin, adrelid) FROM pg_attrdef")
        .await?;
    let defaults = defaults.iter().map(|row| {
        let place = (text(row, 0).to_owned(), text(row, 1).to_owned());
        (place, text(row, 2).to_owned())
    });
    let constraints = connection
        .ask("SELECT oid, conname, conrelid, contype, conindid, pg_get_constraintdef(oid) FROM pg_constraint")
        .await?;
    let indexes = connection
        .ask("SELECT indexrelid, indrelid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indisvalid")
        .await?;
    let owners = connection
        .ask(
            "SELECT objid, refobjid, refobjsubid, deptype FROM pg_depend \
             WHERE classid = 1259 AND refclassid = 1259 AND refobjsubid > 0 AND deptype IN ('a', 'i')",
        )
        .await?;
    let owners = owners.iter().map(|row| {
        let [sequence, table, column, kind] = [0, 1, 2, 3].map(|at| text(row, at).to_owned());
        (sequence, (table, column, kind))
    });
    Ok(Read {
        classes,
        columns,
        defaults: defaults.collect(),
        constraints,
        indexes,
        owners: owners.collect(),
    })
}

async fn enums(
    connection: &mut Connection,
    name_in: &dyn Fn(&str, &str) -> Option<Name>,
) -> Result<Vec<Enum>, Box<Complaint>> {
    let types = connection
        .ask("SELECT oid, typname, typnamespace FROM pg_type WHERE typtype = 'e'")
        .await?;
    let labels = connection
        .ask("SELECT enumtypid, enumlabel FROM pg_enum ORDER BY enumtypid, enumsortorder")
        .await?;
    let enums = types.iter().filter_map(|row| {
        let its = labels.iter().filter(|label| text(label, 0) == text(row, 0));
        Some(Enum {
            name: name_in(text(row, 2), text(row, 1))?,
            labels: its.map(|label| text(label, 1).to_owned()).collect(),
        })
    });
    Ok(enums.collect())
}

async fn sequences(connection: &mut Connection, read: &Read) -> Result<Vec<Sequence>, Box<Complaint>> {
    let rows = connection
        .ask(
            "SELECT seqrelid, format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle \
             FROM pg_sequence",
        )
        .await?;
    let mut sequences = Vec::new();
    for row in &rows {
        let Some(class) = read.classes.get(text(row, 0)) else {
            continue;
        };
        let owner = read.owners.get(text(row, 0)).and_then(|(table, column, kind)| {
            let its = |row: &&Vec<Option<String>>| text(row, 0) == table && text(row, 1) == column;
            Some(Owner {
                table: read.classes.get(table)?.name.clone(),
                column: text(read.columns.iter().find(its)?, 2).to_owned(),
                is_identity: kind == "i",
            })
        });
        sequences.push(Sequence {
            name: class.name.clone(),
            data_type: text(row, 1).to_owned(),
            start: number(row, 2)?,
            increment: number(row, 3)?,
            min: number(row, 4)?,
            max: number(row, 5)?,
            cache: number(row, 6)?,
            is_cycle: is_true(row, 7),
            owner,
        });
    }
    sequences.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sequences)
}

/// Where the sequences are: the last number, and whether it was given.
///
/// # Errors
/// What the database says.
pub async fn states(
    connection: &mut Connection,
    objects: &Objects,
) -> Result<Vec<(Name, String, bool)>, Box<Complaint>> {
    let mut states = Vec::new();
    for sequence in &objects.sequences {
        let name = &sequence.name;
        let rows = connection
            .ask(&format!("SELECT last_value, is_called FROM {}", name.sql()))
            .await?;
        for row in &rows {
            states.push((name.clone(), text(row, 0).to_owned(), is_true(row, 1)));
        }
    }
    Ok(states)
}

fn tables(read: &Read) -> Vec<Table> {
    let mut tables: Vec<Table> = read
        .classes
        .iter()
        .filter(|(_, class)| class.kind == "r")
        .map(|(oid, class)| table(read, oid, class))
        .collect();
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    tables
}

fn table(read: &Read, oid: &str, class: &Class) -> Table {
    let columns = read.columns.iter().filter(|row| text(row, 0) == oid).map(|row| {
        let place = (oid.to_owned(), text(row, 1).to_owned());
        Column {
            name: text(row, 2).to_owned(),
            data_type: text(row, 3).to_owned(),
            is_nullable: !is_true(row, 4),
            default: read.defaults.get(&place).cloned(),
            is_generated: text(row, 6) == "s",
            identity: match text(row, 5) {
                "a" => Some("ALWAYS"),
                "d" => Some("BY DEFAULT"),
                _ => None,
            },
        }
    });
    let its = |letter: &str| {
        let mut found: Vec<Constraint> = read
            .constraints
            .iter()
            .filter(|row| text(row, 2) == oid && text(row, 3) == letter)
            .map(|row| Constraint {
                name: text(row, 1).to_owned(),
                definition: text(row, 5).to_owned(),
            })
            .collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    };
    Table {
        name: class.name.clone(),
        columns: columns.collect(),
        options: class.options.clone(),
        primary_key: its("p").pop(),
        checks: its("c"),
        unique: its("u"),
        foreign_keys: its("f"),
        indexes: indexes(read, oid),
    }
}

/// The indexes of a table that are there for no constraint, as CREATE INDEX, in the order of their names.
fn indexes(read: &Read, table: &str) -> Vec<String> {
    let is_of_constraint = |index: &str| {
        let mut constraints = read.constraints.iter();
        constraints.any(|row| matches!(text(row, 3), "p" | "u") && text(row, 4) == index)
    };
    let mut indexes: Vec<(&Name, String)> = read
        .indexes
        .iter()
        .filter(|row| text(row, 1) == table && !is_of_constraint(text(row, 0)))
        .filter_map(|row| Some((&read.classes.get(text(row, 0))?.name, text(row, 2).to_owned())))
        .collect();
    indexes.sort();
    indexes.into_iter().map(|(_, definition)| definition).collect()
}

async fn graphs(connection: &mut Connection, read: &Read) -> Result<Vec<Graph>, Box<Complaint>> {
    let rows = connection
        .ask("SELECT oid, pg_get_propgraphdef(oid) FROM pg_class WHERE relkind = 'g'")
        .await?;
    let graphs = rows.iter().filter_map(|row| {
        Some(Graph {
            name: read.classes.get(text(row, 0))?.name.clone(),
            definition: text(row, 1).to_owned(),
        })
    });
    let mut graphs: Vec<Graph> = graphs.collect();
    graphs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(graphs)
}

async fn views(connection: &mut Connection, read: &Read) -> Result<Vec<View>, Box<Complaint>> {
    let rows = connection
        .ask(
            "SELECT schemaname, viewname, search_path, columns, query_columns, uses, definition, is_materialized, is_populated \
             FROM aion.views",
        )
        .await?;
    let mut views = BTreeMap::new();
    for row in &rows {
        let name = Name {
            schema: text(row, 0).to_owned(),
            name: text(row, 1).to_owned(),
        };
        let search_path = items(text(row, 2));
        let query = whole_query(connection, &search_path, &items(text(row, 4)), text(row, 6)).await?;
        let mut classes = read.classes.iter();
        let class = classes.find(|(_, class)| class.kind == "m" && class.name == name);
        let held = class.filter(|_| is_true(row, 7)).map(|(oid, _)| Held {
            is_populated: is_true(row, 8),
            indexes: indexes(read, oid),
        });
        let view = View {
            held,
            search_path,
            columns: items(text(row, 3)),
            query,
            uses: items(text(row, 5)),
            name: name.clone(),
        };
        views.insert(name.sql(), view);
    }
    connection
        .ask("SELECT pg_catalog.set_config('search_path', '', false)")
        .await?;
    // Each after those that it uses; there are no cycles.
    let mut ordered: Vec<View> = Vec::with_capacity(views.len());
    while !views.is_empty() {
        let ready: Vec<String> = views
            .iter()
            .filter(|(_, view)| !view.uses.iter().any(|used| views.contains_key(used)))
            .map(|(name, _)| name.clone())
            .collect();
        if ready.is_empty() {
            return Err(Error::internal("views use each other in a circle").into());
        }
        ordered.extend(ready.iter().filter_map(|name| views.remove(name)));
    }
    Ok(ordered)
}

/// The query of a view, which gives its columns and no others: where a `*` gives more by now, those that were there are picked.
async fn whole_query(
    connection: &mut Connection,
    path: &[String],
    wanted: &[String],
    query: &str,
) -> Result<String, Box<Complaint>> {
    let path: Vec<_> = path.iter().map(|schema| quoted(schema)).collect();
    let path = path.join(", ").replace('\'', "''");
    connection
        .ask(&format!("SELECT pg_catalog.set_config('search_path', '{path}', false)"))
        .await?;
    let given = connection.columns(query).await?;
    if given == wanted {
        return Ok(query.to_owned());
    }
    let names: Vec<String> = (1..=given.len()).map(|at| format!("column_{at}")).collect();
    let mut next = 0;
    let mut picked = Vec::new();
    for column in wanted {
        let found = given[next..].iter().position(|name| name == column);
        let Some(offset) = found else {
            // The view cannot be read either; its own text says what is wrong.
            return Ok(query.to_owned());
        };
        picked.push(format!("{} AS {}", names[next + offset], quoted(column)));
        next += offset + 1;
    }
    Ok(format!(
        "SELECT {} FROM (\n{query}\n) AS given ({})",
        picked.join(", "),
        names.join(", ")
    ))
}

async fn comments(
    connection: &mut Connection,
    read: &Read,
    namespaces: &HashMap<&str, &str>,
) -> Result<Vec<Comment>, Box<Complaint>> {
    let rows = connection
        .ask("SELECT objoid, classoid, objsubid, description FROM pg_description")
        .await?;
    let comments = rows.iter().filter_map(|row| {
        let (of, on) = commented(read, namespaces, text(row, 0), text(row, 1), text(row, 2))?;
        Some(Comment {
            of,
            on,
            text: text(row, 3).to_owned(),
        })
    });
    let mut comments: Vec<Comment> = comments.collect();
    comments.sort_by(|one, other| (&one.of, &one.on).cmp(&(&other.of, &other.on)));
    Ok(comments)
}

/// What a comment is on: the relation, and all of it as COMMENT ON takes it.
fn commented(
    read: &Read,
    namespaces: &HashMap<&str, &str>,
    oid: &str,
    catalog: &str,
    number: &str,
) -> Option<(Name, String)> {
    const PG_CLASS: &str = "1259";
    const PG_CONSTRAINT: &str = "2606";
    const PG_NAMESPACE: &str = "2615";
    match catalog {
        PG_CLASS if number != "0" => {
            let of = &read.classes.get(oid)?.name;
            let its = |row: &&Vec<Option<String>>| text(row, 0) == oid && text(row, 1) == number;
            let column = text(read.columns.iter().find(its)?, 2);
            Some((of.clone(), format!("COLUMN {}.{}", of.sql(), quoted(column))))
        }
        PG_CLASS => {
            let class = read.classes.get(oid)?;
            let kind = match class.kind.as_str() {
                "r" => "TABLE",
                "m" => "MATERIALIZED VIEW",
                "v" => "VIEW",
                "S" => "SEQUENCE",
                "i" => "INDEX",
                _ => return None,
            };
            // An index goes with its table.
            let of_index = read.indexes.iter().find(|row| text(row, 0) == oid);
            let of = of_index.and_then(|row| read.classes.get(text(row, 1))).unwrap_or(class);
            Some((of.name.clone(), format!("{kind} {}", class.name.sql())))
        }
        PG_CONSTRAINT => {
            let row = read.constraints.iter().find(|row| text(row, 0) == oid)?;
            let of = &read.classes.get(text(row, 2))?.name;
            Some((
                of.clone(),
                format!("CONSTRAINT {} ON {}", quoted(text(row, 1)), of.sql()),
            ))
        }
        PG_NAMESPACE => {
            let schema = (*namespaces.get(oid)?).to_owned();
            let on = format!("SCHEMA {}", quoted(&schema));
            let name = String::new();
            Some((Name { schema, name }, on))
        }
        _ => None,
    }
}
