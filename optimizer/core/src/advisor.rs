//! Which indexes to propose: those whose estimated gain over the workload is worth their size.
//!
//! Greedy, after Extend (Schlosser, Kossmann, Boissier 2019):
//!
//! 1. Price each template without any candidate.
//! 2. In each step, price what each candidate would add to what was chosen so far; a candidate that begins with a chosen index may
//!    also take its place. The step with the most gain per added byte is made, if the whole workload gains at least
//!    [`Limits::gain_min`] by it. (DB2Advis, which never replaces, keeps one column where two are ten times as good.)
//! 3. Stop when no step does that, or within the limits can.
//! 4. Of what was chosen, take out whatever the others have made useless, and price each alone: that is its estimated speed-up, and
//!    the order of the proposals.
//!
//! Planning is what takes the time: each candidate is first priced alone, for the statements that it could serve; from then on only
//! for those that it made cheaper, with those of the chosen that could serve them, and each such set once. One that alone helps no
//! statement is dropped: what it might do together with others is not looked for.
//!
//! What a candidate costs writers is not weighed here: it is measured when the proposal is rehearsed.
//!
//! The gain of an estimate is not a gain: it decides what is tried first, and nothing else.

use std::collections::HashMap;

use aion_base::Result;

use crate::workload::{IndexDesign, Template};

/// Plans statements as if indexes were there.
pub trait WhatIf {
    /// What one execution of a template of the workload is estimated to cost with these indexes beside those that are there. The
    /// unit is the same in all answers.
    ///
    /// # Errors
    /// When the statement can no longer be planned.
    fn cost(&mut self, template: usize, indexes: &[IndexDesign]) -> Result<f64>;

    /// How large an index would be.
    ///
    /// # Errors
    /// When its table is gone.
    fn size_bytes(&mut self, index: &IndexDesign) -> Result<u64>;
}

/// How much may be proposed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// All proposals together.
    pub size_bytes_max: u64,
    /// Proposals at most.
    pub proposals_max: usize,
    /// The part of the workload's cost that a proposal must save, 0 to 1.
    pub gain_min: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size_bytes_max: 1 << 30,
            proposals_max: 8,
            gain_min: 0.01,
        }
    }
}

/// An index that is estimated to pay.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What to create.
    pub index: IndexDesign,
    /// How large it would be.
    pub size_bytes: u64,
    /// The workload's cost without any proposal, over that with this one alone.
    pub estimated_speedup: f64,
    /// The templates that it alone makes cheaper.
    pub queryids: Vec<i64>,
}

/// The proposals for a workload, the most worthwhile first.
///
/// # Errors
/// Those of the planner.
pub fn advise(
    workload: &[Template],
    candidates: &[IndexDesign],
    limits: &Limits,
    what_if: &mut dyn WhatIf,
) -> Result<Vec<Proposal>> {
    let mut search = Search::new(workload, what_if)?;
    let mut helping = Vec::new();
    for candidate in candidates {
        helping.extend(search.alone(candidate)?);
    }
    while let Some(step) = search.best_step(&helping, limits)? {
        search.make(step);
    }
    search.take_out_useless(limits)?;
    search.proposals()
}

/// An index design, what it would take, and the templates that it makes cheaper alone.
#[derive(Clone, Debug)]
struct Sized {
    index: IndexDesign,
    size_bytes: u64,
    helps: Vec<usize>,
}

/// What was chosen after a step, and what each template costs then.
struct Step {
    chosen: Vec<Sized>,
    costs: Vec<f64>,
    /// Gain per byte.
    worth: f64,
}

struct Search<'a> {
    workload: &'a [Template],
    what_if: &'a mut dyn WhatIf,
    /// What was priced already, by template and indexes in their order.
    priced: HashMap<(usize, Vec<IndexDesign>), f64>,
    /// Of one execution of each template, without any candidate.
    plain: Vec<f64>,
    chosen: Vec<Sized>,
    /// Of one execution of each template, with what was chosen.
    costs: Vec<f64>,
}

