//! The cardinality model: what is learnt from executions, and what is predicted beside the planner.
//!
//! **Steps.**
//!
//! 1. Each operator that ran, of those executions whose operators are observed, is an *example*: its features and how far the planner's
//!    estimate was off (`aion_optimizer_core::cardinality`). The latest [`EXAMPLES_MAX`] are kept, in memory and in
//!    `models/examples.jsonl`. Statements that are *held out* ([`is_held_out`]) never are: they judge.
//! 2. From [`EXAMPLES_MIN`] examples on a model is trained, and again when a third of them is new ([`Pipeline::train_if_due`]). It goes into the
//!    registry in `models/` and predicts *in shadow*: its rows stand beside the planner's and steer nothing.
//! 3. Each prediction of an operator that then ran to its end is a *sample*, of the template split where the statement was held out, else
//!    of the time split. From 200 samples on they are judged (`aion_shadow::contest`); the model is a recommendation whose rehearsal that is.
//!
//! **Guarantees.** A model that fails, or gives what is no number, predicts no more; its row in `aion.models` says why. Nothing of this
//! is on the path of a statement but the prediction itself, after its last row: features and one call for all operators of a plan.
//!
//! Left out: plans made with learned rows. A model that won its contest stays in shadow until the planner takes them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::files::{Files, Open, OsFiles, read_all};
use aion_base::observation::{Observation, Predicted, PredictedRows};
use aion_base::recommendation::ModelRow;
use aion_base::subplan::{OperatorKind, SubPlan};
use aion_base::{Error, Result, SqlState};
use aion_models_learn::{Dataset, Example, TrainOptions, train};
use aion_models_onnx::Engine;
use aion_models_registry::onnx::export;
use aion_models_registry::{FeatureSet, Manifest, Predictor, Registry, Stage};
use aion_optimizer_core::cardinality::clamp::{SPREAD_MAX, TrainingRange, clamp};
use aion_optimizer_core::cardinality::estimator::bounds;
use aion_optimizer_core::cardinality::features::{self, FEATURES, features};
use aion_optimizer_core::cardinality::training::TrainingRow;
use aion_shadow::contest::{self, Sample, Split, Terms};
use aion_shadow::recommendation::{Contest, PIPELINE};
use aion_shadow::state::{Kind, State};
use aion_shadow::verdict::Verdict;
use parking_lot::{Mutex, RwLock};

use super::Pipeline;
use super::rehearse::Proposed;
use crate::observed::write;

/// The name of the model.
const NAME: &str = "aion-card";
/// Examples that are kept.
const EXAMPLES_MAX: usize = 20_000;
/// Examples that a model is trained from at least.
const EXAMPLES_MIN: usize = 200;
/// Samples between two judgements.
const JUDGE_EVERY: usize = 50;
/// Samples of a contest that are kept; what is not shown by then is not so.
const SAMPLES_MAX: usize = 4_000;
/// Samples up to which the operators of every execution are of interest, so that a contest does not take for ever.
const SAMPLES_EAGER: usize = 1_000;
/// Rows on which ONNX Runtime is compared with the plain evaluator.
const PROBES: usize = 32;

/// See the module's header.
#[derive(Debug, Default)]
pub struct Models {
    /// None in memory: then there are examples, and no models.
    directory: Option<PathBuf>,
    registry: Mutex<Option<Registry>>,
    serving: RwLock<Option<Arc<Serving>>>,
    learnt: Mutex<Learnt>,
    /// What went wrong while predicting, to be written down by a thread that may.
    failure: Mutex<Option<(u64, String)>>,
}

#[derive(Debug, Default)]
struct Learnt {
    examples: VecDeque<TrainingRow>,
    /// Since a model was trained.
    new: usize,
    samples: Vec<Sample>,
    /// Samples when they were last judged.
    judged: usize,
}

/// A model that predicts.
#[derive(Debug)]
struct Serving {
    version: u64,
    label: Arc<str>,
    predictor: Arc<dyn Predictor>,
    engine: Engine,
    note: Option<String>,
    range: Option<TrainingRange>,
}

