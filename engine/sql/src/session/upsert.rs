//! Running INSERT ... ON CONFLICT.
//!
//! 1. The rows are computed, and it is looked what stands at their keys.
//! 2. The keys that nobody has are locked, so that others who would insert them by ON CONFLICT wait, and so are the rows that are to be
//!    updated. Where something of it was changed before it was locked, the statement begins again over a newer view, with its locks kept.
//! 3. The new values of existing rows are the result of a query, and all is written in the order of the rows.
//!
//! A plain INSERT locks nothing. Where one commits the same key first, this commit is refused, as a conflict that is worth another attempt
//! (40001) and no duplicate: then the row is there to be updated. Outside of a block the statement is run again.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::objects::Catalog;
use aion_catalog::{SqlType, Value};
use aion_storage::LockMode;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;

use super::change::Tried;
use super::several::Within;
use super::{Prepared, Session, parameters};
use crate::cancel::Cancellation;
use crate::dml::{self, Change, ConflictUpdate, OnConflict, Proposed, Ran, Written};
use crate::error::translate;
use crate::planner::Planned;
use crate::transaction::{Busy, Seen, Transaction, Waiting};

impl Session {
    pub(super) async fn try_upsert(
        &self,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Tried<(Arc<Change>, Written)>> {
        let text = &prepared.statement.text;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let waiting = self.waiting(cancellation);
        let template = self.change_template(prepared, transaction)?;
        let change = &template.change;
        let conflict = change
            .conflict
            .as_ref()
            .ok_or_else(|| Error::internal("an INSERT was planned without its ON CONFLICT"))?;
        self.depend(&template.planned, transaction)?;
        let plan = template.planned.plan.clone();
        let plan = parameters::replace(plan, &prepared.parameters, values, text, self.zone())?;
        let source = self.collect_for(prepared, &plan, transaction, cancellation).await?;
        let proposed = Proposed::look(change, &conflict.arbiters, &source, transaction)?;
        if lock(&proposed, conflict, transaction, &waiting).await? == Seen::Changed {
            return Ok(Tried::Changed);
        }
        let updated = match &conflict.update {
            Some(_) if proposed.existing_keys().is_empty() => Some(Vec::new()),
            Some(update) => {
                let catalog = self.catalog_of(transaction)?;
                let (existing, excluded) = proposed.tables(&change.shape)?;
                let within = prepared.within.as_ref();
                let tables = (existing, excluded);
                let planned = self.plan_conflict((change, update), tables, &types, &catalog, text, within)?;
                self.depend(&planned, transaction)?;
                let plan = parameters::replace(planned.plan, &prepared.parameters, values, text, self.zone())?;
                Some(self.collect_for(prepared, &plan, transaction, cancellation).await?)
            }
            None => None,
        };
        let steps = proposed.steps(updated.as_deref())?;
        transaction.note_upsert();
        let updated = updated.as_deref().unwrap_or_default();
        Ok(match dml::run_steps(change, &steps, updated, transaction, &waiting)? {
            Ran::Written(written) => Tried::Done((change.clone(), written)),
            Ran::Busy(busy) => Tried::Busy(busy),
        })
    }

    /// The new values of existing rows as a query.
    fn plan_conflict(
        &self,
        (change, update): (&Change, &ConflictUpdate),
        (existing, excluded): (RecordBatch, RecordBatch),
        types: &[Option<SqlType>],
        catalog: &Catalog,
        text: &str,
        within: Option<&Within>,
    ) -> Result<Planned> {
        let table = |batch: RecordBatch| -> Result<Arc<dyn TableProvider>> {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
            Ok(Arc::new(table.map_err(|error| translate(error, text))?))
        };
        let path = self.search_path()?;
        let names = self.names_within(catalog, &path, within);
        let tables = (table(existing)?, table(excluded)?);
        update.plan(names, &change.shape, tables, parameters::known(types), text)
    }

    /// The plans of a change: that of its source, and what ON CONFLICT computes.
    pub(super) fn plans_of_change(
        &self,
        change: &Change,
        source: LogicalPlan,
        given: &[Option<SqlType>],
        catalog: &Catalog,
        text: &str,
        within: Option<&Within>,
    ) -> Result<Vec<LogicalPlan>> {
        let mut plans = vec![source];
        let conflict = change.conflict.as_ref();
        if let Some(update) = conflict.and_then(|conflict| conflict.update.as_ref()) {
            let nothing = Proposed::default().tables(&change.shape)?;
            let planned = self.plan_conflict((change, update), nothing, given, catalog, text, within)?;
            plans.push(planned.plan);
        }
        Ok(plans)
    }
}

/// Locks what an INSERT ... ON CONFLICT relies upon.
async fn lock(
    proposed: &Proposed,
    conflict: &OnConflict,
    transaction: &Transaction,
    waiting: &Waiting,
) -> Result<Seen> {
    let absent = proposed.absent_keys();
    let seen = transaction.lock(&absent, LockMode::Update, Busy::Wait, waiting).await?;
    match &conflict.update {
        Some(update) if seen == Seen::AsTheyAre => {
            let existing = proposed.existing_keys();
            transaction
                .lock(&existing, update.lock_mode(), Busy::Wait, waiting)
                .await
        }
        _ => Ok(seen),
    }
}