impl<'a> Search<'a> {
    fn new(workload: &'a [Template], what_if: &'a mut dyn WhatIf) -> Result<Self> {
        let mut plain = Vec::with_capacity(workload.len());
        for at in 0..workload.len() {
            plain.push(what_if.cost(at, &[])?);
        }
        Ok(Self {
            workload,
            what_if,
            priced: HashMap::new(),
            chosen: Vec::new(),
            costs: plain.clone(),
            plain,
        })
    }

    /// A candidate that helps a template alone; None for any other.
    fn alone(&mut self, candidate: &IndexDesign) -> Result<Option<Sized>> {
        let mut helps = Vec::new();
        for (at, template) in self.workload.iter().enumerate() {
            if template.uses.iter().any(|usage| usage.could_use(candidate))
                && self.cost(at, vec![candidate.clone()])? < self.plain[at]
            {
                helps.push(at);
            }
        }
        if helps.is_empty() {
            return Ok(None);
        }
        Ok(Some(Sized {
            size_bytes: self.what_if.size_bytes(candidate)?.max(1),
            index: candidate.clone(),
            helps,
        }))
    }

    /// What a template costs with these indexes; each set is planned once.
    fn cost(&mut self, template: usize, mut indexes: Vec<IndexDesign>) -> Result<f64> {
        indexes.sort_unstable();
        let key = (template, indexes);
        if let Some(&known) = self.priced.get(&key) {
            return Ok(known);
        }
        let cost = self.what_if.cost(template, &key.1)?;
        self.priced.insert(key, cost);
        Ok(cost)
    }

    fn best_step(&mut self, candidates: &[Sized], limits: &Limits) -> Result<Option<Step>> {
        let mut best: Option<Step> = None;
        for candidate in candidates {
            let extended = (0..self.chosen.len()).filter(|&at| {
                let there = &self.chosen[at].index;
                *there != candidate.index && candidate.index.begins_with(there)
            });
            let replaced: Vec<Option<usize>> = extended.map(Some).chain([None]).collect();
            for replaced in replaced {
                let Some(step) = self.step(candidate, replaced, limits)? else {
                    continue;
                };
                if best.as_ref().is_none_or(|best| step.worth > best.worth) {
                    best = Some(step);
                }
            }
        }
        Ok(best)
    }

    /// What comes of adding a candidate, in the place of a chosen one or beside them; None where it may not be or is not worth it.
    fn step(&mut self, candidate: &Sized, replaced: Option<usize>, limits: &Limits) -> Result<Option<Step>> {
        if self.chosen.iter().any(|there| there.index == candidate.index) {
            return Ok(None);
        }
        let size = |chosen: &[Sized]| chosen.iter().map(|one| one.size_bytes).sum::<u64>();
        let mut chosen = self.chosen.clone();
        let mut changed = candidate.helps.clone();
        match replaced {
            Some(at) => {
                changed.extend(&chosen[at].helps);
                chosen[at] = candidate.clone();
            }
            None => chosen.push(candidate.clone()),
        }
        if chosen.len() > limits.proposals_max || size(&chosen) > limits.size_bytes_max {
            return Ok(None);
        }
        let costs = self.price(&chosen, &changed, &self.costs.clone())?;
        let total = sum(self.workload, &self.costs);
        let gain = total - sum(self.workload, &costs);
        if gain <= 0.0 || gain < total * limits.gain_min {
            return Ok(None);
        }
        let added = size(&chosen).saturating_sub(size(&self.chosen)).max(1);
        Ok(Some(Step {
            chosen,
            costs,
            worth: gain / added as f64,
        }))
    }

    fn make(&mut self, step: Step) {
        self.chosen = step.chosen;
        self.costs = step.costs;
    }

    /// The costs with these indexes, which are those of `before` but for the templates at `changed`.
    fn price(&mut self, chosen: &[Sized], changed: &[usize], before: &[f64]) -> Result<Vec<f64>> {
        let mut costs = before.to_vec();
        for &at in changed {
            let uses = &self.workload[at].uses;
            let of_template = chosen
                .iter()
                .filter(|one| uses.iter().any(|usage| usage.could_use(&one.index)));
            let indexes = of_template.map(|one| one.index.clone()).collect();
            costs[at] = self.cost(at, indexes)?;
        }
        Ok(costs)
    }

