//! A foreign key with what is needed to follow it either way.

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::key::{ColumnOrder, KeyReader, KeyWriter};
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_catalog::descriptor::{
    Action, ColumnId, ForeignKey, IndexDescriptor, IndexMethod, IndexState, TableDescriptor,
};
use aion_catalog::keys::{IndexKeys, KEY_ORDER, KeyPart, ROWS, read_value, write_value};
use aion_catalog::objects::Catalog;
use aion_catalog::row::RowReader;
use aion_storage::Reason;

use super::key::{as_type, is_one_to_one};
use crate::copy::Defaults;
use crate::table::TableShape;
use crate::transaction::{Deferred, Transaction};

/// See the module's header.
#[derive(Debug)]
pub struct Tie {
    /// The constraint's name.
    pub name: String,
    /// The table that refers.
    pub child: Arc<TableShape>,
    /// The table referred to.
    pub parent: Arc<TableShape>,
    /// What becomes of rows whose parent goes.
    pub on_delete: Action,
    /// What becomes of rows whose parent's key changes.
    pub on_update: Action,
    /// SET DEFAULT: the values of the columns that refer, by position in the child.
    pub defaults: Option<Defaults>,
    /// When it may be looked at later: whether it is if nothing else is said.
    deferrable: Option<bool>,
    is_full: bool,
    /// The columns as the constraint names them.
    pairs: Vec<Pair>,
    key: Key,
    access: Access,
}

/// A column of the child, and the one of the parent that it refers to, by position.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub child: usize,
    pub parent: usize,
}

/// How keys over the columns of a tie begin.
#[derive(Debug)]
struct Key {
    /// Table and index.
    prefix: Vec<u8>,
    columns: Vec<(Pair, ColumnOrder)>,
}

/// Where the rows are found that refer to a row.
#[derive(Debug)]
enum Access {
    /// In a range of the primary key (None) or of an index.
    Range(Key, Option<IndexKeys>),
    /// All rows are read.
    All,
}

/// What a row refers to.
#[derive(Debug, PartialEq, Eq)]
pub enum Referred {
    /// It has NULLs where it could refer.
    Nothing,
    /// It has NULLs and values, which MATCH FULL does not allow.
    Mixed,
    /// It has values that no parent can have.
    Nowhere,
    /// The row with this key.
    Key(Vec<u8>),
}

/// Where the rows may be that refer to a row.
#[derive(Debug)]
pub struct Place<'a> {
    /// Of the index, or of the rows.
    pub range: KeyRange,
    /// Whether each row that is found there refers to it.
    pub is_exact: bool,
    pub index: Option<&'a IndexKeys>,
}

/// The primary key (None) or the unique index by which rows are found that are to be referred to by some columns.
fn key_over<'a>(table: &'a TableDescriptor, columns: &[ColumnId]) -> Option<Option<&'a IndexDescriptor>> {
    let wanted: BTreeSet<ColumnId> = columns.iter().copied().collect();
    let is_wanted = |ids: &mut dyn Iterator<Item = ColumnId>| {
        let ids: BTreeSet<ColumnId> = ids.collect();
        ids == wanted && !ids.is_empty()
    };
    if is_wanted(&mut table.primary_key.iter().copied()) {
        return Some(None);
    }
    let mut indexes = table.indexes.iter().filter(|index| {
        index.is_unique
            && index.method == IndexMethod::Ordered
            && index.state == IndexState::Readable
            && index.predicate.is_none()
    });
    indexes
        .find(|index| is_wanted(&mut index.columns.iter().map(|part| part.column)))
        .map(Some)
}

/// Whether rows of a table can be referred to by these columns.
pub fn has_key(table: &TableDescriptor, columns: &[ColumnId]) -> bool {
    key_over(table, columns).is_some()
}

