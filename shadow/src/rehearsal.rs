//! Running captured statements under both arms, in pairs, until a verdict stands.
//!
//! 0. Statements that run the same way under both arms, by their plans, are left out, and said to be.
//! 1. Each statement runs once under each arm, unmeasured: caches are filled. The answers are compared already.
//! 2. In rounds, each statement runs once under each arm with the same literals, the arm that goes first alternating from round to
//!    round (ABBA), so that a drift of the machine weighs on both. The candidate is given up when it takes
//!    [`GIVE_UP`] times as long as the incumbent, or, where it goes first, that often squared what the incumbent took at most so far:
//!    that is its time then.
//! 3. After each round that has enough pairs the evidence is judged. It ends with a verdict, or when the time is used up.
//!
//! Writes are paired likewise, once a round, on the clone alone.

use std::time::Duration;

use aion_base::Result;

use crate::answer::{are_equal, are_equal_multisets};
use crate::statistics::{Pair, milliseconds};
use crate::verdict::{Budget, Evidence, Measured, Verdict};

/// A candidate's execution ends when it took this many times the incumbent's.
pub const GIVE_UP: u32 = 5;
/// What an execution may take at least, however fast the incumbent was.
const TIMEOUT_MIN: Duration = Duration::from_millis(50);
/// Pairs of writes in a round: one takes less time than a query, and varies more.
const WRITES_OF_ROUND: usize = 2;
/// Rows of a write that is paired: enough to be told from noise, few enough for a clone.
pub const WRITTEN_ROWS: usize = 1_000;

/// The database as it is, or with the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// As it is.
    Incumbent,
    /// With the change.
    Candidate,
}

impl Arm {
    /// Its name in samples.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incumbent => "incumbent",
            Self::Candidate => "candidate",
        }
    }
}

/// A statement of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its identity.
    pub queryid: i64,
    /// How often it was called.
    pub calls: u64,
    /// How many sets of literals were captured; at least 1, unless it is excluded.
    pub literals: usize,
    /// Whether ORDER BY is total, so that the order of the rows is part of the answer.
    pub is_ordered: bool,
    /// Why it cannot be compared: it writes, it is volatile, its LIMIT takes rows in no total order.
    pub excluded: Option<String>,
}

/// One execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// From the parameters to the last row.
    pub elapsed: Duration,
    /// None where it was given up.
    pub rows: Option<Vec<Vec<Option<String>>>>,
}

/// Rows that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// From the rows to the acknowledgement.
    pub elapsed: Duration,
    /// What the log took for them.
    pub bytes: u64,
    /// Bytes of the rows themselves, without entries of indexes.
    pub row_bytes: u64,
}

/// What the change costs, beside time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// On disk.
    pub size_bytes: u64,
    /// In memory, for as long as the change stands.
    pub memory_bytes: u64,
    /// To make the change.
    pub build_ms: f64,
}

/// A clone of the database on which both arms can be run. What fails there fails the rehearsal and nothing else.
pub trait Rehearsal {
    /// Makes the candidate on the clone.
    ///
    /// # Errors
    /// When it cannot be made; the message says why, for people.
    fn prepare(&mut self) -> Result<Cost>;

    /// Whether a statement would run another way under the candidate. Told from plans and never from times: what is compared is chosen
    /// before anything is measured.
    ///
    /// # Errors
    /// When it cannot be planned.
    fn is_affected(&mut self, statement: usize) -> Result<bool>;

    /// Runs a statement of the workload with a set of its literals; gives up at `timeout`.
    ///
    /// # Errors
    /// When the statement fails, or the clone is gone.
    fn run(&mut self, arm: Arm, statement: usize, literals: usize, timeout: Option<Duration>) -> Result<Execution>;

    /// Writes [`WRITTEN_ROWS`] rows like those of the workload and takes them back; None where the change is not felt by writes.
    ///
    /// # Errors
    /// When the clone cannot be written.
    fn write(&mut self, arm: Arm) -> Result<Option<Written>>;

    /// The time since the rehearsal began.
    fn elapsed(&self) -> Duration;
}

/// One measured execution, as it is written down.
#[derive(Debug)]
pub struct Sample<'a> {
    /// What ran; None for rows that were written.
    pub statement: Option<&'a Statement>,
    /// Where.
    pub arm: Arm,
    /// With which set of literals.
    pub literals: usize,
    /// How it went.
    pub execution: &'a Execution,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsed {
    /// What was measured.
    pub evidence: Evidence,
    /// What follows.
    pub verdict: Verdict,
    /// Whether there was time for more pairs when it was judged.
    pub had_time: bool,
}

