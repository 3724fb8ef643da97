//! IN, ANY and ALL over a subquery, and EXISTS outside WHERE.
//!
//! `x IN (SELECT v ...)` is true where some `v = x`, and otherwise NULL, not false, where some comparison was NULL; so `NOT IN` keeps no
//! row once the subquery has a NULL. DataFusion knows that for one form: a condition of WHERE, uncorrelated, with a column on its left.
//! All others it planned as if NULL were false, which gave rows too many, or not at all.
//!
//! **How.** A comparison *hits* where its result is settled by one row: `v = x` for IN and ANY, `NOT x op v` for ALL. A *mark* is a column of a
//! `LeftMark` join between the node's input and the lifted subquery: whether some row satisfies the join's condition.
//!
//! ```text
//! three values      CASE WHEN <mark of the hits> THEN hit WHEN <some comparison is NULL> THEN NULL ELSE NOT hit END
//!   correlated      the second is a mark too
//!   uncorrelated    it follows from two numbers: how many rows, and how many values that are not NULL
//! only whether it is true (an operand of AND and OR in WHERE)
//!   true on a hit   <mark of the hits>
//!   false on a hit  NOT <mark of the hits and of those that are NULL>
//! ```
//!
//! A correlated aggregate without GROUP BY always has its one row, even of no rows: `x IN (SELECT max(v) ...)` is `x = (SELECT max(v) ...)`, and EXISTS is
//! true.
//!
//! **Left to DataFusion:** IN as a condition of WHERE by itself, and the form of NOT IN above, as a semi and an anti join; EXISTS in WHERE, but for one of
//! such an aggregate, or of a value of the outer row.
//! **Left to [`super::Apply`]**: a correlated subquery with LIMIT, UNION or aggregates, but for the one above, and one that looks further out.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, Result, ScalarValue, TableReference};
use datafusion::functions_aggregate::expr_fn::{bool_or, count};
use datafusion::logical_expr::expr::{Alias, BinaryExpr, Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, Operator, SkipType, Subquery,
    lit, not, when,
};
use datafusion::optimizer::AnalyzerRule;

use super::apply::outward;
use super::outer::{is_deep, subquery_of};
use super::{Lifted, VALUE, has_subquery, lifted};

/// See the module's header.
#[derive(Debug)]
pub struct Membership;

impl AnalyzerRule for Membership {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite)
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "membership"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let input = match &plan {
        LogicalPlan::Projection(projection) => &projection.input,
        LogicalPlan::Filter(filter) => &filter.input,
        LogicalPlan::Aggregate(aggregate) => &aggregate.input,
        LogicalPlan::Sort(sort) => &sort.input,
        _ => return Ok(Transformed::no(plan)),
    };
    let expressions = plan.expressions();
    if !expressions.iter().any(has_membership) {
        return Ok(Transformed::no(plan));
    }
    let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut marks = Marks {
        plan: LogicalPlan::clone(input),
        joins: 0,
        is_filter: matches!(plan, LogicalPlan::Filter(_)),
    };
    let names = NamePreserver::new(&plan);
    let rewritten = expressions.into_iter().map(|expr| {
        let name = names.save(&expr);
        let expr = match marks.is_filter {
            true => marks.conditions(expr)?,
            false => marks.expression(expr, Wanted::Value)?,
        };
        Ok(name.restore(expr))
    });
    let rewritten = rewritten.collect::<Result<Vec<_>>>()?;
    let new = plan.with_new_exprs(rewritten, vec![marks.plan])?;
    let new = match (&plan, marks.joins) {
        // They pass on what they get.
        (LogicalPlan::Filter(_) | LogicalPlan::Sort(_), 1..) => {
            LogicalPlanBuilder::from(new).project(columns)?.build()?
        }
        _ => new,
    };
    Ok(Transformed::yes(new))
}

fn has_membership(expr: &Expr) -> bool {
    let found = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    });
    found.is_ok_and(|found| found)
}

