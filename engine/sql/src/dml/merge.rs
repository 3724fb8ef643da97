//! MERGE as one query over the source and the target.
//!
//! Its rows are pairs: a row of the source and one of the target that ON finds for it, or none. Each has the target's key, the number of
//! the first WHEN clause that takes the pair, and the values that this clause gives to the columns, each of which is one CASE over
//! the clauses. So the source is read once, and what a clause computes is computed for its own rows only.
//!
//! What sqlparser does not know goes on as an INSERT or an UPDATE of a column that nobody writes by chance (see [`carry`]).
//!
//! Left out: a condition that is not the same each time it is computed, `random() < 0.5`, may give a row to one clause and values of another.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_storage::LockMode;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::identity;
use super::plan::{
    assigned, assigned_type, at, cast, column_of, key_positions, last_part, normalize, positions_of, refuse, select,
    select_item, target_item,
};
use super::rules::RowRules;
use crate::planner::{Names, Planned};
use crate::references::{Ties, Touched};
use crate::table::{KEY_COLUMN, TableShape};

/// Columns that carry DO NOTHING and INSERT DEFAULT VALUES.
const NOTHING: &str = "aion nothing";
const DEFAULTS: &str = "aion defaults";

/// A planned MERGE.
#[derive(Debug)]
pub struct Merge {
    /// The table that it changes.
    pub shape: Arc<TableShape>,
    /// What its rows must fulfil.
    pub rules: Option<Arc<RowRules>>,
    /// The foreign keys that it must follow.
    pub ties: Option<Arc<Ties>>,
    /// What the WHEN clauses do. A row of the source has the number of its clause, from 0.
    pub actions: Vec<Action>,
    /// How it locks the rows that it changes.
    pub lock_mode: LockMode,
}

/// What is done with a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Insert,
    Update,
    Delete,
}

/// A WHEN clause: which pairs it takes, and what it gives to the columns.
struct Clause {
    action: Action,
    is_matched: bool,
    condition: Option<ast::Expr>,
    values: Vec<ast::Expr>,
}

/// Plans a MERGE: the pairs with what it depends upon, and what is done with them. The columns of a pair are the target's key, the number
/// of a clause or NULL, and the columns of the table.
///
/// # Errors
/// 42xxx with a place; 0A000 for a clause that we do not do.
pub fn plan_merge(
    mut names: Names<'_>,
    merge: ast::Merge,
    types: Vec<Option<FieldRef>>,
    text: &str,
) -> Result<(Merge, Planned)> {
    refuse(merge.output.is_some(), "OUTPUT")?;
    let (shape, target, alias) = target_item(&mut names, merge.table, None, text)?;
    check_source_name(&merge.source, &alias)?;
    let mut clauses = Vec::new();
    for clause in merge.clauses {
        let clause = Clause::new(clause, &shape, &alias, text)?;
        let takes_all = |earlier: &Clause| earlier.condition.is_none() && earlier.is_matched == clause.is_matched;
        if clauses.iter().any(takes_all) {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                "unreachable WHEN clause specified after unconditional WHEN clause",
            ));
        }
        clauses.push(clause);
    }
    let source = ast::TableWithJoins {
        relation: merge.source.clone(),
        joins: Vec::new(),
    };
    let is_blind = Clause::see_no_target(&clauses, &names, source, &types)?;
    let rules = names.row_rules(&shape)?;
    let ties = Ties::of(&names, &shape, Touched::Merged)?;
    let on = ast::JoinConstraint::On(*merge.on);
    let pairs = ast::TableWithJoins {
        relation: merge.source,
        joins: vec![ast::Join {
            relation: target.relation,
            global: false,
            join_operator: match clauses.iter().all(|clause| clause.is_matched) {
                true => ast::JoinOperator::Inner(on),
                false => ast::JoinOperator::LeftOuter(on),
            },
        }],
    };
    let projection = projection(&clauses, &shape, &alias)?;
    let planned = names.plan(select(projection, vec![pairs], None)?, types, text)?;
    if !is_blind {
        let message = format!(
            "invalid reference to FROM-clause entry for table \"{}\"",
            normalize(&alias)
        );
        return Err(Error::invalid(SqlState::UNDEFINED_TABLE, message).with_hint(format!(
            "There is an entry for table \"{}\", but it cannot be referenced from this part of the query.",
            normalize(&alias)
        )));
    }
    let changes_keys = key_positions(&shape).into_iter().any(|position| {
        let column = column_of(&alias, &shape.descriptor.columns[position].name);
        let mut updates = clauses.iter().filter(|clause| clause.action == Action::Update);
        updates.any(|clause| clause.values[position] != column)
    });
    let deletes = clauses.iter().any(|clause| clause.action == Action::Delete);
    let merge = Merge {
        rules,
        ties: ties.map(Arc::new),
        actions: clauses.iter().map(|clause| clause.action).collect(),
        lock_mode: match changes_keys || deletes {
            true => LockMode::Update,
            false => LockMode::NoKeyUpdate,
        },
        shape,
    };
    Ok((merge, planned))
}

