//! The rules of the house as data. Everything here is a table that a reviewer can read; the checks in
//! [`crate::tidy`] contain no names of crates, folders or calls of their own.
//!
//! **Vocabulary.** A *folder* is a crate's directory relative to the workspace root, with `/`. A *row* is one line
//! of the layer table; an edge may only point to a lower row. A *home* is the one folder whose Cargo.toml may name a
//! heavy dependency; a *guest* is a further folder that may, with the reason. A *family* is a package name together
//! with every package whose name continues it after a `-`: `datafusion` covers `datafusion-expr`.

/// One line of the layer table of the architecture page.
pub struct Row {
    /// How high the row stands; edges point from higher numbers to lower ones.
    pub height: u8,
    /// What the row is called in messages.
    pub name: &'static str,
    /// The crates that stand on it.
    pub folders: &'static [&'static str],
}

/// The layer table, top down, with the crates that are designed but not there yet.
pub const LAYERS: &[Row] = &[
    Row {
        height: 8,
        name: "artefacts",
        folders: &["engine/cli", "engine/peers", "python", "engine/tests"],
    },
    Row {
        height: 7,
        name: "measuring",
        folders: &["engine/bench"],
    },
    Row {
        height: 6,
        name: "edge",
        folders: &["engine/server", "datasets"],
    },
    Row {
        height: 5,
        name: "compose",
        folders: &["engine/db"],
    },
    Row {
        height: 4,
        name: "adapters",
        folders: &[
            "engine/sql",
            "engine/distributed",
            "optimizer/rules",
            "models/onnx",
            "models/learn",
        ],
    },
    Row {
        height: 3,
        name: "domain",
        folders: &[
            "engine/columnar",
            "engine/cluster",
            "engine/fuzz",
            "engine/graph",
            "engine/vector",
            "engine/series",
            "engine/text",
            "optimizer/core",
            "tuner",
            "shadow",
        ],
    },
    Row {
        height: 2,
        name: "catalog",
        folders: &["engine/catalog"],
    },
    Row {
        height: 1,
        name: "ground",
        folders: &[
            "engine/storage",
            "engine/security",
            "engine/workload",
            "models/registry",
        ],
    },
    Row {
        height: 0,
        name: "base",
        folders: &["engine/base"],
    },
];

/// Crates outside the layers: no edge to or from the workspace.
pub const STANDALONE: &[&str] = &["deploy/xtask"];

/// Folders that are a workspace of their own, which the gate neither builds nor looks at: fuzz targets, of a few lines each.
pub const OUTSIDE: &[&str] = &["engine/fuzz/libfuzzer/"];

/// Pairs that the layers would allow and the architecture does not: the first folder must not depend on the second.
pub const STRANGERS: &[(&str, &str, &str)] = &[
    (
        "engine/sql",
        "engine/cluster",
        "`db` hands sql a `Replicator`, local or replicated",
    ),
    (
        "engine/sql",
        "optimizer/core",
        "`db` injects the optimizer's rules; without them every query answers the same",
    ),
    (
        "tuner",
        "engine/catalog",
        "the tuner reaches the engine only through the `Knobs` trait of base",
    ),
    (
        "tuner",
        "engine/storage",
        "the tuner reaches the engine only through the `Knobs` trait of base",
    ),
    (
        "tuner",
        "engine/security",
        "the tuner reaches the engine only through the `Knobs` trait of base",
    ),
    (
        "shadow",
        "engine/catalog",
        "shadow reaches the engine only through its own `Rehearsal` trait",
    ),
    (
        "shadow",
        "engine/storage",
        "shadow reaches the engine only through its own `Rehearsal` trait",
    ),
    (
        "shadow",
        "engine/security",
        "shadow reaches the engine only through its own `Rehearsal` trait",
    ),
];

/// Where a heavy dependency may be named.
pub struct Home {
    /// The family, see the module header.
    pub family: &'static str,
    /// The crate that walls it off.
    pub folder: &'static str,
    /// Further folders that may name it. This is where an exception is granted: one line, with its reason.
    pub guests: &'static [Guest],
}

/// A second place that may name a heavy dependency.
pub struct Guest {
    /// The folder that may.
    pub folder: &'static str,
    /// Why it may; shown when another crate is refused.
    pub why: &'static str,
}

