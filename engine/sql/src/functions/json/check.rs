//! What is not done with documents, refused before DataFusion would do it with their bytes or their text.
//!
//! A json is a text to DataFusion, and a jsonb a row of bytes: it would take the one for an argument of `upper`, sort by it, and tell the
//! other's length. [`CheckDocuments`] looks at each expression before types are settled, when a literal is still one, and
//!
//! 1. refuses arguments that a function of documents does not take, and documents where a function takes none (42883),
//! 2. refuses to compare, sort, group and make distinct by json, which has no order (42883), and by lists and records of documents (0A000),
//! 3. refuses casts that there are not (42846),
//! 4. gives `concat` and its like the texts of documents, and windows an order of keys that DataFusion knows (see [`super::order`]).

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::expr::{
    AggregateFunction, Cast, InSubquery, ScalarFunction, SetComparison, Sort as SortExpr, WindowFunction,
};
use datafusion::logical_expr::utils::{grouping_set_to_exprlist, merge_schema};
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, ExprSchemable, Like, LogicalPlan, Operator, cast};
use datafusion::optimizer::AnalyzerRule;

use super::call::{Kind, definition_of, no_function};
use super::operators::no_operator;
use super::order::{KEY_FUNCTION, window_key};
use super::side::Side;
use crate::error::wrap;
use crate::functions::retyped::map_named;
use crate::functions::subquery::OR_NULL_FUNCTION;

/// See the module's header.
#[derive(Debug)]
pub struct CheckDocuments;

impl AnalyzerRule for CheckDocuments {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(checked).map(|done| done.data)
    }

    fn name(&self) -> &str {
        "check_documents"
    }
}

/// Functions of DataFusion and ours that take a value of any type, and do not look into it.
const TAKE_ANY: [&str; 9] = [
    OR_NULL_FUNCTION,
    "coalesce",
    "nullif",
    "make_array",
    "named_struct",
    "pg_typeof",
    "whole_row",
    "json_kept",
    KEY_FUNCTION,
];

/// Functions that take the texts of values.
pub const TAKE_TEXTS: [&str; 5] = ["concat", "concat_ws", "format", "quote_literal", "quote_nullable"];

/// Aggregates and window functions that pass on values, or count them.
pub const PASS_ON: [&str; 9] = [
    "count",
    "array_agg",
    "first_value",
    "last_value",
    "nth_value",
    "lag",
    "lead",
    "any_value",
    "grouping",
];

fn checked(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    if !concerns(&plan, &schema)? {
        return Ok(Transformed::no(plan));
    }
    check_node(&plan, &schema)?;
    map_named(plan, |expr| expr.transform_up(|expr| check(expr, &schema)))
}

/// Whether a node has to do with documents: its columns, or what it computes.
pub fn concerns(plan: &LogicalPlan, schema: &DFSchema) -> Result<bool> {
    if schema.fields().iter().any(|field| holds_document(field)) {
        return Ok(true);
    }
    let mut is_concerned = false;
    plan.apply_expressions(|expr| {
        is_concerned |= expr.exists(|expr| Ok(makes_document(expr)))?;
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(is_concerned)
}

/// Whether an expression that is made of no document may be one.
fn makes_document(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, metadata) => metadata.is_some() || value.data_type() == DataType::LargeBinary,
        Expr::Cast(Cast { field, .. }) => holds_document(field),
        Expr::OuterReferenceColumn(field, _) => holds_document(field),
        Expr::ScalarFunction(call) => definition_of(&call.func).is_some() || call.name().contains("json"),
        Expr::ScalarSubquery(subquery) => {
            let fields = subquery.subquery.schema().fields();
            fields.iter().any(|field| holds_document(field))
        }
        Expr::Placeholder(parameter) => parameter.field.as_ref().is_some_and(|field| holds_document(field)),
        _ => false,
    }
}

