//! What a lock costs: `cargo bench -p aion-storage --bench locks`. Prints, and asserts nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures time and memory, and prints them"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use aion_base::clock::SystemClock;
use aion_base::id::{LogIndex, TxnId};
use aion_base::range::KeyRange;
use aion_storage::{
    Attempt, Change, Commit, LockMode, LockOptions, LockOwner, LockTable, Replicator, Store, StoreOptions,
};

fn main() {
    println!(
        "load average: {}",
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    bytes_per_lock(3_000_000);
    bytes_per_lock(5_000_000);
    bytes_per_lock(8_000_000);
    for threads in [1, 2, 64] {
        acquire_and_release(threads);
    }
    handover();
    hot_row(64);
    hot_row(1_000);
    refresh();
}

fn table() -> LockTable {
    LockTable::new(Arc::new(SystemClock::default()), LockOptions::default())
}

/// A key as the rows have them: table, index, one number.
fn key(number: u64) -> [u8; 15] {
    let mut key = [1; 15];
    key[7..].copy_from_slice(&number.to_be_bytes());
    key
}

fn lock(owner: &LockOwner, key: &[u8]) {
    match owner.lock(key, LockMode::Update).expect("no limit, no deadlock") {
        Attempt::Granted(_) => {}
        Attempt::Waiting(mut wait) => {
            let is_granted = wait.wait_timeout(Duration::from_secs(60)).expect("the owner lives");
            assert!(is_granted, "it hangs");
        }
    }
}

fn nanos(since: Instant, count: u64) -> u128 {
    since.elapsed().as_nanos() / u128::from(count)
}

/// Resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn bytes_per_lock(count: u64) {
    let table = table();
    let before = resident();
    let owner = table.owner(None);
    let start = Instant::now();
    (0..count).for_each(|number| lock(&owner, &key(number)));
    let nanos_each = nanos(start, count);
    let bytes = resident().saturating_sub(before);
    let start = Instant::now();
    drop(owner);
    println!(
        "{count} locks of one owner: {:.1} bytes, {nanos_each} ns to acquire, {} ns to release, each; {} MB are left",
        bytes as f64 / count as f64,
        nanos(start, count),
        resident().saturating_sub(before) >> 20
    );
}

/// Transactions of one lock each: with its owner, and the lock alone.
fn acquire_and_release(threads: u64) {
    const ROUNDS: u64 = 300_000;
    let table = table();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let table = &table;
            scope.spawn(move || {
                for round in 0..ROUNDS / threads {
                    lock(&table.owner(None), &key((thread << 32) | (round % 1000)));
                }
            });
        }
    });
    println!(
        "{threads} threads, keys of their own: {} ns for owner, lock and end",
        nanos(start, ROUNDS)
    );
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let table = &table;
            scope.spawn(move || {
                let owner = table.owner(None);
                let mark = owner.mark();
                for round in 0..ROUNDS / threads {
                    lock(&owner, &key((thread << 32) | (round % 1000)));
                    owner.release_to(mark);
                }
            });
        }
    });
    println!(
        "{threads} threads, keys of their own: {} ns for lock and release",
        nanos(start, ROUNDS)
    );
}

/// Two threads change one row in turns.
fn handover() {
    const ROUNDS: u64 = 20_000;
    let table = table();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..ROUNDS / 2).for_each(|_| lock(&table.owner(None), b"row")));
        }
    });
    println!(
        "2 threads, one key: {} ns for owner, lock and end",
        nanos(start, ROUNDS)
    );
}

/// Owners that each hold a row of their own begin to wait for one that all want: the last search is the longest.
fn hot_row(count: u64) {
    let table = table();
    let owners: Vec<LockOwner> = (0..count).map(|_| table.owner(None)).collect();
    owners
        .iter()
        .enumerate()
        .for_each(|(number, owner)| lock(owner, &key(number as u64)));
    let first = table.owner(None);
    lock(&first, b"row");
    let start = Instant::now();
    let waits: Vec<_> = owners
        .iter()
        .map(|owner| owner.lock(b"row", LockMode::Update))
        .collect();
    println!(
        "{count} owners begin to wait for one key: {} ns each",
        nanos(start, count)
    );
    drop(waits);
}

/// A full read set against much that was written: how long the question takes, and a commit that comes meanwhile.
fn refresh() {
    let store = Store::in_memory(&StoreOptions::default());
    let put = |txn: u64, keys: std::ops::Range<u64>| {
        let mut commit = Commit::new(TxnId(u128::from(txn)), LogIndex(txn));
        commit.isolation = aion_storage::Isolation::ReadCommitted;
        keys.for_each(|number| commit.write(key(number * 2), Change::Put(vec![0; 8])));
        store.propose(commit).expect("queued").wait().expect("answered");
    };
    (0..500).for_each(|txn| put(txn, txn * 1000..(txn + 1) * 1000));
    let ranges: Vec<KeyRange> = (0..16_384)
        .map(|number| KeyRange::point(&key(number * 2 + 1)))
        .collect();
    let to = store.snapshot().read_point().expect("a read point").index;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let is_unchanged = store.unchanged_since(&ranges, LogIndex(0), to).expect("known");
            assert!(is_unchanged);
            start.elapsed()
        });
        let (mut commits, mut longest) = (0, Duration::ZERO);
        while !asks.is_finished() {
            let start = Instant::now();
            put(1000 + commits, 0..1);
            longest = longest.max(start.elapsed());
            commits += 1;
        }
        let took = asks.join().expect("it did not panic");
        println!(
            "500000 keys against 16384 ranges: {took:?}; of {commits} commits meanwhile the slowest took {longest:?}"
        );
    });
    let start = Instant::now();
    let rounds = 10_000;
    let from = store.snapshot().read_point().expect("a read point").index;
    put(1_000_000, 0..1);
    let to = store.snapshot().read_point().expect("a read point").index;
    for _ in 0..rounds {
        let is_unchanged = store.unchanged_since(&ranges[..10], from, to).expect("known");
        assert!(is_unchanged);
    }
    println!("one commit against 10 ranges: {} ns", nanos(start, rounds));
}