/// Runs the workload on the clone. Each measured execution is handed to `record`.
///
/// # Errors
/// Those of the clone.
pub fn rehearse(
    clone: &mut dyn Rehearsal,
    workload: &[Statement],
    budget: &Budget,
    time: Duration,
    seed: u64,
    record: &mut dyn FnMut(&Sample<'_>) -> Result<()>,
) -> Result<Rehearsed> {
    let cost = clone.prepare()?;
    let mut evidence = Evidence {
        statements: workload.iter().map(unmeasured).collect(),
        writes: Vec::new(),
        written_bytes: None,
        size_bytes: cost.size_bytes,
        memory_bytes: cost.memory_bytes,
        build_ms: cost.build_ms,
    };
    // What runs the same way under both arms can only differ by chance, and would drown what the change does.
    let mut workload = workload.to_vec();
    for (at, measured) in evidence.statements.iter_mut().enumerate() {
        if measured.excluded.is_none() && !clone.is_affected(at)? {
            let why = "it runs the same way with and without";
            measured.excluded = Some(why.to_owned());
            workload[at].excluded = Some(why.to_owned());
        }
    }
    let workload = &workload[..];
    let mut pairing = Pairing { clone, record };
    for (at, statement) in included(workload) {
        pairing.warm_up(at, statement, &mut evidence.statements[at])?;
    }
    for round in 0..budget.pairs_max {
        let began = pairing.clone.elapsed();
        for (at, statement) in included(workload) {
            pairing.pair(round, at, statement, &mut evidence.statements[at])?;
        }
        for at in 0..WRITES_OF_ROUND {
            if let Some((pair, bytes)) = pairing.write(round * WRITES_OF_ROUND + at)? {
                evidence.writes.push(pair);
                evidence.written_bytes = Some(bytes);
            }
        }
        let now = pairing.clone.elapsed();
        let has_time = now + now.saturating_sub(began) <= time;
        let verdict = evidence.judge(budget, seed, has_time);
        if verdict != Verdict::Undecided {
            return Ok(Rehearsed {
                evidence,
                verdict,
                had_time: has_time,
            });
        }
    }
    let verdict = evidence.judge(budget, seed, false);
    Ok(Rehearsed {
        evidence,
        verdict,
        had_time: false,
    })
}

fn included(workload: &[Statement]) -> impl Iterator<Item = (usize, &Statement)> {
    let all = workload.iter().enumerate();
    all.filter(|(_, statement)| statement.excluded.is_none() && statement.literals > 0)
}

fn unmeasured(statement: &Statement) -> Measured {
    let nothing_captured = (statement.literals == 0).then(|| "no literals of it were captured".to_owned());
    Measured {
        queryid: statement.queryid,
        calls: statement.calls,
        pairs: Vec::new(),
        compared: 0,
        equal: 0,
        excluded: statement.excluded.clone().or(nothing_captured),
    }
}

struct Pairing<'a> {
    clone: &'a mut dyn Rehearsal,
    record: &'a mut dyn FnMut(&Sample<'_>) -> Result<()>,
}

impl Pairing<'_> {
    fn warm_up(&mut self, at: usize, statement: &Statement, measured: &mut Measured) -> Result<()> {
        let incumbent = self.clone.run(Arm::Incumbent, at, 0, None)?;
        let candidate = self.clone.run(Arm::Candidate, at, 0, Some(timeout(&incumbent)))?;
        compare(statement, &incumbent, &candidate, measured);
        Ok(())
    }

    fn pair(&mut self, round: usize, at: usize, statement: &Statement, measured: &mut Measured) -> Result<()> {
        let literals = round % statement.literals;
        let (incumbent, candidate) = if round.is_multiple_of(2) {
            let incumbent = self.clone.run(Arm::Incumbent, at, literals, None)?;
            let candidate = self
                .clone
                .run(Arm::Candidate, at, literals, Some(timeout(&incumbent)))?;
            (incumbent, candidate)
        } else {
            // The incumbent of the round before, with its literals, says how long is too long.
            let before = measured.pairs.iter().map(|pair| pair.incumbent_ms).fold(0.0, f64::max);
            let before = Duration::from_secs_f64(before / 1_000.0);
            let limit = (before * GIVE_UP * GIVE_UP).max(TIMEOUT_MIN);
            let candidate = self.clone.run(Arm::Candidate, at, literals, Some(limit))?;
            (self.clone.run(Arm::Incumbent, at, literals, None)?, candidate)
        };
        for (arm, execution) in [(Arm::Incumbent, &incumbent), (Arm::Candidate, &candidate)] {
            (self.record)(&Sample {
                statement: Some(statement),
                arm,
                literals,
                execution,
            })?;
        }
        compare(statement, &incumbent, &candidate, measured);
        measured.pairs.push(pair(incumbent.elapsed, candidate.elapsed));
        Ok(())
    }

    /// A pair of writes, and the bytes of their rows, and of both in the log.
    fn write(&mut self, round: usize) -> Result<Option<(Pair, [u64; 3])>> {
        let order = match round % 2 {
            0 => [Arm::Incumbent, Arm::Candidate],
            _ => [Arm::Candidate, Arm::Incumbent],
        };
        let (Some(first), Some(second)) = (self.clone.write(order[0])?, self.clone.write(order[1])?) else {
            return Ok(None);
        };
        for (arm, written) in [(order[0], first), (order[1], second)] {
            let execution = Execution {
                elapsed: written.elapsed,
                rows: None,
            };
            (self.record)(&Sample {
                statement: None,
                arm,
                literals: 0,
                execution: &execution,
            })?;
        }
        let (incumbent, candidate) = match order[0] {
            Arm::Incumbent => (first, second),
            Arm::Candidate => (second, first),
        };
        Ok(Some((
            pair(incumbent.elapsed, candidate.elapsed),
            [incumbent.row_bytes, incumbent.bytes, candidate.bytes],
        )))
    }
}

