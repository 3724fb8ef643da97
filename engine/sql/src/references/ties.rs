//! The ties of a table, and of the tables that a change of it may lead to.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::range::KeyRange;
use aion_base::{Error, Result};
use aion_catalog::descriptor::{Action, ForeignKey, TableDescriptor};
use aion_catalog::objects::table_key;

use super::tie::Tie;
use crate::copy::Defaults;
use crate::dml::{RowRules, key_positions};
use crate::error::translate;
use crate::planner::Names;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// What a statement does to the rows of a table.
#[derive(Clone, Copy)]
pub enum Touched<'a> {
    /// There are new ones.
    Inserted,
    /// These columns get new values.
    Updated(&'a dyn Fn(usize) -> bool),
    /// There are new ones, and these columns of others get new values.
    InsertedOrUpdated(&'a dyn Fn(usize) -> bool),
    /// Some go.
    Deleted,
    /// All of that.
    Merged,
}

/// A table within a change.
#[derive(Debug)]
pub struct Tied {
    /// The table.
    pub shape: Arc<TableShape>,
    /// What its rows must fulfil where an action changes them.
    pub rules: Option<Arc<RowRules>>,
    /// Where it is the child.
    pub referring: Vec<Arc<Tie>>,
    /// Where it is the parent.
    pub referred: Vec<Arc<Tie>>,
    keys: Vec<usize>,
}

/// See the module's header.
#[derive(Debug)]
pub struct Ties {
    root: Tied,
    /// Those whose rows actions change, the root among them.
    tables: HashMap<TableId, Tied>,
    /// The keys of the descriptors of all that they lead to.
    descriptors: BTreeSet<Vec<u8>>,
}

impl Touched<'_> {
    fn inserts(&self) -> bool {
        matches!(self, Self::Inserted | Self::InsertedOrUpdated(_) | Self::Merged)
    }

    fn updates(&self, position: Option<usize>) -> bool {
        match self {
            Self::Updated(is_assigned) | Self::InsertedOrUpdated(is_assigned) => position.is_some_and(is_assigned),
            Self::Merged => true,
            Self::Inserted | Self::Deleted => false,
        }
    }

    fn concerns_child(&self, key: &ForeignKey, table: &TableDescriptor) -> bool {
        self.inserts() || key.columns.iter().any(|id| self.updates(table.position_of(*id)))
    }

    fn concerns_parent(&self, key: &ForeignKey, table: &TableDescriptor) -> bool {
        matches!(self, Self::Deleted) || key.parent_columns.iter().any(|id| self.updates(table.position_of(*id)))
    }
}

impl Tied {
    /// Whether an action of a tie may change what others refer to.
    pub fn changes_keys(&self, tie: &Tie) -> bool {
        tie.pairs().iter().any(|pair| self.keys.contains(&pair.child))
    }
}

impl Ties {
    /// The ties that a change of a table follows; None where it follows none.
    ///
    /// # Errors
    /// 42xxx for a DEFAULT or CHECK of a table that can no longer be planned.
    pub fn of(names: &Names<'_>, shape: &Arc<TableShape>, touched: Touched<'_>) -> Result<Option<Self>> {
        let table = &shape.descriptor;
        let mut found = Found {
            names,
            descriptors: BTreeSet::new(),
        };
        let root = found.tied(shape, &|key| touched.concerns_child(key, table), &|key| {
            touched.concerns_parent(key, table)
        })?;
        if root.referring.is_empty() && root.referred.is_empty() {
            return Ok(None);
        }
        let mut tables: HashMap<TableId, Tied> = HashMap::new();
        let mut next: Vec<Arc<Tie>> = root.referred.clone();
        while let Some(tie) = next.pop() {
            let id = tie.child.descriptor.id;
            if is_passive(tie.on_delete) && is_passive(tie.on_update) || tables.contains_key(&id) {
                continue;
            }
            let mut tied = found.tied(&tie.child, &|_| true, &|_| true)?;
            tied.rules = names.row_rules(&tie.child)?;
            next.extend(tied.referred.iter().cloned());
            tables.insert(id, tied);
        }
        Ok(Some(Self {
            root,
            tables,
            descriptors: found.descriptors,
        }))
    }

