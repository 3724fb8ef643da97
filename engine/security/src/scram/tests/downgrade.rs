//! Somebody between the two who wants the proof without channel binding.

use super::*;

fn first(mechanism: Mechanism, binding: ChannelBinding, message: &str) -> Result<Step> {
    let subject = Subject::new("user", rfc_verifier());
    Exchange::with_nonce(subject, mechanism, binding, RFC_SERVER_NONCE.to_owned()).step(Some(message.as_bytes()))
}

#[test]
fn a_better_offer_that_was_taken_away_is_noticed() {
    // The client knows the certificate, and was offered SCRAM-SHA-256 alone.
    let client = Client::new(&["SCRAM-SHA-256"], PASSWORD, &certificate(1)).expect("offered");
    assert_eq!(client.mechanism(), Mechanism::ScramSha256);
    assert!(client.first().starts_with(b"y,,n=,r="));
    let subject = Subject::new("user", rfc_verifier());
    let exchange = Exchange::new(subject, Mechanism::ScramSha256, certificate(1)).expect("randomness");
    let error = hold(client, exchange).expect_err("the server did offer it");
    assert_eq!(error.state(), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    assert!(
        error
            .detail()
            .is_some_and(|detail| detail.contains("does support channel binding"))
    );
    // A server that really has none takes the flag for what it says.
    let client = Client::new(&["SCRAM-SHA-256"], PASSWORD, &certificate(1)).expect("offered");
    let subject = Subject::new("user", rfc_verifier());
    let exchange = Exchange::new(subject, Mechanism::ScramSha256, ChannelBinding::None).expect("randomness");
    hold(client, exchange).expect("nothing was taken away");
}

#[test]
fn the_certificate_of_somebody_between_us_is_noticed() {
    let client = Client::new(&["SCRAM-SHA-256-PLUS"], PASSWORD, &certificate(2)).expect("offered");
    let subject = Subject::new("user", rfc_verifier());
    let exchange = Exchange::new(subject, Mechanism::ScramSha256Plus, certificate(1)).expect("randomness");
    let error = hold(client, exchange).expect_err("two certificates");
    assert_eq!(error.state(), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    assert_eq!(error.message(), "SCRAM channel binding check failed");
}

#[test]
fn the_flag_must_fit_the_mechanism() {
    let violation = |mechanism: Mechanism, binding: ChannelBinding, message: &str| {
        let error = first(mechanism, binding, message).expect_err(message);
        assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION, "{message}");
    };
    let plus = Mechanism::ScramSha256Plus;
    violation(plus, certificate(1), "n,,n=,r=abc");
    violation(plus, certificate(1), "y,,n=,r=abc");
    violation(plus, certificate(1), "p=tls-unique,,n=,r=abc");
    violation(plus, certificate(1), "p=tls-exporter,,n=,r=abc");
    violation(
        Mechanism::ScramSha256,
        certificate(1),
        "p=tls-server-end-point,,n=,r=abc",
    );
    violation(
        Mechanism::ScramSha256,
        ChannelBinding::None,
        "p=tls-server-end-point,,n=,r=abc",
    );
    // A caller's mistake: the mechanism was never offered.
    violation(plus, ChannelBinding::None, "p=tls-server-end-point,,n=,r=abc");
    assert!(first(plus, certificate(1), "p=tls-server-end-point,,n=,r=abc").is_ok());
    assert!(first(Mechanism::ScramSha256, certificate(1), "n,,n=,r=abc").is_ok());
}

/// The flag of the first message comes again in the last, under the proof: `n` there and `y` here is a change on the way.
#[test]
fn a_flag_that_was_changed_on_the_way_is_noticed() {
    for (sent, arrived) in [("n,,", "y,,"), ("y,,", "n,,")] {
        let subject = Subject::new("user", rfc_verifier());
        let mut exchange = Exchange::new(subject, Mechanism::ScramSha256, ChannelBinding::None).expect("randomness");
        let binding = if sent == "y,," {
            certificate(1)
        } else {
            ChannelBinding::None
        };
        let mut client = Client::new(&["SCRAM-SHA-256"], PASSWORD, &binding).expect("offered");
        let first = String::from_utf8(client.first()).expect("ASCII");
        let changed = first.replacen(sent, arrived, 1);
        assert_ne!(first, changed);
        let server_first = bytes(exchange.step(Some(changed.as_bytes())).expect("well-formed"));
        let error = exchange
            .step(Some(&client.answer(&server_first).expect("well-formed")))
            .expect_err("changed");
        assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION, "{sent} to {arrived}");
    }
}

#[test]
fn only_what_was_offered_can_be_chosen() {
    let chosen = |name: &str, binding: &ChannelBinding| Mechanism::chosen(name, binding);
    assert_eq!(
        chosen("SCRAM-SHA-256", &ChannelBinding::None).expect("offered"),
        Mechanism::ScramSha256
    );
    assert_eq!(
        chosen("SCRAM-SHA-256-PLUS", &certificate(1)).expect("offered"),
        Mechanism::ScramSha256Plus
    );
    for name in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "scram-sha-256", "", "PLAIN"] {
        let error = chosen(name, &ChannelBinding::None).expect_err(name);
        assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
    }
    assert!(ChannelBinding::tls_server_end_point(&[]).is_err());
    assert!(ChannelBinding::tls_server_end_point(&[0; BINDING_BYTES_MAX + 1]).is_err());
}
