//! Clones, and the process that has them open, for one rehearsal or several.
//!
//! Making clones, opening them, and making on both what is ready already takes longer than most comparisons. So a [`Sandbox`] serves
//! the rehearsals that follow, as long as nothing was committed meanwhile but what the pipeline notes itself ([`Sandboxes::take`]).
//! The process keeps what it made: a change that became ready is made on the incumbent, too, any other is taken back from the candidate.
//!
//! **Guarantees.** A rehearsal that is cancelled, that takes too long or too much disk, or that fails, ends the process and removes the
//! clones; so does a sandbox that is not used for [`KEEP`], and the end of the database.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result, SqlState};

use super::RehearsalOptions;
use super::clones::Clones;
use super::message::{Done, Line, Request, SampleLine, to_line, told};
use crate::pipeline::processor;

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
/// How long clones wait for the next rehearsal.
const KEEP: Duration = Duration::from_secs(20);

/// A child that ends with this.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended, and been waited for, already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct Sandbox {
    // Ended before its clones are removed.
    child: Running,
    stdin: ChildStdin,
    lines: Receiver<String>,
    clones: Clones,
    /// The commands that were run on both clones.
    given: Vec<String>,
}

impl Sandbox {
    /// Starts a process for these clones.
    ///
    /// # Errors
    /// An IO error where it cannot be started.
    pub fn start(clones: Clones, options: &RehearsalOptions) -> Result<Self> {
        let mut child = start(options)?;
        let pipes = child.0.stdin.take().zip(child.0.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| Error::internal("pipes were asked for"))?;
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
        Ok(Self {
            child,
            stdin,
            lines,
            clones,
            given: Vec::new(),
        })
    }

    /// Where the clones are: the one that stays as it is, and the one that is changed.
    pub fn clones(&self) -> &Clones {
        &self.clones
    }

    /// Processor time of the process so far.
    fn processor_time(&self) -> Duration {
        processor::of_process(self.child.0.id())
    }

    /// Rehearses. After an error it is of no use any more.
    ///
    /// # Errors
    /// What the child tells of; 57014 where it takes too long or `is_cancelled` says so; 53100 where the clones take more than they may;
    /// an IO error where it ends without a word.
    pub fn rehearse(
        &mut self,
        request: &Request,
        options: &RehearsalOptions,
        is_cancelled: &dyn Fn() -> bool,
        record: &mut dyn FnMut(&SampleLine),
    ) -> Result<(Done, Vec<SampleLine>)> {
        let asked = self
            .stdin
            .write_all(to_line(request)?.as_bytes())
            .and_then(|()| self.stdin.flush());
        asked.map_err(|error| Error::io("tell the rehearsing process what to do", error))?;
        self.given.clone_from(&request.given);
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
                self.clones.check_size()?;
            }
            let line = match self.lines.recv_timeout(POLL_EVERY) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self
                        .child
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
                Line::Done(done) => {
                    // It may have been over before anybody looked.
                    self.clones.check_size()?;
                    return Ok((done, samples));
                }
                Line::Failed { state, message } => return Err(told(&state, &message)),
            }
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

/// What is kept from one rehearsal to the next, and what they took.
#[derive(Debug, Default)]
pub struct Sandboxes {
    clock: SystemClock,
    kept: Option<Kept>,
    /// Processor time of processes that was not asked for yet.
    spent: Duration,
}

#[derive(Debug)]
struct Kept {
    sandbox: Sandbox,
    /// How many entries of the log were not the pipeline's own when the clones were made.
    commits: u64,
    clone_bytes_max: u64,
    /// When it was used last.
    used: Duration,
}

impl Sandboxes {
    /// The sandbox that was kept, where it has the rows of now and can be given these commands. Any other one is ended.
    pub fn take(&mut self, commits: Option<u64>, given: &[String], options: &RehearsalOptions) -> Option<Sandbox> {
        let kept = self.kept.take()?;
        let fits = Some(kept.commits) == commits
            && given.starts_with(&kept.sandbox.given)
            && kept.clone_bytes_max == options.clone_bytes_max;
        fits.then_some(kept.sandbox)
    }

    /// Runs a rehearsal in a sandbox, counts what it took, and keeps the sandbox where it went well and `commits` is known.
    ///
    /// # Errors
    /// Those of [`Sandbox::rehearse`].
    pub fn run(
        &mut self,
        mut sandbox: Sandbox,
        commits: Option<u64>,
        options: &RehearsalOptions,
        rehearse: impl FnOnce(&mut Sandbox) -> Result<(Done, Vec<SampleLine>)>,
    ) -> Result<(Done, Vec<SampleLine>)> {
        let before = sandbox.processor_time();
        let done = rehearse(&mut sandbox);
        self.spent += sandbox.processor_time().saturating_sub(before);
        if let (Ok(_), Some(commits)) = (&done, commits) {
            self.kept = Some(Kept {
                sandbox,
                commits,
                clone_bytes_max: options.clone_bytes_max,
                used: self.clock.monotonic(),
            });
        }
        done
    }

    /// Takes out what was not used for a while; dropping it ends it, which takes longer than a look.
    pub fn take_unused(&mut self) -> Option<Sandbox> {
        let now = self.clock.monotonic();
        let is_unused = |kept: &mut Kept| now.saturating_sub(kept.used) >= KEEP;
        self.kept.take_if(is_unused).map(|kept| kept.sandbox)
    }

    /// Ends what is kept.
    pub fn clear(&mut self) {
        self.kept = None;
    }

    /// The processor time since this was asked last.
    pub fn take_spent(&mut self) -> Duration {
        std::mem::take(&mut self.spent)
    }
}
