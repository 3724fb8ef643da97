//! Prepared statements and portals of a connection, by name, within limits.

use std::collections::HashMap;

use aion_base::{Error, Result, SqlState};

/// Things by name. The empty name is that of the unnamed one, which may be replaced.
pub(crate) struct Named<T> {
    what: &'static str,
    entries: HashMap<String, Entry<T>>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

struct Entry<T> {
    value: T,
    bytes: usize,
}

impl<T> Named<T> {
    /// Nothing yet; `what` is the plural for messages.
    pub(crate) fn new(what: &'static str, count_max: usize, bytes_max: usize) -> Self {
        Self {
            what,
            entries: HashMap::new(),
            bytes: 0,
            count_max,
            bytes_max,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name).map(|entry| &mut entry.value)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Adds or replaces; `bytes` is what the client sent to make it.
    ///
    /// # Errors
    /// 54000 beyond a limit.
    pub(crate) fn insert(&mut self, name: String, value: T, bytes: usize) -> Result<()> {
        self.remove(&name);
        if self.entries.len() >= self.count_max || bytes > self.bytes_max - self.bytes {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "too many {} in this session: {} of {}, with {} of {} bytes",
                    self.what,
                    self.entries.len(),
                    self.count_max,
                    self.bytes,
                    self.bytes_max
                ),
            )
            .with_hint("Close those that are not needed any more."));
        }
        self.bytes += bytes;
        self.entries.insert(name, Entry { value, bytes });
        Ok(())
    }

    /// Removes one, if it is there.
    pub(crate) fn remove(&mut self, name: &str) -> Option<T> {
        let entry = self.entries.remove(name)?;
        self.bytes -= entry.bytes;
        Some(entry.value)
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) {
        if !self.entries.is_empty() {
            self.entries.clear();
        }
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_removing_makes_room() {
        let mut named = Named::new("things", 2, 100);
        named.insert(String::new(), 1, 60).expect("the first");
        named.insert(String::new(), 2, 90).expect("replaces");
        assert_eq!(named.get(""), Some(&2));
        let error = named.insert("a".into(), 3, 11).expect_err("too many bytes");
        assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        assert_eq!(
            error.message(),
            "too many things in this session: 1 of 2, with 90 of 100 bytes"
        );
        named.insert("a".into(), 3, 10).expect("fits");
        named.remove("");
        named.insert("b".into(), 4, 10).expect("fits");
        named.insert("c".into(), 5, 10).expect_err("too many");
        assert!(named.contains("a") && !named.contains("c"));
        named.clear();
        named.insert("c".into(), 5, 100).expect("empty again");
    }
}
