//! A physical plan as the tree that EXPLAIN shows.
//!
//! Operators have PostgreSQL's names where they do what PostgreSQL's do, and DataFusion's otherwise. Those that only move batches
//! between threads or rename columns are left out; their children stand in their place.
//!
//! *Plan Rows* is what the planner expects. *Actual Total Time* is the processor time of the operator and all below it, over
//! all threads, in milliseconds: not the time by the clock.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use aion_base::observation::{Observer, OperatorObservation, Predicted, PredictedRows};
use aion_base::subplan::{OperatorKind, SubPlan};
use datafusion::common::JoinType;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

use super::sub_plan::sub_plan;
use crate::nearest::{KeptExec, NearestExec};
use crate::table::ScanExec;

/// Operators that change no rows.
const LEFT_OUT: &[&str] = &[
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "ProjectionExec",
    "RepartitionExec",
];

/// One operator.
#[derive(Debug)]
pub struct Node {
    /// PostgreSQL's name.
    pub name: String,
    /// What else is known of it, by PostgreSQL's keys, in order.
    pub properties: Vec<(&'static str, Property)>,
    /// Rows expected, where something is known.
    pub rows: Option<f64>,
    /// What happened, when it ran.
    pub actual: Option<Actual>,
    /// What its rows depend on.
    pub sub_plan: SubPlan,
    /// Something above it may have ended it before it had given all its rows.
    pub is_censored: bool,
    /// What a model predicts of it, where one was asked.
    pub predicted: Option<PredictedRows>,
    pub children: Vec<Node>,
}

/// A property's value.
#[derive(Debug)]
pub enum Property {
    Text(String),
    List(Vec<String>),
    Number(f64),
}

/// What an operator did.
#[derive(Clone, Copy, Debug)]
pub struct Actual {
    pub rows: f64,
    /// Milliseconds of processor time, children included.
    pub total_ms: f64,
}

/// How much of an operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// All that EXPLAIN shows.
    All,
    /// Its name and its table: what is told of each statement must cost little.
    Names,
}

impl Node {
    /// The tree of a plan; with what happened, if it ran.
    pub fn of(plan: &dyn ExecutionPlan, has_run: bool) -> Self {
        let mut root = Self::build(plan, Detail::All, &StatisticsContext::new());
        if has_run {
            root.ran(plan);
        }
        root
    }

    /// The tree of a plan as it was expected, with the names of its operators and nothing else of them.
    pub fn expected(plan: &dyn ExecutionPlan) -> Self {
        Self::build(plan, Detail::Names, &StatisticsContext::new())
    }

    fn build(plan: &dyn ExecutionPlan, detail: Detail, statistics: &StatisticsContext) -> Self {
        let inputs = match shown(plan) {
            Shown::Instead(other) => return Self::build(other.as_ref(), detail, statistics),
            Shown::Operator(inputs) => inputs,
        };
        let known = statistics.compute(plan, &StatisticsArgs::new()).ok();
        let rows = known.and_then(|known| known.num_rows.get_value().map(|&rows| rows as f64));
        let (name, properties) = describe(plan, detail);
        let children: Vec<Node> = inputs
            .iter()
            .map(|child| Self::build(child.as_ref(), detail, statistics))
            .collect();
        let sub_plan = sub_plan(plan, rows, &children);
        Self {
            name,
            properties,
            rows,
            actual: None,
            sub_plan,
            is_censored: false,
            predicted: None,
            children,
        }
    }

    /// Adds what happened, of the plan that this is the tree of.
    pub fn ran(&mut self, plan: &dyn ExecutionPlan) {
        let inputs = match shown(plan) {
            Shown::Instead(other) => {
                self.ran(other.as_ref());
                let is_kept = (plan as &dyn Any).is::<KeptExec>();
                if let Some(actual) = self.actual.as_mut().filter(|_| !is_kept) {
                    actual.total_ms += own_ms(plan);
                }
                return;
            }
            Shown::Operator(inputs) => inputs,
        };
        let mut total_ms = own_ms(plan);
        for (child, input) in self.children.iter_mut().zip(&inputs) {
            child.ran(input.as_ref());
            total_ms += child.actual.map_or(0.0, |there| there.total_ms);
        }
        let rows = plan.metrics().and_then(|metrics| metrics.output_rows());
        self.actual = Some(Actual {
            rows: rows.map_or(0.0, |rows| rows as f64),
            total_ms,
        });
        self.censor(plan);
    }