/// That the source is not called as the target is.
fn check_source_name(source: &ast::TableFactor, alias: &ast::Ident) -> Result<()> {
    let called = match source {
        ast::TableFactor::Table { alias: Some(alias), .. } | ast::TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.clone())
        }
        ast::TableFactor::Table { name, .. } => Some(last_part(name)?),
        _ => None,
    };
    let name = normalize(alias);
    match called.is_some_and(|called| normalize(&called) == name) {
        true => Err(Error::invalid(
            SqlState::DUPLICATE_ALIAS,
            format!("name \"{name}\" specified more than once"),
        )
        .with_detail("The name is used both as MERGE target table and data source.")),
        false => Ok(()),
    }
}

impl Clause {
    fn new(clause: ast::MergeClause, shape: &TableShape, alias: &ast::Ident, text: &str) -> Result<Self> {
        let is_matched = clause.clause_kind == ast::MergeClauseKind::Matched;
        if !is_matched && clause.clause_kind != ast::MergeClauseKind::NotMatched {
            return Err(Error::unsupported("NOT MATCHED BY is not PostgreSQL 15's"));
        }
        let (action, values) = match clause.action {
            ast::MergeAction::Delete { .. } => (Action::Delete, Vec::new()),
            ast::MergeAction::Update(update) => {
                refuse(update.update_predicate.is_some(), "WHERE in the UPDATE of MERGE")?;
                refuse(update.delete_predicate.is_some(), "DELETE in the UPDATE of MERGE")?;
                match carries_nothing(&update.assignments) {
                    true => (Action::Nothing, Vec::new()),
                    false => {
                        let columns = shape.descriptor.columns.iter();
                        let given = assigned(shape, update.assignments, text)?.into_iter().zip(columns);
                        let values =
                            given.map(|(value, column)| value.unwrap_or_else(|| column_of(alias, &column.name)));
                        (Action::Update, values.collect())
                    }
                }
            }
            ast::MergeAction::Insert(insert) => inserted(insert, shape, text)?,
        };
        Ok(Self {
            action,
            is_matched,
            condition: clause.predicate,
            values,
        })
    }

    /// The condition under which the clause takes a pair that no earlier one takes.
    fn takes(&self, alias: &ast::Ident) -> ast::Expr {
        let key = Box::new(column_of(alias, KEY_COLUMN));
        let is_pair = match self.is_matched {
            true => ast::Expr::IsNotNull(key),
            false => ast::Expr::IsNull(key),
        };
        match &self.condition {
            None => is_pair,
            Some(condition) => ast::Expr::BinaryOp {
                left: Box::new(is_pair),
                op: ast::BinaryOperator::And,
                right: Box::new(ast::Expr::Nested(Box::new(condition.clone()))),
            },
        }
    }