/// What is asked of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All three values.
    Value,
    /// Whether it is true: NULL may be false.
    Truth,
}

/// IN, ANY or ALL.
struct Comparison {
    left: Expr,
    operator: Operator,
    subquery: Subquery,
    /// None for IN.
    quantifier: Option<SetQuantifier>,
    /// A row is a hit where the comparison is true, or where it is false.
    hits_on: bool,
    /// What it is then.
    on_hit: bool,
}

impl Comparison {
    /// None for another expression.
    fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Not(inner) => {
                let inner = Self::of(inner)?;
                Some(Self {
                    on_hit: !inner.on_hit,
                    ..inner
                })
            }
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => Some(Self {
                left: expr.as_ref().clone(),
                operator: Operator::Eq,
                subquery: subquery.clone(),
                quantifier: None,
                hits_on: true,
                on_hit: !negated,
            }),
            Expr::SetComparison(SetComparison {
                expr,
                subquery,
                op,
                quantifier,
            }) => {
                let is_any = *quantifier == SetQuantifier::Any;
                Some(Self {
                    left: expr.as_ref().clone(),
                    operator: *op,
                    subquery: subquery.clone(),
                    quantifier: Some(*quantifier),
                    hits_on: is_any,
                    on_hit: is_any,
                })
            }
            _ => None,
        }
    }

    /// The expression again, with another left side.
    fn written(self) -> Expr {
        match self.quantifier {
            None => Expr::InSubquery(InSubquery::new(
                Box::new(self.left),
                self.subquery,
                self.on_hit != self.hits_on,
            )),
            Some(quantifier) => {
                let set = SetComparison::new(Box::new(self.left), self.subquery, self.operator, quantifier);
                match self.on_hit == self.hits_on {
                    true => Expr::SetComparison(set),
                    false => not(Expr::SetComparison(set)),
                }
            }
        }
    }

    fn is_correlated(&self) -> bool {
        !self.subquery.outer_ref_columns.is_empty()
    }

    fn compared(&self, value: Expr) -> Expr {
        Expr::BinaryExpr(BinaryExpr::new(
            Box::new(self.left.clone()),
            self.operator,
            Box::new(value),
        ))
    }

    fn hit(&self, value: Expr) -> Expr {
        match self.hits_on {
            true => self.compared(value),
            false => not(self.compared(value)),
        }
    }
}

/// The node's input with the marks that its expressions ask for.
struct Marks {
    plan: LogicalPlan,
    joins: usize,
    is_filter: bool,
}

impl Marks {
    /// The predicate of a filter.
    fn conditions(&mut self, predicate: Expr) -> Result<Expr> {
        let conditions = split_conjunction_owned(predicate).into_iter().map(|condition| {
            let is_left = match (&condition, Comparison::of(&condition)) {
                (Expr::Exists(exists), _) => self.knows_rows(exists)?,
                (Expr::SetComparison(_), _) | (_, None) => false,
                (_, Some(comparison)) => self.knows(&comparison)?,
            };
            match is_left {
                true => Ok(condition),
                false => self.expression(condition, Wanted::Truth),
            }
        });
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        Ok(conjunction(conditions).unwrap_or_else(|| lit(true)))
    }

    /// Whether DataFusion makes the right join of a condition.
    fn knows(&self, comparison: &Comparison) -> Result<bool> {
        let is_in = comparison.hits_on && comparison.operator == Operator::Eq;
        let value = unwrapped(&comparison.subquery.subquery)?;
        let is_outer_value = value.is_some_and(|(value, _)| value.contains_outer());
        if !is_in || has_membership(&comparison.left) || ungrouped(&comparison.subquery).is_some() || is_outer_value {
            return Ok(false);
        }
        let is_one_key = !comparison.is_correlated() && comparison.left.any_column_refs();
        Ok(comparison.on_hit || is_one_key || !self.may_be_null(comparison)?)
    }

