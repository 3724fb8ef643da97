//! The core workloads of the Yahoo! Cloud Serving Benchmark.
//!
//! | | operations | records are drawn |
//! |---|---|---|
//! | A | 50 % reads, 50 % updates | zipfian |
//! | B | 95 % reads, 5 % updates | zipfian |
//! | C | reads | zipfian |
//! | D | 95 % reads, 5 % insertions | latest |
//! | E | 95 % scans of 1 to 100 records, evenly distributed, 5 % insertions | zipfian |
//! | F | 50 % reads, 50 % reads of a record that is written then | zipfian |
//!
//! **As YCSB has it.** Keys are hashed, so loading and inserting go everywhere; an update writes a whole new value; the two halves of
//! a read-modify-write are no transaction.
//!
//! **Other than YCSB.** A record has one field of all its bytes and not ten of a tenth. In E, scans begin at records that were there
//! when the run began. D draws among the records whose insertion was acknowledged, together with all before them.
//!
//! Follows B. F. Cooper et al., "Benchmarking cloud serving systems with YCSB" (SoCC 2010), and `workloads/` of YCSB 0.17.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};
use parking_lot::Mutex;

use crate::driver::{Answer, Task};
use crate::record::{write_key, write_value};
use crate::zipfian::{Latest, Scrambled};

/// Records of a scan, at most.
pub const SCAN_MAX: u64 = 100;
/// Bytes of a value, as YCSB has them.
pub const VALUE_BYTES: usize = 1_000;

/// Which of the six.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Updates heavily.
    A,
    /// Reads mostly.
    B,
    /// Reads only.
    C,
    /// Reads what is new.
    D,
    /// Scans.
    E,
    /// Reads, modifies, writes.
    F,
}

impl Workload {
    /// All, in the order that YCSB asks for with one loaded set of records: those that insert come last.
    pub const ALL: [Self; 6] = [Self::A, Self::B, Self::C, Self::F, Self::D, Self::E];

    /// Its mix, in words.
    pub fn about(self) -> &'static str {
        match self {
            Self::A => "50 % reads, 50 % updates",
            Self::B => "95 % reads, 5 % updates",
            Self::C => "reads",
            Self::D => "95 % reads of what is new, 5 % insertions",
            Self::E => "95 % scans of 1 to 100, 5 % insertions",
            Self::F => "50 % reads, 50 % read-modify-writes",
        }
    }

    /// Whether there are more records afterwards.
    pub fn inserts(self) -> bool {
        matches!(self, Self::D | Self::E)
    }

    /// In a hundred operations: reads, updates, insertions, scans, reads that are written then.
    fn mix(self) -> [(Kind, u64); 2] {
        match self {
            Self::A => [(Kind::Read, 50), (Kind::Update, 50)],
            Self::B => [(Kind::Read, 95), (Kind::Update, 5)],
            Self::C => [(Kind::Read, 100), (Kind::Update, 0)],
            Self::D => [(Kind::Read, 95), (Kind::Insert, 5)],
            Self::E => [(Kind::Scan, 95), (Kind::Insert, 5)],
            Self::F => [(Kind::Read, 50), (Kind::Modify, 50)],
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Workload {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_named = |workload: &Self| workload.to_string().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(is_named).ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("{text} is no workload of YCSB: they are called a, b, c, d, e and f"),
            )
        })
    }
}

/// How records are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// As the workload has it.
    #[default]
    Own,
    /// All alike.
    Uniform,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Update,
    Insert,
    Scan,
    Modify,
}

/// What is asked of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read the record.
    Read(u64),
    /// Write a new value over the record's.
    Update(u64),
    /// Add the record.
    Insert(u64),
    /// Read so many records, from that one on in the order of keys, or fewer where they end.
    Scan(u64, u64),
    /// Read the record, and write a new value over it then.
    Modify(u64),
}

/// Which records there are. Shared by all threads.
#[derive(Debug)]
pub struct Population {
    next: AtomicU64,
    /// All below are there.
    acknowledged: AtomicU64,
    /// Acknowledged before others with lower numbers were; one for each thread at most.
    early: Mutex<BTreeSet<u64>>,
}

impl Population {
    /// So many as were loaded.
    pub fn new(records: u64) -> Self {
        Self {
            next: AtomicU64::new(records),
            acknowledged: AtomicU64::new(records),
            early: Mutex::default(),
        }
    }

    /// How many there are, without those that wait for one before them.
    pub fn records(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn acknowledge(&self, number: u64) {
        let mut early = self.early.lock();
        early.insert(number);
        let mut end = self.acknowledged.load(Ordering::Relaxed);
        while early.remove(&end) {
            end += 1;
        }
        self.acknowledged.store(end, Ordering::Release);
    }
}

#[derive(Clone, Debug)]
enum Chooser {
    Uniform,
    Scrambled(Scrambled),
    Latest(Latest),
}

/// Draws the operations of one thread.
#[derive(Clone, Debug)]
pub struct Draws<'a> {
    workload: Workload,
    chooser: Chooser,
    rng: SeededRng,
    /// At the beginning.
    records: u64,
    population: &'a Population,
}

