//! The catalog: all descriptors at one moment, and the keys they lie under.
//!
//! **Guarantees.** A [`Catalog`] never changes; DDL computes [`KeyChange`]s against it, which go into the transaction
//! like rows, and whoever reads them afterwards builds the next catalog. So DDL is transactional, and a
//! conflict of two DDL statements is a conflict of two writes of one key.
//!
//! ```text
//! table 0, index 1   | schema text | name text   -> descriptor of a table
//! table 0, index 2   | schema text | name text   -> descriptor of a view
//! table 0, index 3   | schema text | name text   -> descriptor of a graph
//! table 0, index 4   | schema text               -> empty: a schema that a user made
//! table 0, index 5   | schema text | name text   -> descriptor of a sequence
//! table 0, index 6   | first key bytes           -> end of the range: keys of nobody, to be cleared away; no part of the version
//! table 0, index 7   | name text                 -> a role: a secret, which `aion-security` reads and writes
//! table 0, index 8   | schema text | name text   -> descriptor of an enum; tables name it by its id
//! table 0, index 10                              -> u64 LE: version, raised by every DDL
//! table 0, index 11                              -> u32 LE: next table id
//!
//! table 3, index 1                               -> u32 LE: next storage id
//! table 3, index 2   | state id i64              -> i64 LE, u8: the last number taken, and whether it was given out
//! table 3, index 3                               -> u32 LE: next role id
//! table 3, index 4                               -> 32 bytes, a secret: from which those without a password have their salts
//! ```
//!
//! What stands in table 3 is changed by commits of its own, whatever becomes of the transaction that asked; but for the last
//! two, which come with the roles that need them. A [`Catalog`] knows no roles: they are read by themselves, and change its version
//! so that whoever remembers them notices.
//!
//! Names of tables, views, indexes and sequences share one space in their schema, as in PostgreSQL; graphs too. Those of types are in
//! another, in which each table and view has a type of its name.
//! The schemas `public`, `aion`, `pg_catalog` and `information_schema` always exist; users create objects in
//! `public` and in schemas of their own only.

mod enums;

use std::collections::BTreeMap;
use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::key::{ColumnOrder, KeyReader, KeyWriter};
use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};

use crate::descriptor::{self, GraphDescriptor, SequenceDescriptor, TableDescriptor, ViewDescriptor, check_name};
use crate::enumeration::{EnumDescriptor, EnumType};

/// The table id under which the catalog lies.
pub const CATALOG_TABLE: TableId = TableId(0);
/// The table id under which storage ids are counted and sequences have their numbers.
pub const COUNTERS_TABLE: TableId = TableId(3);
/// The first table id of a user's table.
pub const FIRST_TABLE: TableId = TableId(1000);
/// The first storage id: far from the ids of tables, which were storage ids before there were others.
pub const FIRST_STORAGE: TableId = TableId(1 << 30);
/// Columns of a table, at most: PostgreSQL's limit. Rows count them in 16 bits.
pub const COLUMNS_MAX: usize = 1600;
/// Where users' objects go when they name no schema.
pub const PUBLIC: &str = "public";
/// What the names of schemas begin with that are of one session alone, and end with it.
pub const TEMPORARY_PREFIX: &str = "pg_temp_";

/// Whether what is in a schema ends with a session.
pub fn is_temporary(schema: &str) -> bool {
    schema.starts_with(TEMPORARY_PREFIX)
}

/// The schemas that are ours.
pub const SYSTEM_SCHEMAS: [&str; 3] = ["aion", "pg_catalog", "information_schema"];

const TABLES: IndexId = IndexId(1);
const VIEWS: IndexId = IndexId(2);
const GRAPHS: IndexId = IndexId(3);
const SCHEMAS: IndexId = IndexId(4);
const SEQUENCES: IndexId = IndexId(5);
const RETIRED: IndexId = IndexId(6);
const ROLES: IndexId = IndexId(7);
const ENUMS: IndexId = IndexId(8);
const VERSION: IndexId = IndexId(10);
const NEXT_TABLE: IndexId = IndexId(11);

