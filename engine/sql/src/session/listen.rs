//! LISTEN, UNLISTEN and NOTIFY (see [`crate::notifications`]).

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;
use tokio::sync::watch;

use super::{Session, TransactionStatus};
use crate::dml::normalize;
use crate::notifications::{Listening, Notification, too_many_channels};
use crate::response::Response;

fn done(tag: &str) -> Result<Response> {
    Ok(Response::Done { tag: tag.to_owned() })
}

/// sqlparser takes a text for a name, too.
fn channel_name(channel: &ast::Ident) -> Result<String> {
    match channel.quote_style {
        Some('\'') => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!("syntax error at or near \"{channel}\""),
        )),
        _ => Ok(normalize(channel)),
    }
}

impl Session {
    /// Its client is told of notifications: whoever calls this does so with [`Session::take_notifications`].
    pub fn allow_listening(&mut self) {
        self.may_listen = true;
    }

    /// Told when there may be notifications to take; None while it listens to nothing, or is in a transaction block, which has to end first.
    pub fn notified(&self) -> Option<watch::Receiver<u64>> {
        let listener = self.listener.as_ref()?;
        if self.status() != TransactionStatus::Idle {
            return None;
        }
        let mut watch = listener.watch();
        if listener.is_behind() {
            watch.mark_changed();
        }
        Some(watch)
    }

    /// The next notifications for its client, at most so many; none within a transaction block.
    pub fn take_notifications(&mut self, count_max: usize) -> Vec<Arc<Notification>> {
        match (&self.listener, self.status()) {
            (Some(listener), TransactionStatus::Idle) => listener.take(count_max),
            _ => Vec::new(),
        }
    }

    /// The channels that it listens to.
    pub(super) fn channels(&self) -> Vec<String> {
        let channels = self
            .listener
            .as_ref()
            .map(|listener| listener.channels().cloned().collect());
        channels.unwrap_or_default()
    }

    pub(super) fn listen(&mut self, channel: &ast::Ident) -> Result<Response> {
        if !self.may_listen {
            return Err(Error::unsupported(
                "LISTEN needs a connection that can be told: one of the PostgreSQL protocol",
            ));
        }
        if self.listener.as_ref().is_some_and(|listener| listener.is_full()) {
            return Err(too_many_channels());
        }
        self.pending.lock().listen(Listening::To(channel_name(channel)?))?;
        done("LISTEN")
    }

    pub(super) fn unlisten(&mut self, channel: &ast::Ident) -> Result<Response> {
        let listening = match channel.quote_style.is_none() && channel.value == "*" {
            true => Listening::ToNothing,
            false => Listening::NoLongerTo(channel_name(channel)?),
        };
        self.pending.lock().listen(listening)?;
        done("UNLISTEN")
    }

    pub(super) fn notify(&mut self, channel: &ast::Ident, payload: Option<&str>) -> Result<Response> {
        let payload = payload.unwrap_or_default();
        let channel = channel_name(channel)?;
        self.pending.lock().notify(self.process_id, &channel, payload)?;
        done("NOTIFY")
    }

    /// Outside of a block: what statements notified of, and to what they began to listen, is so.
    pub(super) fn settle(&mut self) {
        if self.block.is_some() {
            return;
        }
        let mut pending = self.pending.lock();
        if !pending.is_empty() {
            pending.settle(&mut self.listener);
        }
    }
}
