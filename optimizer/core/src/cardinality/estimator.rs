//! The seam through which a planner asks how many rows, and what answers there.
//!
//! [`Stack`], for all sub-plans of a query at once:
//!
//! 1. What the feedback cache has seen is answered from it (T0).
//! 2. Of the others, those with a classical estimate (T1) become rows of features, and the model is called, once, with all of them (T2).
//! 3. Each prediction is clamped to the sub-plan's [`bounds`] (T3).
//! 4. Without a model, or where it fails, gives another number of rows than asked or anything but numbers, the classical estimate stands.
//!
//! A stack is made for each query, from shared parts: it knows at which data version the query reads.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aion_base::subplan::{OperatorKind, SubPlan};
use aion_base::{Error, Result};

use super::clamp::{Bounds, Estimate, SPREAD_MAX, TrainingRange, clamp};
use super::features::{Features, features, known};
use super::feedback::{Feedback, Fingerprint};

/// By how much more than their known rows tables may hold: statistics are older than the tables.
const GROWTH: f64 = 2.0;

/// Says how many rows sub-plans give.
pub trait Estimator: fmt::Debug + Send + Sync {
    /// One answer for each of them, in their order; None where nothing is known.
    fn estimate(&self, sub_plans: &[SubPlan]) -> Vec<Option<Estimate>>;
}

/// Predicts, for each row of features, the 10, 50 and 90 % quantiles of log2(true rows / classical estimate).
pub trait Model: Send + Sync {
    /// As many answers as rows, in their order.
    ///
    /// # Errors
    /// Those of the model's run time.
    fn predict(&self, rows: &[Features]) -> Result<Vec<[f32; 3]>>;
}

impl<F> Model for F
where
    F: Fn(&[Features]) -> Result<Vec<[f32; 3]>> + Send + Sync,
{
    fn predict(&self, rows: &[Features]) -> Result<Vec<[f32; 3]>> {
        self(rows)
    }
}

/// Between which numbers of rows a sub-plan's lies, as far as the rows of its tables are known: at most twice their product. Operators that
/// may give more have no upper bound, and a table that is thought to be empty says nothing. What makes rows further down (a union of a
/// table with itself, grouping sets) is not seen in a sub-plan: the doubling is there for that as well.
pub fn bounds(sub_plan: &SubPlan) -> Bounds {
    let mut high = match sub_plan.kind {
        OperatorKind::Other => f64::INFINITY,
        _ if sub_plan.relations.is_empty() => f64::INFINITY,
        _ => 1.0,
    };
    for relation in &sub_plan.relations {
        let rows = known(relation.rows).filter(|rows| *rows >= 1.0);
        // One more: where nothing matches, an outer join keeps a row beside each of the other side's.
        high *= rows.map_or(f64::INFINITY, |rows| rows * GROWTH + 1.0);
    }
    Bounds { low: 0.0, high }
}

/// The planner's own estimate, within the bounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Classical;

impl Estimator for Classical {
    fn estimate(&self, sub_plans: &[SubPlan]) -> Vec<Option<Estimate>> {
        sub_plans.iter().map(classical).collect()
    }
}

fn classical(sub_plan: &SubPlan) -> Option<Estimate> {
    let point = known(sub_plan.estimated_rows)?;
    Some(clamp(point, [f64::NAN; 3], bounds(sub_plan), SPREAD_MAX, false))
}

/// Which tier an answer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// T0: it was seen.
    Feedback,
    /// T1: the planner's own.
    Classical,
    /// T2: the model's, believed.
    Model,
    /// T2: the model's, of an input that is unlike its training.
    Extrapolated,
}

impl Source {
    /// As EXPLAIN shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Feedback => "observed",
            Self::Classical => "classical",
            Self::Model => "learned",
            Self::Extrapolated => "learned, unlike its training",
        }
    }
}

/// What is said of a sub-plan, and by whom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The planner's own estimate, where it has one.
    pub classical: Option<f64>,
    /// To plan with.
    pub estimate: Option<Estimate>,
    /// Whose the estimate is.
    pub source: Source,
}

/// The answers for a query.
#[derive(Debug)]
pub struct Answers {
    /// One for each sub-plan, in their order.
    pub answers: Vec<Answer>,
    /// Why the model was not used, where it failed.
    pub model_error: Option<Error>,
}

