//! `aion sql`: statements to a database in a directory, or to a server; results for people or programs.
//!
//! ```text
//!   -c, -f, stdin -- split --> statements, commands --> connection --> print --> stdout
//!   terminal ----- interactive --^                          `-- complain --> stderr
//! ```
//!
//! Each statement is a transaction of its own unless BEGIN says otherwise. A script stops at the first error, with exit code 1,
//! unless told to go on; then the code is 1 at the end. Rows are printed as they come.
//!
//! Left out: COPY FROM STDIN (psql's `\copy` does it; a COPY names a file), variables, a pager, TLS and passwords.

mod commands;
mod complain;
mod connection;
mod interactive;
mod print;
mod split;
mod table;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use aion_base::{Error, Result, SqlState};
use aion_db::{DatabaseOptions, LearningOptions};
use clap::Args;

use self::commands::Command;
pub use self::complain::Complaint;
pub use self::connection::Connection;
use self::connection::Out;
use self::print::{Format, Printer};
use self::split::{Piece, Splitter};
use crate::screen::is_closed_pipe;

/// Memory for the stack that statements are planned on: plans are walked by recursion.
const STACK_BYTES: usize = 64 << 20;

/// Files within files, at most.
const INCLUDES_MAX: usize = 16;

/// What to talk to, and what to say.
#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("target").required(true).args(["data", "connect"])))]
pub struct SqlArguments {
    /// Open the database in this directory, here in this process
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Connect to a server: postgresql://user@host:port/database
    #[arg(long, value_name = "URL")]
    connect: Option<String>,
    /// Run these statements; may be given several times
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    commands: Vec<String>,
    /// Run this file, after the statements of -c
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How results look
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Go on after an error; the exit code is 1 all the same
    #[arg(long)]
    keep_going: bool,
}

/// Runs `aion sql`.
pub fn run(arguments: &SqlArguments) -> Result<ExitCode> {
    let arguments = arguments.clone();
    let shell = std::thread::Builder::new()
        .name("aion-sql".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || begin(&arguments))
        .map_err(|error| Error::io("start a thread", error))?;
    shell.join().map_err(|_| Error::internal("the shell panicked"))?
}

fn open(data: &Path) -> Result<Connection> {
    let learning = LearningOptions {
        program: Some(crate::ai::child()?),
        ..LearningOptions::default()
    };
    Connection::open(
        data,
        DatabaseOptions {
            learning,
            ..DatabaseOptions::default()
        },
    )
}

