//! The gate from outside: a small workspace on disk, a violation planted in it, and the real binary run against it.
//!
//! The checks have their own tests beside them; this one shows that what cargo and git say reaches them, that all
//! violations are printed, and that the exit status is what a CI sees.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that writes a workspace to disk"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A workspace below the target directory, one per test.
struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Base and storage, in order.
    fn in_order(name: &str) -> Self {
        let workspace = Self {
            root: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name),
        };
        if workspace.root.exists() {
            fs::remove_dir_all(&workspace.root).unwrap();
        }
        workspace.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"engine/base\", \"engine/storage\"]\n\n\
             [workspace.dependencies]\naion-base = { path = \"engine/base\" }\n\
             aion-storage = { path = \"engine/storage\" }\nrocksdb = \"0.25\"\n\n[workspace.lints]\n",
        );
        workspace.write("engine/base/Cargo.toml", &manifest("aion-base", ""));
        workspace.write("engine/base/src/lib.rs", "//! Base.\n");
        workspace.write(
            "engine/storage/Cargo.toml",
            &manifest("aion-storage", "aion-base.workspace = true\n"),
        );
        workspace.write("engine/storage/src/lib.rs", "//! Storage.\n");
        let mut git = workspace.command("git");
        assert!(git.args(["init", "--quiet"]).status().unwrap().success());
        workspace
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        // A hook of git that runs the tests would point git at the checkout around this workspace.
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(variable);
        }
        command
    }

    fn xtask(&self, command: &str) -> Output {
        let mut xtask = self.command(env!("CARGO_BIN_EXE_aion-xtask"));
        xtask
            .arg(command)
            .env("AION_ENV", "1")
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            .output()
            .unwrap()
    }

    /// The whole gate; its output and whether it passed.
    fn gate(&self) -> (bool, String) {
        let output = self.xtask("ci");
        (output.status.success(), printed(&output))
    }

    /// Both the check alone and the whole gate fail, and say these words.
    #[track_caller]
    fn is_refused(&self, words: &str) {
        for command in ["tidy", "ci"] {
            let output = self.xtask(command);
            let printed = printed(&output);
            assert_eq!(output.status.code(), Some(1), "{command}: {printed}");
            assert!(printed.contains(words), "{command} does not say `{words}`: {printed}");
        }
        assert!(printed(&self.xtask("ci")).contains("xtask ci: FAILED at tidy"));
    }
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n\
         [lints]\nworkspace = true\n"
    )
}

fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_workspace_in_order_passes() {
    let workspace = Workspace::in_order("in_order");
    let output = workspace.xtask("tidy");
    assert!(output.status.success(), "{}", printed(&output));
    assert!(
        printed(&output).contains("tidy: 2 crates and 5 files are in order"),
        "{}",
        printed(&output)
    );
}

#[test]
fn a_wrong_edge_fails_the_gate() {
    let workspace = Workspace::in_order("wrong_edge");
    workspace.write(
        "engine/base/Cargo.toml",
        &manifest("aion-base", "aion-storage.workspace = true\n"),
    );
    workspace.write("engine/storage/Cargo.toml", &manifest("aion-storage", ""));
    workspace.is_refused("engine/base/Cargo.toml: [layers] engine/base -> engine/storage (dependency)");
}

#[test]
fn a_second_home_for_rocksdb_fails_the_gate() {
    let workspace = Workspace::in_order("second_home");
    workspace.write(
        "engine/base/Cargo.toml",
        &manifest("aion-base", "rocksdb.workspace = true\n"),
    );
    workspace.is_refused("engine/base/Cargo.toml: [homes] dependency `rocksdb`: it belongs to engine/storage");
}

#[test]
fn an_unwrap_fails_the_gate() {
    let workspace = Workspace::in_order("unwrap");
    let source = "//! Storage.\n\n/// First.\npub fn first(bytes: &[u8]) -> u8 {\n    *bytes.first().unwrap()\n}\n";
    workspace.write("engine/storage/src/lib.rs", source);
    workspace.is_refused("engine/storage/src/lib.rs:5: [calls] `.unwrap()` in product code");
}

#[test]
fn everything_is_listed_at_once() {
    let workspace = Workspace::in_order("everything");
    workspace.write("engine/storage/src/forgotten.rs", "fn a() {}\n");
    workspace.write(
        "engine/storage/src/lib.rs",
        "//! Storage.\n\nfn now() {\n    std::time::Instant::now();\n}\n",
    );
    let printed = printed(&workspace.xtask("tidy"));
    for words in [
        "src/forgotten.rs: [modules]",
        "src/lib.rs:4: [calls]",
        "tidy: 2 to repair",
    ] {
        assert!(printed.contains(words), "`{words}` is missing in: {printed}");
    }
}

#[test]
fn the_gate_reads_the_environment_by_itself() {
    let workspace = Workspace::in_order("environment");
    workspace.write("deploy/env.sh", "export AION_ENV=1\necho the environment was read\n");
    workspace.write("engine/storage/src/lib.rs", "//! Storage.\nfn  a() {}\n");
    let mut xtask = workspace.command(env!("CARGO_BIN_EXE_aion-xtask"));
    let output = xtask.arg("ci").env_remove("AION_ENV").output().unwrap();
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("the environment was read"), "{printed}");
    assert!(printed.contains("xtask ci: FAILED at fmt"), "{printed}");
}

/// One workspace through all steps: it passes, and each step can fail.
#[test]
fn the_gate_passes_and_each_step_can_fail_it() {
    let workspace = Workspace::in_order("gate");
    workspace.write(".gitignore", "target/\nCargo.lock\n");
    workspace.write(".config/nextest.toml", "[profile.ci]\nfail-fast = false\n");
    let storage = |body: &str, answer: u8| {
        let tests = format!("#[test]\nfn answers() {{\n    assert_eq!(answer(), {answer});\n}}\n");
        let source = format!("//! Storage.\n\n/// The answer.\npub fn answer() -> u8 {{\n    {body}\n}}\n\n{tests}");
        workspace.write("engine/storage/src/lib.rs", &source);
    };

    storage("42", 42);
    let (passed, printed) = workspace.gate();
    assert!(passed, "{printed}");
    assert!(printed.contains("xtask ci: all 4 steps passed"), "{printed}");

    for (body, answer, step) in [("42", 41, "tests"), ("return 42;", 42, "clippy"), (" 42", 42, "fmt")] {
        storage(body, answer);
        let (passed, printed) = workspace.gate();
        assert!(
            !passed && printed.contains(&format!("xtask ci: FAILED at {step}")),
            "{step}: {printed}"
        );
    }

    storage("42", 42);
    workspace.write(
        "engine/base/src/lib.rs",
        "//! Base.\n//!\n//! ```\n//! assert_eq!(1, 2);\n//! ```\n",
    );
    let (passed, printed) = workspace.gate();
    assert!(
        !passed && printed.contains("xtask ci: FAILED at doc tests"),
        "{printed}"
    );
}
