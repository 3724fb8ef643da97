//! Training of a perceptron that predicts how far the classical estimate of rows is off.
//!
//! **What is learned.** For the features of a sub-plan, the 10, 50 and 90 % quantiles of log2(true rows / classical estimate). A model
//! that has learned nothing predicts 0, and the estimate stands.
//!
//! **Steps.**
//!
//! 1. The newest rows, at most [`TrainOptions::rows_max`], are split by time and by template (`split`).
//! 2. Features are standardised over the rows that train; the first layer takes that over at the end, so the model takes raw ones.
//! 3. AdamW (Loshchilov, Hutter 2019) on the pinball loss of shuffled batches; the step falls to a twentieth over the epochs.
//! 4. After each epoch the loss on the validation rows; the weights with the least are kept. It ends after
//!    [`TrainOptions::patience`] epochs without a new least one, or when epochs or time run out.
//! 5. The model is judged on the later rows and on those of left-out templates, which no step before has seen.
//!
//! **Underestimates.** They are what makes plans bad, so a row whose classical estimate was too low counts three times. Where features
//! tell such rows from others this only draws the network's attention to them; where they do not, it moves all quantiles up: the model
//! is pessimistic where it does not know.
//!
//! **Censored rows** push a prediction up to their bound, and never down.
//!
//! **The same seed and rows give the same bytes** on the same kind of processor. A batch is small enough that candle multiplies it on the
//! caller's thread; with more threads the sums would be the same too, because no sum is split among them.

use std::time::Duration;

use aion_base::clock::Clock;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};
use aion_models_registry::{
    BATCH_MAX, FeatureSet, LAYERS_MAX, Lineage, Manifest, Mlp, PARAMETERS_MAX, Predictor, QUANTILES, WIDTH_MAX,
};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use crate::accuracy::Accuracy;
use crate::dataset::{Dataset, Example};
use crate::network::{Batch, Network, Standard, Weights, failed};
use crate::split::{shuffle, split};

/// Rows of one step. 128 x 64 x 64 multiplications stay below the number from which on gemm asks other threads for help.
const BATCH_ROWS: usize = 128;
/// Rows with a known count that training takes at least.
const ROWS_MIN: usize = 100;
/// Rows with a known count that say when to stop, and that judge, at least.
const HELD_OUT_MIN: usize = 10;
/// Of a step of the first epoch, that of the last one.
const LAST_STEP: f64 = 0.05;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Of the first weights, the order of rows and the templates that are left out.
    pub seed: u64,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Passes over the rows.
    pub epochs_max: usize,
    /// Epochs without a better validation after which it ends.
    pub patience: usize,
    /// The size of a step.
    pub learning_rate: f64,
    /// How much weights are drawn to zero.
    pub weight_decay: f64,
    /// How often a row counts whose classical estimate was too low.
    pub underestimate_weight: f32,
    /// Of more rows, the newest are taken.
    pub rows_max: usize,
    /// When it ends with what it has.
    pub time_max: Duration,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            hidden: vec![64, 64],
            epochs_max: 100,
            patience: 12,
            learning_rate: 3e-3,
            weight_decay: 1e-4,
            underestimate_weight: 3.0,
            rows_max: 100_000,
            time_max: Duration::from_secs(60),
        }
    }
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All epochs were done.
    Epochs,
    /// The validation did not get better.
    Patience,
    /// The time was over.
    Time,
}

/// How training went.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Rows that it was trained on.
    pub train_rows: u64,
    /// Rows that said when to stop.
    pub validation_rows: u64,
    /// Epochs that were done.
    pub epochs: usize,
    /// The epoch whose weights were kept; 0 are the first ones.
    pub best_epoch: usize,
    /// Why it ended.
    pub stop: Stop,
    /// On later rows.
    pub by_time: Accuracy,
    /// On rows of templates that were left out; None with too few templates.
    pub by_template: Option<Accuracy>,
    /// The part of the later rows that lies between the 10 and the 90 % quantile; 0.8 where they are as they say.
    pub coverage: f64,
    /// The least value of each feature in the rows that trained.
    pub feature_low: Vec<f32>,
    /// The greatest value of each feature in the rows that trained.
    pub feature_high: Vec<f32>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A trained model.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Takes raw features.
    pub mlp: Mlp,
    /// How it went.
    pub report: Report,
}

