//! DataFusion's `eliminate_join`, where it is right.
//!
//! It makes semi-joins of joins whose duplicates do not matter, as `semi_join` does, and does not look at what is volatile: of
//! `SELECT DISTINCT r FROM (SELECT random() AS r FROM a JOIN b ...)` it makes a semi-join of `a` and `b`, which gives fewer
//! random numbers. Plans with something volatile in them go past it. The setting that switches off ours does so with it, for it is
//! the same rule, and a comparison of answers needs plans without either.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::is_reduction_on;

/// The name of DataFusion's rule.
pub(super) const ELIMINATE_JOIN: &str = "eliminate_join";

/// See the module's header.
#[derive(Debug)]
pub(super) struct GuardedEliminateJoin {
    rule: Arc<dyn OptimizerRule + Send + Sync>,
}

impl GuardedEliminateJoin {
    pub fn new(rule: Arc<dyn OptimizerRule + Send + Sync>) -> Self {
        Self { rule }
    }
}

impl OptimizerRule for GuardedEliminateJoin {
    fn name(&self) -> &str {
        ELIMINATE_JOIN
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !is_reduction_on(config) || has_volatile(&plan)? {
            return Ok(Transformed::no(plan));
        }
        self.rule.rewrite(plan, config)
    }
}

fn has_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut is_found = false;
    plan.apply_with_subqueries(|node| {
        is_found |= node.expressions().iter().any(|expr| expr.is_volatile());
        Ok(match is_found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(is_found)
}
