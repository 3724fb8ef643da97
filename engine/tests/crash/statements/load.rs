//! A client, its statements, and what it believes of its tables.

use std::collections::{BTreeMap, BTreeSet};

use aion_base::rng::SeededRng;

use crate::differential::client::{Client as Connection, Way};

/// Tables of a client at most, and indexes of a table.
const TABLES_MAX: usize = 3;
const INDEXES_MAX: usize = 2;
/// Values of `v`, so that an index has some rows of each.
const VALUES: u64 = 40;

/// A table: its columns beside the key, its rows by the key, its indexes, all of them on `v`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    columns: Vec<String>,
    rows: BTreeMap<i64, Vec<String>>,
    indexes: BTreeSet<String>,
    is_numeric: bool,
}

/// The tables of one client, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables(BTreeMap<String, Content>);

/// What is sent.
enum Request {
    Sql(String),
    Copy(String, String),
}

impl Tables {
    /// As a server has them.
    pub fn read(connection: &mut Connection, client: usize) -> Self {
        let mut ask = |sql: &str| {
            let answer = connection.ask(sql, Way::Simple).expect("an answer");
            assert_eq!(answer.error, None, "{sql}");
            answer
        };
        let names = ask(&format!(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE 'c{client}x%'"
        ));
        let mut tables = BTreeMap::new();
        for name in names.rows.into_iter().flatten().flatten() {
            let indexes = ask(&format!("SELECT indexname FROM pg_indexes WHERE tablename = '{name}'"));
            let indexes = indexes
                .rows
                .into_iter()
                .flatten()
                .flatten()
                .filter(|index| !index.ends_with("_pkey"));
            let all = ask(&format!("SELECT * FROM {name}"));
            let mut content = Content {
                columns: all.columns.iter().skip(1).map(|(column, _)| column.clone()).collect(),
                rows: BTreeMap::new(),
                indexes: indexes.collect(),
                is_numeric: all.columns.get(1).is_some_and(|(_, oid)| *oid == 1700),
            };
            for row in all.rows {
                let mut cells = row.into_iter().map(|cell| cell.expect("no column holds NULL"));
                let key = cells.next().and_then(|key| key.parse().ok()).expect("a key");
                assert_eq!(
                    content.rows.insert(key, cells.collect()),
                    None,
                    "{name} has row {key} twice"
                );
            }
            tables.insert(name, content);
        }
        Self(tables)
    }

    /// The first thing in which two differ.
    fn difference(&self, other: &Self) -> String {
        let names = |tables: &Self| tables.0.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(other) {
            return format!("tables {:?}, not {:?}", names(self), names(other));
        }
        for (name, content) in &self.0 {
            let believed = &other.0[name];
            let head = |of: &Content| (of.columns.clone(), of.indexes.clone(), of.is_numeric);
            if head(content) != head(believed) {
                return format!("{name} is {:?}, not {:?}", head(content), head(believed));
            }
            let keys: BTreeSet<_> = content.rows.keys().chain(believed.rows.keys()).collect();
            let differing = keys
                .into_iter()
                .filter(|key| content.rows.get(key) != believed.rows.get(key));
            let rows: Vec<String> = differing
                .take(5)
                .map(|key| {
                    format!(
                        "row {key}: {:?}, not {:?}",
                        content.rows.get(key),
                        believed.rows.get(key)
                    )
                })
                .collect();
            if !rows.is_empty() {
                return format!(
                    "{name} has {} rows, not {}; {}",
                    content.rows.len(),
                    believed.rows.len(),
                    rows.join("; ")
                );
            }
        }
        "nothing".to_owned()
    }
}

/// See the module's header of [`super`].
pub struct Client {
    number: usize,
    rng: SeededRng,
    /// What was acknowledged.
    believed: Tables,
    /// What would be there if what the kill cut off took effect, with its statements.
    pending: Option<(Tables, String)>,
    /// Names and keys are given once.
    given: i64,
    /// What was cut off, and what of it was there.
    pub cut: usize,
    pub cut_and_there: usize,
}

impl Client {
    pub fn new(number: usize, rng: SeededRng) -> Self {
        Self {
            number,
            rng,
            believed: Tables::default(),
            pending: None,
            given: 0,
            cut: 0,
            cut_and_there: 0,
        }
    }

    /// Sends until the connection ends; how many were acknowledged.
    pub fn run(&mut self, port: u16) -> usize {
        let mut acknowledged = 0;
        // It may be killed before anybody connects.
        let Ok(mut connection) = Connection::connect(port, "aion") else {
            return acknowledged;
        };
        loop {
            let mut after = self.believed.clone();
            let requests = self.draw(&mut after);
            let shown: Vec<String> = requests.iter().map(|request| request.shown()).collect();
            self.pending = Some((after, shown.join("; ")));
            for request in &requests {
                let answer = match request {
                    Request::Sql(sql) => connection.ask(sql, Way::Simple),
                    Request::Copy(sql, rows) => connection.copy(sql, rows),
                };
                let Ok(answer) = answer else {
                    self.cut += 1;
                    return acknowledged;
                };
                match answer.error {
                    None => {}
                    // Two definitions at once: one of them is to begin again.
                    Some((code, _)) if code == "40001" => {
                        self.pending = None;
                        if connection.ask("ROLLBACK", Way::Simple).is_err() {
                            return acknowledged;
                        }
                        break;
                    }
                    // The server is going down, and whoever asks now is told.
                    Some((code, message)) => panic!("{}: {code}: {message}", request.shown()),
                }
            }
            if let Some((after, _)) = self.pending.take() {
                self.believed = after;
                acknowledged += 1;
            }
        }
    }