fn timeout(incumbent: &Execution) -> Duration {
    (incumbent.elapsed * GIVE_UP).max(TIMEOUT_MIN)
}

fn pair(incumbent: Duration, candidate: Duration) -> Pair {
    Pair {
        incumbent_ms: milliseconds(incumbent),
        candidate_ms: milliseconds(candidate),
    }
}

/// Counts a pair of answers; one that was given up cannot be compared.
fn compare(statement: &Statement, incumbent: &Execution, candidate: &Execution, measured: &mut Measured) {
    let (Some(incumbent), Some(candidate)) = (&incumbent.rows, &candidate.rows) else {
        return;
    };
    let is_equal = match statement.is_ordered {
        true => are_equal(incumbent, candidate),
        false => are_equal_multisets(incumbent, candidate),
    };
    measured.compared += 1;
    measured.equal += usize::from(is_equal);
}

#[cfg(test)]
mod tests {
    use super::*;
    use aion_base::{Error, SqlState};

    /// A clone whose times and answers are given.
    struct Scripted {
        elapsed: Duration,
        incumbent_ms: u64,
        candidate_ms: u64,
        write_ms: Option<(u64, u64)>,
        /// The execution of the candidate that answers otherwise.
        wrong_at: Option<usize>,
        candidates: usize,
        order: Vec<Arm>,
        unaffected: Option<usize>,
    }

    impl Scripted {
        fn new(incumbent_ms: u64, candidate_ms: u64) -> Self {
            Self {
                elapsed: Duration::ZERO,
                incumbent_ms,
                candidate_ms,
                write_ms: None,
                wrong_at: None,
                candidates: 0,
                order: Vec::new(),
                unaffected: None,
            }
        }
    }

    impl Rehearsal for Scripted {
        fn prepare(&mut self) -> Result<Cost> {
            if self.incumbent_ms == 0 {
                return Err(Error::exhausted(SqlState::DISK_FULL, "the clone does not fit"));
            }
            Ok(Cost {
                size_bytes: 1_000,
                ..Cost::default()
            })
        }

        fn is_affected(&mut self, statement: usize) -> Result<bool> {
            Ok(self.unaffected != Some(statement))
        }

        fn run(&mut self, arm: Arm, _: usize, _: usize, timeout: Option<Duration>) -> Result<Execution> {
            self.order.push(arm);
            let ms = match arm {
                Arm::Incumbent => self.incumbent_ms,
                Arm::Candidate => self.candidate_ms,
            };
            let mut value = "1";
            if arm == Arm::Candidate {
                if self.wrong_at == Some(self.candidates) {
                    value = "2";
                }
                self.candidates += 1;
            }
            let wanted = Duration::from_millis(ms);
            let elapsed = timeout.map_or(wanted, |timeout| wanted.min(timeout));
            self.elapsed += elapsed;
            Ok(Execution {
                elapsed,
                rows: (elapsed == wanted).then(|| vec![vec![Some(value.to_owned())]]),
            })
        }

        fn write(&mut self, arm: Arm) -> Result<Option<Written>> {
            let written = |ms, bytes| Written {
                elapsed: Duration::from_millis(ms),
                bytes,
                row_bytes: 1_000,
            };
            Ok(self.write_ms.map(|(incumbent, candidate)| match arm {
                Arm::Incumbent => written(incumbent, 1_000),
                Arm::Candidate => written(candidate, 1_400),
            }))
        }

        fn elapsed(&self) -> Duration {
            self.elapsed
        }
    }

    fn statement(queryid: i64) -> Statement {
        Statement {
            queryid,
            calls: 10,
            literals: 3,
            is_ordered: false,
            excluded: None,
        }
    }

