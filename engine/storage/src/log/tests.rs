//! What the log keeps, cuts and refuses.

use super::*;
use aion_base::ErrorKind;
use aion_base::files::{OsFiles, PowerCutFiles, SkipSyncFiles, read_all};

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 16 << 10,
        spare_segments_max: 2,
    }
}

fn open(files: &Arc<dyn Files>, dir: &Path) -> Result<Log> {
    Log::open(files.clone(), dir, options())
}

fn os() -> Arc<dyn Files> {
    Arc::new(OsFiles)
}

fn entries(log: &Log) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    log.replay(LogIndex(1), |entry| {
        assert_eq!(log.read(entry.position).expect("readable"), entry.payload);
        found.push((entry.index.0, entry.payload.to_vec()));
        Ok(())
    })
    .expect("a replay");
    found
}

fn payload(number: u64) -> Vec<u8> {
    let mut rng = SeededRng::new(number);
    let length = 1 + rng.below(600) as usize;
    (0..length).map(|_| rng.next_u64() as u8).collect()
}

fn fill(log: &mut Log, count: u64) {
    for _ in 0..count {
        let payload = payload(log.last_index().0 + 1);
        log.append(Term(1), &payload).expect("an append");
        log.sync().expect("a sync");
    }
    log.mark().expect("a mark");
}

fn expected(count: u64) -> Vec<(u64, Vec<u8>)> {
    (1..=count).map(|number| (number, payload(number))).collect()
}

#[test]
fn entries_come_back_in_order_over_many_segments_and_openings() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut count = 0;
    for round in 0..6 {
        let mut log = open(&os(), dir.path()).expect("opens");
        assert_eq!(entries(&log), expected(count));
        fill(&mut log, 40);
        count += 40;
        assert!(log.segments.len() > 1);
        if round % 2 == 0 {
            log.close().expect("closes");
        }
    }
}

#[test]
fn a_closed_log_goes_on_in_its_segment_and_a_killed_one_in_a_new_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(&os(), dir.path()).expect("opens");
    fill(&mut log, 1);
    log.close().expect("closes");
    let mut log = open(&os(), dir.path()).expect("opens");
    assert_eq!(log.segments.len(), 1);
    fill(&mut log, 1);
    drop(log);
    assert_eq!(open(&os(), dir.path()).expect("opens").segments.len(), 2);
}

#[test]
fn a_crash_loop_does_not_leave_a_segment_each_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(&os(), dir.path()).expect("opens");
    fill(&mut log, 3);
    drop(log);
    for _ in 0..5 {
        assert_eq!(open(&os(), dir.path()).expect("opens").segments.len(), 2);
    }
    assert_eq!(entries(&open(&os(), dir.path()).expect("opens")), expected(3));
}

#[test]
fn purged_segments_are_used_again_and_what_they_held_stays_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(&os(), dir.path()).expect("opens");
    fill(&mut log, 200);
    let before = log.segments.len();
    let purged = log.purge(LogIndex(150)).expect("purges");
    assert!(purged > 2 && log.segments.len() == before - purged);
    assert!(log.first_index().0 > 1 && log.first_index().0 <= 151);
    assert_eq!(log.spares.len(), 2);
    fill(&mut log, 100);
    assert!(log.spares.is_empty());
    let first = log.first_index().0;
    drop(log);
    let log = open(&os(), dir.path()).expect("opens");
    assert_eq!(entries(&log), expected(300).split_off(first as usize - 1));
}

/// The log wrote each of its bytes twice: a flush gave up 512 MiB of it at once, of which two segments were kept, and all others were made anew, with
/// zeros first.
#[test]
fn as_many_segments_stay_as_were_given_up_and_fewer_when_none_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = LogOptions {
        spare_segments_max: 8,
        ..options()
    };
    let mut log = Log::open(os(), dir.path(), options).expect("opens");
    fill(&mut log, 400);
    let purged = log.purge(log.last_index()).expect("purges");
    assert!(purged > 5, "{purged}");
    assert_eq!(log.spares.len(), purged.min(8));
    let files = || OsFiles.entries(dir.path()).expect("a directory").len();
    let there = files();
    let mut wanted = purged.min(8);
    for _ in 0..6 {
        wanted = (wanted * 3 / 4).max(2);
        log.purge(LogIndex(0)).expect("purges");
        assert_eq!(log.spares.len(), wanted);
    }
    assert_eq!(wanted, 2);
    assert_eq!(files(), there - (purged.min(8) - 2));
}

