//! The numbers of sequences.
//!
//! **Vocabulary.** A sequence's *state* is the last number that was taken from it durably, and whether that number counts as given out.
//! What this process took and has not given yet is its *stock*.
//!
//! **Guarantees.**
//! - No number is given twice, whatever becomes of who asked: the state is moved on by a commit of its own before a number of it is
//!   given. A transaction that rolls back leaves a gap, as in PostgreSQL.
//! - Numbers that a crash leaves in the stock are lost: at most [`STOCK_NUMBERS`] of a sequence. A database that is closed puts them back.
//! - nextval is no read of the transaction that asks: two that take numbers are no conflict.
//! - ALTER SEQUENCE changes what follows a number and not where the sequence is: numbers that were taken under other rules and not given
//!   are put back before one is taken under these. RESTART, which is part of a transaction, gives the sequence another state instead.
//!
//! [`Sequences::next`] computes the numbers by arithmetic alone; beyond the last one it is 2200H, or the other end where the sequence cycles.

use std::collections::HashMap;
use std::sync::Arc;

use aion_base::id::{LogIndex, TxnId};
use aion_base::range::KeyRange;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::SequenceDescriptor;
use aion_catalog::objects::sequence_state_key;
use aion_storage::{Change, Commit, Outcome, Replicator, Store};
use parking_lot::Mutex;

/// Numbers that one commit takes, at least: those of PostgreSQL's log record.
const STOCK_NUMBERS: u64 = 32;
/// How often a state is asked again after somebody else changed it.
const ATTEMPTS_MAX: usize = 100;

/// Where a sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// A number.
    pub last: i64,
    /// It was given out; if not it is the next.
    pub is_called: bool,
}

impl State {
    /// Before the first number of this state.
    pub fn first(sequence: &SequenceDescriptor) -> Self {
        let (last, is_called) = sequence.first.unwrap_or((sequence.start, false));
        Self { last, is_called }
    }

    /// As it is stored: the number, little-endian, and 0 or 1.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = self.last.to_le_bytes().to_vec();
        bytes.push(u8::from(self.is_called));
        bytes
    }

    /// Reads what [`State::encode`] wrote.
    ///
    /// # Errors
    /// Corrupt for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first_chunk::<8>() {
            Some((last, [is_called @ (0 | 1)])) => Ok(Self {
                last: i64::from_le_bytes(*last),
                is_called: *is_called == 1,
            }),
            _ => Err(Error::corrupt("the state of a sequence is damaged")),
        }
    }

    /// The next number, and the state behind it.
    fn advance(self, sequence: &SequenceDescriptor) -> Result<i64> {
        if !self.is_called {
            return Ok(self.last);
        }
        let next = self.last.checked_add(sequence.increment);
        match next.filter(|next| (sequence.min..=sequence.max).contains(next)) {
            Some(next) => Ok(next),
            None if sequence.is_cycle && sequence.increment > 0 => Ok(sequence.min),
            None if sequence.is_cycle => Ok(sequence.max),
            None => {
                let (kind, limit) = match sequence.increment > 0 {
                    true => ("maximum", sequence.max),
                    false => ("minimum", sequence.min),
                };
                Err(Error::invalid(
                    SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
                    format!(
                        "nextval: reached {kind} value of sequence \"{}\" ({limit})",
                        sequence.name
                    ),
                ))
            }
        }
    }
}

/// What is taken and not given.
#[derive(Debug)]
struct Stock {
    /// By whose rules it was taken.
    sequence: Arc<SequenceDescriptor>,
    /// Where the numbers that were given end.
    given: State,
    /// Where those that are durably taken end.
    taken: State,
}

/// The stock of one state. Whoever holds it may wait for a commit; other sequences do not wait with it.
type Slot = Arc<Mutex<Option<Stock>>>;

/// See the module's header.
#[derive(Debug)]
pub struct Sequences {
    store: Arc<Store>,
    /// By the ids of the states.
    slots: Mutex<HashMap<u32, Slot>>,
}

