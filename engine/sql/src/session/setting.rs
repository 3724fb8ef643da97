//! SET, RESET, SHOW and DISCARD.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Zone, text};
use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::sql::sqlparser::ast;

use super::query::result_schema;
use super::transaction::{UNCOMMITTED, name_of};
use super::{Prepared, Session, TransactionStatus};
use crate::dml::normalize;
use crate::response::{Column, Response, Rows, Verb};
use crate::settings;
use crate::{alter_system, as_of};

fn done(tag: &str) -> Result<Response> {
    Ok(Response::Done { tag: tag.to_owned() })
}

fn text_column(name: &str) -> Column {
    Column::new(name, SqlType::Text)
}

/// What SHOW asks for, as one name.
fn shown(variable: &[ast::Ident]) -> String {
    let words: Vec<_> = variable.iter().map(normalize).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["time", "zone"] => "timezone".to_owned(),
        ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        ["session", "authorization"] => "session_authorization".to_owned(),
        _ => words.join("."),
    }
}

/// The columns of a SHOW.
pub fn columns(variable: &[ast::Ident]) -> Arc<[Column]> {
    match shown(variable).as_str() {
        "all" => [text_column("name"), text_column("setting")].into(),
        name => [text_column(settings::spelling(name))].into(),
    }
}

/// Rows of texts.
pub fn text_rows(columns: Arc<[Column]>, cells: Vec<Vec<String>>, tag: &str) -> Result<Response> {
    let schema = result_schema(&columns);
    let arrays: Vec<ArrayRef> = cells
        .into_iter()
        .map(|column| Arc::new(StringArray::from(column)) as ArrayRef)
        .collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|error| Error::internal(format!("rows of text do not fit: {error}")))?;
    let stream = futures::stream::iter([Ok(batch)]);
    Ok(Response::Rows(Rows::new(
        columns,
        schema,
        stream,
        Verb::Fixed(tag.to_owned()),
    )))
}

impl Session {
    pub(super) async fn setting_statement(&mut self, prepared: &Prepared) -> Result<Response> {
        if let Some(name) = alter_system::carried(&prepared.statement.ast) {
            return self.alter_system(&prepared.statement.ast, name).await;
        }
        match &prepared.statement.ast {
            ast::Statement::ShowVariable { variable } => {
                let columns = columns(variable);
                let cells = match shown(variable).as_str() {
                    "all" => {
                        let (names, values) = self.settings.all().into_iter().unzip();
                        vec![names, values]
                    }
                    "aion.ai_mode" => vec![vec![self.ai_mode()?]],
                    "transaction_isolation" => vec![vec![self.transaction_isolation()?]],
                    "transaction_read_only" => vec![vec![self.transaction_read_only()]],
                    name => vec![vec![self.settings.show(name)?]],
                };
                text_rows(columns, cells, "SHOW")
            }
            ast::Statement::Set(set) => self.set_statement(set),
            ast::Statement::Reset(reset) => {
                match &reset.reset {
                    ast::Reset::ALL => self.reset_all()?,
                    ast::Reset::ConfigurationParameter(name) => self.settings.reset(&plain_name(name))?,
                }
                done("RESET")
            }
            ast::Statement::Discard { object_type } => self.discard(object_type).await,
            other => Err(Error::internal(format!("no setting: {other}"))),
        }
    }

    pub(super) fn reset_all(&mut self) -> Result<()> {
        self.settings
            .all()
            .iter()
            .try_for_each(|(name, _)| self.settings.reset(name))
    }

