//! Whether a query's answer is the same each time that it is asked of the same rows.
//!
//! It is not where a function is volatile, and where a LIMIT takes rows in no *total* order: then two plans may both be right and
//! give other rows. An order is total when its keys tell all rows of the input apart:
//!
//! - A table is *determined* when its primary key lies in the sort keys, or each column of it is equal to a constant or to a column of a
//!   determined table.
//! - The order is total when all tables that rows are joined of are determined; those within semi-joins add no rows. Of an aggregate,
//!   when its sort keys hold all groups.
//!
//! What is not understood is taken as not total: then the query is left out of rehearsals, and said to be.

use std::collections::HashSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, JoinType, TableReference};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, SortExpr};

use aion_catalog::objects::Catalog;

/// Why two executions over the same rows may differ; None where they cannot.
pub fn why_unstable(plan: &LogicalPlan, catalog: &Catalog) -> Option<&'static str> {
    let mut why = None;
    let walked = plan.apply_with_subqueries(|plan| {
        why = match plan {
            LogicalPlan::Limit(limit) if !is_total(&limit.input, catalog) => {
                Some("its LIMIT takes rows in no total order")
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_some() && !is_sorted_totally(&sort.expr, &sort.input, catalog) => {
                Some("its LIMIT takes rows in no total order")
            }
            plan if plan.expressions().iter().any(Expr::is_volatile) => Some("it calls a volatile function"),
            _ => None,
        };
        Ok(match why {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    });
    match walked {
        Ok(_) => why,
        Err(_) => Some("its plan could not be walked"),
    }
}

/// Whether the rows of an answer come in a total order, so that the order is part of the answer.
pub fn is_ordered_totally(plan: &LogicalPlan, catalog: &Catalog) -> bool {
    is_total(plan, catalog)
}

/// Whether the rows of a plan come in a total order; one row always does.
fn is_total(plan: &LogicalPlan, catalog: &Catalog) -> bool {
    match plan {
        LogicalPlan::Sort(sort) => is_sorted_totally(&sort.expr, &sort.input, catalog),
        LogicalPlan::Projection(projection) => is_total(&projection.input, catalog),
        LogicalPlan::SubqueryAlias(alias) => is_total(&alias.input, catalog),
        LogicalPlan::Limit(limit) => is_total(&limit.input, catalog),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

fn is_sorted_totally(keys: &[SortExpr], input: &LogicalPlan, catalog: &Catalog) -> bool {
    let mut facts = Facts::default();
    let keys = keys.iter().filter_map(|key| match &key.expr {
        Expr::Column(column) => Some(column.clone()),
        _ => None,
    });
    facts.known = keys.collect();
    facts.read(input, catalog) && facts.determine()
}

/// What is known of the columns below a sort.
#[derive(Default)]
struct Facts {
    /// Columns whose value a row's place in the order fixes.
    known: HashSet<Column>,
    /// Pairs that are equal in each row.
    equal: Vec<(Column, Column)>,
    /// The primary keys of the tables that rows are joined of.
    keys: Vec<Vec<Column>>,
    /// What columns are named by, so far. A name that stands for two things is not understood.
    relations: HashSet<TableReference>,
    unqualified: HashSet<String>,
}

impl Facts {
    /// Reads a plan; false where something in it is not understood.
    fn read(&mut self, plan: &LogicalPlan, catalog: &Catalog) -> bool {
        match plan {
            LogicalPlan::TableScan(scan) if !self.relations.insert(scan.table_name.clone()) => false,
            LogicalPlan::SubqueryAlias(alias) if !self.relations.insert(alias.alias.clone()) => false,
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.table();
                let schema = scan.table_name.schema();
                let table = catalog
                    .tables()
                    .find(|table| table.name == name && schema.is_none_or(|schema| table.schema == schema));
                let Some(table) = table.filter(|table| !table.primary_key.is_empty()) else {
                    return false;
                };
                let column = |name: &str| Column::new(Some(scan.table_name.clone()), name);
                let key = table.primary_key_positions();
                self.keys
                    .push(key.into_iter().map(|at| column(&table.columns[at].name)).collect());
                self.conjuncts(scan.filters.iter().flat_map(split_conjunction));
                true
            }
            LogicalPlan::Filter(filter) => {
                self.conjuncts(split_conjunction(&filter.predicate).into_iter());
                self.read(&filter.input, catalog)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                // The columns are the same by another name.
                let inner = alias.input.schema().columns();
                self.equal.extend(alias.schema.columns().into_iter().zip(inner));
                self.read(&alias.input, catalog)
            }
            LogicalPlan::Projection(projection) => {
                for (outer, expr) in projection.schema.columns().into_iter().zip(&projection.expr) {
                    let expr = match expr {
                        Expr::Alias(alias) => alias.expr.as_ref(),
                        expr => expr,
                    };
                    if outer.relation.is_none() && !self.unqualified.insert(outer.name.clone()) {
                        return false;
                    }
                    if let Expr::Column(inner) = expr
                        && *inner != outer
                    {
                        self.equal.push((outer, inner.clone()));
                    }
                }
                self.read(&projection.input, catalog)
            }
            LogicalPlan::Join(join) => match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => self.read(&join.left, catalog),
                JoinType::RightSemi | JoinType::RightAnti => self.read(&join.right, catalog),
                JoinType::Inner => {
                    for pair in &join.on {
                        if let (Expr::Column(one), Expr::Column(two)) = pair {
                            self.equal.push((one.clone(), two.clone()));
                        }
                    }
                    self.read(&join.left, catalog) && self.read(&join.right, catalog)
                }
                _ => false,
            },
            LogicalPlan::Aggregate(aggregate) => {
                // A row for each group: its columns are the key.
                let groups = aggregate.schema.columns().into_iter().take(aggregate.group_expr.len());
                self.keys.push(groups.collect());
                true
            }
            _ => false,
        }
    }

    fn conjuncts<'e>(&mut self, conjuncts: impl Iterator<Item = &'e Expr>) {
        for conjunct in conjuncts {
            let Expr::BinaryExpr(binary) = conjunct else {
                continue;
            };
            if binary.op != Operator::Eq {
                continue;
            }
            match (binary.left.as_ref(), binary.right.as_ref()) {
                (Expr::Column(one), Expr::Column(two)) => self.equal.push((one.clone(), two.clone())),
                (Expr::Column(column), Expr::Literal(..) | Expr::Placeholder(_))
                | (Expr::Literal(..) | Expr::Placeholder(_), Expr::Column(column)) => {
                    self.known.insert(column.clone());
                }
                _ => {}
            }
        }
    }

    /// Whether all tables are determined in the end.
    fn determine(mut self) -> bool {
        loop {
            let before = (self.known.len(), self.keys.len());
            for (one, two) in &self.equal {
                if self.known.contains(one) {
                    self.known.insert(two.clone());
                }
                if self.known.contains(two) {
                    self.known.insert(one.clone());
                }
            }
            let mut fixed = Vec::new();
            let known = &self.known;
            self.keys.retain(|key| {
                let is_open = !key.iter().all(|column| known.contains(column));
                if !is_open {
                    fixed.extend(key.iter().filter_map(|column| column.relation.clone()));
                }
                is_open
            });
            // All columns of a table whose row is fixed are known.
            let of_fixed = |column: &&Column| {
                column
                    .relation
                    .as_ref()
                    .is_some_and(|relation| fixed.contains(relation))
            };
            let more: Vec<Column> = self
                .equal
                .iter()
                .flat_map(|(one, two)| [one, two])
                .filter(of_fixed)
                .cloned()
                .collect();
            self.known.extend(more);
            if before == (self.known.len(), self.keys.len()) {
                return self.keys.is_empty();
            }
        }
    }
}
