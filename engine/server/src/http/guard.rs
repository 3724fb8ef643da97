//! Who may ask: not a page of another origin.
//!
//! A browser on this machine reaches 127.0.0.1 on behalf of any page that it shows. Three things keep such a page out:
//!
//! * **Content-Type** `application/json`, which a page may not send to another origin without asking us first, and we
//!   do not answer such questions (CORS).
//! * **Origin**, which browsers send with every POST and no page can forge, must be what `Host` names. The page at `/` is the one that
//!   may ask.
//! * **Host** must be an address or `localhost`: a page whose name its owner makes point to 127.0.0.1 (DNS rebinding)
//!   has the right origin and its own name in `Host`.
//!
//! A server that listens beyond this machine, which takes `--insecure`, goes by any name.

use std::net::{IpAddr, SocketAddr};

use aion_base::{Error, Result, SqlState};
use axum::http::{HeaderMap, header};

/// Checks `Host` and `Origin` of a request to the server at `address`.
///
/// # Errors
/// 42501: a 403.
pub(super) fn check_origin(headers: &HeaderMap, address: SocketAddr) -> Result<()> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(foreign("the request needs one Host".to_owned(), address));
    };
    let host = host.to_str().unwrap_or_default();
    if address.ip().is_loopback() && !is_ours(host) {
        return Err(foreign(
            format!("the server does not go by the name \"{host}\""),
            address,
        ));
    }
    let ours = format!("http://{host}");
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !origin.eq_ignore_ascii_case(&ours) {
            return Err(foreign(
                format!("pages of the origin \"{origin}\" may not ask"),
                address,
            ));
        }
    }
    Ok(())
}

fn foreign(message: String, address: SocketAddr) -> Error {
    Error::denied(SqlState::INSUFFICIENT_PRIVILEGE, message)
        .with_hint(format!("Ask from a program, or open http://{address}/ in a browser."))
}

/// Whether a `Host` is an address or this machine's own name.
fn is_ours(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) if host.ends_with(']') => host,
        Some(_) => return false,
        None => host,
    };
    let address = match name.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(address) => address,
            None => return false,
        },
        None => name,
    };
    address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// Checks that a body is JSON.
///
/// # Errors
/// 0A000: a 415.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = given.unwrap_or_default().split(';');
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|part| match part.trim().split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if is_json && is_utf8 {
        return Ok(());
    }
    Err(Error::unsupported("the body must be application/json in UTF-8")
        .with_hint("Send the header Content-Type: application/json."))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, HeaderValue::from_str(value).expect("a header"));
        }
        map
    }

    const ADDRESS: &str = "127.0.0.1:8080";

    #[test]
    fn names_of_strangers_are_refused() {
        let address = ADDRESS.parse().expect("an address");
        for host in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LOCALHOST",
            "[::1]:8080",
            "[::1]",
            "127.0.0.1",
        ] {
            check_origin(&headers(&[(header::HOST, host)]), address).expect(host);
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "127.0.0.1:x",
            "[::1",
            "::1x",
        ] {
            let error = check_origin(&headers(&[(header::HOST, host)]), address).expect_err(host);
            assert_eq!(error.state(), SqlState::INSUFFICIENT_PRIVILEGE);
        }
        check_origin(&headers(&[]), address).expect_err("no Host");
        let two = headers(&[(header::HOST, "localhost"), (header::HOST, "localhost")]);
        check_origin(&two, address).expect_err("two of them");
        let everywhere = "0.0.0.0:8080".parse().expect("an address");
        check_origin(&headers(&[(header::HOST, "aion.internal:8080")]), everywhere).expect("--insecure");
    }

    #[test]
    fn pages_of_strangers_are_refused() {
        let address = ADDRESS.parse().expect("an address");
        let of = |origin| headers(&[(header::HOST, ADDRESS), (header::ORIGIN, origin)]);
        check_origin(&of("http://127.0.0.1:8080"), address).expect("its own");
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:3000",
            "https://127.0.0.1:8080",
        ] {
            check_origin(&of(origin), address).expect_err(origin);
        }
        let everywhere = "0.0.0.0:8080".parse().expect("an address");
        check_origin(&of("http://evil.example"), everywhere).expect_err("there too");
    }

    #[test]
    fn bodies_are_json() {
        let check = |kind| check_content_type(&headers(&[(header::CONTENT_TYPE, kind)]));
        for kind in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            check(kind).expect(kind);
        }
        for kind in [
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonx",
            "",
        ] {
            check(kind).expect_err(kind);
        }
        check_content_type(&headers(&[])).expect_err("none");
    }
}
