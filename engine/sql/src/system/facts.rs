//! What system tables and functions know: the catalog that a statement sees, and whose session it is.
//!
//! Taken once for a statement, when the first of them is met, so that all of them tell the same story.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aion_base::id::TableId;
use aion_base::observation::Observer;
use aion_base::recommendation::Pipeline;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{IndexDescriptor, SequenceDescriptor, TableDescriptor, ViewDescriptor};
use aion_catalog::objects::{Catalog, is_temporary};
use aion_catalog::stats::TableStatistics;
use aion_storage::{LockTable, Store};
use datafusion::arrow::datatypes::SchemaRef;
use parking_lot::Mutex;

use super::constraints::Constraints;
use super::{Definition, definitions, oids};
use crate::activity::Activity;
use crate::advisory::{self, AdvisoryLocks};
use crate::cursors::CursorFacts;
use crate::notifications::{Notifications, Pending};
use crate::roles::SeenRoles;
use crate::sequences::Sequences;
use crate::session::Statements;
use crate::settings::Settings;

/// What a session says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// Its settings, at this moment.
    pub settings: Settings,
    /// The number that cancel requests name.
    pub process_id: i32,
    /// All roles.
    pub roles: SeenRoles,
    /// Settings that a function of the statement sets.
    pub assigned: Assigned,
    /// Who gives the numbers of sequences.
    pub sequences: Arc<Sequences>,
    /// The numbers that this session was given.
    pub numbers: Arc<Numbers>,
    /// Where rows are.
    pub store: Arc<Store>,
    /// Who is connected.
    pub activity: Arc<Activity>,
    /// Rows that are locked.
    pub locks: LockTable,
    /// What it has locked by numbers.
    pub advisory: Arc<AdvisoryLocks>,
    /// What all sessions have.
    pub advisories: Arc<advisory::Sessions>,
    /// Who notes what ran.
    pub observer: Option<Arc<dyn Observer>>,
    /// Who recommends changes.
    pub pipeline: Option<Arc<dyn Pipeline>>,
    /// Its prepared statements.
    pub statements: Statements,
    /// Its cursors.
    pub cursors: Arc<[CursorFacts]>,
    /// What it notifies of once its transaction commits.
    pub pending: Arc<Mutex<Pending>>,
    /// Those of all sessions.
    pub notifications: Arc<Notifications>,
    /// The channels that it listens to.
    pub channels: Vec<String>,
}

/// Settings and values, to be set once the statement is over, and whether for the transaction alone.
pub type Assigned = Arc<Mutex<Vec<(String, String, bool)>>>;

/// The last number that each sequence gave a session, by the sequence's id, and whether it may be given more.
#[derive(Debug, Default)]
pub struct Numbers {
    given: Mutex<(HashMap<u32, i64>, Option<u32>)>,
    /// The session's statement may not take any.
    is_read_only: AtomicBool,
}

impl Numbers {
    /// A sequence gave a number.
    pub fn note(&self, sequence: u32, number: i64) {
        let mut given = self.given.lock();
        given.0.insert(sequence, number);
        given.1 = Some(sequence);
    }

    /// Says whether what is asked from now on is asked by a statement that may change nothing.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.is_read_only.store(is_read_only, Ordering::Relaxed);
    }

    /// Refuses what takes numbers or changes them where nothing may be changed.
    ///
    /// # Errors
    /// 25006.
    pub fn check_writable(&self, function: &str) -> Result<()> {
        match self.is_read_only.load(Ordering::Relaxed) {
            true => Err(Error::invalid(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {function}() in a read-only transaction"),
            )),
            false => Ok(()),
        }
    }

    /// The last number of a sequence.
    pub fn of(&self, sequence: u32) -> Option<i64> {
        self.given.lock().0.get(&sequence).copied()
    }

    /// The last number of whatever sequence gave the last one.
    pub fn last(&self) -> Option<i64> {
        let given = self.given.lock();
        given.0.get(&given.1?).copied()
    }

    /// DISCARD ALL, DISCARD SEQUENCES.
    pub fn forget(&self) {
        *self.given.lock() = Default::default();
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct Facts {
    pub catalog: Catalog,
    pub search_path: Vec<String>,
    pub identity: Identity,
    pub statistics: Arc<HashMap<TableId, Arc<TableStatistics>>>,
    /// Names of functions with their kind as `pg_proc.prokind` has it.
    pub functions: Vec<(String, char)>,
    relations: OnceLock<Relations>,
    constraints: OnceLock<Constraints>,
    /// Columns of views, by schema and name, where the statement asks for them: they stand nowhere but in the views' queries.
    view_columns: OnceLock<HashMap<(String, String), SchemaRef>>,
}

/// All relations, and where to find one.
#[derive(Debug)]
struct Relations {
    all: Vec<Relation>,
    by_oid: HashMap<u32, usize>,
    by_name: HashMap<(String, String), usize>,
}

/// A row of `pg_class`.
#[derive(Clone, Debug)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
}