    /// Takes out what the workload is hardly cheaper for.
    fn take_out_useless(&mut self, limits: &Limits) -> Result<()> {
        let mut at = 0;
        while at < self.chosen.len() {
            let mut without = self.chosen.clone();
            let removed = without.remove(at);
            let costs = self.price(&without, &removed.helps, &self.costs.clone())?;
            let total = sum(self.workload, &self.costs);
            if sum(self.workload, &costs) - total < total * limits.gain_min {
                self.chosen = without;
                self.costs = costs;
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    /// Each alone, the most worthwhile first.
    fn proposals(mut self) -> Result<Vec<Proposal>> {
        let plain = self.plain.clone();
        let total = sum(self.workload, &plain);
        let mut proposals = Vec::new();
        for one in std::mem::take(&mut self.chosen) {
            let costs = self.price(std::slice::from_ref(&one), &one.helps, &plain)?;
            let each = self.workload.iter().zip(plain.iter().zip(&costs));
            let cheaper = each.filter(|(_, (before, after))| after < before);
            proposals.push(Proposal {
                size_bytes: one.size_bytes,
                estimated_speedup: total / sum(self.workload, &costs).max(f64::MIN_POSITIVE),
                queryids: cheaper.map(|(template, _)| template.queryid).collect(),
                index: one.index,
            });
        }
        proposals.sort_by(|one, two| {
            let by_gain = two.estimated_speedup.total_cmp(&one.estimated_speedup);
            by_gain.then_with(|| one.index.cmp(&two.index))
        });
        Ok(proposals)
    }
}

fn sum(workload: &[Template], costs: &[f64]) -> f64 {
    let each = workload
        .iter()
        .zip(costs)
        .map(|(template, cost)| template.calls as f64 * cost);
    each.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates::candidates;
    use crate::workload::TableUse;
    use aion_base::id::TableId;
    use aion_base::rng::SeededRng;
    use aion_catalog::descriptor::ColumnId;

    const ROWS: f64 = 100_000.0;

    /// A planner with one rule: an index costs a lookup for each row that its leading equal columns leave, one that covers the use
    /// an entry; the cheapest way wins.
    struct Planner<'a> {
        workload: &'a [Template],
        selectivity: f64,
        planned: usize,
    }

    impl Planner<'_> {
        fn use_cost(&self, usage: &TableUse, indexes: &[IndexDesign]) -> f64 {
            let with = |index: &IndexDesign| {
                let leading = index.columns.iter().take_while(|column| usage.equal.contains(column));
                let rows = ROWS * self.selectivity.powi(leading.count() as i32);
                let is_covering = usage.needed.iter().all(|column| index.columns.contains(column));
                rows * if is_covering { 0.6 } else { 4.0 }
            };
            let of_table = indexes.iter().filter(|index| index.table == usage.table);
            of_table.map(with).fold(ROWS, f64::min)
        }
    }

    impl WhatIf for Planner<'_> {
        fn cost(&mut self, template: usize, indexes: &[IndexDesign]) -> Result<f64> {
            self.planned += 1;
            let uses = self.workload[template].uses.iter();
            Ok(uses.map(|usage| self.use_cost(usage, indexes)).sum())
        }

        fn size_bytes(&mut self, index: &IndexDesign) -> Result<u64> {
            Ok(10_000 * index.columns.len() as u64)
        }
    }

    fn columns(ids: &[u32]) -> Vec<ColumnId> {
        ids.iter().copied().map(ColumnId).collect()
    }

    fn template(queryid: i64, calls: u64, table: u32, equal: &[u32], needed: &[u32]) -> Template {
        Template {
            queryid,
            calls,
            uses: vec![TableUse {
                table: TableId(table),
                equal: columns(equal),
                needed: columns(needed),
                ..TableUse::default()
            }],
        }
    }

    fn run(workload: &[Template], limits: &Limits) -> Vec<Proposal> {
        let mut planner = Planner {
            workload,
            selectivity: 0.01,
            planned: 0,
        };
        let candidates = candidates(workload, &[]);
        advise(workload, &candidates, limits, &mut planner).expect("it plans")
    }

    fn shown(proposals: &[Proposal]) -> Vec<Vec<u32>> {
        let ids = |one: &Proposal| one.index.columns.iter().map(|column| column.0).collect();
        proposals.iter().map(ids).collect()
    }

