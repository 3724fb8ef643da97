//! What follows from the evidence of a rehearsal.
//!
//! In this order, the first that holds:
//!
//! 1. An answer differed: rejected, whatever was gained.
//! 2. Nothing could be compared: rejected.
//! 3. The change costs more than its budget, in bytes, in memory, in bytes of writes or, with its whole interval, in their time: rejected.
//! 4. A statement is slower than [`Budget::slowdown_max`] allows, with its whole interval: rejected. Looked at after each pair, a
//!    statement that is unchanged seems slower now and then; so what only its point says waits for more pairs.
//! 5. The lower bound of the workload's speed-up reaches [`Budget::speedup_min`], no statement may still be slower than allowed
//!    but for chance, and writes do not seem to cost more than their budget: ready.
//! 6. More samples may still decide, and there is time for them: undecided.
//! 7. Rejected: writes cost too much, a statement may be slower, or it was not shown to pay.

use serde::{Deserialize, Serialize};

use crate::statistics::{Pair, Speedup, Stratum, speedup};

/// What a change must show and may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The lower bound of the workload's speed-up must reach this.
    pub speedup_min: f64,
    /// No statement may become slower than this many times its time.
    pub slowdown_max: f64,
    /// Pairs of each statement before anything is decided.
    pub pairs_min: usize,
    /// Pairs of each statement after which what is not shown counts as not so.
    pub pairs_max: usize,
    /// What it may take on disk.
    pub size_bytes_max: u64,
    /// What it may take in memory.
    pub memory_bytes_max: u64,
    /// How much longer inserts into its table may take, in per cent. An index on a table with none but its primary key was measured to add a
    /// half: the row is written anyway, the entry beside it.
    pub write_cost_pct_max: f64,
    /// How many more bytes inserts into its table may put into the log, in per cent of the rows themselves.
    #[serde(default = "write_bytes_pct_max")]
    pub write_bytes_pct_max: f64,
}

/// An index that holds all columns doubles what is written.
fn write_bytes_pct_max() -> f64 {
    100.0
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            speedup_min: 1.10,
            slowdown_max: 1.10,
            pairs_min: 5,
            pairs_max: 20,
            size_bytes_max: 1 << 30,
            memory_bytes_max: 1 << 30,
            write_cost_pct_max: 100.0,
            write_bytes_pct_max: write_bytes_pct_max(),
        }
    }
}

/// What was measured of one statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its identity.
    pub queryid: i64,
    /// How often it was called: its weight.
    pub calls: u64,
    /// Its measured executions.
    pub pairs: Vec<Pair>,
    /// Executions under both arms whose answers were compared, those that were not measured among them.
    pub compared: usize,
    /// Of these, how many were equal.
    pub equal: usize,
    /// Why its answers were not compared, or it was not run.
    pub excluded: Option<String>,
}

/// What a rehearsal measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The workload, the excluded statements among it.
    pub statements: Vec<Measured>,
    /// The same writes under both arms; empty for a change that writes do not feel.
    pub writes: Vec<Pair>,
    /// Bytes of one such write: of the rows themselves, and in the log under the incumbent and under the candidate.
    #[serde(default)]
    pub written_bytes: Option<[u64; 3]>,
    /// On disk.
    pub size_bytes: u64,
    /// In memory, for as long as the change stands.
    pub memory_bytes: u64,
    /// What making it took.
    pub build_ms: f64,
}

/// The figures of a verdict, as the views show them.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Of the workload.
    pub speedup: Option<Speedup>,
    /// The statement with the least speed-up.
    pub worst: Option<(i64, Speedup)>,
    /// How much longer writes take, in per cent, by medians.
    pub write_cost_pct: Option<f64>,
    /// The lower bound of its 95 % interval.
    pub write_cost_least_pct: Option<f64>,
    /// How many more bytes writes put into the log, in per cent of the rows themselves: the indexes that are there make no other one
    /// look cheaper.
    pub write_bytes_pct: Option<f64>,
    /// Pairs in all.
    pub samples: usize,
    /// Whether all answers that were compared were equal.
    pub results_equal: bool,
}

/// What is to be done with the recommendation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It pays.
    Ready,
    /// More pairs are needed.
    Undecided,
    /// It does not, for this reason.
    Rejected(String),
}

