//! SELECT ... FOR UPDATE and FOR SHARE: rows that are locked as they are read.
//!
//! 1. The tables of FROM whose rows are to be locked are read with their keys, which stand behind the columns that were asked for.
//! 2. All rows are gathered, and their keys locked in the order of the keys; with SKIP LOCKED row by row, and those that somebody
//!    else has are left out, before LIMIT and OFFSET count.
//! 3. If any of them was changed before it was locked, the query runs again over a newer view, with its locks kept. So what is given is what
//!    is locked, and stays that way to the end of the transaction.
//!
//! Left out, and refused with 0A000: rows of views and subqueries in FROM, and, as in PostgreSQL, queries whose rows are none of a
//! table: with GROUP BY, DISTINCT, aggregates, windows, UNION.

use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_catalog::objects::{Catalog, Object};
use aion_storage::LockMode;
use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::materialized::refuse_materialized;
use super::query::{conform, result_schema};
use super::{Prepared, Session, columns, parameters};
use crate::cancel::Cancellation;
use crate::dml::{at, normalize, reference, target_as};
use crate::planner::{Names, Planned};
use crate::response::{Response, Rows, Verb};
use crate::table::{KEY_COLUMN, Table};
use crate::transaction::{Busy, Seen, Transaction};

/// How often a query runs again after somebody else changed its rows before they were locked.
const ATTEMPTS_MAX: usize = 10;

/// What is to be done about rows that somebody else has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Wait,
    Refuse,
    Skip,
}

/// The rows of which tables are locked, and how.
#[derive(Debug)]
struct Clause {
    mode: LockMode,
    policy: Policy,
    /// Names in FROM; all tables where there are none.
    of: Vec<String>,
}

/// A query that gives its rows with the keys to be locked.
struct Locking {
    query: ast::Query,
    /// One for each key column, behind the query's own.
    modes: Vec<(LockMode, Policy)>,
    /// Whose keys they are.
    tables: Vec<TableId>,
    /// Rows that are left out, and given, after the locked ones were skipped.
    offset: usize,
    limit: Option<usize>,
}

/// Whether a query locks its rows.
pub(super) fn is_locking(query: &ast::Query) -> bool {
    !query.locks.is_empty()
}

/// The query that gives the same rows without locking them.
pub(super) fn without_locks(query: &ast::Query) -> ast::Query {
    let mut query = query.clone();
    query.locks.clear();
    query
}

fn clauses(query: &ast::Query) -> Result<Vec<Clause>> {
    let clause = |lock: &ast::LockClause| {
        Ok(Clause {
            mode: match lock.lock_type {
                ast::LockType::Share => LockMode::Share,
                ast::LockType::Update => LockMode::Update,
            },
            policy: match lock.nonblock {
                None => Policy::Wait,
                Some(ast::NonBlock::Nowait) => Policy::Refuse,
                Some(ast::NonBlock::SkipLocked) => Policy::Skip,
            },
            of: match &lock.of {
                None => Vec::new(),
                Some(name) => match name.0.as_slice() {
                    [ast::ObjectNamePart::Identifier(name)] => vec![normalize(name)],
                    _ => {
                        let message = format!("{name}: FOR UPDATE must specify unqualified relation names");
                        return Err(Error::invalid(SqlState::SYNTAX_ERROR, message));
                    }
                },
            },
        })
    };
    query.locks.iter().map(clause).collect()
}

