//! Constraints: `pg_constraint`, how each is written, and `pg_depend`, which tells what goes with what.
//!
//! **Oids.** A constraint that has an index has the oid of that; a CHECK and a foreign key have one by the hash of table and name. A
//! renamed CHECK is another one, which no tool minds.
//!
//! `pg_depend` holds what tools read there: the column that a sequence goes with (`a` for one that was given to it, `i` for that of an
//! identity column), defaults, constraints and indexes with their columns, foreign keys with the keys they look at. Left out: schemas,
//! types and views.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aion_base::Result;
use aion_catalog::descriptor::{Action, CheckDescriptor, ColumnId, ForeignKey, IndexDescriptor, TableDescriptor};

use super::cells::{Cell, Row, row};
use super::facts::{Facts, Relation, RelationKind, quoted};
use super::relations::columns_of;
use super::sequences::{of_default, owner};
use super::written::{Form, expression};
use super::{Definition, oids};
use crate::parse::parse_expression;
use crate::session::named_columns;

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "pg_constraint",
        oids::PG_CONSTRAINT,
        "oid oid, conname name, connamespace oid, contype char, condeferrable bool, condeferred bool, \
         convalidated bool, conrelid oid, contypid oid, conindid oid, conparentid oid, confrelid oid, confupdtype char, \
         confdeltype char, confmatchtype char, conislocal bool, coninhcount int4, connoinherit bool, conkey int2[], \
         confkey int2[], conpfeqop oid[], conppeqop oid[], conffeqop oid[], confdelsetcols int2[], conexclop oid[], \
         conbin text",
        constraints,
    ),
    Definition::new(
        "pg_depend",
        2608,
        "classid oid, objid oid, objsubid int4, refclassid oid, refobjid oid, refobjsubid int4, deptype char",
        dependencies,
    ),
];

/// A constraint of a table.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// See the module's header.
    pub oid: u32,
    pub name: String,
    pub table: Arc<TableDescriptor>,
    pub kind: Kind,
}

/// What a constraint is.
#[derive(Clone, Debug)]
pub enum Kind {
    PrimaryKey,
    Unique(IndexDescriptor),
    Check(CheckDescriptor),
    ForeignKey(ForeignKey),
}

/// All constraints, and where to find one.
#[derive(Debug)]
pub struct Constraints {
    all: Vec<Constraint>,
    by_oid: HashMap<u32, usize>,
}

impl Constraints {
    /// Those of all tables: by table, in each the primary key, UNIQUE, CHECK and foreign keys.
    pub(super) fn of<'a>(tables: impl Iterator<Item = &'a Arc<TableDescriptor>>) -> Self {
        let all: Vec<Constraint> = tables.flat_map(of_table).collect();
        let places = all.iter().enumerate();
        let by_oid = places.map(|(at, constraint)| (constraint.oid, at)).collect();
        Self { all, by_oid }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Constraint> {
        self.all.iter()
    }

    /// The constraint of that oid; that of an index has the index's.
    pub fn find(&self, oid: u32) -> Option<&Constraint> {
        self.by_oid.get(&oid).map(|&at| &self.all[at])
    }
}

fn of_table(table: &Arc<TableDescriptor>) -> Vec<Constraint> {
    let constraint = |oid, name: &String, kind| Constraint {
        oid,
        name: name.clone(),
        table: table.clone(),
        kind,
    };
    let hashed = |kind, name: &String| oids::hashed(kind, &table.id.to_string(), name);
    let mut all = Vec::new();
    if let Some(name) = &table.primary_key_name {
        let oid = oids::constraint(oids::primary_key(table.id));
        all.push(constraint(oid, name, Kind::PrimaryKey));
    }
    for index in table.indexes.iter().filter(|index| index.constraint.is_some()) {
        let oid = oids::constraint(oids::index(table.id, index.id));
        all.push(constraint(oid, &index.name, Kind::Unique(index.clone())));
    }
    for check in &table.checks {
        all.push(constraint(
            hashed("check", &check.name),
            &check.name,
            Kind::Check(check.clone()),
        ));
    }
    for key in &table.foreign_keys {
        let kind = Kind::ForeignKey(key.clone());
        all.push(constraint(hashed("foreign key", &key.name), &key.name, kind));
    }
    all
}