impl<'a> Draws<'a> {
    /// Draws for a workload, from a seed. Takes a while for D; clone it with [`Draws::split`] for the next thread.
    pub fn new(workload: Workload, distribution: Distribution, population: &'a Population, seed: u64) -> Self {
        let records = population.records();
        let chooser = match (distribution, workload) {
            (Distribution::Uniform, _) => Chooser::Uniform,
            (Distribution::Own, Workload::D) => Chooser::Latest(Latest::new(records)),
            (Distribution::Own, _) => Chooser::Scrambled(Scrambled::new(records)),
        };
        Self {
            workload,
            chooser,
            rng: SeededRng::new(seed),
            records,
            population,
        }
    }

    /// The same for another thread, which draws others.
    pub fn split(&mut self) -> Self {
        Self {
            rng: self.rng.split(),
            ..self.clone()
        }
    }

    /// The next operation.
    pub fn draw(&mut self) -> Operation {
        let [(first, share), (second, _)] = self.workload.mix();
        let kind = if self.rng.chance(share, 100) { first } else { second };
        match kind {
            Kind::Read => Operation::Read(self.record()),
            Kind::Update => Operation::Update(self.record()),
            Kind::Insert => Operation::Insert(self.population.take()),
            Kind::Scan => Operation::Scan(self.record(), self.rng.below(SCAN_MAX) + 1),
            Kind::Modify => Operation::Modify(self.record()),
        }
    }

    fn record(&mut self) -> u64 {
        match &mut self.chooser {
            Chooser::Uniform => self.rng.below(self.records),
            Chooser::Scrambled(scrambled) => scrambled.next(&mut self.rng),
            Chooser::Latest(latest) => latest.next(&mut self.rng, self.population.records()),
        }
    }
}

/// An engine's records, through one thread's connection.
pub trait Records: Send {
    /// The digest of a record's value; None where there is no such record.
    ///
    /// # Errors
    /// The engine's.
    fn read(&mut self, key: &str) -> Result<Option<u64>>;

    /// Writes a new value over a record's, durably.
    ///
    /// # Errors
    /// The engine's; conflict where another attempt may succeed.
    fn update(&mut self, key: &str, value: &str) -> Result<()>;

    /// Adds a record, durably.
    ///
    /// # Errors
    /// As [`Records::update`].
    fn insert(&mut self, key: &str, value: &str) -> Result<()>;

    /// Reads so many records from a key on, or fewer where they end: [`crate::record::row_digest`] of each.
    ///
    /// # Errors
    /// The engine's.
    fn scan(&mut self, from: &str, records: u64) -> Result<Answer>;
}

/// What one thread does.
#[derive(Debug)]
pub struct Client<'a, R> {
    draws: Draws<'a>,
    records: R,
    value_bytes: usize,
    key: String,
    value: String,
}

impl<'a, R: Records> Client<'a, R> {
    /// A thread that draws from `draws` and asks `records`.
    pub fn new(draws: Draws<'a>, records: R, value_bytes: usize) -> Self {
        Self {
            draws,
            records,
            value_bytes,
            key: String::new(),
            value: String::new(),
        }
    }

    fn read(&mut self, number: u64) -> Result<Answer> {
        let digest = self.records.read(&self.key)?;
        let digest = digest.ok_or_else(|| Error::internal(format!("record {number} ({}) is not there", self.key)))?;
        Ok(Answer::row(digest))
    }
}

