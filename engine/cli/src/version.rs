//! What `aion --version` says.

use std::sync::LazyLock;

use aion_bench::environment::Build;
use aion_storage::FORMAT_VERSION;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, or "unknown"; changes that were not committed are not seen.
pub const COMMIT: &str = env!("AION_COMMIT");

/// All of it in one line.
pub static LINE: LazyLock<String> =
    LazyLock::new(|| format!("{VERSION} (commit {COMMIT}, data format {FORMAT_VERSION})"));

/// All of it for a measurement.
pub const BUILD: Build = Build {
    version: VERSION,
    commit: COMMIT,
    format_version: FORMAT_VERSION,
};
