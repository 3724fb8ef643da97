//! One round of the pipeline without being asked: look at the workload, propose, rehearse, and in mode auto approve.

use aion_base::{Result, SqlState};
use aion_optimizer_core::advisor::Limits;
use aion_shadow::recommendation::{PIPELINE, Recommendation};
use aion_shadow::state::{Kind, State};

use super::rehearse::Proposed;
use super::{Pipeline, Progress};

/// How long what was rejected or expired is not proposed again, in microseconds: a day. By then the workload may be another one.
const AGAIN_AFTER: i64 = 24 * 3_600 * 1_000_000;

/// What a round did, by ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cycle {
    /// New recommendations.
    pub proposed: Vec<u64>,
    /// Rehearsed ones, whatever the verdict.
    pub rehearsed: Vec<u64>,
    /// Approved by the pipeline itself.
    pub approved: Vec<u64>,
}

impl Pipeline {
    /// One round.
    ///
    /// # Errors
    /// 57014 when it is cancelled, and what the advisor answers. A recommendation that fails does not end the round.
    pub(super) fn cycle(&self, progress: &Progress<'_>) -> Result<Cycle> {
        let mut cycle = Cycle {
            proposed: self.counted(|| self.look())?,
            ..Cycle::default()
        };
        // A knob is tried on the running store: alone only where it may act alone.
        let tries_knobs = self.current_mode().acts(Kind::Knob, &self.auto_kinds());
        let proposed: Vec<u64> = {
            let kept = self.kept.lock();
            let all = kept.recommendations.values();
            // What people asked for they rehearse, and see its end.
            let ours = all.filter(|one| one.state == State::Proposed && one.kind != Kind::Model);
            let ours = ours.filter(|one| one.kind != Kind::Knob || tries_knobs);
            ours.map(|one| one.id).collect()
        };
        for id in proposed {
            match self.rehearse(id, PIPELINE, progress) {
                Ok(()) => cycle.rehearsed.push(id),
                Err(error) if error.state() == SqlState::QUERY_CANCELED => return Err(error),
                Err(error) => tracing::warn!(%error, id, "a recommendation could not be rehearsed"),
            }
        }
        cycle.approved = self.approve_alone();
        Ok(cycle)
    }

    /// Approves what is ready, as far as the mode goes.
    fn approve_alone(&self) -> Vec<u64> {
        let kinds = self.auto_kinds();
        let mode = self.current_mode();
        let ready: Vec<Recommendation> = {
            let kept = self.kept.lock();
            let all = kept.recommendations.values();
            let ready = all.filter(|one| one.state == State::Ready && mode.acts(one.kind, &kinds));
            // People may like to drop their indexes themselves.
            ready.filter(|one| one.drops.is_none()).cloned().collect()
        };
        let mut approved = Vec::new();
        for one in ready {
            match self.approve(one.id, PIPELINE, "mode auto acts on what is ready") {
                Ok(()) => approved.push(one.id),
                Err(error) => tracing::warn!(%error, id = one.id, "a recommendation that is ready could not be made"),
            }
        }
        approved
    }

    /// Looks at the workload and proposes what would pay by estimate; the new ids.
    ///
    /// # Errors
    /// What the advisor answers.
    pub(super) fn look(&self) -> Result<Vec<u64>> {
        let advice = self.parts()?.advise(&Limits::default())?;
        let mut ids = Vec::new();
        for index in advice.indexes {
            let object = format!("{}.{}", index.table.0, index.table.1);
            let design = format!("{object}({})", index.columns.join(", "));
            if self.is_settled(&design) {
                continue;
            }
            let statements = index.statements.len();
            let index = index.named(self.kept.lock().next_id);
            let id = self.observe_proposal(Proposed {
                kind: Kind::Index,
                object,
                command: index.command(),
                undo_command: Some(index.undo_command()),
                makes: Some((index.table.0.clone(), index.name)),
                drops: None,
                design,
                origin: "advisor".to_owned(),
                queryids: index.statements.iter().map(|one| one.queryid).collect(),
                calls: Some(index.calls),
                estimated_speedup: Some(index.estimated_speedup),
                estimated_bytes: Some(index.size_bytes),
                reason: format!("{statements} statements of the workload would read less with it"),
            })?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// Whether nothing is to be proposed of a design: it stands, it was dismissed, or it was rejected a short while ago.
    fn is_settled(&self, design: &str) -> bool {
        let now = self.now();
        let kept = self.kept.lock();
        kept.recommendations.values().any(|one| {
            let is_recent = now.saturating_sub(one.decided_at) < AGAIN_AFTER;
            one.design == design
                && match one.state {
                    State::Dismissed => true,
                    State::Rejected | State::Expired | State::Failed | State::Reverted => is_recent,
                    _ => true,
                }
        })
    }
}
