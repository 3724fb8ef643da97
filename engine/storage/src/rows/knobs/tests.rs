//! That a knob changes RocksDB, as RocksDB's own files and properties tell.

#![allow(clippy::disallowed_methods, reason = "RocksDB's own files are looked into")]

use std::path::Path;

use aion_base::id::{LogIndex, Term, Timestamp};
use aion_base::rng::SeededRng;

use super::*;
use crate::rows::memory::MemoryRows;
use crate::rows::rocks::RocksRows;
use crate::rows::{Applied, Batch, RowWrite, Rows};

const VALUE_BYTES: usize = 1_000;

fn open(dir: &Path, block_cache_bytes: usize) -> RocksRows {
    let options = RocksOptions {
        block_cache_bytes,
        ..RocksOptions::default()
    };
    RocksRows::open(dir, options).expect("it opens")
}

/// Rows `from` to `to` with values that no compression shortens, in one batch.
fn fill(rows: &RocksRows, from: u64, to: u64) {
    let mut random = SeededRng::new(from + 1);
    let written: Vec<(Vec<u8>, Vec<u8>)> = (from..to)
        .map(|row| {
            let value = (0..VALUE_BYTES).map(|_| random.below(256) as u8);
            (row.to_be_bytes().to_vec(), value.collect())
        })
        .collect();
    let writes = written.iter().map(|(key, value)| RowWrite {
        key,
        timestamp: Timestamp(to),
        value: Some(value),
    });
    let batch = Batch {
        writes: writes.collect(),
        applied: Applied {
            index: LogIndex(to),
            term: Term(1),
            timestamp: Timestamp(to),
        },
        ..Batch::default()
    };
    rows.apply(&batch).expect("applied");
}

fn read(rows: &RocksRows, from: u64, to: u64) {
    let mut value = Vec::new();
    for row in from..to {
        assert!(
            rows.get(&row.to_be_bytes(), &mut value).expect("readable").is_some(),
            "{row}"
        );
    }
}

/// What RocksDB's newest OPTIONS file says of an option, family by family.
fn in_options_file(dir: &Path, option: &str) -> Vec<String> {
    let files = std::fs::read_dir(dir).expect("a directory");
    let names = files.map(|file| file.expect("an entry").file_name().into_string().expect("a name"));
    let newest = names
        .filter(|name| name.starts_with("OPTIONS-"))
        .max()
        .expect("there is one");
    let text = std::fs::read_to_string(dir.join(newest)).expect("readable");
    let wanted = format!("{option}=");
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(&wanted));
    lines.map(str::to_owned).collect()
}

fn signals(rows: &RocksRows) -> RowsSignals {
    rows.signals().expect("measured").expect("RocksDB says")
}

#[test]
fn a_knob_is_in_force_in_every_family_and_gone_with_the_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = open(dir.path(), 8 << 20);
    let changes = [
        (RowsKnob::WriteBufferBytes, 64 << 20, 5 << 20),
        (RowsKnob::WriteBuffersMax, 4, 7),
        (RowsKnob::Level0CompactionTrigger, 4, 9),
        (RowsKnob::Level0SlowdownTrigger, 20, 33),
        (RowsKnob::Level0StopTrigger, 36, 55),
    ];
    for (knob, before, after) in changes {
        let option = knob.option().expect("it is RocksDB's");
        assert_eq!(rows.knob(knob), Some(before));
        assert_eq!(
            in_options_file(dir.path(), option),
            vec![before.to_string(); 4],
            "{knob:?}"
        );
        rows.set_knob(knob, after).expect("it takes it");
        assert_eq!(rows.knob(knob), Some(after));
        assert_eq!(
            in_options_file(dir.path(), option),
            vec![after.to_string(); 4],
            "{knob:?}"
        );
    }
    rows.set_knob(RowsKnob::BlockCacheBytes, 3 << 20).expect("it takes it");
    let capacity = rows.property(property::BLOCK_CACHE_CAPACITY);
    assert_eq!(capacity, 3 << 20);
    drop(rows);
    let rows = open(dir.path(), 8 << 20);
    assert_eq!(rows.knob(RowsKnob::WriteBuffersMax), Some(4));
    assert_eq!(in_options_file(dir.path(), "max_write_buffer_number"), vec!["4"; 4]);
    assert_eq!(rows.property(property::BLOCK_CACHE_CAPACITY), 8 << 20);
}

#[test]
fn what_rocksdb_does_not_take_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = open(dir.path(), 8 << 20);
    let error = rows
        .set_knob(RowsKnob::WriteBuffersMax, u64::MAX)
        .expect_err("no such number");
    assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
    assert!(error.hint().is_some());
    assert_eq!(rows.knob(RowsKnob::WriteBuffersMax), Some(4));
    assert_eq!(in_options_file(dir.path(), "max_write_buffer_number"), vec!["4"; 4]);
}

