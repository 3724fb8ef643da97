//! Inner joins in a row, where duplicates do not matter.
//!
//! **Vocabulary.** A *relation* is an input of the joins that is no inner join itself. A *condition* compares two or more
//! relations; what is said of one relation alone is a filter on it. Two relations that a condition names are *neighbours*.
//!
//! **Reduction**, until nothing changes:
//! 1. A relation R of which nothing is needed and that has one neighbour S goes: S becomes `S LEFT SEMI JOIN R`, for it matters
//!    only whether a row of S has a partner. This is how a tree of joins folds up to the relation that is asked for,
//!    leaf by leaf (Yannakakis 1981).
//! 2. A relation R of which nothing is needed and that all its neighbours compare for equality with one and the same column goes:
//!    one neighbour keeps R as above, and the neighbours are compared with each other.
//! 3. A relation R with one neighbour S, of which nothing but columns is needed that equal columns of S, goes as well once
//!    nothing else does: S's columns stand in for R's. Not for floats: 0 equals -0, and is not the same; and not where one may be
//!    NULL by its schema and the other not.
//!
//! What is left is joined again, in the order it had. If that is more than one relation, each gives a row once (unless its primary
//! key is among what it gives), and so does a join whose columns are not all needed any more: otherwise, walks to the
//! same place would be carried on, one by one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::common::{Column, ExprSchema, JoinConstraint, JoinType, NullEquality, Result, internal_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, Filter, Join, LogicalPlan, Operator, Projection, binary_expr,
};

use super::duplicates::{is_exact, is_plain, unique_columns};
use super::semi_join::{Columns, Reducer, add_columns};

/// See the module's header.
pub(super) struct JoinTree {
    /// None for one that has gone.
    relations: Vec<Option<Relation>>,
    conditions: Vec<Condition>,
    /// What stands in for columns of relations that have gone.
    replaced: HashMap<Column, Column>,
}

struct Relation {
    plan: LogicalPlan,
    columns: Columns,
}

#[derive(Clone)]
struct Condition {
    expr: Expr,
    relations: BTreeSet<usize>,
}

impl JoinTree {
    /// The joins from this one down; None if they cannot be taken apart.
    pub fn of(join: &Join) -> Result<Option<Self>> {
        let mut tree = Self {
            relations: Vec::new(),
            conditions: Vec::new(),
            replaced: HashMap::new(),
        };
        let mut conditions = Vec::new();
        tree.take_apart(&LogicalPlan::Join(join.clone()), &mut conditions);
        // Two relations may have a column of one name, where a projection between the joins hid one.
        let names = tree
            .relations
            .iter()
            .flatten()
            .map(|relation| relation.columns.len())
            .sum::<usize>();
        let distinct: Columns = tree
            .relations
            .iter()
            .flatten()
            .flat_map(|relation| relation.columns.iter().cloned())
            .collect();
        if distinct.len() != names {
            return Ok(None);
        }
        for expr in conditions {
            if !tree.add(expr)? {
                return Ok(None);
            }
        }
        Ok(Some(tree))
    }

