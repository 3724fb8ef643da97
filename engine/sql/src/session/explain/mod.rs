//! EXPLAIN: the physical plan, with ANALYZE as it ran, as lines or as JSON.
//!
//! A change is explained by the query that finds its rows; it is not run, so ANALYZE of one is refused.

mod show;
mod sub_plan;
mod tree;

use std::sync::Arc;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value};
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

use self::show::{Ai, Times};
pub(crate) use self::tree::{Node, Property, operators_of, predict};
use super::query::run;
use super::setting::text_rows;
use super::{Prepared, Session, parameters};
use crate::cancel::Cancellation;
use crate::dml::plan_change;
use crate::response::{Column, Response};
use crate::table::StatementContext;

/// What an EXPLAIN asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Request {
    is_analyze: bool,
    is_json: bool,
    /// What the learned parts say of each operator.
    with_ai: bool,
}

/// The columns of an EXPLAIN.
///
/// # Errors
/// 0A000 for an option that is not there, 22023 for one without sense.
pub fn columns(statement: &ast::Statement) -> Result<Arc<[Column]>> {
    let sql_type = match request(statement)?.is_json {
        true => SqlType::Json,
        false => SqlType::Text,
    };
    Ok([Column::new("QUERY PLAN", sql_type)].into())
}

fn request(statement: &ast::Statement) -> Result<Request> {
    let ast::Statement::Explain {
        analyze,
        format,
        options,
        query_plan,
        estimate,
        ..
    } = statement
    else {
        return Err(Error::internal("no EXPLAIN"));
    };
    if *query_plan || *estimate {
        return Err(Error::unsupported(
            "EXPLAIN QUERY PLAN and EXPLAIN ESTIMATE are not PostgreSQL's",
        ));
    }
    let mut request = Request {
        is_analyze: *analyze,
        ..Request::default()
    };
    if let Some(format) = format {
        request.is_json = is_json(&format.to_string())?;
    }
    for option in options.iter().flatten() {
        let value = option.arg.as_ref().map(ToString::to_string);
        match option.name.value.to_ascii_lowercase().as_str() {
            "analyze" => request.is_analyze = value.is_none_or(|value| is_true(&value)),
            "ai" => request.with_ai = value.is_none_or(|value| is_true(&value)),
            "format" => request.is_json = is_json(&value.unwrap_or_default())?,
            "costs" | "verbose" | "timing" | "summary" | "buffers" | "settings" | "wal" => {}
            other => {
                return Err(Error::invalid(
                    SqlState::SYNTAX_ERROR,
                    format!("unrecognized EXPLAIN option \"{other}\""),
                ));
            }
        }
    }
    Ok(request)
}

fn is_json(format: &str) -> Result<bool> {
    match format
        .trim_matches('\'')
        .trim_start_matches('=')
        .to_ascii_lowercase()
        .as_str()
    {
        "json" => Ok(true),
        "text" => Ok(false),
        other => Err(Error::unsupported(format!(
            "EXPLAIN gives text and json; {other} is not there"
        ))),
    }
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "on" | "1")
}

impl Session {
    pub(super) async fn explain(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<Response> {
        let ast::Statement::Explain { statement, .. } = &prepared.statement.ast else {
            return Err(Error::internal("no EXPLAIN"));
        };
        let request = request(&prepared.statement.ast)?;
        if !request.is_analyze
            && !request.is_json
            && let Some(line) = self.explain_directly(statement, &prepared.parameters)?
        {
            return text_rows(columns(&prepared.statement.ast)?, vec![vec![line]], "EXPLAIN");
        }
        let text = &prepared.statement.text;
        let transaction = self.transaction(false)?;
        let catalog = self.catalog_of(&transaction)?;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let clock = SystemClock::default();
        let begin = clock.monotonic();
        let planned = match &**statement {
            ast::Statement::Query(query) => self.plan_query(query, &types, text, &catalog)?,
            ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => {
                if request.is_analyze {
                    return Err(Error::unsupported(
                        "EXPLAIN ANALYZE of a statement that writes is not there yet",
                    ));
                }
                let path = self.search_path()?;
                let names = self.names(&catalog, &path);
                plan_change(names, statement.as_ref().clone(), parameters::known(&types), text)?.1
            }
            _ => return Err(Error::unsupported("EXPLAIN explains SELECT, INSERT, UPDATE and DELETE")),
        };
        let plan = parameters::replace(planned.plan, &prepared.parameters, values, text, self.zone())?;
        let context = StatementContext {
            transaction,
            cancellation: cancellation.clone(),
        };
        let (physical, task) = self.physical(&plan, context, text).await?;
        let planned_at = clock.monotonic();
        let observer = self.engine.options.observer.clone();
        let observer = observer.filter(|observer| request.with_ai && self.is_observed() && observer.is_on());
        let predicted = observer.and_then(|observer| predict(&*observer, &Node::expected(&*physical)));
        let took = clock.monotonic().saturating_sub(planned_at);
        let mut times = Times {
            planning_ms: milliseconds(clock.monotonic().saturating_sub(begin)),
            execution_ms: None,
        };
        if request.is_analyze {
            let begin = clock.monotonic();
            let limit = self.time_limit(&cancellation);
            let stream = run(physical.clone(), task, cancellation, text.clone())?;
            let mut stream = std::pin::pin!(stream);
            while stream.try_next().await?.is_some() {}
            drop(limit);
            times.execution_ms = Some(milliseconds(clock.monotonic().saturating_sub(begin)));
        }
        let mut root = Node::of(&*physical, request.is_analyze);
        let ai = request.with_ai.then(|| Ai {
            mode: self.ai_mode().unwrap_or_default(),
            predicted: predicted.clone(),
            took,
        });
        if let Some(predicted) = &predicted {
            root.predict(&mut predicted.rows.iter().copied());
        }
        let columns = columns(&prepared.statement.ast)?;
        let lines = match request.is_json {
            true => vec![show::document(&root, times, ai.as_ref())],
            false => show::lines(&root, times, ai.as_ref()),
        };
        text_rows(columns, vec![lines], "EXPLAIN")
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
