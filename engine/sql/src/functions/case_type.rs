//! What type a CASE has, where Arrow's type is not all of it: `json` is carried as text, and says that it is json in its field.
//!
//! DataFusion gives the column of a CASE no such mark, even where all of its results have the same one.

use std::collections::HashMap;

use aion_catalog::types::TYPE_METADATA_KEY;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::retyped::retyped;

/// The plan of a query whose columns have the type that all results of their CASE have. It changes what columns say of themselves, so it
/// comes before anybody asks for that.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn mark_cases(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_projection = |plan: &LogicalPlan| matches!(plan, LogicalPlan::Projection(_));
    retyped(plan, is_projection, |expr, schema| Ok(marked(expr, schema)))
}

fn marked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::Alias(alias) if alias.metadata.is_none() && matches!(*alias.expr, Expr::Case(_)) => {
            let metadata = mark_of(&alias.expr, schema);
            let is_marked = metadata.is_some();
            Transformed::new_transformed(Expr::Alias(Alias { metadata, ..alias }), is_marked)
        }
        Expr::Case(_) => match mark_of(&expr, schema) {
            Some(mark) => {
                let name = expr.schema_name().to_string();
                Transformed::yes(expr.alias_with_metadata(name, Some(mark)))
            }
            None => Transformed::no(expr),
        },
        _ => Transformed::no(expr),
    }
}

/// What all results of a CASE say of their type; a NULL says nothing.
fn mark_of(expr: &Expr, schema: &DFSchema) -> Option<FieldMetadata> {
    let Expr::Case(case) = expr else {
        return None;
    };
    let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    let mut marks = results
        .filter(|result| !matches!(&***result, Expr::Literal(value, _) if value.is_null()))
        .map(|result| {
            let (_, field) = result.to_field(schema).ok()?;
            field.metadata().get(TYPE_METADATA_KEY).cloned()
        });
    let first = marks.next()??;
    let are_equal = marks.all(|mark| mark.as_ref() == Some(&first));
    are_equal.then(|| FieldMetadata::from(HashMap::from([(TYPE_METADATA_KEY.to_owned(), first)])))
}
