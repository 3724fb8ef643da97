//! A recommendation as it is stored, and the moves that it makes.
//!
//! A [`Recommendation`] is a proposed change with its state; a [`Proof`] is what a rehearsal measured of it, kept beside it because it is
//! a thousand times as large. Both are stored as JSON; fields that a program does not know are refused, so that nothing is lost by
//! opening a database with an older one.
//!
//! **Guarantee.** [`Recommendation::moved`] is the only way to another state, and allows only what the table of
//! [`State::next`] and a person's verb allow.

use serde::{Deserialize, Serialize};

use crate::contest::{self, Sample, Terms};
use crate::state::{Kind, State, Verb};
use crate::statistics::median;
use crate::verdict::{Budget, Evidence, Figures, Measured, Verdict};
use crate::watch::Promise;

/// How long a rehearsed change may wait for its approval, in microseconds: 7 days, as long as captured statements are kept.
pub const EXPIRES_AFTER: i64 = 7 * 24 * 3_600 * 1_000_000;

/// Who moves a recommendation when no person does.
pub const PIPELINE: &str = "pipeline";

/// A proposed change, and where it stands. Times are microseconds since 1970 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// Counts from 1.
    pub id: u64,
    /// What it changes.
    pub kind: Kind,
    /// What it changes, as `schema.table` or the name of a knob.
    pub object: String,
    /// Where it stands.
    pub state: State,
    /// Why it stands there.
    pub state_reason: String,
    /// What makes the change.
    pub command: String,
    /// What takes it back; None where nothing does.
    pub undo_command: Option<String>,
    /// Schema and name of the index that the command makes; None for another change.
    pub makes: Option<(String, String)>,
    /// Schema and name of the index that the command drops; None for another change.
    pub drops: Option<(String, String)>,
    /// What was proposed, whatever it is named: `schema.table(column, ...)`. The same is not proposed again.
    pub design: String,
    /// Whose idea it was: `advisor`, `planted`, or a role.
    pub origin: String,
    /// The statements that it is for.
    pub queryids: Vec<i64>,
    /// Their executions when it was proposed.
    pub calls: Option<u64>,
    /// By the planner's estimate.
    pub estimated_speedup: Option<f64>,
    /// By the planner's estimate.
    pub estimated_bytes: Option<u64>,
    /// What was measured; None before it was rehearsed.
    pub measured: Option<Summary>,
    /// The recommendations that were made, or ready, when it was rehearsed, and are part of both arms.
    pub upon: Vec<u64>,
    /// The definition of its table as it was rehearsed; another one makes the rehearsal stale.
    pub basis: Option<String>,
    /// When it was proposed.
    pub created_at: i64,
    /// When its rehearsal ended.
    pub rehearsed_at: Option<i64>,
    /// When its state last changed.
    pub decided_at: i64,
    /// Who changed it.
    pub decided_by: String,
    /// When the change was made.
    pub applied_at: Option<i64>,
    /// When it is too old to be approved.
    pub expires_at: Option<i64>,
    /// The watch does not take it back.
    pub is_pinned: bool,
    /// It was decided to take the change back, and that is not done yet.
    pub undo_is_due: bool,
}

/// The figures of a rehearsal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Of the workload, each statement's median times its calls.
    pub before_ms: f64,
    /// The same with the change.
    pub after_ms: f64,
    /// Of the workload: point, and bounds of the 95 % interval.
    pub speedup: Option<[f64; 3]>,
    /// The statement with the least speed-up, and that.
    pub worst: Option<(i64, f64)>,
    /// Pairs of executions.
    pub samples: u64,
    /// Whether all answers that were compared were equal.
    pub results_equal: bool,
    /// On disk.
    pub size_bytes: u64,
    /// In memory.
    pub memory_bytes: u64,
    /// What making it took.
    pub build_ms: f64,
    /// How much longer writes take.
    pub write_cost_pct: Option<f64>,
    /// How many more bytes writes put into the log.
    #[serde(default)]
    pub write_bytes_pct: Option<f64>,
    /// Of the draws behind the intervals.
    pub seed: u64,
    /// What each statement took, for the watch.
    pub promises: Vec<Promise>,
}

/// All that a rehearsal measured: who has it can compute the verdict again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Of the draws behind the intervals.
    pub seed: u64,
    /// Whether there was time for more pairs when it was judged.
    pub had_time: bool,
    /// What the change had to show.
    pub budget: Budget,
    /// The statements' texts without literals, in the order of the evidence's.
    pub queries: Vec<String>,
    /// What was measured.
    pub evidence: Evidence,
    /// What followed.
    pub verdict: Verdict,
}

/// All that a contest of models measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contest {
    /// Of the draws behind the intervals.
    pub seed: u64,
    /// What the model had to show.
    pub terms: Terms,
    /// What was predicted, and what came.
    pub samples: Vec<Sample>,
    /// What followed.
    pub verdict: Verdict,
}

/// What the database did in one window of a live trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Statements a second.
    pub throughput: f64,
    /// Milliseconds that 99 % of statements did not exceed.
    pub p99_ms: f64,
    /// Bytes written to disk for each byte of users.
    pub write_amplification: f64,
    /// The part of the time in which writers waited.
    pub stalled: f64,
    /// Memory in use.
    pub memory_bytes: f64,
}

