use aion_base::rng::SeededRng;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

/// Certificates made by OpenSSL 3.0 (`openssl req -x509`), and what `openssl dgst` says of them.
const HASHED: [(&str, &str); 5] = [
    // ECDSA with SHA-256.
    (
        "MIIBcDCCARWgAwIBAgIUF4r9uvdyfFstqNg9aWeHLx0Ip5gwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjkxNjQ1NTFaGA8yMTI2MTEwNTE2NDU1MVowDDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLQlIl2CQT1zAu9flLjC4e8Beb0Um9iCYCw/i8Dy1aFsj9Il2GdGcYyNkb3hyCyczfAYsV7vvclZQNK26MkEP0WjUzBRMB0GA1UdDgQWBBQ5XfZ/GnAKymllliMpTJhf/7hnHTAfBgNVHSMEGDAWgBQ5XfZ/GnAKymllliMpTJhf/7hnHTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCly2kXXkeu5ITx9I4bJsQKNho1xvAkaYi8rc6TfEVOTAIhALHDkqKCqLbmhadINpSO982fW54mPUoqPP2/MkqI4hbl",
        "19ff3fdd6e7a40925e5e7ca550968cf1c1de68671e8f4b2792ed7e6bd2289dc1",
    ),
    // ECDSA with SHA-384.
    (
        "MIIBcDCCARWgAwIBAgIUXRNNrELZITLobZnxRkliD200KMMwCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjkxNjQ1NTFaGA8yMTI2MTEwNTE2NDU1MVowDDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJGCqPXVOEUJU9CEaN2qb/Vee04Y+Pytdi0uYOgM/Tj5/6zTq9imi+dgKGE1RhQNFuF14NzNotE1+3gKh3q73R+jUzBRMB0GA1UdDgQWBBSJCgABmdGGQ0RRylMu9lZCntsPOjAfBgNVHSMEGDAWgBSJCgABmdGGQ0RRylMu9lZCntsPOjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMDA0kAMEYCIQCGlGtKriS8L2Y5Qvm4MhguBTcPSekIaHXOUiHyMnLhCgIhALqkhyqhm2dyXw95YLbPf/Q8CXRiFlqCgoE+kaoNRyUP",
        "3f41d591af0d4e2ba7a82f57edd62687e069346e5fac4d94a03eb9df3fcd483034f12f8b226359f529ac26ee161ccd37",
    ),
    // ECDSA with SHA-512.
    (
        "MIIBbjCCARWgAwIBAgIUbDwo/ujWdGuOX6rE+bUbnOb6a04wCgYIKoZIzj0EAwQwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjkxNjQ1NTFaGA8yMTI2MTEwNTE2NDU1MVowDDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIpTEe2zrLecNvYcNAefdAxEo/pRabNS2brTeT33UUQjm4Z2AEKlN86ntADEo0uhxPOjDzHQY1CNZMDfEG7xBqmjUzBRMB0GA1UdDgQWBBQIo2inHpaznDendZ7iy6MNvD4d8zAfBgNVHSMEGDAWgBQIo2inHpaznDendZ7iy6MNvD4d8zAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMEA0cAMEQCIHxDDxhNCxpKwCuTUliI8iSG477HIgc4zMVhd9EqCjcuAiA8et62nRpnK/zLu3oXfjTmaxdk5S2lUxowt7MoHanxTg==",
        "c2e9ff0a7a532c5d092f80db164a068ce4354bf11d585d8c2dec2fd65be33faef03ba815c2f088964023961ecf45120f92fb0c1efc49399dc9a995e5d2a46452",
    ),
    // ECDSA with SHA-1: RFC 5929 takes SHA-256.
    (
        "MIIBbjCCARSgAwIBAgIUfaOav9ys3pwFEfvDHWvfRMlcSMkwCQYHKoZIzj0EATAMMQowCAYDVQQDDAFhMCAXDTI2MTEyOTE2NDU1MVoYDzIxMjYxMTA1MTY0NTUxWjAMMQowCAYDVQQDDAFhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExNyU1n2d67jGdyUQp5SfejWdrp/Vf9JE5L2Ds4un4kARzkYuhbw2eXIyhETOtm4h+ZbxK/1Fi47xyvx2X4pjHaNTMFEwHQYDVR0OBBYEFB5nHMalCMnReamenXaOax/H8Z3iMB8GA1UdIwQYMBaAFB5nHMalCMnReamenXaOax/H8Z3iMA8GA1UdEwEB/wQFMAMBAf8wCQYHKoZIzj0EAQNJADBGAiEAqHJ6IjcEjctZNHJyFMcqE+1mn6hSeaG6JlDy5SIoFVYCIQDc+8HSp9yWUX5Tu0BowDj32uevYKiHzxD149yh28tdZg==",
        "7c2c8f62a81d35aec7cdb539141369a028d72035da5ba68d2f9d3a410f608950",
    ),
    // RSA with SHA-384.
    (
        "MIIB9jCCAV+gAwIBAgIUVwrQoK6zSFK5XtKtlqlOaUSYvH8wDQYJKoZIhvcNAQEMBQAwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjkxNjQ1NTFaGA8yMTI2MTEwNTE2NDU1MVowDDEKMAgGA1UEAwwBYTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA71kP0s3DMB7vnjo9vPBUFnwPVtaFpeaQMYpQyB/BHkxTZTfNeTUHFwVmgDDwIRLWo/N+xto/FYHzIVzgr1ix24FqLM55SkopPEofyYBZ72lSkHmcWZx++Ktc6aluSRtq3Q9ROPkr+hwUrgKPkDAs6sllQjAzHoK4SBipKActtzkCAwEAAaNTMFEwHQYDVR0OBBYEFKpA4Kd5K6V2yxWdWH5nHteaObMkMB8GA1UdIwQYMBaAFKpA4Kd5K6V2yxWdWH5nHteaObMkMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQEMBQADgYEAmAgs/7KjeRNjML9bkfEhMv6RDp/dTo+1+WJdvpB6ukZicgXi4ODC19oIX49Zz7AVExkKUC+KxJMFul6jrm+4tQhDacjw023xXW/z80ibNbrgTrBfy8PXmtFtCzc6ZZTu9xArcUK4UJywaOA2KFaqTzZEoGtElFo9K3z19YIKsvw=",
        "35aa7ee3ca260565a10cf311ced8fedc4c848df234c0bf389f28a6b62296b6d0eb9005942a9a6032fe22a8a2e21acabc",
    ),
];