/// Whether a field is of documents, or of lists and records of them.
fn holds_document(field: &Field) -> bool {
    Side::of_field(field).is_document() || has_inner_document(field.data_type())
}

fn has_inner_document(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => holds_document(item),
        DataType::Struct(fields) => fields.iter().any(|field| holds_document(field)),
        _ => false,
    }
}

fn check_node(plan: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    let made_distinct = |schema: &DFSchema| {
        let mut fields = schema.fields().iter();
        fields.try_for_each(|field| check_equality(&Side::of_field(field), field.data_type()))
    };
    match plan {
        LogicalPlan::Sort(sort) => sorted(&sort.expr, schema),
        LogicalPlan::Aggregate(aggregate) => {
            let mut groups = grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter();
            groups.try_for_each(|expr| grouped(expr, schema))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => made_distinct(input.schema()),
        LogicalPlan::Distinct(Distinct::On(on)) => {
            on.on_expr.iter().try_for_each(|expr| grouped(expr, schema))?;
            on.sort_expr.iter().try_for_each(|sorts| sorted(sorts, schema))
        }
        LogicalPlan::Join(join) => {
            let mut pairs = join.on.iter();
            pairs.try_for_each(|(one, other)| compared("=", one, other, schema))
        }
        LogicalPlan::RecursiveQuery(query) if query.is_distinct => {
            match query
                .static_term
                .schema()
                .fields()
                .iter()
                .any(|field| holds_document(field))
            {
                true => Err(wrap(Error::unsupported(
                    "documents in a recursive query need UNION ALL",
                ))),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn sorted(sorts: &[SortExpr], schema: &DFSchema) -> Result<()> {
    for sort in sorts {
        if Side::of(&sort.expr, schema) == Side::Json {
            let message = "could not identify an ordering operator for type json";
            return Err(wrap(
                Error::not_found(SqlState::UNDEFINED_FUNCTION, message)
                    .with_hint("Use an explicit ordering operator or modify the query."),
            ));
        }
        check_inner(&sort.expr, schema)?;
    }
    Ok(())
}

fn grouped(expr: &Expr, schema: &DFSchema) -> Result<()> {
    match expr.get_type(schema) {
        Ok(data_type) => check_equality(&Side::of(expr, schema), &data_type),
        Err(_) => Ok(()),
    }
}

fn check_equality(side: &Side, data_type: &DataType) -> Result<()> {
    if *side == Side::Json {
        let message = "could not identify an equality operator for type json";
        return Err(wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message)));
    }
    match has_inner_document(data_type) {
        true => Err(no_order_within()),
        false => Ok(()),
    }
}

fn check_inner(expr: &Expr, schema: &DFSchema) -> Result<()> {
    match expr.get_type(schema) {
        Ok(data_type) if has_inner_document(&data_type) => Err(no_order_within()),
        _ => Ok(()),
    }
}

fn no_order_within() -> DataFusionError {
    wrap(Error::unsupported(
        "arrays and records of json or jsonb are not compared",
    ))
}

/// Refuses a comparison that there is not.
fn compared(op: &str, one: &Expr, other: &Expr, schema: &DFSchema) -> Result<()> {
    let (left, right) = (Side::of(one, schema), Side::of(other, schema));
    let is_known = |side: &Side| matches!(side, Side::Jsonb | Side::Open);
    if (left.is_document() || right.is_document()) && !(is_known(&left) && is_known(&right)) {
        return Err(no_operator(op, &left, &right));
    }
    check_inner(one, schema)?;
    check_inner(other, schema)
}

fn check(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match &expr {
        Expr::ScalarFunction(call) => return called(call, schema).map(|new| replaced(expr, new)),
        Expr::AggregateFunction(call) => check_aggregate(call, schema)?,
        Expr::WindowFunction(_) => return windowed(expr, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            use Operator as O;
            let is_comparison = matches!(op, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq);
            if is_comparison || matches!(op, O::IsDistinctFrom | O::IsNotDistinctFrom) {
                let op = match op {
                    Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => "=".to_owned(),
                    Operator::NotEq => "<>".to_owned(),
                    op => op.to_string(),
                };
                compared(&op, left, right, schema)?;
            } else if !matches!(op, Operator::And | Operator::Or) {
                let (left, right) = (Side::of(left, schema), Side::of(right, schema));
                if left.is_document() || right.is_document() {
                    return Err(no_operator(&op.to_string(), &left, &right));
                }
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
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            let left = Side::of(expr, schema);
            let field = subquery.subquery.schema().field(0);
            let right = Side::of_field(field);
            if (left.is_document() || right.is_document())
                && !(matches!(left, Side::Jsonb | Side::Open) && matches!(right, Side::Jsonb | Side::Open))
            {
                return Err(no_operator("=", &left, &right));
            }
            check_inner(expr, schema)?;
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
        Expr::Cast(Cast { expr: inner, field }) => check_cast(inner, field, schema)?,
        _ => {}
    }
    Ok(Transformed::no(expr))
}

fn replaced(expr: Expr, new: Option<Expr>) -> Transformed<Expr> {
    match new {
        Some(new) => Transformed::yes(new),
        None => Transformed::no(expr),
    }
}

fn liked(like: &Like, op: &str, schema: &DFSchema) -> Result<()> {
    let (left, right) = (Side::of(&like.expr, schema), Side::of(&like.pattern, schema));
    if !left.is_document() && !right.is_document() {
        return Ok(());
    }
    let negation = if like.negated { "!" } else { "" };
    let any_case = if like.case_insensitive { "*" } else { "" };
    Err(no_operator(&format!("{negation}{op}{any_case}"), &left, &right))
}

/// A call in another form; None where it stays.
fn called(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let sides = || call.args.iter().map(|arg| Side::of(arg, schema)).collect::<Vec<_>>();
    let refused = || Err(wrap(no_function(call.name(), &call.args, schema)));
    if let Some(definition) = definition_of(&call.func) {
        let takes = |(at, side): (usize, Side)| match definition.kind(at) {
            Some(Kind::Jsonb) => matches!(side, Side::Jsonb | Side::Open),
            Some(Kind::Json) => matches!(side, Side::Json | Side::Open),
            Some(Kind::Path | Kind::Texts | Kind::Text | Kind::Integer | Kind::Boolean | Kind::Place) => {
                !side.is_document()
            }
            None => true,
        };
        return match sides().into_iter().enumerate().all(takes) {
            true => Ok(None),
            false => refused(),
        };
    }
    let takes_any = TAKE_ANY.contains(&call.name()) || call.name().contains("json") || call.name() == "text_in";
    if !sides().iter().any(Side::is_document) {
        return Ok(None);
    }
    match call.name() {
        "coalesce" => alike("COALESCE", &sides())?,
        "make_array" => {
            alike("ARRAY", &sides())?;
            if sides().contains(&Side::Json) {
                return Err(no_arrays());
            }
        }
        "nullif" => {
            if let [one, other] = &call.args[..] {
                compared("=", one, other, schema)?;
            }
        }
        _ => {}
    }
    if takes_any {
        return Ok(None);
    }
    if !TAKE_TEXTS.contains(&call.name()) {
        return refused();
    }
    let args = call.args.iter().map(|arg| match Side::of(arg, schema).is_document() {
        true => cast(arg.clone(), DataType::Utf8),
        false => arg.clone(),
    });
    Ok(Some(call.func.call(args.collect())))
}

/// Refuses values of which some are documents or of an enum, and some are of another type.
///
/// # Errors
/// 42804; 42846 for two enums.
pub fn alike(what: &str, sides: &[Side]) -> Result<()> {
    let Some(first) = sides.iter().find(|side| **side != Side::Open) else {
        return Ok(());
    };
    let other = sides.iter().find(|side| **side != Side::Open && *side != first);
    let is_ours = |side: &Side| side.is_document() || matches!(side, Side::Enum(_));
    if let (Side::Enum(one), Some(Side::Enum(other))) = (first, other) {
        let what = if what == "CASE" { "CASE/WHEN" } else { what };
        let message = format!("{what} could not convert type {other} to {one}");
        return Err(wrap(Error::invalid(SqlState::CANNOT_COERCE, message)));
    }
    match other.filter(|other| is_ours(first) || is_ours(other)) {
        Some(other) => Err(wrap(Error::invalid(
            SqlState::DATATYPE_MISMATCH,
            format!("{what} types {} and {} cannot be matched", first.name(), other.name()),
        ))),
        None => Ok(()),
    }
}

fn check_aggregate(call: &AggregateFunction, schema: &DFSchema) -> Result<()> {
    sorted(&call.params.order_by, schema)?;
    check_passed_on(call.func.name(), &call.params.args, call.params.distinct, schema)
}

fn check_passed_on(name: &str, args: &[Expr], is_distinct: bool, schema: &DFSchema) -> Result<()> {
    let is_document = |arg: &Expr| Side::of(arg, schema).is_document();
    if args.iter().any(is_document) && !PASS_ON.contains(&name) {
        return Err(wrap(no_function(name, args, schema)));
    }
    // Of its elements an array does not keep that they are json. What is gathered for one document is an item.
    let is_json = |arg: &Expr| Side::of(arg, schema) == Side::Json && !is_item(arg);
    if name == "array_agg" && args.iter().any(is_json) {
        return Err(no_arrays());
    }
    if !is_distinct {
        return Ok(());
    }
    args.iter().try_for_each(|arg| grouped(arg, schema))?;
    match args.iter().any(is_document) && name != "count" {
        true => Err(wrap(Error::unsupported(format!("{name}(DISTINCT ...) of jsonb")))),
        false => Ok(()),
    }
}

fn is_item(arg: &Expr) -> bool {
    matches!(arg, Expr::ScalarFunction(call) if matches!(call.name(), "json_item" | "json_member"))
}

fn no_arrays() -> DataFusionError {
    wrap(Error::unsupported("arrays of json").with_hint("Arrays of jsonb are there."))
}

/// A window that is sorted by documents, by what DataFusion takes.
fn windowed(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut call) = expr else {
        return Ok(Transformed::no(expr));
    };
    let WindowFunction { fun, params } = &mut *call;
    check_passed_on(fun.name(), &params.args, params.distinct, schema)?;
    sorted(&params.order_by, schema)?;
    params.partition_by.iter().try_for_each(|expr| grouped(expr, schema))?;
    let mut is_keyed = false;
    for sort in &mut params.order_by {
        if Side::of(&sort.expr, schema) == Side::Jsonb {
            sort.expr = window_key(std::mem::take(&mut sort.expr));
            is_keyed = true;
        }
    }
    Ok(Transformed::new_transformed(Expr::WindowFunction(call), is_keyed))
}

/// Refuses a cast that there is not; those of jsonb are checked where they are done.
///
/// # Errors
/// 42846.
pub fn check_cast(inner: &Expr, field: &Field, schema: &DFSchema) -> Result<()> {
    let (from, to) = (Side::of(inner, schema), Side::of_field(field));
    let is_there = match (&from, &to) {
        (Side::Json, Side::Json | Side::Jsonb | Side::Text(_)) => true,
        (Side::Json, _) => false,
        (_, Side::Json) => matches!(from, Side::Jsonb | Side::Open | Side::Text(_)),
        _ => true,
    };
    if is_there {
        return Ok(());
    }
    let to = match SqlType::from_field(field) {
        Ok(sql_type) => sql_type.base_name().to_owned(),
        Err(_) => to.name().to_owned(),
    };
    Err(wrap(Error::invalid(
        SqlState::CANNOT_COERCE,
        format!("cannot cast type {} to {to}", from.name()),
    )))
}