    /// The table of the statement.
    pub fn root(&self) -> &Tied {
        &self.root
    }

    /// A table whose rows an action changes.
    ///
    /// # Errors
    /// Internal, for another one.
    pub fn tied(&self, table: TableId) -> Result<&Tied> {
        let tied = self.tables.get(&table);
        tied.ok_or_else(|| Error::internal("an action leads to a table that was not looked for"))
    }

    /// Whether rows of its table may be referred to, so that a change of them may wait for others.
    pub fn is_referred_to(&self) -> bool {
        !self.root.referred.is_empty()
    }

    /// Whether rows of its table refer to others of it.
    pub fn refers_to_itself(&self) -> bool {
        self.root.referring.iter().any(|tie| tie.is_of_itself())
    }

    /// Demands that all that was looked at to make it stays as it is.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn depend(&self, transaction: &Transaction) -> Result<()> {
        let mut keys = self.descriptors.iter();
        keys.try_for_each(|key| transaction.require_unchanged(KeyRange::point(key)))
    }
}

fn is_passive(action: Action) -> bool {
    matches!(action, Action::NoAction | Action::Restrict)
}

struct Found<'a> {
    names: &'a Names<'a>,
    descriptors: BTreeSet<Vec<u8>>,
}

impl Found<'_> {
    fn tied(
        &mut self,
        shape: &Arc<TableShape>,
        as_child: &dyn Fn(&ForeignKey) -> bool,
        as_parent: &dyn Fn(&ForeignKey) -> bool,
    ) -> Result<Tied> {
        let names = self.names;
        let table = &shape.descriptor;
        let mut referring = Vec::new();
        for key in table.foreign_keys.iter().filter(|key| as_child(key)) {
            let parent = match key.parent == table.id {
                true => table,
                false => names
                    .catalog()
                    .table_by_id(key.parent)
                    .ok_or_else(|| Error::internal(format!("the table of foreign key \"{}\" is gone", key.name)))?,
            };
            referring.push(self.tie(key, shape, &names.shape(parent))?);
        }
        let mut referred = Vec::new();
        for child in names.catalog().tables() {
            let keys = child.foreign_keys.iter().filter(|key| key.parent == table.id);
            for key in keys.filter(|key| as_parent(key)) {
                referred.push(self.tie(key, &names.shape(child), shape)?);
            }
        }
        referred.sort_by_key(|tie| tie.child.descriptor.id.0);
        Ok(Tied {
            rules: None,
            shape: shape.clone(),
            referring,
            referred,
            keys: key_positions(shape),
        })
    }

    fn tie(&mut self, key: &ForeignKey, child: &Arc<TableShape>, parent: &Arc<TableShape>) -> Result<Arc<Tie>> {
        for table in [&child.descriptor, &parent.descriptor] {
            self.descriptors.insert(table_key(&table.schema, &table.name));
        }
        let defaults = match [key.on_delete, key.on_update].contains(&Action::SetDefault) {
            true => Some(self.defaults(key, child)?),
            false => None,
        };
        Tie::new(key, child.clone(), parent.clone(), defaults).map(Arc::new)
    }

    fn defaults(&self, key: &ForeignKey, child: &Arc<TableShape>) -> Result<Defaults> {
        let table = &child.descriptor;
        let all = self.names.defaults(table).map_err(|error| translate(error, ""))?;
        let of_key = all.into_iter().enumerate().filter_map(|(position, default)| {
            let column = &table.columns[position];
            let default = default.filter(|_| key.columns.contains(&column.id))?;
            Some((position, column.sql_type, default))
        });
        Defaults::new(self.names.state(), of_key.collect())
    }
}
