//! EXPLAIN, in text: the physical plan, with ANALYZE as it ran.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::{SqlType, Value};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::displayable;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

use super::query::run;
use super::setting::text_rows;
use super::{Prepared, Session, parameters};
use crate::cancel::Cancellation;
use crate::response::{Column, Response};
use crate::table::StatementContext;

/// The columns of an EXPLAIN.
pub fn columns() -> Arc<[Column]> {
    [Column {
        name: "QUERY PLAN".to_owned(),
        sql_type: SqlType::Text,
    }]
    .into()
}

impl Session {
    pub(super) async fn explain(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<Response> {
        let ast::Statement::Explain {
            analyze,
            statement,
            format,
            options,
            query_plan,
            estimate,
            ..
        } = &prepared.statement.ast
        else {
            return Err(Error::internal("no EXPLAIN"));
        };
        if format.is_some() || *query_plan || *estimate {
            return Err(Error::unsupported("EXPLAIN gives text; FORMAT JSON is not there yet"));
        }
        let mut is_analyze = *analyze;
        for option in options.iter().flatten() {
            match option.name.value.to_ascii_lowercase().as_str() {
                "analyze" => is_analyze = option.arg.as_ref().is_none_or(|arg| is_true(&arg.to_string())),
                "costs" | "verbose" | "timing" | "summary" | "buffers" => {}
                other => return Err(Error::unsupported(format!("EXPLAIN option {other} is not there yet"))),
            }
        }
        let ast::Statement::Query(query) = &**statement else {
            return Err(Error::unsupported(
                "EXPLAIN explains queries; of other statements it is not there yet",
            ));
        };
        let text = &prepared.statement.text;
        let transaction = self.transaction(false)?;
        let catalog = self.catalog_of(&transaction)?;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let planned = self.plan_query(query, &types, text, &catalog)?;
        let plan = parameters::replace(planned.plan, &prepared.parameters, values, text)?;
        let context = StatementContext {
            transaction,
            cancellation: cancellation.clone(),
        };
        let (physical, task) = self.physical(&plan, context, text).await?;
        let shown = if is_analyze {
            let limit = self.time_limit(&cancellation);
            let stream = run(physical.clone(), task, cancellation, text.clone())?;
            let mut stream = std::pin::pin!(stream);
            while stream.try_next().await?.is_some() {}
            drop(limit);
            DisplayableExecutionPlan::with_metrics(&*physical)
                .indent(false)
                .to_string()
        } else {
            displayable(&*physical).indent(false).to_string()
        };
        let lines = shown.lines().map(str::to_owned).collect();
        text_rows(columns(), vec![lines], "EXPLAIN")
    }
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "on" | "1")
}
