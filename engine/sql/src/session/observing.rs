//! What of a statement an observer is told (see `observe`).

use std::sync::Arc;
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::observation::{Fingerprint, Observation};
use aion_catalog::Value;
use datafusion::physical_plan::ExecutionPlan;

use super::{Prepared, Session};
use crate::observe::{Observing, fingerprint};

/// A statement without its literals, and by itself, without the others that came with it.
#[derive(Debug)]
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
        if !self.is_observed() {
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
        let known = prepared.known.get_or_init(|| known(prepared)).as_ref()?;
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
            model: None,
            execution: Duration::ZERO,
            rows: 0,
            operators: Vec::new(),
        };
        let wants_operators = observer.wants_operators(known.fingerprint.queryid);
        let physical = physical.filter(|_| wants_operators).cloned();
        let mut observing = Observing::new(observer, observation, physical);
        observing.predict();
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