    /// Whether what is said of rows without a match can be planned over the source alone: the target has no row for them.
    fn see_no_target(
        clauses: &[Self],
        names: &Names<'_>,
        source: ast::TableWithJoins,
        types: &[Option<FieldRef>],
    ) -> Result<bool> {
        let unmatched = clauses.iter().filter(|clause| !clause.is_matched);
        let exprs = unmatched.flat_map(|clause| clause.condition.iter().chain(&clause.values));
        let items = exprs.enumerate().map(|(number, expr)| ast::SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: ast::Ident::with_quote('"', number.to_string()),
        });
        let items: Vec<_> = items.collect();
        if items.is_empty() {
            return Ok(true);
        }
        match select(items, vec![source], None)? {
            ast::Statement::Query(query) => Ok(names.width(&query, types).is_some()),
            other => Err(Error::internal(format!("no query: {other}"))),
        }
    }
}

/// What an INSERT gives to the columns, defaults where it gives nothing.
fn inserted(insert: ast::MergeInsertExpr, shape: &TableShape, text: &str) -> Result<(Action, Vec<ast::Expr>)> {
    refuse(insert.insert_predicate.is_some(), "WHERE in the INSERT of MERGE")?;
    let ast::MergeInsertKind::Values(values) = insert.kind else {
        return Err(Error::unsupported("INSERT ROW is not PostgreSQL's"));
    };
    let columns = &shape.descriptor.columns;
    let carried = match insert.columns.as_slice() {
        [name] => name.0.first().and_then(ast::ObjectNamePart::as_ident),
        _ => None,
    };
    let carried = carried
        .filter(|name| name.quote_style.is_some())
        .map(|name| name.value.as_str());
    if carried == Some(NOTHING) {
        return Ok((Action::Nothing, Vec::new()));
    }
    let syntax = |message: &str| Error::invalid(SqlState::SYNTAX_ERROR, message);
    let mut rows = values.rows.into_iter();
    let (Some(row), None) = (rows.next(), rows.next()) else {
        return Err(syntax("INSERT of MERGE has one row of values"));
    };
    let given = if carried == Some(DEFAULTS) {
        Vec::new()
    } else {
        row.content
    };
    let named = insert.columns.iter().filter(|_| carried != Some(DEFAULTS));
    let named: Vec<ast::Ident> = named.map(last_part).collect::<Result<_>>()?;
    let mut positions = positions_of(&shape.descriptor, &named, text)?;
    if insert.columns.is_empty() {
        positions.extend(0..columns.len().min(given.len()));
    }
    if let Some(surplus) = given.get(positions.len()) {
        let error = syntax("INSERT has more expressions than target columns");
        return Err(at(error, surplus.span(), text));
    }
    if let Some(surplus) = insert.columns.get(given.len()).filter(|_| carried != Some(DEFAULTS)) {
        let error = syntax("INSERT has more target columns than expressions");
        return Err(at(error, surplus.span(), text));
    }
    let mut values = columns.iter().map(identity::default_of).collect::<Result<Vec<_>>>()?;
    for (value, position) in given.into_iter().zip(positions) {
        if !identity::is_default(&value) {
            identity::check_given(&columns[position])?;
            values[position] = value;
        }
    }
    Ok((Action::Insert, values))
}

fn carries_nothing(assignments: &[ast::Assignment]) -> bool {
    let [
        ast::Assignment {
            target: ast::AssignmentTarget::ColumnName(name),
            ..
        },
    ] = assignments
    else {
        return false;
    };
    let name = name.0.first().and_then(ast::ObjectNamePart::as_ident);
    name.is_some_and(|name| name.quote_style.is_some() && name.value == NOTHING)
}

