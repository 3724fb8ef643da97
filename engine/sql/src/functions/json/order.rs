//! Documents, intervals and arrays compared, sorted, grouped, made distinct and joined as PostgreSQL does: by their keys.
//!
//! Two documents that are equal may have different bytes, `1.0` and `1.00`, and bytes are in another order. So wherever documents are
//! compared, their keys (`aion_catalog::json`'s `to_key`) are: [`OrderDocuments`] puts `jsonb_key(x)` in the place of `x` in
//! (and of an interval its length, by which `1 day` and `24 hours` are equal)
//!
//! 1. comparisons, BETWEEN, IN, `CASE x WHEN`, and the pairs of a join,
//! 2. ORDER BY, DISTINCT ON, what windows are cut by and sorted by, and the order within an aggregate,
//! 3. GROUP BY and DISTINCT, above which the first value of each group stands for it.
//!
//! Arrays likewise, by `array_key(x)`: Arrow sorts NULL elements first, and PostgreSQL last.
//!
//! It runs once types are settled, and gives columns the names that they had.

use std::sync::Arc;

use aion_base::Error;
use aion_catalog::json::JsonbRef;
use datafusion::arrow::array::{Array, AsArray, BinaryBuilder};
use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::functions::encoding::encode;
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr::{GroupingSet, InSubquery, Sort as SortExpr};
use datafusion::logical_expr::utils::{grouping_set_to_exprlist, merge_schema};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, ColumnarValue, Distinct, DistinctOn, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder,
    Operator, Projection, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility, lit, when,
};
use datafusion::optimizer::AnalyzerRule;

use super::super::interval::{self, Way};
use super::check::concerns;
use crate::error::wrap;
use crate::functions::array::{array_key, is_array};
use crate::functions::retyped::map_named;

/// The name of the function that gives a document's key.
pub const KEY_FUNCTION: &str = "jsonb_key";

/// See the module's header.
#[derive(Debug)]
pub struct OrderDocuments;

impl AnalyzerRule for OrderDocuments {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(ordered).map(|done| done.data)
    }

    fn name(&self) -> &str {
        "order_documents"
    }
}

fn has_keyed(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|field| is_keyed_type(field.data_type()))
}

/// Whether values are compared by a key of theirs.
fn is_keyed_type(data_type: &DataType) -> bool {
    is_document(data_type) || interval::is_interval(data_type)
}

fn is_document(data_type: &DataType) -> bool {
    *data_type == DataType::LargeBinary || is_array(data_type)
}

