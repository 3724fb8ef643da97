//! Both sides against the RFC, against an independent client, against each other, and against noise.

mod client;
mod downgrade;
mod grammar;
mod mutation;

use std::sync::LazyLock;

use aion_base::Result;
use postgres_protocol::authentication::sasl::{self, ScramSha256};

use super::*;
use crate::verifier::{Hashing, Verifier};

const PASSWORD: &[u8] = b"pencil";

/// RFC 7677, section 3.
const RFC: [&str; 4] = [
    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
];
const RFC_CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const RFC_SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

/// Hashed once: a Hi() takes long without optimisation.
fn rfc_verifier() -> Verifier {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        Verifier::with_salt(PASSWORD, &salt, 4096)
    });
    VERIFIER.clone()
}

fn rfc_exchange() -> Exchange {
    let subject = Subject::new("user", rfc_verifier());
    Exchange::with_nonce(
        subject,
        Mechanism::ScramSha256,
        ChannelBinding::None,
        RFC_SERVER_NONCE.to_owned(),
    )
}

fn rfc_client() -> Client {
    let nonce = RFC_CLIENT_NONCE.to_owned();
    Client::with_nonce(&["SCRAM-SHA-256"], PASSWORD, &ChannelBinding::None, "user", nonce).expect("it is offered")
}

fn certificate(byte: u8) -> ChannelBinding {
    ChannelBinding::tls_server_end_point(&[byte; 32]).expect("the length of SHA-256")
}

fn bytes(step: Step) -> Vec<u8> {
    match step {
        Step::Continue(bytes) | Step::Done(bytes) => bytes,
    }
}

/// An exchange in which both are ours.
fn hold(mut client: Client, mut exchange: Exchange) -> Result<()> {
    let server_first = bytes(exchange.step(Some(&client.first()))?);
    match exchange.step(Some(&client.answer(&server_first)?))? {
        Step::Done(server_final) => client.finish(&server_final),
        Step::Continue(_) => panic!("it goes on after the proof"),
    }
}

/// An exchange with the client of tokio-postgres.
fn hold_with_peer(mut client: ScramSha256, mut exchange: Exchange) -> Result<()> {
    let server_first = bytes(exchange.step(Some(client.message()))?);
    client.update(&server_first).expect("it takes our challenge");
    let server_final = bytes(exchange.step(Some(client.message()))?);
    client.finish(&server_final).expect("it takes our signature");
    Ok(())
}

#[test]
fn the_example_of_the_rfc() {
    let mut exchange = rfc_exchange();
    let mut client = rfc_client();
    assert_eq!(client.first(), RFC[0].as_bytes());
    let step = exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
    assert_eq!(step, Step::Continue(RFC[1].into()));
    assert_eq!(
        client.answer(RFC[1].as_bytes()).expect("well-formed"),
        RFC[2].as_bytes()
    );
    let step = exchange.step(Some(RFC[2].as_bytes())).expect("the proof fits");
    assert_eq!(step, Step::Done(RFC[3].into()));
    client.finish(RFC[3].as_bytes()).expect("the signature fits");
}

#[test]
fn both_sides_are_ours() {
    for password in ["pencil", "gr\u{FC}\u{DF}e \u{2168}", "\u{627}1", "tab\there"] {
        let verifier = Verifier::new(password.as_bytes(), &Hashing::default()).expect("a password");
        for binding in [ChannelBinding::None, certificate(1)] {
            let offered: Vec<&str> = Mechanism::offered(&binding).iter().map(|one| one.name()).collect();
            let client = Client::new(&offered, password.as_bytes(), &binding).expect("offered");
            let mechanism = Mechanism::chosen(client.mechanism().name(), &binding).expect("offered");
            assert_eq!(mechanism == Mechanism::ScramSha256Plus, binding != ChannelBinding::None);
            let subject = Subject::new("alice", verifier.clone());
            hold(client, Exchange::new(subject, mechanism, binding).expect("randomness")).expect(password);
        }
    }
}