impl Sequences {
    /// The sequences of a store.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            slots: Mutex::default(),
        }
    }

    /// The store that they are kept in, for what is to be said of it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn slot(&self, sequence: &SequenceDescriptor) -> Slot {
        self.slots.lock().entry(sequence.state_id()).or_default().clone()
    }

    /// The next number. Now and then this waits for a commit.
    ///
    /// # Errors
    /// 2200H beyond the last number; as a commit.
    pub fn next(&self, sequence: &Arc<SequenceDescriptor>) -> Result<i64> {
        let slot = self.slot(sequence);
        let mut stock = slot.lock();
        if let Some(there) = stock.as_mut()
            && there.sequence.counts_as(sequence)
            && there.given != there.taken
        {
            let next = there.given.advance(sequence)?;
            there.given = called(next);
            return Ok(next);
        }
        if let Some(other) = stock.take() {
            self.put_stock_back(&other)?;
        }
        let taken = self.take(sequence)?;
        let next = taken.given.last;
        *stock = Some(taken);
        Ok(next)
    }

    /// Takes some numbers, the first of which is given.
    fn take(&self, sequence: &Arc<SequenceDescriptor>) -> Result<Stock> {
        let wanted = STOCK_NUMBERS.max(sequence.cache.unsigned_abs());
        for _ in 0..ATTEMPTS_MAX {
            let (before, read_point) = self.read(sequence)?;
            let first = before.advance(sequence)?;
            let mut last = first;
            for _ in 1..wanted {
                // Those beyond the end, or behind the turn of a cycle, are taken when they are asked for.
                match called(last).advance(sequence) {
                    Ok(next) if (next > last) == (sequence.increment > 0) => last = next,
                    _ => break,
                }
            }
            if self.write(sequence.state_id(), called(last), read_point)? {
                return Ok(Stock {
                    sequence: sequence.clone(),
                    given: called(first),
                    taken: called(last),
                });
            }
        }
        Err(Error::conflict(
            SqlState::SERIALIZATION_FAILURE,
            format!("sequence \"{}\" was changed by others each time", sequence.name),
        ))
    }

    /// Where it is, what nobody was given yet left out.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn state(&self, sequence: &Arc<SequenceDescriptor>) -> Result<State> {
        let slot = self.slot(sequence);
        let stock = slot.lock();
        match &*stock {
            Some(stock) => Ok(stock.given),
            None => self.read(sequence).map(|(state, _)| state),
        }
    }

    /// Puts it to a number.
    ///
    /// # Errors
    /// 22003 for a number beyond its ends; as a commit.
    pub fn set(&self, sequence: &Arc<SequenceDescriptor>, state: State) -> Result<()> {
        if !(sequence.min..=sequence.max).contains(&state.last) {
            return Err(Error::invalid(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {} is out of bounds for sequence \"{}\" ({}..{})",
                    state.last, sequence.name, sequence.min, sequence.max
                ),
            ));
        }
        let slot = self.slot(sequence);
        let mut stock = slot.lock();
        *stock = None;
        for _ in 0..ATTEMPTS_MAX {
            let (_, read_point) = self.read(sequence)?;
            if self.write(sequence.state_id(), state, read_point)? {
                return Ok(());
            }
        }
        Err(Error::conflict(
            SqlState::SERIALIZATION_FAILURE,
            format!("sequence \"{}\" was changed by others each time", sequence.name),
        ))
    }

    /// Puts back what is taken and not given, before the database closes.
    ///
    /// # Errors
    /// As a commit: the numbers are lost then, which nobody was promised.
    pub fn put_back(&self) -> Result<()> {
        let slots = std::mem::take(&mut *self.slots.lock());
        for slot in slots.into_values() {
            if let Some(stock) = slot.lock().take() {
                self.put_stock_back(&stock)?;
            }
        }
        Ok(())
    }

    fn put_stock_back(&self, stock: &Stock) -> Result<()> {
        if stock.given == stock.taken {
            return Ok(());
        }
        let (now, read_point) = self.read(&stock.sequence)?;
        // Somebody else has taken more, or it was dropped: the numbers are lost.
        if now == stock.taken {
            self.write(stock.sequence.state_id(), stock.given, read_point)?;
        }
        Ok(())
    }

    fn read(&self, sequence: &SequenceDescriptor) -> Result<(State, LogIndex)> {
        let snapshot = self.store.snapshot();
        let mut value = Vec::new();
        let state = match snapshot.get(&sequence_state_key(sequence.state_id()), &mut value)? {
            Some(_) => State::decode(&value)?,
            None => State::first(sequence),
        };
        Ok((state, snapshot.read_point()?.index))
    }

    /// False when somebody else changed it since the read point.
    fn write(&self, id: u32, state: State, read_point: LogIndex) -> Result<bool> {
        let key = sequence_state_key(id);
        let mut commit = Commit::new(TxnId(SeededRng::from_entropy().next_u128()), read_point);
        commit.read_ranges.push(KeyRange::point(&key));
        commit.write(key, Change::Put(state.encode()));
        let outcome = self.store.propose_and_wait(commit)?.wait()?;
        Ok(matches!(outcome, Outcome::Committed { .. }))
    }
}

fn called(last: i64) -> State {
    State { last, is_called: true }
}

#[cfg(test)]
mod tests {
    use aion_storage::StoreOptions;

    use super::*;

    fn sequence(increment: i64, min: i64, max: i64, start: i64, is_cycle: bool) -> Arc<SequenceDescriptor> {
        Arc::new(SequenceDescriptor {
            id: 5,
            schema: "public".to_owned(),
            name: "s".to_owned(),
            data_type: "bigint".to_owned(),
            start,
            increment,
            min,
            max,
            cache: 1,
            is_cycle,
            owned_by: None,
            comment: None,
            state: 0,
            first: None,
        })
    }

