//! Whether a model estimates rows better than what is in force.
//!
//! **Vocabulary.** A *sample* is a sub-plan that ran to its end, with what the incumbent and the candidate had predicted; neither had seen
//! it. It stands in one of two *splits*: of the *time* split, the candidate was trained on what came before; of the *template* split, on
//! other statements. A random split would leak: the same statement would be in training and test. The *Q-error* is the factor by which a
//! prediction is off. A *gain* is a quantile of the incumbent's Q-errors over that of the candidate's: above 1 the candidate is better.
//!
//! In this order, the first that holds:
//!
//! 1. A prediction of the candidate is no number, or negative: rejected. Who gives one NaN gives more.
//! 2. There are fewer samples than [`Terms::samples_min`], fewer in a split than [`Terms::split_min`], or fewer templates left out than
//!    [`Terms::templates_min`]: undecided.
//! 3. Of one of the four gains (median and 95 %, in both splits) the whole interval lies below 1: rejected.
//! 4. The lower bounds of all four reach [`Terms::gain_min`]: ready.
//! 5. There may be more samples, up to [`Terms::samples_max`]: undecided. Else rejected: not shown to win.
//!
//! So a model that was trained before a shift fails in the time split, one that knows statements by heart in the template split. Where
//! the incumbent's median is exact there is nothing to win, and no model is promoted.
//!
//! **Interval.** A paired percentile bootstrap, as in [`crate::statistics`]: [`RESAMPLES`] times, samples are drawn with replacement, the
//! same for both arms. The template split draws whole templates (a cluster bootstrap; Davison, Hinkley 1997, 3.8): samples of a statement are
//! alike, and what counts is statements that were never seen. A quantile is the least Q-error that at least that part of the drawn
//! samples does not exceed, so it is always one that occurred.
//!
//! **Replay.** Draws are `SeededRng::below(n)`: in the time split `n` for each of n samples, in their order, with the seed that stands
//! beside the verdict; in the template split for each of n templates, in ascending order of their queryids, with the seed after it.
//!
//! Left out: the cost of predicting, and what plans would have come of it; that is for a rehearsal.

use std::collections::BTreeMap;

use aion_base::rng::SeededRng;
use serde::{Deserialize, Deserializer, Serialize};

use crate::statistics::RESAMPLES;
use crate::verdict::Verdict;

/// Of the sorted resamples, the position of the lower bound; the upper one lies as far from the end.
const LOW: usize = RESAMPLES * 25 / 1_000;
/// A template with fewer samples is not named the worst.
const WORST_MIN: usize = 3;

/// What the candidate had not seen of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// It is later than all that it was trained on.
    Time,
    /// Its statement.
    Template,
}

/// A sub-plan that ran to its end, and what was predicted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The statement.
    pub queryid: i64,
    /// When it ran: microseconds since 1970.
    pub at: u64,
    /// Rows that it gave.
    pub actual: f64,
    /// Rows that the incumbent predicted.
    #[serde(deserialize_with = "nan_of_null")]
    pub incumbent: f64,
    /// Rows that the candidate predicted; perhaps no number. JSON has null for that.
    #[serde(deserialize_with = "nan_of_null")]
    pub candidate: f64,
    /// What the candidate had not seen of it.
    pub split: Split,
}

fn nan_of_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// What a model must show.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Samples in all before anything is decided.
    pub samples_min: usize,
    /// Samples of each split.
    pub split_min: usize,
    /// Left-out templates.
    pub templates_min: usize,
    /// Samples after which what is not shown counts as not so.
    pub samples_max: usize,
    /// The lower bound of each gain must reach this. Above 1: a contest is looked at again and again while samples come in.
    pub gain_min: f64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            samples_min: 200,
            split_min: 50,
            templates_min: 5,
            samples_max: 10_000,
            gain_min: 1.02,
        }
    }
}

/// A gain with its 95 % interval; above 1 the candidate is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// The incumbent's quantile.
    pub incumbent: f64,
    /// The candidate's.
    pub candidate: f64,
    /// Their ratio.
    pub point: f64,
    /// 2.5 % of the resamples lie below.
    pub low: f64,
    /// 2.5 % of the resamples lie above.
    pub high: f64,
}

/// What a split shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitFigures {
    /// Its samples.
    pub samples: usize,
    /// Statements among them.
    pub templates: usize,
    /// Of the medians.
    pub p50: Gain,
    /// Of the 95 % quantiles.
    pub p95: Gain,
}

/// What a statement shows, over both splits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemplateFigures {
    /// The statement.
    pub queryid: i64,
    /// Its samples.
    pub samples: usize,
    /// The geometric mean of the incumbent's Q-errors over that of the candidate's; below 1 the incumbent is better.
    pub ratio: f64,
}