/// A change of one key; None deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: Vec<u8>,
    /// Its new value.
    pub value: Option<Vec<u8>>,
}

/// Schema and name.
type QualifiedName = (String, String);

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Catalog {
    version: u64,
    next_table: u32,
    tables: BTreeMap<QualifiedName, Arc<TableDescriptor>>,
    views: BTreeMap<QualifiedName, Arc<ViewDescriptor>>,
    graphs: BTreeMap<QualifiedName, Arc<GraphDescriptor>>,
    sequences: BTreeMap<QualifiedName, Arc<SequenceDescriptor>>,
    enums: BTreeMap<QualifiedName, EnumType>,
    schemas: Vec<String>,
}

/// The catalog of a database in which nothing was created yet.
impl Default for Catalog {
    fn default() -> Self {
        Self {
            version: 0,
            next_table: FIRST_TABLE.0,
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
            graphs: BTreeMap::new(),
            sequences: BTreeMap::new(),
            enums: BTreeMap::new(),
            schemas: Vec::new(),
        }
    }
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Object {
    /// A table.
    Table(Arc<TableDescriptor>),
    /// A view.
    View(Arc<ViewDescriptor>),
    /// A graph.
    Graph(Arc<GraphDescriptor>),
    /// A sequence.
    Sequence(Arc<SequenceDescriptor>),
}

/// The key whose value is the catalog's version: one read tells whether a catalog is the newest.
pub fn version_key() -> Vec<u8> {
    single_key(VERSION)
}

/// Whether a key has no name in it, and a number as its value that definitions move on.
pub fn is_counter(key: &[u8]) -> bool {
    [VERSION, NEXT_TABLE].into_iter().any(|index| key == single_key(index))
}

/// The range of all keys of the catalog.
pub fn range() -> KeyRange {
    KeyRange::table(CATALOG_TABLE)
}

/// The version that a value of [`version_key`] says; 0 where there is none.
///
/// # Errors
/// Corrupt for another length.
pub fn read_version(value: Option<&[u8]>) -> Result<u64> {
    match value.map(<[u8; 8]>::try_from) {
        None => Ok(0),
        Some(Ok(bytes)) => Ok(u64::from_le_bytes(bytes)),
        Some(Err(_)) => Err(Error::corrupt("the catalog's version is damaged")),
    }
}

/// The key of a table's descriptor.
pub fn table_key(schema: &str, name: &str) -> Vec<u8> {
    name_key(TABLES, schema, Some(name))
}

/// The key of a view's descriptor.
pub fn view_key(schema: &str, name: &str) -> Vec<u8> {
    name_key(VIEWS, schema, Some(name))
}

/// The key of a graph's descriptor.
pub fn graph_key(schema: &str, name: &str) -> Vec<u8> {
    name_key(GRAPHS, schema, Some(name))
}

/// The key of a sequence's descriptor.
pub fn sequence_key(schema: &str, name: &str) -> Vec<u8> {
    name_key(SEQUENCES, schema, Some(name))
}

/// The key of an enum's descriptor.
pub fn enum_key(schema: &str, name: &str) -> Vec<u8> {
    name_key(ENUMS, schema, Some(name))
}

/// The key of a schema that a user made.
pub fn schema_key(name: &str) -> Vec<u8> {
    name_key(SCHEMAS, name, None)
}

/// The key under which the next storage id stands.
pub fn next_storage_key() -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key).table(COUNTERS_TABLE, IndexId(1));
    key
}

/// The key under which a sequence has its number, by [`SequenceDescriptor::state_id`].
pub fn sequence_state_key(state: u32) -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key)
        .table(COUNTERS_TABLE, IndexId(2))
        .i64(state.into(), ColumnOrder::ASC);
    key
}

/// The key under which the next role id stands.
pub fn next_role_key() -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key).table(COUNTERS_TABLE, IndexId(3));
    key
}