    fn take_apart(&mut self, plan: &LogicalPlan, conditions: &mut Vec<Expr>) {
        match plan {
            LogicalPlan::Join(join)
                if join.join_type == JoinType::Inner
                    && join.null_equality == NullEquality::NullEqualsNothing
                    && join.on.iter().all(|(left, right)| is_plain(left) && is_plain(right))
                    && join.filter.iter().all(is_plain) =>
            {
                self.take_apart(&join.left, conditions);
                self.take_apart(&join.right, conditions);
                let equal = |(left, right): &(Expr, Expr)| binary_expr(left.clone(), Operator::Eq, right.clone());
                conditions.extend(join.on.iter().map(equal));
                conditions.extend(join.filter.iter().flat_map(split_conjunction).cloned());
            }
            LogicalPlan::Projection(projection)
                if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_)))
                    && is_of_joins(&projection.input) =>
            {
                self.take_apart(&projection.input, conditions);
            }
            LogicalPlan::Filter(filter) if is_plain(&filter.predicate) && is_of_joins(&filter.input) => {
                self.take_apart(&filter.input, conditions);
                conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned());
            }
            other => self.relations.push(Some(Relation {
                plan: other.clone(),
                columns: other.schema().columns().into_iter().collect(),
            })),
        }
    }

    /// Adds a condition, or a filter on the only relation that it names; false for one that cannot be placed.
    fn add(&mut self, expr: Expr) -> Result<bool> {
        let mut relations = BTreeSet::new();
        for column in expr.column_refs() {
            let Some(at) = self.relation_of(column) else {
                return Ok(false);
            };
            relations.insert(at);
        }
        match relations.len() {
            0 => return Ok(false),
            1 => {
                for at in relations {
                    if let Some(relation) = &mut self.relations[at] {
                        let input = Arc::new(relation.plan.clone());
                        relation.plan = LogicalPlan::Filter(Filter::try_new(expr.clone(), input)?);
                    }
                }
            }
            _ => self.conditions.push(Condition { expr, relations }),
        }
        Ok(true)
    }

    fn relation_of(&self, column: &Column) -> Option<usize> {
        let has = |relation: &Option<Relation>| relation.as_ref().is_some_and(|it| it.columns.contains(column));
        self.relations.iter().position(has)
    }

    /// The relations that are left.
    fn left(&self) -> Vec<usize> {
        (0..self.relations.len())
            .filter(|&at| self.relations[at].is_some())
            .collect()
    }

    fn stand_in(&self, column: &Column) -> Column {
        let mut column = column;
        while let Some(other) = self.replaced.get(column) {
            column = other;
        }
        column.clone()
    }

    /// The columns of a relation that are needed above the joins.
    fn needed_of(&self, at: usize, needed: &Columns) -> Vec<Column> {
        let of_it = needed.iter().map(|column| self.stand_in(column));
        of_it.filter(|column| self.relation_of(column) == Some(at)).collect()
    }

    fn conditions_of(&self, at: usize) -> Vec<Condition> {
        let of_it = self
            .conditions
            .iter()
            .filter(|condition| condition.relations.contains(&at));
        of_it.cloned().collect()
    }

    /// Reduces; false if there was nothing to reduce.
    pub fn reduce(&mut self, needed: &Columns) -> Result<bool> {
        let mut is_changed = false;
        loop {
            let left = self.left();
            let mut has_changed = false;
            for &at in &left {
                if self.needed_of(at, needed).is_empty() && (self.fold(at)? || self.bridge(at)?) {
                    has_changed = true;
                    break;
                }
            }
            let needs_several = left
                .iter()
                .filter(|&&at| !self.needed_of(at, needed).is_empty())
                .count()
                > 1;
            if !has_changed && needs_several {
                for &at in &left {
                    if self.replace(at, needed)? {
                        has_changed = true;
                        break;
                    }
                }
            }
            if !has_changed {
                return Ok(is_changed);
            }
            is_changed = true;
        }
    }

    /// The only neighbour of a relation.
    fn neighbour(&self, at: usize) -> Option<usize> {
        let mut neighbours = BTreeSet::new();
        for condition in self.conditions_of(at) {
            neighbours.extend(condition.relations);
        }
        neighbours.remove(&at);
        match neighbours.len() {
            1 => neighbours.first().copied(),
            _ => None,
        }
    }

    /// Step 1 of the module's header.
    fn fold(&mut self, at: usize) -> Result<bool> {
        let Some(keeper) = self.neighbour(at) else {
            return Ok(false);
        };
        let conditions = self
            .conditions_of(at)
            .into_iter()
            .map(|condition| condition.expr)
            .collect();
        self.semi_join(keeper, at, conditions)?;
        Ok(true)
    }

    /// Step 2 of the module's header.
    fn bridge(&mut self, at: usize) -> Result<bool> {
        let conditions = self.conditions_of(at);
        let mut column = None;
        let mut others = Vec::new();
        for condition in &conditions {
            let Some((own, other)) = self.equality(&condition.expr, at) else {
                return Ok(false);
            };
            if condition.relations.len() != 2 || *column.get_or_insert(own.clone()) != own {
                return Ok(false);
            }
            others.push((condition, other));
        }
        let (Some(column), [(first, other), rest @ ..]) = (column, others.as_slice()) else {
            return Ok(false);
        };
        if rest.is_empty() || !self.is_exact(at, &column) {
            return Ok(false);
        }
        let Some(&keeper) = first.relations.iter().find(|&&relation| relation != at) else {
            return Ok(false);
        };
        let equal: Vec<Expr> = rest
            .iter()
            .map(|(_, another)| binary_expr(other.clone(), Operator::Eq, another.clone()))
            .collect();
        self.semi_join(keeper, at, vec![first.expr.clone()])?;
        for expr in equal {
            if !self.add(expr)? {
                return internal_err!("a condition between relations names none of them");
            }
        }
        Ok(true)
    }

    /// Step 3 of the module's header.
    fn replace(&mut self, at: usize, needed: &Columns) -> Result<bool> {
        let columns = self.needed_of(at, needed);
        if columns.is_empty() || self.neighbour(at).is_none() {
            return Ok(false);
        }
        let mut stand_ins = Vec::new();
        for column in columns {
            let equal =
                self.conditions_of(at)
                    .into_iter()
                    .find_map(|condition| match self.equality(&condition.expr, at) {
                        Some((own, Expr::Column(other))) if own == column => Some(other),
                        _ => None,
                    });
            match equal {
                Some(other) if self.is_exact(at, &column) && self.is_nullable(&column) == self.is_nullable(&other) => {
                    stand_ins.push((column, other));
                }
                _ => return Ok(false),
            }
        }
        self.replaced.extend(stand_ins);
        self.fold(at)
    }

    /// A condition as `column of the relation = something of others`.
    fn equality(&self, expr: &Expr, at: usize) -> Option<(Column, Expr)> {
        let Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) = expr
        else {
            return None;
        };
        let is_own = |column: &Column| self.relation_of(column) == Some(at);
        let has_own = |expr: &Expr| expr.column_refs().into_iter().any(is_own);
        match (&**left, &**right) {
            (Expr::Column(own), other) if is_own(own) && !has_own(other) => Some((own.clone(), other.clone())),
            (other, Expr::Column(own)) if is_own(own) && !has_own(other) => Some((own.clone(), other.clone())),
            _ => None,
        }
    }

    fn is_exact(&self, at: usize, column: &Column) -> bool {
        let relation = self.relations[at].as_ref();
        let field = relation.and_then(|relation| relation.plan.schema().field_from_column(column).ok());
        field.is_some_and(|field| is_exact(field.data_type()))
    }

    /// What the schema says. It must go on saying it, for schemas above are not made anew.
    fn is_nullable(&self, column: &Column) -> Option<bool> {
        let relation = self.relations[self.relation_of(column)?].as_ref()?;
        relation.plan.schema().nullable(column).ok()
    }

    /// `keeper LEFT SEMI JOIN gone`.
    fn semi_join(&mut self, keeper: usize, gone: usize, conditions: Vec<Expr>) -> Result<()> {
        self.conditions.retain(|condition| !condition.relations.contains(&gone));
        let gone = self.relations[gone].take();
        if let (Some(keeper), Some(gone)) = (self.relations[keeper].as_mut(), gone) {
            keeper.plan = join(keeper.plan.clone(), gone.plan, conditions, JoinType::LeftSemi)?;
        }
        Ok(())
    }

    /// The joins of what is left; it gives the needed columns.
    pub fn build(mut self, reducer: &mut Reducer, needed: &Columns) -> Result<LogicalPlan> {
        let wanted: Columns = needed.iter().map(|column| self.stand_in(column)).collect();
        let order = self.left();
        let is_several = order.len() > 1;
        let mut waiting: Vec<usize> = order;
        let mut joined: Option<LogicalPlan> = None;
        let mut placed = BTreeSet::new();
        while !waiting.is_empty() {
            // The next that a condition ties to what is there; a cross join if there is none.
            let is_tied = |at: &usize| {
                self.conditions.iter().any(|condition| {
                    condition.relations.contains(at)
                        && condition
                            .relations
                            .iter()
                            .all(|relation| relation == at || placed.contains(relation))
                })
            };
            let next = waiting.iter().position(is_tied).unwrap_or(0);
            let at = waiting.remove(next);
            let below = self.still_needed(&wanted);
            let Some(relation) = self.relations[at].take() else {
                continue;
            };
            let of_it: Columns = relation.columns.intersection(&below).cloned().collect();
            let mut plan = reducer.visit(relation.plan, Some(&of_it))?;
            if is_several {
                plan = once(plan, &of_it)?;
            }
            placed.insert(at);
            let is_complete = |condition: &Condition| condition.relations.is_subset(&placed);
            let (complete, open): (Vec<_>, Vec<_>) = self.conditions.drain(..).partition(is_complete);
            self.conditions = open;
            joined = Some(match joined {
                None => plan,
                Some(left) => {
                    let conditions = complete.into_iter().map(|condition| condition.expr).collect();
                    let plan = join(left, plan, conditions, JoinType::Inner)?;
                    let later = self.still_needed(&wanted);
                    let columns = plan.schema().columns();
                    let kept: Columns = columns
                        .iter()
                        .filter(|column| later.contains(column))
                        .cloned()
                        .collect();
                    match waiting.is_empty() || kept.len() == columns.len() {
                        true => plan,
                        false => once(plan, &kept)?,
                    }
                }
            });
        }
        let Some(plan) = joined else {
            return internal_err!("joins of nothing");
        };
        if self.replaced.is_empty() {
            return Ok(plan);
        }
        let columns = needed.iter().map(|column| {
            let stand_in = self.stand_in(column);
            match stand_in == *column {
                true => Expr::Column(stand_in),
                false => Expr::Column(stand_in).alias_qualified(column.relation.clone(), column.name.clone()),
            }
        });
        let columns = columns.collect();
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
    }

    /// The columns that the conditions and what is above need.
    fn still_needed(&self, wanted: &Columns) -> Columns {
        let mut columns = wanted.clone();
        for condition in &self.conditions {
            add_columns(&mut columns, &condition.expr);
        }
        columns
    }
}

