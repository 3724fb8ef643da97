//! The process that asks for a rehearsal: starts the child, listens, and ends it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result, SqlState};

use super::RehearsalOptions;
use super::clones::Clones;
use super::message::{Done, Line, Request, SampleLine, to_line, told};

/// What a child may take beyond its time, to open the clones, to make the change, and to end.
const GRACE: Duration = Duration::from_secs(600);
/// How often it is asked whether to go on.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// How often the clones' disk is measured.
const LOOK_AT_DISK_EVERY: Duration = Duration::from_secs(1);
/// Lines that wait to be read.
const LINES_MAX: usize = 1_000;
/// Bytes of a line: a sample has no more than some hundred, the evidence of a hundred statements below a megabyte.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A child that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended, and been waited for, already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a rehearsal in a child process.
///
/// # Errors
/// What the child tells of; 57014 where it takes too long or `is_cancelled` says so; 53100 where the clones take more than they may; an
/// IO error where it cannot be started or ends without a word.
pub fn run(
    request: &Request,
    clones: &Clones,
    options: &RehearsalOptions,
    is_cancelled: &dyn Fn() -> bool,
    record: &mut dyn FnMut(&SampleLine),
) -> Result<(Done, Vec<SampleLine>)> {
    let mut child = start(options)?;
    let mut stdin = child
        .0
        .stdin
        .take()
        .ok_or_else(|| Error::internal("a pipe was asked for"))?;
    let stdout = child
        .0
        .stdout
        .take()
        .ok_or_else(|| Error::internal("a pipe was asked for"))?;
    let asked = stdin
        .write_all(to_line(request)?.as_bytes())
        .and_then(|()| stdin.flush());
    asked.map_err(|error| Error::io("tell the rehearsing process what to do", error))?;
    let (sender, lines) = sync_channel(LINES_MAX);
    let listener = std::thread::Builder::new()
        .name("aion-rehearsal".to_owned())
        .spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = String::new();
                match std::io::Read::take(&mut reader, LINE_BYTES_MAX).read_line(&mut line) {
                    Ok(_) if line.ends_with('\n') && sender.send(line).is_ok() => {}
                    _ => return,
                }
            }
        });
    listener.map_err(|error| Error::io("start a thread", error))?;
    let clock = SystemClock::default();
    let limit = options.time.saturating_add(GRACE);
    let mut samples = Vec::new();
    let mut looked = Duration::ZERO;
    loop {
        let now = clock.monotonic();
        if now >= limit {
            return Err(ended(format!("it took more than {} s", limit.as_secs())));
        }
        if is_cancelled() {
            return Err(ended(
                "somebody cancelled it, or the database is being closed".to_owned(),
            ));
        }
        if now.saturating_sub(looked) >= LOOK_AT_DISK_EVERY {
            looked = now;
            clones.check_size()?;
        }
        let line = match lines.recv_timeout(POLL_EVERY) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => {
                let status = child
                    .0
                    .wait()
                    .map_err(|error| Error::io("wait for the rehearsing process", error))?;
                return Err(Error::unavailable(
                    SqlState::IO_ERROR,
                    format!("the rehearsing process ended without a verdict: {status}"),
                ));
            }
        };
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| Error::internal(format!("the rehearsing process said what is no message: {error}")))?;
        match line {
            Line::Sample(sample) => {
                record(&sample);
                samples.push(sample);
            }
            Line::Done(done) => return Ok((done, samples)),
            Line::Failed { state, message } => return Err(told(&state, &message)),
        }
    }
}

fn ended(why: String) -> Error {
    Error::unavailable(SqlState::QUERY_CANCELED, format!("the rehearsal was ended: {why}"))
}

/// Starts the child at the lowest priority, where there is `nice`.
fn start(options: &RehearsalOptions) -> Result<Running> {
    let (program, arguments) = &options.program;
    let spawn = |command: &mut Command| {
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn()
    };
    let mut nice = Command::new("nice");
    let started = match spawn(nice.args(["-n", "19"]).arg(program)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => spawn(&mut Command::new(program)),
        started => started,
    };
    let started = started.map_err(|error| Error::io(format_args!("start {}", program.display()), error))?;
    Ok(Running(started))
}