/// What a relation is.
#[derive(Clone, Debug)]
pub enum RelationKind {
    Table(Arc<TableDescriptor>),
    /// The rows' own order.
    PrimaryKey(Arc<TableDescriptor>),
    Index(Arc<TableDescriptor>, IndexDescriptor),
    View(Arc<ViewDescriptor>),
    Graph,
    Sequence(Arc<SequenceDescriptor>),
    System(&'static Definition),
}

impl Relation {
    /// `pg_class.relkind`.
    pub fn relkind(&self) -> &'static str {
        match &self.kind {
            RelationKind::Table(table) if table.view.is_some() => "m",
            RelationKind::Table(_) => "r",
            RelationKind::PrimaryKey(_) | RelationKind::Index(..) => "i",
            RelationKind::View(_) => "v",
            // PostgreSQL 19's letter.
            RelationKind::Graph => "g",
            RelationKind::Sequence(_) => "S",
            RelationKind::System(definition) if definition.is_view() => "v",
            RelationKind::System(_) => "r",
        }
    }
}

impl Facts {
    /// What a statement sees.
    pub fn new(
        catalog: Catalog,
        search_path: Vec<String>,
        identity: Identity,
        statistics: Arc<HashMap<TableId, Arc<TableStatistics>>>,
        functions: Vec<(String, char)>,
    ) -> Self {
        Self {
            catalog,
            search_path,
            identity,
            statistics,
            functions,
            relations: OnceLock::new(),
            constraints: OnceLock::new(),
            view_columns: OnceLock::new(),
        }
    }

    /// Asks for the columns of all views. One whose query can no longer be planned has none.
    pub fn describe_views(&self, describe: impl Fn(&ViewDescriptor) -> Option<SchemaRef>) {
        self.view_columns.get_or_init(|| {
            let views = self.catalog.views().filter_map(|view| {
                let columns = describe(view)?;
                Some(((view.schema.clone(), view.name.clone()), columns))
            });
            views.collect()
        });
    }

    /// The columns of a view, where they were asked for.
    pub fn columns_of_view(&self, view: &ViewDescriptor) -> Option<&SchemaRef> {
        let known = self.view_columns.get()?;
        known.get(&(view.schema.clone(), view.name.clone()))
    }

    fn known(&self) -> &Relations {
        self.relations.get_or_init(|| Relations::of(&self.catalog))
    }

    /// All relations: users', by schema and name, then the system's.
    pub fn relations(&self) -> &[Relation] {
        &self.known().all
    }

    /// The constraints of all tables.
    pub fn constraints(&self) -> &Constraints {
        self.constraints.get_or_init(|| Constraints::of(self.catalog.tables()))
    }

    /// The relation of that oid.
    pub fn relation(&self, oid: u32) -> Option<&Relation> {
        let known = self.known();
        known.by_oid.get(&oid).map(|&at| &known.all[at])
    }

    /// The relation of that name in that schema.
    pub fn relation_in(&self, schema: &str, name: &str) -> Option<&Relation> {
        let known = self.known();
        let at = known.by_name.get(&(schema.to_owned(), name.to_owned()))?;
        Some(&known.all[*at])
    }

    /// The schemas in which names without one are looked up, in order.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        let users = self.search_path.iter().map(String::as_str);
        std::iter::once("pg_catalog").chain(users.filter(|schema| *schema != "pg_catalog"))
    }

    /// The relation that a name stands for, quoted and qualified as in SQL.
    pub fn named(&self, name: &str) -> Option<&Relation> {
        match &split_name(name)?[..] {
            [name] => self.path().find_map(|schema| self.relation_in(schema, name)),
            [schema, name] | [_, schema, name] => self.relation_in(schema, name),
            _ => None,
        }
    }

    /// Whether the relation is what its name without a schema stands for.
    pub fn is_visible(&self, relation: &Relation) -> bool {
        let first = self.path().find_map(|schema| self.relation_in(schema, &relation.name));
        first.is_some_and(|first| first.oid == relation.oid)
    }

    /// A relation's name as SQL would have to write it.
    pub fn shown(&self, relation: &Relation) -> String {
        if self.is_visible(relation) {
            return quoted(&relation.name);
        }
        format!("{}.{}", quoted(&relation.schema), quoted(&relation.name))
    }

    /// The schema in which CREATE makes things: the first of the path that is there.
    pub fn current_schema(&self) -> Option<&str> {
        let mut path = self.search_path.iter().map(String::as_str);
        path.find(|schema| self.catalog.has_schema(schema) && !is_temporary(schema))
    }

    /// The session's schema of what is temporary, where it has one.
    pub fn temporary_schema(&self) -> Option<&str> {
        let mut path = self.search_path.iter().map(String::as_str);
        path.find(|schema| is_temporary(schema) && self.catalog.has_schema(schema))
    }

    /// Rows of a table as ANALYZE found them; -1 where it never looked.
    pub fn estimated_rows(&self, table: TableId) -> i64 {
        let rows = self.statistics.get(&table).map(|statistics| statistics.rows);
        rows.map_or(-1, |rows| i64::try_from(rows).unwrap_or(i64::MAX))
    }
}

