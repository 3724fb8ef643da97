//! The one type of what comes from several places: the results of a CASE, the queries of a UNION, the rows of VALUES.
//!
//! DataFusion says that it is the type of the first place, until the plan is analyzed; what is asked for before, the columns of the result
//! and what a value is cast to, was wrong: `CASE WHEN false THEN 1 ELSE 2.5 END` was 2, and `SELECT 1 UNION ALL SELECT 2.5` had a 2.

use std::sync::Arc;

use aion_catalog::SqlType;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::type_coercion::other::get_coerce_type_for_case_expression;
use datafusion::logical_expr::{Case, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union, Values, cast};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;

use super::enumeration::{enum_of, is_moment, is_open};
use super::interval::is_interval;
use super::json::{self, Side};
use super::retyped::{recomputed, retyped_node};

/// The plan of a query in which each place gives the type of all. It changes the types of columns, so it comes before anybody asks for
/// them.
///
/// # Errors
/// 42804 where there is no such type; when a plan cannot be put together again.
pub fn settle_branches(plan: LogicalPlan) -> Result<LogicalPlan> {
    recomputed(plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Union(union) if !is_settled(&union) => {
            TypeCoercionRewriter::coerce_union(with_moments(with_enums(union)?)?).map(Transformed::yes)
        }
        LogicalPlan::Values(Values { schema, values }) => {
            let rows = values.into_iter().map(|row| {
                let row = row.into_iter().map(|expr| settled(expr, &DFSchema::empty()));
                row.collect::<Result<Vec<_>>>()
            });
            let rows = rows.collect::<Result<Vec<_>>>()?;
            let is_changed = rows.iter().flatten().any(|expr| expr.transformed);
            let values = rows
                .into_iter()
                .map(|row| row.into_iter().map(|expr| expr.data).collect())
                .collect();
            match is_changed {
                true => LogicalPlanBuilder::values(values)?.build().map(Transformed::yes),
                false => Ok(Transformed::no(LogicalPlan::Values(Values { schema, values }))),
            }
        }
        plan => retyped_node(plan, settled),
    })?)
}

/// Whether the one type of all is that of moments: of these, dates and timestamps PostgreSQL prefers it, and DataFusion does not where
/// there is a date.
fn are_moments<'a>(types: impl Iterator<Item = &'a DataType> + Clone) -> bool {
    let is_time =
        |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Null);
    types.clone().all(is_time) && types.into_iter().any(is_moment)
}

/// Whether the one type of all is that of intervals, which literals in quotes take.
fn are_intervals<'a>(types: impl Iterator<Item = &'a DataType> + Clone) -> bool {
    let is_open = |data_type: &DataType| is_interval(data_type) || data_type.is_null() || data_type.is_string();
    types.clone().all(is_open) && types.into_iter().any(is_interval)
}

/// The type of all where that is one of arrays, which literals in quotes take.
pub fn one_list<'a>(mut types: impl Iterator<Item = &'a DataType> + Clone) -> Option<&'a DataType> {
    let is_list = |data_type: &&DataType| matches!(data_type, DataType::List(_) | DataType::LargeList(_));
    let list = types.clone().find(is_list)?;
    let is_open = |data_type: &DataType| data_type == list || data_type.is_null() || data_type.is_string();
    types.all(is_open).then_some(list)
}

/// The queries of a UNION, of which those that give literals give values of an enum where others do.
fn with_enums(mut union: Union) -> Result<Union> {
    let type_of = |input: &LogicalPlan, at: usize| Some(input.schema().fields().get(at)?.data_type().clone());
    let width = union.schema.fields().len();
    let wanted: Vec<Option<DataType>> = (0..width)
        .map(|at| {
            let mut types = union.inputs.iter().filter_map(|input| type_of(input, at));
            types.find(|data_type| enum_of(data_type).is_some())
        })
        .collect();
    if wanted.iter().all(Option::is_none) {
        return Ok(union);
    }
    for (at, wanted) in wanted.iter().enumerate() {
        let Some(wanted) = wanted else { continue };
        let sides = union.inputs.iter().map(|input| match is_open(input, at) {
            true => Side::Open,
            false => Side::of_field(input.schema().field(at)),
        });
        json::alike("UNION", &sides.collect::<Vec<_>>())?;
        for input in &mut union.inputs {
            if type_of(input, at).is_none_or(|found| found == *wanted || found.is_null()) {
                continue;
            }
            let exprs = (0..width).map(|place| {
                let column = Column::from(input.schema().qualified_field(place));
                let name = column.name.clone();
                match place == at {
                    true => cast(Expr::Column(column), wanted.clone()).alias(name),
                    false => Expr::Column(column),
                }
            });
            let exprs: Vec<Expr> = exprs.collect();
            *input = LogicalPlanBuilder::from(input.as_ref().clone())
                .project(exprs)?
                .build()
                .map(Arc::new)?;
        }
    }
    Ok(union)
}

