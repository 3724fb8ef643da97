//! The differential hunt: random statements are sent to us and to a PostgreSQL 15, and the answers are compared.
//!
//! **Vocabulary.** An *episode* is a list of statements that begins with an empty database; a *difference* is the first
//! statement of an episode that the two answer differently, with both answers.
//!
//! **What is compared.** The rows (sorted, unless the query orders all of them), the types of columns that PostgreSQL sends,
//! the tag, the state of the transaction, and the SQLSTATE of an error; not its text, which the scripts of `slt/` look at.
//!
//! **How.** 1. The episode is drawn statement by statement: what a statement changes is believed once PostgreSQL took it
//! (`world`), so that later ones speak of what is there. 2. At the first difference it ends; both databases are emptied, and
//! statements are left out as long as the last one is still answered in the same two ways (`shrink`). 3. A difference that
//! stands in `known`, with its reason, is counted, and ends the episode only where the two are no longer in one state; any other
//! fails the test, with the statements that are left and the seed. 4. The gate draws the same episodes each time; the hunt at length others.
//!
//! **Left out:** concurrent clients (the isolation hunt), COPY, roles, floats beyond 12 digits, and the text of errors.

mod changes;
pub mod client;
mod compare;
mod expressions;
mod known;
mod literals;
mod points;
pub mod postgres;
mod queries;
mod shrink;
mod tables;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use aion_base::rng::SeededRng;

use self::client::{Answer, Client, Way};
use self::compare::{Difference, differ};
use self::postgres::Postgres;
use self::world::{World, index, pick};
use crate::program::{at_length, steady_seed};
use crate::wire::Process;

/// Statements of an episode.
const STATEMENTS_MAX: usize = 60;
const EPISODES_SLICE: usize = 25;
const EPISODES_FULL: usize = 1_500;
/// So many different findings are shown before a run ends.
const FINDINGS_MAX: usize = 20;

/// A statement with what its answer is compared by.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub sql: String,
    pub way: Way,
    pub is_ordered: bool,
}

/// The two servers.
struct Pair {
    postgres: Client,
    aion: Client,
    /// Whether ours may go the direct path.
    is_direct: bool,
    /// How often each known difference was met.
    known: BTreeMap<&'static str, usize>,
}

impl Pair {
    /// Both answers to a statement: PostgreSQL's, where ours is the same, or known to differ in nothing that follows.
    ///
    /// # Panics
    /// Where a server does not answer: it ended, or is stuck.
    fn ask(&mut self, statement: &Statement) -> Result<Answer, Box<Difference>> {
        let mut answer = |name: &str| {
            let client = if name == "PostgreSQL" {
                &mut self.postgres
            } else {
                &mut self.aion
            };
            match client.ask(&statement.sql, statement.way) {
                Ok(answer) => answer,
                Err(error) => panic!("{name} does not answer {}: {error}", statement.sql),
            }
        };
        let (theirs, ours) = (answer("PostgreSQL"), answer("Aion"));
        let Some(difference) = differ(statement, &theirs, &ours) else {
            return Ok(theirs);
        };
        if let Some(reason) = known::reason(&difference) {
            *self.known.entry(reason).or_default() += 1;
            if theirs.status == ours.status && theirs.error.is_some() == ours.error.is_some() {
                return Ok(theirs);
            }
        }
        Err(Box::new(difference))
    }