/// A model with what limits it.
#[derive(Clone)]
pub struct Limited {
    /// What predicts.
    pub model: Arc<dyn Model>,
    /// What it was trained on; None where that is not known, and then every input is unlike it.
    pub training: Option<Arc<TrainingRange>>,
    /// In doublings; [`SPREAD_MAX`] where nothing else is wished.
    pub spread_max: f64,
}

/// All tiers, for one query.
#[derive(Clone)]
pub struct Stack {
    /// T0; None where nothing is remembered.
    pub feedback: Option<Arc<Mutex<Feedback>>>,
    /// At which the query reads.
    pub data_version: u64,
    /// T2; None where no model is promoted.
    pub model: Option<Limited>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Stack");
        shown.field("data_version", &self.data_version);
        shown.field("has_feedback", &self.feedback.is_some());
        shown.field("has_model", &self.model.is_some()).finish()
    }
}

impl Estimator for Stack {
    fn estimate(&self, sub_plans: &[SubPlan]) -> Vec<Option<Estimate>> {
        let answers = self.answers(sub_plans).answers;
        answers.into_iter().map(|answer| answer.estimate).collect()
    }
}

impl Stack {
    /// The answers, with whose they are: what EXPLAIN shows, and what a model in shadow is compared by.
    pub fn answers(&self, sub_plans: &[SubPlan]) -> Answers {
        let mut answers: Vec<Answer> = sub_plans.iter().map(unaided).collect();
        self.recall(sub_plans, &mut answers);
        let asked: Vec<usize> = (0..answers.len())
            .filter(|at| answers[*at].source == Source::Classical && answers[*at].classical.is_some())
            .collect();
        let Some(limited) = self.model.as_ref().filter(|_| !asked.is_empty()) else {
            return Answers {
                answers,
                model_error: None,
            };
        };
        let rows: Vec<Features> = asked.iter().map(|at| features(&sub_plans[*at])).collect();
        let predicted = limited.model.predict(&rows).and_then(|predicted| {
            let (got, wanted) = (predicted.len(), rows.len());
            let message = || format!("the cardinality model gave {got} predictions for {wanted} rows");
            (got == wanted)
                .then_some(predicted)
                .ok_or_else(|| Error::internal(message()))
        });
        let predicted = match predicted {
            Ok(predicted) => predicted,
            Err(error) => {
                return Answers {
                    answers,
                    model_error: Some(error),
                };
            }
        };
        for ((at, row), quantiles) in asked.into_iter().zip(&rows).zip(predicted) {
            limited.correct(&sub_plans[at], row, quantiles, &mut answers[at]);
        }
        Answers {
            answers,
            model_error: None,
        }
    }

    /// Answers what was seen before.
    fn recall(&self, sub_plans: &[SubPlan], answers: &mut [Answer]) {
        let Some(feedback) = &self.feedback else { return };
        // A cache that a thread left in the middle of a change is still a cache.
        let mut feedback = feedback.lock().unwrap_or_else(PoisonError::into_inner);
        if feedback.is_empty() {
            return;
        }
        for (sub_plan, answer) in sub_plans.iter().zip(answers) {
            if let Some(observed) = feedback.get(Fingerprint::of(sub_plan), self.data_version) {
                answer.source = Source::Feedback;
                answer.estimate = Some(Estimate {
                    rows: observed.rows,
                    low: observed.low,
                    high: observed.high,
                });
            }
        }
    }
}

impl Limited {
    fn correct(&self, sub_plan: &SubPlan, row: &Features, quantiles: [f32; 3], answer: &mut Answer) {
        let Some(point) = answer
            .classical
            .filter(|_| quantiles.iter().all(|quantile| quantile.is_finite()))
        else {
            return;
        };
        let is_unlike = self.training.as_ref().is_none_or(|training| training.is_unlike(row));
        let quantiles = quantiles.map(f64::from);
        answer.estimate = Some(clamp(point, quantiles, bounds(sub_plan), self.spread_max, is_unlike));
        answer.source = if is_unlike { Source::Extrapolated } else { Source::Model };
    }
}

fn unaided(sub_plan: &SubPlan) -> Answer {
    Answer {
        classical: known(sub_plan.estimated_rows),
        estimate: classical(sub_plan),
        source: Source::Classical,
    }
}

#[cfg(test)]
mod tests;
