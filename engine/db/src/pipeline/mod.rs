//! The pipeline: from what was observed to changes that are proven, made, watched and taken back.
//!
//! **Steps.**
//!
//! 1. The advisor names indexes that would pay by estimate (`crate::advise`); each becomes a recommendation (`propose`). A person's
//!    own idea becomes one likewise.
//! 2. A recommendation is rehearsed (`crate::rehearsal`), one at a time; what is ready on the same table already is part of both arms.
//! 3. A person approves what is ready, or in mode auto the pipeline does: the command is run (`change`).
//! 4. What was made is watched by the executions that are observed ([`watching`]), and taken back when they disagree with the promise.
//!
//! Steps 1 and 2 without being asked, and what the watch finds, are done by one thread of low priority (`worker`), within a share of the
//! machine's processor time.
//!
//! **Guarantees.**
//! - Each move from state to state is one transaction of the database: the recommendation and its decision are there, or neither.
//! - A process that is killed at any moment leaves a state from which the next one goes on ([`Pipeline::recover`]): a change is
//!   decided before it is made, and it can be told from the catalog whether it was made.
//! - The decisions are a chain ([`aion_shadow::ledger`]) from the first to the last.
//! - In mode off nothing is observed, and nothing is written but what a person asked for: the mode itself.
//!
//! **Limits.** [`RECOMMENDATIONS_MAX`] recommendations; the oldest that ended go first, their decisions stay. One rehearsal or change
//! at a time: who wants to rehearse second is told 55006.

mod change;
mod configure;
mod model;
pub(crate) mod processor;
mod propose;
mod rehearse;
mod shown;
mod stored;
mod tuning;
mod watching;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::observation::{Observation, Observer, Predicted, StatementFigures};
use aion_base::recommendation::{Asked, AskedOf, DecisionRow, KnobRow, ModelRow, Recommendation as Row, StatusRow};
use aion_base::subplan::SubPlan;
use aion_base::{Error, Result, SqlState};
use aion_optimizer_core::advisor::Limits;
use aion_shadow::contest::Sample;
use aion_shadow::ledger::{self, Entry};
use aion_shadow::recommendation::{Grounds, PIPELINE, Recommendation};
use aion_shadow::state::{Kind, Mode, State, Verb};
use aion_shadow::verdict::Budget;
use aion_sql::Engine;
use aion_storage::Store;
use parking_lot::{Mutex, MutexGuard};

use crate::knobs::StoreKnobs;
use crate::observed::Observed;
use crate::rehearsal::{Change, RehearsalOptions, Rehearsed, SampleLine, Sandboxes};
use crate::{Advice, DatabaseOptions, Parts};

use model::Models;
pub use propose::Cycle;
pub use rehearse::Progress;
use stored::Settings;
use tuning::{Latencies, Tuning};
use watching::Watching;
use worker::Worker;

/// Recommendations that are kept.
pub const RECOMMENDATIONS_MAX: usize = 1_000;
/// The superuser.
const SUPERUSER: &str = "aion";
/// The role that may ask for changes.
const ADMINISTRATORS: &str = "aion_admin";

/// How the learned parts work, beside their mode.
#[derive(Clone, Debug)]
pub struct LearningOptions {
    /// The program that a rehearsal's child process runs, with the arguments that make it call [`crate::rehearsal::child::run`]. None
    /// rehearses nothing.
    pub program: Option<(PathBuf, Vec<String>)>,
    /// Of the machine's processor time, what the pipeline may take when nobody asks it.
    pub processor_share: f64,
    /// How long to wait between two looks at the workload, at least.
    pub look_every: Duration,
    /// Time for the pairs of one rehearsal.
    pub rehearsal_time: Duration,
    /// What a change must show and may cost.
    pub budget: Budget,
    /// Bytes that the clones of a rehearsal may take on disk beside the data, and that must be free before it begins.
    pub clone_bytes_max: u64,
    /// How long the windows are by which knobs are watched and tried.
    pub knob_window: Duration,
    /// The kinds that mode auto changes without asking; None takes what the database has stored, which is none by default.
    pub auto_kinds: Option<Vec<Kind>>,
}

