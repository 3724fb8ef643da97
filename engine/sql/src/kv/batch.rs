//! What is asked of keys, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use bytes::Bytes;

/// Bytes of a key, at most; at least one.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of a value, at most: 4 MB. A row of that size fits into an entry of the log.
pub const VALUE_BYTES_MAX: usize = 4_000_000;
/// Operations of a batch.
pub const BATCH_OPERATIONS_MAX: usize = 10_000;
/// Bytes of the keys and values of a batch, and of the values that it answers.
pub const BATCH_BYTES_MAX: usize = 16 << 20;

/// Operations that are one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order in which they run.
    pub operations: Vec<Operation>,
    /// It sees at least the commit with this timestamp; 0 for whatever is there.
    pub after: Timestamp,
    /// How long it may wait for others, where that is less than [`super::WAIT_MAX`].
    pub wait: Option<Duration>,
}

/// About one key.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The table's name in the schema `kv`.
    pub namespace: Arc<str>,
    /// 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: Bytes,
    /// What about it.
    pub what: What,
}

/// What is to be done with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Read it.
    Get,
    /// Give it a value, whatever it had.
    Put(Bytes),
    /// Take it away.
    Delete,
    /// Give it a value, or with None take it away, if it has the expected one, or with None none.
    CompareAndSet {
        /// What it must have.
        expected: Option<Bytes>,
        /// What it gets.
        value: Option<Bytes>,
    },
}

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value; None where there is none.
    Got(Option<Bytes>),
    /// It is put.
    Put,
    /// It is gone; whether it was there.
    Deleted(bool),
    /// It had what was expected, and has what was given.
    Set,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Applied {
        /// Of its commit; of one that changed nothing, of the last commit that it saw.
        timestamp: Timestamp,
        /// One for each operation.
        answers: Vec<Answer>,
    },
    /// It is not done.
    Unmet(Unmet),
}

/// The first operation that found something else than it expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Its place in the batch, from 0.
    pub operation: usize,
    /// The value that it found.
    pub found: Option<Bytes>,
    /// Of the last commit that the batch saw.
    pub timestamp: Timestamp,
}

impl Batch {
    /// Whether it reads nothing.
    pub fn is_blind(&self) -> bool {
        self.operations
            .iter()
            .all(|operation| matches!(operation.what, What::Put(_)))
    }

    /// Whether it changes something, if its comparisons hold.
    pub fn is_writing(&self) -> bool {
        self.operations.iter().any(|operation| operation.what != What::Get)
    }

    /// Whether it is within the limits.
    ///
    /// # Errors
    /// 54000, 22023 for an empty key.
    pub fn check(&self) -> Result<()> {
        let count = self.operations.len();
        if count > BATCH_OPERATIONS_MAX {
            return Err(beyond(format!(
                "a batch has at most {BATCH_OPERATIONS_MAX} operations, and this one {count}"
            )));
        }
        let mut bytes = 0;
        for operation in &self.operations {
            check_key(&operation.key)?;
            bytes += operation.key.len();
            match &operation.what {
                What::Get | What::Delete => {}
                What::Put(value) => bytes += check_value(value)?,
                What::CompareAndSet { expected, value } => {
                    for value in expected.iter().chain(value) {
                        bytes += check_value(value)?;
                    }
                }
            }
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(beyond(format!(
                "the keys and values of a batch have at most {BATCH_BYTES_MAX} bytes, and these {bytes}"
            )));
        }
        Ok(())
    }
}

/// Whether a key is one.
///
/// # Errors
/// 54000, 22023 for an empty one.
pub fn check_key(key: &[u8]) -> Result<()> {
    match key.len() {
        0 => Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            "a key has at least one byte",
        )),
        1..=KEY_BYTES_MAX => Ok(()),
        length => Err(beyond(format!(
            "a key has at most {KEY_BYTES_MAX} bytes, and this one {length}"
        ))),
    }
}

/// The bytes of a value.
///
/// # Errors
/// 54000.
fn check_value(value: &[u8]) -> Result<usize> {
    match value.len() {
        length if length <= VALUE_BYTES_MAX => Ok(length),
        length => Err(beyond(format!(
            "a value has at most {VALUE_BYTES_MAX} bytes, and this one {length}"
        ))),
    }
}

/// The request is beyond a limit, and stays so: it is wrong, and nothing is exhausted.
pub fn beyond(message: String) -> Error {
    Error::invalid(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}