impl Tie {
    /// A foreign key of a table.
    ///
    /// # Errors
    /// Internal, where the parent has no such key, or a column is not there.
    pub fn new(
        key: &ForeignKey,
        child: Arc<TableShape>,
        parent: Arc<TableShape>,
        defaults: Option<Defaults>,
    ) -> Result<Self> {
        let broken = || Error::internal(format!("foreign key \"{}\" refers to no key", key.name));
        let pair = |(child_id, parent_id): (&ColumnId, &ColumnId)| {
            Some(Pair {
                child: child.descriptor.position_of(*child_id)?,
                parent: parent.descriptor.position_of(*parent_id)?,
            })
        };
        let pairs: Option<Vec<Pair>> = key.columns.iter().zip(&key.parent_columns).map(pair).collect();
        let pairs = pairs.ok_or_else(broken)?;
        let table = &parent.descriptor;
        let index = key_over(table, &key.parent_columns).ok_or_else(broken)?;
        let columns: Vec<(usize, ColumnOrder)> = match index {
            None => parent.keys.primary_key().iter().map(|&at| (at, KEY_ORDER)).collect(),
            Some(index) => leading_columns(&IndexKeys::new(table, index)),
        };
        let columns = columns.into_iter().map(|(position, order)| {
            let pair = pairs.iter().find(|pair| pair.parent == position);
            pair.map(|pair| (*pair, order)).ok_or_else(broken)
        });
        let mut prefix = Vec::new();
        KeyWriter::new(&mut prefix).table(table.storage, index.map_or(ROWS, |index| index.id));
        let parent_key = Key {
            prefix,
            columns: columns.collect::<Result<_>>()?,
        };
        Ok(Self {
            name: key.name.clone(),
            on_delete: key.on_delete,
            on_update: key.on_update,
            defaults,
            deferrable: key.is_deferrable.then_some(key.is_deferred),
            is_full: key.is_full,
            access: Access::new(&pairs, &child, &parent),
            pairs,
            key: parent_key,
            child,
            parent,
        })
    }

    /// Whether parent and child are one table.
    pub fn is_of_itself(&self) -> bool {
        self.child.descriptor.id == self.parent.descriptor.id
    }

    /// Whether a transaction looks at it at its end.
    pub fn is_deferred(&self, transaction: &Transaction) -> bool {
        let initially = self.deferrable;
        initially.is_some_and(|initially| transaction.is_deferred(self.child.descriptor.id, &self.name, initially))
    }

    /// What is to be looked at later of a parent's key.
    pub fn later(&self, parent_key: &[u8], is_of_child: bool) -> Deferred {
        Deferred {
            child: self.child.descriptor.id,
            parent: self.parent.descriptor.id,
            name: self.name.clone(),
            values: parent_key[self.key.prefix.len()..].to_vec(),
            is_of_child,
        }
    }

    /// The parent's key of what was to be looked at later.
    pub fn key_of(&self, deferred: &Deferred) -> Vec<u8> {
        [self.key.prefix.as_slice(), &deferred.values].concat()
    }

    /// Its columns, as the constraint names them.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The range of all keys that may be referred to.
    pub fn parent_keys(&self) -> KeyRange {
        KeyRange::prefix(&self.key.prefix)
    }

    /// What a row of the child refers to.
    ///
    /// # Errors
    /// Corrupt, for a damaged row.
    pub fn referred(&self, row: &RowReader<'_>) -> Result<Referred> {
        let nulls = self.pairs.iter().filter(|pair| row.is_null(pair.child)).count();
        if nulls > 0 {
            let is_mixed = self.is_full && nulls < self.pairs.len();
            return Ok(if is_mixed { Referred::Mixed } else { Referred::Nothing });
        }
        let mut key = self.key.prefix.clone();
        for (pair, order) in &self.key.columns {
            match as_type(&row.value(pair.child)?, self.parent.layout.sql_type(pair.parent)) {
                Some(value) => write_value(&value, *order, &mut key)?,
                None => return Ok(Referred::Nowhere),
            }
        }
        Ok(Referred::Key(key))
    }

    /// The parent's key of a row of it; None where that has a NULL, to which nothing refers.
    ///
    /// # Errors
    /// Corrupt, for a damaged row.
    pub fn parent_key(&self, row: &RowReader<'_>) -> Result<Option<Vec<u8>>> {
        let mut key = self.key.prefix.clone();
        for (pair, order) in &self.key.columns {
            if row.is_null(pair.parent) {
                return Ok(None);
            }
            write_value(&row.value(pair.parent)?, *order, &mut key)?;
        }
        Ok(Some(key))
    }