    /// ALTER SYSTEM: a setting of the database, for good.
    async fn alter_system(&self, ast: &ast::Statement, name: String) -> Result<Response> {
        let value = match ast {
            ast::Statement::Set(ast::Set::SingleAssignment { values, .. }) => match values.as_slice() {
                [value] if is_default(value) => None,
                values => {
                    let values: Vec<_> = values.iter().map(value_text).collect::<Result<_>>()?;
                    Some(values.join(", "))
                }
            },
            _ => None,
        };
        if self.block.is_some() {
            return Err(Error::invalid(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "ALTER SYSTEM cannot run inside a transaction block",
            ));
        }
        let pipeline = self.engine.options.pipeline.clone();
        let pipeline = pipeline.ok_or_else(|| Error::unsupported("this database has no settings of its own"))?;
        let role = self.options.user.clone();
        let configuring = tokio::task::spawn_blocking(move || pipeline.configure(&name, value.as_deref(), &role));
        configuring
            .await
            .map_err(|error| Error::internal(format!("ALTER SYSTEM panicked: {error}")))??;
        done("ALTER SYSTEM")
    }

    /// A session can only lower the mode of the learned parts.
    fn check_mode(&self, name: &str, value: &str) -> Result<()> {
        let pipeline = self.engine.options.pipeline.as_ref();
        let of_database = pipeline.map_or("off", |pipeline| pipeline.mode());
        let value = value.to_ascii_lowercase();
        if !name.eq_ignore_ascii_case("aion.ai_mode") || settings::lower_mode(&value, of_database) == value {
            return Ok(());
        }
        Err(Error::denied(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("the mode of the learned parts is {of_database}; a session can only lower it"),
        )
        .with_hint(format!(
            "ALTER SYSTEM SET aion.ai_mode = '{value}' raises it for the database."
        )))
    }

    fn set_statement(&mut self, set: &ast::Set) -> Result<Response> {
        match set {
            ast::Set::SingleAssignment {
                scope,
                variable,
                values,
                ..
            } => {
                let name = plain_name(variable);
                let is_local = matches!(scope, Some(ast::ContextModifier::Local));
                self.assign_setting(&name, values, is_local)?;
                done("SET")
            }
            ast::Set::SetTimeZone { local, value } => {
                let value = zone_of(value)?;
                self.assign_setting("timezone", std::slice::from_ref(&value), *local)?;
                done("SET")
            }
            ast::Set::SetNames { charset_name, .. } => {
                self.settings.set("client_encoding", &charset_name.value)?;
                done("SET")
            }
            ast::Set::SetTransaction { modes, .. } if as_of::of_set(set).is_some() => {
                for mode in modes {
                    self.set_transaction(mode, false)?;
                }
                let time = as_of::of_set(set).unwrap_or_default();
                self.set_past(time)?;
                done("SET")
            }
            ast::Set::SetTransaction {
                modes,
                snapshot: None,
                session,
            } => {
                for mode in modes {
                    self.set_transaction(mode, *session)?;
                }
                done("SET")
            }
            other => Err(Error::unsupported(format!("{other} is not there"))),
        }
    }
}

impl Session {
    /// SET and SET LOCAL.
    fn assign_setting(&mut self, name: &str, values: &[ast::Expr], is_local: bool) -> Result<()> {
        let value = match values {
            [value] if is_default(value) => None,
            values => {
                let values: Vec<_> = values.iter().map(value_text).collect::<Result<_>>()?;
                Some(values.join(", "))
            }
        };
        if let Some(value) = &value {
            self.check_mode(name, value)?;
        }
        self.check_setter(name)?;
        if name == "transaction_read_only" {
            let value = value.unwrap_or_else(|| "off".to_owned());
            // Checks the value.
            self.settings.clone().set(name, &value)?;
            let is_read_only = matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "yes" | "1" | "t");
            let mode = match is_read_only {
                true => ast::TransactionAccessMode::ReadOnly,
                false => ast::TransactionAccessMode::ReadWrite,
            };
            return self.set_transaction(&ast::TransactionMode::AccessMode(mode), false);
        }
        if is_local && self.status() == TransactionStatus::Idle {
            self.notice(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
            return Ok(());
        }
        match (value, is_local) {
            (Some(value), false) => self.settings.set(name, &value),
            (Some(value), true) => self.settings.set_local(name, &value),
            (None, false) => self.settings.reset(name),
            (None, true) => {
                let default = self.settings.default_of(name)?;
                self.settings.set_local(name, &default)
            }
        }
    }

