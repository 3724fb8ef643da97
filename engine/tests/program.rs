//! The program under test, and what the environment asks of the tests.

use std::path::PathBuf;

use aion_base::rng::entropy;

/// The `aion` binary.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("AION_BIN") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "AION_BIN is {}, and no file is there", path.display());
        return path;
    }
    // target/debug/deps/engine-1234 stands beside target/debug/aion.
    let test = std::env::current_exe().expect("a running test has a path");
    let path = test.ancestors().nth(2).expect("below target").join("aion");
    assert!(
        path.is_file(),
        "{} is not there: run `cargo build -p aion-cli` first, or set AION_BIN to the program",
        path.display()
    );
    path
}

/// The seed of this run: AION_SEED, or a new one. Printed, because a failed test shows what it printed.
pub fn seed() -> u64 {
    seed_or(|| entropy() >> 32)
}

/// The same seed in each gate, a new one with AION_HUNT=full: for what compares us with another program, where a difference need not be
/// a mistake, and whoever changed something else would have to judge it.
pub fn steady_seed() -> u64 {
    seed_or(|| at_length(1, entropy() as usize >> 32) as u64)
}

fn seed_or(new: impl FnOnce() -> u64) -> u64 {
    let seed = match std::env::var("AION_SEED") {
        Ok(text) => text.trim().parse().expect("AION_SEED is a number"),
        Err(_) => new(),
    };
    println!("AION_SEED={seed}");
    seed
}

/// `slice` in the gate, `full` with AION_HUNT=full.
pub fn at_length(slice: usize, full: usize) -> usize {
    match std::env::var("AION_HUNT") {
        Ok(text) if text == "full" => full,
        Ok(text) => panic!("AION_HUNT is {text:?}; it can be `full`"),
        Err(_) => slice,
    }
}
