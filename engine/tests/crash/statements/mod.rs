//! Kills of a server under a mixed load of statements: nothing acknowledged is lost, nothing is half there.
//!
//! Each client has tables of its own, so it knows what is in them: what it believed before the statement, or the transaction, that
//! the kill cut off, or what it would have believed after that, and nothing else. The load is INSERT, upsert, UPDATE, DELETE, COPY,
//! TRUNCATE, CREATE and DROP of tables and indexes, and ALTER TABLE, with rewrites, alone and in blocks.
//!
//! **After each kill** the next server is asked for all tables, all columns, all rows and all indexes ([`load`]); some are killed
//! while they still open. **Now and then**, and in the end, a server is stopped in order after a VACUUM, and the keys of its store
//! are counted ([`keys`]): as many entries in each index as rows in its table, nothing of an index whose making a kill interrupted, none of
//! a storage that no table has, and no range that is still to be cleared away.

mod keys;
mod load;

use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use aion_base::rng::SeededRng;

use self::load::{Client, Tables};
use crate::differential::client::{Client as Connection, Way};
use crate::program::{at_length, seed};
use crate::wire::Process;

const CLIENTS: usize = 4;
const KILLS_SLICE: usize = 6;
/// The acceptance.
const KILLS_FULL: usize = 500;
/// A server runs so long at most before it is killed.
const LIFE_MAX: Duration = Duration::from_millis(1_200);

struct Hunt {
    data: tempfile::TempDir,
    rng: SeededRng,
    seed: u64,
    clients: Vec<Client>,
    kills: usize,
    acknowledged: usize,
}

impl Hunt {
    fn new() -> Self {
        let seed = seed();
        let mut rng = SeededRng::new(seed);
        Self {
            data: tempfile::tempdir().expect("a directory"),
            clients: (0..CLIENTS).map(|number| Client::new(number, rng.split())).collect(),
            rng,
            seed,
            kills: 0,
            acknowledged: 0,
        }
    }

    fn start(&self) -> Process {
        Process::start(&self.data.path().join("data"), &["--ai-mode", "off"])
    }

    /// Kills one that has hardly begun to open.
    fn kill_early(&mut self) {
        let mut child = Process::alone(&self.data.path().join("data"), &["--ai-mode", "off"])
            .stdout(Stdio::null())
            .spawn()
            .expect("aion starts");
        // Nothing comes: it is a pause that ends early where nobody listens any more.
        let (_open, nothing) = channel::<()>();
        let _ = nothing.recv_timeout(Duration::from_micros(self.rng.below(300_000)));
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
        self.kills += 1;
    }

    /// One life of a server under load, up to its kill.
    fn kill(&mut self) {
        let mut process = self.start();
        let port = process.port;
        let life = LIFE_MAX.mul_f64(self.rng.below(1_000) as f64 / 1_000.0);
        let acknowledged: usize = std::thread::scope(|scope| {
            let running: Vec<_> = self
                .clients
                .iter_mut()
                .map(|client| scope.spawn(move || client.run(port)))
                .collect();
            let (_open, nothing) = channel::<()>();
            let _ = nothing.recv_timeout(life);
            process.child.kill().expect("a child of ours");
            process.child.wait().expect("a child of ours");
            running
                .into_iter()
                .map(|client| client.join().expect("a client that found nothing"))
                .sum()
        });
        self.acknowledged += acknowledged;
        self.kills += 1;
    }

    /// Fails with the directory kept if anything is missing, half there or wrong.
    fn look(&mut self) {
        let process = self.start();
        let mut connection = Connection::connect(process.port, "aion").expect("connects");
        for at in 0..self.clients.len() {
            let found = Tables::read(&mut connection, at);
            if let Err(story) = self.clients[at].settle(found) {
                self.keep(&story);
            }
            if let Err(story) = self.clients[at].compare_indexes(&mut connection) {
                self.keep(&story);
            }
        }
    }

    /// Stops a server in order, and counts the keys.
    fn count_keys(&mut self) {
        let mut process = self.start();
        let mut connection = Connection::connect(process.port, "aion").expect("connects");
        let answer = connection.ask("VACUUM", Way::Simple).expect("an answer");
        assert_eq!(answer.error, None);
        drop(connection);
        assert!(process.signal("-TERM").success(), "SIGTERM is a clean stop");
        if let Err(story) = keys::check(&self.data.path().join("data")) {
            self.keep(&story);
        }
    }

    fn keep(&self, story: &str) -> ! {
        let kept = std::env::temp_dir().join(format!("aion-lost-{}-{}", self.seed, self.kills));
        super::directory::copy(self.data.path(), &kept);
        panic!(
            "after {} kills: {story}\nthe directory is kept as {}",
            self.kills,
            kept.display()
        );
    }
}

#[test]
fn kills_under_statements_lose_nothing_and_leave_nothing_half() {
    let mut hunt = Hunt::new();
    let kills = at_length(KILLS_SLICE, KILLS_FULL);
    while hunt.kills < kills {
        if hunt.rng.chance(1, 8) {
            hunt.kill_early();
        }
        hunt.kill();
        hunt.look();
        if hunt.kills.is_multiple_of(25) {
            println!("{} kills of {kills}, {} acknowledged", hunt.kills, hunt.acknowledged);
        }
        if hunt.rng.chance(1, 6) {
            hunt.count_keys();
        }
    }
    hunt.count_keys();
    let sum = |of: fn(&Client) -> usize| hunt.clients.iter().map(of).sum::<usize>();
    println!(
        "{} kills, {} acknowledged, 0 lost, 0 half; of {} that were cut off, {} are there",
        hunt.kills,
        hunt.acknowledged,
        sum(|client| client.cut),
        sum(|client| client.cut_and_there)
    );
}
