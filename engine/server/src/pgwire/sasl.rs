//! The messages of a login with a password.
//!
//! ```text
//! client                                                server
//!   |                     AuthenticationSASL: mechanisms   |
//!   | <----------------------------------------------------|
//!   | p SASLInitialResponse: mechanism, length, message    |
//!   | ---------------------------------------------------->|
//!   |                          AuthenticationSASLContinue  |
//!   | <----------------------------------------------------|   once more where the first response had no message
//!   | p SASLResponse: message                              |
//!   | ---------------------------------------------------->|
//!   |                             AuthenticationSASLFinal  |
//!   | <----------------------------------------------------|
//! ```
//!
//! What the messages say is decided in `aion_security::scram`. Whoever has not logged in yet makes the server hold no more than
//! one message of [`MESSAGE_BYTES_MAX`] bytes, and has three of them.

use ::pgwire::messages::PgWireBackendMessage;
use ::pgwire::messages::startup::Authentication;
use aion_base::Result;
use aion_security::{ChannelBinding, Exchange, Mechanism, Step, Subject};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::End;
use super::input::{Input, violation};
use super::output::Output;

/// Bytes of a message of a login: the longest of SCRAM, with the mechanism's name and lengths before it.
pub(crate) const MESSAGE_BYTES_MAX: usize = aion_security::scram::MESSAGE_BYTES_MAX + 64;

/// Holds the exchange: returns once the client has proved to be the subject. What is to be sent last is in the output.
///
/// # Errors
/// 28P01 for a wrong password, whatever the reason; 08P01, 28000 and 0A000 for what is no such exchange.
pub(crate) async fn authenticate<R, W>(
    input: &mut Input<R>,
    output: &mut Output<W>,
    subject: Subject,
    binding: &ChannelBinding,
) -> Result<(), End>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let offered = Mechanism::offered(binding).iter();
    let offered = offered.map(|mechanism| mechanism.name().to_owned()).collect();
    let message = next(input, output, Authentication::SASL(offered)).await?;
    let (mechanism, message) = initial_response(&message).map_err(End::Fatal)?;
    let mechanism = Mechanism::chosen(mechanism, binding).map_err(End::Fatal)?;
    let mut exchange = Exchange::new(subject, mechanism, binding.clone()).map_err(End::Fatal)?;
    let mut step = exchange.step(message);
    loop {
        match step.map_err(End::Fatal)? {
            Step::Continue(answer) => {
                let answer = Authentication::SASLContinue(Bytes::from(answer));
                let message = next(input, output, answer).await?;
                step = exchange.step(Some(&message));
            }
            Step::Done(answer) => {
                let answer = Authentication::SASLFinal(Bytes::from(answer));
                output.send(&PgWireBackendMessage::Authentication(answer));
                return Ok(());
            }
        }
    }
}

/// Sends a message and waits for the body of the answer.
async fn next<R, W>(input: &mut Input<R>, output: &mut Output<W>, message: Authentication) -> Result<Bytes, End>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    output.send(&PgWireBackendMessage::Authentication(message));
    output.flush().await?;
    loop {
        if let Some(message) = input.take_response(MESSAGE_BYTES_MAX)? {
            return Ok(message.freeze());
        }
        if input.fill().await? == 0 {
            return Err(End::Left);
        }
    }
}