#[test]
fn a_smaller_cache_gives_its_blocks_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = open(dir.path(), 16 << 20);
    fill(&rows, 0, 12_000);
    rows.flush().expect("flushed");
    read(&rows, 0, 12_000);
    let full = signals(&rows);
    assert!(full.block_cache_used_bytes > 8 << 20, "{full:?}");
    assert!(
        full.block_cache_misses > 1_000 && full.block_cache_hits > 6_000,
        "{full:?}"
    );
    // Blocks that come in push out more than themselves, until it is as small as it shall be.
    rows.set_knob(RowsKnob::BlockCacheBytes, 8 << 20).expect("it takes it");
    fill(&rows, 12_000, 24_000);
    rows.flush().expect("flushed");
    read(&rows, 12_000, 24_000);
    let small = signals(&rows);
    assert!(small.block_cache_used_bytes <= 8 << 20, "{small:?}");
    // And a larger one keeps more again.
    rows.set_knob(RowsKnob::BlockCacheBytes, 64 << 20).expect("it takes it");
    read(&rows, 0, 24_000);
    let before = signals(&rows);
    assert!(before.block_cache_used_bytes > 20 << 20, "{before:?}");
    read(&rows, 0, 24_000);
    let after = signals(&rows);
    assert_eq!(
        after.block_cache_misses, before.block_cache_misses,
        "all of it is in the cache"
    );
}

/// With a compaction trigger that is out of reach, files of level 0 pile up; lowered again, they go. A smaller write buffer is full sooner.
#[test]
fn triggers_and_buffers_change_what_rocksdb_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = open(dir.path(), 8 << 20);
    rows.set_knob(RowsKnob::Level0CompactionTrigger, 12)
        .expect("it takes it");
    // Their keys overlap: files that follow each other would move to the level below as they are.
    for batch in 0..8 {
        fill(&rows, batch, batch + 100);
        rows.flush().expect("flushed");
    }
    let piled = signals(&rows);
    assert_eq!((piled.level0_files, piled.compacted_bytes), (8, 0), "{piled:?}");
    assert!(
        piled.flushed_bytes > 800 * VALUE_BYTES as u64 && piled.live_file_bytes > 0,
        "{piled:?}"
    );
    rows.set_knob(RowsKnob::Level0CompactionTrigger, 2)
        .expect("it takes it");
    // One that is compacted may not be seen at once: until it is.
    fill(&rows, 8, 108);
    rows.flush().expect("flushed");
    until(|| signals(&rows).level0_files <= 2 && signals(&rows).compacted_bytes > 0);

    // 3 MB are no reason to flush one memtable of 64 MiB, and several of 1 MiB.
    let before = signals(&rows).flushed_bytes;
    for batch in 10..13 {
        fill(&rows, batch * 1_000, batch * 1_000 + 1_000);
    }
    assert_eq!(signals(&rows).flushed_bytes, before);
    assert!(signals(&rows).memtable_bytes > 3_000_000);
    rows.set_knob(RowsKnob::WriteBufferBytes, 1 << 20).expect("it takes it");
    for batch in 13..17 {
        fill(&rows, batch * 1_000, batch * 1_000 + 1_000);
    }
    until(|| signals(&rows).flushed_bytes > before + 2_000_000);
    assert!(!signals(&rows).is_write_stopped);
}

fn until(mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 60, "it does not become so");
        std::thread::yield_now();
    }
}

#[test]
fn rows_in_memory_have_no_knobs() {
    let rows = MemoryRows::default();
    assert!(RowsKnob::ALL.iter().all(|knob| rows.knob(*knob).is_none()));
    assert_eq!(rows.signals().expect("nothing to measure"), None);
    let error = rows
        .set_knob(RowsKnob::BlockCacheBytes, 1 << 20)
        .expect_err("there is none");
    assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED);
}

/// The stall clock runs although no timers are kept: RocksDB tells how long writers waited.
#[test]
fn writers_that_wait_are_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let rows = open(dir.path(), 8 << 20);
    rows.set_knob(RowsKnob::Level0CompactionTrigger, 1_000)
        .expect("it takes it");
    rows.set_knob(RowsKnob::Level0StopTrigger, 1_000).expect("it takes it");
    rows.set_knob(RowsKnob::Level0SlowdownTrigger, 3).expect("it takes it");
    for batch in 0..6 {
        fill(&rows, batch * 3_000, batch * 3_000 + 3_000);
        rows.flush().expect("flushed");
    }
    assert!(signals(&rows).stall_micros > 0, "{:?}", signals(&rows));
}