impl Relations {
    fn of(catalog: &Catalog) -> Self {
        let mut all = Vec::new();
        let mut add = |oid, schema: &str, name: &str, kind| {
            all.push(Relation {
                oid,
                schema: schema.to_owned(),
                name: name.to_owned(),
                kind,
            });
        };
        for table in catalog.tables() {
            let schema = &table.schema;
            add(
                oids::table(table.id),
                schema,
                &table.name,
                RelationKind::Table(table.clone()),
            );
            if let Some(name) = &table.primary_key_name {
                let kind = RelationKind::PrimaryKey(table.clone());
                add(oids::primary_key(table.id), schema, name, kind);
            }
            for index in &table.indexes {
                let kind = RelationKind::Index(table.clone(), index.clone());
                add(oids::index(table.id, index.id), schema, &index.name, kind);
            }
        }
        for view in catalog.views() {
            let oid = oids::view(&view.schema, &view.name);
            add(oid, &view.schema, &view.name, RelationKind::View(view.clone()));
        }
        for graph in catalog.graphs() {
            let oid = oids::hashed("graph", &graph.schema, &graph.name);
            add(oid, &graph.schema, &graph.name, RelationKind::Graph);
        }
        for sequence in catalog.sequences() {
            let oid = oids::table(TableId(sequence.id));
            add(
                oid,
                &sequence.schema,
                &sequence.name,
                RelationKind::Sequence(sequence.clone()),
            );
        }
        for definition in definitions() {
            let kind = RelationKind::System(definition);
            add(definition.oid(), definition.schema, definition.name, kind);
        }
        let by_oid = all
            .iter()
            .enumerate()
            .map(|(at, relation)| (relation.oid, at))
            .collect();
        let name = |relation: &Relation| (relation.schema.clone(), relation.name.clone());
        let by_name = all
            .iter()
            .enumerate()
            .map(|(at, relation)| (name(relation), at))
            .collect();
        Self { all, by_oid, by_name }
    }
}

/// A name in its parts, folded as SQL folds them; None for what is no name.
pub fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let part;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') if quoted[at + 1..].starts_with('"') => {
                        chars.next();
                        name.push('"');
                    }
                    (at, '"') => break at,
                    (_, c) => name.push(c),
                }
            };
            part = name;
            rest = &quoted[end + 1..];
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            part = rest[..end].trim().to_lowercase();
            rest = &rest[end..];
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// A text as a literal.
pub fn quoted_literal(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\'', "''").replace('\\', "\\\\"))
}

/// An identifier as SQL must write it.
pub fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$'))
        && !is_reserved(name);
    match is_plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The words that PostgreSQL reserves, so that a name of that spelling needs quotes.
fn is_reserved(name: &str) -> bool {
    const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both \
        case cast char character check coalesce collate collation column concurrently constraint create cross \
        current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal \
        default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full \
        grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is \
        isnull join lateral leading least left like limit localtime localtimestamp national natural nchar none normalize \
        not notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision \
        primary real references returning right row select session_user setof similar smallint some substring \
        symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique user using \
        values varchar variadic verbose when where window with ";
    RESERVED.contains(&format!(" {name} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_sql_folds_them() {
        let split = |text| split_name(text).map(|parts| parts.join("|"));
        assert_eq!(split("Flights").as_deref(), Some("flights"));
        assert_eq!(split("Public.\"Flights\"").as_deref(), Some("public|Flights"));
        assert_eq!(split("\"a\"\"b.c\" . d").as_deref(), Some("a\"b.c|d"));
        for wrong in ["", ".", "a.", "\"a", "\"a\"b"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_quoted_where_sql_asks_for_it() {
        for (name, expected) in [
            ("a_1", "a_1"),
            ("A", "\"A\""),
            ("1a", "\"1a\""),
            ("user", "\"user\""),
            ("a\"", "\"a\"\"\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
