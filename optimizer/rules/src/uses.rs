//! What a plan asks of its tables: an optimised logical plan as [`TableUse`]s.
//!
//! Each operator's output columns are traced to the table's columns that they are, as far as nothing is computed of them. Then
//!
//! - conjuncts of filters, at the scan or above it, make their column *equal* (`=`, IN, IS NULL with a constant) or *ranged*;
//! - the keys of joins make theirs *joined*, on both sides, semi-joins included;
//! - the keys of a sort that lies above its scan with nothing but filters and projections between make theirs *ordered*.
//!
//! Constants are literals and parameters. A table of the system, of the session or of a function is no table of the catalog's, and
//! is left out.

use std::collections::HashMap;

use aion_catalog::descriptor::{ColumnId, TableDescriptor};
use aion_catalog::objects::Catalog;
use aion_optimizer_core::workload::TableUse;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result, TableReference};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, TableScan};

/// The uses of the catalog's tables in a plan. Names without a schema are looked up along `search_path`.
///
/// # Errors
/// When the plan cannot be walked.
pub fn uses(plan: &LogicalPlan, catalog: &Catalog, search_path: &[String]) -> Result<Vec<TableUse>> {
    let tables = catalog.tables().map(|table| {
        let name = (table.schema.as_str(), table.name.as_str());
        (name, table.as_ref())
    });
    let mut tracer = Tracer {
        tables: tables.collect(),
        search_path,
        uses: Vec::new(),
    };
    tracer.trace(plan)?;
    Ok(tracer.uses)
}

/// The column of a use that an output column is.
#[derive(Clone, Copy, Debug)]
struct Origin {
    usage: usize,
    column: ColumnId,
}

/// An operator's output.
#[derive(Debug, Default)]
struct Output {
    /// By position; None for what is computed.
    origins: Vec<Option<Origin>>,
    /// The rows come in the order in which the one scan below gives them.
    is_in_order: bool,
}

struct Tracer<'a> {
    tables: HashMap<(&'a str, &'a str), &'a TableDescriptor>,
    search_path: &'a [String],
    uses: Vec<TableUse>,
}

