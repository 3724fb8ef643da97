//! What a path and a query name: a namespace, a key, bounds.

use std::cell::RefCell;
use std::sync::Arc;

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use axum::http::Uri;
use bytes::Bytes;

const ROOT: &str = "/v1/kv/";

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) namespace: Arc<str>,
    /// Empty where there is none.
    pub(super) key: Bytes,
}

impl Target {
    /// Of `/v1/kv/NAMESPACE/KEY`.
    ///
    /// # Errors
    /// 22023 for an escape that is none, or a namespace that is no text.
    pub(super) fn of(uri: &Uri) -> Result<Self> {
        let rest = uri.path().strip_prefix(ROOT).unwrap_or_default();
        let (namespace, key) = rest.split_once('/').unwrap_or((rest, ""));
        let namespace = String::from_utf8(unescaped(namespace, Plus::AsItIs)?)
            .map_err(|_| invalid("a namespace's name is text in UTF-8"))?;
        Ok(Self {
            namespace: namespace.into(),
            key: unescaped(key, Plus::AsItIs)?.into(),
        })
    }
}

/// The parameters of a query, each at most once.
#[derive(Debug)]
pub(super) struct Query {
    /// Those that nobody has asked for yet.
    parameters: RefCell<Vec<(String, Bytes)>>,
}

impl Query {
    /// Of what stands behind the `?`.
    ///
    /// # Errors
    /// 22023 for an escape that is none, or a name that comes twice.
    pub(super) fn of(uri: &Uri) -> Result<Self> {
        let mut parameters: Vec<(String, Bytes)> = Vec::new();
        for part in uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
        {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = String::from_utf8_lossy(&unescaped(name, Plus::Space)?).into_owned();
            if parameters.iter().any(|(there, _)| *there == name) {
                return Err(invalid(&format!("the parameter {name} is given twice")));
            }
            parameters.push((name, unescaped(value, Plus::Space)?.into()));
        }
        Ok(Self {
            parameters: RefCell::new(parameters),
        })
    }

    fn take(&self, name: &str) -> Option<Bytes> {
        let mut parameters = self.parameters.borrow_mut();
        let at = parameters.iter().position(|(there, _)| there == name)?;
        Some(parameters.swap_remove(at).1)
    }

    /// Bytes; empty where they are not given.
    pub(super) fn bytes(&self, name: &str) -> Bytes {
        self.take(name).unwrap_or_default()
    }

    /// A number, if it is given.
    ///
    /// # Errors
    /// 22023.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(invalid(&format!("the parameter {name} is no number"))),
        }
    }

    /// True or false; false where it is not given.
    ///
    /// # Errors
    /// 22023.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        match self.take(name).as_deref() {
            None | Some(b"false" | b"0") => Ok(false),
            Some(b"true" | b"1" | b"") => Ok(true),
            Some(_) => Err(invalid(&format!("the parameter {name} is true or false"))),
        }
    }

    /// The timestamp that is to be seen.
    ///
    /// # Errors
    /// 22023.
    pub(super) fn after(&self) -> Result<Timestamp> {
        Ok(Timestamp(self.number("after")?.unwrap_or(0)))
    }

    /// Refuses what nobody asked for: a misspelt bound would be no bound.
    ///
    /// # Errors
    /// 22023.
    pub(super) fn finish(self) -> Result<()> {
        match self.parameters.into_inner().first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(&format!("there is no parameter {name} here"))),
        }
    }
}

/// What a plus stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    /// Itself, as in a path.
    AsItIs,
    /// A space, as in a form.
    Space,
}

fn unescaped(text: &str, plus: Plus) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit().zip(digit()).map(|(high, low)| high << 4 | low);
                let value = value.and_then(|value| u8::try_from(value).ok());
                value.ok_or_else(|| invalid("a % is followed by two hexadecimal digits"))?
            }
            b'+' if plus == Plus::Space => b' ',
            other => other,
        });
    }
    Ok(bytes)
}

fn invalid(message: &str) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().expect("an address")
    }

    #[test]
    fn a_key_is_all_that_stands_behind_its_namespace() {
        for (path, namespace, key) in [
            ("/v1/kv/n", "n", &b""[..]),
            ("/v1/kv/n/k", "n", b"k"),
            ("/v1/kv/n/a/b//c", "n", b"a/b//c"),
            ("/v1/kv/n/a%2Fb%00%ff+c", "n", b"a/b\x00\xff+c"),
            ("/v1/kv/%6e/%25", "n", b"%"),
        ] {
            let target = Target::of(&uri(path)).expect(path);
            assert_eq!((&*target.namespace, &target.key[..]), (namespace, key), "{path}");
        }
        for path in ["/v1/kv/n/%", "/v1/kv/n/%0", "/v1/kv/n/%0g", "/v1/kv/%ff/k"] {
            let error = Target::of(&uri(path)).expect_err(path);
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{path}");
        }
    }

    #[test]
    fn a_parameter_is_known_and_given_once() {
        let query = Query::of(&uri("/?prefix=a+b%2B&limit=7&reverse")).expect("a query");
        assert_eq!(query.bytes("prefix"), "a b+");
        assert_eq!(query.number("limit").expect("a number"), Some(7));
        assert!(query.flag("reverse").expect("true"));
        assert_eq!(query.bytes("start"), "");
        query.finish().expect("nothing is left");
        let left = Query::of(&uri("/?limits=7")).expect("a query");
        left.number("limit").expect("none");
        left.finish().expect_err("misspelt");
        Query::of(&uri("/?a=1&a=2")).expect_err("twice");
        let wrong = Query::of(&uri("/?limit=-1&reverse=maybe")).expect("a query");
        wrong.number("limit").expect_err("negative");
        wrong.flag("reverse").expect_err("neither");
    }
}
