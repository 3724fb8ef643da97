//! A program that is run to its end, and what it says meanwhile.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use aion_base::{Error, Result};

/// Lines of stderr that are told when it fails.
const LAST_LINES: usize = 5;

/// What it wrote to stdout, which must be short. Each line of its stderr goes to `progress`, behind `what`.
///
/// # Errors
/// When it cannot be started, or fails: with the last lines of its stderr.
pub fn run(command: &mut Command, what: &str, progress: &mut dyn FnMut(&str)) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error| Error::io(format_args!("run {name}"), error);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut last = VecDeque::with_capacity(LAST_LINES);
    if let Some(stderr) = child.stderr.take() {
        // An error here is the end of the pipe; how the program ended tells what it means.
        for line in BufReader::new(stderr).split(b'\n').map_while(std::result::Result::ok) {
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            progress(&format!("{what}: {line}"));
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    // What is written to stdout fits into the pipe until here.
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let last: Vec<String> = last.into();
    Err(Error::internal(format!(
        "{name} failed, {}: {}",
        output.status,
        last.join("; ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Result<String>, Vec<String>) {
        let mut told = Vec::new();
        let output = run(Command::new("sh").args(["-c", script]), "it", &mut |line: &str| {
            told.push(line.to_owned());
        });
        (output, told)
    }

    #[test]
    fn stdout_is_given_and_stderr_is_told() {
        let (output, told) = shell("echo one >&2; echo answer; echo two >&2");
        assert_eq!(output.expect("it succeeds"), "answer\n");
        assert_eq!(told, ["it: one", "it: two"]);
    }

    #[test]
    fn a_failure_tells_the_last_lines() {
        let (output, _) = shell("for line in 1 2 3 4 5 6 7; do echo line $line >&2; done; exit 3");
        let error = output.expect_err("it fails").to_string();
        assert!(error.contains("line 3; line 4; line 5; line 6; line 7"), "{error}");
        assert!(!error.contains("line 2"), "{error}");
    }
}
