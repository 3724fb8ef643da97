//! What a person asks of a recommendation: `SELECT aion.approve(17)`, `SELECT * FROM aion.rehearse('CREATE INDEX ...')`.
//!
//! Such a statement is a command that looks like a query, so that every client can ask it and bind its parameters. It is recognised by its
//! shape, done by the pipeline outside of any transaction of the session, and answers with the recommendation's row of
//! `aion.recommendations`, whose columns it has.
//!
//! | verb | arguments |
//! |---|---|
//! | `rehearse` | a command as text, or an id |
//! | `approve`, `revert`, `dismiss`, `pin`, `unpin` | an id, and a reason as text that may be left out |
//!
//! Left out: verbs within other queries (42883), and in transaction blocks (25001), which could not be rolled back.

use std::sync::Arc;

use aion_base::recommendation::{Asked, AskedOf};
use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value};
use datafusion::sql::sqlparser::ast;

use super::{Prepared, Session};
use crate::cancel::Cancellation;
use crate::dml::normalize;
use crate::parse::{self, Statement};
use crate::response::Response;

/// The schema of the verbs.
const SCHEMA: &str = "aion";
/// The verb that takes a command as well.
const REHEARSE: &str = "rehearse";
/// All verbs.
const VERBS: [&str; 6] = [REHEARSE, "approve", "dismiss", "revert", "pin", "unpin"];
/// What is answered.
const ROW: &str = "SELECT * FROM aion.recommendations WHERE id = $1";

/// A verb and its arguments, as they are written.
pub(super) struct Ask<'a> {
    verb: &'static str,
    arguments: Vec<&'a ast::Expr>,
}

/// The verb that a query asks; None for any other query.
pub(super) fn ask(query: &ast::Query) -> Option<Ask<'_>> {
    let ast::SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let (name, list) = match (&select.projection[..], &select.from[..]) {
        ([ast::SelectItem::UnnamedExpr(ast::Expr::Function(function))], []) => match &function.args {
            ast::FunctionArguments::List(list) => (&function.name, &list.args),
            _ => return None,
        },
        ([ast::SelectItem::Wildcard(_)], [from]) if from.joins.is_empty() => match &from.relation {
            ast::TableFactor::Table {
                name, args: Some(args), ..
            } => (name, &args.args),
            _ => return None,
        },
        _ => return None,
    };
    let verb = verb_named(name)?;
    let is_bare = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && select.selection.is_none()
        && select.having.is_none();
    let arguments = list.iter().map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    let arguments = arguments.collect::<Option<Vec<_>>>()?;
    is_bare.then_some(Ask { verb, arguments })
}

fn verb_named(name: &ast::ObjectName) -> Option<&'static str> {
    let parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(normalize)
        .collect();
    let [schema, verb] = &parts[..] else { return None };
    (schema == SCHEMA).then_some(())?;
    VERBS.into_iter().find(|there| there == verb)
}

impl Ask<'_> {
    /// The types of its parameters, as far as a client does not say.
    fn parameters(&self, given: &[Option<SqlType>]) -> Result<Vec<SqlType>> {
        let mut types: Vec<SqlType> = Vec::new();
        for (at, argument) in self.arguments.iter().enumerate() {
            let Some(number) = placeholder(argument) else { continue };
            if number == 0 || number > 2 {
                return Err(Error::invalid(
                    SqlState::UNDEFINED_PARAMETER,
                    format!("there is no parameter ${number}"),
                ));
            }
            let inferred = match at {
                0 if self.verb != REHEARSE => SqlType::BigInt,
                _ => SqlType::Text,
            };
            types.resize(types.len().max(number), SqlType::Text);
            types[number - 1] = given.get(number - 1).copied().flatten().unwrap_or(inferred);
        }
        Ok(types)
    }

    /// What is asked, with the values of its parameters.
    fn asked(&self, values: &[Value], session: &Session) -> Result<Asked> {
        let verb = self.verb;
        let takes = match verb {
            REHEARSE => "a command or an id",
            _ => "an id and, if you like, a reason",
        };
        let wrong = || {
            Error::not_found(
                SqlState::UNDEFINED_FUNCTION,
                format!("aion.{verb} takes {takes}, as values or parameters"),
            )
        };
        let arguments = self
            .arguments
            .iter()
            .map(|argument| value(argument, values).ok_or_else(wrong));
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        let id = |text: &str| {
            text.trim().parse::<u64>().map_err(|_| {
                Error::invalid(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    format!("\"{text}\" is no id of a recommendation"),
                )
            })
        };
        let (of, reason) = match (verb, &arguments[..]) {
            (REHEARSE, [Argument::Number(number)]) => (AskedOf::Recommendation(id(number)?), ""),
            (REHEARSE, [Argument::Text(command)]) => (AskedOf::Command(command.clone()), ""),
            (REHEARSE, _) => return Err(wrong()),
            (_, [Argument::Number(number) | Argument::Text(number)]) => (AskedOf::Recommendation(id(number)?), ""),
            (
                _,
                [
                    Argument::Number(number) | Argument::Text(number),
                    Argument::Text(reason),
                ],
            ) => (AskedOf::Recommendation(id(number)?), reason.as_str()),
            _ => return Err(wrong()),
        };
        Ok(Asked {
            verb,
            of,
            reason: reason.to_owned(),
            role: session.options.user.clone(),
            mode: session.settings.show("aion.ai_mode")?,
        })
    }
}

