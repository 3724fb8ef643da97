//! Bounds, orders and pins, on a store of RocksDB.

use aion_storage::StoreOptions;

use super::*;

fn knobs(directory: &tempfile::TempDir, memory_bytes: usize) -> StoreKnobs {
    let options = StoreOptions {
        rocks: rocks_options(memory_bytes),
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).expect("it opens");
    StoreKnobs::new(Arc::new(store), memory_bytes)
}

#[test]
fn a_knob_has_the_names_and_bounds_that_the_tuner_expects() {
    let directory = tempfile::tempdir().expect("a directory");
    for memory_bytes in [1 << 10, 64 << 20, 512 << 20, 64 << 30] {
        let knobs = knobs(&directory, memory_bytes);
        let list = knobs.list();
        let names: Vec<&str> = list.iter().map(|knob| knob.name).collect();
        assert_eq!(names, ABOUT.map(|about| about.name));
        let rules = aion_tuner::rules::Names::default();
        let wanted = [
            rules.block_cache,
            rules.write_buffer,
            rules.write_buffers,
            rules.compaction_trigger,
            rules.slowdown_trigger,
        ];
        assert!(wanted.iter().all(|name| names.contains(name)), "{names:?}");
        for knob in list {
            assert!(knob.min >= 1 && knob.step > 0, "{knob:?}");
            assert!(knob.check(knob.value).is_ok() && knob.value == knob.default, "{knob:?}");
        }
    }
}

#[test]
fn knobs_beyond_their_bounds_or_out_of_order_stay_as_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let knobs = knobs(&directory, 512 << 20);
    let before = knobs.list();
    for (name, value, hint) in [
        ("block_cache_bytes", 257 << 20, "between 8388608B and 268435456B"),
        ("block_cache_bytes", -1, "between 8388608B"),
        ("write_buffers_max", 1, "between 2 and 16"),
        (
            "level0_compaction_trigger",
            20,
            "must stay below aion.level0_slowdown_trigger",
        ),
        (
            "level0_slowdown_trigger",
            36,
            "must stay below aion.level0_stop_trigger",
        ),
        (
            "level0_slowdown_trigger",
            4,
            "must stay below aion.level0_slowdown_trigger",
        ),
        ("level0_stop_trigger", 20, "must stay below aion.level0_stop_trigger"),
    ] {
        let error = knobs.set(name, value).expect_err("it leaves its bounds");
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{name} {value}");
        assert!(
            error.hint().is_some_and(|said| said.contains(hint)),
            "{name} {value}: {error:?}"
        );
        assert!(knobs.pin(name, value).is_err());
    }
    assert_eq!(knobs.list(), before);
    let error = knobs.set("cache", 1).expect_err("there is none");
    assert_eq!(error.state(), SqlState::UNDEFINED_OBJECT);
}

#[test]
fn a_pinned_knob_is_a_persons_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let knobs = knobs(&directory, 512 << 20);
    assert!(knobs.turn("write_buffers_max", &[4], 5).expect("within its bounds"));
    assert!(!knobs.turn("write_buffers_max", &[4], 6).expect("it has become another"));
    assert_eq!(knobs.pin("write_buffers_max", 8).expect("within its bounds"), 5);
    assert!(!knobs.turn("write_buffers_max", &[8], 9).expect("it is pinned"));
    let knob = knobs.get("write_buffers_max").expect("it is there");
    assert_eq!((knob.value, knob.is_pinned), (8, true));
    knobs
        .unpin("write_buffers_max", knob.default)
        .expect("within its bounds");
    let knob = knobs.get("write_buffers_max").expect("it is there");
    assert_eq!((knob.value, knob.is_pinned), (4, false));
}

#[test]
fn a_knob_that_was_stored_for_more_memory_takes_what_there_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let knobs = knobs(&directory, 256 << 20);
    knobs.restore("block_cache_bytes", 1 << 40, true).expect("the nearest");
    knobs.restore("nonsense", 1, true).expect_err("there is none");
    knobs
        .restore("level0_slowdown_trigger", 128, false)
        .expect_err("it must stay below another");
    let knob = knobs.get("block_cache_bytes").expect("it is there");
    assert_eq!((knob.value, knob.is_pinned), (128 << 20, true));
    assert_eq!(
        knobs.get("level0_slowdown_trigger").expect("it is there").value,
        20,
        "out of order"
    );
}

#[test]
fn a_database_in_memory_has_no_knob() {
    let knobs = StoreKnobs::new(Arc::new(Store::in_memory(&StoreOptions::default())), 1 << 30);
    assert!(knobs.list().is_empty());
    let error = knobs.pin("block_cache_bytes", 1 << 20).expect_err("there is none");
    assert_eq!(error.state(), SqlState::UNDEFINED_OBJECT);
}

#[test]
fn the_value_of_a_knob_is_written_as_in_postgresql() {
    let directory = tempfile::tempdir().expect("a directory");
    let knobs = knobs(&directory, 512 << 20);
    let bytes = knobs.get("block_cache_bytes").expect("it is there");
    let count = knobs.get("write_buffers_max").expect("it is there");
    for (text, value) in [
        ("64MB", 64 << 20),
        (" 64 MB ", 64 << 20),
        ("1GB", 1 << 30),
        ("8192kB", 8 << 20),
        ("7B", 7),
        ("7", 7),
        ("-7", -7),
    ] {
        assert_eq!(parse_value(&bytes, text).expect("a number"), value, "{text}");
    }
    assert_eq!(parse_value(&count, "6").expect("a number"), 6);
    for (knob, text) in [
        (&bytes, "many"),
        (&bytes, ""),
        (&bytes, "1.5GB"),
        (&bytes, "9000000000TB"),
        (&bytes, "1 mB"),
        (&count, "6MB"),
        (&count, "6B"),
    ] {
        let error = parse_value(knob, text).expect_err("no number");
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{text}");
        assert!(error.hint().is_some_and(|hint| hint.contains("between")), "{text}");
    }
}
