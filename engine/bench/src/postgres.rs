//! PostgreSQL beside us: the server of Debian's package, started for the run over a data directory of its own.
//!
//! fsync and synchronous commit stay on, as they are by default. What is set differs from the defaults only where those would
//! hold it back beside us: 1 GiB of shared buffers, and checkpoints far apart. It refuses to run as root; then it runs as the
//! package's user `postgres`.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aion_base::{Error, Result, SqlState};

use crate::client::Client;

/// Where Debian puts the programs.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";
/// How long it may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(60);

const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=1GB",
    "max_wal_size=4GB",
    "timezone=UTC",
];

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    /// Ends it: the package's `pg_ctl`, as the server's user.
    stop: Command,
    port: u16,
    version: String,
}

/// A program of the package: in `AION_POSTGRES_BIN`, or where Debian puts it.
///
/// # Errors
/// 58P01 where it is not, with how to get it.
pub fn program(name: &str) -> Result<PathBuf> {
    let folder = std::env::var_os("AION_POSTGRES_BIN").map_or_else(|| DEBIAN.into(), PathBuf::from);
    let path = folder.join(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(
            Error::not_found(SqlState::UNDEFINED_FILE, format!("{} is not there", path.display())).with_hint(
                "Install Debian's package postgresql-15, or name its folder with the environment variable AION_POSTGRES_BIN.",
            ),
        ),
    }
}

impl Postgres {
    /// Makes a data directory below `folder`, which must not have one, and starts a server there.
    ///
    /// # Errors
    /// 58P01 where the package is missing; an IO error, or what `initdb` said.
    pub fn start(folder: &Path) -> Result<Self> {
        let [initdb, postgres, pg_ctl] = ["initdb", "postgres", "pg_ctl"].map(program);
        let (initdb, postgres, pg_ctl) = (initdb?, postgres?, pg_ctl?);
        let data = folder.join("postgres");
        let failed = |error| Error::io(format_args!("make {}", data.display()), error);
        std::fs::create_dir(&data).map_err(failed)?;
        let user = service_user();
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&data, Some(user), Some(group)).map_err(failed)?;
        }
        let command = |program: &Path| {
            let mut command = Command::new(program);
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
            command.current_dir("/").arg("-D").arg(&data);
            command
        };
        let made = command(&initdb)
            .args(["--username=aion", "--auth=trust", "--no-locale", "--encoding=UTF8"])
            .output()
            .map_err(|error| Error::io(format_args!("run {}", initdb.display()), error))?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(Error::internal(format!("initdb failed: {said}")));
        }
        let port = free_port()?;
        let log = folder.join("postgres.log");
        let log = File::create(&log).map_err(|error| Error::io(format_args!("write {}", log.display()), error))?;
        let mut server = command(&postgres);
        server.args(["-p", &port.to_string()]);
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        let child = server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| Error::io(format_args!("run {}", postgres.display()), error))?;
        let mut stop = command(&pg_ctl);
        stop.args(["stop", "-m", "immediate"]).stdout(Stdio::null());
        let mut postgres = Self {
            child,
            stop,
            port,
            version: String::new(),
        };
        let mut client = postgres.wait(folder)?;
        client.run("CREATE DATABASE aion")?;
        let version = client.query("SHOW server_version")?;
        let version = version.into_iter().flatten().flatten().next().unwrap_or_default();
        // "15.18 (Debian 15.18-0+deb12u1)"
        version
            .split(' ')
            .next()
            .unwrap_or_default()
            .clone_into(&mut postgres.version);
        Ok(postgres)
    }

    /// Waits until it answers.
    fn wait(&mut self, folder: &Path) -> Result<Client> {
        let begin = Instant::now();
        loop {
            let error = match Client::connect(self.port, "postgres") {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            let has_ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if has_ended || begin.elapsed() > START_TIME_MAX {
                // The log goes with its folder, so its end is told here.
                let log = std::fs::read_to_string(folder.join("postgres.log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it wrote no log").to_owned();
                return Err(error.with_hint(format!("PostgreSQL did not start: {last}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its port on 127.0.0.1. User and database are `aion`, as ours.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its name and version.
    pub fn name(&self) -> String {
        format!("PostgreSQL {}", self.version)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The data directory goes too, so nothing needs to be written; but its children must have ended.
        if !self.stop.status().is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// The user and group that PostgreSQL runs as where we are root: those of `postgres` in the system's list.
fn service_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|of_us| of_us.uid() == 0);
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().filter(|_| is_root).find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == "postgres").then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// A port that nobody listens on.
fn free_port() -> Result<u16> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| Error::io("find a free port", error))?;
    Ok(address.port())
}
