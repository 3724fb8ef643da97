//! The indexes that could serve a workload.
//!
//! For each use of a table (after Chaudhuri and Narasayya 1997, syntactically relevant indexes; Valentin et al. 2000 for the order of
//! columns):
//!
//! 1. each column that is equal, ranged over, joined or first in the order, alone;
//! 2. pairs: an equal column and another equal one, one that is ranged over, joined, or the first of the order; the first two of the order;
//!    a joined column before one that is equal or ranged over;
//! 3. *covering*: each of these followed by what else is needed, while that makes at most [`COLUMNS_MAX`] columns.
//!
//! What an existing index begins with is no candidate. Candidates come in a fixed order, so that the same workload gives the same ones.

use std::collections::BTreeSet;

use aion_catalog::descriptor::ColumnId;

use crate::workload::{IndexDesign, TableUse, Template};

/// Columns of a candidate at most.
pub const COLUMNS_MAX: usize = 4;

/// All candidates for a workload.
pub fn candidates(workload: &[Template], existing: &[IndexDesign]) -> Vec<IndexDesign> {
    let mut found = BTreeSet::new();
    for usage in workload.iter().flat_map(|template| &template.uses) {
        of_use(usage, &mut found);
    }
    let is_new = |candidate: &IndexDesign| !existing.iter().any(|there| there.begins_with(candidate));
    found.into_iter().filter(is_new).collect()
}

fn of_use(usage: &TableUse, found: &mut BTreeSet<IndexDesign>) {
    let first_ordered = usage.ordered.first();
    let mut designs: Vec<Vec<ColumnId>> = Vec::new();
    let leading = usage
        .equal
        .iter()
        .chain(&usage.ranged)
        .chain(&usage.joined)
        .chain(first_ordered);
    designs.extend(leading.map(|&column| vec![column]));
    let second = usage
        .equal
        .iter()
        .chain(&usage.ranged)
        .chain(&usage.joined)
        .chain(first_ordered);
    for &first in &usage.equal {
        designs.extend(second.clone().map(|&second| vec![first, second]));
    }
    for &first in &usage.joined {
        let filtered = usage.equal.iter().chain(&usage.ranged);
        designs.extend(filtered.map(|&second| vec![first, second]));
    }
    designs.extend(usage.ordered.get(..2).map(<[_]>::to_vec));
    for columns in designs {
        if has_double(&columns) {
            continue;
        }
        let rest = usage.needed.iter().filter(|column| !columns.contains(column));
        let covering: Vec<ColumnId> = columns.iter().chain(rest).copied().collect();
        if covering.len() > columns.len() && covering.len() <= COLUMNS_MAX {
            found.insert(IndexDesign {
                table: usage.table,
                columns: covering,
            });
        }
        found.insert(IndexDesign {
            table: usage.table,
            columns,
        });
    }
}

fn has_double(columns: &[ColumnId]) -> bool {
    let mut seen = BTreeSet::new();
    !columns.iter().all(|column| seen.insert(column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aion_base::id::TableId;

    fn columns(ids: &[u32]) -> Vec<ColumnId> {
        ids.iter().copied().map(ColumnId).collect()
    }

    fn shown(candidates: &[IndexDesign]) -> Vec<Vec<u32>> {
        let ids = |design: &IndexDesign| design.columns.iter().map(|column| column.0).collect();
        candidates.iter().map(ids).collect()
    }

    fn template(usage: TableUse) -> Template {
        Template {
            queryid: 1,
            calls: 1,
            uses: vec![usage],
        }
    }

    #[test]
    fn a_filter_and_an_order_give_their_columns_pairs_and_covering_ones() {
        let usage = TableUse {
            table: TableId(7),
            equal: columns(&[1]),
            ranged: columns(&[2]),
            ordered: columns(&[3]),
            needed: columns(&[1, 2, 3]),
            ..TableUse::default()
        };
        let found = candidates(&[template(usage)], &[]);
        let wanted: &[&[u32]] = &[
            &[1],
            &[1, 2],
            &[1, 2, 3],
            &[1, 3],
            &[1, 3, 2],
            &[2],
            &[2, 1, 3],
            &[3],
            &[3, 1, 2],
        ];
        assert_eq!(shown(&found), wanted);
    }

    #[test]
    fn what_an_index_serves_already_is_left_out() {
        let usage = TableUse {
            table: TableId(7),
            equal: columns(&[1]),
            joined: columns(&[2]),
            needed: columns(&[1, 2, 3, 4, 5]),
            ..TableUse::default()
        };
        let existing = [IndexDesign {
            table: TableId(7),
            columns: columns(&[1, 2]),
        }];
        // Five columns are too many to be covered.
        let wanted: &[&[u32]] = &[&[2], &[2, 1]];
        assert_eq!(shown(&candidates(&[template(usage)], &existing)), wanted);
    }

    #[test]
    fn nothing_asked_gives_nothing() {
        let usage = TableUse {
            table: TableId(7),
            needed: columns(&[1]),
            ..TableUse::default()
        };
        assert!(candidates(&[template(usage)], &[]).is_empty());
    }
}