impl Evidence {
    /// The figures; `seed` is that of the draws.
    pub fn figures(&self, seed: u64) -> Figures {
        let compared: Vec<&Measured> = self.statements.iter().filter(|one| one.excluded.is_none()).collect();
        let strata: Vec<Stratum> = compared.iter().map(|one| one.stratum()).collect();
        let each = compared
            .iter()
            .zip(&strata)
            .enumerate()
            .filter_map(|(at, (one, stratum))| {
                let alone = speedup(std::slice::from_ref(stratum), seed.wrapping_add(1 + at as u64))?;
                Some((one.queryid, alone))
            });
        let worst = each.min_by(|(_, one), (_, two)| one.point.total_cmp(&two.point));
        let writes = Stratum {
            calls: 1,
            pairs: self.writes.clone(),
        };
        let writes = speedup(&[writes], seed);
        Figures {
            speedup: speedup(&strata, seed),
            worst,
            write_cost_pct: writes.map(|writes| (1.0 / writes.point - 1.0) * 100.0),
            write_cost_least_pct: writes.map(|writes| (1.0 / writes.high - 1.0) * 100.0),
            write_bytes_pct: self
                .written_bytes
                .filter(|[rows, ..]| *rows > 0)
                .map(|[rows, incumbent, candidate]| (candidate as f64 - incumbent as f64) / rows as f64 * 100.0),
            samples: compared.iter().map(|one| one.pairs.len()).sum(),
            results_equal: compared.iter().all(|one| one.equal == one.compared),
        }
    }

    /// The verdict under `budget`; `has_time` says whether more pairs could be run.
    pub fn judge(&self, budget: &Budget, seed: u64, has_time: bool) -> Verdict {
        let figures = self.figures(seed);
        if !figures.results_equal {
            let differ = self.statements.iter().filter(|one| one.excluded.is_none());
            let differ = differ.filter(|one| one.equal < one.compared);
            let differ: Vec<String> = differ.map(|one| one.queryid.to_string()).collect();
            return Verdict::Rejected(format!("answers differ: statements {}", differ.join(", ")));
        }
        let Some(workload) = figures.speedup else {
            return Verdict::Rejected(
                "nothing to compare: no statement that can be rehearsed would run another way".to_owned(),
            );
        };
        let pairs = |one: &Measured| one.excluded.is_none().then_some(one.pairs.len());
        let fewest = self.statements.iter().filter_map(pairs).min().unwrap_or(0);
        if let Some(reason) = self.beyond(budget, &figures) {
            return Verdict::Rejected(reason);
        }
        if fewest < budget.pairs_min {
            return match has_time {
                true => Verdict::Undecided,
                false => Verdict::Rejected(format!(
                    "not shown: {fewest} pairs of a statement, {} are needed",
                    budget.pairs_min
                )),
            };
        }
        // Noise of a busy machine is no cost: only what the whole interval says was rejected above.
        let costly = self.write_cost(budget, figures.write_cost_pct, figures.write_cost_pct);
        let floor = 1.0 / budget.slowdown_max;
        let slower = figures.worst.filter(|(_, worst)| worst.point < floor);
        match slower {
            Some((queryid, worst)) if worst.high < floor => {
                let times = 1.0 / worst.point;
                return Verdict::Rejected(format!("statement {queryid} becomes {times:.2} times slower"));
            }
            None if workload.low >= budget.speedup_min && costly.is_none() => return Verdict::Ready,
            _ => {}
        }
        if has_time && fewest < budget.pairs_max {
            return Verdict::Undecided;
        }
        if let Some(reason) = costly {
            return Verdict::Rejected(reason);
        }
        Verdict::Rejected(match slower {
            Some((queryid, worst)) if workload.low >= budget.speedup_min => {
                format!("statement {queryid} may become {:.2} times slower", 1.0 / worst.point)
            }
            _ => format!(
                "not shown to pay: {:.2}x ({:.2} to {:.2}), at least {:.2} is asked for",
                workload.point, workload.low, workload.high, budget.speedup_min
            ),
        })
    }

