//! Rehearsing a change on clones of the database, in a process of its own.
//!
//! 1. `Parts::rehearse` makes two clones below `clones/` of the data directory: hard links to files that never change, and the last
//!    of the rows flushed. One stays as it is, the *incumbent*; on the other, the *candidate*, the command is run.
//! 2. It starts a child process, at the lowest priority, which opens both ([`child`]), runs the captured statements on them in pairs
//!    (`aion_shadow::rehearsal`), and tells each sample and at last the verdict as a line of JSON.
//! 3. Clones and child wait a while for the next rehearsal ([`sandbox`]), and are ended then; what a killed process left is removed
//!    when the database is opened next.
//!
//! **Guarantees.** The database itself is not changed. Only statements that read are run, on the clones; the rows that are written to
//! measure writes are written there. A rehearsal ends after the time of its [`RehearsalOptions`], and ten minutes more for opening, the
//! command and the end, at the latest.
//!
//! **Disk.** The clones hold on to files that the database would have removed meanwhile, and to what the command writes. Before they
//! are made, as much must be free as they may take; while they are used, a rehearsal that takes more is ended with 53100.

pub mod child;
mod clones;
mod message;
mod sandbox;

use std::path::PathBuf;
use std::time::Duration;

use aion_base::observation::Fingerprint;
use aion_base::{Error, Result, SqlState};
use aion_shadow::captured::Statement;
use aion_shadow::verdict::{Budget, Evidence, Figures, Verdict};
use aion_sql::PhysicalChange;

use crate::Parts;
use message::{Request, RequestedStatement};

pub(crate) use clones::remove_left;
pub use message::SampleLine;
pub(crate) use sandbox::Sandboxes;

/// Statements of a rehearsal, those that took most time.
const STATEMENTS_MAX: usize = 100;

/// How a change is rehearsed.
#[derive(Clone, Debug)]
pub struct RehearsalOptions {
    /// The program that the child process runs, with the arguments that make it call [`child::run`].
    pub program: (PathBuf, Vec<String>),
    /// What the change must show and may cost.
    pub budget: Budget,
    /// Time for the pairs.
    pub time: Duration,
    /// Of the draws behind the intervals.
    pub seed: u64,
    /// Compares statements whose plans are the same under both arms, too: what is measured of those is noise, which tells how far a
    /// verdict can be trusted.
    pub compares_all: bool,
    /// Bytes that the clones may take on disk beside the data, and that must be free before they are made.
    pub clone_bytes_max: u64,
}

/// What is to be rehearsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// Run on the candidate.
    pub command: &'a str,
    /// Takes it back; None where that cannot be done without a trace.
    pub undo_command: Option<&'a str>,
    /// Run on both clones first.
    pub given: &'a [String],
    /// How many entries of the log are not the pipeline's own; None where clones are neither taken over nor kept.
    pub commits: Option<u64>,
}

/// What came of a rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The statements, in the order of the evidence's.
    pub fingerprints: Vec<Fingerprint>,
    /// What was measured.
    pub evidence: Evidence,
    /// The figures that follow.
    pub figures: Figures,
    /// What is to be done.
    pub verdict: Verdict,
    /// Whether there was time for more pairs when it was judged.
    pub had_time: bool,
    /// What the change had to show and might cost.
    pub budget: Budget,
    /// Of the draws behind the intervals.
    pub seed: u64,
    /// Each measured execution.
    pub samples: Vec<SampleLine>,
}

impl Parts {
    /// Rehearses a command that makes or drops an index, or gathers statistics, with the statements that ran. `record` is told of each
    /// measured execution. Blocks, and so is not called from a task.
    ///
    /// # Errors
    /// 0A000 for another command, or a database in memory; 55000 where nothing is known of the workload; 53100 where the disk has no
    /// room for the clones; 57014 once `is_cancelled` says so; what the command or the clones answer.
    pub(crate) fn rehearse(
        &self,
        change: Change<'_>,
        options: &RehearsalOptions,
        sandboxes: &mut Sandboxes,
        is_cancelled: &dyn Fn() -> bool,
        record: &mut dyn FnMut(&SampleLine),
    ) -> Result<Rehearsed> {
        let table = match self.rehearsable(change.command)?.changed_physically() {
            Some(PhysicalChange::CreateIndex { schema, table, .. }) => Some((schema, table)),
            _ => None,
        };
        let Some(observed) = &self.observed else {
            return Err(nothing_known("the mode of the learned parts is off"));
        };
        let mut workload = observed.workload();
        workload.truncate(STATEMENTS_MAX);
        if !workload
            .iter()
            .any(|statement| statement.is_read_only && !statement.literals.is_empty())
        {
            return Err(nothing_known("no query has run yet"));
        }
        let Some(path) = &self.path else {
            return Err(Error::unsupported(
                "a database in memory cannot be cloned, so nothing can be rehearsed in it",
            ));
        };
        let sandbox = match sandboxes.take(change.commits, change.given, options) {
            Some(sandbox) => sandbox,
            None => {
                let clones = clones::Clones::make(&self.store, path, options.clone_bytes_max)?;
                sandbox::Sandbox::start(clones, options)?
            }
        };
        let request = Request {
            incumbent: sandbox.clones().incumbent(),
            candidate: sandbox.clones().candidate(),
            given: change.given.to_vec(),
            command: change.command.to_owned(),
            undo_command: change.undo_command.map(str::to_owned),
            table,
            statements: workload.iter().map(RequestedStatement::from).collect(),
            budget: options.budget,
            time_ms: u64::try_from(options.time.as_millis()).unwrap_or(u64::MAX),
            seed: options.seed,
            compares_all: options.compares_all,
            memory_bytes: (self.options.memory_bytes / 4).max(64 << 20),
        };
        // What cannot be taken back leaves clones of no use to the next.
        let commits = change.commits.filter(|_| change.undo_command.is_some());
        let (done, samples) = sandboxes.run(sandbox, commits, options, |sandbox| {
            sandbox.rehearse(&request, options, is_cancelled, record)
        })?;
        Ok(Rehearsed {
            fingerprints: workload
                .into_iter()
                .map(|statement: Statement| statement.fingerprint)
                .collect(),
            figures: done.evidence.figures(options.seed),
            evidence: done.evidence,
            verdict: done.verdict,
            had_time: done.had_time,
            budget: options.budget,
            seed: options.seed,
            samples,
        })
    }
}

fn nothing_known(why: &str) -> Error {
    Error::unavailable(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("there is nothing to rehearse with: {why}"),
    )
    .with_hint("Open the database in mode shadow, and let the workload run.")
}