    /// Marks what may have been ended early: what is below a limit, and what a join did not ask for because its other side was empty.
    fn censor(&mut self, plan: &dyn Any) {
        let is_limit = plan.is::<GlobalLimitExec>() || plan.is::<LocalLimitExec>();
        let has_limit = plan
            .downcast_ref::<ScanExec>()
            .is_some_and(|scan| scan.plan().limit.is_some());
        self.is_censored |= has_limit;
        let is_join = matches!(
            self.sub_plan.kind,
            OperatorKind::InnerJoin | OperatorKind::OuterJoin | OperatorKind::SemiJoin
        );
        let is_empty = |node: &Self| node.actual.is_some_and(|actual| actual.rows == 0.0);
        if is_limit || is_join && self.children.iter().any(is_empty) {
            for child in &mut self.children {
                child.censor_all();
            }
        }
    }

    fn censor_all(&mut self) {
        self.is_censored = true;
        self.children.iter_mut().for_each(Self::censor_all);
    }

    /// All operators, the topmost first.
    pub fn each<'a>(&'a self, into: &mut Vec<&'a Self>) {
        into.push(self);
        self.children.iter().for_each(|child| child.each(into));
    }

    /// Takes over what a model predicted, in the order of [`Node::each`].
    pub fn predict(&mut self, predicted: &mut impl Iterator<Item = Option<PredictedRows>>) {
        self.predicted = predicted.next().flatten();
        self.children.iter_mut().for_each(|child| child.predict(predicted));
    }
}

/// What stands in the tree for an operator of a plan.
enum Shown {
    /// Another one.
    Instead(Arc<dyn ExecutionPlan>),
    /// Itself, with these inputs.
    Operator(Vec<Arc<dyn ExecutionPlan>>),
}

fn shown(plan: &dyn ExecutionPlan) -> Shown {
    let any: &dyn Any = plan;
    if let Some(kept) = any.downcast_ref::<KeptExec>() {
        return Shown::Instead(kept.shown());
    }
    if let Some(nearest) = any.downcast_ref::<NearestExec>() {
        return Shown::Operator(vec![nearest.shown()]);
    }
    match plan.children()[..] {
        [only] if LEFT_OUT.contains(&plan.name()) => Shown::Instead(only.clone()),
        ref inputs => Shown::Operator(inputs.iter().copied().cloned().collect()),
    }
}

/// What a model predicts of the operators of a plan that did not run yet.
pub(crate) fn predict(observer: &dyn Observer, root: &Node) -> Option<Predicted> {
    let mut nodes = Vec::new();
    root.each(&mut nodes);
    let sub_plans: Vec<&SubPlan> = nodes.iter().map(|node| &node.sub_plan).collect();
    observer.predict(&sub_plans)
}

/// What the operators of a plan that ran were expected to do, and did, the topmost first. `root` is its tree.
pub(crate) fn operators_of(
    mut root: Node,
    plan: &dyn ExecutionPlan,
    predicted: Option<&Predicted>,
) -> Vec<OperatorObservation> {
    root.ran(plan);
    if let Some(predicted) = predicted {
        root.predict(&mut predicted.rows.iter().copied());
    }
    let mut operators = Vec::new();
    add_operators(root, 0, &mut operators);
    operators
}

fn add_operators(node: Node, depth: usize, operators: &mut Vec<OperatorObservation>) {
    let relation = node.properties.into_iter().find_map(|(key, value)| match (key, value) {
        ("Relation Name", Property::Text(name)) => Some(name),
        _ => None,
    });
    if let Some(actual) = node.actual {
        operators.push(OperatorObservation {
            depth,
            name: node.name,
            relation,
            estimated_rows: node.rows,
            actual_rows: actual.rows,
            time: Duration::from_secs_f64(actual.total_ms.max(0.0) / 1_000.0),
            sub_plan: node.sub_plan,
            is_censored: node.is_censored,
            predicted: node.predicted,
        });
    }
    for child in node.children {
        add_operators(child, depth + 1, operators);
    }
}

fn own_ms(plan: &dyn ExecutionPlan) -> f64 {
    let nanos = plan.metrics().and_then(|metrics| metrics.elapsed_compute());
    nanos.unwrap_or(0) as f64 / 1e6
}

