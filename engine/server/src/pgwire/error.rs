//! Errors and notices as messages.
//!
//! Fields as in PostgreSQL's "Error and Notice Message Fields": S and V severity, C code, M message, D detail, H
//! hint, P position in characters, s schema, t table, c column, n constraint; R, PostgreSQL's function, for the one that drivers know. A kind of error has no field: clients
//! act on the code.

use ::pgwire::messages::PgWireBackendMessage;
use ::pgwire::messages::response::{ErrorResponse, NoticeResponse};
use aion_base::{Error, ErrorKind, SqlState};

/// Characters of one field at most; a message may quote a literal of any length.
const FIELD_CHARS_MAX: usize = 8 * 1024;

/// What a prepared statement says whose result has other columns now. Drivers know it by PostgreSQL's function, and prepare it again.
const RESULT_CHANGED: &str = "cached plan must not change result type";

/// A statement failed; the session goes on.
pub(crate) fn error(error: &Error) -> PgWireBackendMessage {
    if error.kind() == ErrorKind::Internal {
        // Its code only: the message may quote a literal.
        tracing::error!(state = %error.state(), "a statement met an internal error");
    }
    PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields("ERROR", error)))
}

/// The connection ends.
pub(crate) fn fatal(error: &Error) -> PgWireBackendMessage {
    PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields("FATAL", error)))
}

/// Something to know.
pub(crate) fn notice(notice: &Error) -> PgWireBackendMessage {
    let severity = match notice.state().as_str().as_bytes() {
        // Warnings, and what would be an error elsewhere: COMMIT without BEGIN, a setting that is not there.
        [b'0', b'1', ..] | [b'2', b'5', ..] | [b'2', b'2', ..] | [b'4', b'2', b'7', b'0', b'4'] => "WARNING",
        _ => "NOTICE",
    };
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields(severity, notice)))
}

fn fields(severity: &str, error: &Error) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.state().as_str().to_owned()),
        (b'M', clean(error.message())),
    ];
    let position = error.position().map(|position| position.to_string());
    let rest = [
        (b'D', error.detail()),
        (b'H', error.hint()),
        (b'P', position.as_deref()),
        (b's', error.schema()),
        (b't', error.table()),
        (b'c', error.column()),
        (b'n', error.constraint()),
    ];
    fields.extend(rest.into_iter().filter_map(|(field, text)| Some((field, clean(text?)))));
    if error.state() == SqlState::FEATURE_NOT_SUPPORTED && error.message() == RESULT_CHANGED {
        fields.push((b'R', "RevalidateCachedQuery".to_owned()));
    }
    fields
}

/// Text that may stand in a message: a zero byte would end it early.
pub(crate) fn clean(text: &str) -> String {
    let end = text
        .char_indices()
        .nth(FIELD_CHARS_MAX)
        .map_or(text.len(), |(at, _)| at);
    let mut clean = text[..end].replace('\0', "\u{fffd}");
    if end < text.len() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn golden() {
        let full = Error::conflict(SqlState::UNIQUE_VIOLATION, "duplicate key value")
            .with_detail("Key (a)=(1) already exists.")
            .with_hint("Use another key.")
            .with_position(7)
            .with_schema("public")
            .with_table("t")
            .with_column("a")
            .with_constraint("t_pkey");
        let mut bytes = BytesMut::new();
        error(&full).encode(&mut bytes).expect("short");
        assert_eq!(
            bytes.escape_ascii().to_string(),
            "E\\x00\\x00\\x00wSERROR\\x00VERROR\\x00C23505\\x00Mduplicate key value\\x00\
             DKey (a)=(1) already exists.\\x00HUse another key.\\x00P7\\x00spublic\\x00tt\\x00ca\\x00nt_pkey\\x00\\x00"
        );
    }

    #[test]
    fn severities() {
        let severity = |state| match notice(&Error::invalid(state, "x")) {
            PgWireBackendMessage::NoticeResponse(notice) => notice.fields[0].1.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(severity(SqlState::SUCCESSFUL_COMPLETION), "NOTICE");
        assert_eq!(severity(SqlState::DUPLICATE_TABLE), "NOTICE");
        assert_eq!(severity(SqlState::WARNING), "WARNING");
        assert_eq!(severity(SqlState::NO_ACTIVE_SQL_TRANSACTION), "WARNING");
    }

    #[test]
    fn text_is_made_fit() {
        assert_eq!(clean("a\0b"), "a\u{fffd}b");
        let long = clean(&"ä".repeat(10_000));
        assert_eq!(long.chars().count(), FIELD_CHARS_MAX + 1);
    }
}
