//! Logins and transactions.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_db::{Response, Session, TransactionStatus};
use arrow::array::{Array, AsArray};
use bytes::Bytes;

use super::caller::Caller;
use super::held::Owner;
use super::listener::Shared;
use super::seat::{Seat, Seated, Turn};

/// How a transaction is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Commit,
    Rollback,
}

/// Opens a login's session; answers its handle.
///
/// # Errors
/// 54000 when there are too many.
pub(super) fn log_in(shared: &Shared, caller: &Caller) -> Result<Bytes> {
    let session = shared.service.session(caller.options.clone());
    // It belongs to nobody else: a client may reconnect with its token.
    shared
        .logins
        .insert(&Owner::Login(Bytes::new()), 0, Seat::kept(session))
}

/// Begins a transaction in a session of its own; answers its handle.
///
/// # Errors
/// 54000 when the caller has too many.
pub(super) async fn begin(shared: &Arc<Shared>, caller: &Caller) -> Result<Bytes> {
    let seat = Seat::kept(shared.service.session(caller.options.clone()));
    let handle = shared.transactions.insert(&caller.owner, 0, Arc::clone(&seat))?;
    let turn = Turn::new(&seat);
    let holder = caller.seat.as_ref().map(Turn::new);
    let work = async move {
        let mut session = turn.take().await;
        if let Some(holder) = holder {
            copy_settings(&mut holder.take().await, &mut session).await?;
        }
        session.run_text("BEGIN").await
    };
    // It is short: nothing is there to be stopped.
    match shared.work.run(|| {}, work).await {
        Ok(_) => Ok(handle),
        Err(error) => {
            // It may have expired meanwhile.
            let _ = shared.transactions.take(&handle);
            Err(error)
        }
    }
}

/// Gives a session the settings of another.
async fn copy_settings(from: &mut Seated<'_>, to: &mut Session) -> Result<()> {
    for (name, value) in settings(from).await? {
        if to.setting(&name).ok().as_ref() == Some(&value) {
            continue;
        }
        // What cannot be set is the same in all sessions.
        let _ = to.set(&name, &value);
    }
    Ok(())
}

async fn settings(session: &mut Seated<'_>) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    if session.status() == TransactionStatus::Failed {
        // Nothing can be asked of it; its transaction is not the one that begins.
        return Ok(settings);
    }
    for statement in session.parse("SHOW ALL")? {
        let prepared = session.prepare(&statement, &[]).await?;
        let Response::Rows(mut rows) = session.execute(&prepared, &[]).await? else {
            continue;
        };
        while let Some(batch) = rows.next().await? {
            let columns = (
                batch.column(0).as_string_opt::<i32>(),
                batch.column(1).as_string_opt::<i32>(),
            );
            let (Some(names), Some(values)) = columns else {
                return Err(Error::internal("SHOW ALL does not answer texts"));
            };
            let pairs = (0..batch.num_rows()).filter(|&row| names.is_valid(row) && values.is_valid(row));
            settings.extend(pairs.map(|row| (names.value(row).to_owned(), values.value(row).to_owned())));
        }
    }
    Ok(settings)
}

/// Ends a transaction, and its session.
///
/// # Errors
/// 26000 for an unknown handle; 40001 and what else a commit may answer; 25P02 for the commit of one that had failed.
pub(super) async fn end(shared: &Arc<Shared>, handle: &Bytes, ending: Ending) -> Result<()> {
    let seat = shared.transactions.take(handle)?;
    // A commit that has begun is not cancelled: its outcome would be unknown to the next one who asks.
    let work = async move {
        let turn = Turn::new(&seat);
        let mut session = turn.take().await;
        match ending {
            Ending::Rollback => session.run_text("ROLLBACK").await.map(|_| ()),
            Ending::Commit => match session.run_text("COMMIT").await?.as_str() {
                "ROLLBACK" => Err(Error::invalid(
                    SqlState::IN_FAILED_SQL_TRANSACTION,
                    "the transaction had failed and was rolled back",
                )
                .with_hint("The statement that failed said why; run the transaction again.")),
                _ => Ok(()),
            },
        }
    };
    shared.work.run(|| {}, work).await
}
