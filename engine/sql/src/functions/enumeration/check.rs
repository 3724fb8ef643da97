//! What is not done with enums, refused before DataFusion would do it with timestamps: see the module's header.

use aion_base::{Error, SqlState};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, Like, LogicalPlan, Operator, cast};
use datafusion::optimizer::AnalyzerRule;

use super::enum_of;
use crate::error::wrap;
use crate::functions::json::{PASS_ON, Side, TAKE_TEXTS, alike, no_function, no_operator};
use crate::functions::retyped::map_named;
use crate::functions::subquery::OR_NULL_FUNCTION;
use crate::session::scalar;

/// See the module's header.
#[derive(Debug)]
pub struct CheckEnums;

impl AnalyzerRule for CheckEnums {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(checked).map(|done| done.data)
    }

    fn name(&self) -> &str {
        "check_enums"
    }
}

/// Functions that take a value of any type, and do not look into it.
const TAKE_ANY: [&str; 16] = [
    OR_NULL_FUNCTION,
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "make_array",
    "named_struct",
    "struct",
    "pg_typeof",
    "whole_row",
    "text_in",
    "text_out",
    "enum_first",
    "enum_last",
    "enum_range",
    "cardinality",
];

/// Aggregates that compare values: the smallest and the largest document are not there, those of an enum are.
const COMPARE: [&str; 2] = ["min", "max"];

fn checked(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    if !concerns(&plan, &schema)? {
        return Ok(Transformed::no(plan));
    }
    if let LogicalPlan::Join(join) = &plan {
        for (one, other) in &join.on {
            compared("=", one, other, &schema)?;
        }
    }
    map_named(plan, |expr| expr.transform_up(|expr| check(expr, &schema)))
}

/// Whether a node has to do with enums: its columns, or what it computes.
fn concerns(plan: &LogicalPlan, schema: &DFSchema) -> Result<bool> {
    let is_of = |field: &Field| enum_of(field.data_type()).is_some();
    if schema.fields().iter().any(|field| is_of(field)) {
        return Ok(true);
    }
    let makes = |expr: &Expr| match expr {
        Expr::Literal(value, _) => enum_of(&value.data_type()).is_some(),
        Expr::Cast(Cast { field, .. }) => is_of(field),
        Expr::OuterReferenceColumn(field, _) => is_of(field),
        Expr::ScalarFunction(call) => call.name().starts_with("enum_"),
        Expr::ScalarSubquery(subquery) => subquery.subquery.schema().fields().iter().any(|field| is_of(field)),
        Expr::InSubquery(subquery) => {
            let fields = subquery.subquery.subquery.schema().fields();
            fields.iter().any(|field| is_of(field))
        }
        Expr::Placeholder(parameter) => parameter.field.as_ref().is_some_and(|field| is_of(field)),
        _ => false,
    };
    let mut is_concerned = false;
    plan.apply_expressions(|expr| {
        is_concerned |= expr.exists(|expr| Ok(makes(expr)))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(is_concerned)
}

fn is_enum(side: &Side) -> bool {
    matches!(side, Side::Enum(_))
}

/// Refuses a comparison that there is not.
fn compared(op: &str, one: &Expr, other: &Expr, schema: &DFSchema) -> Result<()> {
    matched(op, &Side::of(one, schema), &Side::of(other, schema))
}

fn matched(op: &str, left: &Side, right: &Side) -> Result<()> {
    let is_refused = |one: &Side, other: &Side| is_enum(one) && one != other && *other != Side::Open;
    match is_refused(left, right) || is_refused(right, left) {
        true => Err(no_operator(op, left, right)),
        false => Ok(()),
    }
}

fn check(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match &expr {
        Expr::ScalarFunction(call) => {
            return Ok(match called(call, schema)? {
                Some(new) => Transformed::yes(new),
                None => Transformed::no(expr),
            });
        }
        Expr::AggregateFunction(call) => passed_on(call.func.name(), &call.params.args, schema)?,
        Expr::WindowFunction(call) => passed_on(call.fun.name(), &call.params.args, schema)?,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            use Operator as O;
            let (one, other) = (Side::of(left, schema), Side::of(right, schema));
            match op {
                O::And | O::Or => {}
                O::NotEq => matched("<>", &one, &other)?,
                O::IsDistinctFrom | O::IsNotDistinctFrom => matched("=", &one, &other)?,
                O::Eq | O::Lt | O::LtEq | O::Gt | O::GtEq => matched(&op.to_string(), &one, &other)?,
                _ if is_enum(&one) || is_enum(&other) => return Err(no_operator(&op.to_string(), &one, &other)),
                _ => {}
            }
        }
        Expr::Between(between) => {
            compared(">=", &between.expr, &between.low, schema)?;
            compared("<=", &between.expr, &between.high, schema)?;
        }
        Expr::InList(list) => {
            for item in &list.list {
                compared("=", &list.expr, item, schema)?;
            }
            let mut filled = list.clone();
            let mut is_filled = false;
            for item in &mut filled.list {
                is_filled |= fill_row(&filled.expr, item, schema)?;
            }
            if is_filled {
                return Ok(Transformed::yes(Expr::InList(filled)));
            }
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            let right = Side::of_field(subquery.subquery.schema().field(0));
            matched("=", &Side::of(expr, schema), &right)?;
        }
        Expr::Case(case) => {
            if let Some(of) = &case.expr {
                for (when, _) in &case.when_then_expr {
                    compared("=", of, when, schema)?;
                }
            }
        }
        Expr::Like(like) => liked(like, "~~", schema)?,
        Expr::SimilarTo(like) => liked(like, "~", schema)?,
        Expr::Negative(inner) => {
            if let Side::Enum(of) = Side::of(inner, schema) {
                let message = format!("operator does not exist: - {of}");
                return Err(wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message)));
            }
        }
        Expr::Cast(Cast { expr: inner, field }) => check_cast(inner, field, schema)?,
        _ => {}
    }
    Ok(Transformed::no(expr))
}

