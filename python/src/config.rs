//! The keys of `connect(config={...})`.

use std::path::PathBuf;

use aion_base::{Error, Result, SqlState};
use aion_db::{DatabaseOptions, LearningOptions, Mode};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors;

/// The known keys.
const KEYS: &str = "ai_mode, copy_dir, memory, threads";
/// The least memory, which is also what `aion serve` asks for.
const MEMORY_BYTES_MIN: usize = 64 << 20;
/// The most threads.
const THREADS_MAX: usize = 1024;
/// What makes the program aion the child process of a rehearsal.
const REHEARSE: &str = "rehearse-clone";

/// What was asked for; None where the default is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    memory_bytes: Option<usize>,
    threads: Option<usize>,
    copy_dir: Option<PathBuf>,
    ai_mode: Option<Mode>,
    /// The program aion, which rehearses; where it was found is not a choice.
    program: Option<PathBuf>,
}

impl Config {
    /// Reads the dictionary; `program` is the program aion where there is one.
    ///
    /// # Errors
    /// ProgrammingError for an unknown key, DataError for a value that a key does not take.
    pub fn new(config: &Bound<'_, PyDict>, program: Option<PathBuf>) -> PyResult<Self> {
        let py = config.py();
        let mut read = Self {
            program,
            ..Self::default()
        };
        for (key, value) in config {
            let key: String = key.str()?.extract()?;
            let text: String = value.str()?.extract()?;
            let outcome = match key.as_str() {
                "memory" => memory(&text).map(|bytes| read.memory_bytes = Some(bytes)),
                "threads" => threads(&text).map(|threads| read.threads = Some(threads)),
                "ai_mode" => ai_mode(&text).map(|mode| read.ai_mode = Some(mode)),
                "copy_dir" => {
                    let path: PathBuf = value.extract()?;
                    let found = path.canonicalize();
                    found
                        .map(|path| read.copy_dir = Some(path))
                        .map_err(|error| Error::io(format_args!("find copy_dir {}", path.display()), error))
                }
                other => Err(Error::invalid(
                    SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
                    format!("there is no config key \"{other}\""),
                )
                .with_hint(format!("The keys are {KEYS}."))),
            };
            outcome.map_err(|error| errors::raised(py, &error))?;
        }
        Ok(read)
    }

    /// The engine's options.
    pub fn options(&self) -> DatabaseOptions {
        let mut options = DatabaseOptions::default();
        if let Some(bytes) = self.memory_bytes {
            options.memory_bytes = bytes;
        }
        if let Some(threads) = self.threads {
            options.threads = threads;
        }
        options.copy_dir.clone_from(&self.copy_dir);
        options.ai_mode = self.ai_mode;
        options.learning = LearningOptions {
            program: self.program.clone().map(|program| (program, vec![REHEARSE.to_owned()])),
            ..LearningOptions::default()
        };
        options
    }

    /// Whether a database that was opened with `other` is as this one asks for.
    pub fn agrees_with(&self, other: &Self) -> bool {
        (self.memory_bytes.is_none() || self.memory_bytes == other.memory_bytes)
            && (self.threads.is_none() || self.threads == other.threads)
            && (self.copy_dir.is_none() || self.copy_dir == other.copy_dir)
            && (self.ai_mode.is_none() || self.ai_mode == other.ai_mode)
    }
}

fn wrong(message: String, hint: &str) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint)
}

fn ai_mode(text: &str) -> Result<Mode> {
    Mode::from_name(text).ok_or_else(|| {
        wrong(
            format!("ai_mode \"{text}\" does not exist"),
            "The modes are off, shadow, advise and auto.",
        )
    })
}

/// `2GB`, `512MiB`, `67108864`: units of 1024, as PostgreSQL counts them.
fn memory(text: &str) -> Result<usize> {
    let text = text.trim();
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" | "kib" => 10,
        "mb" | "mib" => 20,
        "gb" | "gib" => 30,
        "tb" | "tib" => 40,
        _ => u32::MAX,
    };
    let bytes = digits.trim().parse::<usize>().ok().and_then(|number| {
        let unit = 1usize.checked_shl(shift)?;
        number.checked_mul(unit)
    });
    bytes.filter(|bytes| *bytes >= MEMORY_BYTES_MIN).ok_or_else(|| {
        wrong(
            format!("memory: \"{text}\" is not a size of 64MB or more"),
            "Write it as \"2GB\" or as a number of bytes; the units are B, KB, MB, GB and TB, of 1024 each.",
        )
    })
}

fn threads(text: &str) -> Result<usize> {
    let threads = text.parse().ok().filter(|threads| (1..=THREADS_MAX).contains(threads));
    threads.ok_or_else(|| {
        wrong(
            format!("threads: \"{text}\" is not a number from 1 to {THREADS_MAX}"),
            "Leave it out to use every processor.",
        )
    })
}
