//! Where GRAPH_TABLE stands in a statement.

use std::ops::ControlFlow;

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast::{self, Spanned, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::lower::lower;
use super::{TABLE_CARRIER, carried, is_mentioned, is_named};
use crate::dml::at;
use crate::planner::Names;

/// Puts derived tables in the place of all GRAPH_TABLEs of a statement.
///
/// # Errors
/// 42P01, 42704 and 42703 for unknown names, 0A000 for what is not there, with the place in `text`.
pub(crate) fn expand(names: &Names<'_>, statement: &mut ast::Statement, text: &str) -> Result<()> {
    if !is_mentioned(text) {
        return Ok(());
    }
    match statement.visit(&mut Expander { names, text }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Expander<'a> {
    names: &'a Names<'a>,
    text: &'a str,
}

impl Expander<'_> {
    fn table(&self, factor: &mut ast::TableFactor) -> Result<()> {
        match factor {
            ast::TableFactor::Function {
                lateral: true, name, ..
            } if is_named(name, TABLE_CARRIER) => {
                let error = Error::unsupported("LATERAL GRAPH_TABLE is not there yet")
                    .with_hint("A pattern sees its own elements only: compare its COLUMNS with other tables outside.");
                Err(at(error, name.span(), self.text))
            }
            ast::TableFactor::Table {
                name,
                alias,
                args: Some(args),
                with_ordinality,
                sample,
                ..
            } if is_named(name, TABLE_CARRIER) => {
                if *with_ordinality || sample.is_some() {
                    let error = Error::unsupported("GRAPH_TABLE takes neither WITH ORDINALITY nor TABLESAMPLE");
                    return Err(at(error, name.span(), self.text));
                }
                let (body, place) = carried(&args.args).ok_or_else(|| self.misplaced(name.span()))?;
                let subquery = lower(self.names, body, place, self.text)?;
                *factor = ast::TableFactor::Derived {
                    lateral: false,
                    subquery: Box::new(subquery),
                    alias: alias.take(),
                    sample: None,
                };
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn misplaced(&self, span: Span) -> Error {
        let error = Error::invalid(
            SqlState::SYNTAX_ERROR,
            "syntax error: GRAPH_TABLE is a table: it stands in FROM",
        );
        at(error, span, self.text)
    }
}

impl VisitorMut for Expander<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<Error> {
        match self.table(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Error> {
        match expr {
            ast::Expr::Function(function) if is_named(&function.name, TABLE_CARRIER) => {
                ControlFlow::Break(self.misplaced(function.name.span()))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