/// The figures of a contest, as the views show them.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Samples that count.
    pub samples: usize,
    /// Samples that do not: the incumbent's prediction, or the truth, is no number of rows.
    pub excluded: usize,
    /// Predictions of the candidate that are no number of rows.
    pub nonsense: usize,
    /// None without a sample.
    pub time: Option<SplitFigures>,
    /// None without a sample.
    pub template: Option<SplitFigures>,
    /// The statement where the candidate is at its worst, be it better there or not. None where no statement has three samples.
    pub worst: Option<TemplateFigures>,
    /// Statements of three samples and more where the incumbent is better, the worst first.
    pub incumbent_better: Vec<TemplateFigures>,
}

/// The factor between prediction and truth, each at least one row; None where one is no number of rows.
pub fn q_error(predicted: f64, actual: f64) -> Option<f64> {
    let is_rows = |rows: f64| rows.is_finite() && rows >= 0.0;
    let (one, two) = (predicted.max(1.0), actual.max(1.0));
    (is_rows(predicted) && is_rows(actual)).then(|| (one / two).max(two / one))
}

/// The verdict over these samples, with its figures; `seed` is that of the draws.
pub fn judge(samples: &[Sample], terms: &Terms, seed: u64) -> (Verdict, Figures) {
    let figures = figures(samples, seed);
    (figures.verdict(terms), figures)
}

/// The figures; `seed` is that of the draws.
pub fn figures(samples: &[Sample], seed: u64) -> Figures {
    let mut errors: BTreeMap<i64, Vec<Errors>> = BTreeMap::new();
    let mut splits = [Vec::new(), Vec::new()];
    let (mut excluded, mut nonsense) = (0, 0);
    for sample in samples {
        // Whatever else is wrong with a sample, this is looked at.
        let is_nonsense = !(sample.candidate.is_finite() && sample.candidate >= 0.0);
        nonsense += usize::from(is_nonsense);
        let Some(incumbent) = q_error(sample.incumbent, sample.actual) else {
            excluded += 1;
            continue;
        };
        let one = Errors {
            queryid: sample.queryid,
            incumbent,
            candidate: q_error(sample.candidate, sample.actual).unwrap_or(f64::INFINITY),
        };
        errors.entry(one.queryid).or_default().push(one);
        splits[usize::from(sample.split == Split::Template)].push(one);
    }
    let mut templates: Vec<TemplateFigures> = errors.values().filter_map(|errors| template(errors)).collect();
    templates.sort_by(|one, two| one.ratio.total_cmp(&two.ratio));
    let worst = templates.first().copied();
    templates.retain(|template| template.ratio < 1.0);
    let [time, template] = splits;
    Figures {
        samples: time.len() + template.len(),
        excluded,
        nonsense,
        time: Resampling::by_sample(&time).figures(&time, seed),
        template: Resampling::by_template(&template).figures(&template, seed.wrapping_add(1)),
        worst,
        incumbent_better: templates,
    }
}

impl Figures {
    /// The four gains, each with what it is of.
    fn gains(&self) -> impl Iterator<Item = (&'static str, Gain)> {
        let time = self
            .time
            .map(|split| [("median, by time", split.p50), ("95 %, by time", split.p95)]);
        let template = self
            .template
            .map(|split| [("median, by template", split.p50), ("95 %, by template", split.p95)]);
        time.into_iter().chain(template).flatten()
    }

    /// The verdict under these terms.
    pub fn verdict(&self, terms: &Terms) -> Verdict {
        if self.nonsense > 0 {
            return Verdict::Rejected(format!("{} of its predictions are no number of rows", self.nonsense));
        }
        let (Some(time), Some(template)) = (self.time, self.template) else {
            return Verdict::Undecided;
        };
        let is_enough = self.samples >= terms.samples_min
            && time.samples.min(template.samples) >= terms.split_min
            && template.templates >= terms.templates_min;
        if !is_enough {
            return Verdict::Undecided;
        }
        if let Some((what, gain)) = self.gains().find(|(_, gain)| gain.high < 1.0) {
            return Verdict::Rejected(format!("it is worse: {}", described(what, &gain)));
        }
        let missing = self
            .gains()
            .find(|(_, gain)| gain.low < terms.gain_min.max(1.0) || gain.low <= 1.0);
        match missing {
            None => Verdict::Ready,
            Some(_) if self.samples < terms.samples_max => Verdict::Undecided,
            Some((what, gain)) => Verdict::Rejected(format!(
                "not shown to win: {}, at least {:.2} is asked for",
                described(what, &gain),
                terms.gain_min
            )),
        }
    }
}