fn begin(arguments: &SqlArguments) -> Result<ExitCode> {
    let connected = match (&arguments.data, &arguments.connect) {
        (Some(data), _) => open(data).map_err(Box::<Complaint>::from),
        (None, Some(url)) => Connection::connect(url),
        (None, None) => Err(Error::internal("the command line has --data or --connect").into()),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(complaint) => {
            eprint!("{}", complaint.show("", None, 1));
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut shell = Shell {
        out: Printer::new(BufWriter::new(std::io::stdout()), arguments.format),
        connection,
        is_timed: false,
        stops: !arguments.keep_going,
        has_failed: false,
        is_interactive: false,
    };
    let ran = shell.all(arguments);
    let has_failed = shell.has_failed;
    shell.connection.close()?;
    match ran {
        // Whoever read the output has had enough.
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
        Ok(()) if has_failed => Ok(ExitCode::FAILURE),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// The shell: a connection, and how its answers look.
pub struct Shell {
    connection: Connection,
    out: Out,
    is_timed: bool,
    /// The first error ends a script.
    stops: bool,
    has_failed: bool,
    is_interactive: bool,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

impl Shell {
    fn all(&mut self, arguments: &SqlArguments) -> Result<()> {
        for text in &arguments.commands {
            if self.script(&mut text.as_bytes(), None, 0)? == Next::Stop {
                return Ok(());
            }
        }
        if let Some(path) = &arguments.file {
            self.file(path, 0)?;
            return Ok(());
        }
        if !arguments.commands.is_empty() {
            return Ok(());
        }
        if std::io::stdin().is_terminal() {
            self.is_interactive = true;
            self.out.say(interactive::WELCOME)?;
            return interactive::run(self);
        }
        self.script(&mut std::io::stdin().lock(), Some("<stdin>"), 0).map(drop)
    }

    fn file(&mut self, path: &Path, depth: usize) -> Result<Next> {
        let name = path.display().to_string();
        let opened = match depth {
            INCLUDES_MAX.. => Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("{name}: files include each other more than {INCLUDES_MAX} deep"),
            )),
            _ => File::open(path).map_err(|error| Error::io(format_args!("open {name}"), error)),
        };
        match opened {
            Ok(file) => self.script(&mut BufReader::new(file), Some(&name), depth),
            Err(error) => self.complain(&Complaint::new("ERROR", &error), "", None, 1),
        }
    }

    /// Runs a script, a line at a time.
    fn script(&mut self, input: &mut dyn BufRead, file: Option<&str>, depth: usize) -> Result<Next> {
        let mut splitter = Splitter::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.read_until(b'\n', &mut line);
            if read.map_err(|error| Error::io("read the script", error))? == 0 {
                break;
            }
            let pieces = match str::from_utf8(&line) {
                Ok(line) => splitter.push(line),
                Err(_) => Err(Error::invalid(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "the script is not UTF-8",
                )),
            };
            let pieces = match pieces {
                Ok(pieces) => pieces,
                // Where the next statement would begin is not known.
                Err(error) => {
                    self.complain(&Complaint::new("ERROR", &error), "", file, 1)?;
                    return Ok(Next::Stop);
                }
            };
            for piece in &pieces {
                if self.piece(piece, file, depth)? == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        match splitter.finish() {
            Some(piece) => self.piece(&piece, file, depth),
            None => Ok(Next::GoOn),
        }
    }

    /// Runs what was typed; true when the shell is to end.
    fn run_typed(&mut self, text: &str) -> Result<bool> {
        self.script(&mut format!("{text}\n").as_bytes(), None, 0)
            .map(|next| next == Next::Stop)
    }

    fn piece(&mut self, piece: &Piece, file: Option<&str>, depth: usize) -> Result<Next> {
        match piece {
            Piece::Statement(statement, line) => self.statement(statement, file, *line),
            Piece::Command(command, line) => match commands::parse(command) {
                Ok(command) => self.command(command, depth),
                Err(error) => self.complain(&Complaint::new("ERROR", &error), "", file, *line),
            },
        }
    }

    fn statement(&mut self, statement: &str, file: Option<&str>, line: usize) -> Result<Next> {
        let start = Instant::now();
        let runtime = self.connection.runtime();
        let stopper = self.connection.stopper();
        let is_interactive = self.is_interactive;
        let (connection, out) = (&mut self.connection, &mut self.out);
        let ran = runtime.block_on(async {
            let running = connection.run(statement, out);
            if !is_interactive {
                return running.await;
            }
            let mut running = std::pin::pin!(running);
            loop {
                tokio::select! {
                    ran = &mut running => return ran,
                    interrupted = tokio::signal::ctrl_c() => if interrupted.is_ok() { stopper.stop().await },
                }
            }
        });
        match ran {
            Ok(()) => {
                if self.is_timed {
                    let millis = start.elapsed().as_secs_f64() * 1e3;
                    self.out.say(format_args!("Time: {millis:.3} ms"))?;
                }
                Ok(Next::GoOn)
            }
            Err(complaint) => self.complain(&complaint, statement, file, line),
        }
    }

    fn command(&mut self, command: Command, depth: usize) -> Result<Next> {
        match command {
            Command::Quit => return Ok(Next::Stop),
            Command::Help => self.out.say(commands::HELP)?,
            Command::Tables => return self.statement(commands::TABLES, None, 1),
            Command::Columns(table) => return self.statement(&commands::columns(&table), None, 1),
            Command::Timing(switch) => {
                self.is_timed = switch.unwrap_or(!self.is_timed);
                self.say_switch("Timing", self.is_timed)?;
            }
            Command::Expanded(switch) => {
                self.out.is_expanded = switch.unwrap_or(!self.out.is_expanded);
                self.say_switch("Expanded display", self.out.is_expanded)?;
            }
            Command::Format(format) => self.out.format = format,
            Command::Include(path) => return self.file(&path, depth + 1),
        }
        Ok(Next::GoOn)
    }

    fn say_switch(&mut self, what: &str, is_on: bool) -> Result<()> {
        self.out
            .done(&format!("{what} is {}.", if is_on { "on" } else { "off" }))
    }

    /// Tells of an error; what was printed before it comes first.
    fn complain(&mut self, complaint: &Complaint, statement: &str, file: Option<&str>, line: usize) -> Result<Next> {
        if complaint.is_closed_pipe {
            return Err(Error::io(
                "write to standard output",
                std::io::ErrorKind::BrokenPipe.into(),
            ));
        }
        self.out.flush()?;
        eprint!("{}", complaint.show(statement, file, line));
        // Whoever types has seen it; the exit code is for scripts.
        self.has_failed |= !self.is_interactive || complaint.is_fatal;
        let stops = complaint.is_fatal || (self.stops && !self.is_interactive);
        Ok(if stops { Next::Stop } else { Next::GoOn })
    }

    /// The names that are completed; none where the catalog cannot be asked.
    fn names(&mut self) -> Vec<String> {
        let runtime = self.connection.runtime();
        let asked = runtime.block_on(self.connection.ask(commands::NAMES));
        let rows = asked.unwrap_or_default();
        rows.into_iter().flatten().flatten().collect()
    }
}