/// The queries of a UNION, which give moments where one of them does, and the others times.
fn with_moments(mut union: Union) -> Result<Union> {
    let width = union.schema.fields().len();
    let type_of = |input: &LogicalPlan, at: usize| Some(input.schema().fields().get(at)?.data_type().clone());
    let is_moment = |at: usize| {
        let types: Vec<DataType> = union.inputs.iter().filter_map(|input| type_of(input, at)).collect();
        are_moments(types.iter())
    };
    let wanted: Vec<bool> = (0..width).map(is_moment).collect();
    let moment = SqlType::TIMESTAMPTZ.to_arrow();
    for input in &mut union.inputs {
        let is_other = |at: usize| wanted[at] && type_of(input, at).is_some_and(|of| of != moment && !of.is_null());
        if !(0..width).any(is_other) {
            continue;
        }
        let exprs = (0..width).map(|at| {
            let column = Column::from(input.schema().qualified_field(at));
            let name = column.name.clone();
            match is_other(at) {
                true => cast(Expr::Column(column), moment.clone()).alias(name),
                false => Expr::Column(column),
            }
        });
        let exprs: Vec<Expr> = exprs.collect();
        *input = LogicalPlanBuilder::from(input.as_ref().clone())
            .project(exprs)?
            .build()
            .map(Arc::new)?;
    }
    Ok(union)
}

fn is_settled(union: &Union) -> bool {
    union.inputs.iter().all(|input| {
        let both = input.schema().fields().iter().zip(union.schema.fields());
        both.into_iter().all(|(one, all)| one.data_type() == all.data_type())
    })
}

/// `CASE x WHEN 0` of floats with its comparisons written out: -0 is 0, which DataFusion tells apart where it compares for CASE. What gives
/// something else each time is computed once, and stays.
fn with_comparisons(case: Case, schema: &DFSchema) -> Case {
    let is_float = |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type.is_floating());
    match case.expr {
        Some(of)
            if !of.is_volatile() && (is_float(&of) || case.when_then_expr.iter().any(|(when, _)| is_float(when))) =>
        {
            let compared = |when: Box<Expr>| Box::new(of.as_ref().clone().eq(*when));
            let compared = case
                .when_then_expr
                .into_iter()
                .map(|(when, then)| (compared(when), then));
            Case::new(None, compared.collect(), case.else_expr)
        }
        expr => Case { expr, ..case },
    }
}

fn settled(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::Case(case) => {
            let mut case = with_comparisons(case, schema);
            let results = case.when_then_expr.iter().map(|(_, then)| then);
            let all = case.else_expr.iter().chain(results);
            let sides: Vec<Side> = all.map(|result| Side::of(result, schema)).collect();
            json::alike("CASE", &sides)?;
            if sides.contains(&Side::Json) {
                let results = case.when_then_expr.iter_mut().map(|(_, then)| then);
                results
                    .chain(&mut case.else_expr)
                    .for_each(|result| json::literal_as_json(result));
            }
            let settled = of_one_type(case, schema);
            // Of its results a CASE keeps the type, and not that it is json.
            Ok(match sides.contains(&Side::Json) {
                true => Transformed::yes(json::kept_json(settled.data)),
                false => settled,
            })
        }
        // It is made a CASE.
        Expr::ScalarFunction(mut call) if call.name() == "coalesce" => {
            let is_json = call.args.iter().any(|arg| Side::of(arg, schema) == Side::Json);
            if is_json {
                call.args.iter_mut().for_each(json::literal_as_json);
            }
            let call = Expr::ScalarFunction(call);
            Ok(match is_json {
                true => Transformed::yes(json::kept_json(call)),
                false => Transformed::no(call),
            })
        }
        Expr::ScalarSubquery(subquery) => {
            let is_json = Side::of_field(subquery.subquery.schema().field(0)) == Side::Json;
            let subquery = Expr::ScalarSubquery(subquery);
            Ok(match is_json {
                true => Transformed::yes(json::kept_json(subquery)),
                false => Transformed::no(subquery),
            })
        }
        Expr::Cast(cast) if Side::of(&cast.expr, schema) == Side::Json => json::settle_cast(cast, schema),
        other => Ok(Transformed::no(other)),
    })
}

/// A CASE with its results cast to their one type; as it is where one of them has none yet, or there is no such type, which the analysis tells.
fn of_one_type(mut case: Case, schema: &DFSchema) -> Transformed<Expr> {
    let type_of = |expr: &Expr| expr.get_type(schema);
    let thens = case.when_then_expr.iter().map(|(_, then)| type_of(then));
    let (Ok(thens), Ok(otherwise)) = (
        thens.collect::<Result<Vec<_>>>(),
        case.else_expr.as_deref().map(type_of).transpose(),
    ) else {
        return Transformed::no(Expr::Case(case));
    };
    let types = || thens.iter().chain(&otherwise);
    let one = match types().find(|data_type| enum_of(data_type).is_some()) {
        Some(of_enum) => Some(of_enum.clone()),
        None if are_moments(types()) => Some(SqlType::TIMESTAMPTZ.to_arrow()),
        None if are_intervals(types()) => Some(SqlType::Interval.to_arrow()),
        None if let Some(list) = one_list(types()) => Some(list.clone()),
        None => get_coerce_type_for_case_expression(&thens, otherwise.as_ref()),
    };
    let Some(one) = one else {
        return Transformed::no(Expr::Case(case));
    };
    let mut is_changed = false;
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then);
    for (result, data_type) in results.chain(&mut case.else_expr).zip(thens.iter().chain(&otherwise)) {
        // A NULL takes any type by itself.
        if *data_type != one && !data_type.is_null() {
            **result = cast(std::mem::take(&mut **result), one.clone());
            is_changed = true;
        }
    }
    Transformed::new_transformed(Expr::Case(case), is_changed)
}