/// The key of the secret from which those without a password have their salts.
pub fn mock_secret_key() -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key).table(COUNTERS_TABLE, IndexId(4));
    key
}

/// The key of a role.
pub fn role_key(name: &str) -> Vec<u8> {
    name_key(ROLES, name, None)
}

/// The range of the keys that [`role_key`] makes.
pub fn roles_range() -> KeyRange {
    KeyRange::index(CATALOG_TABLE, ROLES)
}

/// The change that says of a range that its keys are nobody's: whoever comes by clears them away, and takes the word back.
///
/// # Panics
/// For a range without an end, which no table or index has.
pub fn retire(range: &KeyRange) -> KeyChange {
    let end = range.end.clone().expect("the range of a table or index ends");
    KeyChange {
        key: retired_key(range),
        value: Some(end),
    }
}

/// The change that takes back what [`retire`] says.
pub fn unretire(range: &KeyRange) -> KeyChange {
    KeyChange {
        key: retired_key(range),
        value: None,
    }
}

/// The range of the keys that [`retire`] makes.
pub fn retired_range() -> KeyRange {
    KeyRange::index(CATALOG_TABLE, RETIRED)
}

/// The range that a key and its value say to be nobody's.
///
/// # Errors
/// Corrupt, for what [`retire`] did not make.
pub fn read_retired(key: &[u8], end: &[u8]) -> Result<KeyRange> {
    let mut reader = KeyReader::new(key);
    reader.table()?;
    let start = reader.bytes(ColumnOrder::ASC)?;
    let start = start.ok_or_else(|| Error::corrupt("a range in the catalog begins with NULL"))?;
    Ok(KeyRange::new(start.into_owned(), Some(end.to_vec())))
}

fn retired_key(range: &KeyRange) -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key)
        .table(CATALOG_TABLE, RETIRED)
        .bytes(&range.start, ColumnOrder::ASC);
    key
}

fn single_key(index: IndexId) -> Vec<u8> {
    let mut key = Vec::new();
    KeyWriter::new(&mut key).table(CATALOG_TABLE, index);
    key
}

fn name_key(index: IndexId, schema: &str, name: Option<&str>) -> Vec<u8> {
    let mut key = Vec::new();
    let mut writer = KeyWriter::new(&mut key);
    writer.table(CATALOG_TABLE, index).text(schema, ColumnOrder::ASC);
    if let Some(name) = name {
        writer.text(name, ColumnOrder::ASC);
    }
    key
}

