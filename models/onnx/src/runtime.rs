//! ONNX Runtime, loaded once for the process.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use aion_base::{Error, Result, SqlState};
use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;

use crate::library::{self, Library};

/// The loaded library. There is one for the process, for as long as it lives: `ort` takes no second one, and an environment that was
/// given up cannot be made again.
static LOADED: OnceLock<Runtime> = OnceLock::new();
/// What kept the library from being loaded the last time. Held while it is loaded: of two threads inside of `ort`, one would spin.
static FAILED: Mutex<Option<String>> = Mutex::new(None);

/// See the module's header.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) environment: Environment,
    path: PathBuf,
    version: String,
}

impl Runtime {
    /// The runtime; loads the library at the first call that finds one. Later calls return it, whatever they name.
    ///
    /// # Errors
    /// NotFound, Invalid or Unavailable, with how to turn it on as the hint. The next call tries again.
    pub fn load(configured: Option<&Path>) -> Result<&'static Self> {
        let mut failed = FAILED.lock();
        if let Some(runtime) = LOADED.get() {
            return Ok(runtime);
        }
        match library::find(configured).and_then(Self::start) {
            Ok(runtime) => {
                *failed = None;
                Ok(LOADED.get_or_init(|| runtime))
            }
            Err(error) => {
                *failed = Some(match error.detail() {
                    Some(detail) => format!("{}. {detail}", error.message()),
                    None => error.message().to_owned(),
                });
                Err(error)
            }
        }
    }

    /// The library that was loaded.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn start(library: Library) -> Result<Self> {
        let unavailable = |what: String| {
            let message = format!("ONNX Runtime at {} cannot be started: {what}", library.path.display());
            Error::unavailable(SqlState::IO_ERROR, message).with_hint(library::how_to_turn_on())
        };
        // `ort` panics where a library answers other than it should; of one that passed the checks nothing is known to.
        let started = catch_unwind(AssertUnwindSafe(|| {
            let builder = ort::init_from(&library.path).map_err(|error| error.to_string())?;
            let environment = builder.with_name("aion").with_telemetry(false).build();
            let environment = environment.map_err(|error| error.to_string())?;
            // What goes wrong is returned as well; its warnings would go past the log, to the standard error.
            environment.set_log_level(LogLevel::Fatal);
            Ok(environment)
        }));
        let started = started.unwrap_or_else(|_| Err("it does not answer as ONNX Runtime does".to_owned()));
        let environment = started.map_err(unavailable)?;
        Ok(Self {
            environment,
            version: library.version.unwrap_or_else(|| "of unknown version".to_owned()),
            path: library.path,
        })
    }
}

/// Whether ONNX Runtime is in use, for people; see [`status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether the library is loaded.
    pub is_on: bool,
    /// One sentence: which library, or what is off.
    pub what: String,
    /// How to turn it on, where it is off.
    pub hint: Option<String>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " {hint}"),
            None => Ok(()),
        }
    }
}

/// How it stands. Loads nothing.
pub fn status() -> Status {
    if let Some(runtime) = LOADED.get() {
        return Status {
            is_on: true,
            what: format!("ONNX Runtime {} from {}.", runtime.version, runtime.path.display()),
            hint: None,
        };
    }
    // Without waiting for who loads it: a view must answer whatever the library does.
    let what = match FAILED.try_lock().as_deref() {
        Some(Some(failed)) => format!("ONNX Runtime is off: {failed}."),
        Some(None) => "ONNX Runtime is off: no model has asked for it yet.".to_owned(),
        None => "ONNX Runtime is off: it is being loaded.".to_owned(),
    };
    Status {
        is_on: false,
        what,
        hint: Some(library::how_to_turn_on()),
    }
}
