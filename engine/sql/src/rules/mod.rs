//! Rules for logical plans that DataFusion lacks.
//!
//! They run after DataFusion's own, in each of its passes, and never change what a query answers: with each of them off,
//! every query answers the same. A rule has a setting that switches it off for a session. `guard` keeps one of
//! DataFusion's from changing answers.

mod duplicates;
mod guard;
mod join_tree;
mod semi_join;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::config::ConfigExtension;
use datafusion::common::extensions_options;
use datafusion::optimizer::{Optimizer, OptimizerConfig, OptimizerRule};

pub(crate) use semi_join::SemiJoinReduction;

extensions_options! {
    /// What sessions choose.
    pub(crate) struct RuleOptions {
        /// `aion.semi_join_reduction`
        pub semi_join_reduction: bool, default = true
    }
}

impl ConfigExtension for RuleOptions {
    const PREFIX: &'static str = "aion";
}

/// DataFusion's rules and ours, in the order in which they run.
pub(crate) fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    for rule in &mut rules {
        if rule.name() == guard::ELIMINATE_JOIN {
            *rule = Arc::new(guard::GuardedEliminateJoin::new(rule.clone()));
        }
    }
    rules.push(Arc::new(SemiJoinReduction));
    rules
}

/// Whether a session has the semi-join reduction on.
fn is_reduction_on(config: &dyn OptimizerConfig) -> bool {
    let options = config.options();
    options
        .extensions
        .get::<RuleOptions>()
        .is_none_or(|rules| rules.semi_join_reduction)
}