    /// Where the rows are that refer to the row with a parent's key; None where no row can.
    ///
    /// # Errors
    /// Corrupt, for bytes that are no such key.
    pub fn place(&self, parent_key: &[u8]) -> Result<Option<Place<'_>>> {
        let Access::Range(key, index) = &self.access else {
            return Ok(Some(Place {
                range: KeyRange::index(self.child.descriptor.storage, ROWS),
                is_exact: false,
                index: None,
            }));
        };
        let values = self.values(parent_key)?;
        let mut prefix = key.prefix.clone();
        for (pair, order) in &key.columns {
            let value = values.iter().find(|(there, _)| there.child == pair.child);
            let sql_type = self.child.layout.sql_type(pair.child);
            match value.and_then(|(_, value)| as_type(value, sql_type)) {
                Some(value) => write_value(&value, *order, &mut prefix)?,
                None => return Ok(None),
            }
        }
        Ok(Some(Place {
            range: KeyRange::prefix(&prefix),
            is_exact: true,
            index: index.as_ref(),
        }))
    }

    /// The values of a parent's key, of the parent's types.
    fn values(&self, parent_key: &[u8]) -> Result<Vec<(Pair, Value)>> {
        let mut reader = KeyReader::new(parent_key);
        reader.table()?;
        let columns = self.key.columns.iter();
        let values = columns.map(|(pair, order)| {
            let sql_type = self.parent.layout.sql_type(pair.parent);
            Ok((*pair, read_value(&mut reader, sql_type, *order)?))
        });
        values.collect()
    }

    /// Whether a key, of the child's rows or of an index of it, is one that rows which refer are found by.
    pub fn finds(&self, storage_key: &[u8]) -> bool {
        match &self.access {
            Access::Range(key, _) => storage_key.starts_with(&key.prefix),
            Access::All => false,
        }
    }

    /// The parent's key that the row refers to which is found by a key of the child.
    ///
    /// # Errors
    /// Corrupt, for bytes that are no such key.
    pub fn key_found_by(&self, storage_key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Access::Range(key, _) = &self.access else {
            return Ok(None);
        };
        let mut reader = KeyReader::new(storage_key);
        reader.table()?;
        let mut values = Vec::new();
        for (pair, order) in &key.columns {
            let sql_type = self.child.layout.sql_type(pair.child);
            values.push((pair.child, read_value(&mut reader, sql_type, *order)?));
        }
        let mut parent_key = self.key.prefix.clone();
        for (pair, order) in &self.key.columns {
            let sql_type = self.parent.layout.sql_type(pair.parent);
            let value = values.iter().find(|(child, _)| *child == pair.child);
            match value.and_then(|(_, value)| as_type(value, sql_type)) {
                Some(value) => write_value(&value, *order, &mut parent_key)?,
                None => return Ok(None),
            }
        }
        Ok(Some(parent_key))
    }

    /// 23503 for a row that refers to a key that is not there.
    pub fn missing(&self, parent_key: &[u8]) -> Error {
        let values = self.values(parent_key).unwrap_or_default();
        self.not_present(&|pair| {
            let value = values.iter().find(|(there, _)| there.child == pair.child);
            let sql_type = self.child.layout.sql_type(pair.child);
            let parent_type = self.parent.layout.sql_type(pair.parent);
            value.map(|(_, value)| match as_type(value, sql_type) {
                Some(own) => text_of(&own, sql_type),
                None => text_of(value, parent_type),
            })
        })
    }

    /// 23503 for a row that refers to what no parent can have.
    pub fn missing_to(&self, row: &RowReader<'_>) -> Error {
        self.not_present(&|pair| {
            let value = row.value(pair.child).ok()?;
            Some(text_of(&value, self.child.layout.sql_type(pair.child)))
        })
    }

    fn not_present(&self, text: &dyn Fn(&Pair) -> Option<String>) -> Error {
        let table = &self.child.descriptor;
        let names = self.pairs.iter().map(|pair| table.columns[pair.child].name.as_str());
        let values = self
            .pairs
            .iter()
            .map(|pair| text(pair).unwrap_or_else(|| "?".to_owned()));
        self.refused().with_detail(format!(
            "Key ({})=({}) is not present in table \"{}\".",
            names.collect::<Vec<_>>().join(", "),
            values.collect::<Vec<_>>().join(", "),
            self.parent.descriptor.name
        ))
    }

    /// 23503 for a row that has NULLs and values.
    pub fn mixed(&self) -> Error {
        self.refused()
            .with_detail("MATCH FULL does not allow mixing of null and nonnull key values.")
    }

    fn refused(&self) -> Error {
        let table = &self.child.descriptor;
        self.violation(format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            table.name, self.name
        ))
    }

    /// 23503 for a row that goes and is referred to.
    pub fn still_referred_to(&self, parent_key: &[u8]) -> Error {
        let (child, parent) = (&self.child.descriptor, &self.parent.descriptor);
        let values = self.values(parent_key).unwrap_or_default();
        let names = self.pairs.iter().map(|pair| parent.columns[pair.parent].name.as_str());
        let texts = self.pairs.iter().map(|pair| {
            let value = values.iter().find(|(there, _)| there.parent == pair.parent);
            value.map_or_else(
                || "?".to_owned(),
                |(_, value)| text_of(value, self.parent.layout.sql_type(pair.parent)),
            )
        });
        let detail = format!(
            "Key ({})=({}) is still referenced from table \"{}\".",
            names.collect::<Vec<_>>().join(", "),
            texts.collect::<Vec<_>>().join(", "),
            child.name
        );
        self.violation(format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            parent.name, self.name, child.name
        ))
        .with_detail(detail)
    }

    fn violation(&self, message: String) -> Error {
        let table = &self.child.descriptor;
        Error::conflict(SqlState::FOREIGN_KEY_VIOLATION, message)
            .with_schema(table.schema.clone())
            .with_table(table.name.clone())
            .with_constraint(self.name.clone())
    }
}