impl Session {
    pub(super) async fn query_locked(
        &mut self,
        prepared: &Arc<Prepared>,
        query: &ast::Query,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<Response> {
        let columns = prepared.columns.clone();
        let columns = columns.ok_or_else(|| Error::internal("a query has columns"))?;
        let schema = result_schema(&columns);
        let (batches, _) = self.rows_locked(prepared, query, values, cancellation).await?;
        // The keys are left out.
        let conformed = batches.into_iter().map(|batch| conform(batch, &schema));
        let conformed = conformed.collect::<Result<Vec<_>>>()?;
        let stream = futures::stream::iter(conformed.into_iter().map(Ok));
        Ok(Response::Rows(Rows::new(columns, schema, stream, Verb::Select)))
    }

    /// The rows that a query locks, with their keys behind the columns, and whose keys those are.
    pub(super) async fn rows_locked(
        &mut self,
        prepared: &Arc<Prepared>,
        query: &ast::Query,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<(Vec<RecordBatch>, Vec<TableId>)> {
        let _limit = self.time_limit(&cancellation);
        let transaction = self.transaction(true)?;
        let width = prepared.columns.as_ref().map_or(0, |columns| columns.len());
        let mut attempt = 1;
        loop {
            let found = self
                .find_and_lock(prepared, query, width, values, &transaction, &cancellation)
                .await?;
            match found {
                Some(found) => return Ok(found),
                None if attempt < ATTEMPTS_MAX && transaction.restart_statement()? => attempt += 1,
                None => return Err(super::change::overtaken()),
            }
        }
    }

    /// The rows, locked, their keys behind the `width` columns that were asked for; None where some were changed before.
    pub(super) async fn find_and_lock(
        &self,
        prepared: &Prepared,
        query: &ast::Query,
        width: usize,
        values: &[Value],
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<Option<(Vec<RecordBatch>, Vec<TableId>)>> {
        let text = &prepared.statement.text;
        let catalog = self.catalog_of(transaction)?;
        let (planned, locking) = self.plan_locking(query, prepared, values, &catalog)?;
        self.depend(&planned, transaction)?;
        let plan = parameters::replace(planned.plan, &prepared.parameters, values, text, self.zone())?;
        let batches = self.collect_for(prepared, &plan, transaction, cancellation).await?;
        let waiting = self.waiting(cancellation);
        let mut kept = Vec::with_capacity(batches.len());
        let mut has_changed = false;
        let (mut to_leave_out, mut to_give) = (locking.offset, locking.limit.unwrap_or(usize::MAX));
        for batch in batches {
            let keys: Vec<_> = (0..locking.modes.len())
                .map(|at| batch.column(width + at).clone())
                .collect();
            let mut given = Vec::with_capacity(batch.num_rows());
            for row in 0..batch.num_rows() {
                let mut is_given = to_give > 0;
                for (array, (mode, policy)) in keys.iter().zip(&locking.modes) {
                    // The other side of an outer join has no row to lock.
                    if !is_given || array.is_null(row) {
                        continue;
                    }
                    let key = array.as_binary::<i32>().value(row);
                    is_given = match policy {
                        Policy::Skip => transaction.try_lock(key, *mode, &waiting)?,
                        Policy::Wait | Policy::Refuse => {
                            let busy = if *policy == Policy::Wait {
                                Busy::Wait
                            } else {
                                Busy::Refuse
                            };
                            let seen = transaction.lock(&[key], *mode, busy, &waiting).await?;
                            has_changed |= seen == Seen::Changed;
                            true
                        }
                    };
                    if is_given && *policy == Policy::Skip {
                        has_changed |= !transaction.is_current(&[key])?;
                    }
                }
                if is_given && to_leave_out > 0 {
                    to_leave_out -= 1;
                    is_given = false;
                } else if is_given {
                    to_give -= 1;
                }
                given.push(is_given);
            }
            let batch = filter_record_batch(&batch, &BooleanArray::from(given));
            kept.push(batch.map_err(|error| Error::internal(format!("rows cannot be left out: {error}")))?);
        }
        Ok((!has_changed).then_some((kept, locking.tables)))
    }

    fn plan_locking(
        &self,
        query: &ast::Query,
        prepared: &Prepared,
        values: &[Value],
        catalog: &Catalog,
    ) -> Result<(Planned, Locking)> {
        let text = &prepared.statement.text;
        let path = self.search_path()?;
        let mut names = self.names_within(catalog, &path, prepared.within.as_ref());
        let mut locking = rewrite(query, &mut names, values, text)?;
        columns::make_unique(&mut locking.query);
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let statement = ast::Statement::Query(Box::new(locking.query.clone()));
        let planned = names.plan(statement, parameters::known(&types), text);
        let planned = planned.map_err(|error| {
            // With the keys beside them groups cannot be planned; what is wrong is the lock.
            let given: Vec<_> = types.clone();
            match self.plan_query(&without_locks(query), &given, text, catalog) {
                Ok(plain) => check_rows(&plain.plan).err().unwrap_or(error),
                Err(_) => error,
            }
        })?;
        check_rows(&planned.plan)?;
        Ok((planned, locking))
    }
}

/// That each row of a plan is one of its tables' rows.
fn check_rows(plan: &LogicalPlan) -> Result<()> {
    let what = match plan {
        LogicalPlan::Aggregate(_) => "GROUP BY clause or aggregate functions",
        LogicalPlan::Distinct(_) => "DISTINCT clause",
        LogicalPlan::Window(_) => "window functions",
        LogicalPlan::Union(_) => "UNION",
        plan => return plan.inputs().into_iter().try_for_each(check_rows),
    };
    Err(Error::unsupported(format!("FOR UPDATE is not allowed with {what}")))
}

/// See step 1 of the module's header.
fn rewrite(query: &ast::Query, names: &mut Names<'_>, values: &[Value], text: &str) -> Result<Locking> {
    let clauses = clauses(query)?;
    let mut rewritten = without_locks(query);
    let is_skipping = clauses.iter().any(|clause| clause.policy == Policy::Skip);
    let (offset, limit) = match is_skipping {
        true => take_limit(&mut rewritten, values)?,
        false => (0, None),
    };
    let ast::SetExpr::Select(select) = &mut *rewritten.body else {
        return Err(Error::unsupported(
            "FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT or VALUES",
        ));
    };
    let mut modes = Vec::new();
    let mut tables = Vec::new();
    let mut keys = Vec::new();
    let mut found = Vec::new();
    let mut stars = Vec::new();
    let factors = select.from.iter_mut().flat_map(|item| {
        std::iter::once(&mut item.relation).chain(item.joins.iter_mut().map(|join| &mut join.relation))
    });
    for factor in factors {
        let place = factor.span();
        let alias = alias_of(factor);
        let Some(alias) = alias else {
            stars.clear();
            continue;
        };
        let name = normalize(&alias);
        let is_meant = |clause: &&Clause| clause.of.is_empty() || clause.of.contains(&name);
        // Of several that mean a table the strongest counts.
        let meant = clauses.iter().filter(is_meant).max_by_key(|clause| clause.mode);
        let shape = match factor {
            ast::TableFactor::Table { name, args: None, .. } => match names.resolve(&reference(name)?) {
                Ok(Object::Table(table)) => {
                    refuse_materialized(&table, "lock rows in").map_err(|error| at(error, place, text))?;
                    Some((names.shape(&table), table))
                }
                _ => None,
            },
            _ => None,
        };
        let Some(clause) = meant else {
            stars.push((alias, None));
            continue;
        };
        let Some((shape, table)) = shape else {
            if clause.of.is_empty() {
                stars.push((alias, None));
                continue;
            }
            let message = format!("FOR UPDATE cannot be applied to \"{name}\": it is no table");
            return Err(at(Error::unsupported(message), place, text));
        };
        found.push(name);
        names.meet(&table);
        let bound = format!("aion locked {}", modes.len());
        names.bind(&bound, Arc::new(Table::with_key(shape.clone())));
        let mut item = target_as(&alias)?.relation;
        if let ast::TableFactor::Table { name, .. } = &mut item {
            *name = ast::ObjectName::from(vec![ast::Ident::with_quote('"', bound)]);
        }
        *factor = item;
        stars.push((alias.clone(), Some(shape)));
        modes.push((clause.mode, clause.policy));
        tables.push(table.id);
        keys.push(ast::SelectItem::ExprWithAlias {
            expr: ast::Expr::CompoundIdentifier(vec![alias, ast::Ident::with_quote('"', KEY_COLUMN)]),
            alias: ast::Ident::with_quote('"', format!("aion key {}", modes.len())),
        });
    }
    for clause in &clauses {
        if let Some(missing) = clause.of.iter().find(|name| !found.contains(name)) {
            return Err(Error::not_found(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{missing}\" in FOR UPDATE clause not found in FROM clause"),
            ));
        }
    }
    if modes.is_empty() {
        return Err(Error::unsupported(
            "FOR UPDATE needs a table in FROM whose rows it can lock",
        ));
    }
    let joins_by_name = select.from.iter().flat_map(|item| &item.joins).any(joins_by_name);
    expand_stars(&mut select.projection, &stars, joins_by_name)?;
    select.projection.extend(keys);
    Ok(Locking {
        query: rewritten,
        modes,
        tables,
        offset,
        limit,
    })
}

/// The name that an item of FROM has in the query.
fn alias_of(factor: &ast::TableFactor) -> Option<ast::Ident> {
    match factor {
        ast::TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last()?.as_ident().cloned(),
        },
        ast::TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| alias.name.clone()),
        _ => None,
    }
}

