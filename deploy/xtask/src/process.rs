//! Starting cargo, and the environment it is started in.
//!
//! Two commands that compile with different environments throw away each other's work. So `deploy/env.sh` is read by
//! everything that compiles, and what `cargo run` tells xtask about itself is not handed on.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use cargo_metadata::Metadata;

/// Set by `deploy/env.sh`.
const ENVIRONMENT_IS_READ: &str = "AION_ENV";

/// What `cargo run` sets for xtask. Build scripts that look at these variables would run again for each caller.
const ABOUT_XTASK: &[&str] = &[
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_",
];

/// Whether `deploy/env.sh` has not been read yet.
pub fn needs_environment() -> bool {
    std::env::var_os(ENVIRONMENT_IS_READ).is_none()
}

/// Runs this command again after reading `deploy/env.sh`.
pub fn again_with_environment(metadata: &Metadata, arguments: &[&str]) -> Result<ExitCode> {
    let this = std::env::current_exe().context("cannot find the xtask binary itself")?;
    let status = Command::new("bash")
        .current_dir(&metadata.workspace_root)
        .args(["-c", ". deploy/env.sh && exec \"$0\" \"$@\""])
        .arg(this)
        .args(arguments)
        .status()
        .context("cannot start bash, which reads deploy/env.sh")?;
    // Without a code it was ended by a signal.
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Cargo, in the root of the workspace.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if ABOUT_XTASK
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Prints the command, runs it, and says whether it succeeded.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    println!("$ {program} {}", arguments.join(" "));
    let status = command
        .status()
        .with_context(|| format!("cannot start {program}: is it installed?"))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_and_failure_are_told_apart() {
        assert!(succeeds(&mut Command::new("true")).unwrap());
        assert!(!succeeds(&mut Command::new("false")).unwrap());
        succeeds(&mut Command::new("no-such-program-anywhere")).unwrap_err();
    }

    #[test]
    fn cargo_is_not_told_about_xtask() {
        // The test runner sets CARGO_PKG_NAME and CARGO_MANIFEST_DIR, as `cargo run` does.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let command = cargo(Path::new("."));
        assert!(
            command
                .get_envs()
                .any(|(name, value)| name == "CARGO_MANIFEST_DIR" && value.is_none())
        );
        assert!(
            command
                .get_envs()
                .all(|(name, _)| name != "CARGO_TARGET_DIR" && name != "PATH")
        );
    }
}
