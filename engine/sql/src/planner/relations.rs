//! What is known of a relation before the statement that names it is planned.

use aion_catalog::objects::Object;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::sql::sqlparser::ast;

use super::Names;
use crate::dml::reference;
use crate::parse;
use crate::system::Keyed;

impl Names<'_> {
    /// The names of a relation's columns; None where it cannot be planned by itself.
    pub(super) fn columns_of(&self, factor: &ast::TableFactor) -> Option<Vec<String>> {
        let query = parse::parse("SELECT * FROM nothing").ok()?.pop()?.ast;
        let ast::Statement::Query(mut query) = query else {
            return None;
        };
        if let ast::SetExpr::Select(select) = &mut *query.body {
            select.from.first_mut()?.relation = factor.clone();
        }
        let mut names = self.within_view(self.search_path);
        names.bound.clone_from(&self.bound);
        let planned = names.plan(ast::Statement::Query(query), Vec::new(), "").ok()?;
        Some(
            planned
                .plan
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
        )
    }

    /// The columns of a table and its primary key; None for what is no table.
    pub(super) fn key_of(&self, factor: &ast::TableFactor) -> Option<Keyed> {
        let ast::TableFactor::Table { name, args: None, .. } = factor else {
            return None;
        };
        let Ok(Object::Table(table)) = self.resolve(&reference(name).ok()?) else {
            return None;
        };
        let columns: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        let key = table.primary_key_positions().into_iter();
        Some(Keyed {
            key: key.map(|position| columns[position].clone()).collect(),
            columns,
        })
    }

    /// How many columns a query has; None where it cannot be planned by itself.
    pub fn width(&self, query: &ast::Query, types: &[Option<FieldRef>]) -> Option<usize> {
        let mut names = self.within_view(self.search_path);
        names.bound.clone_from(&self.bound);
        let planned = names.plan(ast::Statement::Query(Box::new(query.clone())), types.to_vec(), "");
        Some(planned.ok()?.plan.schema().fields().len())
    }
}
