//! The optimizer's own thinking, over small types of its own. It links no DataFusion and reads no data: what a plan would cost is
//! asked of whoever can plan, through [`advisor::WhatIf`].
//!
//! - [`workload`]: what statements ask of their tables.
//! - [`candidates`]: the indexes that could serve that.
//! - [`advisor`]: which of them to propose.
//! - [`cardinality`]: how many rows a sub-plan gives, as the planner says, as was seen, and as was learnt.

pub mod advisor;
pub mod candidates;
pub mod cardinality;
pub mod workload;