fn joins_by_name(join: &ast::Join) -> bool {
    let constraint = match &join.join_operator {
        ast::JoinOperator::Join(constraint)
        | ast::JoinOperator::Inner(constraint)
        | ast::JoinOperator::Left(constraint)
        | ast::JoinOperator::LeftOuter(constraint)
        | ast::JoinOperator::Right(constraint)
        | ast::JoinOperator::RightOuter(constraint)
        | ast::JoinOperator::FullOuter(constraint) => constraint,
        _ => return false,
    };
    matches!(constraint, ast::JoinConstraint::Using(_) | ast::JoinConstraint::Natural)
}

type Star = (ast::Ident, Option<Arc<crate::table::TableShape>>);

/// Writes `*` out: the keys are no part of it.
fn expand_stars(projection: &mut Vec<ast::SelectItem>, stars: &[Star], joins_by_name: bool) -> Result<()> {
    let mut expanded = Vec::with_capacity(projection.len());
    for item in projection.drain(..) {
        match &item {
            ast::SelectItem::Wildcard(options) => {
                if joins_by_name {
                    return Err(
                        Error::unsupported("FOR UPDATE of SELECT * with NATURAL or USING is not there yet")
                            .with_hint("List the columns."),
                    );
                }
                for star in stars {
                    expand(star, options, &mut expanded);
                }
            }
            ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let qualifier = name.0.last().and_then(ast::ObjectNamePart::as_ident).map(normalize);
                match stars.iter().find(|(alias, _)| Some(normalize(alias)) == qualifier) {
                    Some(star) => expand(star, options, &mut expanded),
                    None => expanded.push(item),
                }
            }
            _ => expanded.push(item),
        }
    }
    *projection = expanded;
    Ok(())
}

