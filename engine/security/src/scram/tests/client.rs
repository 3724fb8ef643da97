//! The client against servers that are not what they claim.

use super::*;

const DISTRUST: SqlState = SqlState::INVALID_AUTHORIZATION_SPECIFICATION;

#[test]
fn a_server_that_does_not_know_the_verifier_is_noticed() {
    let other = BASE64_STANDARD.encode([0; 32]);
    let finals = [
        (format!("v={other}"), DISTRUST),
        ("e=invalid-proof".to_owned(), DISTRUST),
        (RFC[3].replace("G4=", "G5="), SqlState::PROTOCOL_VIOLATION),
        ("v=AAAA".to_owned(), SqlState::PROTOCOL_VIOLATION),
        (format!("{},", RFC[3].replace('v', "x")), SqlState::PROTOCOL_VIOLATION),
        (format!("{}\0", RFC[3]), SqlState::PROTOCOL_VIOLATION),
        (String::new(), SqlState::PROTOCOL_VIOLATION),
    ];
    for (message, state) in finals {
        let mut client = rfc_client();
        client.answer(RFC[1].as_bytes()).expect("well-formed");
        assert_eq!(
            client.finish(message.as_bytes()).expect_err(&message).state(),
            state,
            "{message}"
        );
        assert!(client.finish(RFC[3].as_bytes()).is_err(), "it is over");
    }
}

#[test]
fn challenges_that_are_refused() {
    let nonce = format!("{RFC_CLIENT_NONCE}abc");
    let salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
    let long = BASE64_STANDARD.encode([7; crate::verifier::SALT_BYTES_MAX + 1]);
    let refused = [
        (String::new(), SqlState::PROTOCOL_VIOLATION),
        (
            format!("r={RFC_CLIENT_NONCE},s={salt},i=4096"),
            SqlState::PROTOCOL_VIOLATION,
        ),
        (format!("r=x{nonce},s={salt},i=4096"), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce}\u{FC},s={salt},i=4096"), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce},s=,i=4096"), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce},s=!!!!,i=4096"), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce},s={long},i=4096"), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce},s={salt}"), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce},s={salt},i="), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce},s={salt},i=0"), SqlState::PROTOCOL_VIOLATION),
        (format!("r={nonce},s={salt},i=-1"), SqlState::PROTOCOL_VIOLATION),
        (
            format!("r={nonce},s={salt},i=99999999999"),
            SqlState::PROTOCOL_VIOLATION,
        ),
        (format!("r={nonce},s={salt},i=4096,1"), SqlState::PROTOCOL_VIOLATION),
        // So few that whoever hears the proof can try all passwords.
        (format!("r={nonce},s={salt},i=1"), DISTRUST),
        (format!("r={nonce},s={salt},i=4095"), DISTRUST),
        // So many that the client would be busy for minutes.
        (
            format!("r={nonce},s={salt},i=4294967295"),
            SqlState::PROGRAM_LIMIT_EXCEEDED,
        ),
        (
            format!("m=x,r={nonce},s={salt},i=4096"),
            SqlState::FEATURE_NOT_SUPPORTED,
        ),
        (
            format!("r={nonce},s={salt},i=4096,x={}", "y".repeat(1024)),
            SqlState::PROTOCOL_VIOLATION,
        ),
    ];
    for (message, state) in refused {
        let mut client = rfc_client();
        assert_eq!(
            client.answer(message.as_bytes()).expect_err(&message).state(),
            state,
            "{message}"
        );
        assert!(client.answer(RFC[1].as_bytes()).is_err(), "it is over");
        assert!(client.finish(RFC[3].as_bytes()).is_err(), "it is over");
    }
}

#[test]
fn the_steps_have_one_order() {
    let mut client = rfc_client();
    let error = client.finish(RFC[3].as_bytes()).expect_err("nothing was proved");
    assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
    let mut client = rfc_client();
    client.answer(RFC[1].as_bytes()).expect("well-formed");
    assert!(client.answer(RFC[1].as_bytes()).is_err(), "one proof is enough");
    assert!(client.finish(RFC[3].as_bytes()).is_err(), "it is over");
}

#[test]
fn the_better_mechanism_is_chosen() {
    let both = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"];
    let chosen = |offered: &[&str], binding: &ChannelBinding| {
        Client::new(offered, PASSWORD, binding).map(|client| (client.mechanism(), client.first()[0]))
    };
    let plain = Mechanism::ScramSha256;
    assert_eq!(chosen(&both, &ChannelBinding::None).expect("offered"), (plain, b'n'));
    assert_eq!(chosen(&both[1..], &certificate(1)).expect("offered"), (plain, b'y'));
    let plus = (Mechanism::ScramSha256Plus, b'p');
    assert_eq!(chosen(&both, &certificate(1)).expect("offered"), plus);
    assert_eq!(chosen(&both[..1], &certificate(1)).expect("offered"), plus);
    for (offered, binding) in [
        (&both[..1], ChannelBinding::None),
        (&["PLAIN"], certificate(1)),
        (&[], certificate(1)),
    ] {
        let error = chosen(offered, &binding).expect_err("nothing that it knows");
        assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED);
    }
    assert!(Client::new(&both, &[b'x'; 1025], &ChannelBinding::None).is_err());
}

#[test]
fn nonces_are_never_the_same() {
    let firsts: std::collections::BTreeSet<Vec<u8>> = (0..1000)
        .map(|_| Client::new(&["SCRAM-SHA-256"], PASSWORD, &ChannelBinding::None).expect("offered"))
        .map(|client| client.first())
        .collect();
    assert_eq!(firsts.len(), 1000);
    assert!(firsts.iter().all(|first| first.len() == "n,,n=,r=".len() + 24));
}
