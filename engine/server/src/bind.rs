//! Which addresses may be served.

use std::net::{IpAddr, SocketAddr};

use aion_base::{Error, Result, SqlState};

/// Refuses to listen beyond this machine, unless the operator insists.
///
/// Neither TLS nor passwords exist yet: whoever reaches the port is the superuser. So `insecure` is the operator's
/// word that everybody who can reach `address` may be.
///
/// # Errors
/// 42501 for an address that is not a loopback address, without `insecure`.
pub fn check_bind(address: SocketAddr, insecure: bool) -> Result<()> {
    let loopback = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    };
    if loopback || insecure {
        return Ok(());
    }
    Err(Error::denied(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("will not listen on {address}: there is neither TLS nor a password, and that address is not loopback"),
    )
    .with_hint(format!(
        "Listen on 127.0.0.1:{}, or give --insecure if everybody on that network may read and change everything.",
        address.port()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served_unless_told_otherwise() {
        for address in ["127.0.0.1:5433", "127.8.9.1:1", "[::1]:5433", "[::ffff:127.0.0.1]:5433"] {
            check_bind(address.parse().expect("an address"), false).expect(address);
        }
        for address in [
            "0.0.0.0:5433",
            "[::]:5433",
            "192.168.1.2:5433",
            "[::ffff:10.0.0.1]:5433",
        ] {
            let parsed = address.parse().expect("an address");
            let error = check_bind(parsed, false).expect_err(address);
            assert_eq!(error.state(), SqlState::INSUFFICIENT_PRIVILEGE);
            assert!(error.message().contains(address), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("--insecure")), "{error}");
            check_bind(parsed, true).expect(address);
        }
    }
}
