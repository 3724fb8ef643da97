//! TLS: a certificate and its key, as the PostgreSQL protocol uses them.
//!
//! rustls with ring; TLS 1.2 and 1.3. The hash of the certificate goes to SCRAM (`tls-server-end-point`), so that nobody
//! between client and server can pass a login on.
//!
//! **Left out.** Certificates of clients, several certificates by the name that a client asks for, and reading the files again without a
//! restart. Flight SQL and HTTP are not in TLS yet.

use std::fmt;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_security::{ChannelBinding, certificate};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What libpq says that it speaks in TLS: a server of another protocol refuses it, and we refuse the clients of others.
const PROTOCOL: &[u8] = b"postgresql";

/// See the module's header.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    binding: ChannelBinding,
}

impl Tls {
    /// From the server's certificate, with those that vouch for it after it, and its key, both in PEM.
    ///
    /// # Errors
    /// 22023 for what is not PEM, holds no certificate or no key, or does not belong together. No error quotes the key.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| invalid("the certificate's file is damaged").with_detail(error.to_string()))?;
        let Some(first) = chain.first() else {
            return Err(invalid("the certificate's file holds no certificate")
                .with_hint("It begins with -----BEGIN CERTIFICATE-----."));
        };
        let binding = match certificate::end_point_hash(first) {
            Some(hash) => ChannelBinding::tls_server_end_point(&hash)?,
            None => ChannelBinding::None,
        };
        // Not told what the parser met: it may be a part of the key.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            invalid("the key's file holds no private key")
                .with_hint("It begins with -----BEGIN PRIVATE KEY-----, and is not encrypted.")
        })?;
        let unfit = |error: tokio_rustls::rustls::Error| {
            invalid("the certificate and the key cannot be used").with_detail(error.to_string())
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unfit)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            binding,
        })
    }

    /// What encrypts a connection.
    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// What SCRAM binds a connection to.
    pub(crate) fn binding(&self) -> &ChannelBinding {
        &self.binding
    }
}

/// Shows no key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

fn invalid(message: &str) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = include_bytes!("../../tests/fixtures/tls/certificate.pem");
    const KEY: &[u8] = include_bytes!("../../tests/fixtures/tls/key.pem");

    #[test]
    fn a_certificate_and_its_key_belong_together() {
        let tls = Tls::from_pem(CERTIFICATE, KEY).expect("both are fixtures");
        assert_ne!(*tls.binding(), ChannelBinding::None);
        assert!(
            format!("{tls:?}").ends_with("binding: TlsServerEndPoint, .. }"),
            "{tls:?}"
        );
        for (certificate, key, words) in [
            (KEY, KEY, "holds no certificate"),
            (&b""[..], KEY, "holds no certificate"),
            (CERTIFICATE, CERTIFICATE, "holds no private key"),
            (CERTIFICATE, b"nonsense", "holds no private key"),
        ] {
            let error = Tls::from_pem(certificate, key).expect_err(words);
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
            assert!(error.message().contains(words), "{error}");
        }
    }
}