/// Reads the literals of one row that stand beside enums of another.
///
/// # Errors
/// 22P02 for a literal that is no label.
pub fn fill_row(typed: &Expr, row: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let (Expr::ScalarFunction(of_row), Expr::ScalarFunction(row)) = (typed, row) else {
        return Ok(false);
    };
    // What stands first in a list is marked so (see `parse`).
    if row.name() == "coalesce"
        && let [inner] = &mut row.args[..]
    {
        return fill_row(typed, inner, schema);
    }
    let typed = of_row;
    let mut is_filled = false;
    if typed.name() == "struct" && row.name() == "struct" && typed.args.len() == row.args.len() {
        for (beside, part) in typed.args.iter().zip(&mut row.args) {
            let Side::Enum(of) = Side::of(beside, schema) else {
                continue;
            };
            let Expr::Literal(ScalarValue::Utf8(Some(text)), None) = &*part else {
                continue;
            };
            let position = of.text_in(text).map_err(wrap)?;
            let value = scalar(&SqlType::Enum(of), &Value::Enum(position)).map_err(wrap)?;
            *part = Expr::Literal(value, None);
            is_filled = true;
        }
    }
    Ok(is_filled)
}

fn liked(like: &Like, op: &str, schema: &DFSchema) -> Result<()> {
    let (left, right) = (Side::of(&like.expr, schema), Side::of(&like.pattern, schema));
    if !is_enum(&left) && !is_enum(&right) {
        return Ok(());
    }
    let negation = if like.negated { "!" } else { "" };
    let any_case = if like.case_insensitive { "*" } else { "" };
    Err(no_operator(&format!("{negation}{op}{any_case}"), &left, &right))
}

/// A call in another form; None where it stays.
fn called(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let sides: Vec<Side> = call.args.iter().map(|arg| Side::of(arg, schema)).collect();
    if !sides.iter().any(is_enum) {
        return Ok(None);
    }
    let name = call.name();
    match name {
        "coalesce" | "greatest" | "least" => alike(&name.to_ascii_uppercase(), &sides)?,
        "nullif" => {
            if let [one, other] = &sides[..] {
                matched("=", one, other)?;
            }
        }
        _ => {}
    }
    if TAKE_ANY.contains(&name) || name.starts_with("array_") {
        return Ok(None);
    }
    if !TAKE_TEXTS.contains(&name) && !name.contains("json") {
        return Err(wrap(no_function(name, &call.args, schema)));
    }
    let args = call.args.iter().zip(&sides).map(|(arg, side)| match is_enum(side) {
        true => cast(arg.clone(), DataType::Utf8),
        false => arg.clone(),
    });
    Ok(Some(call.func.call(args.collect())))
}

fn passed_on(name: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    let has_enum = args.iter().any(|arg| is_enum(&Side::of(arg, schema)));
    match has_enum && !PASS_ON.contains(&name) && !COMPARE.contains(&name) {
        true => Err(wrap(no_function(name, args, schema))),
        false => Ok(()),
    }
}

/// Refuses a cast that there is not.
fn check_cast(inner: &Expr, field: &Field, schema: &DFSchema) -> Result<()> {
    let Ok(to) = SqlType::from_field(field) else {
        return Ok(());
    };
    let from = Side::of(inner, schema);
    let is_there = match (&from, to) {
        (Side::Enum(one), SqlType::Enum(other)) => *one == other,
        (Side::Enum(_), SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)) => true,
        (Side::Enum(_), _) => false,
        (Side::Open | Side::Text(_), SqlType::Enum(_)) => true,
        // What has no type yet.
        (Side::Other(name), SqlType::Enum(_)) => name == "unknown",
        (_, SqlType::Enum(_)) => false,
        _ => true,
    };
    if is_there {
        return Ok(());
    }
    let message = format!("cannot cast type {} to {}", from.name(), to.base_name());
    Err(wrap(Error::invalid(SqlState::CANNOT_COERCE, message)))
}