/// Whether a statement's executions judge models, and never train them: two of five do.
fn is_held_out(queryid: i64) -> bool {
    // A multiplicative hash (Knuth 6.4): ids may be of any kind.
    let mixed = (queryid as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed % 5 < 2
}

/// Whether a model may say something of an operator.
fn is_learnt(sub_plan: &SubPlan) -> bool {
    sub_plan.kind != OperatorKind::Other && sub_plan.estimated_rows.is_some_and(f64::is_finite)
}

impl Models {
    /// The models of a database.
    pub fn new(data: Option<&Path>) -> Self {
        Self {
            directory: data.map(|data| data.join("models")),
            ..Self::default()
        }
    }

    /// Reads what there is: examples, and the model that predicted last.
    pub fn open(&self) {
        let Some(directory) = &self.directory else { return };
        match Registry::open(Arc::new(OsFiles), directory) {
            Ok(registry) => *self.registry.lock() = Some(registry),
            Err(error) => {
                tracing::warn!(%error, "models cannot be kept: nothing is predicted");
                return;
            }
        }
        match read_examples(&directory.join(EXAMPLES)) {
            Ok(examples) => self.learnt.lock().examples = examples,
            Err(error) => tracing::warn!(%error, "the examples of models cannot be read; learning begins anew"),
        }
        let shadow = self
            .registry
            .lock()
            .as_ref()
            .and_then(|registry| registry.shadow(NAME).cloned());
        if let Some(manifest) = shadow
            && let Err(error) = self.serve(&manifest)
        {
            self.failed(manifest.version, error.message());
        }
    }

    /// Writes the examples.
    ///
    /// # Errors
    /// An IO error; the file is as it was.
    pub fn save(&self) -> Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let lines: String = {
            let learnt = self.learnt.lock();
            learnt
                .examples
                .iter()
                .flat_map(|row| [row.to_json(), "\n".to_owned()])
                .collect()
        };
        match lines.is_empty() {
            true => Ok(()),
            false => write(&directory.join(EXAMPLES), &lines),
        }
    }

    /// Lets a model predict.
    fn serve(&self, manifest: &Manifest) -> Result<()> {
        let mut registry = self.registry.lock();
        let Some(registry) = registry.as_mut() else {
            return Err(Error::unsupported("a database in memory keeps no models"));
        };
        let model = registry.load(NAME, manifest.version)?;
        let set = feature_set();
        if model.manifest.features != set {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "it takes the features {:?}, and these are {set:?}",
                    model.manifest.features
                ),
            ));
        }
        let probes: Vec<f32> = {
            let learnt = self.learnt.lock();
            let last = learnt.examples.iter().rev().take(PROBES);
            last.flat_map(|row| row.features).collect()
        };
        let opened = aion_models_onnx::open(&model.bytes, None, &probes)?;
        let range = range_of(&model.manifest);
        *self.serving.write() = Some(Arc::new(Serving {
            version: manifest.version,
            label: format!("{NAME} v{}", manifest.version).into(),
            predictor: opened.predictor,
            engine: opened.engine,
            note: opened.note,
            range,
        }));
        Ok(())
    }

    /// A model predicts no more.
    fn failed(&self, version: u64, why: &str) {
        tracing::warn!(version, why, "a model predicts no more");
        let mut serving = self.serving.write();
        if serving.as_ref().is_some_and(|serving| serving.version == version) {
            *serving = None;
        }
        drop(serving);
        if let Some(registry) = self.registry.lock().as_mut()
            && let Err(error) = registry.fail(NAME, version, why)
        {
            tracing::warn!(%error, "what is wrong with a model could not be written down");
        }
    }

    /// What the model in shadow predicts of the operators of a plan.
    pub fn predict(&self, sub_plans: &[&SubPlan]) -> Option<Predicted> {
        let serving = self.serving.read().clone()?;
        let asked: Vec<&SubPlan> = sub_plans.iter().copied().filter(|one| is_learnt(one)).collect();
        let inputs: Vec<features::Features> = asked.iter().map(|one| features(one)).collect();
        let predicted = match inputs.is_empty() {
            true => Ok(Vec::new()),
            false => serving.predictor.predict(&inputs.concat()),
        };
        let outputs = match predicted {
            Ok(outputs) => outputs,
            Err(error) => {
                // This is the path of a statement: it is written down elsewhere.
                *self.serving.write() = None;
                *self.failure.lock() = Some((serving.version, error.message().to_owned()));
                return None;
            }
        };
        let mut answers = outputs
            .chunks_exact(3)
            .zip(&asked)
            .zip(&inputs)
            .map(|((quantiles, sub_plan), input)| {
                let quantiles = [quantiles[0], quantiles[1], quantiles[2]].map(f64::from);
                let is_unlike = serving.range.as_ref().is_none_or(|range| range.is_unlike(input));
                let point = sub_plan.estimated_rows.unwrap_or(1.0);
                let estimate = clamp(point, quantiles, bounds(sub_plan), SPREAD_MAX, is_unlike);
                PredictedRows {
                    low: estimate.low,
                    rows: estimate.rows,
                    high: estimate.high,
                }
            });
        let rows = sub_plans
            .iter()
            .map(|one| if is_learnt(one) { answers.next() } else { None });
        Some(Predicted {
            model: serving.label.clone(),
            is_live: false,
            rows: rows.collect(),
        })
    }

    /// Whether a model predicts.
    pub fn predicts(&self) -> bool {
        self.serving.read().is_some()
    }

    /// Whether the operators of the next execution are of interest, whatever they are for the captured workload.
    pub fn wants_operators(&self) -> bool {
        self.serving.read().is_some() && self.learnt.lock().samples.len() < SAMPLES_EAGER
    }

    /// Learns from an execution, at `now` in microseconds since 1970.
    pub fn observe(&self, observation: &Observation, now: i64) {
        if observation.operators.is_empty() || !observation.is_complete {
            return;
        }
        let queryid = observation.fingerprint.queryid;
        let at = u64::try_from(now).unwrap_or(0);
        let is_held_out = is_held_out(queryid);
        let is_ours = {
            let serving = self.serving.read();
            serving
                .as_ref()
                .is_some_and(|serving| Some(&serving.label) == observation.model.as_ref())
        };
        let mut learnt = self.learnt.lock();
        for operator in observation
            .operators
            .iter()
            .filter(|operator| is_learnt(&operator.sub_plan))
        {
            let row = TrainingRow::new(
                &operator.sub_plan,
                operator.actual_rows,
                !operator.is_censored,
                at,
                queryid,
            );
            if let (Some(row), false) = (row, is_held_out) {
                if learnt.examples.len() >= EXAMPLES_MAX {
                    learnt.examples.pop_front();
                }
                learnt.examples.push_back(row);
                learnt.new += 1;
            }
            if let (Some(predicted), true, false) = (operator.predicted, is_ours, operator.is_censored)
                && learnt.samples.len() < SAMPLES_MAX
            {
                learnt.samples.push(Sample {
                    queryid,
                    at,
                    actual: operator.actual_rows,
                    incumbent: operator.sub_plan.estimated_rows.unwrap_or(f64::NAN),
                    candidate: predicted.rows,
                    split: if is_held_out { Split::Template } else { Split::Time },
                });
            }
        }
    }

    /// The rows of `aion.models`.
    pub fn rows(&self) -> Vec<ModelRow> {
        let registry = self.registry.lock();
        let all = registry.as_ref().map_or(&[][..], |registry| registry.list());
        let rows = all.iter().map(|one| ModelRow {
            name: one.name.clone(),
            version: one.version,
            purpose: one.purpose.clone(),
            stage: one.stage.name(),
            sha256: one.sha256.clone(),
            bytes: one.bytes,
            trained_at: one.trained_at,
            train_rows: one.train_rows,
            test_rows: one.test_rows,
            q_error_p50: one.q_error_p50,
            q_error_p95: one.q_error_p95,
            baseline_p50: one.baseline_p50,
            baseline_p95: one.baseline_p95,
            last_error: one.last_error.clone(),
        });
        rows.collect()
    }

    /// What predicts, for people: the model and how it is run; and what is off.
    pub fn status(&self) -> (String, Option<String>) {
        match self.serving.read().as_ref() {
            Some(serving) => {
                let shown = format!("{} in shadow, run by {}", serving.label, serving.engine.name());
                (shown, serving.note.clone())
            }
            None => {
                let examples = self.learnt.lock().examples.len();
                (
                    format!("no model; {examples} examples of {EXAMPLES_MIN} that one is trained from"),
                    None,
                )
            }
        }
    }

    /// The samples of the model in shadow.
    pub fn samples(&self) -> Vec<Sample> {
        self.learnt.lock().samples.clone()
    }
}