fn described(what: &str, gain: &Gain) -> String {
    let Gain {
        incumbent,
        candidate,
        point,
        low,
        high,
    } = gain;
    format!("Q-error {candidate:.2}, incumbent {incumbent:.2} ({what}): {point:.2}x ({low:.2} to {high:.2})")
}

/// The Q-errors of a sample.
#[derive(Clone, Copy, Debug)]
struct Errors {
    queryid: i64,
    incumbent: f64,
    candidate: f64,
}

fn template(errors: &[Errors]) -> Option<TemplateFigures> {
    let logs = errors.iter().map(|one| one.incumbent.ln() - one.candidate.ln());
    (errors.len() >= WORST_MIN).then(|| TemplateFigures {
        queryid: errors[0].queryid,
        samples: errors.len(),
        ratio: (logs.sum::<f64>() / errors.len() as f64).exp(),
    })
}

/// What is drawn together.
struct Resampling {
    /// Positions of samples.
    clusters: Vec<Vec<usize>>,
    templates: usize,
}

impl Resampling {
    fn by_sample(errors: &[Errors]) -> Self {
        Self {
            clusters: (0..errors.len()).map(|at| vec![at]).collect(),
            templates: Self::by_template(errors).templates,
        }
    }

    fn by_template(errors: &[Errors]) -> Self {
        let mut clusters: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (at, one) in errors.iter().enumerate() {
            clusters.entry(one.queryid).or_default().push(at);
        }
        let clusters: Vec<_> = clusters.into_values().collect();
        Self {
            templates: clusters.len(),
            clusters,
        }
    }

    /// What the samples show, drawn again in these clusters.
    fn figures(&self, errors: &[Errors], seed: u64) -> Option<SplitFigures> {
        let incumbent = Ranked::new(errors.iter().map(|one| one.incumbent));
        let candidate = Ranked::new(errors.iter().map(|one| one.candidate));
        let quantiles = |weights: &[u32]| Some((incumbent.quantiles(weights)?, candidate.quantiles(weights)?));
        let (of_incumbent, of_candidate) = quantiles(&vec![1; errors.len()])?;
        let mut random = SeededRng::new(seed);
        let mut weights = vec![0_u32; errors.len()];
        let mut gains = [Vec::with_capacity(RESAMPLES), Vec::with_capacity(RESAMPLES)];
        for _ in 0..RESAMPLES {
            weights.fill(0);
            for _ in 0..self.clusters.len() {
                let drawn = random.below(self.clusters.len() as u64) as usize;
                for at in &self.clusters[drawn] {
                    weights[*at] += 1;
                }
            }
            let (incumbent, candidate) = quantiles(&weights)?;
            for ((gains, incumbent), candidate) in gains.iter_mut().zip(incumbent).zip(candidate) {
                gains.push(incumbent / candidate);
            }
        }
        let gain = |gains: &mut [f64], incumbent: f64, candidate: f64| {
            gains.sort_unstable_by(f64::total_cmp);
            Some(Gain {
                incumbent,
                candidate,
                point: incumbent / candidate,
                low: *gains.get(LOW)?,
                high: *gains.get(RESAMPLES - 1 - LOW)?,
            })
        };
        let [mut p50, mut p95] = gains;
        Some(SplitFigures {
            samples: errors.len(),
            templates: self.templates,
            p50: gain(&mut p50, of_incumbent[0], of_candidate[0])?,
            p95: gain(&mut p95, of_incumbent[1], of_candidate[1])?,
        })
    }
}

/// Q-errors in ascending order, each with the position of its sample: sorted once, not for each resample.
struct Ranked(Vec<(f64, usize)>);

impl Ranked {
    fn new(errors: impl Iterator<Item = f64>) -> Self {
        let mut ranked: Vec<(f64, usize)> = errors.enumerate().map(|(at, error)| (error, at)).collect();
        ranked.sort_unstable_by(|one, two| one.0.total_cmp(&two.0).then(one.1.cmp(&two.1)));
        Self(ranked)
    }

    /// The median and the 95 % quantile where each sample counts as often as its weight says; None where none counts.
    fn quantiles(&self, weights: &[u32]) -> Option<[f64; 2]> {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        // Whole numbers, rounded up: the position of the quantile, from 1.
        let (half, most) = (total.div_ceil(2), (total * 95).div_ceil(100));
        let (mut seen, mut median) = (0, None);
        for (error, at) in &self.0 {
            seen += u64::from(weights[*at]);
            if seen >= half && median.is_none() {
                median = Some(*error);
            }
            if seen >= most && total > 0 {
                return Some([median?, *error]);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