    /// Takes what is there for what is believed, if it is one of the two that it can be.
    pub fn settle(&mut self, found: Tables) -> Result<(), String> {
        let pending = self.pending.take();
        if found != self.believed {
            match pending {
                Some((after, _)) if after == found => self.cut_and_there += 1,
                Some((after, what)) => {
                    return Err(format!(
                        "client {} finds neither what was before nor what was after [{what}]: {} and {}",
                        self.number,
                        found.difference(&self.believed),
                        found.difference(&after)
                    ));
                }
                None => {
                    return Err(format!(
                        "client {} finds {}",
                        self.number,
                        found.difference(&self.believed)
                    ));
                }
            }
        }
        self.believed = found;
        Ok(())
    }

    /// Asks for rows by what the indexes order.
    pub fn compare_indexes(&mut self, connection: &mut Connection) -> Result<(), String> {
        for (name, content) in &self.believed.0 {
            if content.indexes.is_empty() {
                continue;
            }
            for value in [self.rng.below(VALUES), self.rng.below(VALUES)] {
                let sql = format!("SELECT k FROM {name} WHERE v = {value} ORDER BY k");
                let answer = connection.ask(&sql, Way::Simple).expect("an answer");
                let found: Vec<String> = answer.rows.into_iter().flatten().flatten().collect();
                let of_value = content.rows.iter().filter(|(_, cells)| cells[0] == value.to_string());
                let believed: Vec<String> = of_value.map(|(key, _)| key.to_string()).collect();
                if found != believed {
                    return Err(format!("{sql} gives {found:?}, not {believed:?}; {:?}", answer.error));
                }
            }
        }
        Ok(())
    }

    fn fresh(&mut self) -> i64 {
        self.given += 1;
        self.given
    }

    /// A name that no other client gives.
    fn name(&mut self, prefix: &str) -> String {
        let given = self.fresh();
        format!("{prefix}{}x{given}", self.number)
    }

    fn draw(&mut self, after: &mut Tables) -> Vec<Request> {
        if !self.rng.chance(1, 6) {
            return vec![self.one(after)];
        }
        let before = after.clone();
        let mut requests = vec![Request::Sql("BEGIN".to_owned())];
        for _ in 0..2 + self.rng.below(3) {
            requests.push(self.one(after));
        }
        if self.rng.chance(1, 6) {
            *after = before;
            requests.push(Request::Sql("ROLLBACK".to_owned()));
        } else {
            requests.push(Request::Sql("COMMIT".to_owned()));
        }
        requests
    }

    fn one(&mut self, after: &mut Tables) -> Request {
        let names: Vec<String> = after.0.keys().cloned().collect();
        if names.is_empty() || (names.len() < TABLES_MAX && self.rng.chance(1, 12)) {
            return self.create(after);
        }
        let name = names[usize::try_from(self.rng.below(names.len() as u64)).expect("few")].clone();
        let (divisor, rest) = (2 + self.rng.below(5), self.rng.below(2));
        let divided = format!("k % {divisor} = {rest}");
        let is_meant = |key: &i64| key.unsigned_abs() % divisor == rest;
        let value = self.rng.below(VALUES);
        let content = after.0.get_mut(&name).expect("it is there");
        Request::Sql(match self.rng.below(26) {
            0..8 => return self.insert(&name, content),
            8..10 => return self.copy(&name, content),
            10..12 => {
                // Those that are there change, the others come.
                let keys: Vec<i64> = content.rows.keys().copied().take(3).chain([self.fresh()]).collect();
                let mut rows = Vec::new();
                for key in keys {
                    rows.push(format!("({key}, {value}, 'up')"));
                    let width = content.columns.len();
                    content
                        .rows
                        .entry(key)
                        .or_insert_with(|| filled(&content.columns, "up", width))[0] = value.to_string();
                }
                format!(
                    "INSERT INTO {name} (k, v, t) VALUES {} ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v",
                    rows.join(", ")
                )
            }
            12..15 => {
                for (_, cells) in content.rows.iter_mut().filter(|(key, _)| is_meant(key)) {
                    cells[0] = value.to_string();
                }
                format!("UPDATE {name} SET v = {value} WHERE {divided}")
            }
            15 => {
                content.rows.retain(|key, _| !is_meant(key));
                format!("DELETE FROM {name} WHERE {divided}")
            }
            16..18 if content.indexes.len() < INDEXES_MAX => {
                let index = self.name("i");
                content.indexes.insert(index.clone());
                format!("CREATE INDEX {index} ON {name} (v)")
            }
            16..19 => match content.indexes.pop_first() {
                Some(index) => format!("DROP INDEX {index}"),
                None => return self.insert(&name, content),
            },
            19 => {
                content.rows.clear();
                format!("TRUNCATE {name}")
            }
            20 => {
                let column = format!("n{}", self.fresh());
                content.columns.push(column.clone());
                content.rows.values_mut().for_each(|cells| cells.push("7".to_owned()));
                format!("ALTER TABLE {name} ADD COLUMN {column} bigint NOT NULL DEFAULT 7")
            }
            21 if content.columns.len() > 2 => {
                let column = content.columns.pop().expect("more than two");
                content.rows.values_mut().for_each(|cells| drop(cells.pop()));
                format!("ALTER TABLE {name} DROP COLUMN {column}")
            }
            21..24 => {
                content.is_numeric = !content.is_numeric;
                let to = if content.is_numeric { "numeric(20,0)" } else { "bigint" };
                format!("ALTER TABLE {name} ALTER COLUMN v TYPE {to}")
            }
            24 => {
                let to = self.name("c");
                let content = after.0.remove(&name).expect("it is there");
                after.0.insert(to.clone(), content);
                format!("ALTER TABLE {name} RENAME TO {to}")
            }
            _ => {
                after.0.remove(&name);
                format!("DROP TABLE {name}")
            }
        })
    }

