//! Which addresses may be served.
//!
//! | | this machine | elsewhere | elsewhere with `insecure` |
//! |---|---|---|---|
//! | PostgreSQL protocol | yes | with TLS and a role that has a password | yes |
//! | Flight SQL, HTTP | yes | no: they ask for no password | yes |
//!
//! `insecure` is the operator's word that everybody who can reach the address may be the superuser.

use std::net::{IpAddr, SocketAddr};

use aion_base::{Error, Result, SqlState};
use aion_security::Roles;

/// Refuses to serve an edge without TLS and passwords beyond this machine.
///
/// # Errors
/// 42501 for an address that is not a loopback address, without `insecure`.
pub fn check_bind(address: SocketAddr, insecure: bool) -> Result<()> {
    if is_loopback(address) || insecure {
        return Ok(());
    }
    Err(refuse(
        address,
        "Flight SQL and HTTP have neither TLS nor passwords, and that address is not loopback",
        "",
    ))
}

/// Refuses to serve the PostgreSQL protocol in the clear beyond this machine.
///
/// # Errors
/// 42501 for an address that is not a loopback address, without TLS and without `insecure`.
pub fn check_pg_bind(address: SocketAddr, has_tls: bool, insecure: bool) -> Result<()> {
    if is_loopback(address) || has_tls || insecure {
        return Ok(());
    }
    Err(refuse(
        address,
        "there is no TLS, and that address is not loopback",
        "give --tls-cert and --tls-key, ",
    ))
}

/// Refuses to serve the PostgreSQL protocol beyond this machine where nobody could log in from there.
///
/// # Errors
/// 42501 for an address that is not a loopback address, while no role that may log in has a password, without `insecure`.
pub fn check_roles(address: SocketAddr, roles: &Roles, insecure: bool) -> Result<()> {
    let has_password = roles.iter().any(|role| role.can_login && role.verifier.is_some());
    if is_loopback(address) || has_password || insecure {
        return Ok(());
    }
    Err(refuse(
        address,
        "no role that may log in has a password, and that address is not loopback",
        "set a password from this machine (ALTER ROLE aion PASSWORD '...'), ",
    ))
}

fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

/// 42501; `remedy` is what can be done besides.
fn refuse(address: SocketAddr, why: &str, remedy: &str) -> Error {
    let message = format!("will not listen on {address}: {why}");
    Error::denied(SqlState::INSUFFICIENT_PRIVILEGE, message).with_hint(format!(
        "Listen on 127.0.0.1:{}, {remedy}or give --insecure if everybody on that network may read and change everything.",
        address.port()
    ))
}

#[cfg(test)]
mod tests {
    use aion_security::Verifier;
    use aion_security::role::BOOTSTRAP_ID;
    use aion_security::roles::Options;

    use super::*;

    const LOOPBACK: [&str; 4] = ["127.0.0.1:5433", "127.8.9.1:1", "[::1]:5433", "[::ffff:127.0.0.1]:5433"];
    const ELSEWHERE: [&str; 4] = [
        "0.0.0.0:5433",
        "[::]:5433",
        "192.168.1.2:5433",
        "[::ffff:10.0.0.1]:5433",
    ];

    fn refused(checked: Result<()>, address: &str) {
        let error = checked.expect_err(address);
        assert_eq!(error.state(), SqlState::INSUFFICIENT_PRIVILEGE);
        assert!(error.message().contains(address), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--insecure")), "{error}");
    }

    #[test]
    fn only_loopback_is_served_unless_told_otherwise() {
        let roles = Roles::default();
        for address in LOOPBACK {
            let parsed = address.parse().expect("an address");
            check_bind(parsed, false).expect(address);
            check_pg_bind(parsed, false, false).expect(address);
            check_roles(parsed, &roles, false).expect(address);
        }
        for address in ELSEWHERE {
            let parsed = address.parse().expect("an address");
            refused(check_bind(parsed, false), address);
            refused(check_pg_bind(parsed, false, false), address);
            refused(check_roles(parsed, &roles, false), address);
            check_bind(parsed, true).expect(address);
            check_pg_bind(parsed, false, true).expect(address);
            check_roles(parsed, &roles, true).expect(address);
        }
    }

    #[test]
    fn beyond_it_takes_tls_and_a_password() {
        let parsed = ELSEWHERE[0].parse().expect("an address");
        check_pg_bind(parsed, true, false).expect("with TLS");
        let stored = "SCRAM-SHA-256$4096:7hkitB9zbvNT38uC+SnaRg==$aLPPqnU7bKmPEKFRcIYmJBPJgpooTB4Njk3sZYYnoBM=:\
                      1AiZ7l7DQ0bOpFrz8gwTQOq6yUQli2qmH2u7mKZWlgg=";
        let options = Options {
            verifier: Some(Some(Verifier::parse(stored).expect("PostgreSQL made it"))),
            ..Options::default()
        };
        let roles = Roles::default();
        let nobody = roles.apply(&roles.create(BOOTSTRAP_ID, "alice", &options).expect("new"));
        refused(check_roles(parsed, &nobody, false), ELSEWHERE[0]);
        let somebody = roles.apply(&roles.alter(BOOTSTRAP_ID, "aion", &options).expect("there"));
        check_roles(parsed, &somebody, false).expect("with a password");
    }
}