impl Constraint {
    /// `pg_constraint.contype`.
    pub fn letter(&self) -> &'static str {
        match &self.kind {
            Kind::PrimaryKey => "p",
            Kind::Unique(_) => "u",
            Kind::Check(_) => "c",
            Kind::ForeignKey(_) => "f",
        }
    }

    /// The columns that it is about, in its order.
    pub fn columns(&self) -> Vec<ColumnId> {
        match &self.kind {
            Kind::PrimaryKey => self.table.primary_key.clone(),
            Kind::Unique(index) => index.columns.iter().map(|column| column.column).collect(),
            Kind::Check(check) => check.columns.clone(),
            Kind::ForeignKey(key) => key.columns.clone(),
        }
    }

    /// The foreign key that it is.
    pub fn foreign_key(&self) -> Option<&ForeignKey> {
        match &self.kind {
            Kind::ForeignKey(key) => Some(key),
            _ => None,
        }
    }

    /// The index that keeps it, of a foreign key that of the columns referred to; 0 where there is none.
    pub fn index(&self, facts: &Facts) -> u32 {
        match &self.kind {
            Kind::PrimaryKey => oids::primary_key(self.table.id),
            Kind::Unique(index) => oids::index(self.table.id, index.id),
            Kind::Check(_) => 0,
            Kind::ForeignKey(key) => {
                let parent = facts.catalog.table_by_id(key.parent);
                parent
                    .and_then(|parent| index_of(parent, &key.parent_columns))
                    .unwrap_or(0)
            }
        }
    }

    /// As it is written in CREATE TABLE; None for a foreign key whose other table is gone.
    pub fn definition(&self, facts: &Facts, form: Form) -> Option<String> {
        Some(match &self.kind {
            Kind::PrimaryKey => format!("PRIMARY KEY ({})", names(&self.table, &self.columns())),
            Kind::Unique(index) => {
                let nulls = if index.is_nulls_equal {
                    "NULLS NOT DISTINCT "
                } else {
                    ""
                };
                let included = match index.included.as_slice() {
                    [] => String::new(),
                    included => format!(" INCLUDE ({})", names(&self.table, included)),
                };
                format!("UNIQUE {nulls}({}){included}", names(&self.table, &self.columns()))
            }
            Kind::Check(check) => {
                let condition = expression(&check.expression, Some(&self.table), form);
                format!("CHECK ({})", facts.shortened(condition))
            }
            Kind::ForeignKey(key) => {
                let parent = facts.catalog.table_by_id(key.parent)?;
                let mut text = format!(
                    "FOREIGN KEY ({}) REFERENCES {}({})",
                    names(&self.table, &key.columns),
                    facts.shown(facts.relation(oids::table(parent.id))?),
                    names(parent, &key.parent_columns)
                );
                if key.is_full {
                    text.push_str(" MATCH FULL");
                }
                for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
                    if action != Action::NoAction {
                        text.push_str(&format!(" ON {event} {}", action_name(action)));
                    }
                }
                if key.is_deferrable {
                    text.push_str(" DEFERRABLE");
                }
                if key.is_deferred {
                    text.push_str(" INITIALLY DEFERRED");
                }
                text
            }
        })
    }
}

/// The names of columns, as SQL writes a list of them.
fn names(table: &TableDescriptor, columns: &[ColumnId]) -> String {
    let positions = columns.iter().filter_map(|column| table.position_of(*column));
    let names: Vec<_> = positions.map(|at| quoted(&table.columns[at].name)).collect();
    names.join(", ")
}

/// The index of a table by which rows with other values in these columns are told apart.
fn index_of(table: &TableDescriptor, columns: &[ColumnId]) -> Option<u32> {
    let wanted: BTreeSet<ColumnId> = columns.iter().copied().collect();
    let primary_key: BTreeSet<ColumnId> = table.primary_key.iter().copied().collect();
    if table.primary_key_name.is_some() && primary_key == wanted {
        return Some(oids::primary_key(table.id));
    }
    let mut unique = table
        .indexes
        .iter()
        .filter(|index| index.is_unique && index.predicate.is_none());
    let found = unique.find(|index| {
        let its: BTreeSet<ColumnId> = index.columns.iter().map(|column| column.column).collect();
        its == wanted
    });
    found.map(|index| oids::index(table.id, index.id))
}

/// What a foreign key does, as SQL writes it.
pub(super) fn action_name(action: Action) -> &'static str {
    match action {
        Action::NoAction => "NO ACTION",
        Action::Restrict => "RESTRICT",
        Action::Cascade => "CASCADE",
        Action::SetNull => "SET NULL",
        Action::SetDefault => "SET DEFAULT",
    }
}

fn action_letter(action: Action) -> &'static str {
    match action {
        Action::NoAction => "a",
        Action::Restrict => "r",
        Action::Cascade => "c",
        Action::SetNull => "n",
        Action::SetDefault => "d",
    }
}

/// Columns by their numbers.
fn numbers(columns: &[ColumnId]) -> Cell {
    Cell::Ints(columns.iter().map(|column| column.0.into()).collect())
}