    /// What it costs too much of.
    fn beyond(&self, budget: &Budget, figures: &Figures) -> Option<String> {
        if self.size_bytes > budget.size_bytes_max {
            let (size, most) = (self.size_bytes, budget.size_bytes_max);
            return Some(format!("it takes {size} bytes, {most} are allowed"));
        }
        if self.memory_bytes > budget.memory_bytes_max {
            let (size, most) = (self.memory_bytes, budget.memory_bytes_max);
            return Some(format!("it takes {size} bytes of memory, {most} are allowed"));
        }
        if let Some(more) = figures
            .write_bytes_pct
            .filter(|more| *more > budget.write_bytes_pct_max)
        {
            let most = budget.write_bytes_pct_max;
            return Some(format!(
                "writes put {more:.1} % of their rows' bytes more into the log, {most:.1} % are allowed"
            ));
        }
        self.write_cost(budget, figures.write_cost_pct, figures.write_cost_least_pct)
    }

    /// That writes cost too much, where `judged` of them says so and there are enough pairs.
    fn write_cost(&self, budget: &Budget, cost: Option<f64>, judged: Option<f64>) -> Option<String> {
        let most = budget.write_cost_pct_max;
        let is_beyond = self.writes.len() >= budget.pairs_min && judged? > most;
        is_beyond.then(|| {
            format!(
                "writes take {:.1} % longer, {most:.1} % are allowed",
                cost.unwrap_or(0.0)
            )
        })
    }
}