/// The file of examples.
const EXAMPLES: &str = "examples.jsonl";

fn feature_set() -> FeatureSet {
    FeatureSet {
        name: features::NAME.to_owned(),
        version: features::VERSION,
        count: FEATURES,
    }
}

fn range_of(manifest: &Manifest) -> Option<TrainingRange> {
    Some(TrainingRange {
        low: manifest.feature_low.as_slice().try_into().ok()?,
        high: manifest.feature_high.as_slice().try_into().ok()?,
    })
}

fn read_examples(file: &Path) -> Result<VecDeque<TrainingRow>> {
    let failed = |error| Error::io(format_args!("read {}", file.display()), error);
    let bytes = match OsFiles.open(file, Open::Existing) {
        Ok(opened) => read_all(&*opened).map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        Err(error) => return Err(failed(error)),
    };
    let dataset = Dataset::from_lines(&String::from_utf8_lossy(&bytes))?;
    let rows = dataset.examples().iter().filter_map(|one| {
        Some(TrainingRow {
            features: one.features.as_slice().try_into().ok()?,
            log2_ratio: one.log2_ratio,
            censored: one.censored,
            at: u64::try_from(one.at).ok()?,
            queryid: one.queryid,
        })
    });
    Ok(rows.collect())
}

impl Pipeline {
    /// Trains a model if there is enough that is new.
    ///
    /// # Errors
    /// An IO error, or what training answers.
    pub(super) fn train_if_due(&self) -> Result<()> {
        let is_due = {
            let learnt = self.models.learnt.lock();
            let examples = learnt.examples.len();
            examples >= EXAMPLES_MIN && learnt.new.saturating_mul(3) >= examples
        };
        match is_due {
            true => self.train().map(drop),
            false => Ok(()),
        }
    }