    /// Whether this session's role may set it.
    pub(super) fn check_setter(&self, name: &str) -> Result<()> {
        if !settings::is_of_superusers(name) || self.seen_roles().is_superuser()? {
            return Ok(());
        }
        Err(Error::denied(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to set parameter \"{name}\""),
        ))
    }

    /// SET TRANSACTION, for the block that runs; SET SESSION CHARACTERISTICS, for those that follow.
    fn set_transaction(&mut self, mode: &ast::TransactionMode, is_session: bool) -> Result<()> {
        if !is_session {
            return match &mut self.block {
                Some(block) => block.take_mode(mode),
                None => {
                    self.notice(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION can only be used in transaction blocks",
                    );
                    Ok(())
                }
            };
        }
        match mode {
            ast::TransactionMode::AccessMode(mode) => {
                let is_read_only = matches!(mode, ast::TransactionAccessMode::ReadOnly);
                let value = if is_read_only { "on" } else { "off" };
                self.settings.set("default_transaction_read_only", value)
            }
            ast::TransactionMode::IsolationLevel(level) => {
                let level = level.to_string().to_ascii_lowercase();
                self.settings.set("default_transaction_isolation", &level)
            }
        }
    }

    /// What the transaction that runs, or the next one, is protected from.
    fn transaction_isolation(&self) -> Result<String> {
        match &self.block {
            Some(block) if block.is_uncommitted => Ok(UNCOMMITTED.to_owned()),
            Some(block) => Ok(name_of(block.transaction.isolation()).to_owned()),
            None => self.settings.show("default_transaction_isolation"),
        }
    }

    /// Whether the transaction that runs, or the next one, may only read.
    fn transaction_read_only(&self) -> String {
        let is_read_only = match &self.block {
            Some(block) => block.is_read_only,
            None => self.choices.is_read_only,
        };
        if is_read_only || self.is_read_only { "on" } else { "off" }.to_owned()
    }
}

fn plain_name(name: &ast::ObjectName) -> String {
    let parts: Vec<_> = name
        .0
        .iter()
        .map(|part| part.as_ident().map_or_else(|| part.to_string(), normalize))
        .collect();
    parts.join(".")
}

/// What SET TIME ZONE is given: LOCAL is the default, an interval hours east of Greenwich.
fn zone_of(value: &ast::Expr) -> Result<ast::Expr> {
    let text = match value {
        ast::Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("local") => {
            return Ok(ast::Expr::Identifier(ast::Ident::new("default")));
        }
        ast::Expr::Interval(interval) => value_text(&interval.value)?,
        other => return Ok(other.clone()),
    };
    let interval = text::parse_interval(&text)?;
    let invalid = |what: &str| {
        Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"TimeZone\": \"INTERVAL '{text}'\""),
        )
        .with_detail(format!("Cannot specify {what} in time zone interval."))
    };
    match (interval.months, interval.days) {
        (0, 0) => {}
        (0, _) => return Err(invalid("days")),
        _ => return Err(invalid("months")),
    }
    let name = Zone::of_interval(interval)?.name().into_owned();
    Ok(ast::Expr::Value(ast::Value::SingleQuotedString(name).into()))
}

fn is_default(value: &ast::Expr) -> bool {
    matches!(value, ast::Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}

fn value_text(value: &ast::Expr) -> Result<String> {
    match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(number, _) => Ok(number.clone()),
            ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => Ok(text.clone()),
            ast::Value::Boolean(value) => Ok(value.to_string()),
            other => Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                format!("{other} is no value of a setting"),
            )),
        },
        ast::Expr::Identifier(name) => match name.quote_style {
            Some(_) => Ok(name.to_string()),
            None => Ok(name.value.clone()),
        },
        ast::Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => Ok(format!("-{}", value_text(expr)?)),
        other => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!("{other} is no value of a setting"),
        )),
    }
}
