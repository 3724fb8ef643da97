//! A crash writer as its parent sees it: started, listened to, killed.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use aion_base::{Error, Result, SqlState};

/// A writer that says nothing for so long is taken for stuck.
const SILENCE_MAX: Duration = Duration::from_secs(60);

const SIGKILL: i32 = 9;

/// How the log's files behave when the writer is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The kernel keeps what was written.
    Kill,
    /// What was not synced is gone.
    PowerCut,
}

/// A child process that writes.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    lines: Receiver<String>,
    acknowledged: Vec<u64>,
}

impl Victim {
    /// Starts this program again as a writer into `data`.
    pub fn start(data: &Path, seed: u64, first_id: u64, crash: Crash) -> Result<Self> {
        let failed = |error| Error::io("start the writing process", error);
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("crash-writer").arg("--data").arg(data);
        command.args(["--seed", &seed.to_string(), "--first-id", &first_id.to_string()]);
        if crash == Crash::PowerCut {
            command.arg("--cut-power");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Error::internal("a pipe was asked for"))?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            // What the kill cut off was not said.
            while reader.read_line(&mut line).is_ok() && line.ends_with('\n') {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(Self {
            child,
            lines,
            acknowledged: Vec::new(),
        })
    }

    /// Listens until `count` transactions are acknowledged, and then for `longer`.
    pub fn listen(&mut self, count: usize, longer: Duration) -> Result<()> {
        while self.acknowledged.len() < count {
            match self.lines.recv_timeout(SILENCE_MAX) {
                Ok(line) => self.hear(&line),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::unavailable(
                        SqlState::IO_ERROR,
                        format!("the writing process said nothing for {} s", SILENCE_MAX.as_secs()),
                    ));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait();
                    return Err(status.map_or_else(|error| Error::io("wait for the writing process", error), ended));
                }
            }
        }
        let end = Instant::now() + longer;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.hear(&line);
        }
        Ok(())
    }

    /// Sends SIGKILL and returns everything that was acknowledged before it.
    pub fn kill(mut self) -> Result<Vec<u64>> {
        let failed = |error| Error::io("kill the writing process", error);
        self.child.kill().map_err(failed)?;
        let status = self.child.wait().map_err(failed)?;
        if status.signal() != Some(SIGKILL) {
            return Err(ended(status));
        }
        // The pipe still holds what was said before the kill.
        while let Ok(line) = self.lines.recv() {
            self.hear(&line);
        }
        Ok(std::mem::take(&mut self.acknowledged))
    }

    fn hear(&mut self, line: &str) {
        self.acknowledged.extend(line.parse::<u64>().ok());
    }
}

fn ended(status: ExitStatus) -> Error {
    Error::internal(format!(
        "the writing process ended by itself ({status}); see its message above"
    ))
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Also where an error left it running. After `kill` both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