impl Default for LearningOptions {
    fn default() -> Self {
        Self {
            program: None,
            processor_share: 0.02,
            look_every: Duration::from_secs(60),
            rehearsal_time: Duration::from_secs(120),
            budget: Budget::default(),
            clone_bytes_max: 4 << 30,
            knob_window: Duration::from_secs(10),
            auto_kinds: None,
        }
    }
}

/// A moment in the life of a recommendation, for who watches the pipeline at work. A process that is killed at any of them must leave
/// a database that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It stands in the ledger.
    Proposed,
    /// Its rehearsal was decided.
    Rehearsing,
    /// The verdict is known, and not yet stored.
    Judged,
    /// The verdict is stored.
    Decided,
    /// The change was decided, and not begun.
    Applying,
    /// The change was made, and that is not yet stored.
    Made,
    /// It is watched.
    Watching,
    /// It was decided to take it back, and not begun.
    Reverting,
    /// It was taken back, and that is not yet stored.
    Undone,
    /// It is over.
    Reverted,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::Proposed,
        Self::Rehearsing,
        Self::Judged,
        Self::Decided,
        Self::Applying,
        Self::Made,
        Self::Watching,
        Self::Reverting,
        Self::Undone,
        Self::Reverted,
    ];
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Pipeline {
    store: Arc<Store>,
    /// None in memory.
    path: Option<PathBuf>,
    options: DatabaseOptions,
    runtime: tokio::runtime::Handle,
    me: Weak<Self>,
    /// Set once it is there: it owns this.
    engine: OnceLock<Weak<Engine>>,
    /// Made when the mode first asks for it.
    observed: OnceLock<Arc<Observed>>,
    models: Models,
    knobs: StoreKnobs,
    tuning: Tuning,
    clock: SystemClock,
    mode: AtomicU8,
    kept: Mutex<Kept>,
    /// Held while something is rehearsed: what one rehearsal leaves for the next.
    work: Mutex<Sandboxes>,
    /// Entries of the log that are its own.
    commits: AtomicU64,
    /// See [`aion_base::recommendation::Pipeline::session_settings_version`]; sessions begin at 0.
    session_settings_version: AtomicU64,
    /// Held while something is made or taken back: a rehearsal may go on meanwhile, and what the watch found does not wait for it.
    changing: Mutex<()>,
    watching: Watching,
    worker: Worker,
    /// Nanoseconds of processor time that were spent on learning.
    spent: AtomicU64,
    /// What observing added to statements before they ran.
    added: Latencies,
    /// What it added after their last row.
    told: Latencies,
}

/// What is stored, and kept in memory.
#[derive(Debug)]
struct Kept {
    /// By id.
    recommendations: std::collections::BTreeMap<u64, Recommendation>,
    next_id: u64,
    last: Option<Entry>,
    settings: Settings,
}

impl Pipeline {
    /// The pipeline of a store.
    ///
    /// # Errors
    /// Corrupt where what is stored cannot be read.
    pub fn open(
        store: Arc<Store>,
        path: Option<PathBuf>,
        options: &DatabaseOptions,
        runtime: tokio::runtime::Handle,
    ) -> Result<Arc<Self>> {
        let models = Models::new(path.as_deref());
        let kept = stored::read(&*store.snapshot())?;
        let mode = options.ai_mode.or(kept.settings.ai_mode).unwrap_or(Mode::Shadow);
        let knobs = StoreKnobs::new(store.clone(), options.memory_bytes);
        let pipeline = Arc::new_cyclic(|me| Self {
            store,
            path,
            options: options.clone(),
            runtime,
            me: me.clone(),
            engine: OnceLock::new(),
            observed: OnceLock::new(),
            models,
            clock: SystemClock::default(),
            mode: AtomicU8::new(index_of(mode)),
            kept: Mutex::new(kept),
            work: Mutex::default(),
            commits: AtomicU64::new(0),
            session_settings_version: AtomicU64::new(1),
            changing: Mutex::new(()),
            watching: Watching::default(),
            worker: Worker::default(),
            knobs,
            tuning: Tuning::default(),
            spent: AtomicU64::new(0),
            added: Latencies::default(),
            told: Latencies::default(),
        });
        pipeline.restore_knobs();
        pipeline.keep_history(&pipeline.kept.lock())?;
        Ok(pipeline)
    }

