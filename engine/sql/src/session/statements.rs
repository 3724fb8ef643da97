//! Prepared statements by name: PREPARE, EXECUTE, DEALLOCATE, DISCARD, and what Parse of the protocol names.
//!
//! All of them have one namespace, which is the session's and no part of a transaction. What a PREPARE prepares is a text of its own,
//! so that it runs, and is observed, as if a client had sent it by itself.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, Zone};
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::keywords::Keyword;
use parking_lot::Mutex;

use super::rewriting::converts_by_itself;
use super::{Prepared, Session};
use crate::cells::{Cells, canonical};
use crate::dml::{assigned_type, at, normalize, reference, select};
use crate::named::Named;
use crate::parse::{self, Statement};
use crate::planner::{BeyondRow, find_type, settle_type, sql_type};
use crate::response::{Column, Response};

/// Prepared statements of a session, where no edge says otherwise, and the bytes of their texts.
const STATEMENTS_MAX: usize = 10_000;
const STATEMENT_BYTES_TOTAL_MAX: usize = 64 << 20;

/// A statement that has a name.
#[derive(Debug)]
pub struct NamedStatement {
    /// None for a text without a statement, which the protocol may prepare.
    pub prepared: Option<Arc<Prepared>>,
    /// What made it.
    pub text: String,
    /// PREPARE made it, and not the protocol.
    pub is_from_sql: bool,
    /// Microseconds since 1970.
    pub prepared_at: i64,
}

/// A statement within another one, and the characters before it.
pub(super) struct Within {
    pub statement: Statement,
    before: usize,
}

impl Within {
    /// What stands behind a word of a statement, but for the last words of it.
    pub fn new(statement: &Statement, behind: Keyword, tail: usize) -> Result<Self> {
        let (body, before) = parse::body(statement, behind, tail)?;
        let inner = parse::parse(&body).map_err(|error| shifted(error, before))?.pop();
        let statement = inner.ok_or_else(|| Error::internal("a statement within a statement is one"))?;
        Ok(Self { statement, before })
    }

    /// An error of it, at its place in the whole text.
    pub fn place(&self, error: Error) -> Error {
        shifted(error, self.before)
    }
}

fn shifted(error: Error, before: usize) -> Error {
    match error.position() {
        Some(position) => error.with_position(position + before),
        None => error,
    }
}

/// The prepared statements of a session.
pub(crate) type Statements = Arc<Mutex<Named<Arc<NamedStatement>>>>;

/// None yet.
pub(crate) fn no_statements() -> Statements {
    let named = Named::new("prepared statements", STATEMENTS_MAX, STATEMENT_BYTES_TOTAL_MAX);
    Arc::new(Mutex::new(named))
}

/// Microseconds since 1970.
pub(super) fn now() -> i64 {
    i64::try_from(SystemClock::default().wall_micros()).unwrap_or(i64::MAX)
}

fn unknown(name: &str) -> Error {
    let message = match name {
        "" => "unnamed prepared statement does not exist".to_owned(),
        _ => format!("prepared statement \"{name}\" does not exist"),
    };
    Error::not_found(SqlState::INVALID_SQL_STATEMENT_NAME, message)
}

fn done(tag: &str) -> Result<Response> {
    Ok(Response::Done { tag: tag.to_owned() })
}

/// What an EXECUTE runs: the name and the arguments.
fn executed(statement: &ast::Statement) -> Result<(String, &[ast::Expr])> {
    let ast::Statement::Execute {
        name: Some(name),
        parameters,
        has_parentheses,
        immediate: false,
        into,
        using,
        output: false,
        default: false,
    } = statement
    else {
        return Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "EXECUTE takes the name of a prepared statement",
        ));
    };
    if !into.is_empty() || !using.is_empty() || (!parameters.is_empty() && !has_parentheses) {
        return Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "EXECUTE takes its arguments in parentheses",
        ));
    }
    Ok((reference(name)?.table().to_owned(), parameters))
}

impl Session {
    /// Other limits for its prepared statements, and the bytes that clients sent to make them.
    pub fn limit_statements(&mut self, count_max: usize, bytes_max: usize) {
        self.statements.lock().limit(count_max, bytes_max);
    }