    fn create(&mut self, after: &mut Tables) -> Request {
        let name = self.name("c");
        let sql = format!("CREATE TABLE {name} (k bigint PRIMARY KEY, v bigint NOT NULL, t text NOT NULL)");
        let content = Content {
            columns: vec!["v".to_owned(), "t".to_owned()],
            ..Content::default()
        };
        after.0.insert(name, content);
        Request::Sql(sql)
    }

    /// New rows, as their cells that are given.
    fn rows(&mut self, content: &mut Content, count: u64) -> Vec<(i64, u64, String)> {
        let long = if self.rng.chance(1, 10) { 3_000 } else { 20 };
        (0..count)
            .map(|_| {
                let (key, value) = (self.fresh(), self.rng.below(VALUES));
                let text = "x".repeat(usize::try_from(1 + self.rng.below(long)).expect("short"));
                let mut cells = filled(&content.columns, &text, content.columns.len());
                cells[0] = value.to_string();
                content.rows.insert(key, cells);
                (key, value, text)
            })
            .collect()
    }

    fn insert(&mut self, name: &str, content: &mut Content) -> Request {
        let count = 1 + self.rng.below(8);
        let rows: Vec<String> = self
            .rows(content, count)
            .into_iter()
            .map(|(key, value, text)| format!("({key}, {value}, '{text}')"))
            .collect();
        Request::Sql(format!("INSERT INTO {name} (k, v, t) VALUES {}", rows.join(", ")))
    }

    fn copy(&mut self, name: &str, content: &mut Content) -> Request {
        let count = 20 + self.rng.below(300);
        let lines: Vec<String> = self
            .rows(content, count)
            .into_iter()
            .map(|(key, value, text)| format!("{key}\t{value}\t{text}\n"))
            .collect();
        Request::Copy(format!("COPY {name} (k, v, t) FROM STDIN"), lines.concat())
    }
}

impl Request {
    fn shown(&self) -> String {
        let (Self::Sql(text) | Self::Copy(text, _)) = self;
        text.chars().take(200).collect()
    }
}

/// The cells of a row whose added columns have their default.
fn filled(columns: &[String], text: &str, width: usize) -> Vec<String> {
    let mut cells = vec!["7".to_owned(); width];
    let at = columns
        .iter()
        .position(|column| column == "t")
        .expect("each table has it");
    text.clone_into(&mut cells[at]);
    cells
}

#[test]
fn what_is_lost_or_half_there_is_told() {
    let mut client = Client::new(0, SeededRng::new(1));
    let table = |keys: &[i64]| {
        let rows = keys
            .iter()
            .map(|key| (*key, vec!["1".to_owned(), "t".to_owned()]))
            .collect();
        let content = Content {
            rows,
            ..Content::default()
        };
        Tables(BTreeMap::from([("c0x1".to_owned(), content)]))
    };
    client.believed = table(&[1]);
    client.pending = Some((table(&[1, 2, 3]), "INSERT".to_owned()));
    let story = client.settle(table(&[1, 2])).expect_err("half of it is there");
    assert!(story.contains("row 2") && story.contains("row 3"), "{story}");
    client.pending = Some((table(&[1, 2, 3]), "INSERT".to_owned()));
    client.settle(table(&[1, 2, 3])).expect("all of it is there");
    let story = client.settle(table(&[1, 3])).expect_err("one is lost");
    assert!(story.contains("row 2: None"), "{story}");
}