    fn sequences() -> Sequences {
        Sequences::new(Arc::new(Store::in_memory(&StoreOptions::default())))
    }

    fn take(sequences: &Sequences, sequence: &Arc<SequenceDescriptor>, count: usize) -> Vec<i64> {
        (0..count).map(|_| sequences.next(sequence).expect("left")).collect()
    }

    #[test]
    fn numbers_follow_each_other_across_stocks() {
        let (all, up) = (sequences(), sequence(1, 1, i64::MAX, 1, false));
        assert_eq!(take(&all, &up, 100), (1..=100).collect::<Vec<_>>());
        assert_eq!(all.state(&up).expect("read"), called(100));
        let (all, down) = (sequences(), sequence(-3, -1_000, 10, 7, false));
        assert_eq!(take(&all, &down, 4), [7, 4, 1, -2]);
    }

    #[test]
    fn the_end_is_an_error_or_a_turn() {
        let (all, short) = (sequences(), sequence(2, 1, 6, 1, false));
        assert_eq!(take(&all, &short, 3), [1, 3, 5]);
        let error = all.next(&short).expect_err("the end");
        assert_eq!(error.state(), SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED);
        let (all, round) = (sequences(), sequence(2, 1, 6, 3, true));
        assert_eq!(take(&all, &round, 7), [3, 5, 1, 3, 5, 1, 3]);
        let (all, edge) = (sequences(), sequence(1, 1, i64::MAX, i64::MAX, false));
        assert_eq!(take(&all, &edge, 1), [i64::MAX]);
        all.next(&edge).expect_err("no number is larger");
    }

    #[test]
    fn a_number_can_be_set_and_what_was_not_given_is_put_back() {
        let (all, up) = (sequences(), sequence(1, 1, 1_000, 1, false));
        take(&all, &up, 3);
        all.set(&up, called(40)).expect("within");
        assert_eq!(take(&all, &up, 2), [41, 42]);
        all.set(
            &up,
            State {
                last: 7,
                is_called: false,
            },
        )
        .expect("within");
        assert_eq!(take(&all, &up, 1), [7]);
        assert!(all.set(&up, called(1_001)).is_err());
        all.put_back().expect("written");
        assert_eq!(
            take(&Sequences::new(all.store.clone()), &up, 1),
            [8],
            "the next process goes on"
        );
    }

    /// Two processes, or a process and the one after a crash, never give the same number.
    #[test]
    fn two_that_take_give_no_number_twice() {
        let (one, up) = (sequences(), sequence(1, 1, i64::MAX, 1, false));
        let other = Sequences::new(one.store.clone());
        let mut given = std::collections::HashSet::new();
        for _ in 0..200 {
            for all in [&one, &other] {
                let next = all.next(&up).expect("left");
                assert!(given.insert(next), "{next} was given twice");
            }
        }
    }

    #[test]
    fn other_rules_go_on_where_the_last_number_is() {
        let (all, up) = (sequences(), sequence(1, 1, 1_000, 1, false));
        assert_eq!(take(&all, &up, 3), [1, 2, 3]);
        let down = Arc::new(SequenceDescriptor {
            increment: -1,
            ..SequenceDescriptor::clone(&up)
        });
        assert_eq!(take(&all, &down, 1), [2]);
        let renamed = Arc::new(SequenceDescriptor {
            name: "r".to_owned(),
            ..SequenceDescriptor::clone(&down)
        });
        assert_eq!(take(&all, &renamed, 1), [1]);
        // Whoever still has the old description.
        assert_eq!(take(&all, &up, 2), [2, 3]);
    }

    #[test]
    fn another_state_is_another_count() {
        let (all, up) = (sequences(), sequence(1, 1, 1_000, 1, false));
        assert_eq!(take(&all, &up, 3), [1, 2, 3]);
        let again = Arc::new(SequenceDescriptor {
            state: 9,
            first: Some((100, false)),
            ..SequenceDescriptor::clone(&up)
        });
        assert_eq!(all.state(&again).expect("read").last, 100);
        assert_eq!(take(&all, &again, 2), [100, 101]);
        assert_eq!(take(&all, &up, 1), [4], "as if it had not begun again");
    }

    #[test]
    fn a_state_reads_back() {
        for state in [
            called(i64::MIN),
            State {
                last: 3,
                is_called: false,
            },
        ] {
            assert_eq!(State::decode(&state.encode()).expect("intact"), state);
        }
        for damaged in [&b""[..], b"12345678", b"12345678\x02", b"123456789a"] {
            assert!(State::decode(damaged).is_err());
        }
    }
}