    /// Trains a model of what was learnt so far, and lets it predict in shadow; its version. None where a database in memory keeps none.
    ///
    /// # Errors
    /// 55000 where there are too few examples; an IO error.
    pub fn train(&self) -> Result<Option<u64>> {
        if self.models.registry.lock().is_none() {
            return Ok(None);
        }
        let mut dataset = Dataset::new(FEATURES);
        {
            let mut learnt = self.models.learnt.lock();
            for row in &learnt.examples {
                dataset.push(Example {
                    features: row.features.to_vec(),
                    log2_ratio: row.log2_ratio,
                    censored: row.censored,
                    at: i64::try_from(row.at).unwrap_or(i64::MAX),
                    queryid: row.queryid,
                })?;
            }
            learnt.new = 0;
        }
        let options = TrainOptions::default();
        let trained = self.counted(|| train(&dataset, &options, &self.clock))?;
        let mut manifest = trained.manifest(NAME, feature_set(), &options, self.now());
        manifest.lineage.data_sha256 = Some(dataset.sha256());
        let file = export(&trained.mlp, &feature_set(), &[])?;
        let manifest = {
            let mut registry = self.models.registry.lock();
            let Some(registry) = registry.as_mut() else {
                return Ok(None);
            };
            manifest.lineage.parent = registry.shadow(NAME).map(|parent| parent.version);
            let added = registry.add(manifest, &file)?;
            registry.set_stage(NAME, added.version, Stage::Shadow)?
        };
        self.begin_shadow(&manifest)?;
        Ok(Some(manifest.version))
    }

    /// Lets a model of the registry predict, and makes a recommendation of it whose rehearsal that is.
    fn begin_shadow(&self, manifest: &Manifest) -> Result<()> {
        let version = manifest.version;
        {
            let mut learnt = self.models.learnt.lock();
            learnt.samples.clear();
            learnt.judged = 0;
        }
        for id in self.models_in(State::Rehearsing) {
            self.advance(id, State::Rejected, PIPELINE, "a newer model was trained", None, |_| {})?;
        }
        let id = self.observe_proposal(Proposed {
            kind: Kind::Model,
            object: NAME.to_owned(),
            command: format!("{NAME} v{version}: plan with its rows"),
            undo_command: None,
            makes: None,
            drops: None,
            design: format!("model {NAME} v{version}"),
            origin: "advisor".to_owned(),
            queryids: Vec::new(),
            calls: None,
            estimated_speedup: None,
            estimated_bytes: Some(manifest.bytes),
            reason: format!("it was trained on {} operators that ran", manifest.train_rows),
        })?;
        self.advance(id, State::Rehearsing, PIPELINE, "it predicts in shadow", None, |_| {})?;
        if let Err(error) = self.models.serve(manifest) {
            self.models.failed(version, error.message());
            self.advance(id, State::Failed, PIPELINE, error.message(), None, |_| {})?;
        }
        Ok(())
    }

