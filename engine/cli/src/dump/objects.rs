//! What a database consists of, as far as a script can make it again; and which of it is wanted.

use std::collections::BTreeSet;

use aion_base::{Error, Result, SqlState};

/// A name in its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub schema: String,
    pub name: String,
}

impl Name {
    /// As SQL must write it.
    pub fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// All that is written, each kind in the order of its names.
#[derive(Debug, Default)]
pub struct Objects {
    pub schemas: Vec<String>,
    pub enums: Vec<Enum>,
    pub sequences: Vec<Sequence>,
    pub tables: Vec<Table>,
    pub graphs: Vec<Graph>,
    /// Each after those that it uses.
    pub views: Vec<View>,
    pub comments: Vec<Comment>,
}

/// A type whose values are listed.
#[derive(Debug)]
pub struct Enum {
    pub name: Name,
    pub labels: Vec<String>,
}

/// A sequence.
#[derive(Debug)]
pub struct Sequence {
    pub name: Name,
    pub data_type: String,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cache: i64,
    pub is_cycle: bool,
    pub owner: Option<Owner>,
}

/// The column that a sequence goes with.
#[derive(Debug)]
pub struct Owner {
    pub table: Name,
    pub column: String,
    /// The sequence is that of an identity column, and is made with it.
    pub is_identity: bool,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    pub name: Name,
    pub columns: Vec<Column>,
    /// `name=value`.
    pub options: Vec<String>,
    pub primary_key: Option<Constraint>,
    pub checks: Vec<Constraint>,
    pub unique: Vec<Constraint>,
    pub foreign_keys: Vec<Constraint>,
    /// As CREATE INDEX.
    pub indexes: Vec<String>,
}

/// A column of a table.
#[derive(Debug)]
pub struct Column {
    pub name: String,
    pub data_type: String,
    pub is_nullable: bool,
    /// What it is generated from, of a generated column.
    pub default: Option<String>,
    pub is_generated: bool,
    /// ALWAYS or BY DEFAULT.
    pub identity: Option<&'static str>,
}

/// A constraint, with its definition as ALTER TABLE takes it.
#[derive(Debug)]
pub struct Constraint {
    pub name: String,
    pub definition: String,
}

/// A property graph, as CREATE PROPERTY GRAPH.
#[derive(Debug)]
pub struct Graph {
    pub name: Name,
    pub definition: String,
}

/// A view, or a materialized one.
#[derive(Debug)]
pub struct View {
    pub name: Name,
    /// What a materialized one has besides.
    pub held: Option<Held>,
    pub search_path: Vec<String>,
    pub columns: Vec<String>,
    pub query: String,
    /// Names as SQL writes them.
    pub uses: Vec<String>,
}

/// What a materialized view has that others have not.
#[derive(Debug)]
pub struct Held {
    pub is_populated: bool,
    /// Its indexes, as CREATE INDEX.
    pub indexes: Vec<String>,
}

/// A comment.
#[derive(Debug)]
pub struct Comment {
    /// What it is on, with the table of a constraint or column.
    pub of: Name,
    /// `TABLE a.b`, as COMMENT ON takes it.
    pub on: String,
    pub text: String,
}

/// What is asked for.
#[derive(Debug)]
pub struct Selection {
    schemas: BTreeSet<String>,
    tables: Vec<(Option<String>, String)>,
}

impl Selection {
    /// # Errors
    /// 42602 for what is no name.
    pub fn new(schemas: &[String], tables: &[String]) -> Result<Self> {
        let no_name = |text: &str| Error::invalid(SqlState::INVALID_NAME, format!("\"{text}\" is no name"));
        let one = |text: &String| match split_name(text).as_deref() {
            Some([name]) => Ok(name.clone()),
            _ => Err(no_name(text)),
        };
        let pair = |text: &String| match split_name(text).as_deref() {
            Some([name]) => Ok((None, name.clone())),
            Some([schema, name]) => Ok((Some(schema.clone()), name.clone())),
            _ => Err(no_name(text)),
        };
        Ok(Self {
            schemas: schemas.iter().map(one).collect::<Result<_>>()?,
            tables: tables.iter().map(pair).collect::<Result<_>>()?,
        })
    }

