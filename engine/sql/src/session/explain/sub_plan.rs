//! What the rows of an operator depend on, told from its plan node.
//!
//! Of literals only their place in the range of their column is kept. A node that is no scan, filter, join or aggregate is of the kind
//! *other*, and what is below it is passed on.

use std::any::Any;

use aion_base::subplan::{Comparison, OperatorKind, Predicate, Relation, SubPlan};
use aion_catalog::stats::TableStatistics;
use datafusion::common::{JoinType, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::tree::Node;
use crate::table::{ScanExec, ScanPlan, TableShape};

/// Predicates, joins and groups of a sub-plan that are kept; beyond, a statement is long for other reasons.
const PARTS_MAX: usize = 64;

/// The sub-plan of an operator, from those of its inputs.
pub fn sub_plan(plan: &dyn ExecutionPlan, rows: Option<f64>, children: &[Node]) -> SubPlan {
    let any: &dyn Any = plan;
    let mut whole = SubPlan {
        inputs: children.iter().map(|child| child.rows).collect(),
        estimated_rows: rows,
        ..SubPlan::default()
    };
    for child in children {
        let below = &child.sub_plan;
        whole.relations.extend(below.relations.iter().cloned());
        whole.predicates.extend(below.predicates.iter().cloned());
        whole.joins.extend(below.joins.iter().cloned());
        whole.groups.extend(below.groups.iter().cloned());
    }
    if let Some(scan) = any.downcast_ref::<ScanExec>() {
        whole.kind = OperatorKind::Scan;
        scanned(scan.plan(), &mut whole);
    } else if any.is::<FilterExec>() {
        whole.kind = OperatorKind::Filter;
        whole.predicates.push(Predicate {
            column: String::new(),
            comparison: Comparison::Other,
            position: None,
        });
    } else if let Some(join) = any.downcast_ref::<HashJoinExec>() {
        whole.kind = join_kind(*join.join_type());
        let on = join
            .on()
            .iter()
            .map(|(left, right)| (column_name(left), column_name(right)));
        whole.joins.extend(on);
    } else if let Some(join) = any.downcast_ref::<NestedLoopJoinExec>() {
        whole.kind = join_kind(*join.join_type());
    } else if any.is::<CrossJoinExec>() {
        whole.kind = OperatorKind::InnerJoin;
    } else if let Some(aggregate) = any.downcast_ref::<AggregateExec>() {
        // A partial one gives as many groups as it pleases.
        if *aggregate.mode() != AggregateMode::Partial {
            whole.kind = OperatorKind::Aggregate;
        }
        let keys = aggregate.group_expr().expr().iter();
        whole.groups = keys.map(|(_, name)| name.clone()).collect();
    }
    whole.predicates.truncate(PARTS_MAX);
    whole.joins.truncate(PARTS_MAX);
    whole.groups.truncate(PARTS_MAX);
    whole
}

fn join_kind(join_type: JoinType) -> OperatorKind {
    match join_type {
        JoinType::Inner => OperatorKind::InnerJoin,
        JoinType::Left | JoinType::Right | JoinType::Full => OperatorKind::OuterJoin,
        _ => OperatorKind::SemiJoin,
    }
}

fn column_name(expr: &std::sync::Arc<dyn PhysicalExpr>) -> String {
    let any: &dyn Any = expr.as_ref();
    any.downcast_ref::<Column>()
        .map_or_else(String::new, |column| column.name().to_owned())
}

fn scanned(plan: &ScanPlan, whole: &mut SubPlan) {
    let table = &plan.shape.descriptor;
    whole.relations.push(Relation {
        name: format!("{}.{}", table.schema, table.name),
        rows: plan.known.as_ref().map(|known| known.rows as f64),
    });
    let filters = plan.filter.iter().flat_map(|filter| filter.conjuncts.iter());
    for conjunct in filters.flat_map(split_conjunction) {
        predicates(conjunct, &plan.shape, plan.known.as_deref(), &mut whole.predicates);
    }
}

/// The predicates of a conjunct: two of BETWEEN.
fn predicates(expr: &Expr, shape: &TableShape, known: Option<&TableStatistics>, into: &mut Vec<Predicate>) {
    let named = |column: &str| format!("{}.{column}", shape.descriptor.name);
    let mut push = |column: &str, comparison, literal: Option<&ScalarValue>| {
        into.push(Predicate {
            column: named(column),
            comparison,
            position: literal.and_then(|literal| position(column, literal, shape, known)),
        });
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, literal, is_turned) = match (column_of(left), literal_of(right)) {
                (Some(column), literal) => (column, literal, false),
                (None, _) => match column_of(right) {
                    Some(column) => (column, literal_of(left), true),
                    None => return push("", Comparison::Other, None),
                },
            };
            let comparison = match (op, is_turned) {
                (Operator::Eq, _) => Comparison::Equal,
                (Operator::NotEq, _) => Comparison::NotEqual,
                (Operator::Lt | Operator::LtEq, false) | (Operator::Gt | Operator::GtEq, true) => Comparison::Less,
                (Operator::Gt | Operator::GtEq, false) | (Operator::Lt | Operator::LtEq, true) => Comparison::Greater,
                _ => Comparison::Other,
            };
            push(column, comparison, literal);
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) if column_of(expr).is_some() => {
            let column = column_of(expr).unwrap_or_default();
            push(column, Comparison::Greater, literal_of(low));
            push(column, Comparison::Less, literal_of(high));
        }
        Expr::InList(InList { expr, .. }) => push(column_of(expr).unwrap_or_default(), Comparison::In, None),
        Expr::Like(like) | Expr::SimilarTo(like) => {
            push(column_of(&like.expr).unwrap_or_default(), Comparison::Like, None);
        }
        Expr::IsNull(expr) | Expr::IsNotNull(expr) => push(column_of(expr).unwrap_or_default(), Comparison::Null, None),
        _ => push("", Comparison::Other, None),
    }
}

fn column_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        Expr::Cast(cast) => column_of(&cast.expr),
        _ => None,
    }
}

fn literal_of(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Cast(cast) => literal_of(&cast.expr),
        _ => None,
    }
}

/// Where a literal stands between the least value of its column and the greatest.
fn position(column: &str, literal: &ScalarValue, shape: &TableShape, known: Option<&TableStatistics>) -> Option<f64> {
    let table = &shape.descriptor;
    let column = &table.columns[table.position(column)?];
    let statistics = known?.column(column.id)?;
    let number = |text: &str| -> Option<f64> {
        let value = aion_catalog::Value::text_in(&column.sql_type, text).ok()?;
        number_of(&crate::session::scalar(&column.sql_type, &value).ok()?)
    };
    let (low, high) = (number(statistics.min.as_ref()?)?, number(statistics.max.as_ref()?)?);
    let at = number_of(literal)?;
    (high > low).then(|| ((at - low) / (high - low)).clamp(0.0, 1.0))
}

/// A value as a number on the line of its type.
fn number_of(value: &ScalarValue) -> Option<f64> {
    Some(match value {
        ScalarValue::Int16(value) => f64::from((*value)?),
        ScalarValue::Int32(value) | ScalarValue::Date32(value) => f64::from((*value)?),
        ScalarValue::Int64(value)
        | ScalarValue::Time64Microsecond(value)
        | ScalarValue::TimestampMicrosecond(value, _) => (*value)? as f64,
        ScalarValue::Float32(value) => f64::from((*value)?),
        ScalarValue::Float64(value) => (*value)?,
        ScalarValue::Decimal128(value, _, scale) => (*value)? as f64 / 10_f64.powi(i32::from(*scale)),
        _ => return None,
    })
}
