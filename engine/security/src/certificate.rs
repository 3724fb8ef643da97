//! The hash of a server's certificate that SCRAM's channel binding takes: `tls-server-end-point` (RFC 5929, section 4.1).
//!
//! The hash function is that of the certificate's signature, with SHA-256 in place of MD5 and SHA-1. Of the certificate (X.509
//! in DER, RFC 5280) only the way to the name of the signature's algorithm is read:
//!
//! ```text
//! SEQUENCE                      Certificate
//!   SEQUENCE ...                tbsCertificate: passed over
//!   SEQUENCE                    signatureAlgorithm
//!     OBJECT IDENTIFIER         <-
//! ```
//!
//! For Ed25519, which RFC 5929 does not cover, and for RSASSA-PSS, of which older versions of libpq make an error, there is no
//! hash: such a server offers no SCRAM-SHA-256-PLUS, and clients log in without.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// pkcs-1 (1.2.840.113549.1.1); the next byte is the algorithm, as in the other two.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// ansi-X9-62 signatures (1.2.840.10045.4).
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
/// ecdsa-with-SHA2 (1.2.840.10045.4.3).
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// The hash of a certificate in DER, for [`crate::ChannelBinding::tls_server_end_point`]; None where no function is defined for
/// its signature, or it is no certificate.
pub fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let (last, family) = signature_algorithm(certificate)?.split_last()?;
    Some(match (family, last) {
        (RSA, 4 | 5 | 11) | (ECDSA, 1) | (ECDSA_SHA2, 2) => Sha256::digest(certificate).to_vec(),
        (RSA, 12) | (ECDSA_SHA2, 3) => Sha384::digest(certificate).to_vec(),
        (RSA, 13) | (ECDSA_SHA2, 4) => Sha512::digest(certificate).to_vec(),
        (RSA, 14) | (ECDSA_SHA2, 1) => Sha224::digest(certificate).to_vec(),
        _ => return None,
    })
}

fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (content, rest) = element(certificate, SEQUENCE)?;
    let (_, after_signed) = element(content, SEQUENCE)?;
    let (algorithm, _) = element(after_signed, SEQUENCE)?;
    let (name, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    rest.is_empty().then_some(name)
}

/// The content of the element at the front, which has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // The low bits count the bytes of the length; four of them are more than any certificate needs.
        let count = usize::from(first & 0x7f);
        let (digits, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
        let length = digits
            .iter()
            .fold(0_u64, |length, &digit| length << 8 | u64::from(digit));
        (usize::try_from(length).ok()?, rest)
    };
    rest.split_at_checked(length).filter(|_| found == tag)
}

#[cfg(test)]
mod tests;
