//! What is no conversation at all: the server must neither panic nor hang.

use std::sync::Arc;

use aion_db::Database;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OnceCell;

use super::client::{Server, bind, database, describe, execute, parse, query, sync};
use crate::limits::ServerLimits;

/// One for all cases: none of them changes it.
async fn shared_database() -> Arc<Database> {
    static SHARED: OnceCell<Arc<Database>> = OnceCell::const_new();
    Arc::clone(SHARED.get_or_init(database).await)
}

/// Sends the bytes, after the login or instead of it, and waits for the connection to end.
fn survive(bytes: &[u8], after_login: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let server = Server::of(shared_database().await, ServerLimits::default());
        let (mut stream, task) = if after_login {
            let mut client = server.client().await;
            let task = client.task.take().expect("not a socket");
            (client.stream, task)
        } else {
            server.connect()
        };
        // It may hang up at any byte.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        task.await.expect("no panic");
    });
}

/// A message with a type that exists and a length that fits, and anything inside.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(b"QPBDECSHXFdcfp".to_vec());
    let body = proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..40);
    (kind, body).prop_map(|(kind, body)| {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind][..], &length.to_be_bytes(), &body].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn instead_of_a_login(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes, false);
    }

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes, true);
    }

    #[test]
    fn random_messages(messages in proptest::collection::vec(message(), 0..20)) {
        survive(&messages.concat(), true);
    }

    /// A conversation that makes sense, with one byte changed and the end cut off.
    #[test]
    fn a_damaged_conversation(at in any::<prop::sample::Index>(), byte: u8, end in any::<prop::sample::Index>()) {
        let mut bytes = bytes::BytesMut::new();
        for message in [
            query("SELECT 1"),
            parse("s", "SELECT CAST($1 AS integer)", &[23]),
            describe(b'S', "s"),
            bind("p", "s", &["1"]),
            execute("p", 1),
            sync(),
            query("SELECT 1"),
        ] {
            message.encode(&mut bytes).expect("a message of a test");
        }
        let at = at.index(bytes.len());
        bytes[at] = byte;
        survive(&bytes[..=end.index(bytes.len())], true);
    }
}
