//! The table of the header, what a stranger can see of an exchange, and who is let in.

use std::sync::LazyLock;

use super::*;
use crate::role::RoleId;
use crate::scram::{ChannelBinding, Client, Exchange, Mechanism, Step};

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const SECRET: [u8; SECRET_BYTES] = [7; SECRET_BYTES];

const LOCAL: Peer = Peer {
    place: Place::ThisMachine,
    transport: Transport::Plain,
};
const REMOTE: Peer = Peer {
    place: Place::Elsewhere,
    transport: Transport::Plain,
};
const REMOTE_TLS: Peer = Peer {
    place: Place::Elsewhere,
    transport: Transport::Tls,
};

fn mock() -> Mock {
    Mock::new(SECRET, Hashing::default())
}

/// Hashed once: a Hi() takes long without optimisation.
fn verifier() -> Verifier {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::with_salt(b"pencil", &[1; 16], 4096));
    VERIFIER.clone()
}

/// `open` has a password, `bare` none, `expired` one that was valid until yesterday, `future` one until tomorrow.
fn roles() -> Roles {
    const DAY: u64 = 86_400_000_000;
    let role = |name: &str, id: u32, verifier: Option<Verifier>, valid_until: Option<u64>| Role {
        can_login: true,
        verifier,
        valid_until: valid_until.map(Timestamp),
        ..Role::new(name, RoleId(id))
    };
    let stored = [
        role("open", 16384, Some(verifier()), None),
        role("bare", 16385, None, Some(NOW.0 - DAY)),
        role("expired", 16386, Some(verifier()), Some(NOW.0 - DAY)),
        role("future", 16387, Some(verifier()), Some(NOW.0 + DAY)),
    ];
    Roles::read(stored, RoleId(16388)).expect("they agree")
}

/// The table of the module's header, in its words.
fn decided(roles: &Roles, name: &str, peer: Peer) -> String {
    match method(roles, name, peer, NOW, &mock()) {
        Err(error) => error.state().to_string(),
        Ok(Method::Trust) => "trust".to_owned(),
        Ok(Method::Scram(subject)) => match subject.doom() {
            None => "scram".to_owned(),
            Some(reason) => format!("doomed: {reason}"),
        },
    }
}

#[test]
fn the_table_of_methods() {
    let roles = roles();
    let rows = [
        ("open", "scram", "scram"),
        ("future", "scram", "scram"),
        ("bare", "trust", "doomed: the role has no password"),
        ("aion", "trust", "doomed: the role has no password"),
        (
            "expired",
            "doomed: the role's password has expired",
            "doomed: the role's password has expired",
        ),
        (
            "nobody",
            "doomed: the role does not exist",
            "doomed: the role does not exist",
        ),
        ("", "doomed: the role does not exist", "doomed: the role does not exist"),
    ];
    for (name, here, elsewhere) in rows {
        assert_eq!(decided(&roles, name, LOCAL), here, "{name}");
        let tls_here = Peer {
            place: Place::ThisMachine,
            ..REMOTE_TLS
        };
        assert_eq!(decided(&roles, name, tls_here), here, "{name}");
        assert_eq!(decided(&roles, name, REMOTE_TLS), elsewhere, "{name}");
        assert_eq!(decided(&roles, name, REMOTE), "28000", "{name}");
    }
}

#[test]
fn where_no_role_has_a_password_a_wrong_name_gets_a_plain_answer_here() {
    let roles = Roles::default();
    let error = method(&roles, "root", LOCAL, NOW, &mock()).expect_err("no such role");
    assert_eq!(error.state(), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    assert_eq!(error.message(), "role \"root\" does not exist");
    assert_eq!(decided(&roles, "root", REMOTE_TLS), "doomed: the role does not exist");
    assert_eq!(decided(&roles, "aion", LOCAL), "trust");
}

#[test]
fn without_tls_nobody_elsewhere_learns_anything() {
    let roles = roles();
    let answers: std::collections::BTreeSet<String> = ["open", "bare", "expired", "nobody"]
        .map(|name| format!("{:?}", method(&roles, name, REMOTE, NOW, &mock()).expect_err("no TLS")))
        .into();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.first().is_some_and(|answer| answer.contains("TLS")));
}