/// Ed25519, and RSASSA-PSS.
const UNHASHED: [&str; 2] = [
    "MIIBLjCB4aADAgECAhRNmUoG9B7Ireh53Ki+5SdzBUlDDjAFBgMrZXAwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjkxNjQ1NTFaGA8yMTI2MTEwNTE2NDU1MVowDDEKMAgGA1UEAwwBYTAqMAUGAytlcAMhANZ06ejBr2rkQpjaGoGwvDOSaXO4xx5VewEhFA+TlqJWo1MwUTAdBgNVHQ4EFgQUxWkQT7M36S8NseF7W2gL4lJGGs4wHwYDVR0jBBgwFoAUxWkQT7M36S8NseF7W2gL4lJGGs4wDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQDJM9HRfNHlgswBx38kvKeC7PS9yZXnQplzw62ZIzbQ0jpqa6YmDHtzuC4oXRhBhMGle5uyjTxatKXEEJR859ED",
    "MIICXjCCAZOgAwIBAgIUUXRQEloq9ON9qTGw56UKmrCUBwEwQQYJKoZIhvcNAQEKMDSgDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgEFAKIDAgFeMAwxCjAIBgNVBAMMAWEwIBcNMjYxMTI5MTY0NTUxWhgPMjEyNjExMDUxNjQ1NTFaMAwxCjAIBgNVBAMMAWEwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBAMgBPgsv2w6TIVEFPSUVkINgGsGCkYyuLSq47/dRkPMjW623HZAnj6XETam1DYEpd17jEALNjywXwrQ1o4+rH9rg97jnCYu4hgqdoBiAH8ra+8/LrUio1SfyZUkeKAM5+rHE85nPvzeKWajYBbUuoXsPLeQqzZZ5BbJosGA91jaJAgMBAAGjUzBRMB0GA1UdDgQWBBQIajEbFrLk6tFe9AKtYlhkcldG3TAfBgNVHSMEGDAWgBQIajEbFrLk6tFe9AKtYlhkcldG3TAPBgNVHRMBAf8EBTADAQH/MEEGCSqGSIb3DQEBCjA0oA8wDQYJYIZIAWUDBAIBBQChHDAaBgkqhkiG9w0BAQgwDQYJYIZIAWUDBAIBBQCiAwIBXgOBgQA8nw85bkbX1Ydlf2NPuC8Sx6ro2rbzdfxs3tSDjuTxM76hq0A5V58+XjAEAUF283TqKEDcA1MTgdqnjIPkVs1hbo9Y7XJUjZmH5O/jGC2R8eC+Hosc82RnEo4XhPavZ3ue8UUnqkteq9nnCY5237cEtac2k9JmLTMWgaVDPVmxYw==",
];

fn der(base64: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(base64).expect("OpenSSL made it")
}

#[test]
fn the_hash_is_that_of_the_signature() {
    for (certificate, expected) in HASHED {
        let hash = end_point_hash(&der(certificate)).expect(certificate);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}

#[test]
fn a_signature_without_a_function_gives_no_hash() {
    for certificate in UNHASHED {
        assert_eq!(end_point_hash(&der(certificate)), None);
    }
}

#[test]
fn what_is_no_certificate_gives_no_hash_and_no_panic() {
    let whole = der(HASHED[0].0);
    for length in 0..whole.len() {
        assert_eq!(end_point_hash(&whole[..length]), None, "{length} bytes");
    }
    assert_eq!(end_point_hash(&[&whole[..], &[0]].concat()), None);
    // Lengths in no bytes, in five, and beyond the end.
    for bytes in [
        &[0x30, 0x80][..],
        &[0x30, 0x85, 0, 0, 0, 0, 0],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0xff],
    ] {
        assert_eq!(end_point_hash(bytes), None, "{bytes:?}");
    }
    let seed = aion_base::rng::entropy();
    println!("seed {seed}");
    let mut rng = SeededRng::new(seed);
    for _ in 0..20_000 {
        let mut spoilt = whole.clone();
        for _ in 0..=rng.below(3) {
            let place = usize::try_from(rng.below(40)).expect("below 40");
            spoilt[place] = rng.next_u64().to_le_bytes()[0];
        }
        let _ = end_point_hash(&spoilt);
    }
}
