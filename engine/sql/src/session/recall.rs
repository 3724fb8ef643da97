//! Texts that came before with other literals: neither parsed nor compiled again.
//!
//! A driver that writes its values into its texts sends one shape (see [`crate::unprepared`]) over and over. Where the shape is a direct
//! statement, it is kept as one with parameters, for one generation of the catalog and one search path; so are the statements that
//! begin and end transactions. The direct path allows a literal exactly where it allows a parameter, and takes both for the same, so the answer is that of
//! the text. Where it does not answer, because a value is beyond what it knows, the literals are put back, and the full path has the statement that was sent.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_catalog::{SqlType, Value};
use aion_storage::Generation;
use datafusion::sql::sqlparser::ast;

use super::{Prepared, Session};
use crate::unprepared::{Known, Lifted};

/// What a session remembers of texts.
#[derive(Debug, Default)]
pub(super) struct Unprepared {
    lifted: Lifted,
    known: Known<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    /// None where it is right whatever the catalog says.
    holds_for: Option<(Generation, Arc<[String]>)>,
    /// None: it has to be parsed each time.
    prepared: Option<Arc<Prepared>>,
}

impl Session {
    /// The statement that a text is, and its values, if one of its shape came before or is worth being remembered. None where it has to be parsed.
    pub fn recall(&mut self, text: &str) -> Option<(Arc<Prepared>, Vec<Value>)> {
        let has_changed_catalog = self.block.as_ref().is_some_and(|block| block.has_changed_catalog);
        // What is wrong with a setting is said when the statement is prepared.
        if has_changed_catalog || self.refresh_choices().is_err() || !self.choices.is_direct {
            return None;
        }
        let generation = self.engine.store.generation()?;
        let mut unprepared = std::mem::take(&mut self.unprepared);
        let found = self.recall_with(&mut unprepared, text, generation);
        self.unprepared = unprepared;
        let (prepared, values) = found?;
        self.said = self.seat.is_some().then(|| text.into());
        Some((prepared, values))
    }

    fn recall_with(
        &mut self,
        unprepared: &mut Unprepared,
        text: &str,
        generation: Generation,
    ) -> Option<(Arc<Prepared>, Vec<Value>)> {
        let Unprepared { lifted, known } = unprepared;
        if !lifted.lift(text) {
            return None;
        }
        let path = &self.choices.path;
        let holds = |remembered: &&Remembered| match &remembered.holds_for {
            None => true,
            Some((of, with)) => *of == generation && (Arc::ptr_eq(with, path) || with == path),
        };
        if known.get(&lifted.shape).filter(holds).is_none() {
            let remembered = self.remember(lifted, generation);
            known.insert(&lifted.shape, remembered);
        }
        let prepared = known.get(&lifted.shape)?.prepared.clone()?;
        let literals = lifted.literals.drain(..).zip(&prepared.parameters);
        let values = literals.map(|(literal, sql_type)| literal.value(*sql_type));
        let values = values.collect::<Option<_>>()?;
        Some((prepared, values))
    }

    fn remember(&self, lifted: &Lifted, generation: Generation) -> Remembered {
        let holds_for = Some((generation, self.choices.path.clone()));
        let unknown = Remembered {
            holds_for: holds_for.clone(),
            prepared: None,
        };
        // Whatever is wrong with it, or not direct: the text itself goes the long way.
        let statements = self.parse(&lifted.shape).unwrap_or_default();
        let [statement] = statements.as_slice() else {
            return unknown;
        };
        if is_control(&statement.ast) && lifted.literals.is_empty() {
            let prepared = self.describe(statement, &[]).ok().map(Arc::new);
            return Remembered {
                holds_for: None,
                prepared,
            };
        }
        match self.describe_directly(statement, &[]) {
            Ok(Some(mut prepared)) if prepared.parameters.len() == lifted.literals.len() => {
                prepared.is_lifted = true;
                Remembered {
                    holds_for,
                    prepared: Some(Arc::new(prepared)),
                }
            }
            _ => unknown,
        }
    }
}

/// Whether it begins or ends a transaction, and has no name in it.
fn is_control(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::StartTransaction { .. } | ast::Statement::Commit { .. } => true,
        ast::Statement::Rollback { savepoint, .. } => savepoint.is_none(),
        _ => false,
    }
}

impl Prepared {
    /// The statement that was sent: with its literals, and without parameters, where they were taken out. For the full path, to which a literal is not
    /// always what a parameter is.
    pub(super) fn put_back(self: &Arc<Self>, values: &[Value]) -> Option<Arc<Self>> {
        if !self.is_lifted {
            return None;
        }
        let mut statement = self.statement.clone();
        let _: ControlFlow<()> = ast::visit_expressions_mut(&mut statement.ast, |expr| {
            if let Some(literal) = literal_of(expr, values, &self.parameters) {
                *expr = literal;
            }
            ControlFlow::Continue(())
        });
        Some(Arc::new(Self::new(&statement, Vec::new(), self.columns.clone())))
    }
}

/// The literal that stood where a parameter is.
fn literal_of(expr: &ast::Expr, values: &[Value], types: &[SqlType]) -> Option<ast::Expr> {
    let ast::Expr::Value(value) = expr else {
        return None;
    };
    let ast::Value::Placeholder(name) = &value.value else {
        return None;
    };
    let number: usize = name.strip_prefix('$')?.parse().ok()?;
    let literal = |literal: ast::Value| ast::Expr::Value(literal.with_span(value.span));
    let integer = |number: i64| {
        let digits = literal(ast::Value::Number(number.unsigned_abs().to_string(), false));
        match number < 0 {
            true => ast::Expr::UnaryOp {
                op: ast::UnaryOperator::Minus,
                expr: Box::new(digits),
            },
            false => digits,
        }
    };
    let at = number.checked_sub(1)?;
    match values.get(at)? {
        Value::I16(number) => Some(integer((*number).into())),
        Value::I32(number) => Some(integer((*number).into())),
        Value::I64(number) => Some(integer(*number)),
        Value::Text(text) => Some(literal(ast::Value::SingleQuotedString(text.clone()))),
        Value::Enum(position) => {
            let label = types.get(at)?.made()?.label(*position)?;
            Some(literal(ast::Value::SingleQuotedString(label.to_owned())))
        }
        _ => None,
    }
}
