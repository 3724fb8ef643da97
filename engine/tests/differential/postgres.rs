//! The peer: a PostgreSQL 15 of the machine, over a data directory of its own that goes with it.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::{Client, Way};

/// Where Debian puts the programs.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";
const START_MAX: Duration = Duration::from_secs(60);

/// A running server.
pub struct Postgres {
    pub port: u16,
    child: Child,
    dir: TempDir,
    stop: Command,
}

impl Postgres {
    /// Starts one; None, with a line that says so, where the package is not installed.
    pub fn start() -> Option<Self> {
        let folder = std::env::var_os("AION_POSTGRES_BIN").map_or_else(|| DEBIAN.into(), PathBuf::from);
        if !folder.join("initdb").is_file() {
            println!(
                "not run: PostgreSQL 15 is not in {}; install Debian's package postgresql-15, or name its folder with \
                 AION_POSTGRES_BIN",
                folder.display()
            );
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let owner = unprivileged(dir.path());
        let data = dir.path().join("data");
        let command = |program: &str| {
            let mut command = Command::new(folder.join(program));
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command.current_dir("/").arg("-D").arg(&data).stdin(Stdio::null());
            command
        };
        let made = command("initdb")
            .args([
                "--username=aion",
                "--auth=trust",
                // The order of the bytes, as ours, and letters beyond ASCII are letters.
                "--locale=C.UTF-8",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let mut server = command("postgres");
        server.args(["-p", &port.to_string()]);
        // Nothing of it outlives the test, so nothing has to reach the disk.
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "timezone=UTC",
            "statement_timeout=20s",
        ] {
            server.args(["-c", setting]);
        }
        let log = std::fs::File::create(dir.path().join("log")).expect("a file");
        let child = server
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres starts");
        let mut stop = command("pg_ctl");
        stop.args(["stop", "-m", "immediate"]).stdout(Stdio::null());
        let postgres = Self { port, child, dir, stop };
        postgres.make_database("aion");
        Some(postgres)
    }

    /// Makes an empty database, in the place of one of this name.
    pub fn make_database(&self, name: &str) {
        let deadline = Instant::now() + START_MAX;
        let scripts = [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name}"),
        ];
        loop {
            match Client::connect(self.port, "postgres") {
                Ok(mut client) => {
                    for script in &scripts {
                        let made = client.ask(script, Way::Simple).expect("an answer");
                        assert_eq!(made.error, None, "{script}");
                    }
                    return;
                }
                Err(error) => {
                    let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                    assert!(
                        Instant::now() < deadline,
                        "PostgreSQL does not start: {error}\n{}",
                        log()
                    );
                    std::thread::yield_now();
                }
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its children end with it, which they would not if it were killed.
        let _ = self.stop.status();
        let _ = self.child.wait();
    }
}

/// PostgreSQL refuses to run as root: then it runs as the package's user, to whom the directory is given.
fn unprivileged(dir: &Path) -> Option<(u32, u32)> {
    if std::fs::metadata(dir).expect("it is there").uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let numbers = |line: &str| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let (user, group) = line.and_then(numbers).expect("the package makes the user postgres");
    chown(dir, Some(user), Some(group)).expect("given");
    Some((user, group))
}
