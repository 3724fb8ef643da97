//! What a statement does to the data and to its transaction, told from its text alone.

use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::PUBLIC;
use datafusion::sql::sqlparser::ast;

use super::create_as::into;
use super::verbs::ask;
use crate::dml::normalize;
use crate::parse::Statement;
use crate::utility::{self, Utility};
use crate::{alter_system, as_of, steps};

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It reads, or changes settings of the session.
    Reads,
    /// It changes rows or definitions.
    Changes,
    /// It begins or ends a transaction.
    Controls,
}

/// A change of how rows are kept or planned that changes no answer. Names without a schema are those of `public`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhysicalChange {
    /// CREATE INDEX
    CreateIndex {
        /// Of the table.
        schema: String,
        /// The table whose writes feel it.
        table: String,
        /// The index's name, where it is given one.
        name: Option<String>,
        /// Its columns, most significant first.
        columns: Vec<String>,
    },
    /// DROP INDEX
    DropIndex {
        /// Of the index.
        schema: String,
        /// Its name.
        name: String,
    },
    /// ANALYZE
    Analyze {
        /// `schema.table`; None for all tables.
        table: Option<String>,
    },
}

/// A name with its schema.
fn schema_and_name(name: &ast::ObjectName) -> Option<(String, String)> {
    let parts = name.0.iter().filter_map(ast::ObjectNamePart::as_ident);
    let parts: Vec<String> = parts.map(normalize).collect();
    match &parts[..] {
        [name] => Some((PUBLIC.to_owned(), name.clone())),
        [.., schema, name] => Some((schema.clone(), name.clone())),
        [] => None,
    }
}

impl Statement {
    /// What it does.
    pub fn effect(&self) -> Effect {
        match &self.ast {
            ast::Statement::StartTransaction { .. }
            | ast::Statement::Commit { .. }
            | ast::Statement::Rollback { .. }
            | ast::Statement::Savepoint { .. }
            | ast::Statement::ReleaseSavepoint { .. } => Effect::Controls,
            // Rows that are locked keep others from changing them.
            ast::Statement::Query(query) if !query.locks.is_empty() || into(query).is_some() => Effect::Changes,
            ast::Statement::Query(_) if steps::has_steps(&self.ast) => Effect::Changes,
            ast::Statement::Query(query) if !changes(&query.body) && ask(query).is_none() => Effect::Reads,
            ast::Statement::Copy { to: true, .. }
            | ast::Statement::Explain { .. }
            | ast::Statement::ShowVariable { .. }
            | ast::Statement::Discard { .. }
            | ast::Statement::Prepare { .. }
            // What it runs is asked by itself.
            | ast::Statement::Execute { .. }
            | ast::Statement::Deallocate { .. }
            | ast::Statement::Declare { .. }
            | ast::Statement::Close { .. }
            | ast::Statement::LISTEN { .. }
            | ast::Statement::UNLISTEN { .. }
            | ast::Statement::NOTIFY { .. } => Effect::Reads,
            ast::Statement::Call(call) if matches!(utility::carried(call), Ok(Some(Utility::Fetch(_)))) => Effect::Reads,
            ast::Statement::Reset(_) if alter_system::carried(&self.ast).is_none() => Effect::Reads,
            ast::Statement::Set(_) if alter_system::carried(&self.ast).is_none() => Effect::Reads,
            // Also what is not there yet: it is refused where it is planned, or here before that.
            _ => Effect::Changes,
        }
    }

    /// What it changes of how rows are kept or planned, if it changes no answer; None for any other statement.
    pub fn changed_physically(&self) -> Option<PhysicalChange> {
        match &self.ast {
            ast::Statement::CreateIndex(create) if !create.unique => {
                let (schema, table) = schema_and_name(&create.table_name)?;
                let columns = create.columns.iter().map(|column| match &column.column.expr {
                    ast::Expr::Identifier(name) => normalize(name),
                    other => other.to_string(),
                });
                let name = create.name.as_ref().and_then(schema_and_name);
                Some(PhysicalChange::CreateIndex {
                    schema,
                    table,
                    name: name.map(|(_, name)| name),
                    columns: columns.collect(),
                })
            }
            ast::Statement::Drop {
                object_type: ast::ObjectType::Index,
                names,
                ..
            } => match &names[..] {
                [name] => schema_and_name(name).map(|(schema, name)| PhysicalChange::DropIndex { schema, name }),
                _ => None,
            },
            ast::Statement::Analyze(analyze) => Some(PhysicalChange::Analyze {
                table: match &analyze.table_name {
                    Some(name) => schema_and_name(name).map(|(schema, name)| format!("{schema}.{name}")),
                    None => None,
                },
            }),
            _ => None,
        }
    }

    /// The statement by itself, without the others that came with it.
    pub fn to_sql(&self) -> String {
        as_of::written(&self.ast)
    }

    /// A CREATE INDEX with this name; any other statement as it is.
    pub fn with_index_name(&self, name: &str) -> String {
        let mut ast = self.ast.clone();
        if let ast::Statement::CreateIndex(create) = &mut ast {
            create.name = Some(ast::ObjectName::from(vec![ast::Ident::with_quote('"', name)]));
        }
        ast.to_string()
    }

    /// Refuses a statement that changes something, in PostgreSQL's words.
    ///
    /// # Errors
    /// 25006.
    pub(super) fn refuse_change(&self) -> Result<()> {
        if self.effect() != Effect::Changes {
            return Ok(());
        }
        let written = self.ast.to_string();
        let words: Vec<&str> = match &self.ast {
            ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::Merge(_) => written.split_whitespace().take(1).collect(),
            ast::Statement::Query(query) if into(query).is_some() => vec!["SELECT INTO"],
            ast::Statement::Query(query) if !query.locks.is_empty() => match query.locks[0].lock_type {
                ast::LockType::Share => vec!["SELECT FOR SHARE"],
                ast::LockType::Update => vec!["SELECT FOR UPDATE"],
            },
            ast::Statement::Query(query) => match &*query.body {
                ast::SetExpr::Insert(_) => vec!["INSERT"],
                ast::SetExpr::Update(_) => vec!["UPDATE"],
                ast::SetExpr::Delete(_) => vec!["DELETE"],
                _ => vec!["SELECT"],
            },
            ast::Statement::Copy { .. } => vec!["COPY"],
            // PostgreSQL says TABLE, whether it was written or not.
            ast::Statement::Truncate(_) => vec!["TRUNCATE TABLE"],
            ast::Statement::Set(_) | ast::Statement::Reset(_) => vec!["ALTER SYSTEM"],
            ast::Statement::Call(call) => match (utility::carried(call)?, crate::graph::carried_definition(call)) {
                (Some(utility), _) => vec![utility::verb(&utility)],
                (None, Some((definition, _))) => definition.split_whitespace().take(3).collect(),
                (None, None) => vec!["CALL"],
            },
            _ => written.split_whitespace().take(2).collect(),
        };
        Err(Error::invalid(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            format!("cannot execute {} in a read-only transaction", words.join(" ")),
        ))
    }
}

fn changes(body: &ast::SetExpr) -> bool {
    match body {
        ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) => true,
        ast::SetExpr::Query(query) => changes(&query.body),
        _ => false,
    }
}
