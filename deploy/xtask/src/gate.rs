//! What `ci`, `bless` and `hunt` run.
//!
//! The order of `ci` is cheap first: what fails in a second is not found after half an hour of compiling. Every
//! command covers the whole workspace, because a smaller selection can unify other features and compile the heavy
//! dependencies a second time.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;
use cargo_metadata::Metadata;

use crate::model::{self, Model, Role};
use crate::process::{cargo, succeeds};
use crate::steps::{self, Step};
use crate::tidy;

/// The crate and the binary that tests start as a process.
const PROGRAM_PACKAGE: &str = "aion-cli";
const PROGRAM: &str = "aion";
/// Tells tests where that binary is.
const PROGRAM_VARIABLE: &str = "AION_BIN";
/// The crate whose tests hunt.
const HUNTING_PACKAGE: &str = "aion-tests";

/// What to hunt.
#[derive(Debug, PartialEq, Eq)]
pub struct Hunt {
    /// The seed to replay; without one each test draws its own.
    pub seed: Option<u64>,
    /// A part of the names of the tests to run.
    pub area: Option<String>,
}

/// Runs the whole gate; says whether it passed.
pub fn ci() -> Result<bool> {
    let workspace = Workspace::open()?;
    let outcome = steps::run("xtask ci", workspace.steps());
    println!("\n{}", outcome.summary);
    Ok(outcome.passed)
}

/// Runs tests that rewrite their golden files.
pub fn bless(name: Option<&str>) -> Result<bool> {
    let workspace = Workspace::open()?;
    let filter = name.map(|name| format!("test({name})"));
    let mut command = workspace.runner.command(&workspace, "default", filter.as_deref(), name);
    let passed = workspace.build_program()? && succeeds(command.env("AION_BLESS", "1"))?;
    println!("review what changed with `git diff` before you commit it");
    Ok(passed)
}

/// Runs the random tests at length.
pub fn hunt(hunt: &Hunt) -> Result<bool> {
    let workspace = Workspace::open()?;
    let filter = hunt_filter(hunt, workspace.has_package(HUNTING_PACKAGE));
    let plain = hunt.area.as_deref().unwrap_or("hunt");
    let mut command = workspace
        .runner
        .command(&workspace, "default", Some(&filter), Some(plain));
    command.env("AION_HUNT", "full");
    if let Some(seed) = hunt.seed {
        command.env("AION_SEED", seed.to_string());
    }
    Ok(workspace.build_program()? && succeeds(&mut command)?)
}

fn hunt_filter(hunt: &Hunt, has_package: bool) -> String {
    // nextest refuses a filter that names a package which does not exist.
    let all = if has_package {
        format!("package({HUNTING_PACKAGE}) | test(hunt)")
    } else {
        "test(hunt)".to_owned()
    };
    match &hunt.area {
        Some(area) => format!("({all}) & test({area})"),
        None => all,
    }
}

/// Prints the violations, all at once; says whether there were none.
pub fn report_tidy(model: &Model) -> bool {
    let violations = tidy::check(model);
    for violation in &violations {
        eprintln!("{violation}");
    }
    match violations.len() {
        0 => println!(
            "tidy: {} crates and {} files are in order",
            model.crates.len(),
            model.files.len()
        ),
        count => eprintln!("tidy: {count} to repair; the rules are tables in deploy/xtask/src/policy.rs"),
    }
    violations.is_empty()
}

/// What runs the tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    /// `cargo nextest`, one process per test.
    Nextest,
    /// `cargo test`, which is always there.
    CargoTest,
}

impl Runner {
    fn find(metadata: &Metadata) -> Self {
        let mut command = cargo(metadata.workspace_root.as_std_path());
        command
            .args(["nextest", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => Self::Nextest,
            _ => Self::CargoTest,
        }
    }

    fn introduce(self) {
        match self {
            Self::Nextest => println!("tests run with cargo nextest"),
            Self::CargoTest => {
                println!(
                    "tests run with `cargo test`: cargo-nextest is not installed (https://nexte.st), nothing is lost but speed"
                );
            }
        }
    }

    /// The command that runs the tests matching `filter`, or those whose name contains `plain` where the runner has no
    /// filters.
    fn command(self, workspace: &Workspace, profile: &str, filter: Option<&str>, plain: Option<&str>) -> Command {
        let mut command = workspace.cargo();
        match self {
            Self::Nextest => {
                command.args(["nextest", "run", "--workspace", "--profile", profile]);
                command.args(filter.iter().flat_map(|filter| ["--filterset", filter]));
            }
            Self::CargoTest => {
                command.args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
                command.args(plain);
            }
        }
        if workspace.has_package(PROGRAM_PACKAGE) {
            command.env(PROGRAM_VARIABLE, workspace.program());
        }
        command
    }
}

struct Workspace {
    metadata: Metadata,
    model: Model,
    runner: Runner,
}

impl Workspace {
    fn open() -> Result<Self> {
        let metadata = model::metadata()?;
        let model = model::load(&metadata)?;
        let runner = Runner::find(&metadata);
        Ok(Self {
            metadata,
            model,
            runner,
        })
    }

    fn cargo(&self) -> Command {
        cargo(self.metadata.workspace_root.as_std_path())
    }

    fn has_package(&self, name: &str) -> bool {
        self.model.crates.iter().any(|member| member.name == name)
    }