/// The key, the number of the clause, and the values.
fn projection(clauses: &[Clause], shape: &TableShape, alias: &ast::Ident) -> Result<Vec<ast::SelectItem>> {
    let named = |expr, name: String| ast::SelectItem::ExprWithAlias {
        expr,
        alias: ast::Ident::with_quote('"', name),
    };
    let numbers =
        (0..clauses.len()).map(|number| ast::Expr::Value(ast::Value::Number(number.to_string(), false).into()));
    let number = case(clauses, alias, numbers.collect());
    let mut items = vec![
        select_item(column_of(alias, KEY_COLUMN)),
        named(cast(number, "bigint")?, "aion clause".to_owned()),
    ];
    for (position, column) in shape.descriptor.columns.iter().enumerate() {
        let sql_type = assigned_type(column.sql_type).qualified();
        let null = || ast::Expr::Value(ast::Value::Null.into());
        let values = clauses.iter().map(|clause| {
            let value = clause.values.get(position).cloned().unwrap_or_else(null);
            cast(value, &sql_type)
        });
        let value = case(clauses, alias, values.collect::<Result<_>>()?);
        items.push(named(cast(value, &sql_type)?, format!("aion value {position}")));
    }
    Ok(items)
}

/// The result of the first clause that takes a pair.
fn case(clauses: &[Clause], alias: &ast::Ident, results: Vec<ast::Expr>) -> ast::Expr {
    let conditions = clauses.iter().zip(results).map(|(clause, result)| ast::CaseWhen {
        condition: clause.takes(alias),
        result,
    });
    ast::Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: conditions.collect(),
        else_result: None,
    }
}

/// Whether a text may hold a MERGE; looked at before the tokens are.
pub fn is_mentioned(text: &str) -> bool {
    text.as_bytes()
        .windows(5)
        .any(|window| window.eq_ignore_ascii_case(b"merge"))
}

/// Puts `INSERT ("aion nothing") VALUES (0)` and its like in the place of `DO NOTHING` and `INSERT DEFAULT VALUES` in a MERGE.
pub fn carry(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut carried = Vec::with_capacity(tokens.len());
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        let is_word = |token: &TokenWithSpan, keyword: Keyword| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.keyword == keyword);
        let meant: Vec<usize> = (0..statement.len())
            .filter(|&at| !matches!(statement[at].token, Token::Whitespace(_)))
            .collect();
        if !meant.iter().any(|&at| is_word(&statement[at], Keyword::MERGE)) {
            carried.extend_from_slice(statement);
            continue;
        }
        let mut is_matched = false;
        let mut next = 0;
        for (number, &place) in meant.iter().enumerate() {
            if place < next {
                continue;
            }
            let are = |words: &[Keyword]| {
                let places = meant[number..].iter().zip(words);
                meant.len() >= number + words.len() && places.clone().all(|(&at, word)| is_word(&statement[at], *word))
            };
            if are(&[Keyword::MATCHED]) {
                let before = number.checked_sub(1).map(|before| &statement[meant[before]]);
                is_matched = !before.is_some_and(|before| is_word(before, Keyword::NOT));
            }
            let (words, replacement) = if are(&[Keyword::THEN, Keyword::DO, Keyword::NOTHING]) {
                let action = match is_matched {
                    true => format!("THEN UPDATE SET \"{NOTHING}\" = 0"),
                    false => format!("THEN INSERT (\"{NOTHING}\") VALUES (0)"),
                };
                (3, action)
            } else if are(&[Keyword::THEN, Keyword::INSERT, Keyword::DEFAULT, Keyword::VALUES]) {
                (4, format!("THEN INSERT (\"{DEFAULTS}\") VALUES (0)"))
            } else {
                continue;
            };
            carried.extend_from_slice(&statement[next..place]);
            let span = statement[place].span;
            let tokens = crate::parse::tokens(&replacement, &replacement).unwrap_or_default();
            carried.extend(tokens.into_iter().map(|token| TokenWithSpan::new(token.token, span)));
            next = meant[number + words - 1] + 1;
        }
        carried.extend_from_slice(&statement[next..]);
    }
    carried
}