    fn has(&self, name: &Name) -> bool {
        let is_it = |(schema, table): &(Option<String>, String)| {
            *table == name.name && schema.as_ref().is_none_or(|schema| *schema == name.schema)
        };
        (self.schemas.is_empty() || self.schemas.contains(&name.schema))
            && (self.tables.is_empty() || self.tables.iter().any(is_it))
    }
}

impl Objects {
    /// What is wanted of it; a schema is made only where whole schemas are.
    ///
    /// # Errors
    /// 3F000 and 42P01 for what is not there.
    pub fn choose(mut self, selection: &Selection) -> Result<Self> {
        if let Some(missing) = selection
            .schemas
            .iter()
            .find(|schema| *schema != "public" && !self.schemas.contains(schema))
        {
            let message = format!("schema \"{missing}\" does not exist");
            return Err(Error::not_found(SqlState::INVALID_SCHEMA_NAME, message));
        }
        let has_tables = !selection.tables.is_empty();
        self.schemas
            .retain(|schema| !has_tables && selection.schemas.contains(schema));
        self.enums.retain(|one| !has_tables && selection.has(&one.name));
        self.tables.retain(|table| selection.has(&table.name));
        self.sequences.retain(|sequence| match &sequence.owner {
            // It goes with its table.
            Some(owner) => selection.has(&owner.table) || selection.has(&sequence.name),
            None => selection.has(&sequence.name),
        });
        for sequence in &mut self.sequences {
            sequence.owner = sequence.owner.take().filter(|owner| selection.has(&owner.table));
        }
        self.graphs.retain(|graph| selection.has(&graph.name));
        self.views.retain(|view| selection.has(&view.name));
        let is_empty = self.tables.is_empty() && self.sequences.is_empty();
        if has_tables && is_empty && self.graphs.is_empty() && self.views.is_empty() {
            return Err(Error::not_found(
                SqlState::UNDEFINED_TABLE,
                "no table, view, sequence or graph of that name is there",
            ));
        }
        let tables = self.tables.iter().map(|table| &table.name);
        let sequences = self.sequences.iter().map(|sequence| &sequence.name);
        let views = self.views.iter().map(|view| &view.name);
        let kept: BTreeSet<Name> = tables.chain(sequences).chain(views).cloned().collect();
        let schemas = &self.schemas;
        self.comments.retain(|comment| match comment.of.name.is_empty() {
            true => schemas.contains(&comment.of.schema),
            false => kept.contains(&comment.of),
        });
        Ok(self)
    }
}

/// An identifier as SQL must write it: in quotes, unless it is plain and no word of SQL's.
pub fn quoted(name: &str) -> String {
    aion_db::quoted(name)
}

/// A text as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The items of an array of texts of one dimension, as it is printed: `{a,"b c"}`.
pub fn items(text: &str) -> Vec<String> {
    let inner = text.trim_start_matches('{');
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let mut items = Vec::new();
    let (mut item, mut is_quoted, mut is_there) = (String::new(), false, false);
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => item.extend(characters.next()),
            '"' => {
                is_quoted = !is_quoted;
                is_there = true;
            }
            ',' if !is_quoted => items.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    if is_there || !item.is_empty() || !items.is_empty() {
        items.push(item);
    }
    items
}

/// A name in its parts, folded as SQL folds them; None for what is no name.
fn split_name(text: &str) -> Option<Vec<String>> {
    aion_db::split_name(text)
}

/// Writing failed.
pub fn unwritten(error: std::io::Error) -> Error {
    Error::io("write the dump", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_as_they_are_printed() {
        for (text, expected) in [
            ("{}", vec![]),
            ("{public}", vec!["public"]),
            (r#"{a,"b c","d\"e\\f",""}"#, vec!["a", "b c", "d\"e\\f", ""]),
            (r#"{"x,y"}"#, vec!["x,y"]),
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
    }

    #[test]
    fn a_selection_names_schemas_and_tables() {
        let name = |schema: &str, name: &str| Name {
            schema: schema.to_owned(),
            name: name.to_owned(),
        };
        let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let selection = Selection::new(&text(&["Store", "\"Odd\""]), &[]).expect("names");
        assert!(selection.has(&name("store", "x")) && selection.has(&name("Odd", "x")));
        assert!(!selection.has(&name("odd", "x")));
        let selection = Selection::new(&[], &text(&["t", "a.\"B\""])).expect("names");
        assert!(selection.has(&name("x", "t")) && selection.has(&name("a", "B")));
        assert!(!selection.has(&name("b", "B")));
        assert!(Selection::new(&text(&["a.b"]), &[]).is_err());
    }
}