    /// Begins: `engine` is the one that owns it.
    ///
    /// # Errors
    /// When what a process before this one left cannot be gone on with, or a thread cannot be started.
    pub fn begin_with(&self, engine: &Arc<Engine>) -> Result<()> {
        self.engine.get_or_init(|| Arc::downgrade(engine));
        self.enter(self.current_mode())?;
        self.recover()
    }

    /// What may be done now.
    pub fn current_mode(&self) -> Mode {
        let at = usize::from(self.mode.load(Ordering::Relaxed));
        Mode::ALL.get(at).copied().unwrap_or(Mode::Off)
    }

    /// Takes on a mode.
    fn enter(&self, mode: Mode) -> Result<()> {
        if mode.observes() {
            self.observed.get_or_init(|| {
                let directory = self.path.as_deref().map(|path| path.join("observed"));
                let observed = Observed::open(directory.as_deref());
                observed.save_in_background(&self.runtime);
                self.models.open();
                observed
            });
        }
        self.mode.store(index_of(mode), Ordering::Relaxed);
        self.start()
    }

    /// Writes what is learnt, for the next process.
    pub fn save(&self) {
        let saved = self.observed().map_or(Ok(()), |observed| observed.save());
        if let Err(error) = saved.and_then(|()| self.models.save()) {
            tracing::warn!(%error, "what was observed was not saved: the last minute of it is lost");
        }
    }

    /// The samples of the model in shadow: what it and the planner predicted, and what came.
    pub fn model_samples(&self) -> Vec<Sample> {
        self.models.samples()
    }

    /// What was observed; None where the mode never asked for it.
    pub fn observed(&self) -> Option<&Arc<Observed>> {
        self.observed.get()
    }

