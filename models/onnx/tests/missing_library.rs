//! Without the library, or with a wrong one, models predict all the same, and the status says what is off.
//!
//! One test, because what is loaded stays loaded: a process has one ONNX Runtime.

#![allow(clippy::disallowed_methods, reason = "makes wrong libraries, as a test must")]

mod shared;

use std::path::Path;

use aion_base::ErrorKind;
use aion_base::rng::SeededRng;
use aion_models_onnx::{Engine, Runtime, library, open, status};
use aion_models_registry::conformance::{Golden, check_predictor};
use shared::{file_of, onnxruntime, random_mlp, random_rows};

/// Nothing is loaded from there, the status says why, and a model is evaluated in plain Rust.
fn refused(path: &Path, kind: ErrorKind, why: &str) {
    let error = Runtime::load(Some(path)).expect_err(why);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(why), "{why:?} is expected in: {error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("pip install")), "{error}");
    let status = status();
    assert!(!status.is_on && status.what.contains(why), "{status}");
    assert!(status.to_string().contains("ORT_DYLIB_PATH"), "{status}");
    let mut random = SeededRng::new(31);
    let mlp = random_mlp(&mut random, 6, &[5]);
    let rows = random_rows(&mut random, 7, 6);
    let opened = open(&file_of(&mlp, 6), Some(path), &rows).expect("it is evaluated in plain Rust");
    assert_eq!(opened.engine, Engine::Plain);
    assert!(opened.note.is_some_and(|note| note.contains(why)));
    let golden = Golden {
        expected: aion_models_registry::Predictor::predict(&mlp, &rows).expect("it predicts"),
        rows,
    };
    check_predictor(&*opened.predictor, &golden).expect("it is a predictor");
}

/// The one that this program runs with.
fn libc() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    files.find(|file| file.contains("libc.so")).map(str::to_owned)
}

#[test]
fn it_is_off_until_the_right_library_is_there() {
    assert!(!status().is_on && status().what.contains("yet"), "{}", status());
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    refused(&at("missing.so"), ErrorKind::NotFound, "is not at");
    refused(directory.path(), ErrorKind::NotFound, "is not at");
    std::fs::write(at("text.so"), "not a library\n".repeat(100)).unwrap();
    refused(&at("text.so"), ErrorKind::Invalid, "no library of this system");
    std::fs::copy(std::env::current_exe().unwrap(), at("program.so")).unwrap();
    refused(&at("program.so"), ErrorKind::Invalid, "is not used as ONNX Runtime");

    // The C library where it lies: who may not write it cannot look at it either, and `ort` refuses it.
    if let Some(libc) = libc() {
        assert!(Runtime::load(Some(Path::new(&libc))).is_err(), "{libc}");
        assert!(!status().is_on);
    }

    let Some(found) = onnxruntime("it_is_off_until_the_right_library_is_there") else {
        return;
    };
    // A copy, because base opens files for writing as well, and not every user may write that one.
    let real = at("libonnxruntime.so");
    std::fs::copy(&found, &real).unwrap();
    let bytes = std::fs::read(&real).unwrap();
    // Half of it, as a download that broke off leaves it.
    std::fs::write(at("half.so"), &bytes[..bytes.len() / 2]).unwrap();
    refused(&at("half.so"), ErrorKind::Invalid, "was cut");
    // An older one: the version that it defines, written over.
    let version = library::check(&real)
        .unwrap()
        .version
        .expect("the wheel defines its version");
    let defined = format!("VERS_{version}\0");
    let place = bytes
        .windows(defined.len())
        .position(|window| window == defined.as_bytes());
    let place = place.expect("the version stands in the file") + "VERS_".len();
    let mut older = bytes;
    let minor = version.split('.').nth(1).expect("a version has two numbers").len();
    older[place + 2..place + 2 + minor].fill(b'0');
    std::fs::write(at("older.so"), &older).unwrap();
    drop(older);
    refused(&at("older.so"), ErrorKind::Invalid, "is older than 1.24");

    // After all that, the right one is loaded, and stays.
    let runtime = Runtime::load(Some(&real)).expect("the right library is loaded");
    assert_eq!(runtime.version(), version);
    assert!(status().is_on && status().hint.is_none(), "{}", status());
    let again = Runtime::load(Some(&at("missing.so"))).expect("what is loaded stays");
    assert_eq!(again.path(), runtime.path());
    let mlp = random_mlp(&mut SeededRng::new(32), 6, &[5]);
    assert_eq!(open(&file_of(&mlp, 6), None, &[]).unwrap().engine, Engine::OnnxRuntime);
}
