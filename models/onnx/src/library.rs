//! Where the shared library of ONNX Runtime is looked for.
//!
//! 1. The configured path, and 2. the environment variable `ORT_DYLIB_PATH`: who names a library means that one, so if it is not right
//!    nothing else is tried.
//! 3. Beside the binary.
//! 4. In the Python package `onnxruntime`: of the active virtual environment (`VIRTUAL_ENV`), then of the one that `deploy/setup.sh` makes
//!    (`$AION_CACHE/python`, `~/.cache/aion/python`).
//!
//! The system's search path is not used: what lies there may be of any version.

use std::path::{Path, PathBuf};

use aion_base::files::{Files, Open, OsFiles};
use aion_base::{Error, ErrorKind, Result, SqlState};

use crate::elf;

/// The wheel that is tested with.
pub const TESTED_VERSION: &str = "1.31.1";
/// What names a library before all others.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// How to turn it on, for people.
pub fn how_to_turn_on() -> String {
    format!(
        "Install it with `pip install onnxruntime=={TESTED_VERSION}` into the active virtual environment, or name its \
         capi/libonnxruntime.so.* in the configuration or in {VARIABLE}. Until then models are evaluated in plain Rust."
    )
}

/// A library that was found and looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its absolute path.
    pub path: PathBuf,
    /// What it says of itself before it is loaded.
    pub version: Option<String>,
}

/// The library that is to be loaded.
///
/// # Errors
/// NotFound where there is none; Invalid for one that is not ONNX Runtime, or too old. The hint says how to turn it on.
pub fn find(configured: Option<&Path>) -> Result<Library> {
    if let Some(path) = configured {
        return check(path);
    }
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return check(Path::new(&path));
    }
    let mut searched = Vec::new();
    for directory in directories() {
        if let Some(path) = newest_in(&directory) {
            return check(&path);
        }
        searched.push(directory.display().to_string());
    }
    searched.push(
        "the Python package onnxruntime of the active virtual environment and of ~/.cache/aion/python".to_owned(),
    );
    Err(
        Error::not_found(SqlState::UNDEFINED_FILE, "the library of ONNX Runtime is not installed")
            .with_detail(format!("Looked in: {}.", searched.join(", ")))
            .with_hint(how_to_turn_on()),
    )
}

/// Looks at a library; see `elf`.
///
/// # Errors
/// See [`find`].
pub fn check(path: &Path) -> Result<Library> {
    let refuse = |what: &str| {
        let message = format!("{} is not used as ONNX Runtime: {what}", path.display());
        Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(how_to_turn_on())
    };
    // Also what a loader would wait for: a pipe is no file.
    if !path.is_file() {
        let message = format!("the library of ONNX Runtime is not at {}", path.display());
        return Err(Error::not_found(SqlState::UNDEFINED_FILE, message).with_hint(how_to_turn_on()));
    }
    let failed = |error| Error::io(format_args!("open {}", path.display()), error).with_hint(how_to_turn_on());
    let path = path.canonicalize().map_err(failed)?;
    let version = match looked_at(&path) {
        Some(Ok(found)) => found.map_err(|what| refuse(&what))?,
        Some(Err(error)) => return Err(failed(error)),
        None => None,
    };
    if let Some(version) = &version
        && !is_recent(version)
    {
        return Err(refuse(&format!(
            "its version {version} is older than 1.{}",
            ort::MINOR_VERSION
        )));
    }
    Ok(Library { path, version })
}

/// What stands in the file. None where it cannot be looked at: on systems without ELF, and where this user may not write the library,
/// because base opens files for both. Then `ort` checks symbol and version once it is loaded.
fn looked_at(path: &Path) -> Option<std::io::Result<Result<Option<String>, String>>> {
    use std::io::ErrorKind::{ExecutableFileBusy, PermissionDenied, ReadOnlyFilesystem};
    if !cfg!(target_os = "linux") {
        return None;
    }
    match OsFiles.open(path, Open::Existing) {
        Ok(file) => Some(Ok(elf::version(&*file))),
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | ExecutableFileBusy) => None,
        Err(error) => Some(Err(error)),
    }
}

/// Whether `ort` can be used with this version: its minor number says which functions there are.
fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(1)), Some(Ok(minor))) if minor >= ort::MINOR_VERSION)
}