    /// The prepared statement of that name; the unnamed one has an empty name.
    ///
    /// # Errors
    /// 26000.
    pub fn statement(&self, name: &str) -> Result<Arc<NamedStatement>> {
        self.statements.lock().get(name).cloned().ok_or_else(|| unknown(name))
    }

    /// Whether the name is free for a statement; the unnamed one may be replaced.
    ///
    /// # Errors
    /// 42P05.
    pub fn check_statement_name(&self, name: &str) -> Result<()> {
        match !name.is_empty() && self.statements.lock().contains(name) {
            true => Err(Error::invalid(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )),
            false => Ok(()),
        }
    }

    /// Gives a statement a name in the protocol; `bytes` is what the client sent to make it.
    ///
    /// # Errors
    /// 54000 beyond a limit.
    pub fn name_statement(
        &self,
        name: String,
        prepared: Option<Arc<Prepared>>,
        text: &str,
        bytes: usize,
    ) -> Result<()> {
        let named = NamedStatement {
            prepared,
            text: text.to_owned(),
            is_from_sql: false,
            prepared_at: now(),
        };
        self.statements.lock().insert(name, Arc::new(named), bytes)
    }

    /// Forgets a prepared statement; one that is not there is no error.
    pub fn forget_statement(&self, name: &str) {
        self.statements.lock().remove(name);
    }

