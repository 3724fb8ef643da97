//! Prepared statements and portals of a session, by name, within limits.

use std::collections::BTreeMap;

use aion_base::{Error, Result, SqlState};

/// Things by name. The empty name is that of the unnamed one, which may be replaced.
#[derive(Debug)]
pub struct Named<T> {
    what: &'static str,
    entries: BTreeMap<String, Entry<T>>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    bytes: usize,
}

impl<T> Named<T> {
    /// Nothing yet; `what` is the plural for messages.
    pub fn new(what: &'static str, count_max: usize, bytes_max: usize) -> Self {
        Self {
            what,
            entries: BTreeMap::new(),
            bytes: 0,
            count_max,
            bytes_max,
        }
    }

    /// Other limits than it was made with; what is there stays.
    pub fn limit(&mut self, count_max: usize, bytes_max: usize) {
        self.count_max = count_max;
        self.bytes_max = bytes_max;
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), &entry.value))
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name).map(|entry| &entry.value)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name).map(|entry| &mut entry.value)
    }

    /// Whether there is one of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Adds or replaces; `bytes` is what the client sent to make it.
    ///
    /// # Errors
    /// 54000 beyond a limit.
    pub fn insert(&mut self, name: String, value: T, bytes: usize) -> Result<()> {
        self.remove(&name);
        if self.entries.len() >= self.count_max || bytes > self.bytes_max.saturating_sub(self.bytes) {
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
    pub fn remove(&mut self, name: &str) -> Option<T> {
        let entry = self.entries.remove(name)?;
        self.bytes -= entry.bytes;
        Some(entry.value)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        if !self.entries.is_empty() {
            self.entries.clear();
        }
        self.bytes = 0;
    }

    /// Removes all that have a name.
    pub fn clear_named(&mut self) {
        let unnamed = self.entries.remove("");
        self.clear();
        if let Some(unnamed) = unnamed {
            self.bytes = unnamed.bytes;
            self.entries.insert(String::new(), unnamed);
        }
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
        named.insert(String::new(), 6, 5).expect_err("two are there");
        named.remove("b");
        named.insert(String::new(), 6, 5).expect("fits");
        named.clear_named();
        assert_eq!(named.iter().collect::<Vec<_>>(), [("", &6)]);
        named.clear();
        named.insert("c".into(), 5, 100).expect("empty again");
    }
}