/// All that a live trial of a knob measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnobTrial {
    /// Its name.
    pub knob: String,
    /// Its value without the change.
    pub from: i64,
    /// Its value with the change.
    pub to: i64,
    /// What memory may be used.
    pub memory_budget_bytes: f64,
    /// Without and with the change, pair by pair; None where too little ran to say anything.
    pub windows: Vec<Option<[Arm; 2]>>,
    /// What followed.
    pub verdict: Verdict,
}

/// What a decision rests upon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Grounds {
    /// A rehearsal on clones.
    Rehearsal(Proof),
    /// A model's predictions beside the incumbent's.
    Contest(Contest),
    /// A knob's windows on the running store.
    Trial(KnobTrial),
}

impl Grounds {
    /// Whether the stored verdict follows from what was measured. A trial's is judged by the tuner, which this crate does not know.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Rehearsal(proof) => proof.judge() == proof.verdict,
            Self::Trial(_) => true,
            Self::Contest(contest) => {
                contest::judge(&contest.samples, &contest.terms, contest.seed).0 == contest.verdict
            }
        }
    }
}

impl From<Proof> for Grounds {
    fn from(proof: Proof) -> Self {
        Self::Rehearsal(proof)
    }
}

impl From<Contest> for Grounds {
    fn from(contest: Contest) -> Self {
        Self::Contest(contest)
    }
}

impl Recommendation {
    /// Moves on; the state before. None, and nothing changes, where neither the pipeline nor a person may do that.
    #[must_use]
    pub fn moved(&mut self, to: State, by: &str, reason: &str, at: i64) -> Option<State> {
        let from = self.state;
        let by_verb = |verb: &Verb| verb.leads_to() == Some(to) && verb.allowed().contains(&from);
        if !from.next().contains(&to) && !Verb::ALL.iter().any(by_verb) {
            return None;
        }
        self.state = to;
        reason.clone_into(&mut self.state_reason);
        by.clone_into(&mut self.decided_by);
        self.decided_at = at;
        match to {
            // From applying it comes back as it was.
            State::Ready if from == State::Rehearsing => {
                self.rehearsed_at = Some(at);
                self.expires_at = Some(at.saturating_add(EXPIRES_AFTER));
            }
            State::Rejected => self.rehearsed_at = Some(at),
            State::Watching => {
                self.applied_at = Some(at);
                self.expires_at = None;
            }
            State::Reverted => self.undo_is_due = true,
            _ => {}
        }
        if to.is_end() {
            self.expires_at = None;
        }
        Some(from)
    }

    /// The verbs that a person can ask for.
    pub fn verbs(&self) -> Vec<Verb> {
        let asked = Verb::ALL.iter().copied();
        let is_moot = |verb: &Verb| match verb {
            Verb::Pin => self.is_pinned,
            Verb::Unpin => !self.is_pinned,
            Verb::Revert => self.undo_command.is_none(),
            _ => false,
        };
        asked
            .filter(|verb| verb.allowed().contains(&self.state) && !is_moot(verb))
            .collect()
    }
}

impl Proof {
    /// The figures, computed from the evidence.
    pub fn figures(&self) -> Figures {
        self.evidence.figures(self.seed)
    }

    /// The verdict that follows from the evidence.
    pub fn judge(&self) -> Verdict {
        self.evidence.judge(&self.budget, self.seed, self.had_time)
    }

    /// The figures that are shown.
    pub fn summary(&self) -> Summary {
        let figures = self.figures();
        let compared = self.evidence.statements.iter().filter(|one| one.excluded.is_none());
        let promises: Vec<(u64, Promise)> = compared.filter_map(|one| Some((one.calls, promise(one)?))).collect();
        let total = |of: fn(&Promise) -> f64| -> f64 {
            let weighed = promises.iter().map(|(calls, one)| (*calls).max(1) as f64 * of(one));
            // Not `sum()`: that of nothing is -0.
            weighed.fold(0.0, |sum, one| sum + one)
        };
        Summary {
            before_ms: total(|one| one.incumbent_ms),
            after_ms: total(|one| one.candidate_ms),
            speedup: figures
                .speedup
                .map(|speedup| [speedup.point, speedup.low, speedup.high]),
            worst: figures.worst.map(|(queryid, worst)| (queryid, worst.point)),
            samples: figures.samples as u64,
            results_equal: figures.results_equal,
            size_bytes: self.evidence.size_bytes,
            memory_bytes: self.evidence.memory_bytes,
            build_ms: self.evidence.build_ms,
            write_cost_pct: figures.write_cost_pct,
            write_bytes_pct: figures.write_bytes_pct,
            seed: self.seed,
            promises: promises.into_iter().map(|(_, promise)| promise).collect(),
        }
    }
}