fn describe(plan: &dyn ExecutionPlan, detail: Detail) -> (String, Vec<(&'static str, Property)>) {
    let text = |text: String| Property::Text(text);
    let any: &dyn Any = plan;
    if let Some(scan) = any.downcast_ref::<ScanExec>() {
        return match detail {
            Detail::All => scan.plan().describe(),
            Detail::Names => {
                let table = &scan.plan().shape.descriptor.name;
                let relation = ("Relation Name", text(table.clone()));
                (scan.plan().name().to_owned(), vec![relation])
            }
        };
    }
    if let Some(nearest) = any.downcast_ref::<NearestExec>() {
        return nearest.describe();
    }
    if detail == Detail::Names {
        return (name(plan).to_owned(), Vec::new());
    }
    if let Some(join) = any.downcast_ref::<HashJoinExec>() {
        let on = join.on().iter().map(|(left, right)| format!("({left} = {right})"));
        let mut properties = vec![
            ("Join Type", text(join_type(*join.join_type()))),
            ("Hash Cond", text(on.collect::<Vec<_>>().join(" AND "))),
        ];
        properties.extend(join.filter().map(|filter| ("Join Filter", text(join_filter(filter)))));
        return (name(plan).to_owned(), properties);
    }
    if let Some(join) = any.downcast_ref::<NestedLoopJoinExec>() {
        let mut properties = vec![("Join Type", text(join_type(*join.join_type())))];
        properties.extend(join.filter().map(|filter| ("Join Filter", text(join_filter(filter)))));
        return (name(plan).to_owned(), properties);
    }
    if let Some(sort) = any.downcast_ref::<SortExec>() {
        let keys = sort.expr().iter().map(ToString::to_string).collect();
        let mut properties = vec![("Sort Key", Property::List(keys))];
        properties.extend(sort.fetch().map(|fetch| ("Limit", Property::Number(fetch as f64))));
        return (name(plan).to_owned(), properties);
    }
    if let Some(aggregate) = any.downcast_ref::<AggregateExec>() {
        let keys: Vec<_> = aggregate
            .group_expr()
            .expr()
            .iter()
            .map(|(_, name)| name.clone())
            .collect();
        let strategy = match (keys.is_empty(), aggregate.input_order_mode()) {
            (true, _) => "Plain",
            (false, InputOrderMode::Sorted) => "Sorted",
            (false, _) => "Hashed",
        };
        let mut properties = vec![("Strategy", text(strategy.to_owned()))];
        let mode = match aggregate.mode() {
            AggregateMode::Partial => "Partial",
            AggregateMode::Final | AggregateMode::FinalPartitioned => "Finalize",
            _ => "Simple",
        };
        properties.push(("Partial Mode", text(mode.to_owned())));
        if !keys.is_empty() {
            properties.push(("Group Key", Property::List(keys)));
        }
        return (name(plan).to_owned(), properties);
    }
    let line = displayable(plan).one_line().to_string();
    let details = line.trim().split_once(": ").map(|(_, details)| details.to_owned());
    let properties = match (plan.name(), details) {
        ("FilterExec", Some(details)) => vec![("Filter", text(details))],
        (_, Some(details)) => vec![("Details", text(details))],
        (_, None) => Vec::new(),
    };
    (name(plan).to_owned(), properties)
}

/// PostgreSQL's name for what an operator does.
fn name(plan: &dyn ExecutionPlan) -> &str {
    let any: &dyn Any = plan;
    if any.is::<HashJoinExec>() {
        return "Hash Join";
    }
    if any.is::<NestedLoopJoinExec>() {
        return "Nested Loop";
    }
    if any.is::<SortExec>() {
        return "Sort";
    }
    if any.is::<AggregateExec>() {
        return "Aggregate";
    }
    match plan.name() {
        "FilterExec" => "Result",
        "GlobalLimitExec" | "LocalLimitExec" => "Limit",
        "CrossJoinExec" => "Nested Loop",
        "SortMergeJoinExec" | "SortMergeJoin" => "Merge Join",
        "SortPreservingMergeExec" => "Merge Append",
        "UnionExec" | "InterleaveExec" => "Append",
        "WindowAggExec" | "BoundedWindowAggExec" => "WindowAgg",
        "RecursiveQueryExec" => "Recursive Union",
        "WorkTableExec" => "WorkTable Scan",
        "EmptyExec" | "PlaceholderRowExec" => "Result",
        "DataSourceExec" => "Values Scan",
        "UnnestExec" => "ProjectSet",
        other => other,
    }
}

fn join_type(join_type: JoinType) -> String {
    match join_type {
        JoinType::LeftSemi | JoinType::RightSemi => "Semi".to_owned(),
        JoinType::LeftAnti | JoinType::RightAnti => "Anti".to_owned(),
        other => other.to_string(),
    }
}

fn join_filter(filter: &JoinFilter) -> String {
    filter.expression().to_string()
}