/// Whether there are inner joins below, with nothing between that has to stay where it is.
fn is_of_joins(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner,
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) && is_of_joins(&projection.input)
        }
        LogicalPlan::Filter(filter) => is_of_joins(&filter.input),
        _ => false,
    }
}

/// Each combination of these columns once.
fn once(plan: LogicalPlan, columns: &Columns) -> Result<LogicalPlan> {
    let is_unique = unique_columns(&plan).is_some_and(|unique| unique.iter().all(|column| columns.contains(column)));
    if is_unique || columns.is_empty() {
        return Ok(plan);
    }
    // In the order of the plan, so that a plan is the same each time.
    let ordered = plan
        .schema()
        .columns()
        .into_iter()
        .filter(|column| columns.contains(column));
    let ordered = ordered.map(Expr::Column).collect();
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(
        Arc::new(plan),
        ordered,
        Vec::new(),
    )?))
}

fn join(left: LogicalPlan, right: LogicalPlan, conditions: Vec<Expr>, join_type: JoinType) -> Result<LogicalPlan> {
    let is_of = |plan: &LogicalPlan, expr: &Expr| {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.into_iter().all(|column| plan.schema().has_column(column))
    };
    let mut on = Vec::new();
    let mut filters = Vec::new();
    for condition in conditions {
        let pair = match &condition {
            Expr::BinaryExpr(BinaryExpr {
                left: one,
                op: Operator::Eq,
                right: other,
            }) => match (
                is_of(&left, one) && is_of(&right, other),
                is_of(&left, other) && is_of(&right, one),
            ) {
                (true, _) => Some(((**one).clone(), (**other).clone())),
                (_, true) => Some(((**other).clone(), (**one).clone())),
                _ => None,
            },
            _ => None,
        };
        match pair {
            Some(pair) => on.push(pair),
            None => filters.push(condition),
        }
    }
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        conjunction(filters),
        join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?))
}
