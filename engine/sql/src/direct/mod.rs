//! The direct path: statements that name rows by their primary key, or by a short range of it, run without a planner.
//!
//! **Vocabulary.** A *direct* statement is one that [`compile`] knows. A *source* is where one of its values comes from: a
//! parameter or a literal. *Unfit* values are those that only the planner knows what to do with.
//!
//! **Guarantees.** A direct statement takes and gives exactly what the full path would: the same types of parameters, the same
//! columns and values, the same errors, and reads recorded that conflict with the same changes. Where that is not plain, the
//! statement is not direct: [`compile`] answers None, or running it does, and then the full path has it. Tests run both
//! paths side by side.
//!
//! **How.**
//! 1. [`shape`] takes the syntax tree apart; anything that it does not know ends the matter.
//! 2. [`compile`] resolves the names against the catalog and checks the types: the result holds for one generation of
//!    the catalog and one search path.
//! 3. [`Keys`] makes the keys of the rows from the parameters; [`Get`] reads the rows, [`Put`] writes them, [`Range`] reads those between two keys.
//!
//! Left out: rows that foreign keys may refer to, where they go or their keys change; keys by a unique index, floats in keys (the
//! planner compares -0 and NaN as it likes), arithmetic beyond `column + integer`, RETURNING, and values that need a cast beyond the
//! width of an integer.

mod get;
mod keys;
mod put;
mod range;
mod shape;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_catalog::SqlType;
use aion_catalog::objects::{Object, table_key};
use datafusion::sql::sqlparser::ast;

pub(crate) use get::{Get, Output};
pub(crate) use keys::Found;
pub(crate) use put::{Put, PutRows};
pub(crate) use range::Range;
pub(crate) use source::Fit;

use crate::dml::reference;
use crate::planner::Names;
use crate::response::Column;
use crate::table::TableShape;
use shape::Target;
use source::Parameters;

/// A statement that needs no planner.
#[derive(Debug)]
pub(crate) struct Direct {
    /// The types of its parameters.
    pub parameters: Vec<SqlType>,
    /// The key of its table's descriptor: what it writes is right only while that stays.
    pub table_key: KeyRange,
    /// What it does.
    pub operation: Operation,
}

/// What a direct statement does.
#[derive(Debug)]
pub(crate) enum Operation {
    /// SELECT by keys.
    Get(Get),
    /// SELECT of a range of them.
    Range(Box<Range>),
    /// INSERT, UPDATE or DELETE.
    Put(Box<Put>),
}

impl Direct {
    /// The columns of its result.
    pub fn columns(&self) -> Option<&Arc<[Column]>> {
        match &self.operation {
            Operation::Get(get) => Some(&get.output.columns),
            Operation::Range(range) => Some(&range.output.columns),
            Operation::Put(_) => None,
        }
    }

    /// What EXPLAIN says.
    pub fn explain(&self) -> String {
        match &self.operation {
            Operation::Get(get) => format!("Direct: get by primary key of {}", name(get.shape())),
            Operation::Range(range) => format!("Direct: range of the primary key of {}", name(&range.shape)),
            Operation::Put(put) => format!("Direct: {} {}", put.verb(), name(put.shape())),
        }
    }
}

fn name(shape: &TableShape) -> String {
    format!("{}.{}", shape.descriptor.schema, shape.descriptor.name)
}

/// Whether a statement may be direct, as far as its kind tells.
pub(crate) fn is_candidate(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::Query(query) => shape::range(query).is_some(),
        ast::Statement::Insert(insert) => shape::insert(insert).is_some(),
        ast::Statement::Update(update) => shape::update(update).is_some(),
        ast::Statement::Delete(delete) => shape::delete(delete).is_some(),
        _ => false,
    }
}

/// Compiles a statement; None where it is not direct. `given` is what the client says of the parameters' types.
pub(crate) fn compile(names: &Names<'_>, statement: &ast::Statement, given: &[Option<SqlType>]) -> Option<Direct> {
    let mut parameters = Parameters::new(given);
    let (shape, operation) = match statement {
        ast::Statement::Query(query) => {
            let range = shape::range(query)?;
            let shape = table(names, &range.select.target)?;
            let get = shape::select(query).and_then(|select| {
                let mut parameters = Parameters::new(given);
                let get = Get::compile(query, &select, &shape, &mut parameters)?;
                Some((Operation::Get(get), parameters))
            });
            let operation = match get {
                Some((get, of_get)) => {
                    parameters = of_get;
                    get
                }
                None => Operation::Range(Box::new(Range::compile(query, &range, &shape, &mut parameters)?)),
            };
            (shape, operation)
        }
        ast::Statement::Insert(insert) => {
            let insert = shape::insert(insert)?;
            let shape = table_to_insert(names, &insert.target)?;
            let put = Put::insert(&insert, &shape, &mut parameters)?;
            (shape, Operation::Put(Box::new(put.tied(names)?)))
        }
        ast::Statement::Update(update) => {
            let update = shape::update(update)?;
            let shape = changed_table(names, &update.target)?;
            let put = Put::update(&update, &shape, &mut parameters)?;
            (shape, Operation::Put(Box::new(put.tied(names)?)))
        }
        ast::Statement::Delete(delete) => {
            let delete = shape::delete(delete)?;
            let shape = changed_table(names, &delete.target)?;
            let put = Put::delete(&delete, &shape, &mut parameters)?;
            (shape, Operation::Put(Box::new(put.tied(names)?)))
        }
        _ => return None,
    };
    let descriptor = &shape.descriptor;
    Some(Direct {
        parameters: parameters.finish()?,
        table_key: KeyRange::point(&table_key(&descriptor.schema, &descriptor.name)),
        operation,
    })
}

/// The table that a statement names, if that has a primary key.
fn table(names: &Names<'_>, target: &Target<'_>) -> Option<Arc<TableShape>> {
    match names.resolve(&reference(target.name).ok()?).ok()? {
        Object::Table(table) if !table.has_hidden_row_id() => Some(names.shape(&table)),
        _ => None,
    }
}

/// As [`changed_table`], whether the table has a primary key or not: new rows are found by nothing.
fn table_to_insert(names: &Names<'_>, target: &Target<'_>) -> Option<Arc<TableShape>> {
    match names.resolve(&reference(target.name).ok()?).ok()? {
        Object::Table(table) if table.has_no_rules() && table.view.is_none() => Some(names.shape(&table)),
        _ => None,
    }
}

/// As [`table`], if nothing but types and keys says what its rows may be.
fn changed_table(names: &Names<'_>, target: &Target<'_>) -> Option<Arc<TableShape>> {
    table(names, target).filter(|shape| shape.descriptor.has_no_rules())
}