    /// Whether DataFusion makes the right join of EXISTS: in WHERE alone, and not where it gives what it looks at in the row around it.
    fn knows_rows(&self, exists: &Exists) -> Result<bool> {
        let is_outer_value = match unwrapped(&exists.subquery.subquery)? {
            Some((value, _)) => value.contains_outer(),
            None => false,
        };
        Ok(self.is_filter && !is_outer_value && ungrouped(&exists.subquery).is_none())
    }

    fn may_be_null(&self, comparison: &Comparison) -> Result<bool> {
        let value = comparison.subquery.subquery.schema().field(0);
        Ok(value.is_nullable() || comparison.left.nullable(self.plan.schema())?)
    }

    fn expression(&mut self, expr: Expr, wanted: Wanted) -> Result<Expr> {
        if !has_membership(&expr) {
            return Ok(expr);
        }
        if let Some(subquery) = subquery_of(&expr)
            && is_deep(subquery, self.plan.schema())?
        {
            return Ok(expr);
        }
        if let Some(mut comparison) = Comparison::of(&expr) {
            comparison.left = self.expression(comparison.left, Wanted::Value)?;
            return self.comparison(comparison, wanted);
        }
        match expr {
            Expr::Exists(exists) => self.exists(exists),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if matches!(op, Operator::And | Operator::Or) => {
                let left = self.expression(*left, wanted)?;
                let right = self.expression(*right, wanted)?;
                Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
            }
            Expr::Alias(Alias {
                expr, relation, name, ..
            }) => Ok(self.expression(*expr, wanted)?.alias_qualified(relation, name)),
            other => {
                let rewritten =
                    other.map_children(|child| self.expression(child, Wanted::Value).map(Transformed::yes))?;
                Ok(rewritten.data)
            }
        }
    }

    fn exists(&mut self, exists: Exists) -> Result<Expr> {
        if self.knows_rows(&exists)? {
            return Ok(Expr::Exists(exists));
        }
        if ungrouped(&exists.subquery) == Some(false) {
            return Ok(lit(!exists.negated));
        }
        let (subquery, alias) = (&exists.subquery, self.alias());
        let part = match subquery.outer_ref_columns.is_empty() {
            true => Some(whole(&subquery.subquery, &alias)?),
            false => match unwrapped(without_limit(&subquery.subquery)?)? {
                // Whether there are rows has nothing to do with what is computed of them.
                Some((_, rows)) => lifted(&lit(true), &rows, &alias)?,
                None => None,
            },
        };
        let Some(part) = part else {
            return Ok(Expr::Exists(exists));
        };
        let mark = self.mark(&part, &alias, lit(true))?;
        Ok(if exists.negated { not(mark) } else { mark })
    }

    fn comparison(&mut self, mut comparison: Comparison, wanted: Wanted) -> Result<Expr> {
        if ungrouped(&comparison.subquery) == Some(false) {
            let hit = comparison.compared(Expr::ScalarSubquery(comparison.subquery.clone()));
            return Ok(if comparison.on_hit == comparison.hits_on {
                hit
            } else {
                not(hit)
            });
        }
        let alias = self.alias();
        if has_subquery(&comparison.left) {
            // No join's condition may have one.
            let name = format!("aion left {}", self.joins);
            let mut columns: Vec<Expr> = self.plan.schema().columns().into_iter().map(Expr::Column).collect();
            let left = std::mem::replace(&mut comparison.left, Expr::Column(Column::new_unqualified(&name)));
            columns.push(left.alias(&name));
            self.plan = LogicalPlanBuilder::from(self.plan.clone()).project(columns)?.build()?;
        }
        let plan = &comparison.subquery.subquery;
        let part = match comparison.is_correlated() {
            false => Some(whole(plan, &alias)?),
            true => match unwrapped(plan)? {
                Some((value, rows)) => lifted(&value, &rows, &alias)?,
                None => None,
            },
        };
        let Some(part) = part else {
            return Ok(comparison.written());
        };
        let hit = comparison.hit(part.value(&alias));
        let may_be_null = self.may_be_null(&comparison)?;
        if !may_be_null || (wanted == Wanted::Truth && comparison.on_hit) {
            let mark = self.mark(&part, &alias, hit)?;
            return Ok(if comparison.on_hit { mark } else { not(mark) });
        }
        if wanted == Wanted::Truth && comparison.is_correlated() {
            let mark = self.mark(&part, &alias, Expr::IsNotFalse(Box::new(hit)))?;
            return Ok(not(mark));
        }
        let is_hit = self.mark(&part, &alias, hit)?;
        let is_unknown = match comparison.is_correlated() {
            true => {
                let again = self.alias();
                let part = part.renamed(&alias, &again)?;
                let is_null = comparison.compared(part.value(&again)).is_null();
                self.mark(&part, &again, is_null)?
            }
            false => self.is_unknown(&part, &alias, &comparison)?,
        };
        when(is_hit, lit(comparison.on_hit))
            .when(is_unknown, lit(ScalarValue::Boolean(None)))
            .otherwise(lit(!comparison.on_hit))
    }

