//! A process that writes two-row transactions until it is killed: `aion crash-writer`.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use aion_base::plant::{Plant, VARIABLE};
use aion_storage::StoreOptions;

use super::ledger::LARGE_EVERY;
use crate::program::program;

/// A child that says nothing for so long is taken for stuck.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Small figures, so that segments change, rows are flushed and old log is given up within a test.
const SEGMENT_BYTES: u64 = 256 << 10;
const WINDOW_BYTES: u64 = 8 << 20;
const FLUSH_LOG_BYTES: u64 = 128 << 10;

/// The same for a store opened in this process.
pub fn small_options() -> StoreOptions {
    let mut options = StoreOptions {
        window_bytes: WINDOW_BYTES,
        flush_log_bytes: FLUSH_LOG_BYTES,
        ..StoreOptions::default()
    };
    options.log.segment_bytes = SEGMENT_BYTES;
    options
}

/// What stands between the writer and the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// The operating system: a kill keeps the page cache.
    Kernel,
    /// Nothing keeps what was not synced.
    PowerCut,
    /// And nothing is ever synced.
    PowerCutWithoutSync,
    /// As `Kernel`, with a log that is given up too early ([`Plant::Purge`]).
    PurgedEarly,
}

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    child: Child,
    lines: Receiver<String>,
    acknowledged: Vec<u64>,
    is_open: bool,
    is_done: bool,
}

impl Writer {
    /// Starts a writer; `count` transactions, or until killed.
    pub fn start(data: &Path, seed: u64, first_id: u64, disk: Disk, count: Option<u64>) -> Self {
        let mut command = Command::new(program());
        command.arg("crash-writer").arg("--data").arg(data);
        for (name, value) in [
            ("--seed", seed),
            ("--first-id", first_id),
            ("--writers", 4),
            ("--large-every", LARGE_EVERY),
            ("--segment-bytes", SEGMENT_BYTES),
            ("--window-bytes", WINDOW_BYTES),
            ("--flush-log-bytes", FLUSH_LOG_BYTES),
        ] {
            command.arg(name).arg(value.to_string());
        }
        if let Some(count) = count {
            command.arg("--count").arg(count.to_string());
        }
        match disk {
            Disk::Kernel => {}
            Disk::PowerCut | Disk::PowerCutWithoutSync => {
                command.arg("--cut-power");
            }
            Disk::PurgedEarly => {
                command.env(VARIABLE, Plant::Purge.name());
            }
        }
        if disk == Disk::PowerCutWithoutSync {
            command.arg("--skip-sync");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe was asked for");
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
        Self {
            child,
            lines,
            acknowledged: Vec::new(),
            is_open: false,
            is_done: false,
        }
    }

    /// Listens until `count` transactions are acknowledged; false if the child ended before.
    pub fn listen_to(&mut self, count: usize) -> bool {
        while self.acknowledged.len() < count {
            if !self.hear(SILENCE_MAX) {
                return false;
            }
        }
        true
    }

    /// Listens for a while, whatever it says.
    pub fn listen_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while self.hear(end.saturating_duration_since(Instant::now())) {}
    }

    /// Listens until it has written all it was asked for.
    pub fn listen_until_done(&mut self) {
        while !self.is_done {
            assert!(self.hear(SILENCE_MAX), "the writer ended before it was done");
        }
    }

    /// Sends SIGKILL; everything acknowledged before it.
    pub fn kill(mut self) -> Vec<u64> {
        self.child.kill().expect("a child of ours");
        let status = self.child.wait().expect("a child of ours");
        assert_eq!(
            status.signal(),
            Some(9),
            "the writer ended by itself ({status}); its message stands above"
        );
        self.drain()
    }

    /// Lets it close the store; everything acknowledged.
    pub fn close(mut self) -> Vec<u64> {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("a child of ours");
        assert!(status.success(), "the writer could not close the store ({status})");
        self.drain()
    }

    /// How it ended by itself: its exit code.
    pub fn exit_code(mut self) -> Option<i32> {
        self.child.wait().expect("a child of ours").code()
    }

    fn hear(&mut self, time: Duration) -> bool {
        let Ok(line) = self.lines.recv_timeout(time) else {
            return false;
        };
        self.take(&line);
        true
    }

    fn drain(&mut self) -> Vec<u64> {
        // The pipe still holds what was said before the end.
        while let Ok(line) = self.lines.recv() {
            self.take(&line);
        }
        std::mem::take(&mut self.acknowledged)
    }

    fn take(&mut self, line: &str) {
        match line {
            "open" => self.is_open = true,
            "done" => self.is_done = true,
            id => {
                assert!(self.is_open, "{id} was acknowledged before the store was open");
                self.acknowledged.push(id.parse().expect("an id"));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also where the test failed. After `kill` and `close` both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
