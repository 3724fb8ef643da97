//! Accounts: small transactions that move money, and reads of one balance.
//!
//! A transfer takes from one account and gives to another, so the sum of all balances never changes, and an engine that loses half of
//! one is found out. The lower id is always written first: nobody waits for anybody in a circle.

use aion_base::rng::SeededRng;
use aion_base::{Error, Result};

use crate::driver::{Answer, Task};
use crate::record::digest;

/// Accounts that transfers go between.
pub const ACCOUNTS: u32 = 100_000;
/// Letters x beside each balance, as pgbench has so many blanks.
pub const FILLER_BYTES: usize = 84;
/// Reads whose sum is compared between engines before anything is measured.
pub const CHECKED: usize = 10_000;

/// The balance that an account is loaded with.
pub fn loaded_balance(id: u32) -> i64 {
    1_000_000 + i64::from(id.wrapping_mul(2_654_435_761) % 10_000)
}

/// The sum of all balances, of so many accounts.
pub fn loaded_sum(accounts: u32) -> i64 {
    (1..=accounts).map(loaded_balance).sum()
}

/// The digest of a balance.
pub fn balance_digest(id: u32, balance: i64) -> u64 {
    digest(&[i64::from(id).to_le_bytes(), balance.to_le_bytes()].concat())
}

/// Money from one account to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Who loses it.
    pub from: u32,
    /// Who gets it; another account.
    pub to: u32,
    /// From 1 to 100.
    pub amount: i64,
}

impl Transfer {
    /// The two changes in the order of ids: account, and what is added to its balance.
    pub fn changes(&self) -> [(u32, i64); 2] {
        let (taken, given) = ((self.from, -self.amount), (self.to, self.amount));
        if self.from < self.to {
            [taken, given]
        } else {
            [given, taken]
        }
    }
}

/// An engine's accounts, through one thread's connection.
pub trait Bank: Send {
    /// Makes both changes in one transaction, durably.
    ///
    /// # Errors
    /// The engine's; conflict where another attempt may succeed.
    fn transfer(&mut self, changes: [(u32, i64); 2]) -> Result<()>;
}

/// A thread that transfers.
#[derive(Debug)]
pub struct Teller<B> {
    bank: B,
    accounts: u32,
    rng: SeededRng,
}

impl<B: Bank> Teller<B> {
    /// Between so many accounts, of which there are two or more.
    pub fn new(bank: B, accounts: u32, rng: SeededRng) -> Self {
        assert!(accounts > 1, "a transfer takes two");
        Self { bank, accounts, rng }
    }
}

impl<B: Bank> Task for Teller<B> {
    type Operation = Transfer;

    fn draw(&mut self) -> Transfer {
        let from = self.rng.below(self.accounts.into()) as u32;
        // Any but that one.
        let distance = self.rng.below(u64::from(self.accounts) - 1) as u32 + 1;
        let to = ((u64::from(from) + u64::from(distance)) % u64::from(self.accounts)) as u32;
        Transfer {
            from: from + 1,
            to: to + 1,
            amount: self.rng.below(100) as i64 + 1,
        }
    }

    fn attempt(&mut self, transfer: &Transfer) -> Result<Answer> {
        self.bank.transfer(transfer.changes())?;
        Ok(Answer::default())
    }
}

/// An engine's accounts, one read at a time.
pub trait Balances: Send {
    /// The balance of an account; None where there is no such account.
    ///
    /// # Errors
    /// The engine's.
    fn balance(&mut self, id: u32) -> Result<Option<i64>>;
}

/// A thread that looks balances up, all accounts alike.
#[derive(Debug)]
pub struct Reader<B> {
    balances: B,
    accounts: u32,
    rng: SeededRng,
}

impl<B: Balances> Reader<B> {
    /// Among so many accounts.
    pub fn new(balances: B, accounts: u32, rng: SeededRng) -> Self {
        Self {
            balances,
            accounts,
            rng,
        }
    }

    /// The sum of the first reads: equal on all engines that were loaded alike, with the same seed.
    ///
    /// # Errors
    /// The engine's; internal for an account that is not there.
    pub fn check(&mut self) -> Result<Answer> {
        let mut read = Answer::default();
        for _ in 0..CHECKED {
            let id = self.draw();
            read.add(self.attempt(&id)?);
        }
        Ok(read)
    }
}

impl<B: Balances> Task for Reader<B> {
    type Operation = u32;

    fn draw(&mut self) -> u32 {
        self.rng.below(self.accounts.into()) as u32 + 1
    }

    fn attempt(&mut self, id: &u32) -> Result<Answer> {
        let balance = self.balances.balance(*id)?;
        let balance = balance.ok_or_else(|| Error::internal(format!("account {id} is not there")))?;
        Ok(Answer::row(balance_digest(*id, balance)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::drive;
    use parking_lot::Mutex;
    use std::time::Duration;

    #[derive(Clone, Copy)]
    struct InMemory<'a>(&'a Mutex<Vec<i64>>);

    impl Bank for InMemory<'_> {
        fn transfer(&mut self, changes: [(u32, i64); 2]) -> Result<()> {
            assert!(changes[0].0 < changes[1].0, "the lower id comes first");
            let mut balances = self.0.lock();
            for (id, change) in changes {
                balances[id as usize - 1] += change;
            }
            Ok(())
        }
    }

    impl Balances for InMemory<'_> {
        fn balance(&mut self, id: u32) -> Result<Option<i64>> {
            Ok(self.0.lock().get(id as usize - 1).copied())
        }
    }

    fn loaded(accounts: u32) -> Mutex<Vec<i64>> {
        Mutex::new((1..=accounts).map(loaded_balance).collect())
    }

    #[test]
    fn transfers_reach_every_account_and_leave_the_sum() {
        let balances = loaded(50);
        let mut rng = SeededRng::new(1);
        let tellers = [(); 3].map(|()| Teller::new(InMemory(&balances), 50, rng.split()));
        let measured = drive(tellers.into(), Duration::from_millis(20)).expect("driven");
        assert!(measured.operations > 100);
        let balances = balances.lock();
        assert_eq!(balances.iter().sum::<i64>(), loaded_sum(50));
        let changed = (1..=50).filter(|id| balances[*id as usize - 1] != loaded_balance(*id));
        assert!(changed.count() > 40);
    }

    #[test]
    fn two_accounts_are_enough() {
        let balances = loaded(2);
        let mut teller = Teller::new(InMemory(&balances), 2, SeededRng::new(2));
        for _ in 0..100 {
            let transfer = teller.draw();
            assert_ne!(transfer.from, transfer.to);
            assert!((1..=2).contains(&transfer.from) && (1..=2).contains(&transfer.to));
        }
    }

    #[test]
    fn the_check_is_the_same_for_the_same_seed_and_sees_a_wrong_balance() {
        let balances = loaded(100);
        let check = |seed| {
            let mut reader = Reader::new(InMemory(&balances), 100, SeededRng::new(seed));
            reader.check().expect("all are there")
        };
        assert_eq!(check(3), check(3));
        assert_ne!(check(3), check(4));
        assert_eq!(check(3).rows as usize, CHECKED);
        let before = check(3);
        balances.lock()[42] += 1;
        assert_ne!(check(3), before);
    }
}
