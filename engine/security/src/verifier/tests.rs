//! Verifiers of PostgreSQL, limits, what PASSWORD means, damaged stored forms, and what `Debug` hides.

use super::*;

/// Made by PostgreSQL 15.18 with CREATE ROLE ... PASSWORD, read from pg_authid.
const BY_POSTGRES: [(&str, &str); 12] = [
    (
        "pencil",
        "SCRAM-SHA-256$4096:7hkitB9zbvNT38uC+SnaRg==$aLPPqnU7bKmPEKFRcIYmJBPJgpooTB4Njk3sZYYnoBM=:1AiZ7l7DQ0bOpFrz8gwTQOq6yUQli2qmH2u7mKZWlgg=",
    ),
    (
        "correct horse battery staple",
        "SCRAM-SHA-256$4096:kkexO0ccMBAaPYtvh9wCCw==$r+y9gtuHCCy/sFQDGgZQJ24try28U0J8uPAxhV4D8X8=:ZpMDal21jVLL3BrXXfgbG2VsviQqFfc6KfSI32tE+Ac=",
    ),
    // A character that is mapped to nothing.
    (
        "I\u{AD}X",
        "SCRAM-SHA-256$4096:Kf8dvdWoRZZGIzB35o86lg==$BvuP/Cakj8KNnbh/OIlOc5lfGCEJAKHuvPuUSIPClok=:2QwOaCx2HPmtFeuKEybMNj7AWGMon5XxmGtFeflWYmg=",
    ),
    // NFKC makes it "aIX".
    (
        "\u{AA}\u{2168}",
        "SCRAM-SHA-256$4096:k0HPrbaJSl+rhzmeraLPIQ==$g18iv7M0z9NPx/4jqttgGSz1ejFXhgk5HzLfbxIhh3w=:Ej4kIRgbJF6isNrdHrbmOPF3v7nNG9C4OFLlLI24RBk=",
    ),
    // Prohibited before normalisation, not after: the fallback.
    (
        "a\u{340}b",
        "SCRAM-SHA-256$4096:I2ZkKOkPmuegpC2J4qHRdQ==$ZRyNQeRbL9ZTXfUsb8EexbVG53yw6DlDEtN423IrM68=:ZLe+segbUj4ZaywngvfzGK+mMfQ6gQItMKWgWIP80Hs=",
    ),
    // Mixed directions: the fallback.
    (
        "\u{627}1",
        "SCRAM-SHA-256$4096:jPSabQkNzSlqqxillV9dFg==$DaaiHSp1nOXMZqMhXj/v1kHT1LhgvSfX1f+Z0OxolaU=:EMhqEEuN4TKzbJTRVPyaJZ4+ImNRpqu5JQbZQjBjjCQ=",
    ),
    // A space that is not ASCII's.
    (
        "gr\u{FC}\u{DF}e \u{20AC}\u{A0}x",
        "SCRAM-SHA-256$4096:Mt+8NRHWstB3ltBGKXAbbQ==$MGrLQDfri6aH5eycCYO8YbMl1T9/an224sQgsXKBfis=:bZSBbLV7KP3TR9o8hQ5RsxUvQAYCpgK2gf1b6a2NeKA=",
    ),
    // Unassigned in Unicode 3.2: the fallback.
    (
        "\u{221}x",
        "SCRAM-SHA-256$4096:zkpMEYqgukzIqkpDMlvisA==$xf0W/a8ChgbwHT8KZQO2DKs65UE5uMOdo8nkIeQ3b7g=:JIdFEOp1KJjBz1Q2erVCeUaJZh434mCDNHidKqqlqo4=",
    ),
    (
        "tab\there",
        "SCRAM-SHA-256$4096:9sG4t8tFzxaSkrf73lH7Yw==$DkemhgOpykFdGCI4Ou3lO6SNLYi9/BWQ/aIsMgLcQWA=:hqAxd73xKosOHfYEkgZnr3psJZ1m4S28mLFH0dE1VFg=",
    ),
    (
        "u\u{308}ber",
        "SCRAM-SHA-256$4096:+S9W8Gy91W7XaZr/8SR9CA==$UbgzpMBY+CosIs47vNzYrLLHC3X2c5T6okSXYo4gGMk=:BUX9A1SsYEq4l3rYG8iwD2UQ0c1Bk2akKs7uHnv/fOE=",
    ),
    // Nothing is left of it: the fallback.
    (
        "\u{AD}",
        "SCRAM-SHA-256$4096:pvK3ZL9ZV2HK1RCUvecTeA==$MlMYX+dkZdvMYNIo4x4dvYP7IHDkZiY0JOOd/2rbT3o=:PPkb/gf97fFNtGcOW6X/9bNflI/ACJcdxBMhlOOU0kg=",
    ),
    (
        "md5isfun",
        "SCRAM-SHA-256$4096:fnbxhtg9dHkkI0+1tNUptg==$aswhe6p4hrNYzey+zCgguQITONpaVPs21N4PbT/zXSw=:HLUn0gemh9veCXCUeoyr0ROCnropGMIxGW/6qvHT3zY=",
    ),
];

fn pencil() -> Verifier {
    Verifier::parse(BY_POSTGRES[0].1).expect("PostgreSQL made it")
}

#[test]
fn verifiers_of_postgres_fit_their_passwords() {
    for (password, stored) in BY_POSTGRES {
        let verifier = Verifier::parse(stored).expect(stored);
        assert!(verifier.verify(password.as_bytes()), "{password:?}");
        assert!(!verifier.verify(format!("{password}.").as_bytes()), "{password:?}");
        assert_eq!(verifier.to_stored(), stored);
    }
}

