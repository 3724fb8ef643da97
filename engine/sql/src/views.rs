//! Views: planning the query that a name stands for.
//!
//! A view is kept as its text, and planned anew wherever it is used, so that it is always a part of the plan around it. Names in
//! it are looked up along the search path that its creator had, whatever the user's is, and in nothing else of the
//! statement around it.
//!
//! **`*`** in the text is expanded when the view is used. The view's columns were fixed when it was created: they are
//! looked for by name, in order, and what came to the tables later is left out.
//!
//! **No recursion**: a view is created over what is there, and CREATE OR REPLACE refuses a query that leads back to the view.
//! [`DEPTH_MAX`] bounds views upon views all the same.

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::ViewDescriptor;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;

use crate::error::translate;
use crate::parse;
use crate::planner::{Names, Planned};
use crate::session::{make_unique, of_query, refuse_clauses};

/// Views within views, at most; 54001 beyond.
pub(crate) const DEPTH_MAX: usize = 16;

/// Plans a view's query; its columns have the view's names.
///
/// # Errors
/// 54001 beyond the depth; what planning its query says, without a place, since that is none in the user's text.
pub(crate) fn plan(names: &Names<'_>, view: &ViewDescriptor) -> Result<Planned> {
    plan_query(names, view).map_err(|error| {
        let mut outside = Error::new(error.kind(), error.state(), error.message())
            .with_detail(format!("While planning view \"{}\".", view.name));
        if let Some(hint) = error.hint() {
            outside = outside.with_hint(hint);
        }
        outside
    })
}

fn plan_query(names: &Names<'_>, view: &ViewDescriptor) -> Result<Planned> {
    if names.depth() >= DEPTH_MAX {
        return Err(Error::exhausted(
            SqlState::STATEMENT_TOO_COMPLEX,
            format!("views are nested deeper than {DEPTH_MAX} levels"),
        ));
    }
    let mut query = parse_query(&view.query)?;
    refuse_clauses(&query)?;
    let written = query.clone();
    make_unique(&mut query);
    let names = names.within_view(&view.search_path);
    let statement = ast::Statement::Query(Box::new(query));
    let mut planned = names.plan(statement, Vec::new(), &view.query)?;
    let schema = planned.plan.schema().clone();
    let found = of_query(&written, schema.as_arrow())?;
    let mut next = 0;
    let mut columns = Vec::with_capacity(view.columns.len());
    for (name, query_name) in view.columns.iter().zip(&view.query_columns) {
        let offset = found[next..].iter().position(|column| column.name == *query_name);
        let at = next + offset.ok_or_else(|| out_of_date(view, query_name))?;
        columns.push(Expr::Column(Column::from(schema.qualified_field(at))).alias(name));
        next = at + 1;
    }
    planned.plan = LogicalPlanBuilder::from(planned.plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| translate(error, ""))?;
    Ok(planned)
}

fn out_of_date(view: &ViewDescriptor, column: &str) -> Error {
    Error::invalid(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "the query of view \"{}\" no longer gives a column \"{column}\"",
            view.name
        ),
    )
    .with_hint("Its tables have changed: drop the view and create it again.")
}

/// The query of a view's text.
///
/// # Errors
/// 42601; internal for what is no query.
pub(crate) fn parse_query(text: &str) -> Result<ast::Query> {
    match parse::parse(text)?.pop().map(|statement| statement.ast) {
        Some(ast::Statement::Query(query)) => Ok(*query),
        _ => Err(Error::internal(format!("the query of a view is none: {text}"))),
    }
}