fn constraints(facts: &Facts) -> Result<Vec<Row>> {
    Ok(facts.constraints().iter().map(|one| constraint(facts, one)).collect())
}

fn constraint(facts: &Facts, one: &Constraint) -> Row {
    let key = one.foreign_key();
    let columns = one.columns();
    let expression = match &one.kind {
        Kind::Check(check) => Some(expression(&check.expression, Some(&one.table), Form::Full)),
        _ => None,
    };
    row![
        one.oid,
        one.name.as_str(),
        oids::schema(&one.table.schema),
        one.letter(),
        key.is_some_and(|key| key.is_deferrable),
        key.is_some_and(|key| key.is_deferred),
        true,
        oids::table(one.table.id),
        0,
        one.index(facts),
        0,
        key.map_or(0, |key| oids::table(key.parent)),
        key.map_or(" ", |key| action_letter(key.on_update)),
        key.map_or(" ", |key| action_letter(key.on_delete)),
        // FULL or SIMPLE.
        key.map_or(" ", |key| if key.is_full { "f" } else { "s" }),
        true,
        0,
        // A CHECK is what children would have too.
        expression.is_none(),
        if columns.is_empty() {
            Cell::Null
        } else {
            numbers(&columns)
        },
        key.map_or(Cell::Null, |key| numbers(&key.parent_columns)),
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        expression,
    ]
}

/// An object, and its column or 0: class, oid, number.
type Place = (u32, u32, i64);
/// What depends, upon what, and how.
type Dependency = (Place, Place, &'static str);

fn dependencies(facts: &Facts) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    for relation in facts.relations() {
        relation_depends(facts, relation, &mut all);
    }
    for one in facts.constraints().iter() {
        constraint_depends(facts, one, &mut all);
    }
    let row = |((class, oid, sub), (of_class, of_oid, of_sub), kind): Dependency| {
        row![class, oid, sub, of_class, of_oid, of_sub, kind]
    };
    Ok(all.into_iter().map(row).collect())
}

fn relation_depends(facts: &Facts, relation: &Relation, all: &mut Vec<Dependency>) {
    let place = (oids::PG_CLASS, relation.oid, 0);
    match &relation.kind {
        RelationKind::Sequence(sequence) => {
            if let Some(owner) = owner(facts, sequence) {
                let column = (oids::PG_CLASS, oids::table(owner.table.id), owner.column.0.into());
                all.push((place, column, if owner.is_identity { "i" } else { "a" }));
            }
        }
        RelationKind::Table(table) => {
            let columns = columns_of(facts, relation);
            for column in columns.iter().filter(|column| column.default.is_some()) {
                let default = (oids::PG_ATTRDEF, oids::default(relation.oid, column.number), 0);
                all.push((default, (oids::PG_CLASS, relation.oid, column.number), "a"));
                let position = table.position(&column.name);
                let text = position.and_then(|position| table.columns[position].default.as_ref());
                let parsed = text.and_then(|text| parse_expression(text).ok());
                if let Some(sequence) = parsed.and_then(|expr| of_default(facts, &expr)) {
                    all.push((default, (oids::PG_CLASS, sequence.oid, 0), "n"));
                }
            }
        }
        RelationKind::Index(table, index) if index.constraint.is_none() => {
            let columns = index.columns.iter().map(|column| column.column);
            let columns = columns.filter(|&column| column != ColumnId::EXPRESSION);
            let mut columns: BTreeSet<ColumnId> = columns.chain(index.included.iter().copied()).collect();
            for expr in index.texts().filter_map(|text| parse_expression(text).ok()) {
                let named = named_columns(&expr).into_iter();
                columns.extend(named.filter_map(|name| Some(table.columns[table.position(&name)?].id)));
            }
            for column in columns {
                all.push((place, (oids::PG_CLASS, oids::table(table.id), column.0.into()), "a"));
            }
        }
        RelationKind::PrimaryKey(_) | RelationKind::Index(..) => {
            all.push((place, (oids::PG_CONSTRAINT, oids::constraint(relation.oid), 0), "i"));
        }
        RelationKind::View(_) | RelationKind::Graph | RelationKind::System(_) => {}
    }
}

fn constraint_depends(facts: &Facts, one: &Constraint, all: &mut Vec<Dependency>) {
    let place = (oids::PG_CONSTRAINT, one.oid, 0);
    for column in one.columns() {
        all.push((place, (oids::PG_CLASS, oids::table(one.table.id), column.0.into()), "a"));
    }
    if let Some(key) = one.foreign_key() {
        for column in &key.parent_columns {
            all.push((place, (oids::PG_CLASS, oids::table(key.parent), column.0.into()), "n"));
        }
        all.push((place, (oids::PG_CLASS, one.index(facts), 0), "n"));
    }
}