/// A value that was written or bound.
enum Argument {
    Number(String),
    Text(String),
}

fn placeholder(expr: &ast::Expr) -> Option<usize> {
    match expr {
        ast::Expr::Cast { expr, .. } | ast::Expr::Nested(expr) => placeholder(expr),
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn value(expr: &ast::Expr, values: &[Value]) -> Option<Argument> {
    if let Some(number) = placeholder(expr) {
        return match values.get(number.checked_sub(1)?)? {
            Value::I16(number) => Some(Argument::Number(number.to_string())),
            Value::I32(number) => Some(Argument::Number(number.to_string())),
            Value::I64(number) => Some(Argument::Number(number.to_string())),
            Value::Text(text) => Some(Argument::Text(text.to_string())),
            _ => None,
        };
    }
    match expr {
        ast::Expr::Cast { expr, .. } | ast::Expr::Nested(expr) => value(expr, values),
        ast::Expr::Value(literal) => match &literal.value {
            ast::Value::Number(number, _) => Some(Argument::Number(number.clone())),
            ast::Value::SingleQuotedString(text)
            | ast::Value::EscapedStringLiteral(text)
            | ast::Value::UnicodeStringLiteral(text) => Some(Argument::Text(text.clone())),
            ast::Value::DollarQuotedString(text) => Some(Argument::Text(text.value.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn row_statement() -> Result<Statement> {
    let statement = parse::parse(ROW)?.into_iter().next();
    statement.ok_or_else(|| Error::internal("a query of ours is one"))
}

impl Session {
    /// What a verb takes and gives; None for a query that asks none.
    pub(super) fn describe_ask(&self, statement: &Statement, given: &[Option<SqlType>]) -> Result<Option<Prepared>> {
        let ast::Statement::Query(query) = &statement.ast else {
            return Ok(None);
        };
        let Some(ask) = ask(query) else {
            return Ok(None);
        };
        let parameters = ask.parameters(given)?;
        let columns = self.describe(&row_statement()?, &[])?.columns;
        Ok(Some(Prepared::new(statement, parameters, columns)))
    }

    /// Does what is asked, and answers with the recommendation's row.
    pub(super) async fn ask(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<Response> {
        let ast::Statement::Query(query) = &prepared.statement.ast else {
            return Err(Error::internal("no query"));
        };
        let ask = ask(query).ok_or_else(|| Error::internal("no verb"))?;
        if self.block.is_some() {
            return Err(Error::invalid(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("aion.{} cannot run inside a transaction block", ask.verb),
            ));
        }
        let asked = ask.asked(values, self)?;
        let pipeline = self.engine.options.pipeline.clone();
        let pipeline = pipeline.ok_or_else(|| Error::unsupported("this database has no learned parts"))?;
        let limit = self.time_limit(&cancellation);
        let asking = tokio::task::spawn_blocking(move || pipeline.ask(&asked, &|| cancellation.is_cancelled()));
        let id = asking
            .await
            .map_err(|error| Error::internal(format!("the pipeline panicked: {error}")))??;
        drop(limit);
        let row = Arc::new(self.describe(&row_statement()?, &[])?);
        let id = Value::I64(i64::try_from(id).unwrap_or(i64::MAX));
        let cancellation = self.canceller.begin();
        self.query(&row, &[id], cancellation).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(text: &str) -> Option<(&'static str, usize)> {
        let statements = parse::parse(text).expect("valid");
        match &statements[0].ast {
            ast::Statement::Query(query) => ask(query).map(|ask| (ask.verb, ask.arguments.len())),
            _ => None,
        }
    }

    #[test]
    fn a_verb_is_a_query_of_its_own() {
        assert_eq!(verb("SELECT aion.approve(17)"), Some(("approve", 1)));
        assert_eq!(verb("SELECT * FROM aion.dismiss($1, 'not now')"), Some(("dismiss", 2)));
        assert_eq!(
            verb("select AION.Rehearse('CREATE INDEX ON t (a)')"),
            Some(("rehearse", 1))
        );
        for other in [
            "SELECT approve(17)",
            "SELECT other.approve(17)",
            "SELECT aion.forget(17)",
            "SELECT aion.approve(id) FROM aion.recommendations",
            "SELECT aion.approve(17), 1",
            "SELECT aion.approve(17) WHERE false",
            "SELECT aion.approve(17) LIMIT 0",
            "SELECT id FROM aion.approve(17)",
        ] {
            assert_eq!(verb(other), None, "{other}");
        }
    }
}