/// Whether a node has to do with arrays: its columns, or what it computes.
fn concerns_arrays(plan: &LogicalPlan, schema: &DFSchema) -> Result<bool> {
    if schema.fields().iter().any(|field| is_array(field.data_type())) {
        return Ok(true);
    }
    let mut is_concerned = false;
    plan.apply_expressions(|expr| {
        is_concerned |= expr.exists(|expr| {
            Ok(match expr {
                Expr::Literal(value, _) => is_array(&value.data_type()),
                Expr::Cast(cast) => is_array(cast.field.data_type()),
                Expr::ScalarFunction(_) | Expr::AggregateFunction(_) | Expr::ScalarSubquery(_) => {
                    expr.get_type(schema).is_ok_and(|data_type| is_array(&data_type))
                }
                _ => false,
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(is_concerned)
}

/// Whether a node has to do with intervals: its columns, or what it computes.
fn has_intervals(plan: &LogicalPlan, schema: &DFSchema) -> Result<bool> {
    let is_of = |fields: &Fields| fields.iter().any(|field| interval::is_interval(field.data_type()));
    if is_of(schema.fields()) {
        return Ok(true);
    }
    let makes = |expr: &Expr| match expr {
        Expr::Literal(value, _) => interval::is_interval(&value.data_type()),
        Expr::Cast(cast) => interval::is_interval(cast.field.data_type()),
        Expr::OuterReferenceColumn(field, _) => interval::is_interval(field.data_type()),
        Expr::ScalarFunction(call) => interval::is_made(call.name()),
        Expr::ScalarSubquery(subquery) => is_of(subquery.subquery.schema().fields()),
        Expr::Placeholder(parameter) => {
            let field = parameter.field.as_ref();
            field.is_some_and(|field| interval::is_interval(field.data_type()))
        }
        _ => false,
    };
    let mut is_concerned = false;
    plan.apply_expressions(|expr| {
        is_concerned |= expr.exists(|expr| Ok(makes(expr)))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(is_concerned)
}

fn ordered(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(
            scan.table_name.clone(),
            &scan.source.schema(),
        )?);
    }
    if !concerns(&plan, &schema)? && !has_intervals(&plan, &schema)? && !concerns_arrays(&plan, &schema)? {
        return Ok(Transformed::no(plan));
    }
    let rewritten = map_named(plan, |expr| expr.transform_up(|expr| by_keys(expr, &schema)))?;
    let Transformed { data, transformed, .. } = rewritten;
    let data = if transformed { data.recompute_schema()? } else { data };
    Ok(match data {
        LogicalPlan::Sort(mut sort) => {
            sort.expr.iter().try_for_each(|sort| check_inner(&sort.expr, &schema))?;
            let is_keyed = keyed_sorts(&mut sort.expr, &schema);
            Transformed::new_transformed(LogicalPlan::Sort(sort), transformed || is_keyed)
        }
        LogicalPlan::Join(mut join) => {
            let mut is_keyed = false;
            for (one, other) in &mut join.on {
                is_keyed |= key_in_place(one, &schema) | key_in_place(other, &schema);
            }
            Transformed::new_transformed(LogicalPlan::Join(join), transformed || is_keyed)
        }
        LogicalPlan::Distinct(Distinct::All(input)) if has_keyed(input.schema()) => {
            let all: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
            let aggregate = Aggregate::try_new(input, all, Vec::new())?;
            Transformed::yes(grouped(aggregate, &schema)?)
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let DistinctOn {
                mut on_expr,
                select_expr,
                mut sort_expr,
                input,
                ..
            } = on.clone();
            let mut is_keyed = false;
            for expr in &mut on_expr {
                is_keyed |= key_in_place(expr, &schema);
            }
            if let Some(sorts) = &mut sort_expr {
                is_keyed |= keyed_sorts(sorts, &schema);
            }
            let on = match is_keyed {
                true => DistinctOn::try_new(on_expr, select_expr, sort_expr, input)?,
                false => on,
            };
            Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), transformed || is_keyed)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let groups = grouping_set_to_exprlist(&aggregate.group_expr)?;
            groups.iter().try_for_each(|expr| check_inner(expr, &schema))?;
            match groups.iter().any(|expr| is_keyed_expr(expr, &schema)) {
                true => Transformed::yes(grouped(aggregate, &schema)?),
                false => Transformed::new_transformed(LogicalPlan::Aggregate(aggregate), transformed),
            }
        }
        other => Transformed::new_transformed(other, transformed),
    })
}

/// An aggregate whose groups are told apart by keys: each has its first value, and the columns that it had.
fn grouped(aggregate: Aggregate, schema: &DFSchema) -> Result<LogicalPlan> {
    let Aggregate {
        input,
        group_expr,
        aggr_expr,
        schema: columns,
        ..
    } = aggregate;
    let groups: Vec<Expr> = grouping_set_to_exprlist(&group_expr)?.into_iter().cloned().collect();
    let is_set = matches!(group_expr.first(), Some(Expr::GroupingSet(_)));
    let mut firsts = Vec::new();
    let mut places = Vec::with_capacity(groups.len());
    for group in &groups {
        places.push(is_keyed_expr(group, schema).then_some(firsts.len()));
        if is_keyed_expr(group, schema) {
            firsts
                .push(first_value(group.clone().unalias(), Vec::new()).alias(format!("first value {}", firsts.len())));
        }
    }
    let keyed = |exprs: Vec<Expr>| -> Vec<Expr> { exprs.into_iter().map(|expr| keyed_expr(expr, schema)).collect() };
    let group_expr = match group_expr.into_iter().next() {
        None => Vec::new(),
        Some(Expr::GroupingSet(set)) => vec![Expr::GroupingSet(match set {
            GroupingSet::Rollup(exprs) => GroupingSet::Rollup(keyed(exprs)),
            GroupingSet::Cube(exprs) => GroupingSet::Cube(keyed(exprs)),
            GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(sets.into_iter().map(keyed).collect()),
        })],
        Some(_) => keyed(groups),
    };
    let own = aggr_expr.len();
    let aggr_expr: Vec<Expr> = aggr_expr.into_iter().chain(firsts).collect();
    let inner = Aggregate::try_new(input, group_expr, aggr_expr)?;
    // The last columns are those of the aggregates.
    let first_of_all = inner.schema.fields().len() - (inner.aggr_expr.len() - own);
    let inner_columns = inner.schema.columns();
    let mut projection = Vec::with_capacity(columns.fields().len());
    for (at, (qualifier, field)) in columns.iter().enumerate() {
        let group = Expr::Column(inner_columns[at].clone());
        let expr = match places.get(at).copied().flatten() {
            None => group,
            Some(place) => {
                let first = Expr::Column(inner_columns[first_of_all + place].clone());
                match is_set {
                    // Where a set leaves it out it is NULL, as its key is.
                    true => when(group.is_not_null(), first).end()?,
                    false => first,
                }
            }
        };
        projection.push(expr.alias_qualified(qualifier.cloned(), field.name()));
    }
    Ok(LogicalPlan::Projection(Projection::try_new(
        projection,
        Arc::new(LogicalPlan::Aggregate(inner)),
    )?))
}

fn is_keyed_expr(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| is_keyed_type(&data_type))
}

/// The key of a document as a text, its bytes in hexadecimal: DataFusion has no frames over rows that are sorted by bytes.
pub fn window_key(expr: Expr) -> Expr {
    encode().call(vec![key(expr, &DataType::LargeBinary), lit("hex")])
}

fn key(expr: Expr, data_type: &DataType) -> Expr {
    if is_array(data_type) {
        return array_key(expr);
    }
    ScalarUDF::from(DocumentKey {
        signature: Signature::exact(vec![DataType::LargeBinary], Volatility::Immutable),
    })
    .call(vec![expr])
}

fn keyed_expr(expr: Expr, schema: &DFSchema) -> Expr {
    match is_keyed_expr(&expr, schema) {
        true => key_of(expr.unalias(), schema),
        false => expr,
    }
}

fn key_in_place(expr: &mut Expr, schema: &DFSchema) -> bool {
    let is_keyed = is_keyed_expr(expr, schema);
    if is_keyed {
        *expr = key_of(std::mem::take(expr), schema);
    }
    is_keyed
}

/// Refuses arrays and records with intervals where they are compared: DataFusion would compare the fields of these.
///
/// # Errors
/// 0A000.
fn check_inner(expr: &Expr, schema: &DFSchema) -> Result<()> {
    fn has_inner(data_type: &DataType) -> bool {
        let holds = |data_type: &DataType| interval::is_interval(data_type) || has_inner(data_type);
        match data_type {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                holds(item.data_type())
            }
            DataType::Struct(fields) => fields.iter().any(|field| holds(field.data_type())),
            _ => false,
        }
    }
    match expr.get_type(schema).is_ok_and(|data_type| has_inner(&data_type)) {
        true => Err(wrap(Error::unsupported(
            "arrays and records of intervals are not compared",
        ))),
        false => Ok(()),
    }
}

/// The key of a value that has one.
fn key_of(expr: Expr, schema: &DFSchema) -> Expr {
    match expr.get_type(schema) {
        Ok(data_type) if interval::is_interval(&data_type) => Way::Length.call(vec![expr]),
        Ok(data_type) => key(expr, &data_type),
        Err(_) => key(expr, &DataType::LargeBinary),
    }
}

fn keyed_sorts(sorts: &mut [SortExpr], schema: &DFSchema) -> bool {
    let mut is_keyed = false;
    for sort in sorts {
        is_keyed |= key_in_place(&mut sort.expr, schema);
    }
    is_keyed
}

/// An expression that compares documents as one that compares their keys.
fn by_keys(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    use Operator as O;
    match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, .. }) if op.supports_propagation() => {
            check_inner(left, schema)?;
        }
        Expr::InList(list) => check_inner(&list.expr, schema)?,
        Expr::InSubquery(subquery) => check_inner(&subquery.expr, schema)?,
        _ => {}
    }
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr {
            mut left,
            op: op @ (O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq | O::IsDistinctFrom | O::IsNotDistinctFrom),
            mut right,
        }) => {
            let is_keyed = key_in_place(&mut left, schema) | key_in_place(&mut right, schema);
            Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), is_keyed)
        }
        Expr::Between(mut between) => {
            let is_keyed = key_in_place(&mut between.expr, schema)
                | key_in_place(&mut between.low, schema)
                | key_in_place(&mut between.high, schema);
            Transformed::new_transformed(Expr::Between(between), is_keyed)
        }
        Expr::InList(mut list) => {
            let mut is_keyed = key_in_place(&mut list.expr, schema);
            for expr in &mut list.list {
                is_keyed |= key_in_place(expr, schema);
            }
            Transformed::new_transformed(Expr::InList(list), is_keyed)
        }
        Expr::InSubquery(mut subquery) if is_keyed_expr(&subquery.expr, schema) => {
            key_in_place(&mut subquery.expr, schema);
            let InSubquery { subquery: inner, .. } = &subquery;
            let Subquery {
                subquery: plan,
                outer_ref_columns,
                spans,
            } = inner.clone();
            let column = plan.schema().columns().into_iter().next();
            let column = column.map(|column| key_of(Expr::Column(column), plan.schema()));
            let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(plan))
                .project(column)?
                .build()?;
            subquery.subquery = Subquery {
                subquery: Arc::new(plan),
                outer_ref_columns,
                spans,
            };
            Transformed::yes(Expr::InSubquery(subquery))
        }
        Expr::Case(mut case) => {
            let is_keyed = match &mut case.expr {
                Some(expr) => {
                    let mut is_keyed = key_in_place(expr, schema);
                    for (when, _) in &mut case.when_then_expr {
                        is_keyed |= key_in_place(when, schema);
                    }
                    is_keyed
                }
                None => false,
            };
            Transformed::new_transformed(Expr::Case(case), is_keyed)
        }
        // NULL where both are equal: DataFusion compares bytes.
        Expr::ScalarFunction(call) if matches!(call.name(), "greatest" | "least") => {
            let is_ours = |arg: &Expr| arg.get_type(schema).is_ok_and(|given| interval::is_interval(&given));
            if !call.args.iter().any(is_ours) {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            let way = match call.name() {
                "greatest" => Way::Greatest,
                _ => Way::Least,
            };
            Transformed::yes(way.call(call.args))
        }
        Expr::Negative(inner) if inner.get_type(schema).is_ok_and(|given| interval::is_interval(&given)) => {
            Transformed::yes(Way::Negate.call(vec![*inner]))
        }
        Expr::ScalarFunction(call) if call.name() == "nullif" && is_keyed_expr(&call.args[0], schema) => {
            let [one, other] = &call.args[..] else {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            };
            let is_equal = keyed_expr(one.clone(), schema).eq(keyed_expr(other.clone(), schema));
            let nothing = lit(ScalarValue::try_from(one.get_type(schema)?)?);
            Transformed::yes(when(is_equal, nothing).otherwise(one.clone())?)
        }
        Expr::AggregateFunction(mut call) => {
            let mut is_keyed = keyed_sorts(&mut call.params.order_by, schema);
            if call.params.distinct && call.func.name() == "count" {
                for arg in &mut call.params.args {
                    is_keyed |= key_in_place(arg, schema);
                }
            }
            Transformed::new_transformed(Expr::AggregateFunction(call), is_keyed)
        }
        Expr::WindowFunction(mut call) => {
            let mut is_keyed = keyed_sorts(&mut call.params.order_by, schema);
            for expr in &mut call.params.partition_by {
                is_keyed |= key_in_place(expr, schema);
            }
            Transformed::new_transformed(Expr::WindowFunction(call), is_keyed)
        }
        other => Transformed::no(other),
    })
}

/// `jsonb_key(document)`
#[derive(Debug, PartialEq, Eq, Hash)]
struct DocumentKey {
    signature: Signature,
}

impl ScalarUDFImpl for DocumentKey {
    fn name(&self) -> &str {
        KEY_FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(ColumnarValue::Scalar(ScalarValue::LargeBinary(document))) => {
                let key = document.as_ref().map(|bytes| JsonbRef::new(bytes).to_key());
                Ok(ColumnarValue::Scalar(ScalarValue::Binary(key)))
            }
            Some(ColumnarValue::Array(array)) if *array.data_type() == DataType::LargeBinary => {
                let documents = array.as_binary::<i64>();
                let mut keys = BinaryBuilder::with_capacity(documents.len(), documents.values().len());
                let mut key = Vec::new();
                for document in documents {
                    match document {
                        None => keys.append_null(),
                        Some(bytes) => {
                            key.clear();
                            JsonbRef::new(bytes).write_key(&mut key);
                            keys.append_value(&key);
                        }
                    }
                }
                Ok(ColumnarValue::Array(Arc::new(keys.finish())))
            }
            _ => exec_err!("{KEY_FUNCTION} takes a document"),
        }
    }
}