impl Trained {
    /// A manifest with all that training knows. The digest of the data is not: it costs a pass over it ([`Dataset::sha256`]).
    pub fn manifest(&self, name: &str, features: FeatureSet, options: &TrainOptions, trained_at: i64) -> Manifest {
        let report = &self.report;
        let mut manifest = Manifest::new(name, "cardinality", features);
        manifest.trained_at = trained_at;
        manifest.train_rows = report.train_rows;
        manifest.test_rows = report.by_time.rows;
        manifest.q_error_p50 = Some(report.by_time.q_error_p50);
        manifest.q_error_p95 = Some(report.by_time.q_error_p95);
        manifest.baseline_p50 = Some(report.by_time.baseline_p50);
        manifest.baseline_p95 = Some(report.by_time.baseline_p95);
        manifest.seed = options.seed;
        manifest.feature_low.clone_from(&report.feature_low);
        manifest.feature_high.clone_from(&report.feature_high);
        manifest.lineage = Lineage::default();
        manifest
    }
}

/// Trains a model; see the module's header.
///
/// # Errors
/// Invalid (55000) with too few rows to train and judge; Invalid for options that make no network, or where training diverged.
pub fn train(dataset: &Dataset, options: &TrainOptions, clock: &dyn Clock) -> Result<Trained> {
    let start = clock.monotonic();
    let mut random = SeededRng::new(options.seed);
    let rows = split(dataset.examples(), options.rows_max, &mut random.split());
    enough(&rows.train, ROWS_MIN, "to train on")?;
    enough(&rows.validation, HELD_OUT_MIN, "to say when to stop")?;
    enough(&rows.test, HELD_OUT_MIN, "to judge by")?;
    let standard = Standard::of(&rows.train, dataset.width());
    let training = Training {
        train: rows.train.clone(),
        validation: batches(&rows.validation, &standard, options)?,
        standard: &standard,
        options,
        is_over: &|| clock.monotonic().saturating_sub(start) >= options.time_max,
    };
    let outcome = training.run(dataset.width(), &mut random)?;
    let mlp = outcome.best.to_mlp(&standard)?;
    let (by_time, coverage) = judge(&mlp, &rows.test)?;
    let report = Report {
        train_rows: rows.train.len() as u64,
        validation_rows: rows.validation.len() as u64,
        epochs: outcome.epochs,
        best_epoch: outcome.best_epoch,
        stop: outcome.stop,
        by_time: by_time.ok_or_else(|| Error::internal("the rows to judge by are gone"))?,
        by_template: judge(&mlp, &rows.templates)?.0,
        coverage,
        feature_low: extremes(&rows.train, dataset.width(), f32::min),
        feature_high: extremes(&rows.train, dataset.width(), f32::max),
        elapsed: clock.monotonic().saturating_sub(start),
    };
    Ok(Trained { mlp, report })
}

fn enough(rows: &[&Example], least: usize, what_for: &str) -> Result<()> {
    let known = rows.iter().filter(|row| !row.censored).count();
    if known >= least {
        return Ok(());
    }
    Err(Error::invalid(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("{known} rows with a known count are too few {what_for}: it takes {least}"),
    )
    .with_hint("Run more statements with aion.mode at shadow or above."))
}

/// What the steps of training need.
struct Training<'a> {
    train: Vec<&'a Example>,
    validation: Vec<(Batch, usize)>,
    standard: &'a Standard,
    options: &'a TrainOptions,
    is_over: &'a dyn Fn() -> bool,
}

struct Outcome {
    best: Weights,
    best_epoch: usize,
    epochs: usize,
    stop: Stop,
}

