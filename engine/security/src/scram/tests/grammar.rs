//! What the exchange takes for a message, and what it answers to the rest.

use super::*;

const PROTOCOL: SqlState = SqlState::PROTOCOL_VIOLATION;
const UNSUPPORTED: SqlState = SqlState::FEATURE_NOT_SUPPORTED;

#[test]
fn first_messages_that_are_refused() {
    let refused: [(&[u8], SqlState); 28] = [
        (b"", PROTOCOL),
        (b"n", PROTOCOL),
        (b"n,", PROTOCOL),
        (b"n,,", PROTOCOL),
        (b"n,,n", PROTOCOL),
        (b"n,,n=", PROTOCOL),
        (b"n,,n=user", PROTOCOL),
        (b"n,,n=user,", PROTOCOL),
        (b"n,,n=user,r", PROTOCOL),
        (b"n,,n=user,r=", PROTOCOL),
        (b"n,,n=user,r=a b", PROTOCOL),
        (b"n,,n=user,r=a\x7f", PROTOCOL),
        (b"n,,n=user,r=\xc3\xbc", PROTOCOL),
        (b"n,,n=user,r=abc\0", PROTOCOL),
        (b"n\0,n=user,r=abc", PROTOCOL),
        (b"n,,r=abc,n=user", PROTOCOL),
        (b"n,,n=user,x=1,r=abc", PROTOCOL),
        (b"n,,n=user,r=abc,1=x", PROTOCOL),
        (b"n,,n=user,r=abc,", PROTOCOL),
        (b"n,,n=user,r=abc,,", PROTOCOL),
        (b"n,,n=user,r=abc,x", PROTOCOL),
        (b"N,,n=user,r=abc", PROTOCOL),
        (b"x,,n=user,r=abc", PROTOCOL),
        (b"nn,,n=user,r=abc", PROTOCOL),
        (b"n,b=1,n=user,r=abc", PROTOCOL),
        (b"\xff\xfe", PROTOCOL),
        (b"n,a=admin,n=user,r=abc", UNSUPPORTED),
        (b"n,,m=ext,n=user,r=abc", UNSUPPORTED),
    ];
    for (message, state) in refused {
        let shown = String::from_utf8_lossy(message).into_owned();
        let mut exchange = rfc_exchange();
        assert_eq!(
            exchange.step(Some(message)).expect_err(&shown).state(),
            state,
            "{shown}"
        );
        let error = exchange.step(Some(RFC[0].as_bytes())).expect_err("it is over");
        assert_eq!(error.state(), PROTOCOL, "{shown}");
    }
}

/// The name is not looked at, be it UTF-8 or not; extensions are passed over.
#[test]
fn first_messages_that_are_taken() {
    let taken: [&[u8]; 4] = [
        b"n,,n=,r=abc",
        b"y,,n=somebody else,r=abc",
        b"n,,n=\xff\xfe,r=abc",
        b"n,,n=a=2Cb,r=abc,x=1,y=",
    ];
    for message in taken {
        let shown = String::from_utf8_lossy(message).into_owned();
        let step = rfc_exchange().step(Some(message)).expect(&shown);
        let expected = format!("r=abc{RFC_SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(step, Step::Continue(expected.into()), "{shown}");
    }
}

#[test]
fn final_messages_that_are_refused() {
    let (nonce, proof) = (
        format!("{RFC_CLIENT_NONCE}{RFC_SERVER_NONCE}"),
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    );
    let refused = [
        String::new(),
        "c=biws".to_owned(),
        format!("c=biws,r={nonce}"),
        format!("c=biws,r={nonce},"),
        format!("c=biws,r={nonce},p"),
        format!("c=biws,r={nonce},p="),
        format!("c=biws,r={nonce},p=AAAA"),
        format!("c=biws,r={nonce},p={proof}="),
        format!("c=biws,r={nonce},p={}", &proof[..43]),
        // The same bytes in another spelling: bits that base64 does not use.
        format!("c=biws,r={nonce},p={}", proof.replace("VQ=", "VR=")),
        format!("c=biws,r={nonce},p={proof},"),
        format!("c=biws,r={nonce},p={proof},x=1"),
        format!("c=biws,r={nonce},p={proof}\0"),
        format!("c=biws,p={proof},r={nonce}"),
        format!("r={nonce},c=biws,p={proof}"),
        format!("c=,r={nonce},p={proof}"),
        format!("c=eSws,r={nonce},p={proof}"),
        format!("c=biws=,r={nonce},p={proof}"),
        format!("c=cD10bHMtc2VydmVyLWVuZC1wb2ludCws,r={nonce},p={proof}"),
        format!("c=biws,r={nonce}x,p={proof}"),
        format!("c=biws,r={},p={proof}", &nonce[..nonce.len() - 1]),
        format!("c=biws,r={RFC_CLIENT_NONCE},p={proof}"),
        format!("c=biws,r=,p={proof}"),
        RFC[0].to_owned(),
        RFC[3].to_owned(),
    ];
    for message in refused {
        let mut exchange = rfc_exchange();
        exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
        assert_eq!(
            exchange.step(Some(message.as_bytes())).expect_err(&message).state(),
            PROTOCOL,
            "{message}"
        );
        assert_eq!(
            exchange.step(Some(RFC[2].as_bytes())).expect_err("it is over").state(),
            PROTOCOL
        );
    }
    let mut exchange = rfc_exchange();
    exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
    assert_eq!(exchange.step(None).expect_err("no message").state(), PROTOCOL);
}

/// An extension lies under the proof: who adds one on the way breaks it.
#[test]
fn an_extension_in_the_final_message_is_part_of_what_is_proved() {
    let mut exchange = rfc_exchange();
    exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
    let extended = RFC[2].replace(",p=", ",x=1,p=");
    let error = exchange
        .step(Some(extended.as_bytes()))
        .expect_err("not what was proved");
    assert_eq!(error.state(), SqlState::INVALID_PASSWORD);
}

#[test]
fn messages_have_a_limit() {
    let message = |length: usize| {
        let head = "n,,n=,r=";
        format!("{head}{}", "x".repeat(length - head.len()))
    };
    assert!(rfc_exchange().step(Some(message(MESSAGE_BYTES_MAX).as_bytes())).is_ok());
    let error = rfc_exchange()
        .step(Some(message(MESSAGE_BYTES_MAX + 1).as_bytes()))
        .expect_err("too long");
    assert_eq!(error.state(), PROTOCOL);
    assert!(error.detail().is_some_and(|detail| detail.contains("1024")), "{error}");
    let mut exchange = rfc_exchange();
    exchange.step(Some(RFC[0].as_bytes())).expect("well-formed");
    let long = format!("{},x={}", RFC[2], "y".repeat(MESSAGE_BYTES_MAX));
    assert_eq!(
        exchange.step(Some(long.as_bytes())).expect_err("too long").state(),
        PROTOCOL
    );
}

#[test]
fn errors_do_not_quote_what_was_sent() {
    let mut exchange = rfc_exchange();
    let error = exchange.step(Some(b"x-secret-thing")).expect_err("no flag");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    let error = rfc_exchange().step(Some(b"n,,n=user,rsecret=1")).expect_err("no nonce");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}