fn promise(measured: &Measured) -> Option<Promise> {
    let mut incumbent: Vec<f64> = measured.pairs.iter().map(|pair| pair.incumbent_ms).collect();
    let mut candidate: Vec<f64> = measured.pairs.iter().map(|pair| pair.candidate_ms).collect();
    Some(Promise {
        queryid: measured.queryid,
        incumbent_ms: median(&mut incumbent)?,
        candidate_ms: median(&mut candidate)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Pair;

    fn recommendation() -> Recommendation {
        Recommendation {
            id: 17,
            kind: Kind::Index,
            object: "public.t".to_owned(),
            state: State::Observed,
            state_reason: String::new(),
            command: "CREATE INDEX aion_t_a_17 ON public.t (a)".to_owned(),
            undo_command: Some("DROP INDEX public.aion_t_a_17".to_owned()),
            makes: Some(("public".to_owned(), "aion_t_a_17".to_owned())),
            drops: None,
            design: "public.t(a)".to_owned(),
            origin: "advisor".to_owned(),
            queryids: vec![-5, 7],
            calls: Some(40),
            estimated_speedup: Some(3.0),
            estimated_bytes: Some(1 << 20),
            measured: None,
            upon: Vec::new(),
            basis: None,
            created_at: 1,
            rehearsed_at: None,
            decided_at: 1,
            decided_by: PIPELINE.to_owned(),
            applied_at: None,
            expires_at: None,
            is_pinned: false,
            undo_is_due: false,
        }
    }

    #[test]
    fn it_moves_along_the_line_and_no_other_way() {
        let mut one = recommendation();
        assert_eq!(one.moved(State::Ready, PIPELINE, "", 2), None, "not rehearsed");
        for (at, to) in [State::Proposed, State::Rehearsing, State::Ready]
            .into_iter()
            .enumerate()
        {
            assert!(one.moved(to, PIPELINE, "because", 10 + at as i64).is_some(), "{to}");
        }
        assert_eq!((one.rehearsed_at, one.expires_at), (Some(12), Some(12 + EXPIRES_AFTER)));
        assert_eq!(one.moved(State::Watching, "ann", "", 20), None, "it was not made");
        assert_eq!(one.moved(State::Applying, "ann", "approved", 20), Some(State::Ready));
        assert_eq!(one.moved(State::Watching, PIPELINE, "made", 21), Some(State::Applying));
        assert_eq!((one.applied_at, one.expires_at), (Some(21), None));
        assert!(!one.undo_is_due);
        assert_eq!(
            one.moved(State::Reverted, "ann", "not needed", 30),
            Some(State::Watching)
        );
        assert!(one.undo_is_due, "what is reverted is still to be taken back");
        assert_eq!(
            (one.state_reason.as_str(), one.decided_by.as_str()),
            ("not needed", "ann")
        );
    }

    #[test]
    fn the_verbs_are_those_that_have_an_effect() {
        let mut one = recommendation();
        one.state = State::Watching;
        assert_eq!(one.verbs(), [Verb::Revert, Verb::Pin]);
        one.is_pinned = true;
        assert_eq!(one.verbs(), [Verb::Revert, Verb::Unpin]);
        one.undo_command = None;
        assert_eq!(one.verbs(), [Verb::Unpin]);
        one.state = State::Dismissed;
        assert!(one.verbs().is_empty());
    }

    #[test]
    fn what_is_stored_is_what_is_read() {
        let one = recommendation();
        let stored = serde_json::to_string(&one).expect("it is data");
        assert_eq!(
            serde_json::from_str::<Recommendation>(&stored).expect("as written"),
            one
        );
        assert!(stored.contains("\"state\":\"observed\""), "{stored}");
        let newer = stored.replacen("\"id\"", "\"of_a_newer_program\":1,\"id\"", 1);
        assert!(serde_json::from_str::<Recommendation>(&newer).is_err());
        let wrong = stored.replace("observed", "thought of");
        assert!(serde_json::from_str::<Recommendation>(&wrong).is_err());
    }

    #[test]
    fn the_summary_weighs_by_calls() {
        let measured = |queryid, calls, incumbent_ms, candidate_ms| Measured {
            queryid,
            calls,
            pairs: vec![
                Pair {
                    incumbent_ms,
                    candidate_ms
                };
                5
            ],
            compared: 5,
            equal: 5,
            excluded: None,
        };
        let mut left_out = measured(3, 1_000, 1.0, 50.0);
        left_out.excluded = Some("it writes".to_owned());
        let proof = Proof {
            seed: 1,
            had_time: true,
            budget: Budget::default(),
            queries: Vec::new(),
            evidence: Evidence {
                statements: vec![measured(1, 10, 8.0, 2.0), measured(2, 1, 5.0, 5.0), left_out],
                ..Evidence::default()
            },
            verdict: Verdict::Ready,
        };
        let summary = proof.summary();
        assert_eq!((summary.before_ms, summary.after_ms), (85.0, 25.0));
        assert_eq!(summary.worst, Some((2, 1.0)));
        assert_eq!(summary.samples, 10);
        assert_eq!(summary.promises.len(), 2);
        assert_eq!(proof.judge(), Verdict::Ready);
        let stored = serde_json::to_string(&proof).expect("it is data");
        assert_eq!(serde_json::from_str::<Proof>(&stored).expect("as written"), proof);
    }
}