impl Tracer<'_> {
    fn trace(&mut self, plan: &LogicalPlan) -> Result<Output> {
        self.trace_subqueries(plan)?;
        let width = plan.schema().fields().len();
        match plan {
            LogicalPlan::TableScan(scan) => Ok(self.scan(scan)),
            LogicalPlan::SubqueryAlias(alias) => self.trace(&alias.input),
            LogicalPlan::Limit(limit) => self.trace(&limit.input),
            LogicalPlan::Filter(filter) => {
                let output = self.trace(&filter.input)?;
                let find = |column: &Column| origin(column, &filter.input, &output);
                self.conjuncts(split_conjunction(&filter.predicate), &find);
                Ok(output)
            }
            LogicalPlan::Sort(sort) => {
                let output = self.trace(&sort.input)?;
                if output.is_in_order {
                    let keys = sort.expr.iter().map_while(|key| {
                        let column = as_column(&key.expr)?;
                        Some((origin(column, &sort.input, &output)?, key.asc))
                    });
                    self.ordered(keys.collect());
                }
                Ok(output)
            }
            LogicalPlan::Projection(projection) => {
                let output = self.trace(&projection.input)?;
                let origins = projection.expr.iter().map(|expr| {
                    let column = as_column(expr)?;
                    origin(column, &projection.input, &output)
                });
                Ok(Output {
                    origins: origins.collect(),
                    is_in_order: output.is_in_order,
                })
            }
            LogicalPlan::Join(join) => {
                let (left, right) = (self.trace(&join.left)?, self.trace(&join.right)?);
                for (one, two) in &join.on {
                    let one = as_column(one).and_then(|column| origin(column, &join.left, &left));
                    let two = as_column(two).and_then(|column| origin(column, &join.right, &right));
                    for origin in [one, two].into_iter().flatten() {
                        add(&mut self.uses[origin.usage].joined, origin.column);
                    }
                }
                let mut origins = match join.join_type {
                    JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.origins,
                    JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.origins,
                    _ => left.origins.into_iter().chain(right.origins).collect(),
                };
                // A mark is computed.
                origins.resize(width, None);
                Ok(Output {
                    origins,
                    is_in_order: false,
                })
            }
            LogicalPlan::Aggregate(aggregate) => {
                let output = self.trace(&aggregate.input)?;
                let groups = aggregate.group_expr.iter().map(|expr| {
                    let column = as_column(expr)?;
                    origin(column, &aggregate.input, &output)
                });
                let mut origins: Vec<_> = groups.collect();
                origins.resize(width, None);
                Ok(Output {
                    origins,
                    is_in_order: false,
                })
            }
            other => {
                for input in other.inputs() {
                    self.trace(input)?;
                }
                Ok(Output {
                    origins: vec![None; width],
                    is_in_order: false,
                })
            }
        }
    }

    /// Subqueries that stand in expressions.
    fn trace_subqueries(&mut self, plan: &LogicalPlan) -> Result<()> {
        let mut inner = Vec::new();
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::ScalarSubquery(subquery) => inner.push(subquery.subquery.clone()),
                    Expr::Exists(exists) => inner.push(exists.subquery.subquery.clone()),
                    Expr::InSubquery(within) => inner.push(within.subquery.subquery.clone()),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        for plan in inner {
            self.trace(&plan)?;
        }
        Ok(())
    }

    fn scan(&mut self, scan: &TableScan) -> Output {
        let width = scan.projected_schema.fields().len();
        let table = match &scan.table_name {
            TableReference::Bare { table } => {
                let path = self.search_path.iter().map(String::as_str);
                path.filter_map(|schema| self.tables.get(&(schema, table.as_ref())))
                    .next()
            }
            TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
                self.tables.get(&(schema.as_ref(), table.as_ref()))
            }
        };
        let Some(&table) = table else {
            return Output {
                origins: vec![None; width],
                is_in_order: false,
            };
        };
        let usage = self.uses.len();
        self.uses.push(TableUse {
            table: table.id,
            ..TableUse::default()
        });
        let by_name = |name: &str| {
            let column = table.columns.iter().find(|column| column.name == name)?;
            Some(Origin {
                usage,
                column: column.id,
            })
        };
        let fields = scan.projected_schema.fields().iter();
        let origins: Vec<_> = fields.map(|field| by_name(field.name())).collect();
        for origin in origins.iter().flatten() {
            add(&mut self.uses[usage].needed, origin.column);
        }
        let conjuncts = scan.filters.iter().flat_map(split_conjunction).collect();
        self.conjuncts(conjuncts, &|column| by_name(&column.name));
        Output {
            origins,
            is_in_order: scan.fetch.is_none(),
        }
    }

    fn conjuncts(&mut self, conjuncts: Vec<&Expr>, find: &dyn Fn(&Column) -> Option<Origin>) {
        for conjunct in conjuncts {
            for column in conjunct.column_refs() {
                if let Some(origin) = find(column) {
                    add(&mut self.uses[origin.usage].needed, origin.column);
                }
            }
            let Some((column, is_equal)) = compared(conjunct) else {
                continue;
            };
            let Some(origin) = find(column) else {
                continue;
            };
            let usage = &mut self.uses[origin.usage];
            match is_equal {
                true => add(&mut usage.equal, origin.column),
                false => add(&mut usage.ranged, origin.column),
            }
        }
    }

    /// Takes the first sort keys of one use in one direction.
    fn ordered(&mut self, keys: Vec<(Origin, bool)>) {
        let Some(&(first, is_ascending)) = keys.first() else {
            return;
        };
        let usage = &mut self.uses[first.usage];
        if !usage.ordered.is_empty() {
            return;
        }
        let same = keys
            .iter()
            .take_while(|(origin, asc)| origin.usage == first.usage && *asc == is_ascending);
        for (origin, _) in same {
            add(&mut usage.ordered, origin.column);
        }
    }
}

fn add(columns: &mut Vec<ColumnId>, column: ColumnId) {
    if !columns.contains(&column) {
        columns.push(column);
    }
}

fn origin(column: &Column, input: &LogicalPlan, output: &Output) -> Option<Origin> {
    let at = input.schema().index_of_column(column).ok()?;
    output.origins.get(at).copied().flatten()
}

/// The column that an expression is, through aliases and casts.
fn as_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => as_column(&alias.expr),
        Expr::Cast(cast) => as_column(&cast.expr),
        _ => None,
    }
}

/// The column that a conjunct compares with a constant, and whether for equality.
fn compared(conjunct: &Expr) -> Option<(&Column, bool)> {
    match conjunct {
        Expr::BinaryExpr(binary) => {
            let column = match (as_column(&binary.left), as_column(&binary.right)) {
                (Some(column), None) if is_constant(&binary.right) => column,
                (None, Some(column)) if is_constant(&binary.left) => column,
                _ => return None,
            };
            match binary.op {
                Operator::Eq | Operator::IsNotDistinctFrom => Some((column, true)),
                Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => Some((column, false)),
                _ => None,
            }
        }
        Expr::InList(list) if !list.negated && list.list.iter().all(is_constant) => {
            Some((as_column(&list.expr)?, true))
        }
        Expr::Between(between) if !between.negated && is_constant(&between.low) && is_constant(&between.high) => {
            Some((as_column(&between.expr)?, false))
        }
        Expr::IsNull(inner) => Some((as_column(inner)?, true)),
        _ => None,
    }
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Cast(cast) => is_constant(&cast.expr),
        _ => false,
    }
}