impl Measured {
    fn stratum(&self) -> Stratum {
        Stratum {
            calls: self.calls,
            pairs: self.pairs.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aion_base::rng::SeededRng;

    fn measured(queryid: i64, calls: u64, times: &[(f64, f64)]) -> Measured {
        let pairs = times.iter().map(|&(incumbent_ms, candidate_ms)| Pair {
            incumbent_ms,
            candidate_ms,
        });
        Measured {
            queryid,
            calls,
            pairs: pairs.collect(),
            compared: times.len(),
            equal: times.len(),
            excluded: None,
        }
    }

    fn evidence(statements: Vec<Measured>) -> Evidence {
        Evidence {
            statements,
            ..Evidence::default()
        }
    }

    fn rejected(verdict: &Verdict, why: &str) {
        assert!(
            matches!(verdict, Verdict::Rejected(reason) if reason.contains(why)),
            "{verdict:?}, not {why}"
        );
    }

    const FAST: [(f64, f64); 6] = [
        (10.0, 3.0),
        (11.0, 3.1),
        (10.0, 3.0),
        (10.5, 3.2),
        (10.0, 2.9),
        (10.2, 3.0),
    ];
    const SAME: [(f64, f64); 6] = [
        (10.0, 10.1),
        (10.2, 10.0),
        (10.0, 9.9),
        (9.9, 10.0),
        (10.1, 10.2),
        (10.0, 10.0),
    ];

    #[test]
    fn what_pays_is_ready() {
        let evidence = evidence(vec![measured(1, 10, &FAST), measured(2, 1, &SAME)]);
        assert_eq!(evidence.judge(&Budget::default(), 1, false), Verdict::Ready);
        let figures = evidence.figures(1);
        assert!(figures.speedup.is_some_and(|speedup| speedup.low > 2.0), "{figures:?}");
        assert_eq!(figures.worst.map(|(queryid, _)| queryid), Some(2));
        assert_eq!(figures.samples, 12);
    }

    #[test]
    fn one_different_answer_outweighs_all_gain() {
        let mut slower = measured(2, 1, &FAST);
        slower.equal -= 1;
        let evidence = evidence(vec![measured(1, 10, &FAST), slower]);
        rejected(
            &evidence.judge(&Budget::default(), 1, true),
            "answers differ: statements 2",
        );
    }

    #[test]
    fn what_changes_nothing_is_tried_to_the_end_and_rejected() {
        let evidence = evidence(vec![measured(1, 10, &SAME)]);
        assert_eq!(evidence.judge(&Budget::default(), 1, true), Verdict::Undecided);
        rejected(&evidence.judge(&Budget::default(), 1, false), "not shown to pay: 1.00x");
        let tried = Budget {
            pairs_max: 6,
            ..Budget::default()
        };
        rejected(&evidence.judge(&tried, 1, true), "not shown to pay");
    }

    #[test]
    fn a_statement_that_loses_is_not_outvoted() {
        let slow: Vec<_> = SAME.iter().map(|&(one, two)| (one, two * 1.5)).collect();
        let evidence = evidence(vec![measured(1, 1_000, &FAST), measured(2, 1, &slow)]);
        rejected(&evidence.judge(&Budget::default(), 1, true), "statement 2 becomes 1.5");
    }

    #[test]
    fn gains_do_not_pay_for_writes_beyond_the_budget() {
        let mut evidence = evidence(vec![measured(1, 10, &FAST)]);
        evidence.writes = vec![
            Pair {
                incumbent_ms: 10.0,
                candidate_ms: 24.0
            };
            5
        ];
        rejected(
            &evidence.judge(&Budget::default(), 1, true),
            "writes take 140.0 % longer, 100.0 %",
        );
        evidence.writes.clear();
        evidence.written_bytes = Some([1_000, 2_000, 3_001]);
        rejected(
            &evidence.judge(&Budget::default(), 1, true),
            "writes put 100.1 % of their rows' bytes more into the log, 100.0 %",
        );
        evidence.written_bytes = Some([1_000, 2_000, 2_999]);
        assert_eq!(evidence.judge(&Budget::default(), 1, true), Verdict::Ready);
        evidence.size_bytes = 2 << 30;
        rejected(
            &evidence.judge(&Budget::default(), 1, true),
            "2147483648 bytes, 1073741824",
        );
    }

    /// On a machine with other work an insert took 486 % longer once, and a good index was rejected for it.
    #[test]
    fn writes_that_vary_are_looked_at_again() {
        let mut evidence = evidence(vec![measured(1, 10, &FAST)]);
        let pair = |candidate_ms| Pair {
            incumbent_ms: 10.0,
            candidate_ms,
        };
        evidence.writes = [11.0, 60.0, 12.0, 58.0, 61.0].map(pair).to_vec();
        assert_eq!(evidence.judge(&Budget::default(), 1, true), Verdict::Undecided);
        rejected(
            &evidence.judge(&Budget::default(), 1, false),
            "writes take 480.0 % longer",
        );
        evidence.writes.extend([pair(12.0); 6]);
        assert_eq!(evidence.judge(&Budget::default(), 1, true), Verdict::Ready);
    }

    #[test]
    fn too_little_is_never_enough() {
        let few = evidence(vec![measured(1, 10, &FAST[..4])]);
        assert_eq!(few.judge(&Budget::default(), 1, true), Verdict::Undecided);
        rejected(
            &few.judge(&Budget::default(), 1, false),
            "4 pairs of a statement, 5 are needed",
        );
        let mut excluded = measured(1, 10, &FAST);
        excluded.excluded = Some("it calls random()".to_owned());
        rejected(
            &evidence(vec![excluded]).judge(&Budget::default(), 1, true),
            "nothing to compare",
        );
        rejected(
            &Evidence::default().judge(&Budget::default(), 1, true),
            "nothing to compare",
        );
    }

    /// Rehearsals of identical arms, looked at after each pair, as the runner does: none may become ready. Of 200 seeds none did.
    #[test]
    fn looking_often_does_not_promote_noise() {
        for seed in 0..25 {
            let mut random = SeededRng::new(seed);
            let mut noisy = |ms: f64| {
                let spike = if random.chance(1, 20) { 2.0 } else { 1.0 };
                ms * spike * (1.0 + random.below(300) as f64 / 1_000.0)
            };
            let mut evidence = evidence(vec![measured(1, 5, &[]), measured(2, 1, &[])]);
            let verdict = loop {
                for statement in &mut evidence.statements {
                    let pair = Pair {
                        incumbent_ms: noisy(10.0),
                        candidate_ms: noisy(10.0),
                    };
                    statement.pairs.push(pair);
                    statement.compared += 1;
                    statement.equal += 1;
                }
                let verdict = evidence.judge(&Budget::default(), seed, true);
                if verdict != Verdict::Undecided {
                    break verdict;
                }
            };
            assert!(matches!(verdict, Verdict::Rejected(_)), "seed {seed}: {verdict:?}");
        }
    }
}