#[test]
fn verifiers_of_another_implementation_fit_too() {
    let password = "gr\u{FC}\u{DF}e \u{2168}".as_bytes();
    let stored = postgres_protocol::password::scram_sha_256(password);
    assert!(Verifier::parse(&stored).expect(&stored).verify(password));
}

#[test]
fn two_verifiers_of_a_password_differ_in_their_salt() {
    let hashing = Hashing::default();
    let one = Verifier::new(b"pencil", &hashing).expect("a password");
    let two = Verifier::new(b"pencil", &hashing).expect("a password");
    assert_ne!(one, two);
    assert!(one.verify(b"pencil") && two.verify(b"pencil"));
    assert_eq!(
        (one.iterations(), one.salt().len()),
        (ITERATIONS_DEFAULT, SALT_BYTES_DEFAULT)
    );
    let hashing = Hashing::new(5000, 24).expect("within the limits");
    let strong = Verifier::new(b"pencil", &hashing).expect("a password");
    assert_eq!((strong.iterations(), strong.salt().len()), (5000, 24));
    assert_eq!(Verifier::parse(&strong.to_stored()).expect("its own form"), strong);
}

#[test]
fn the_settings_have_limits() {
    for (iterations, salt_bytes) in [
        (4095, 16),
        (ITERATIONS_MAX + 1, 16),
        (4096, 15),
        (4096, SALT_BYTES_MAX + 1),
    ] {
        let error = Hashing::new(iterations, salt_bytes).expect_err("outside the limits");
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
    }
    // The longest stored form of a new verifier can be read again.
    let longest = Verifier::with_salt(b"pencil", &[7; SALT_BYTES_MAX], 1);
    let stored = longest.to_stored().replace("$1:", &format!("${ITERATIONS_MAX}:"));
    assert!(stored.len() <= STORED_BYTES_MAX, "{}", stored.len());
    assert!(Verifier::parse(&stored).is_ok());
}

#[test]
fn a_password_is_hashed_and_a_verifier_is_taken_as_it_is() {
    let hashing = Hashing::default();
    let clause = |text: &str| Verifier::from_clause(text, &hashing);
    let hashed = clause("pencil").expect("a password").expect("not empty");
    assert!(hashed.verify(b"pencil"));
    assert_eq!(clause(BY_POSTGRES[0].1).expect("a verifier"), Some(pencil()));
    let looks_like_md5 = clause("md5isfun").expect("a password").expect("not empty");
    assert!(looks_like_md5.verify(b"md5isfun"));
}

#[test]
fn an_empty_password_is_none_however_it_is_spelt() {
    let hashing = Hashing::default();
    assert_eq!(Verifier::from_clause("", &hashing).expect("no password"), None);
    let stored = Verifier::with_salt(b"", &[1; 16], 4096).to_stored();
    assert_eq!(Verifier::from_clause(&stored, &hashing).expect("no password"), None);
    assert!(Verifier::new(b"", &hashing).is_err());
}

#[test]
fn md5_and_what_is_too_long_are_refused() {
    let hashing = Hashing::default();
    let state = |text: &str| Verifier::from_clause(text, &hashing).expect_err(text).state();
    assert_eq!(
        state("md5a3556571e93b0d20722ba62be61e8c2d"),
        SqlState::FEATURE_NOT_SUPPORTED
    );
    assert_eq!(
        state(&"x".repeat(PASSWORD_BYTES_MAX + 1)),
        SqlState::PROGRAM_LIMIT_EXCEEDED
    );
    assert_eq!(
        state(&format!("{PREFIX}{}", "x".repeat(600))),
        SqlState::PROGRAM_LIMIT_EXCEEDED
    );
    assert!(!pencil().verify(&[b'x'; PASSWORD_BYTES_MAX + 1]));
}

#[test]
fn damaged_stored_forms_are_refused_and_not_quoted() {
    let stored = BY_POSTGRES[0].1;
    let damaged = [
        "SCRAM-SHA-256$garbage".to_owned(),
        stored.replace("$4096", "$0"),
        stored.replace("$4096", "$-1"),
        stored.replace("$4096", "$+4096"),
        stored.replace("$4096", "$ 4096"),
        stored.replace("$4096", "$4096x"),
        stored.replace("$4096", "$1000001"),
        stored.replace("$4096", "$4294967297"),
        stored.replace("$4096:7hkitB9zbvNT38uC+SnaRg==", "$4096:"),
        stored.replace("SnaRg==", "SnaRg"),
        stored.replace("SnaRg==", "Sna!g=="),
        stored.replace("YnoBM=", "YnoB"),
        stored.replace(":1Ai", ":1Ai1Ai1"),
        stored.replace("SCRAM-SHA-256$", "SCRAM-SHA-1$"),
        format!("{stored}$"),
        stored[..stored.len() - 1].to_owned(),
    ];
    for text in damaged {
        let error = Verifier::parse(&text).expect_err(&text);
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{text}");
        assert!(!format!("{error:?}").contains("aLPPqnU7"), "{error:?}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let verifier = pencil();
    let shown = format!("{verifier:?} {verifier:#?}");
    assert!(shown.contains("4096"), "{shown}");
    for secret in BY_POSTGRES[0].1.split(['$', ':']).skip(2) {
        assert!(!shown.contains(secret), "{shown}");
    }
    // Nor the bytes as numbers.
    for secret in [&verifier.salt[..], &verifier.stored_key, &verifier.server_key] {
        let numbers = format!("{}, {}", secret[0], secret[1]);
        assert!(!shown.contains(&numbers), "{shown}");
    }
}
