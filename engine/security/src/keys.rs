//! The arithmetic of SCRAM-SHA-256 (RFC 5802, section 3): HMAC, H and Hi over SHA-256.

use aion_base::{Error, Result};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Bytes of every key and proof.
pub(crate) const KEY_BYTES: usize = 32;

/// A key, a hash or a proof.
pub(crate) type Key = [u8; KEY_BYTES];

/// `HMAC(key, parts[0] + parts[1] + ...)`.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// `H(bytes)`.
pub(crate) fn hash(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

/// `Hi(password, salt, iterations)`: PBKDF2 with one block. `iterations` is at least 1.
pub(crate) fn salted(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    // The key is hashed into the state once; each iteration starts from a copy.
    let mac = keyed(password);
    let mut first = mac.clone();
    first.update(salt);
    first.update(&1_u32.to_be_bytes());
    let mut last = first.finalize().into_bytes();
    let mut sum: Key = last.into();
    for _ in 1..iterations {
        let mut next = mac.clone();
        next.update(&last);
        last = next.finalize().into_bytes();
        sum = xor(&sum, &last.into());
    }
    sum
}

/// Bit by bit.
pub(crate) fn xor(left: &Key, right: &Key) -> Key {
    std::array::from_fn(|index| left[index] ^ right[index])
}

/// Bytes from the operating system, fit for secrets.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no randomness for a secret: {error}")))?;
    Ok(bytes)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Vectors of PBKDF2-HMAC-SHA-256: RFC 7914, section 11, and the one of 4096 iterations that Python's hashlib gives, too.
    #[test]
    fn salted_is_pbkdf2() {
        let one = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
        assert_eq!(hex(&salted(b"passwd", b"salt", 1)), one);
        let many = "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a";
        assert_eq!(hex(&salted(b"password", b"salt", 4096)), many);
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_joins_its_parts() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"])), expected);
        assert_eq!(hex(&hmac(b"Jefe", &[b"what do ya want for nothing?"])), expected);
    }
}
