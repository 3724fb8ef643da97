//! Waiting for the engine without the GIL, and with an ear for Ctrl-C.

use std::future::Future;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use aion_base::Error;
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::errors;

/// How often Python is asked for signals. It takes the GIL for a moment.
const POLL: Duration = Duration::from_millis(20);

/// How many polls a cancelled future is waited for, five seconds in all: an operator that computes without handing out a batch
/// does not look at its cancellation. It is left to end by itself then, and the next statement of its session waits for that.
const PATIENCE_POLLS: u32 = 250;

/// Runs a future on the database's threads and waits for what it gives.
///
/// Once a signal's handler raised an exception, `stop` is called, again and again until the future ends, because a statement can
/// be cancelled only after it began; where it answers true, and after five seconds, nobody waits any longer. The exception is the
/// outcome then, whatever the future gives.
pub fn wait<T: Send + 'static>(
    py: Python<'_>,
    handle: &Handle,
    future: impl Future<Output = T> + Send + 'static,
    mut stop: impl FnMut() -> bool,
) -> PyResult<T> {
    let (sender, mut receiver) = mpsc::sync_channel(1);
    let running = handle.spawn(async move {
        let value = future.await;
        // It fails when the one that waited has gone, and then nobody wants the value.
        let _ = sender.send(value);
    });
    let mut interrupted: Option<PyErr> = None;
    let mut patience = PATIENCE_POLLS;
    loop {
        let answer;
        (receiver, answer) = py.detach(move || {
            let answer = receiver.recv_timeout(POLL);
            (receiver, answer)
        });
        match answer {
            Ok(value) => return interrupted.map_or(Ok(value), Err),
            Err(RecvTimeoutError::Disconnected) => {
                // Either it panicked, or it was dropped with the database.
                let ended = py.detach(|| handle.block_on(running));
                let lost = || match ended {
                    Err(error) if error.is_cancelled() => errors::interface(py, "the connection is closed"),
                    _ => errors::raised(py, &Error::internal("a statement ended without an answer")),
                };
                return Err(interrupted.unwrap_or_else(lost));
            }
            Err(RecvTimeoutError::Timeout) => {
                if interrupted.is_none() {
                    interrupted = py.check_signals().err();
                }
                if let Some(interrupt) = interrupted.take() {
                    patience -= 1;
                    if stop() || patience == 0 {
                        return Err(interrupt);
                    }
                    interrupted = Some(interrupt);
                }
            }
        }
    }
}
