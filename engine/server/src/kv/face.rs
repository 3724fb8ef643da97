//! What gRPC and HTTP share: running and counting.

use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_db::Cancellation;
use aion_db::kv::{Batch, Enqueued, Kv, Outcome, Page, Scan, Unmet};

use crate::metrics::{Edge, Metrics};
use crate::service::Service;

/// The keys and values of a database, as an edge serves them.
#[derive(Debug)]
pub(crate) struct Face {
    pub(crate) kv: Arc<Kv>,
    metrics: Arc<Metrics>,
    edge: Edge,
}

/// What became of a batch that was to be enqueued.
pub(crate) enum Taken {
    /// It is on its way.
    Enqueued(Pending),
    /// It does more than put, and is to be applied when all before it are done.
    Other(Batch),
}

/// A batch that was enqueued.
pub(crate) struct Pending {
    enqueued: Enqueued,
    batch: Batch,
    begun: Duration,
}

impl Face {
    pub(crate) fn new(service: &Service, edge: Edge) -> Arc<Self> {
        Arc::new(Self {
            kv: service.database.kv(),
            metrics: service.metrics.clone(),
            edge,
        })
    }

    /// Runs a batch to its end.
    ///
    /// # Errors
    /// Those of [`Kv::apply`].
    pub(crate) async fn apply(&self, batch: &Batch, cancellation: &Cancellation) -> Result<Outcome> {
        let begun = self.metrics.now();
        let outcome = self.kv.apply(batch, cancellation).await;
        self.metrics.kv_batch(self.edge, begun, batch, &outcome);
        outcome
    }

    /// Enqueues a batch that only puts, behind those before it.
    ///
    /// # Errors
    /// Those of [`Kv::enqueue`].
    pub(crate) async fn enqueue(&self, batch: Batch, cancellation: &Cancellation) -> Result<Taken> {
        let begun = self.metrics.now();
        match self.kv.enqueue(&batch, cancellation).await {
            Ok(Some(enqueued)) => Ok(Taken::Enqueued(Pending { enqueued, batch, begun })),
            Ok(None) => Ok(Taken::Other(batch)),
            Err(error) => {
                self.metrics.kv_refused(self.edge, begun, &error);
                Err(error)
            }
        }
    }

    /// Waits for an enqueued batch.
    ///
    /// # Errors
    /// Those of [`Enqueued::finish`].
    pub(crate) async fn finish(&self, pending: Pending) -> Result<Outcome> {
        let outcome = pending.enqueued.finish().await;
        self.metrics
            .kv_batch(self.edge, pending.begun, &pending.batch, &outcome);
        outcome
    }

    /// Reads a page.
    ///
    /// # Errors
    /// Those of [`Kv::scan`].
    pub(crate) async fn scan(&self, scan: &Scan, cancellation: &Cancellation) -> Result<Page> {
        let begun = self.metrics.now();
        let page = self.kv.scan(scan, cancellation).await;
        self.metrics.kv_scan(self.edge, begun, &page);
        page
    }
}

/// What is said of an operation that found another value.
pub(crate) fn unmet(unmet: &Unmet) -> Error {
    let found = match &unmet.found {
        Some(value) => format!("a value of {} bytes is there", value.len()),
        None => "there is none".to_owned(),
    };
    Error::new(
        ErrorKind::Conflict,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("operation {} expected another value: {found}", unmet.operation),
    )
    .with_hint("Nothing of the batch was done. Decide by what was found, and send another one.")
}
