//! What a statement does to the data and to its transaction, told from its text alone.

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;

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