    /// Of an uncorrelated subquery: whether it has a NULL, or rows at all where the left side is NULL.
    fn is_unknown(&mut self, part: &Lifted, alias: &TableReference, comparison: &Comparison) -> Result<Expr> {
        let numbers = self.alias();
        let counted = LogicalPlanBuilder::from(part.plan.clone())
            .aggregate(
                Vec::<Expr>::new(),
                vec![
                    count(lit(1_i64)).alias("aion rows"),
                    count(part.value(alias)).alias("aion values"),
                ],
            )?
            .alias(numbers.clone())?
            .build()?;
        self.plan = LogicalPlanBuilder::from(self.plan.clone())
            .cross_join(counted)?
            .build()?;
        let number = |name: &str| Expr::Column(Column::new(Some(numbers.clone()), name));
        let has_null = number("aion values").lt(number("aion rows"));
        let has_rows = number("aion rows").gt(lit(0_i64));
        Ok(has_null.or(comparison.left.clone().is_null().and(has_rows)))
    }

    /// No user can write these names, and no node sees those of another.
    fn alias(&mut self) -> TableReference {
        self.joins += 1;
        TableReference::bare(format!("aion membership {}", self.joins))
    }

    /// A column that says whether a row of the subquery satisfies a condition.
    fn mark(&mut self, part: &Lifted, alias: &TableReference, condition: Expr) -> Result<Expr> {
        let mut on = part.on.clone();
        on.push(condition);
        self.plan = LogicalPlanBuilder::from(self.plan.clone())
            .join_on(part.plan.clone(), JoinType::LeftMark, on)?
            .build()?;
        Ok(Expr::Column(Column::new(Some(alias.clone()), "mark")))
    }
}

/// IN, ANY or ALL of a subquery that is run for each row, as the query of one value.
///
/// It hits where a row does, and is unknown where none does and some comparison is NULL.
pub fn as_value(expr: &Expr, around: &DFSchema) -> Result<Option<LogicalPlan>> {
    const HIT: &str = "aion hit";
    const UNKNOWN: &str = "aion unknown";
    let Some(mut comparison) = Comparison::of(expr) else {
        return Ok(None);
    };
    comparison.left = outward(comparison.left, around)?;
    let query = LogicalPlan::clone(&comparison.subquery.subquery);
    let first = query.schema().columns().into_iter().next();
    let hit = comparison.hit(first.map_or_else(|| lit(true), Expr::Column));
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let value = when(column(HIT), lit(comparison.on_hit))
        .when(column(UNKNOWN), lit(ScalarValue::Boolean(None)))
        .otherwise(lit(!comparison.on_hit))?;
    let hits = vec![bool_or(hit.clone()).alias(HIT), bool_or(hit.is_null()).alias(UNKNOWN)];
    LogicalPlanBuilder::from(query)
        .aggregate(Vec::<Expr>::new(), hits)?
        .project(vec![value.alias(VALUE)])?
        .build()
        .map(Some)
}