    /// Leaves nothing behind of the episode before.
    fn empty(&mut self) {
        let path = if self.is_direct { "on" } else { "off" };
        for sql in ["ROLLBACK", &format!("SET aion.direct_path = {path}")] {
            let answer = self.aion.ask(sql, Way::Simple).expect("an answer");
            assert_eq!(answer.error, None, "{sql}");
        }
        for client in [&mut self.postgres, &mut self.aion] {
            let mut run = |sql: &str| client.ask(sql, Way::Simple).expect("an answer");
            run("ROLLBACK");
            for (kind, query) in [
                (
                    "VIEW",
                    "SELECT table_name FROM information_schema.views WHERE table_schema = 'public'",
                ),
                ("TABLE", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"),
                (
                    "SEQUENCE",
                    "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'",
                ),
            ] {
                for row in run(query).rows {
                    let name = row[0].as_deref().expect("a name");
                    let dropped = run(&format!("DROP {kind} IF EXISTS {name} CASCADE"));
                    assert_eq!(dropped.error, None, "DROP {kind} {name}");
                }
            }
        }
    }
}

/// The state of a block that was begun.
#[derive(Default)]
struct Block {
    begun: Option<World>,
    savepoints: Vec<(String, World)>,
}

/// What a statement does to what is believed, once it succeeded.
enum Effect {
    World(World),
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(usize),
    Release(usize),
}

fn draw(rng: &mut SeededRng, world: &World, block: &Block, has_failed: bool) -> (Statement, Effect) {
    let way = pick(rng, &[Way::Simple, Way::Simple, Way::Extended]);
    let unordered = |sql: String| Statement {
        sql,
        way,
        is_ordered: false,
    };
    let is_in_block = block.begun.is_some();
    // A failed block takes nothing but its end; what else it is sent is a good question, too.
    let (begins, ends) = (
        !is_in_block && rng.chance(1, 12),
        is_in_block && rng.chance(1, if has_failed { 2 } else { 10 }),
    );
    if begins {
        let level = pick(
            rng,
            &[
                "",
                " ISOLATION LEVEL READ COMMITTED",
                " ISOLATION LEVEL REPEATABLE READ",
                " ISOLATION LEVEL SERIALIZABLE",
            ],
        );
        return (unordered(format!("BEGIN{level}")), Effect::Begin);
    }
    if ends {
        let savepoints = block.savepoints.len();
        return match rng.below(4) {
            0 => (unordered("COMMIT".to_owned()), Effect::Commit),
            1 if savepoints == 0 => (unordered("ROLLBACK".to_owned()), Effect::Rollback),
            1 if !has_failed => {
                let at = index(rng, savepoints);
                let release = format!("RELEASE SAVEPOINT {}", block.savepoints[at].0);
                (unordered(release), Effect::Release(at))
            }
            _ if savepoints > 0 => {
                let at = index(rng, savepoints);
                let back = format!("ROLLBACK TO SAVEPOINT {}", block.savepoints[at].0);
                (unordered(back), Effect::RollbackTo(at))
            }
            _ => (unordered("COMMIT".to_owned()), Effect::Commit),
        };
    }
    if is_in_block && rng.chance(1, 10) {
        let name = format!("p{}", block.savepoints.len());
        return (unordered(format!("SAVEPOINT {name}")), Effect::Savepoint(name));
    }
    let kind = rng.below(20);
    if world.tables.is_empty() || kind < 4 {
        let (sql, after) = tables::definition(rng, world);
        return (unordered(sql), Effect::World(after));
    }
    let change = match kind {
        ..9 => changes::change(rng, world),
        9..13 => points::point(rng, world),
        _ => None,
    };
    match change {
        Some(sql) => (unordered(sql), Effect::World(world.clone())),
        None => {
            let query = queries::query(rng, world);
            let statement = Statement {
                sql: query.sql,
                way,
                is_ordered: query.is_ordered,
            };
            (statement, Effect::World(world.clone()))
        }
    }
}

fn take(world: &mut World, block: &mut Block, effect: Effect) {
    // A name that was given stays given.
    let names = world.names;
    match effect {
        Effect::World(after) => *world = after,
        Effect::Begin => block.begun = Some(world.clone()),
        Effect::Commit => *block = Block::default(),
        Effect::Rollback => *world = std::mem::take(block).begun.unwrap_or_default(),
        Effect::Savepoint(name) => block.savepoints.push((name, world.clone())),
        Effect::RollbackTo(at) => {
            block.savepoints.truncate(at + 1);
            world.clone_from(&block.savepoints[at].1);
        }
        Effect::Release(at) => block.savepoints.truncate(at),
    }
    world.names = world.names.max(names);
}

/// Plays one episode; what was sent, and the difference it ended with.
fn play(pair: &mut Pair, rng: &mut SeededRng) -> (Vec<Statement>, Option<Box<Difference>>) {
    pair.is_direct = rng.chance(3, 4);
    pair.empty();
    let (mut world, mut block, mut has_failed) = (World::default(), Block::default(), false);
    let mut sent = Vec::new();
    while sent.len() < STATEMENTS_MAX {
        let (statement, effect) = draw(rng, &world, &block, has_failed);
        sent.push(statement.clone());
        let answer = match pair.ask(&statement) {
            Ok(answer) => answer,
            Err(difference) => return (sent, Some(difference)),
        };
        let is_commit = matches!(effect, Effect::Commit);
        // COMMIT of a failed block is answered with ROLLBACK.
        let effect = if is_commit && has_failed {
            Effect::Rollback
        } else {
            effect
        };
        has_failed = answer.status == 'E';
        if answer.error.is_none() {
            take(&mut world, &mut block, effect);
        } else if is_commit {
            take(&mut world, &mut block, Effect::Rollback);
        }
    }
    // What is in the tables in the end.
    for table in &world.tables {
        let all = Statement {
            sql: format!("SELECT * FROM {}", table.name),
            way: Way::Simple,
            is_ordered: false,
        };
        sent.push(all.clone());
        if let Err(difference) = pair.ask(&all) {
            return (sent, Some(difference));
        }
    }
    (sent, None)
}

#[test]
fn postgresql_answers_the_same() {
    let Some(postgres) = Postgres::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let process = Process::start(&dir.path().join("data"), &["--ai-mode", "off"]);
    let mut pair = Pair {
        postgres: Client::connect(postgres.port, "aion").expect("PostgreSQL answers"),
        aion: Client::connect(process.port, "aion").expect("Aion answers"),
        is_direct: true,
        known: BTreeMap::new(),
    };
    let seed = steady_seed();
    let (mut statements, mut findings, mut seen) = (0, Vec::new(), BTreeSet::new());
    let episodes = at_length(EPISODES_SLICE, EPISODES_FULL);
    for episode in 0..episodes {
        let mut rng = SeededRng::new(seed.wrapping_add(episode as u64));
        let (sent, difference) = play(&mut pair, &mut rng);
        statements += sent.len();
        let Some(difference) = difference else { continue };
        if known::reason(&difference).is_some() || !seen.insert(difference.class()) {
            continue;
        }
        let (kept, difference) = shrink::shrink(&mut pair, sent, difference);
        findings.push(format!(
            "AION_SEED={}\n{}",
            seed.wrapping_add(episode as u64),
            shrink::story(&kept, &difference)
        ));
        if findings.len() == FINDINGS_MAX {
            break;
        }
    }
    println!(
        "{statements} statements in {episodes} episodes; known differences: {:#?}",
        pair.known
    );
    assert!(
        findings.is_empty(),
        "{} answers differ:\n\n{}",
        findings.len(),
        findings.join("\n\n")
    );
}