/// Whether an error says that there is no library, rather than a wrong one.
pub fn is_missing(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

fn directories() -> Vec<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let beside = std::env::current_exe()
        .ok()
        .and_then(|binary| binary.parent().map(Path::to_owned));
    let cache = variable("AION_CACHE").or_else(|| variable("HOME").map(|home| home.join(".cache/aion")));
    let environments = [variable("VIRTUAL_ENV"), cache.map(|cache| cache.join("python"))];
    let packages = environments.into_iter().flatten().flat_map(|environment| {
        // The newest Python of several; base lists files, and these are directories.
        let pythons = (9..40)
            .rev()
            .map(move |minor| environment.join(format!("lib/python3.{minor}")));
        let capi = pythons.map(|python| python.join("site-packages/onnxruntime/capi"));
        capi.filter(|capi| capi.is_dir())
    });
    beside.into_iter().chain(packages).collect()
}

/// `libonnxruntime.so` or, of several with a version, the newest.
fn newest_in(directory: &Path) -> Option<PathBuf> {
    let names = OsFiles.list(directory).unwrap_or_default();
    let numbers = |name: &str| {
        let numbers = name.split('.').filter_map(|part| part.parse().ok());
        numbers.collect::<Vec<u32>>()
    };
    let mut libraries: Vec<&String> = names.iter().filter(|name| is_library(name)).collect();
    libraries.sort_by_key(|name| numbers(name));
    let newest = libraries.last().map(|name| directory.join(name));
    // A link to a file is no file in a list.
    let plain = directory.join(format!("libonnxruntime{}", std::env::consts::DLL_SUFFIX));
    newest.or_else(|| plain.is_file().then_some(plain))
}

fn is_library(name: &str) -> bool {
    let has_suffix = name.split('.').any(|part| part == "so" || part == "dylib");
    name.starts_with("libonnxruntime.") && has_suffix
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::disallowed_methods,
        reason = "makes files that are no libraries, as a test must"
    )]

    use super::*;

    fn refused(path: &Path, why: &str) {
        let error = check(path).expect_err(why);
        assert!(error.message().contains(why), "{why:?} is expected in: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("pip install")), "{error}");
    }

    #[test]
    fn what_is_no_library_is_refused_by_reason() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        refused(&directory.path().join("missing.so"), "is not at");
        refused(directory.path(), "is not at");
        refused(&write("empty.so", b""), "it was cut");
        refused(
            &write("text.so", "a library, honestly\n".repeat(9).as_bytes()),
            "no library of this system",
        );
        let mut header = b"\x7fELF\x02\x01".to_vec();
        header.resize(64, 0);
        refused(&write("object.so", &header), "no shared library");
        header[16] = 3;
        header[18] = 8;
        refused(&write("mips.so", &header), "another processor");
        header[18..20].copy_from_slice(&super::super::elf::machine_for_tests().to_le_bytes());
        refused(&write("headless.so", &header), "no table of sections");
        header[58] = 64;
        header[60] = 9;
        header[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
        refused(&write("far.so", &header), "it was cut");
    }

    /// A library that every such system has, and is not ONNX Runtime: the one that this program runs with.
    #[test]
    #[cfg(target_os = "linux")]
    fn another_library_is_refused() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libraries = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let libc = libraries
            .into_iter()
            .find(|path| path.contains("libc.so") || path.contains("libc-"))
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("libonnxruntime.so");
        std::fs::copy(libc, &copy).unwrap();
        refused(&copy, "does not export OrtGetApiBase");
        // Cut anywhere, it is refused for that.
        let bytes = std::fs::read(&copy).unwrap();
        for part in 0..40 {
            std::fs::write(&copy, &bytes[..bytes.len() * part / 40]).unwrap();
            assert!(check(&copy).is_err(), "{part} fortieths");
        }
        // With any byte of its header and its sections changed, nothing panics.
        let sections = bytes.len().saturating_sub(4_096);
        for at in (0..64).chain((sections..bytes.len()).step_by(7)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            std::fs::write(&copy, &changed).unwrap();
            assert!(check(&copy).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_newest_of_several_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(newest_in(directory.path()), None);
        for name in [
            "libonnxruntime_providers_shared.so",
            "libonnxruntime.txt",
            "onnxruntime.so",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(newest_in(directory.path()), None);
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.31.1",
            "libonnxruntime.so.1.24.3",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let newest = newest_in(directory.path()).unwrap();
        assert!(newest.ends_with("libonnxruntime.so.1.31.1"), "{}", newest.display());
    }

    #[test]
    fn old_versions_are_told_from_new_ones() {
        for recent in ["1.24.0", "1.31.1", "1.100"] {
            assert!(is_recent(recent), "{recent}");
        }
        for old in ["1.23.9", "0.31.1", "2.0.0", "1", "", "x.y"] {
            assert!(!is_recent(old), "{old}");
        }
    }
}