/// `mechanism, 0 | length i32 BE, -1 for none | message`. pgwire's decoder would panic at a length that does not fit.
fn initial_response(body: &[u8]) -> Result<(&str, Option<&[u8]>)> {
    let malformed = || violation("invalid SASLInitialResponse message");
    let end = body.iter().position(|&byte| byte == 0).ok_or_else(malformed)?;
    let name = std::str::from_utf8(&body[..end]).map_err(|_| malformed())?;
    let (length, message) = body[end + 1..].split_first_chunk::<4>().ok_or_else(malformed)?;
    match (i32::from_be_bytes(*length), message) {
        (-1, []) => Ok((name, None)),
        (length, message) if usize::try_from(length) == Ok(message.len()) => Ok((name, Some(message))),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aion_base::SqlState;
    use aion_base::id::Timestamp;
    use aion_security::decide::{Method, Mock, Peer, Place, Transport, method};
    use aion_security::role::BOOTSTRAP_ID;
    use aion_security::roles::Options;
    use aion_security::{Client, Hashing, Roles, Verifier};
    use bytes::BytesMut;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// Of the password `pencil`, made by PostgreSQL.
    const PENCIL: &str = "SCRAM-SHA-256$4096:7hkitB9zbvNT38uC+SnaRg==$aLPPqnU7bKmPEKFRcIYmJBPJgpooTB4Njk3sZYYnoBM=:1AiZ7l7DQ0bOpFrz8gwTQOq6yUQli2qmH2u7mKZWlgg=";

    /// How `alice` logs in, whose password is `pencil`.
    fn alice() -> Subject {
        let verifier = Verifier::parse(PENCIL).expect("PostgreSQL made it");
        let options = Options {
            verifier: Some(Some(verifier)),
            ..Options::default()
        };
        let roles = Roles::default();
        let roles = roles.apply(&roles.create(BOOTSTRAP_ID, "alice", &options).expect("new"));
        let peer = Peer {
            place: Place::ThisMachine,
            transport: Transport::Plain,
        };
        let mock = Mock::new([7; 32], Hashing::default());
        match method(&roles, "alice", peer, Timestamp(0), &mock).expect("she may try") {
            Method::Scram(subject) => subject,
            Method::Trust => unreachable!("she has a password"),
        }
    }

    async fn serve(server: DuplexStream) -> Result<(), End> {
        let (reader, writer) = tokio::io::split(server);
        let mut input = Input::new(reader, BytesMut::new());
        let mut output = Output::new(writer, BytesMut::new(), Duration::from_secs(10));
        let done = authenticate(&mut input, &mut output, alice(), &ChannelBinding::None).await;
        output.flush().await?;
        done
    }

    /// The body of the next message, behind the number that says of what kind it is.
    async fn answer(client: &mut DuplexStream, kind: u32) -> Vec<u8> {
        let mut header = [0; 9];
        client.read_exact(&mut header).await.expect("an answer");
        assert_eq!((header[0], &header[5..]), (b'R', &kind.to_be_bytes()[..]));
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize - 8];
        client.read_exact(&mut body).await.expect("all of it");
        body
    }

    async fn send(client: &mut DuplexStream, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).expect("short");
        let message = [b"p", &length.to_be_bytes()[..], body].concat();
        client.write_all(&message).await.expect("room");
    }

    fn first(mechanism: &str, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("short");
        [mechanism.as_bytes(), b"\0", &length.to_be_bytes(), message].concat()
    }

    async fn log_in(password: &[u8]) -> Result<(), End> {
        let (mut client, server) = tokio::io::duplex(10_000);
        let serving = tokio::spawn(serve(server));
        let offered = answer(&mut client, 10).await;
        assert_eq!(offered, b"SCRAM-SHA-256\0\0");
        let scram = Client::new(&["SCRAM-SHA-256"], password, &ChannelBinding::None);
        let mut scram = scram.expect("a mechanism that both know");
        send(&mut client, &first("SCRAM-SHA-256", &scram.first())).await;
        let challenge = answer(&mut client, 11).await;
        send(&mut client, &scram.answer(&challenge).expect("a challenge")).await;
        if password == b"pencil" {
            let signature = answer(&mut client, 12).await;
            scram.finish(&signature).expect("the server knows the verifier");
        }
        serving.await.expect("no panic")
    }

    #[tokio::test]
    async fn the_right_password_is_let_in_and_a_wrong_one_is_not() {
        log_in(b"pencil").await.expect("let in");
        let refused = log_in(b"pen").await;
        assert!(
            matches!(&refused, Err(End::Fatal(error)) if error.state() == SqlState::INVALID_PASSWORD),
            "{refused:?}"
        );
    }

    async fn refused(message: &[u8]) -> Result<(), End> {
        let (mut client, server) = tokio::io::duplex(10_000);
        let serving = tokio::spawn(serve(server));
        answer(&mut client, 10).await;
        client.write_all(message).await.expect("room");
        client.shutdown().await.expect("a pipe does not fail");
        serving.await.expect("no panic")
    }

    #[tokio::test]
    async fn what_is_no_exchange_is_refused() {
        for message in [
            &b"Q\0\0\0\x0bSELECT\0"[..],
            b"p\0\0\0\x03",
            b"p\0\0\0\x04",
            b"p\xff\xff\xff\xff",
            b"p\0\0\x10\0",
            b"p\0\0\0\x0aMD5\0\0\0",
            b"p\0\0\0\x0cMD5\0\0\0\0\0",
            b"p\0\0\0\x17SCRAM-SHA-256\0\0\0\0\x09x",
            b"p\0\0\0\x17SCRAM-SHA-256\0\0\0\0\x01x",
        ] {
            let end = refused(message).await;
            assert!(
                matches!(&end, Err(End::Fatal(error)) if error.state() == SqlState::PROTOCOL_VIOLATION),
                "{:?}: {end:?}",
                message.escape_ascii().to_string()
            );
        }
        assert!(matches!(refused(b"").await, Err(End::Left)));
        assert!(matches!(refused(b"X\0\0\0\x04").await, Err(End::Left)));
    }

    proptest! {
        #[test]
        fn noise_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = initial_response(&body);
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a runtime");
            let length = u32::try_from(body.len() + 4).expect("short");
            let message = [b"p", &length.to_be_bytes()[..], &body].concat();
            runtime.block_on(async { prop_assert!(refused(&message).await.is_err()); Ok(()) })?;
        }
    }
}