impl Access {
    /// By the primary key or an index that begins with the columns that refer, in whatever order.
    fn new(pairs: &[Pair], child: &TableShape, parent: &TableShape) -> Self {
        let is_one_to_one =
            |pair: &Pair| is_one_to_one(child.layout.sql_type(pair.child), parent.layout.sql_type(pair.parent));
        if !pairs.iter().all(is_one_to_one) {
            return Self::All;
        }
        let table = &child.descriptor;
        let leading = |columns: &[(usize, ColumnOrder)]| -> Option<Vec<(Pair, ColumnOrder)>> {
            let first = columns.get(..pairs.len())?.iter().map(|(position, order)| {
                let pair = pairs.iter().find(|pair| pair.child == *position);
                pair.map(|pair| (*pair, *order))
            });
            first.collect()
        };
        let key = |index, columns| {
            let mut prefix = Vec::new();
            KeyWriter::new(&mut prefix).table(table.storage, index);
            Key { prefix, columns }
        };
        let primary: Vec<_> = child.keys.primary_key().iter().map(|&at| (at, KEY_ORDER)).collect();
        if let Some(columns) = leading(&primary) {
            return Self::Range(key(ROWS, columns), None);
        }
        let usable = table.indexes.iter().filter(|index| {
            index.method == IndexMethod::Ordered && index.state == IndexState::Readable && index.predicate.is_none()
        });
        for index in usable {
            let keys = IndexKeys::new(table, index);
            if let Some(columns) = leading(&leading_columns(&keys)) {
                return Self::Range(key(index.id, columns), Some(keys));
            }
        }
        Self::All
    }
}

/// The columns of an index, up to the first expression.
fn leading_columns(index: &IndexKeys) -> Vec<(usize, ColumnOrder)> {
    let columns = index.parts().iter().map_while(|&(part, order)| match part {
        KeyPart::Column(position) => Some((position, order)),
        KeyPart::Expression(_) => None,
    });
    columns.collect()
}

/// What a commit says of a foreign key whose demand no longer held, by the key that was met: that of a parent which is gone, or that of a
/// row which refers. Of several foreign keys it is one of a table in `written`, by storage.
pub fn violation(catalog: &Catalog, reason: Reason, met: &[u8], written: &BTreeSet<TableId>) -> Option<Error> {
    let (storage, _) = KeyReader::new(met).table().ok()?;
    let mut found = None;
    for child in catalog.tables() {
        for key in &child.foreign_keys {
            let parent = catalog.table_by_id(key.parent)?;
            let (at, written_by) = match reason {
                Reason::Missing => (parent, child),
                _ => (child, parent),
            };
            if at.storage != storage {
                continue;
            }
            let shapes = (TableShape::new(child.clone()), TableShape::new(parent.clone()));
            let Ok(tie) = Tie::new(key, shapes.0, shapes.1, None) else {
                continue;
            };
            let error = match reason {
                Reason::Missing if tie.parent_keys().contains(met) => tie.missing(met),
                Reason::NotEmpty if tie.finds(met) => tie.still_referred_to(&tie.key_found_by(met).ok()??),
                _ => continue,
            };
            if written.contains(&written_by.storage) {
                return Some(error);
            }
            found.get_or_insert(error);
        }
    }
    found
}

fn text_of(value: &Value, sql_type: aion_catalog::SqlType) -> String {
    let mut text = String::new();
    match value {
        Value::Null => text.push_str("null"),
        value => value.text_out(&sql_type, &mut text),
    }
    text
}
