//! Recommendations, decisions and the state of the learned parts as the views show them.

use aion_base::clock::Clock;
use aion_base::recommendation::{DecisionRow, Recommendation as Row, StatusRow};
use aion_shadow::ledger::Entry;
use aion_shadow::recommendation::Recommendation;
use aion_shadow::state::State;

use super::Pipeline;
use super::tuning::Latencies;

impl Pipeline {
    /// The rows of `aion.ai_status`.
    pub(super) fn status_rows(&self) -> Vec<StatusRow> {
        let row = |name, value: String| StatusRow {
            name,
            value,
            hint: None,
        };
        let mode = self.current_mode();
        let (bytes, dropped) = self.observed().map_or((0, 0), |observed| observed.size());
        let kinds: Vec<&str> = self.auto_kinds().into_iter().map(|kind| kind.name()).collect();
        let share = self.options.learning.processor_share * 100.0;
        let summary = |times: &Latencies| match times.summary() {
            Some((count, half, most)) => format!(
                "p50 {:.0} us, p99 {:.0} us, of {count} statements",
                half * 1_000.0,
                most * 1_000.0
            ),
            None => "nothing was observed yet".to_owned(),
        };
        let mut program = row("rehearsals", "possible".to_owned());
        if self.options.learning.program.is_none() {
            "off".clone_into(&mut program.value);
            program.hint =
                Some("This process does not know the program aion, which rehearses: use aion serve.".to_owned());
        } else if self.path.is_none() {
            "off".clone_into(&mut program.value);
            program.hint = Some("A database in memory cannot be cloned: open one in a directory.".to_owned());
        }
        let mut acts = row("auto_kinds", kinds.join(", "));
        if kinds.is_empty() {
            "none".clone_into(&mut acts.value);
            acts.hint = Some("Mode auto acts on no kind: ALTER SYSTEM SET aion.auto_kinds = 'index'.".to_owned());
        }
        let (model, note) = self.models.status();
        let (tuner, tuner_hint) = self.tuning_status();
        let onnx = aion_models_onnx::status();
        vec![
            row("mode", mode.name().to_owned()),
            acts,
            row("processor_time", format!("{:.1} s", self.spent().as_secs_f64())),
            row(
                "processor_share",
                format!(
                    "{:.2} % of the machine since the database was opened; {share} % at most, when nobody asks",
                    self.share_spent() * 100.0
                ),
            ),
            row("added_planning", summary(&self.added)),
            row("added_afterwards", summary(&self.told)),
            row("observed", format!("{bytes} bytes")),
            row("observed_dropped", format!("{dropped} executions")),
            program,
            StatusRow {
                name: "model",
                value: model,
                hint: note,
            },
            StatusRow {
                name: "knobs",
                value: tuner,
                hint: tuner_hint,
            },
            StatusRow {
                name: "onnx_runtime",
                value: onnx.what,
                hint: onnx.hint,
            },
        ]
    }
}

impl Pipeline {
    /// Of the machine's processor time since the database was opened, what was spent on learning.
    fn share_spent(&self) -> f64 {
        let processors = self.options.threads.max(1) as f64;
        self.spent().as_secs_f64() / (self.clock.monotonic().as_secs_f64() * processors).max(1e-9)
    }
}

/// A row of `aion.recommendations`.
pub fn row(one: Recommendation, evidence: Option<String>) -> Row {
    let verbs = one.verbs().into_iter().map(|verb| verb.name()).collect();
    let measured = one.measured.as_ref();
    let speedup = |at: usize| measured.and_then(|measured| measured.speedup).map(|bounds| bounds[at]);
    Row {
        id: one.id,
        kind: one.kind.name(),
        state: one.state.name(),
        verbs,
        evidence,
        before_ms: measured.map(|measured| measured.before_ms),
        after_ms: measured.map(|measured| measured.after_ms),
        speedup: speedup(0),
        speedup_low: speedup(1),
        speedup_high: speedup(2),
        worst_queryid: measured.and_then(|measured| measured.worst).map(|worst| worst.0),
        worst_speedup: measured.and_then(|measured| measured.worst).map(|worst| worst.1),
        samples: measured.map(|measured| measured.samples),
        results_equal: measured.map(|measured| measured.results_equal),
        size_bytes: measured.map(|measured| measured.size_bytes).or(one.estimated_bytes),
        build_ms: measured.map(|measured| measured.build_ms),
        write_cost_pct: measured.and_then(|measured| measured.write_cost_pct),
        write_bytes_pct: measured.and_then(|measured| measured.write_bytes_pct),
        memory_bytes: measured.map(|measured| measured.memory_bytes),
        object: one.object,
        state_reason: one.state_reason,
        command: one.command,
        undo_command: one.undo_command,
        origin: one.origin,
        queryids: one.queryids,
        calls: one.calls,
        estimated_speedup: one.estimated_speedup,
        created_at: one.created_at,
        rehearsed_at: one.rehearsed_at,
        decided_at: Some(one.decided_at),
        decided_by: Some(one.decided_by),
        applied_at: one.applied_at,
        expires_at: one.expires_at,
        is_pinned: one.is_pinned,
    }
}

/// A row of `aion.decisions`.
pub fn decision(entry: Entry) -> DecisionRow {
    let decision = entry.decision;
    DecisionRow {
        seq: entry.seq,
        at: decision.at,
        recommendation_id: decision.recommendation_id,
        from_state: decision.from_state.map(State::name),
        to_state: decision.to_state.name(),
        actor: decision.actor,
        reason: decision.reason,
        log_index: decision.log_index,
        version: decision.version,
        seed: decision.seed,
        evidence_sha256: decision.evidence_sha256,
        prev_hash: entry.prev_hash,
        hash: entry.hash,
    }
}