    /// Recommendations of models in a state.
    fn models_in(&self, state: State) -> Vec<u64> {
        let kept = self.kept.lock();
        let all = kept.recommendations.values();
        let models = all.filter(|one| one.kind == Kind::Model && one.state == state);
        models.map(|one| one.id).collect()
    }

    /// Judges the model in shadow where there are enough new samples, and writes down what failed.
    ///
    /// # Errors
    /// When a decision cannot be written.
    pub(super) fn judge_model(&self) -> Result<()> {
        if let Some((version, why)) = self.models.failure.lock().take() {
            self.models.failed(version, &why);
            for id in self.models_in(State::Rehearsing) {
                self.advance(id, State::Failed, PIPELINE, &why, None, |_| {})?;
            }
        }
        let Some(serving) = self.models.serving.read().clone() else {
            return Ok(());
        };
        let terms = Terms {
            samples_max: SAMPLES_MAX,
            ..Terms::default()
        };
        let samples = {
            let mut learnt = self.models.learnt.lock();
            let samples = learnt.samples.len();
            if samples < terms.samples_min || samples < learnt.judged + JUDGE_EVERY {
                return Ok(());
            }
            learnt.judged = samples;
            learnt.samples.clone()
        };
        // The process ended while it predicted: it goes on.
        for id in self.models_in(State::Proposed) {
            self.advance(id, State::Rehearsing, PIPELINE, "it predicts in shadow", None, |_| {})?;
        }
        let Some(&id) = self.models_in(State::Rehearsing).last() else {
            return Ok(());
        };
        let seed = super::rehearse::seed(id);
        let (verdict, figures) = self.counted(|| contest::judge(&samples, &terms, seed));
        if let (Some(registry), Some(time)) = (self.models.registry.lock().as_mut(), &figures.time) {
            let (p50, p95) = (time.p50, time.p95);
            let rows = figures.samples as u64;
            registry.measure(NAME, serving.version, |manifest| {
                manifest.test_rows = rows;
                manifest.q_error_p50 = Some(p50.candidate);
                manifest.q_error_p95 = Some(p95.candidate);
                manifest.baseline_p50 = Some(p50.incumbent);
                manifest.baseline_p95 = Some(p95.incumbent);
            })?;
        }
        let (to, reason) = match &verdict {
            Verdict::Undecided => return Ok(()),
            Verdict::Ready => (
                State::Ready,
                "it estimates better than the planner, in both splits".to_owned(),
            ),
            Verdict::Rejected(why) => (State::Rejected, why.clone()),
        };
        let contest = Contest {
            seed,
            terms,
            samples,
            verdict,
        };
        self.advance(id, to, PIPELINE, &reason, Some(&contest.into()), |_| {})?;
        if to == State::Rejected {
            *self.models.serving.write() = None;
            if let Some(registry) = self.models.registry.lock().as_mut() {
                registry.set_stage(NAME, serving.version, Stage::Retired)?;
            }
        }
        Ok(())
    }

    /// Takes a model file from elsewhere, such as `models/training` makes, into shadow; its version.
    ///
    /// # Errors
    /// Corrupt or Invalid for a file that is no model of ours, 0A000 in memory.
    pub fn accept_model(&self, file: &[u8], manifest: &[u8]) -> Result<u64> {
        let mut manifest = Manifest::from_json(manifest)?;
        NAME.clone_into(&mut manifest.name);
        manifest.stage = Stage::Training;
        let manifest = {
            let mut registry = self.models.registry.lock();
            let registry = registry
                .as_mut()
                .ok_or_else(|| Error::unsupported("a database in memory keeps no models"))?;
            let added = registry.add(manifest, file)?;
            registry.set_stage(NAME, added.version, Stage::Shadow)?
        };
        self.begin_shadow(&manifest)?;
        Ok(manifest.version)
    }
}