    /// The processor time that was spent on learning since the database was opened.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// Counts what is done as learning.
    fn counted<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = processor::of_this_thread();
        let done = work();
        self.count(processor::of_this_thread().saturating_sub(before));
        done
    }

    /// Counts processor time as spent on learning.
    fn count(&self, spent: Duration) {
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many entries of the log are others' than the pipeline's.
    fn commits_of_others(&self) -> Result<u64> {
        // Under the lock no own commit is under way.
        let _kept = self.kept.lock();
        let all = self.store.snapshot().read_point()?.index.0;
        Ok(all.saturating_sub(self.commits.load(Ordering::Relaxed)))
    }

    /// The database, as long as it is open.
    fn parts(&self) -> Result<Parts> {
        let engine = self.engine.get().and_then(Weak::upgrade);
        let engine =
            engine.ok_or_else(|| Error::unavailable(SqlState::ADMIN_SHUTDOWN, "the database is being closed"))?;
        Ok(Parts {
            store: self.store.clone(),
            engine,
            observed: self.observed().cloned(),
            path: self.path.clone(),
            runtime: self.runtime.clone(),
            options: self.options.clone(),
        })
    }

    /// Microseconds since 1970.
    fn now(&self) -> i64 {
        i64::try_from(self.clock.wall_micros()).unwrap_or(i64::MAX)
    }

    /// Begins to rehearse.
    fn begin(&self) -> Result<MutexGuard<'_, Sandboxes>> {
        // Whoever only looks at it has it for less than that.
        self.work.try_lock_for(Duration::from_millis(100)).ok_or_else(|| {
            Error::unavailable(SqlState::OBJECT_IN_USE, "another recommendation is being rehearsed")
                .with_hint("Ask again when that is done; aion.recommendations says which one it is.")
        })
    }

    /// The recommendation with this id.
    fn find(&self, id: u64) -> Result<Recommendation> {
        let kept = self.kept.lock();
        kept.recommendations.get(&id).cloned().ok_or_else(|| {
            Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                format!("recommendation {id} does not exist"),
            )
            .with_hint("SELECT id, state, command FROM aion.recommendations lists them.")
        })
    }

    /// Moves a recommendation, and writes that down. `proof` is what the decision rests upon.
    fn advance(
        &self,
        id: u64,
        to: State,
        by: &str,
        reason: &str,
        proof: Option<&Grounds>,
        change: impl FnOnce(&mut Recommendation),
    ) -> Result<()> {
        let mut kept = self.kept.lock();
        let now = self.now();
        let Some(there) = kept.recommendations.get(&id) else {
            return Err(Error::internal(format!(
                "recommendation {id} is gone while it is worked on"
            )));
        };
        let mut moved = there.clone();
        let Some(from) = moved.moved(to, by, reason, now) else {
            return Err(Error::internal(format!(
                "recommendation {id} cannot go from {} to {to}",
                there.state
            )));
        };
        change(&mut moved);
        tracing::info!(id, %from, %to, by, reason, command = moved.command, "recommendation");
        self.write(&mut kept, moved, Some(from), proof)
    }

    /// Changes a recommendation whose state stays.
    fn amend(&self, id: u64, change: impl FnOnce(&mut Recommendation)) -> Result<()> {
        let mut kept = self.kept.lock();
        let Some(there) = kept.recommendations.get(&id) else {
            return Err(Error::internal(format!(
                "recommendation {id} is gone while it is worked on"
            )));
        };
        let mut changed = there.clone();
        change(&mut changed);
        self.rewrite(&mut kept, changed)
    }

    /// Goes on where a process before this one was when it ended.
    ///
    /// # Errors
    /// When the moves cannot be written.
    fn recover(&self) -> Result<()> {
        if !self.current_mode().observes() {
            return Ok(());
        }
        let all: Vec<Recommendation> = self.kept.lock().recommendations.values().cloned().collect();
        for one in all {
            let id = one.id;
            match one.state {
                State::Observed => {
                    self.advance(id, State::Proposed, PIPELINE, "it was observed", None, |_| {})?;
                }
                // A model that predicted goes on with it.
                State::Rehearsing if one.kind == Kind::Model => {}
                State::Rehearsing => {
                    let why = "the process ended while it was rehearsed";
                    self.advance(id, State::Proposed, PIPELINE, why, None, |_| {})?;
                }
                State::Applying if self.is_there(&one)? => {
                    let why = "the change was made before the process ended";
                    self.advance(id, State::Watching, PIPELINE, why, None, |_| {})?;
                    self.watch(&one);
                }
                State::Applying => {
                    let why = "the process ended before the change was made";
                    self.advance(id, State::Ready, PIPELINE, why, None, |_| {})?;
                }
                State::Watching | State::Kept => self.watch(&one),
                State::Reverted if one.undo_is_due => self.undo_or_say(id),
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells a step to who watches.
    fn step(&self, id: u64, step: Step) {
        if let Some(watcher) = &self.options.on_step {
            (watcher.0)(id, step);
        }
    }

    /// What a person asks for is checked: the role and the mode.
    fn admit(&self, verb: Verb, asked: &Asked) -> Result<()> {
        check_role(&asked.role, &format!("{verb} a recommendation"))?;
        let asked_mode = Mode::from_name(&asked.mode).unwrap_or(Mode::Auto);
        let mode = self.current_mode().lowered_to(asked_mode);
        // What takes a change back, or keeps one away, is never refused for the mode but where nothing may be written.
        let least = match verb {
            Verb::Rehearse | Verb::Approve => Mode::Advise,
            Verb::Dismiss | Verb::Revert | Verb::Pin | Verb::Unpin => Mode::Shadow,
        };
        if mode >= least {
            return Ok(());
        }
        Err(Error::unavailable(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot {verb} a recommendation: the mode of the learned parts is {mode}, {least} is needed"),
        )
        .with_hint(if mode < self.current_mode() {
            "This session lowered it: RESET aion.ai_mode.".to_owned()
        } else {
            format!("ALTER SYSTEM SET aion.ai_mode = '{least}' raises it.")
        }))
    }

    /// Does what a person asks for; see [`aion_base::recommendation::Pipeline::ask`].
    pub fn ask_with(&self, asked: &Asked, progress: &Progress<'_>) -> Result<u64> {
        let verb = Verb::from_name(asked.verb)
            .ok_or_else(|| Error::internal(format!("there is no verb \"{}\"", asked.verb)))?;
        self.admit(verb, asked)?;
        match (verb, &asked.of) {
            (Verb::Rehearse, AskedOf::Command(command)) => self.rehearse_command(command, &asked.role, progress),
            (_, AskedOf::Command(_)) => Err(Error::internal("only rehearse takes a command")),
            (verb, AskedOf::Recommendation(id)) => self.act(verb, *id, &asked.role, &asked.reason, progress),
        }
    }

    /// What would pay by estimate.
    pub fn advise(&self, limits: &Limits) -> Result<Advice> {
        self.parts()?.advise(limits)
    }

    /// A rehearsal without a recommendation.
    pub fn try_out(
        &self,
        command: &str,
        options: &RehearsalOptions,
        record: &mut dyn FnMut(&SampleLine),
    ) -> Result<Rehearsed> {
        let change = Change {
            command,
            undo_command: None,
            given: &[],
            commits: None,
        };
        let mut sandboxes = Sandboxes::default();
        let rehearsed = self
            .parts()?
            .rehearse(change, options, &mut sandboxes, &|| false, record);
        self.count(sandboxes.take_spent());
        rehearsed
    }

    /// Looks at the workload, now; the ids of what it proposes.
    pub fn look_now(&self) -> Result<Vec<u64>> {
        self.check_rehearses()?;
        self.counted(|| self.look())
    }

    /// One round, now.
    pub fn learn(&self, progress: &Progress<'_>) -> Result<Cycle> {
        self.check_rehearses()?;
        self.cycle(progress)
    }

    /// A command of somebody else's.
    pub fn plant(&self, command: &str, origin: &str, reason: &str) -> Result<u64> {
        self.check_rehearses()?;
        self.recommend(command, origin, reason)
    }

    fn check_rehearses(&self) -> Result<()> {
        match self.current_mode() {
            mode if mode.rehearses() => Ok(()),
            mode => Err(Error::unavailable(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("nothing is rehearsed: the mode of the learned parts is {mode}"),
            )
            .with_hint("ALTER SYSTEM SET aion.ai_mode = 'advise' raises it.")),
        }
    }

    /// All decisions, in order.
    fn entries(&self) -> Result<Vec<Entry>> {
        stored::entries(&*self.store.snapshot())
    }

    /// Checks the chain of decisions and that each stored verdict follows from its evidence.
    ///
    /// # Errors
    /// Corrupt, naming the first record that is wrong.
    pub fn verify(&self) -> Result<Verified> {
        let snapshot = self.store.snapshot();
        let entries = stored::entries(&*snapshot)?;
        let wrong =
            |what: String| Error::corrupt(what).with_hint("Somebody edited the ledger. A backup has it as it was.");
        ledger::verify(&entries).map_err(|broken| wrong(format!("the ledger is broken: {broken}")))?;
        let mut verdicts = 0;
        for one in self.kept.lock().recommendations.values() {
            let Some((proof, sha256)) = stored::proof(&*snapshot, one.id)? else {
                continue;
            };
            let id = one.id;
            if !proof.is_sound() || !tuning::is_sound(&proof) {
                return Err(wrong(format!(
                    "the verdict on recommendation {id} does not follow from its evidence"
                )));
            }
            let of_this = entries
                .iter()
                .rev()
                .filter(|entry| entry.decision.recommendation_id == id);
            let last = of_this
                .filter_map(|entry| entry.decision.evidence_sha256.as_ref())
                .next();
            if last.is_none_or(|decided| *decided != sha256) {
                return Err(wrong(format!(
                    "the evidence of recommendation {id} is not that of its decision"
                )));
            }
            verdicts += 1;
        }
        Ok(Verified {
            decisions: entries.len(),
            verdicts,
            last_hash: entries.last().map(|last| last.hash.clone()),
        })
    }
}

/// What the check of the ledger found to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries of the chain.
    pub decisions: usize,
    /// Verdicts that were computed again from their evidence.
    pub verdicts: usize,
    /// The hash of the last entry. Who keeps it finds entries that are cut off at the end.
    pub last_hash: Option<String>,
}

/// The place of a mode among all of them.
fn index_of(mode: Mode) -> u8 {
    let at = Mode::ALL.iter().position(|there| *there == mode);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
}

/// Who may ask for changes.
fn check_role(role: &str, what: &str) -> Result<()> {
    if role == SUPERUSER || role == ADMINISTRATORS {
        return Ok(());
    }
    Err(Error::denied(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("role \"{role}\" may not {what}"),
    )
    .with_hint(format!("{SUPERUSER} and {ADMINISTRATORS} may.")))
}

impl aion_base::recommendation::Pipeline for Pipeline {
    fn mode(&self) -> &'static str {
        self.current_mode().name()
    }

    fn status(&self) -> Vec<StatusRow> {
        self.status_rows()
    }

    fn models(&self) -> Vec<ModelRow> {
        self.models.rows()
    }

    fn knobs(&self) -> Vec<KnobRow> {
        self.knob_rows()
    }

    fn recommendations(&self, with_evidence: bool) -> Result<Vec<Row>> {
        let all: Vec<Recommendation> = self.kept.lock().recommendations.values().cloned().collect();
        let snapshot = with_evidence.then(|| self.store.snapshot());
        let rows = all.into_iter().map(|one| {
            let evidence = match &snapshot {
                Some(snapshot) => stored::evidence(&**snapshot, one.id)?,
                None => None,
            };
            Ok(shown::row(one, evidence))
        });
        rows.collect()
    }

    fn decisions(&self) -> Result<Vec<DecisionRow>> {
        Ok(self.entries()?.into_iter().map(shown::decision).collect())
    }

    fn ask(&self, asked: &Asked, is_cancelled: &(dyn Fn() -> bool + Sync)) -> Result<u64> {
        self.ask_with(
            asked,
            &Progress {
                is_cancelled,
                sampled: &|_| {},
            },
        )
    }

    fn session_settings(&self) -> Vec<(String, String)> {
        let kept = self.kept.lock();
        let settings = kept.settings.sessions.iter();
        settings.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn session_settings_version(&self) -> u64 {
        self.session_settings_version.load(Ordering::Acquire)
    }

    fn configure(&self, name: &str, value: Option<&str>, role: &str) -> Result<()> {
        check_role(role, "change the settings of the database")?;
        self.set(name, value)
    }
}

impl Observer for Pipeline {
    fn is_on(&self) -> bool {
        self.current_mode().observes()
    }

    fn wants_operators(&self, queryid: i64) -> bool {
        self.models.wants_operators()
            || self
                .observed()
                .is_some_and(|observed| observed.wants_operators(queryid))
    }

    fn predicts(&self) -> bool {
        self.models.predicts()
    }

    fn predict(&self, sub_plans: &[&SubPlan]) -> Option<Predicted> {
        self.models.predict(sub_plans)
    }

    fn observe(&self, observation: Observation) {
        self.added.record(observation.added);
        self.told.record(observation.told);
        if observation.is_complete {
            self.tuning.latencies.record(observation.execution);
            let (queryid, took) = (observation.fingerprint.queryid, observation.execution);
            self.worker
                .post(self.watching.executed(queryid, took, self.clock.monotonic()));
        }
        self.models.observe(&observation, self.now());
        if let Some(observed) = self.observed() {
            observed.observe(observation);
        }
    }

    fn statements(&self) -> Vec<StatementFigures> {
        self.observed().map_or_else(Vec::new, |observed| observed.statements())
    }

    fn forget(&self, queryid: i64) -> bool {
        self.observed().is_some_and(|observed| observed.forget(queryid))
    }
}