    /// PREPARE.
    pub(super) fn prepare_named(&self, statement: &Statement) -> Result<Response> {
        let ast::Statement::Prepare {
            name,
            data_types,
            statement: prepared,
        } = &statement.ast
        else {
            return Err(Error::internal("no PREPARE"));
        };
        let name = normalize(name);
        self.check_statement_name(&name)?;
        let is_preparable = matches!(
            **prepared,
            ast::Statement::Query(_)
                | ast::Statement::Insert(_)
                | ast::Statement::Update(_)
                | ast::Statement::Delete(_)
                | ast::Statement::Merge(_)
        );
        if !is_preparable {
            let word = prepared.to_string();
            let word = word.split_whitespace().next().unwrap_or_default();
            let error = Error::invalid(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\""));
            return Err(at(error, prepared.span(), &statement.text));
        }
        let types = data_types.iter().map(|data_type| match data_type.to_string().as_str() {
            "unknown" => Ok(None),
            _ => self.type_named(data_type).map(Some),
        });
        let types = types.collect::<Result<Vec<_>>>()?;
        let prepared = self.describe_body(statement, Keyword::AS, &types)?;
        let (bytes, text) = (statement.text.len(), statement.to_sql());
        let named = NamedStatement {
            prepared: Some(Arc::new(prepared)),
            text,
            is_from_sql: true,
            prepared_at: now(),
        };
        self.statements.lock().insert(name, Arc::new(named), bytes)?;
        done("PREPARE")
    }

    /// The types of parameters, of which those that users made may have other labels than when the statement was prepared.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn newest_types<'t>(&self, types: &'t [SqlType]) -> Result<Cow<'t, [SqlType]>> {
        if types.iter().all(|sql_type| sql_type.made().is_none()) {
            return Ok(Cow::Borrowed(types));
        }
        let catalog = self.catalog()?;
        let newest = |sql_type: &SqlType| match sql_type.made() {
            Some(_) => catalog.type_of_oid(sql_type.oid()).unwrap_or(*sql_type),
            None => *sql_type,
        };
        Ok(types.iter().map(newest).collect())
    }

    /// The type that is named, which may be one that a user made.
    fn type_named(&self, data_type: &ast::DataType) -> Result<SqlType> {
        let (catalog, path) = (self.catalog()?, self.search_path()?);
        let mut settled = data_type.clone();
        settle_type(&mut settled, &mut |name| find_type(&catalog, &path, name));
        sql_type(&settled)
    }

    /// Plans the statement within a statement, behind a word of it.
    pub(super) fn describe_body(
        &self,
        statement: &Statement,
        behind: Keyword,
        types: &[Option<SqlType>],
    ) -> Result<Prepared> {
        let within = Within::new(statement, behind, 0)?;
        self.describe(&within.statement, types)
            .map_err(|error| within.place(error))
    }

    /// The columns of what an EXECUTE runs.
    pub(super) fn describe_executed(&self, statement: &Statement) -> Result<Option<Arc<[Column]>>> {
        let (name, arguments) = executed(&statement.ast)?;
        let placeholder = arguments.iter().find_map(|argument| {
            let found = ast::visit_expressions(argument, |expr| match expr {
                ast::Expr::Value(value) => match &value.value {
                    ast::Value::Placeholder(name) => ControlFlow::Break((name.clone(), value.span)),
                    _ => ControlFlow::Continue(()),
                },
                _ => ControlFlow::Continue(()),
            });
            found.break_value()
        });
        if let Some((name, span)) = placeholder {
            let error = Error::invalid(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"));
            return Err(at(error, span, &statement.text));
        }
        let named = self.statement(&name)?;
        Ok(named.prepared.as_ref().and_then(|prepared| prepared.columns.clone()))
    }

    /// What an EXECUTE runs, and with which values.
    pub(super) async fn executed(
        &self,
        statement: &ast::Statement,
        text: &Arc<str>,
    ) -> Result<(Arc<Prepared>, Vec<Value>)> {
        let (name, arguments) = executed(statement)?;
        let prepared = self.statement(&name)?.prepared.clone();
        let prepared = prepared.ok_or_else(|| Error::unsupported("EXECUTE of an empty statement does nothing"))?;
        let wanted = prepared.parameters.len();
        if arguments.len() != wanted {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!("Expected {wanted} parameters but got {}.", arguments.len())));
        }
        let types = self.newest_types(&prepared.parameters)?;
        let literals = arguments.iter().zip(types.iter());
        let zone = self.zone();
        let literals = literals.map(|(argument, sql_type)| literal(argument, *sql_type, zone));
        let values = match literals.collect::<Option<Vec<_>>>() {
            Some(values) => values,
            None => self.evaluate(arguments, &types, text).await?,
        };
        Ok((prepared, values))
    }

    /// The values of expressions over nothing, as values of these types.
    async fn evaluate(&self, expressions: &[ast::Expr], types: &[SqlType], text: &Arc<str>) -> Result<Vec<Value>> {
        let cancellation = self.canceller.begin();
        let transaction = self.transaction(false)?;
        let catalog = self.catalog_of(&transaction)?;
        let path = self.search_path()?;
        for expression in expressions {
            let place = |error| at(error, expression.span(), text);
            let beyond = self.names(&catalog, &path).beyond_a_row(expression);
            match beyond {
                None => {}
                Some(BeyondRow::Query) => {
                    return Err(place(Error::unsupported("cannot use subquery in EXECUTE parameter")));
                }
                Some(BeyondRow::Aggregate) => {
                    let message = "aggregate functions are not allowed in EXECUTE parameters";
                    return Err(place(Error::invalid(SqlState::GROUPING_ERROR, message)));
                }
                Some(BeyondRow::Window) => {
                    let message = "window functions are not allowed in EXECUTE parameters";
                    return Err(place(Error::invalid(SqlState::WINDOWING_ERROR, message)));
                }
            }
        }
        let plain = expressions
            .iter()
            .enumerate()
            .map(|(number, expression)| item(expression.clone(), number));
        let plain = select(plain.collect(), Vec::new(), None)?;
        let plain = self.names(&catalog, &path).plan(plain, Vec::new(), text)?;
        let found = plain.plan.schema().as_arrow().clone();
        let mut items = Vec::new();
        for (number, (expression, sql_type)) in expressions.iter().zip(types).enumerate() {
            let place = |error| at(error, expression.span(), text);
            let is_literal = matches!(expression, ast::Expr::Value(_));
            let from = SqlType::from_field(found.field(number)).ok().filter(|_| !is_literal);
            if let Some(from) = from.filter(|from| !converts_by_itself(*from, *sql_type)) {
                let message = format!(
                    "parameter ${} of type {from} cannot be coerced to the expected type {sql_type}",
                    number + 1
                );
                let error = Error::invalid(SqlState::DATATYPE_MISMATCH, message);
                return Err(place(
                    error.with_hint("You will need to rewrite or cast the expression."),
                ));
            }
            let mut cast = parse::parse_expression(&format!("CAST(NULL AS {})", assigned_type(*sql_type).qualified()))?;
            if let ast::Expr::Cast { expr, .. } = &mut cast {
                **expr = expression.clone();
            }
            items.push(item(cast, number));
        }
        let query = select(items, Vec::new(), None)?;
        let planned = self.names(&catalog, &path).plan(query, Vec::new(), text)?;
        let batches = self.collect(&planned.plan, &transaction, &cancellation, text).await?;
        let row = batches.iter().find(|batch| batch.num_rows() == 1);
        let row = row.ok_or_else(|| Error::internal("a SELECT over nothing gives a row"))?;
        let values = row.columns().iter().zip(types).map(|(array, sql_type)| {
            let array = canonical(array, *sql_type)?;
            let cells = Cells::of(&array, *sql_type).ok_or_else(|| Error::internal("the array is canonical"))?;
            if cells.is_null(0) {
                return Ok(Value::Null);
            }
            let mut text = String::new();
            cells.write_text(0, &mut text);
            Value::text_in(sql_type, &text)
        });
        values.collect()
    }

    /// DEALLOCATE.
    pub(super) fn deallocate(&self, name: &ast::Ident) -> Result<Response> {
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all") {
            self.statements.lock().clear_named();
            return done("DEALLOCATE ALL");
        }
        let name = normalize(name);
        match self.statements.lock().remove(&name) {
            Some(_) => done("DEALLOCATE"),
            None => Err(unknown(&name)),
        }
    }

    /// DISCARD.
    pub(super) async fn discard(&mut self, object: &ast::DiscardObject) -> Result<Response> {
        match object {
            ast::DiscardObject::ALL => {
                if self.block.is_some() {
                    return Err(Error::invalid(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    ));
                }
                self.cursors.clear();
                self.listener = None;
                self.reset_all()?;
                self.statements.lock().clear_named();
                self.numbers.forget();
                self.advisory.unlock_all();
                self.discard_temporary().await?;
            }
            ast::DiscardObject::PLANS => {
                for (_, named) in self.statements.lock().iter() {
                    if let Some(prepared) = &named.prepared {
                        *prepared.template.lock() = None;
                        *prepared.change_template.lock() = None;
                        *prepared.direct.lock() = None;
                    }
                }
            }
            ast::DiscardObject::SEQUENCES => self.numbers.forget(),
            ast::DiscardObject::TEMP => self.discard_temporary().await?,
        }
        done(&format!("DISCARD {object}"))
    }
}