    fn run(clone: &mut Scripted, time: Duration) -> (Rehearsed, usize) {
        let mut samples = 0;
        let rehearsed = rehearse(clone, &[statement(1)], &Budget::default(), time, 1, &mut |_| {
            samples += 1;
            Ok(())
        });
        (rehearsed.expect("it runs"), samples)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn what_runs_the_same_way_is_left_out_before_anything_is_measured() {
        let mut clone = Scripted::new(30, 10);
        clone.unaffected = Some(1);
        let statement = |queryid| Statement {
            queryid,
            calls: 1,
            literals: 1,
            is_ordered: false,
            excluded: None,
        };
        let workload = [statement(1), statement(2)];
        let rehearsed = rehearse(&mut clone, &workload, &Budget::default(), LONG, 1, &mut |_| Ok(())).expect("it runs");
        assert_eq!(rehearsed.verdict, Verdict::Ready);
        assert!(rehearsed.evidence.statements[1].pairs.is_empty());
        let why = rehearsed.evidence.statements[1].excluded.as_deref();
        assert_eq!(why, Some("it runs the same way with and without"));
    }

    #[test]
    fn a_gain_is_ready_after_the_fewest_pairs() {
        let mut clone = Scripted::new(30, 10);
        let (rehearsed, samples) = run(&mut clone, LONG);
        assert_eq!(rehearsed.verdict, Verdict::Ready);
        assert_eq!(samples, 10);
        assert_eq!(
            rehearsed.evidence.statements[0].compared, 6,
            "five pairs, and the warm-up"
        );
        let arms: String = clone.order.iter().map(|arm| &arm.name()[..1]).collect();
        assert_eq!(arms, "icicciicciic");
    }

    #[test]
    fn no_gain_is_tried_as_long_as_it_may_and_rejected() {
        let (rehearsed, samples) = run(&mut Scripted::new(10, 10), LONG);
        assert!(matches!(rehearsed.verdict, Verdict::Rejected(_)));
        assert_eq!(samples, 40);
        // The time is up earlier.
        let (rehearsed, samples) = run(&mut Scripted::new(10, 10), Duration::from_millis(180));
        assert!(matches!(rehearsed.verdict, Verdict::Rejected(_)));
        assert!(samples < 20, "{samples}");
    }

    #[test]
    fn an_answer_that_differs_once_ends_it() {
        for wrong_at in 0..6 {
            let mut clone = Scripted::new(30, 10);
            clone.wrong_at = Some(wrong_at);
            let (rehearsed, _) = run(&mut clone, LONG);
            assert!(
                matches!(&rehearsed.verdict, Verdict::Rejected(reason) if reason.contains("answers differ")),
                "{wrong_at}: {:?}",
                rehearsed.verdict
            );
        }
    }

    #[test]
    fn a_candidate_that_hangs_is_given_up_and_loses() {
        let mut clone = Scripted::new(20, 1_000_000);
        let (rehearsed, _) = run(&mut clone, LONG);
        assert!(
            matches!(&rehearsed.verdict, Verdict::Rejected(reason) if reason.contains("slower")),
            "{:?}",
            rehearsed.verdict
        );
        assert_eq!(rehearsed.evidence.statements[0].compared, 0);
        assert!(clone.elapsed < Duration::from_secs(5), "{:?}", clone.elapsed);
    }

    #[test]
    fn writes_are_paired_and_judged() {
        let mut clone = Scripted::new(30, 10);
        clone.write_ms = Some((10, 30));
        let (rehearsed, _) = run(&mut clone, LONG);
        assert!(
            matches!(&rehearsed.verdict, Verdict::Rejected(reason) if reason.contains("writes take 200.0 % longer")),
            "{:?}",
            rehearsed.verdict
        );
    }

    #[test]
    fn what_cannot_be_prepared_fails() {
        let mut clone = Scripted::new(0, 0);
        let error = rehearse(&mut clone, &[], &Budget::default(), LONG, 1, &mut |_| Ok(()));
        assert_eq!(error.expect_err("no clone").state(), SqlState::DISK_FULL);
    }

    #[test]
    fn what_is_excluded_is_not_run_and_says_why() {
        let mut excluded = statement(2);
        excluded.excluded = Some("it writes".to_owned());
        let mut nothing = statement(3);
        nothing.literals = 0;
        let mut clone = Scripted::new(30, 10);
        let workload = [excluded, statement(1), nothing];
        let rehearsed = rehearse(&mut clone, &workload, &Budget::default(), LONG, 1, &mut |_| Ok(())).expect("it runs");
        assert_eq!(rehearsed.verdict, Verdict::Ready);
        let why: Vec<_> = rehearsed
            .evidence
            .statements
            .iter()
            .map(|one| one.excluded.is_some())
            .collect();
        assert_eq!(why, [true, false, true]);
        assert_eq!(rehearsed.evidence.statements[0].pairs.len(), 0);
    }
}