impl<R: Records> Task for Client<'_, R> {
    type Operation = Operation;

    fn draw(&mut self) -> Operation {
        let operation = self.draws.draw();
        let (Operation::Read(number)
        | Operation::Update(number)
        | Operation::Insert(number)
        | Operation::Scan(number, _)
        | Operation::Modify(number)) = operation;
        write_key(number, &mut self.key);
        if !matches!(operation, Operation::Read(_) | Operation::Scan(..)) {
            write_value(&mut self.draws.rng, self.value_bytes, &mut self.value);
        }
        operation
    }

    fn attempt(&mut self, operation: &Operation) -> Result<Answer> {
        match *operation {
            Operation::Read(number) => self.read(number),
            Operation::Update(_) => {
                self.records.update(&self.key, &self.value)?;
                Ok(Answer::default())
            }
            Operation::Insert(number) => {
                self.records.insert(&self.key, &self.value)?;
                self.draws.population.acknowledge(number);
                Ok(Answer::default())
            }
            Operation::Scan(number, records) => {
                let read = self.records.scan(&self.key, records)?;
                match read.rows {
                    0 => Err(Error::internal(format!("a scan from record {number} found nothing"))),
                    _ => Ok(read),
                }
            }
            Operation::Modify(number) => {
                let read = self.read(number)?;
                self.records.update(&self.key, &self.value)?;
                Ok(read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::drive;
    use crate::record::{digest, key, row_digest, write_loaded_value};
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// A map as an engine.
    #[derive(Clone, Copy)]
    struct InMemory<'a>(&'a Mutex<BTreeMap<String, String>>);

    impl Records for InMemory<'_> {
        fn read(&mut self, key: &str) -> Result<Option<u64>> {
            Ok(self.0.lock().get(key).map(|value| digest(value.as_bytes())))
        }

        fn update(&mut self, key: &str, value: &str) -> Result<()> {
            let old = self.0.lock().insert(key.to_owned(), value.to_owned());
            assert!(old.is_some(), "{key} is updated and not there");
            Ok(())
        }

        fn insert(&mut self, key: &str, value: &str) -> Result<()> {
            let old = self.0.lock().insert(key.to_owned(), value.to_owned());
            assert!(old.is_none(), "{key} is inserted twice");
            Ok(())
        }

        fn scan(&mut self, from: &str, records: u64) -> Result<Answer> {
            let mut answer = Answer::default();
            for (key, value) in self.0.lock().range(from.to_owned()..).take(records as usize) {
                answer.add(Answer::row(row_digest(key.as_bytes(), value.as_bytes())));
            }
            Ok(answer)
        }
    }

    #[test]
    fn a_hundred_operations_are_mixed_as_the_table_says() {
        const DRAWS: u64 = 100_000;
        for workload in Workload::ALL {
            let population = Population::new(1_000);
            let mut draws = Draws::new(workload, Distribution::Own, &population, 5);
            // Reads, updates, insertions, scans, reads that are written then.
            let mut counts = [0_u64; 5];
            for _ in 0..DRAWS {
                let (at, number) = match draws.draw() {
                    Operation::Read(number) => (0, number),
                    Operation::Update(number) => (1, number),
                    Operation::Insert(number) => {
                        population.acknowledge(number);
                        (2, number)
                    }
                    Operation::Scan(number, records) => {
                        assert!((1..=SCAN_MAX).contains(&records));
                        (3, number)
                    }
                    Operation::Modify(number) => (4, number),
                };
                counts[at] += 1;
                assert!(number < population.records());
            }
            let expected = match workload {
                Workload::A => [50, 50, 0, 0, 0],
                Workload::B => [95, 5, 0, 0, 0],
                Workload::C => [100, 0, 0, 0, 0],
                Workload::D => [95, 0, 5, 0, 0],
                Workload::E => [0, 0, 5, 95, 0],
                Workload::F => [50, 0, 0, 0, 50],
            };
            for (count, expected) in counts.iter().zip(expected) {
                assert!(
                    count.abs_diff(expected * DRAWS / 100) < DRAWS / 100,
                    "{workload}: {counts:?}"
                );
            }
            assert_eq!(population.records(), 1_000 + counts[2]);
        }
    }

    #[test]
    fn scans_are_of_all_lengths_alike() {
        let population = Population::new(1_000);
        let mut draws = Draws::new(Workload::E, Distribution::Own, &population, 6);
        let mut counts = [0_u64; SCAN_MAX as usize];
        for _ in 0..105_000 {
            if let Operation::Scan(_, records) = draws.draw() {
                counts[records as usize - 1] += 1;
            }
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn uniform_draws_all_records_alike() {
        let population = Population::new(100);
        let mut draws = Draws::new(Workload::C, Distribution::Uniform, &population, 7);
        let mut counts = [0_u64; 100];
        for _ in 0..100_000 {
            if let Operation::Read(number) = draws.draw() {
                counts[number as usize] += 1;
            }
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn records_are_there_once_all_before_them_are() {
        let population = Population::new(10);
        let numbers = [(); 3].map(|()| population.take());
        assert_eq!(numbers, [10, 11, 12]);
        for (number, records) in [(12, 10), (10, 11), (11, 13)] {
            population.acknowledge(number);
            assert_eq!(population.records(), records);
        }
    }

    #[test]
    fn four_threads_find_each_record_that_they_draw() {
        let mut value = String::new();
        let mut loaded = BTreeMap::new();
        for number in 0..500 {
            write_loaded_value(number, 50, &mut value);
            loaded.insert(key(number), value.clone());
        }
        let map = Mutex::new(loaded);
        let population = Population::new(500);
        for workload in Workload::ALL {
            let mut draws = Draws::new(workload, Distribution::Own, &population, 8);
            let clients = [(); 4].map(|()| Client::new(draws.split(), InMemory(&map), 50));
            let measured = drive(clients.into(), Duration::from_millis(20)).expect("each read has its row");
            assert!(measured.operations > 0, "{workload}");
            assert_eq!(map.lock().len() as u64, population.records());
        }
    }

    #[test]
    fn names_are_read_in_either_case() {
        for workload in Workload::ALL {
            let name = workload.to_string();
            assert_eq!(name.parse::<Workload>().expect("a name"), workload);
            assert_eq!(name.to_lowercase().parse::<Workload>().expect("a name"), workload);
        }
        assert!("g".parse::<Workload>().is_err());
    }
}