fn expand(star: &Star, options: &ast::WildcardAdditionalOptions, out: &mut Vec<ast::SelectItem>) {
    let (alias, shape) = star;
    let Some(shape) = shape else {
        let name = ast::ObjectName::from(vec![alias.clone()]);
        let kind = ast::SelectItemQualifiedWildcardKind::ObjectName(name);
        out.push(ast::SelectItem::QualifiedWildcard(kind, options.clone()));
        return;
    };
    let columns = shape.descriptor.columns.iter();
    out.extend(columns.map(|column| {
        let parts = vec![alias.clone(), ast::Ident::with_quote('"', column.name.clone())];
        ast::SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts))
    }));
}

/// Takes LIMIT and OFFSET off a query: with SKIP LOCKED they count what was not skipped.
fn take_limit(query: &mut ast::Query, values: &[Value]) -> Result<(usize, Option<usize>)> {
    if query.fetch.is_some() {
        return Err(Error::unsupported("SKIP LOCKED with FETCH is not there yet").with_hint("Use LIMIT."));
    }
    match query.limit_clause.take() {
        None => Ok((0, None)),
        Some(ast::LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        }) if limit_by.is_empty() => {
            let limit = limit.as_ref().map(|limit| number(limit, values)).transpose()?.flatten();
            let offset = offset
                .as_ref()
                .map(|offset| number(&offset.value, values))
                .transpose()?
                .flatten();
            Ok((offset.unwrap_or(0), limit))
        }
        Some(_) => Err(Error::unsupported("this LIMIT is not PostgreSQL's")),
    }
}

/// A number of rows; None for NULL and ALL.
fn number(expr: &ast::Expr, values: &[Value]) -> Result<Option<usize>> {
    let unknown = || Error::unsupported(format!("SKIP LOCKED with LIMIT {expr} is not there yet"));
    let number = match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => digits.parse::<i64>().map_err(|_| unknown())?,
            ast::Value::Null => return Ok(None),
            ast::Value::Placeholder(name) => {
                let at = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
                match at.and_then(|at| values.get(at.checked_sub(1)?)) {
                    Some(Value::Null) => return Ok(None),
                    Some(Value::I64(number)) => *number,
                    Some(Value::I32(number)) => (*number).into(),
                    Some(Value::I16(number)) => (*number).into(),
                    _ => return Err(unknown()),
                }
            }
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    };
    let negative = |_| {
        Error::invalid(
            SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
            "LIMIT must not be negative",
        )
    };
    usize::try_from(number).map(Some).map_err(negative)
}
