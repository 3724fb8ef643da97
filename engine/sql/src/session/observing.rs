//! What of a statement an observer is told (see `observe`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::observation::{Fingerprint, Observation};
use aion_catalog::Value;
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use super::{Prepared, Session};
use crate::observe::{Observing, fingerprint};
use crate::parse::mentions_password;
use crate::utility;

/// Texts that are known, and their bytes: when either is reached, all are forgotten.
const TEXTS_MAX: usize = 1_000;
const TEXT_BYTES_MAX: usize = 4 << 20;

/// Statements that came before and have no literals: taking a text apart takes as long as asking a model, and drivers send the same
/// ones. One with literals is not kept, so that they can be forgotten.
#[derive(Debug, Default)]
pub(crate) struct KnownTexts(Mutex<Texts>);

#[derive(Debug, Default)]
struct Texts {
    /// By text, and the statement's number in it.
    known: HashMap<(Arc<str>, usize), Known>,
    bytes: usize,
}

impl KnownTexts {
    fn of(&self, prepared: &Prepared) -> Option<Known> {
        let statement = &prepared.statement;
        let key = (statement.text.clone(), statement.ordinal);
        if let Some(known) = self.0.lock().known.get(&key) {
            return Some(known.clone());
        }
        let found = known(prepared)?;
        // Literals are numbered after the parameters.
        let has_literals = found
            .fingerprint
            .query
            .contains(&format!("${}", prepared.parameters.len() + 1));
        let bytes = statement.text.len() * 2;
        // The text has the statements that came with it, too, and one of them may set a password.
        let is_harmless = !has_literals && !mentions_password(&statement.text);
        if is_harmless && bytes <= TEXT_BYTES_MAX / 64 {
            let mut texts = self.0.lock();
            if texts.known.len() >= TEXTS_MAX || texts.bytes + bytes > TEXT_BYTES_MAX {
                *texts = Texts::default();
            }
            texts.bytes += bytes;
            texts.known.insert(key, found.clone());
        }
        Some(found)
    }
}

/// A statement without its literals, and by itself, without the others that came with it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    fingerprint: Fingerprint,
    text: Arc<str>,
}

impl Session {
    /// Whether statements are told of.
    pub(super) fn is_observed(&self) -> bool {
        self.choices.is_observed
    }

    /// Begins to observe an execution that was planned in `planning`; None where nobody wants to know. `physical` is what will
    /// run.
    pub(super) fn observe(
        &self,
        prepared: &Prepared,
        values: &[Value],
        planning: Duration,
        physical: Option<&Arc<dyn ExecutionPlan>>,
    ) -> Option<Observing> {
        // What was is no workload of what is.
        if !self.is_observed() || self.is_past() || utility::is_secret(&prepared.statement.ast) {
            return None;
        }
        let observer = self
            .engine
            .options
            .observer
            .clone()
            .filter(|observer| observer.is_on())?;
        let clock = SystemClock::default();
        let begin = clock.monotonic();
        let known = prepared
            .known
            .get_or_init(|| self.engine.known_texts.of(prepared))
            .as_ref()?;
        let parameters = values.iter().zip(&prepared.parameters).map(|(value, sql_type)| {
            let mut text = String::new();
            (*value != Value::Null).then(|| {
                value.text_out(sql_type, &mut text);
                text
            })
        });
        let observation = Observation {
            fingerprint: known.fingerprint.clone(),
            text: known.text.clone(),
            parameters: parameters.collect(),
            search_path: self.choices.search_path.clone(),
            is_read_only: prepared.statement.refuse_change().is_ok(),
            is_complete: false,
            planning,
            added: Duration::ZERO,
            told: Duration::ZERO,
            model: None,
            execution: Duration::ZERO,
            rows: 0,
            operators: Vec::new(),
        };
        let wants_operators = observer.wants_operators(known.fingerprint.queryid);
        let physical = physical.filter(|_| wants_operators).cloned();
        let mut observing = Observing::new(observer, observation, physical);
        observing.added(clock.monotonic().saturating_sub(begin));
        Some(observing)
    }
}

fn known(prepared: &Prepared) -> Option<Known> {
    let text = &prepared.statement.text;
    let (fingerprint, place) = fingerprint(text, prepared.statement.ordinal)?;
    let text = match place == (0..text.len()) {
        true => text.clone(),
        false => text.get(place)?.into(),
    };
    Some(Known { fingerprint, text })
}