impl Catalog {
    /// The catalog that these keys and values describe.
    ///
    /// # Errors
    /// Corrupt for what is not as the module's header draws it.
    pub fn read<K: AsRef<[u8]>, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, V)>) -> Result<Self> {
        let mut catalog = Self::default();
        for (key, value) in entries {
            catalog.add(key.as_ref(), value.as_ref())?;
        }
        catalog.settle()?;
        Ok(catalog)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut reader = KeyReader::new(key);
        let (_, index) = reader.table()?;
        let mut text = || -> Result<String> {
            let text = reader.text(ColumnOrder::ASC)?;
            text.map(|text| text.into_owned())
                .ok_or_else(|| Error::corrupt("a name in the catalog is NULL"))
        };
        match index {
            TABLES => {
                let name = (text()?, text()?);
                let mut table: TableDescriptor = descriptor::decode(descriptor::TABLE_VERSION, value, &name.1)?;
                if table.storage == TableId(0) {
                    table.storage = table.id;
                }
                self.tables.insert(name, Arc::new(table));
            }
            VIEWS => {
                let name = (text()?, text()?);
                let view: ViewDescriptor = descriptor::decode(descriptor::VERSION, value, &name.1)?;
                self.views.insert(name, Arc::new(view));
            }
            GRAPHS => {
                let name = (text()?, text()?);
                let graph: GraphDescriptor = descriptor::decode(descriptor::VERSION, value, &name.1)?;
                self.graphs.insert(name, Arc::new(graph));
            }
            ENUMS => {
                let name = (text()?, text()?);
                let found: EnumDescriptor = descriptor::decode(descriptor::VERSION, value, &name.1)?;
                self.enums.insert(name, EnumType::of(&found)?);
            }
            SCHEMAS => self.schemas.push(text()?),
            SEQUENCES => {
                let name = (text()?, text()?);
                let sequence: SequenceDescriptor = descriptor::decode(descriptor::VERSION, value, &name.1)?;
                self.sequences.insert(name, Arc::new(sequence));
            }
            // It concerns no statement, and changes without a new version.
            RETIRED => {}
            // Read by themselves: the catalog is shown, and they are secrets.
            ROLES => {}
            VERSION => self.version = read_version(Some(value))?,
            NEXT_TABLE => {
                let bytes = value
                    .try_into()
                    .map_err(|_| Error::corrupt("the catalog's next table id is damaged"))?;
                self.next_table = u32::from_le_bytes(bytes);
            }
            other => {
                return Err(Error::corrupt(format!(
                    "the catalog holds a key of unknown kind {other}"
                )));
            }
        }
        Ok(())
    }

    /// Raised by every DDL.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the name stands for in that schema.
    pub fn object(&self, schema: &str, name: &str) -> Option<Object> {
        let name = (schema.to_owned(), name.to_owned());
        let table = self.tables.get(&name).cloned().map(Object::Table);
        let view = || self.views.get(&name).cloned().map(Object::View);
        table
            .or_else(view)
            .or_else(|| self.graphs.get(&name).cloned().map(Object::Graph))
            .or_else(|| self.sequences.get(&name).cloned().map(Object::Sequence))
    }

    /// The table of that name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<TableDescriptor>> {
        self.tables.get(&(schema.to_owned(), name.to_owned()))
    }

    /// The table that an index of that name is of.
    pub fn table_of_index(&self, schema: &str, index: &str) -> Option<&Arc<TableDescriptor>> {
        self.tables
            .values()
            .find(|table| table.schema == schema && table.index(index).is_some())
    }

    /// All tables, by schema and name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableDescriptor>> {
        self.tables.values()
    }

    /// All views, by schema and name.
    pub fn views(&self) -> impl Iterator<Item = &Arc<ViewDescriptor>> {
        self.views.values()
    }

    /// All queries that have names: views, and what materialized views are made of.
    pub fn queries(&self) -> impl Iterator<Item = &ViewDescriptor> {
        let held = self.tables.values().filter_map(|table| table.view.as_deref());
        self.views.values().map(|view| &**view).chain(held)
    }

    /// All graphs, by schema and name.
    pub fn graphs(&self) -> impl Iterator<Item = &Arc<GraphDescriptor>> {
        self.graphs.values()
    }

    /// All sequences, by schema and name.
    pub fn sequences(&self) -> impl Iterator<Item = &Arc<SequenceDescriptor>> {
        self.sequences.values()
    }

    /// The sequence of that name.
    pub fn sequence(&self, schema: &str, name: &str) -> Option<&Arc<SequenceDescriptor>> {
        self.sequences.get(&(schema.to_owned(), name.to_owned()))
    }

    /// The table of that id.
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<TableDescriptor>> {
        self.tables.values().find(|table| table.id == id)
    }

    /// The graphs, views and materialized views that use a table, view or graph.
    pub fn dependents(&self, schema: &str, name: &str) -> Vec<Object> {
        let graphs = self.graphs().filter(|graph| graph.uses(schema, name));
        let views = self.views().filter(|view| view.uses(schema, name));
        let held = self
            .tables()
            .filter(|table| table.view.as_ref().is_some_and(|view| view.uses(schema, name)));
        let graphs = graphs.map(|graph| Object::Graph(graph.clone()));
        let views = views.map(|view| Object::View(view.clone()));
        graphs
            .chain(views)
            .chain(held.map(|table| Object::Table(table.clone())))
            .collect()
    }

    /// What is in a schema.
    pub fn objects_in(&self, schema: &str) -> Vec<Object> {
        let tables = self
            .tables()
            .filter(|table| table.schema == schema)
            .cloned()
            .map(Object::Table);
        let views = self
            .views()
            .filter(|view| view.schema == schema)
            .cloned()
            .map(Object::View);
        let graphs = self
            .graphs()
            .filter(|graph| graph.schema == schema)
            .cloned()
            .map(Object::Graph);
        let sequences = self
            .sequences()
            .filter(|there| there.schema == schema)
            .cloned()
            .map(Object::Sequence);
        tables.chain(views).chain(graphs).chain(sequences).collect()
    }

    /// The catalog with another descriptor of one of its tables, which may have another name: to look what would become of the rest.
    pub fn with_table(&self, before: &TableDescriptor, mut table: TableDescriptor) -> Self {
        table.settle_view();
        let mut catalog = self.clone();
        catalog.tables.remove(&(before.schema.clone(), before.name.clone()));
        catalog
            .tables
            .insert((table.schema.clone(), table.name.clone()), Arc::new(table));
        catalog
    }

    /// The catalog with another descriptor of one of its views, which may have another name, or of the query of a materialized one.
    pub fn with_view(&self, before: &ViewDescriptor, view: ViewDescriptor) -> Self {
        if let Some(held) = self.made_of(before, &view) {
            return self.with_table(&held, held.clone());
        }
        let mut catalog = self.clone();
        catalog.views.remove(&(before.schema.clone(), before.name.clone()));
        catalog
            .views
            .insert((view.schema.clone(), view.name.clone()), Arc::new(view));
        catalog
    }

    /// The table of a materialized view, made of another query.
    fn made_of(&self, before: &ViewDescriptor, view: &ViewDescriptor) -> Option<TableDescriptor> {
        let table = self.table(&before.schema, &before.name)?;
        table.view.as_ref()?;
        let mut table = TableDescriptor::clone(table);
        table.view = Some(Box::new(view.clone()));
        Some(table)
    }

    /// Whether something has the name already: an object, an index, or a primary key, which is an index to whoever asks by name.
    pub fn has_relation(&self, schema: &str, name: &str) -> bool {
        let has_key =
            |table: &Arc<TableDescriptor>| table.schema == schema && table.primary_key_name.as_deref() == Some(name);
        self.object(schema, name).is_some()
            || self.table_of_index(schema, name).is_some()
            || self.tables.values().any(has_key)
    }

    /// All schemas, ours included.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        let ours = std::iter::once(PUBLIC).chain(SYSTEM_SCHEMAS);
        ours.chain(self.schemas.iter().map(String::as_str))
    }

    /// Whether the schema exists.
    pub fn has_schema(&self, name: &str) -> bool {
        self.schemas().any(|schema| schema == name)
    }

    /// The changes that create a table. `table` comes without id and version; they are given here. Without a storage id it lies
    /// under its id.
    ///
    /// # Errors
    /// 42P07 for a name that is taken, 42710 for that of a type, 3F000 and 42501 for the schema, 42602 and 42622 for names.
    pub fn create_table(&self, mut table: TableDescriptor) -> Result<(Arc<TableDescriptor>, Vec<KeyChange>)> {
        self.check_new(&table.schema, &table.name, "table")?;
        if table.columns.len() > COLUMNS_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("tables can have at most {COLUMNS_MAX} columns"),
            ));
        }
        for column in &table.columns {
            check_name(&column.name, "column")?;
        }
        let (id, next) = self.next_id(0)?;
        table.id = TableId(id);
        if table.storage == TableId(0) {
            table.storage = table.id;
        }
        table.version = self.version + 1;
        table.settle_view();
        let mut changes = vec![next];
        changes.push(put_table(&table));
        changes.push(self.next_version());
        Ok((Arc::new(table), changes))
    }

    /// An id that no table or sequence has had, `beyond` the next one, and the change that makes it taken.
    ///
    /// # Errors
    /// 54000 when all are.
    pub fn next_id(&self, beyond: u32) -> Result<(u32, KeyChange)> {
        let id = self.next_table.checked_add(beyond);
        let taken = id.filter(|id| *id < FIRST_STORAGE.0 - 1);
        let id = taken.ok_or_else(|| Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, "no table id is left"))?;
        let change = KeyChange {
            key: single_key(NEXT_TABLE),
            value: Some((id + 1).to_le_bytes().to_vec()),
        };
        Ok((id, change))
    }

    /// The changes that give a sequence this descriptor, whether it is there or not.
    pub fn put_sequence(&self, sequence: &SequenceDescriptor) -> Vec<KeyChange> {
        vec![
            put(sequence_key(&sequence.schema, &sequence.name), sequence),
            self.next_version(),
        ]
    }

    /// The changes that remove a sequence. Its number is the caller's.
    pub fn drop_sequence(&self, sequence: &SequenceDescriptor) -> Vec<KeyChange> {
        vec![
            KeyChange {
                key: sequence_key(&sequence.schema, &sequence.name),
                value: None,
            },
            self.next_version(),
        ]
    }

    /// The changes that give an existing table another name or schema with its descriptor.
    ///
    /// # Errors
    /// As [`Catalog::create_table`].
    pub fn rename_table(
        &self,
        before: &TableDescriptor,
        table: TableDescriptor,
    ) -> Result<(Arc<TableDescriptor>, Vec<KeyChange>)> {
        self.check_new(&table.schema, &table.name, "table")?;
        let mut changes = vec![KeyChange {
            key: table_key(&before.schema, &before.name),
            value: None,
        }];
        let (table, put) = self.alter_table(table);
        changes.extend(put);
        Ok((table, changes))
    }

    /// The changes that give an existing table another descriptor of the same name.
    pub fn alter_table(&self, mut table: TableDescriptor) -> (Arc<TableDescriptor>, Vec<KeyChange>) {
        table.version = self.version + 1;
        table.settle_view();
        // What was said of a constraint goes with it.
        let mut comments = std::mem::take(&mut table.constraint_comments);
        comments.retain(|(name, _)| table.has_constraint(name));
        table.constraint_comments = comments;
        let changes = vec![put_table(&table), self.next_version()];
        (Arc::new(table), changes)
    }

    /// The change after which every session reads the catalog, the statistics of its tables, and the roles anew.
    pub fn renew(&self) -> KeyChange {
        self.next_version()
    }

    /// The changes that remove a table. Its rows are the caller's.
    pub fn drop_table(&self, table: &TableDescriptor) -> Vec<KeyChange> {
        vec![
            KeyChange {
                key: table_key(&table.schema, &table.name),
                value: None,
            },
            self.next_version(),
        ]
    }

    /// The changes that create a view.
    ///
    /// # Errors
    /// As [`Catalog::create_table`].
    pub fn create_view(&self, view: &ViewDescriptor, or_replace: bool) -> Result<Vec<KeyChange>> {
        match self.object(&view.schema, &view.name) {
            Some(Object::View(_)) if or_replace => {}
            _ => self.check_new(&view.schema, &view.name, "view")?,
        }
        Ok(vec![put(view_key(&view.schema, &view.name), view), self.next_version()])
    }

    /// The changes that give another descriptor to a view that is there, or another query to a materialized one.
    pub fn alter_view(&self, view: &ViewDescriptor) -> Vec<KeyChange> {
        match self.made_of(view, view) {
            Some(held) => self.alter_table(held).1,
            None => vec![put(view_key(&view.schema, &view.name), view), self.next_version()],
        }
    }

    /// The changes that remove a view.
    pub fn drop_view(&self, view: &ViewDescriptor) -> Vec<KeyChange> {
        vec![
            KeyChange {
                key: view_key(&view.schema, &view.name),
                value: None,
            },
            self.next_version(),
        ]
    }

    /// The changes that create a graph.
    ///
    /// # Errors
    /// As [`Catalog::create_table`].
    pub fn create_graph(&self, graph: &GraphDescriptor) -> Result<Vec<KeyChange>> {
        self.check_new(&graph.schema, &graph.name, "property graph")?;
        Ok(vec![
            put(graph_key(&graph.schema, &graph.name), graph),
            self.next_version(),
        ])
    }

    /// The changes that remove a graph.
    pub fn drop_graph(&self, graph: &GraphDescriptor) -> Vec<KeyChange> {
        vec![
            KeyChange {
                key: graph_key(&graph.schema, &graph.name),
                value: None,
            },
            self.next_version(),
        ]
    }

    /// The changes that create a schema.
    ///
    /// # Errors
    /// 42P06 where it exists, 42939 for a name that is reserved.
    pub fn create_schema(&self, name: &str) -> Result<Vec<KeyChange>> {
        check_name(name, "schema")?;
        if name.starts_with("pg_") && !is_temporary(name) {
            return Err(
                Error::invalid(SqlState::RESERVED_NAME, format!("schema name \"{name}\" is reserved"))
                    .with_hint("Names that begin with pg_ are the system's."),
            );
        }
        if self.has_schema(name) {
            return Err(Error::new(
                ErrorKind::Conflict,
                SqlState::DUPLICATE_SCHEMA,
                format!("schema \"{name}\" already exists"),
            ));
        }
        Ok(vec![
            KeyChange {
                key: name_key(SCHEMAS, name, None),
                value: Some(Vec::new()),
            },
            self.next_version(),
        ])
    }

    /// The catalog with one more schema, for what is made along with it.
    pub fn with_schema(&self, name: &str) -> Self {
        let mut with = self.clone();
        with.schemas.push(name.to_owned());
        with
    }

    /// The changes that remove a schema. What is in it is the caller's.
    pub fn drop_schema(&self, name: &str) -> Vec<KeyChange> {
        vec![
            KeyChange {
                key: schema_key(name),
                value: None,
            },
            self.next_version(),
        ]
    }

    /// Whether a user may create something of that name.
    ///
    /// # Errors
    /// As [`Catalog::create_table`].
    pub fn check_new(&self, schema: &str, name: &str, kind: &str) -> Result<()> {
        self.check_place(schema, name, kind)?;
        if self.has_relation(schema, name) {
            return Err(Error::new(
                ErrorKind::Conflict,
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{name}\" already exists"),
            )
            .with_schema(schema)
            .with_table(name));
        }
        if matches!(kind, "table" | "view") && self.enum_type(schema, name).is_some() {
            return Err(enums::type_exists(name).with_hint(
                "A relation has an associated type of the same name, so you must use a name that doesn't conflict with any existing type.",
            ));
        }
        Ok(())
    }

    fn check_place(&self, schema: &str, name: &str, kind: &str) -> Result<()> {
        check_name(name, kind)?;
        if SYSTEM_SCHEMAS.contains(&schema) {
            return Err(Error::denied(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("cannot create \"{name}\": schema \"{schema}\" is the system's"),
            )
            .with_hint("Create it in schema public, or in one of your own."));
        }
        if !self.has_schema(schema) {
            return Err(Error::not_found(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            ));
        }
        Ok(())
    }

    fn next_version(&self) -> KeyChange {
        KeyChange {
            key: version_key(),
            value: Some((self.version + 1).to_le_bytes().to_vec()),
        }
    }
}

fn put(key: Vec<u8>, descriptor: &impl serde::Serialize) -> KeyChange {
    KeyChange {
        key,
        value: Some(descriptor::encode(descriptor::VERSION, descriptor)),
    }
}

fn put_table(table: &TableDescriptor) -> KeyChange {
    KeyChange {
        key: table_key(&table.schema, &table.name),
        value: Some(descriptor::encode(descriptor::version_of(table), table)),
    }
}

#[cfg(test)]
mod tests;