    #[test]
    fn what_is_called_most_comes_first() {
        let workload = [
            template(1, 1, 1, &[1], &[1, 8, 9, 10, 11]),
            template(2, 50, 2, &[5], &[5, 8, 9, 10, 11]),
        ];
        let proposals = run(&workload, &Limits::default());
        assert_eq!(shown(&proposals), [[5], [1]]);
        assert_eq!(proposals[0].queryids, [2]);
        assert!(proposals[0].estimated_speedup > 10.0, "{proposals:?}");
    }

    #[test]
    fn one_index_serves_two_templates() {
        let workload = [
            template(1, 10, 1, &[1], &[1, 8, 9, 10, 11]),
            template(2, 10, 1, &[1, 2], &[1, 2, 9, 10, 11]),
        ];
        // (1, 2) serves both; once it is there, (1) alone is not worth its bytes.
        let proposals = run(&workload, &Limits::default());
        assert!(
            proposals.iter().any(|one| one.index.columns == columns(&[1, 2])),
            "{proposals:?}"
        );
        assert!(
            !proposals.iter().any(|one| one.index.columns == columns(&[1])),
            "{proposals:?}"
        );
    }

    #[test]
    fn limits_hold() {
        let workload: Vec<Template> = (0..20)
            .map(|at| template(i64::from(at), 10, at, &[1], &[1, 8, 9, 10, 11]))
            .collect();
        let few = Limits {
            proposals_max: 3,
            ..Limits::default()
        };
        assert_eq!(run(&workload, &few).len(), 3);
        let small = Limits {
            size_bytes_max: 25_000,
            ..Limits::default()
        };
        assert_eq!(run(&workload, &small).len(), 2);
        let strict = Limits {
            gain_min: 0.2,
            ..Limits::default()
        };
        assert!(run(&workload, &strict).is_empty());
    }

    #[test]
    fn what_helps_nobody_is_not_proposed() {
        // A filter that leaves everything.
        let workload = [template(1, 10, 1, &[1], &[1, 8, 9, 10, 11])];
        let mut planner = Planner {
            workload: &workload,
            selectivity: 1.0,
            planned: 0,
        };
        let candidates = candidates(&workload, &[]);
        let proposals = advise(&workload, &candidates, &Limits::default(), &mut planner).expect("it plans");
        assert!(proposals.is_empty());
        assert!(planner.planned > 1);
        assert!(run(&[], &Limits::default()).is_empty());
    }

    /// The reference: of all sets of at most three candidates, none is more than a tenth better than the greedy one, over random workloads.
    #[test]
    fn greedy_is_near_the_best_of_all_sets() {
        for seed in 0..10 {
            let mut random = SeededRng::new(seed);
            let workload: Vec<Template> = (0..4)
                .map(|at| {
                    let equal: Vec<u32> = (0..=random.below(2)).map(|_| random.below(4) as u32).collect();
                    let needed: Vec<u32> = equal.iter().copied().chain([8, 9, 10, 11]).collect();
                    template(at, 1 + random.below(20), random.below(2) as u32, &equal, &needed)
                })
                .collect();
            let candidates = candidates(&workload, &[]);
            let limits = Limits {
                proposals_max: 3,
                gain_min: 0.0001,
                ..Limits::default()
            };
            let mut planner = Planner {
                workload: &workload,
                selectivity: 0.05,
                planned: 0,
            };
            let chosen = advise(&workload, &candidates, &limits, &mut planner).expect("it plans");
            let chosen: Vec<IndexDesign> = chosen.into_iter().map(|one| one.index).collect();
            let price = |planner: &mut Planner<'_>, indexes: &[IndexDesign]| -> f64 {
                let cost = |at| planner.cost(at, indexes).expect("it plans");
                sum(&workload, &(0..workload.len()).map(cost).collect::<Vec<f64>>())
            };
            let greedy = price(&mut planner, &chosen);
            let mut best = f64::MAX;
            for one in &candidates {
                for two in &candidates {
                    for three in &candidates {
                        best = best.min(price(&mut planner, &[one.clone(), two.clone(), three.clone()]));
                    }
                }
            }
            assert!(greedy <= best * 1.1, "seed {seed}: {greedy} against {best}, {chosen:?}");
        }
    }
}