/// All that a stranger can see of an exchange: the challenge without its nonce, and the end.
fn seen(name: &str, password: &[u8]) -> (String, String) {
    let Ok(Method::Scram(subject)) = method(&roles(), name, REMOTE_TLS, NOW, &mock()) else {
        panic!("{name} gets an exchange");
    };
    let mut exchange = Exchange::new(subject, Mechanism::ScramSha256, ChannelBinding::None).expect("randomness");
    let mut client = Client::new(&["SCRAM-SHA-256"], password, &ChannelBinding::None).expect("offered");
    let Ok(Step::Continue(challenge)) = exchange.step(Some(&client.first())) else {
        panic!("{name} gets a challenge");
    };
    let proof = client.answer(&challenge).expect("well-formed");
    let end = match exchange.step(Some(&proof)) {
        Ok(step) => format!("{}", matches!(step, Step::Done(_))),
        Err(error) => format!("{error:?}").replace(name, "<name>"),
    };
    let challenge = String::from_utf8(challenge).expect("ASCII");
    let (nonce, rest) = challenge.split_once(',').expect("it has a salt");
    assert_eq!(nonce.len(), "r=".len() + 48);
    (rest.to_owned(), end)
}

#[test]
fn whether_a_role_exists_is_not_told() {
    assert_eq!(seen("open", b"pencil").1, "true");
    let (real, wrong) = seen("open", b"wrong");
    let salt = |challenge: &str| challenge.split_once(",i=").expect("it has iterations").0.to_owned();
    for name in ["nobody", "bare", "expired"] {
        for password in [&b"wrong"[..], b"pencil", b""] {
            let (challenge, end) = seen(name, password);
            assert_eq!(end, wrong, "{name}");
            assert_eq!(challenge.len(), real.len(), "{name}");
            assert_eq!(challenge.replace(&salt(&challenge), &salt(&real)), real, "{name}");
            // At each try the same, as a stored one.
            assert_eq!(challenge, seen(name, password).0, "{name}");
        }
    }
    assert_ne!(seen("nobody", b"").0, seen("nobodx", b"").0);
}

#[test]
fn a_mock_follows_the_settings_and_the_secret() {
    let hashing = Hashing::new(5000, 100).expect("within the limits");
    let long = Mock::new(SECRET, hashing).verifier("nobody");
    assert_eq!((long.iterations(), long.salt().len()), (5000, 100));
    let pieces: std::collections::BTreeSet<&[u8]> = long.salt().chunks(10).collect();
    assert_eq!(pieces.len(), 10, "no block comes twice");
    let other = Mock::new([8; SECRET_BYTES], hashing).verifier("nobody");
    assert_ne!(long.salt(), other.salt());
    assert_ne!(
        Mock::new_secret().expect("randomness"),
        Mock::new_secret().expect("randomness")
    );
    let shown = format!("{:?}", mock());
    assert!(!shown.contains("7, 7"), "{shown}");
}

#[test]
fn who_is_let_in() {
    let role = Role {
        can_login: true,
        connection_limit: Some(2),
        ..Role::new("alice", RoleId(16384))
    };
    admit(&role, 0).expect("the first");
    admit(&role, 1).expect("the second");
    let error = admit(&role, 2).expect_err("the third");
    assert_eq!(error.state(), SqlState::TOO_MANY_CONNECTIONS);
    let superuser = Role {
        is_superuser: true,
        ..role.clone()
    };
    admit(&superuser, 1000).expect("superusers are not counted");
    let closed = Role {
        can_login: false,
        ..superuser
    };
    let error = admit(&closed, 0).expect_err("NOLOGIN");
    assert_eq!(error.state(), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    let none = Role {
        connection_limit: Some(0),
        ..role.clone()
    };
    assert!(admit(&none, 0).is_err());
    let any = Role {
        connection_limit: None,
        ..role
    };
    admit(&any, usize::MAX).expect("no limit");
}

#[test]
fn places_of_addresses() {
    for (address, place) in [
        ("127.0.0.1", Place::ThisMachine),
        ("127.8.9.1", Place::ThisMachine),
        ("::1", Place::ThisMachine),
        ("::ffff:127.0.0.1", Place::ThisMachine),
        ("10.0.0.1", Place::Elsewhere),
        ("0.0.0.0", Place::Elsewhere),
        ("::", Place::Elsewhere),
        ("::ffff:10.0.0.1", Place::Elsewhere),
        ("fe80::1", Place::Elsewhere),
    ] {
        assert_eq!(Place::of(address.parse().expect(address)), place, "{address}");
    }
}