    fn program(&self) -> PathBuf {
        self.metadata
            .target_directory
            .join("debug")
            .join(PROGRAM)
            .into_std_path_buf()
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = vec![
            Step::new("fmt", || succeeds(self.cargo().args(["fmt", "--all", "--", "--check"]))),
            Step::new("tidy", || Ok(report_tidy(&self.model))),
            Step::new("clippy", || {
                succeeds(
                    self.cargo()
                        .args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
                )
            }),
        ];
        if self.has_package(PROGRAM_PACKAGE) {
            steps.push(Step::new("build aion", || self.build_program()));
        }
        steps.push(Step::new("tests", || {
            self.runner.introduce();
            succeeds(&mut self.runner.command(self, "ci", None, None))
        }));
        let documented = packages_with_doc_tests(&self.model);
        if !documented.is_empty() {
            steps.push(Step::new("doc tests", move || self.run_doc_tests(&documented)));
        }
        steps
    }

    /// Builds the binary that tests start, together with the tests and the libraries (the Python extension is one that no test
    /// links), so that all see the same features.
    fn build_program(&self) -> Result<bool> {
        if !self.has_package(PROGRAM_PACKAGE) {
            return Ok(true);
        }
        succeeds(
            self.cargo()
                .args(["build", "--workspace", "--bin", PROGRAM, "--lib", "--tests"]),
        )
    }

    fn run_doc_tests(&self, packages: &[String]) -> Result<bool> {
        let mut command = self.cargo();
        command.args(["test", "--doc"]);
        command.args(packages.iter().flat_map(|name| ["--package", name]));
        succeeds(&mut command)
    }
}

/// The libraries whose documentation holds an example that rustdoc would run.
fn packages_with_doc_tests(model: &Model) -> Vec<String> {
    let libraries = model
        .crates
        .iter()
        .filter(|member| member.roots.iter().any(|root| root.role == Role::Library));
    libraries
        .filter(|member| {
            let source = format!("{}/src/", member.folder);
            model
                .rust_files()
                .any(|(path, text)| path.starts_with(&source) && holds_doc_test(text))
        })
        .map(|member| member.name.clone())
        .collect()
}

fn holds_doc_test(text: &str) -> bool {
    let mut open = false;
    for line in text.lines().map(str::trim_start) {
        let Some(fence) = ["///", "//!"]
            .iter()
            .find_map(|start| line.strip_prefix(start)?.trim().strip_prefix("```"))
        else {
            continue;
        };
        open = !open;
        let is_rust = fence.split(',').all(|word| {
            ["", "rust", "no_run", "should_panic", "compile_fail"].contains(&word.trim()) || word.starts_with("edition")
        });
        if open && is_rust {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_complete_and_cheap_first() {
        let mut workspace = Workspace::open().unwrap();
        workspace.model.crates.retain(|member| member.name != PROGRAM_PACKAGE);
        workspace.model.files.clear();
        assert_eq!(names(&workspace), ["fmt", "tidy", "clippy", "tests"]);
    }

    #[test]
    fn the_binary_is_built_before_the_tests_that_start_it() {
        let mut workspace = Workspace::open().unwrap();
        workspace.model.files.clear();
        workspace.model.crates.retain(|member| member.name != PROGRAM_PACKAGE);
        let mut program = workspace.model.crates[0].clone();
        program.name = PROGRAM_PACKAGE.to_owned();
        workspace.model.crates.push(program);
        assert_eq!(names(&workspace), ["fmt", "tidy", "clippy", "build aion", "tests"]);
        let command = workspace.runner.command(&workspace, "ci", None, None);
        let binary = command
            .get_envs()
            .find(|(name, _)| *name == PROGRAM_VARIABLE)
            .and_then(|(_, value)| value);
        assert!(binary.is_some_and(|path| path.to_string_lossy().ends_with("/debug/aion")));
    }

    fn names(workspace: &Workspace) -> Vec<&'static str> {
        workspace.steps().iter().map(|step| step.name).collect()
    }

    #[test]
    fn both_runners_take_the_filter_they_understand() {
        let workspace = Workspace::open().unwrap();
        let arguments = |runner: Runner| {
            let command = runner.command(&workspace, "default", Some("test(a)"), Some("a"));
            command
                .get_args()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert!(arguments(Runner::Nextest).ends_with(&["--filterset".to_owned(), "test(a)".to_owned()]));
        assert!(arguments(Runner::CargoTest).ends_with(&["--no-fail-fast".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn a_filter_names_only_packages_that_exist() {
        let hunt = |area: Option<&str>| Hunt {
            seed: None,
            area: area.map(str::to_owned),
        };
        assert_eq!(hunt_filter(&hunt(None), false), "test(hunt)");
        assert_eq!(
            hunt_filter(&hunt(Some("crash")), true),
            "(package(aion-tests) | test(hunt)) & test(crash)"
        );
    }

    #[test]
    fn doc_tests_are_found_by_their_fence() {
        assert!(holds_doc_test("/// Adds.\n/// ```\n/// add(1, 2);\n/// ```\n"));
        assert!(holds_doc_test(
            "    //! ```text\n    //! a\n    //! ```\n    //! ```no_run\n"
        ));
        assert!(!holds_doc_test("/// ```text\n/// a\n/// ```\n"));
        assert!(!holds_doc_test("// ```\nlet a = \"```\";\n"));
    }
}
