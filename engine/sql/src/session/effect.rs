//! What a statement does to the data and to its transaction, told from its text alone.

use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::PUBLIC;
use datafusion::sql::sqlparser::ast;

use crate::dml::normalize;
use crate::parse::Statement;

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

impl Statement {
    /// What it does.
    pub fn effect(&self) -> Effect {
        match &self.ast {
            ast::Statement::StartTransaction { .. }
            | ast::Statement::Commit { .. }
            | ast::Statement::Rollback { .. }
            | ast::Statement::Savepoint { .. }
            | ast::Statement::ReleaseSavepoint { .. } => Effect::Controls,
            ast::Statement::Query(query) if !changes(&query.body) => Effect::Reads,
            ast::Statement::Copy { to: true, .. }
            | ast::Statement::Explain { .. }
            | ast::Statement::Set(_)
            | ast::Statement::ShowVariable { .. }
            | ast::Statement::Reset(_)
            | ast::Statement::Discard { .. } => Effect::Reads,
            // Also what is not there yet: it is refused where it is planned, or here before that.
            _ => Effect::Changes,
        }
    }

    /// Whether it changes how rows are kept or planned, and no answer: the table whose writes feel that, by schema and name, where its
    /// text names one; None for any other statement.
    pub fn changed_physically(&self) -> Option<Option<(String, String)>> {
        match &self.ast {
            ast::Statement::CreateIndex(create) if !create.unique => {
                let parts = create.table_name.0.iter().filter_map(ast::ObjectNamePart::as_ident);
                let parts: Vec<String> = parts.map(normalize).collect();
                match &parts[..] {
                    [name] => Some(Some((PUBLIC.to_owned(), name.clone()))),
                    [.., schema, name] => Some(Some((schema.clone(), name.clone()))),
                    [] => None,
                }
            }
            ast::Statement::Drop {
                object_type: ast::ObjectType::Index,
                ..
            }
            | ast::Statement::Analyze(_) => Some(None),
            _ => None,
        }
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
            ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => {
                written.split_whitespace().take(1).collect()
            }
            ast::Statement::Copy { .. } => vec!["COPY"],
            ast::Statement::Call(call) => match crate::graph::carried_definition(call) {
                Some((definition, _)) => definition.split_whitespace().take(3).collect(),
                None => vec!["CALL"],
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