fn item(expr: ast::Expr, number: usize) -> ast::SelectItem {
    ast::SelectItem::ExprWithAlias {
        expr,
        alias: ast::Ident::with_quote('"', number.to_string()),
    }
}

fn is_number(sql_type: SqlType) -> bool {
    use SqlType as S;
    matches!(
        sql_type,
        S::SmallInt | S::Integer | S::BigInt | S::Real | S::Double | S::Numeric { .. }
    )
}

/// The value of a literal that needs no planner; None for another expression, and where the planner has to say what is wrong.
fn literal(expression: &ast::Expr, sql_type: SqlType, zone: Zone) -> Option<Value> {
    let (value, sign) = match expression {
        ast::Expr::Value(value) => (&value.value, ""),
        ast::Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => match &**expr {
            ast::Expr::Value(value) if matches!(value.value, ast::Value::Number(..)) => (&value.value, "-"),
            _ => return None,
        },
        _ => return None,
    };
    match value {
        ast::Value::Null => Some(Value::Null),
        ast::Value::SingleQuotedString(text) => Value::text_in_zone(&sql_type, text, zone).ok(),
        ast::Value::Number(number, _) if is_number(sql_type) => {
            Value::text_in(&sql_type, &format!("{sign}{number}")).ok()
        }
        ast::Value::Boolean(value) if sql_type == SqlType::Boolean => Some(Value::Bool(*value)),
        _ => None,
    }
}
