//! `aion serve` as a process of its own, as its users run it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aion_base::{Error, Result};

/// A running server.
#[derive(Debug)]
pub struct Served {
    child: Child,
    port: u16,
    flight: Option<u16>,
}

impl Served {
    /// Starts `program serve` over a data directory.
    ///
    /// # Errors
    /// When it ends before it is ready.
    pub fn start(program: &Path, data: &Path) -> Result<Self> {
        Self::start_at(program, data, "off")
    }

    /// The same, with the port of Flight SQL, and of keys and values.
    ///
    /// # Errors
    /// As [`Served::start`].
    pub fn start_with_flight(program: &Path, data: &Path) -> Result<Self> {
        Self::start_at(program, data, "127.0.0.1:0")
    }

    fn start_at(program: &Path, data: &Path, flight: &str) -> Result<Self> {
        let failed = |error| Error::io(format_args!("run {} serve", program.display()), error);
        let mut child = Command::new(program)
            .args([
                "serve",
                "--pg",
                "127.0.0.1:0",
                "--flight",
                flight,
                "--http",
                "off",
                "--data",
            ])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take();
        let mut served = Self {
            child,
            port: 0,
            flight: None,
        };
        let output = output.ok_or_else(|| Error::internal("a child has the pipe that it was started with"))?;
        for line in BufReader::new(output).lines() {
            let line = line.map_err(failed)?;
            let port = line.trim().strip_prefix("psql -h 127.0.0.1 -p ");
            if let Some(port) = port.and_then(|rest| rest.split(' ').next()?.parse().ok()) {
                served.port = port;
            }
            let flight = line.split_once("grpc://127.0.0.1:").map(|(_, rest)| rest);
            let flight = flight.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
            served.flight = served.flight.or(flight);
            // It prints nothing after this, so the pipe may go.
            if line.starts_with("Ready.") && served.port != 0 {
                return Ok(served);
            }
        }
        Err(Error::internal("aion serve ended before it was ready"))
    }

    /// The memory that it holds now (VmRSS), in bytes.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io(format_args!("read {path}"), error))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kibibytes
            .map(|kibibytes| kibibytes << 10)
            .ok_or_else(|| Error::internal(format!("{path} does not tell VmRSS")))
    }

    /// The port of the PostgreSQL protocol.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of Flight SQL.
    ///
    /// # Errors
    /// Internal where it was started without.
    pub fn flight_port(&self) -> Result<u16> {
        self.flight
            .ok_or_else(|| Error::internal("aion serve was started without Flight SQL"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Its data directory goes too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