/// The heavy dependencies in [brackets] on the architecture page, and those that come only with them.
pub const HOMES: &[Home] = &[
    Home {
        family: "rocksdb",
        folder: "engine/storage",
        guests: &[Guest {
            folder: "engine/peers",
            why: "a program of its own that measures RocksDB as a peer; `aion` does not contain it",
        }],
    },
    Home {
        family: "librocksdb-sys",
        folder: "engine/storage",
        guests: &[],
    },
    Home {
        family: "rusqlite",
        folder: "engine/peers",
        guests: &[],
    },
    Home {
        family: "libsqlite3-sys",
        folder: "engine/peers",
        guests: &[],
    },
    Home {
        family: "parquet",
        folder: "engine/columnar",
        guests: &[],
    },
    Home {
        family: "openraft",
        folder: "engine/cluster",
        guests: &[],
    },
    Home {
        family: "usearch",
        folder: "engine/vector",
        guests: &[],
    },
    Home {
        family: "tantivy",
        folder: "engine/text",
        guests: &[],
    },
    Home {
        family: "datafusion",
        folder: "engine/sql",
        guests: &[Guest {
            folder: "optimizer/rules",
            why: "the adapter between a DataFusion plan and a query graph",
        }],
    },
    Home {
        family: "pgwire",
        folder: "engine/server",
        guests: &[],
    },
    Home {
        family: "tonic",
        folder: "engine/server",
        guests: &[],
    },
    Home {
        family: "rustls",
        folder: "engine/server",
        guests: &[],
    },
    Home {
        family: "tokio-rustls",
        folder: "engine/server",
        guests: &[],
    },
    Home {
        family: "axum",
        folder: "engine/server",
        guests: &[],
    },
    Home {
        family: "candle",
        folder: "models/learn",
        guests: &[],
    },
    Home {
        family: "linfa",
        folder: "models/learn",
        guests: &[],
    },
    Home {
        family: "ort",
        folder: "models/onnx",
        guests: &[],
    },
    Home {
        family: "pyo3",
        folder: "python",
        guests: &[],
    },
];

/// Families that a folder must do without.
pub struct Absence {
    /// The folder.
    pub folder: &'static str,
    /// What it must not name.
    pub families: &'static [&'static str],
    /// Single packages of those families that it may name.
    pub except: &'static [&'static str],
    /// The reason, as the architecture page gives it.
    pub why: &'static str,
}

/// What the lowest crates do without.
pub const ABSENCES: &[Absence] = &[
    Absence {
        folder: "engine/base",
        families: &["arrow", "tokio", "futures", "async-trait"],
        except: &[],
        why: "base has no async and no Arrow",
    },
    Absence {
        folder: "engine/storage",
        families: &["arrow"],
        except: &[],
        why: "storage knows bytes, ranges, versions, snapshots and a log",
    },
    Absence {
        folder: "engine/catalog",
        families: &["arrow"],
        except: &["arrow-schema"],
        why: "of Arrow, the catalog needs only the type names",
    },
];

/// What a banned call looks like in the source.
pub enum Pattern {
    /// `.name()`
    Method(&'static str),
    /// `name!(..)`
    Macro(&'static str),
    /// These segments, one after the other, anywhere in a path or an import: `["fs", "read"]` is `x::fs::read`.
    Path(&'static [&'static str]),
}

/// A call that product code must not make.
pub struct Ban {
    /// How to recognise it.
    pub pattern: Pattern,
    /// Path prefixes, relative to the workspace root, where it may stand.
    pub allowed: &'static [&'static str],
    /// Whether a crate's build script may use it.
    pub in_build_scripts: bool,
    /// What to write instead.
    pub instead: &'static str,
}

const PANICS: &[&str] = &["deploy/xtask/", "engine/cli/", "engine/tests/"];
const PRINTS: &[&str] = &[
    "engine/cli/",
    "engine/bench/",
    "engine/tests/",
    "datasets/",
    "deploy/xtask/",
];
const CLOCK: &[&str] = &[
    "engine/base/src/clock.rs",
    "engine/cli/",
    "engine/bench/",
    "engine/tests/",
    "datasets/",
    "deploy/xtask/",
];
const FILES: &[&str] = &[
    "engine/base/src/file",
    // Figures of the kernel, which no simulated power cut concerns.
    "engine/db/src/memory.rs",
    // Files of the user, read once.
    "engine/sql/src/copy/",
    "engine/cli/",
    "engine/bench/",
    "engine/peers/",
    "engine/tests/",
    "datasets/",
    "deploy/xtask/",
];
const RANDOM: &[&str] = &[
    "engine/base/src/rng.rs",
    "engine/cli/",
    "engine/bench/",
    "engine/tests/",
    "datasets/",
    "deploy/xtask/",
];

