//! Running MERGE: as an UPDATE with a source, of rows that are also inserted and deleted.

use std::sync::Arc;

use aion_base::Result;
use aion_catalog::Value;

use super::change::Attempts;
use super::{Prepared, Session, parameters};
use crate::cancel::Cancellation;
use crate::dml::{self, Ran, plan_merge};
use crate::transaction::{Busy, Seen, Transaction};

impl Session {
    /// Answers how many rows were changed.
    pub(super) async fn merge(
        &self,
        merge: &datafusion::sql::sqlparser::ast::Merge,
        transaction: &Arc<Transaction>,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<u64> {
        let text = &prepared.statement.text;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let mut attempts = Attempts::default();
        loop {
            let catalog = self.catalog_of(transaction)?;
            let path = self.search_path()?;
            let names = self.names(&catalog, &path);
            let (plan, planned) = plan_merge(names, merge.clone(), parameters::known(&types), text)?;
            self.depend(&planned, transaction)?;
            let query = parameters::replace(planned.plan, &prepared.parameters, values, text, self.zone())?;
            let pairs = self.collect(&query, transaction, cancellation, text).await?;
            let keys = dml::merged_keys(&plan, &pairs)?;
            let waiting = self.waiting(cancellation);
            let seen = transaction.lock(&keys, plan.lock_mode, Busy::Wait, &waiting).await?;
            if seen == Seen::Changed {
                // Others have changed rows since they were read: it is done again, with the locks that it has.
                attempts.again(transaction)?;
                continue;
            }
            match dml::run_merge(&plan, &pairs, transaction, &waiting)? {
                Ran::Written(written) => return Ok(written.count),
                Ran::Busy(busy) => attempts.wait(&busy, transaction, &waiting).await?,
            }
        }
    }
}