/// An entry too large for the usual segment got one that it filled to the last byte, so no mark followed it, not even that of
/// a closed log; a flipped bit in it then passed for a write that was cut short, and the entry vanished silently.
#[test]
fn damage_to_the_last_entry_is_seen_also_where_it_fills_its_segment() {
    for length in [30_000, 16_384 - 4096 - 32, 16_384 - 4096 - 64] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = open(&os(), dir.path()).expect("opens");
        log.append(Term(1), &vec![7; length]).expect("an append");
        log.close().expect("closes");
        let file = OsFiles
            .open(&dir.path().join(segment_name(1)), Open::Existing)
            .expect("a segment");
        file.write_at(&[8], 5000).expect("written");
        let error = open(&os(), dir.path()).expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{length}: {error}");
    }
}

#[test]
fn an_entry_of_the_largest_size_fits_and_is_read_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(&os(), dir.path()).expect("opens");
    let large = vec![0x5a; ENTRY_BYTES_MAX];
    let position = log.append(Term(1), &large).expect("an append");
    log.sync().expect("a sync");
    assert!(log.read(position).expect("readable") == large);
    drop(log);
    assert!(entries(&open(&os(), dir.path()).expect("opens")) == [(1, large)]);
}

/// Every bit of a small log, flipped: the same entries come back, or the log names the file. Never fewer.
#[test]
fn a_flipped_bit_is_refused_or_without_effect() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(&os(), dir.path()).expect("opens");
    for number in 1..=60 {
        log.append(Term(1), &payload(number)[..1]).expect("an append");
        log.sync().expect("a sync");
    }
    log.mark().expect("a mark");
    let wanted = entries(&log);
    let end = log.segments[0].end as usize;
    drop(log);
    let name = segment_name(1);
    let file = OsFiles
        .open(&dir.path().join(&name), Open::Existing)
        .expect("the segment");
    let bytes = read_all(&*file).expect("all");
    let mut refused = 0;
    for at in (0..SEGMENT_HEADER_BYTES)
        .step_by(97)
        .chain(SEGMENT_HEADER_BYTES..end + 64)
    {
        let copy = tempfile::tempdir().expect("a directory");
        let damaged = OsFiles.open(&copy.path().join(&name), Open::New).expect("a copy");
        damaged.write_at(&bytes, 0).expect("a write");
        damaged
            .write_at(&[bytes[at] ^ (1 << (at % 8))], at as u64)
            .expect("a write");
        match open(&os(), copy.path()) {
            Ok(log) => assert!(entries(&log) == wanted, "byte {at}: opened with other entries"),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert!(error.message().contains(&name), "{error}");
            }
        }
    }
    // All of it but the padding of frames (7 of 40 bytes here) and the mark.
    assert!(refused > (end - SEGMENT_HEADER_BYTES) * 3 / 4, "{refused} refused");
}

#[test]
fn a_missing_segment_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(&os(), dir.path()).expect("opens");
    fill(&mut log, 200);
    drop(log);
    OsFiles.remove(&dir.path().join(segment_name(2))).expect("a removal");
    let error = open(&os(), dir.path()).expect_err("a gap");
    assert!(error.message().contains(&segment_name(2)), "{error}");
}

/// Appends and syncs at random until the power is cut, again and again.
fn cut_at_random(seed: u64, skip_sync: bool) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut rng = SeededRng::new(seed);
    let mut acknowledged = 0;
    for _ in 0..6 {
        let power = Arc::new(PowerCutFiles::new(rng.next_u64()));
        let files: Arc<dyn Files> = if skip_sync {
            Arc::new(SkipSyncFiles(power.clone()))
        } else {
            power.clone()
        };
        let mut log = open(&files, dir.path()).map_err(|error| error.to_string())?;
        let found = entries(&log);
        if found != expected(found.len() as u64) {
            return Err("an entry is not what was written".to_owned());
        }
        if (found.len() as u64) < acknowledged {
            return Err(format!(
                "{} of {acknowledged} acknowledged entries are there",
                found.len()
            ));
        }
        for _ in 0..rng.below(60) {
            let first = log.last_index().0 + 1;
            let batch: Vec<Vec<u8>> = (first..=first + rng.below(4)).map(payload).collect();
            let views: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            log.append_all(Term(1), &views).expect("an append");
            if rng.chance(3, 4) {
                log.sync().expect("a sync");
                acknowledged = log.last_index().0;
                if rng.chance(1, 2) {
                    log.mark().expect("a mark");
                }
            }
        }
        power.cut();
    }
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_to_a_power_cut() {
    for seed in 0..150 {
        if let Err(what) = cut_at_random(seed, false) {
            panic!("seed {seed}: {what}");
        }
    }
}

#[test]
fn the_power_cut_test_notices_a_skipped_sync() {
    let noticed = (0..20).filter(|&seed| cut_at_random(seed, true).is_err()).count();
    assert!(noticed > 15, "{noticed} of 20");
}