/// An uncorrelated subquery.
fn whole(plan: &LogicalPlan, alias: &TableReference) -> Result<Lifted> {
    let first = plan.schema().columns().into_iter().next();
    let value = first.map_or_else(|| lit(true), Expr::Column);
    let plan = LogicalPlanBuilder::from(plan.clone())
        .project(vec![value.alias(VALUE)])?
        .alias(alias.clone())?
        .build()?;
    Ok(Lifted {
        plan,
        on: Vec::new(),
        columns: Vec::new(),
        value: None,
    })
}

/// Of a correlated aggregate without GROUP BY, which has one row of no rows too: whether something may take that row away. None for any
/// other subquery.
fn ungrouped(subquery: &Subquery) -> Option<bool> {
    fn of(plan: &LogicalPlan, is_taken: bool) -> Option<bool> {
        match plan {
            LogicalPlan::Projection(projection) => of(&projection.input, is_taken),
            LogicalPlan::Sort(sort) => of(&sort.input, is_taken),
            LogicalPlan::Distinct(Distinct::All(input)) => of(input, is_taken),
            LogicalPlan::Filter(filter) => of(&filter.input, true),
            LogicalPlan::Limit(limit) => of(&limit.input, true),
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty().then_some(is_taken),
            _ => None,
        }
    }
    match subquery.outer_ref_columns.is_empty() {
        true => None,
        false => of(&subquery.subquery, false),
    }
}

/// LIMIT of one row or more does not change whether there are any.
fn without_limit(plan: &LogicalPlan) -> Result<&LogicalPlan> {
    match plan {
        LogicalPlan::Limit(limit) if is_any(limit)? => Ok(&limit.input),
        other => Ok(other),
    }
}

/// Whether a limit lets a row pass where there is one.
pub fn is_any(limit: &Limit) -> Result<bool> {
    let is_from_first = matches!(limit.get_skip_type()?, SkipType::Literal(0));
    let has_one = matches!(
        limit.get_fetch_type()?,
        FetchType::Literal(None) | FetchType::Literal(Some(1..))
    );
    Ok(is_from_first && has_one)
}

/// The value that a subquery gives for each of its rows, and these rows, where DISTINCT, ORDER BY and GROUP BY without aggregates are left out: they
/// change nothing in whether a value is among them. None for another form.
fn unwrapped(plan: &LogicalPlan) -> Result<Option<(Expr, LogicalPlan)>> {
    match plan {
        LogicalPlan::Distinct(Distinct::All(input)) => unwrapped(input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => unwrapped(&sort.input),
        LogicalPlan::Projection(projection) => {
            let Some(value) = projection.expr.first() else {
                return Ok(None);
            };
            match projection.input.as_ref() {
                LogicalPlan::Aggregate(aggregate) => {
                    let are_columns = aggregate.group_expr.iter().all(|expr| matches!(expr, Expr::Column(_)));
                    let is_distinct = aggregate.aggr_expr.is_empty() && are_columns;
                    Ok(is_distinct.then(|| (value.clone(), aggregate.input.as_ref().clone())))
                }
                LogicalPlan::Limit(_) | LogicalPlan::Union(_) => Ok(None),
                wrapped @ (LogicalPlan::Distinct(_) | LogicalPlan::Sort(_) | LogicalPlan::Projection(_)) => {
                    let Some((inner, rows)) = unwrapped(wrapped)? else {
                        return Ok(None);
                    };
                    let column = Column::from(wrapped.schema().qualified_field(0));
                    if value.column_refs().iter().any(|name| **name != column) {
                        return Ok(None);
                    }
                    let replaced = value.clone().transform(|expr| {
                        Ok(match &expr {
                            Expr::Column(_) => Transformed::yes(inner.clone().unalias()),
                            _ => Transformed::no(expr),
                        })
                    })?;
                    Ok(Some((replaced.data, rows)))
                }
                rows => Ok(Some((value.clone(), rows.clone()))),
            }
        }
        _ => Ok(None),
    }
}