#[test]
fn an_independent_client_with_and_without_channel_binding() {
    let subject = || Subject::new("alice", rfc_verifier());
    let bound = || sasl::ChannelBinding::tls_server_end_point(vec![1; 32]);
    let plain = Exchange::new(subject(), Mechanism::ScramSha256, ChannelBinding::None).expect("randomness");
    hold_with_peer(ScramSha256::new(PASSWORD, sasl::ChannelBinding::unsupported()), plain).expect("flag n");
    let plain = Exchange::new(subject(), Mechanism::ScramSha256, ChannelBinding::None).expect("randomness");
    hold_with_peer(ScramSha256::new(PASSWORD, sasl::ChannelBinding::unrequested()), plain).expect("flag y");
    let plus = Exchange::new(subject(), Mechanism::ScramSha256Plus, certificate(1)).expect("randomness");
    hold_with_peer(ScramSha256::new(PASSWORD, bound()), plus).expect("flag p");
    let other = Exchange::new(subject(), Mechanism::ScramSha256Plus, certificate(2)).expect("randomness");
    let error = hold_with_peer(ScramSha256::new(PASSWORD, bound()), other).expect_err("another certificate");
    assert_eq!(error.state(), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
}

#[test]
fn a_wrong_password_is_28p01_and_ends_the_exchange() {
    let mut exchange = rfc_exchange();
    let mut client = Client::new(&["SCRAM-SHA-256"], b"pencil.", &ChannelBinding::None).expect("offered");
    let server_first = bytes(exchange.step(Some(&client.first())).expect("well-formed"));
    let wrong = client.answer(&server_first).expect("well-formed");
    let error = exchange.step(Some(&wrong)).expect_err("wrong");
    assert_eq!(error.state(), SqlState::INVALID_PASSWORD);
    assert_eq!(error.message(), "password authentication failed for user \"user\"");
    for message in [None, Some(&wrong[..]), Some(RFC[0].as_bytes()), Some(RFC[2].as_bytes())] {
        let error = exchange.step(message).expect_err("it is over");
        assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
    }
}

#[test]
fn no_proof_with_one_bit_changed_fits() {
    let proof = BASE64_STANDARD
        .decode(RFC[2].split_once("p=").expect("it has one").1)
        .expect("base64");
    let (before, _) = RFC[2].split_once("p=").expect("it has one");
    for bit in 0..proof.len() * 8 {
        let mut proof = proof.clone();
        proof[bit / 8] ^= 1 << (bit % 8);
        let mut exchange = rfc_exchange();
        exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
        let message = format!("{before}p={}", BASE64_STANDARD.encode(proof));
        let error = exchange.step(Some(message.as_bytes())).expect_err("changed");
        assert_eq!(error.state(), SqlState::INVALID_PASSWORD, "bit {bit}");
    }
}

#[test]
fn a_client_that_sends_nothing_along_is_asked_once() {
    let mut exchange = rfc_exchange();
    assert_eq!(exchange.step(None).expect("asked"), Step::Continue(Vec::new()));
    let step = exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
    assert_eq!(step, Step::Continue(RFC[1].into()));
    assert!(matches!(exchange.step(Some(RFC[2].as_bytes())), Ok(Step::Done(_))));
    let mut exchange = rfc_exchange();
    exchange.step(None).expect("asked");
    let error = exchange.step(None).expect_err("asked twice");
    assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
}

/// A doomed subject with the verifier of a real one: even the right proof is refused, in the words of a wrong one.
#[test]
fn a_doomed_subject_fails_with_the_right_proof() {
    let subject = Subject::doomed("user", rfc_verifier(), Reason::PasswordExpired);
    let refusal = format!("{:?}", subject.refusal());
    let nonce = RFC_SERVER_NONCE.to_owned();
    let mut exchange = Exchange::with_nonce(subject, Mechanism::ScramSha256, ChannelBinding::None, nonce);
    let step = exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
    assert_eq!(step, Step::Continue(RFC[1].into()));
    let error = exchange.step(Some(RFC[2].as_bytes())).expect_err("doomed");
    assert_eq!(error.state(), SqlState::INVALID_PASSWORD);
    assert_eq!(format!("{error:?}"), refusal);
    assert!(exchange.step(Some(RFC[2].as_bytes())).is_err());
}

#[test]
fn the_password_itself_is_checked_like_a_proof() {
    let subject = Subject::new("user", rfc_verifier());
    subject.check_password(PASSWORD).expect("it fits");
    let wrong = subject.check_password(b"").expect_err("wrong");
    let doomed = Subject::doomed("user", rfc_verifier(), Reason::NoPassword);
    let error = doomed.check_password(PASSWORD).expect_err("doomed");
    assert_eq!(format!("{error:?}"), format!("{wrong:?}"));
    assert_eq!(error.state(), SqlState::INVALID_PASSWORD);
}

#[test]
fn debug_shows_no_secret() {
    let mut client = rfc_client();
    let mut exchange = rfc_exchange();
    let server_first = bytes(exchange.step(Some(&client.first())).expect("well-formed"));
    client.answer(&server_first).expect("well-formed");
    let subject = exchange.subject();
    let shown = format!("{client:?} {exchange:?} {subject:?} {:?}", certificate(77));
    assert!(
        shown.contains("ScramSha256") && shown.contains("TlsServerEndPoint"),
        "{shown}"
    );
    for secret in ["pencil", "W22ZaJ0S", RFC_CLIENT_NONCE, RFC_SERVER_NONCE, "77", "["] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