impl Training<'_> {
    fn run(mut self, width: usize, random: &mut SeededRng) -> Result<Outcome> {
        let widths = [&[width][..], &self.options.hidden, &[QUANTILES]].concat();
        // Before anything is allocated or any time is spent. The layer that keeps quantiles from crossing is one more.
        let each = widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1]));
        let parameters = each.fold(0, usize::saturating_add);
        if !widths.iter().all(|width| (1..=WIDTH_MAX).contains(width))
            || widths.len() > LAYERS_MAX
            || parameters > PARAMETERS_MAX / 2
        {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "a network of the widths {widths:?} is not within {LAYERS_MAX} layers of 1 to {WIDTH_MAX} and {} weights",
                    PARAMETERS_MAX / 2
                ),
            ));
        }
        let network = Network::new(&widths, random)?;
        let parameters = ParamsAdamW {
            lr: self.options.learning_rate,
            weight_decay: self.options.weight_decay,
            ..ParamsAdamW::default()
        };
        let mut optimizer = AdamW::new(network.variables(), parameters).map_err(failed)?;
        let mut outcome = Outcome {
            best: network.weights()?,
            best_epoch: 0,
            epochs: 0,
            stop: Stop::Epochs,
        };
        let mut least = self.validate(&network)?;
        for epoch in 1..=self.options.epochs_max {
            let done = (epoch - 1) as f64 / self.options.epochs_max as f64;
            optimizer.set_learning_rate(self.options.learning_rate * (1.0 - (1.0 - LAST_STEP) * done));
            shuffle(&mut self.train, random);
            let is_whole = self.epoch(&network, &mut optimizer)?;
            let loss = self.validate(&network)?;
            let weights = network.weights()?;
            if !weights.is_finite() {
                return Err(diverged());
            }
            outcome.epochs = epoch;
            if loss < least {
                least = loss;
                outcome.best = weights;
                outcome.best_epoch = epoch;
            }
            if !is_whole || epoch - outcome.best_epoch >= self.options.patience {
                outcome.stop = if is_whole { Stop::Patience } else { Stop::Time };
                break;
            }
        }
        Ok(outcome)
    }

    /// One pass over the rows; false where the time was over before its end.
    fn epoch(&self, network: &Network, optimizer: &mut AdamW) -> Result<bool> {
        for rows in self.train.chunks(BATCH_ROWS) {
            if (self.is_over)() {
                return Ok(false);
            }
            let batch = Batch::of(rows, self.standard, self.options.underestimate_weight)?;
            let loss = network.loss(&batch)?;
            optimizer.backward_step(&loss).map_err(failed)?;
        }
        Ok(true)
    }

    fn validate(&self, network: &Network) -> Result<f64> {
        let (mut total, mut count) = (0.0, 0);
        for (batch, rows) in &self.validation {
            let loss = network.loss(batch)?.to_scalar::<f32>().map_err(failed)?;
            total += f64::from(loss) * *rows as f64;
            count += rows;
        }
        let mean = total / count.max(1) as f64;
        if mean.is_finite() { Ok(mean) } else { Err(diverged()) }
    }
}

fn diverged() -> Error {
    Error::invalid(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "training diverged: its numbers are not finite any more",
    )
    .with_hint("Take a lower learning rate.")
}

fn batches(rows: &[&Example], standard: &Standard, options: &TrainOptions) -> Result<Vec<(Batch, usize)>> {
    let batch = |rows: &[&Example]| Ok((Batch::of(rows, standard, options.underestimate_weight)?, rows.len()));
    rows.chunks(BATCH_ROWS).map(batch).collect()
}

/// The Q-errors on the rows with a known count, and the part of them between the outer quantiles.
fn judge(mlp: &Mlp, rows: &[&Example]) -> Result<(Option<Accuracy>, f64)> {
    let known: Vec<&Example> = rows.iter().filter(|row| !row.censored).copied().collect();
    let mut pairs = Vec::with_capacity(known.len());
    let mut covered = 0;
    for some in known.chunks(BATCH_MAX) {
        let features: Vec<f32> = some.iter().flat_map(|row| row.features.iter().copied()).collect();
        let predicted = mlp.predict(&features)?;
        for (row, quantiles) in some.iter().zip(predicted.chunks_exact(QUANTILES)) {
            pairs.push((row.log2_ratio, quantiles[1]));
            covered += usize::from(quantiles[0] <= row.log2_ratio && row.log2_ratio <= quantiles[2]);
        }
    }
    Ok((Accuracy::of(&pairs), covered as f64 / pairs.len().max(1) as f64))
}

fn extremes(rows: &[&Example], width: usize, of: fn(f32, f32) -> f32) -> Vec<f32> {
    let each = (0..width).map(|at| rows.iter().map(|row| row.features[at]).reduce(of).unwrap_or_default());
    each.collect()
}
