//! The names of types that users made.
//!
//! What sqlparser does not know as a type of its own is a name, which is looked up as names of tables are: in its schema, or along the search
//! path. In its place [`settle_types`] puts the type's word (`aion_catalog::enumeration`), which is read as a type without a catalog by
//! whoever comes later. Texts that are kept, of defaults and views for instance, keep the name.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_catalog::SqlType;
use aion_catalog::enumeration::EnumType;
use aion_catalog::objects::{Catalog, enum_key, is_temporary};
use datafusion::arrow::datatypes::FieldRef;
use datafusion::sql::sqlparser::ast;

use super::Names;
use crate::dml::normalize;
use crate::session::TEMPORARY_ALIAS;

/// The parts of a name, as PostgreSQL folds them.
fn parts(name: &ast::ObjectName) -> Option<Vec<String>> {
    let parts = name.0.iter().map(|part| part.as_ident().map(normalize));
    parts.collect()
}

/// The enum that a name stands for.
pub fn find_type(catalog: &Catalog, search_path: &[String], name: &ast::ObjectName) -> Option<EnumType> {
    let own = || search_path.iter().find(|schema| is_temporary(schema));
    match parts(name)?.as_slice() {
        [name] => {
            let mut schemas = search_path.iter();
            schemas.find_map(|schema| catalog.enum_type(schema, name))
        }
        [schema, name] | [_, schema, name] => match schema.as_str() {
            TEMPORARY_ALIAS => catalog.enum_type(own()?, name),
            schema if is_temporary(schema) && own().is_none_or(|own| own != schema) => None,
            schema => catalog.enum_type(schema, name),
        },
        _ => None,
    }
}

/// A name as it stands for a type; None for a type that is written with more than a name.
fn type_name(data_type: &ast::DataType) -> Option<ast::ObjectName> {
    if let ast::DataType::Custom(name, modifiers) = data_type {
        return modifiers.is_empty().then(|| name.clone());
    }
    // What sqlparser takes for a type of another database.
    let written = data_type.to_string();
    let is_name = written.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_known = written.parse::<SqlType>().is_ok();
    (is_name && !is_known).then(|| ast::ObjectName::from(vec![ast::Ident::new(written.to_lowercase())]))
}

/// Puts its word in the place of the name of a type that `find` knows, also where it is that of an array's elements.
pub fn settle_type(data_type: &mut ast::DataType, find: &mut dyn FnMut(&ast::ObjectName) -> Option<EnumType>) {
    match data_type {
        ast::DataType::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::AngleBracket(element)
            | ast::ArrayElemTypeDef::Parenthesis(element),
        ) => settle_type(element, find),
        other => {
            if let Some(of) = type_name(other).and_then(|name| find(&name)) {
                let word = ast::Ident::new(of.word().to_string());
                *other = ast::DataType::Custom(ast::ObjectName::from(vec![word]), Vec::new());
            }
        }
    }
}

/// As [`settle_type`], for all types that the expressions within a node name.
pub fn settle_types(node: &mut impl ast::VisitMut, find: &mut dyn FnMut(&ast::ObjectName) -> Option<EnumType>) {
    let _: ControlFlow<()> = ast::visit_expressions_mut(node, |expr| {
        match expr {
            ast::Expr::Cast { data_type, .. } => settle_type(data_type, find),
            ast::Expr::TypedString(typed) => settle_type(&mut typed.data_type, find),
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

/// Whether an expression or a query names a type that `is_it` knows.
pub fn names_type(node: &mut impl ast::VisitMut, is_it: &mut dyn FnMut(&ast::ObjectName) -> bool) -> bool {
    let mut is_found = false;
    settle_types(node, &mut |name| {
        is_found |= is_it(name);
        None
    });
    is_found
}

/// The types of the columns that a definition gives a table.
pub fn settle_definition(
    statement: &mut ast::Statement,
    find: &mut dyn FnMut(&ast::ObjectName) -> Option<EnumType>,
) -> bool {
    let mut is_settled = false;
    let mut note = |name: &ast::ObjectName| {
        let found = find(name);
        is_settled |= found.is_some();
        found
    };
    match statement {
        ast::Statement::CreateTable(create) => {
            for column in &mut create.columns {
                settle_type(&mut column.data_type, &mut note);
            }
        }
        ast::Statement::AlterTable(alter) => {
            for operation in &mut alter.operations {
                match operation {
                    ast::AlterTableOperation::AddColumn { column_def, .. } => {
                        settle_type(&mut column_def.data_type, &mut note);
                    }
                    ast::AlterTableOperation::AlterColumn {
                        op: ast::AlterColumnOperation::SetDataType { data_type, .. },
                        ..
                    } => settle_type(data_type, &mut note),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    is_settled
}

impl Names<'_> {
    /// Puts words in the place of the names of types that users made, and notes that the statement depends on these.
    pub(super) fn settle_types(&self, node: &mut impl ast::VisitMut) {
        if self.catalog.enums().next().is_none() {
            return;
        }
        settle_types(node, &mut |name| self.find_type(name));
    }

    /// Gives parameters of a type that a user made its newest state: they may have been told of an older one.
    pub(super) fn renew_types(&self, types: &mut [Option<FieldRef>]) {
        for field in types.iter_mut().flatten() {
            let known = SqlType::from_field(field)
                .ok()
                .filter(|sql_type| sql_type.made().is_some());
            let newest = known.and_then(|sql_type| self.catalog.type_of_oid(sql_type.oid()));
            if let Some(newest) = newest.filter(|newest| Some(*newest) != known) {
                *field = Arc::new(newest.to_field("", true));
            }
        }
    }

    /// The enum that a name stands for, on which the statement depends.
    pub fn find_type(&self, name: &ast::ObjectName) -> Option<EnumType> {
        let found = find_type(self.catalog, self.search_path, name)?;
        let descriptor = found.descriptor();
        let key = enum_key(&descriptor.schema, &descriptor.name);
        self.met.lock().definitions.insert(key);
        Some(found)
    }
}