const INSTEAD_OF_UNWRAP: &str = "return the error with `?`, or write `.expect(\"why it cannot fail\")`";
const INSTEAD_OF_PANIC: &str =
    "return an `Error`; for a programmer's error use `assert!` or `unreachable!` with a reason";
const INSTEAD_OF_PRINT: &str = "use `tracing`, or return the text to the caller";
const INSTEAD_OF_NOW: &str = "take the time from the `Clock` of base";
const INSTEAD_OF_FS: &str = "go through the file trait of base, so that a simulated power cut can be tested";
const INSTEAD_OF_RANDOM: &str = "take a seeded `Rng` of base, so that a run can be replayed";
const FINISH_IT: &str = "finish it, or return an `Error` that says what is not supported";

/// Banned calls; test code is exempt.
pub const BANS: &[Ban] = &[
    ban(Pattern::Method("unwrap"), &[], false, INSTEAD_OF_UNWRAP),
    ban(Pattern::Macro("todo"), &[], false, FINISH_IT),
    ban(Pattern::Macro("unimplemented"), &[], false, FINISH_IT),
    ban(Pattern::Macro("dbg"), &[], false, "remove it, or use `tracing`"),
    ban(Pattern::Macro("panic"), PANICS, true, INSTEAD_OF_PANIC),
    ban(Pattern::Macro("println"), PRINTS, true, INSTEAD_OF_PRINT),
    ban(Pattern::Macro("eprintln"), PRINTS, true, INSTEAD_OF_PRINT),
    ban(Pattern::Macro("print"), PRINTS, true, INSTEAD_OF_PRINT),
    ban(Pattern::Macro("eprint"), PRINTS, true, INSTEAD_OF_PRINT),
    ban(Pattern::Path(&["Instant", "now"]), CLOCK, false, INSTEAD_OF_NOW),
    ban(Pattern::Path(&["SystemTime", "now"]), CLOCK, false, INSTEAD_OF_NOW),
    ban(
        Pattern::Path(&["thread", "sleep"]),
        CLOCK,
        false,
        "wait through the `Clock` of base, or on a channel",
    ),
    ban(Pattern::Path(&["std", "fs"]), FILES, true, INSTEAD_OF_FS),
    ban(Pattern::Path(&["tokio", "fs"]), FILES, false, INSTEAD_OF_FS),
    ban(Pattern::Path(&["rand", "rng"]), RANDOM, false, INSTEAD_OF_RANDOM),
    ban(Pattern::Path(&["rand", "random"]), RANDOM, false, INSTEAD_OF_RANDOM),
    ban(Pattern::Path(&["thread_rng"]), RANDOM, false, INSTEAD_OF_RANDOM),
];

const fn ban(pattern: Pattern, allowed: &'static [&'static str], in_build_scripts: bool, instead: &'static str) -> Ban {
    Ban {
        pattern,
        allowed,
        in_build_scripts,
        instead,
    }
}

/// Folders in which every file is test code.
pub const TEST_FOLDERS: &[&str] = &["tests", "benches"];

/// Lines without tests at which a file must be split.
pub const LINES_MAX: usize = 800;
/// Lines without tests to aim below; `tidy --verbose` lists the files above.
pub const LINES_AIM: usize = 400;
/// Lines from which a file opens with `//!`.
pub const LINES_WITHOUT_HEADER_MAX: usize = 100;

/// First components that are left out of a package's name: `engine/base` is `aion-base`, `optimizer/core` is
/// `aion-optimizer-core`.
pub const UNNAMED_AREAS: &[&str] = &["engine", "deploy"];
/// Words that say nothing about what a crate holds.
pub const VAGUE_NAMES: &[&str] = &["common", "util", "utils", "helper", "helpers", "types"];

/// The folder that the SQL harness reads.
pub const SLT_FOLDER: &str = "engine/tests/slt/";

/// Directories below the file system's root that belong to one machine: no tracked file may name a path in them.
pub const MACHINE_DIRECTORIES: &[&str] = &["work", "root"];
