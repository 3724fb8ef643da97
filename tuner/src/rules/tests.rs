//! Scripted windows: what each sight leads to, in which order, and that knobs hardly turn around.

use aion_base::knobs::{Knobs, ManualKnobs};

use super::*;
use crate::example::{MIB, calm, knobs};

const WINDOW: u64 = 10;

/// Rules over an engine that does what they propose.
struct Played {
    rules: Rules,
    knobs: ManualKnobs,
    second: u64,
}

impl Played {
    fn new() -> Self {
        Self {
            rules: Rules::new(Settings::default()),
            knobs: knobs(),
            second: 0,
        }
    }

    fn with(self, values: &[(&str, i64)]) -> Self {
        for (name, value) in values {
            self.knobs.set(name, *value).expect("within its bounds");
        }
        self
    }

    /// One window; what is proposed is done.
    fn window(&mut self, signals: &Signals) -> Option<(&'static str, i64, i64)> {
        self.second += WINDOW;
        let found = self.rules.propose(signals, &self.knobs.list(), self.now())?;
        self.knobs.set(found.knob, found.to).expect("within its bounds");
        Some((found.knob, found.from, found.to))
    }

    /// So many windows of the same; what was proposed.
    fn windows(&mut self, count: usize, signals: &Signals) -> Vec<(&'static str, i64, i64)> {
        (0..count).filter_map(|_| self.window(signals)).collect()
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.second)
    }
}

fn memtables() -> Signals {
    Signals {
        memtables_waiting: 3,
        memtable_bytes_waiting: 48 << 20,
        stall_micros: 2_000_000,
        ..calm()
    }
}

fn level_zero(files: u64) -> Signals {
    Signals {
        l0_files: files,
        ..calm()
    }
}

fn reads(hits: u64) -> Signals {
    Signals {
        block_cache_hits: hits,
        block_cache_misses: 1_000 - hits,
        block_cache_used_bytes: 64 << 20,
        ..calm()
    }
}

#[test]
fn waiting_memtables_get_buffers() {
    let mut played = Played::new();
    assert_eq!(played.windows(2, &memtables()), []);
    assert_eq!(played.windows(1, &memtables()), [("write_buffers_max", 4, 5)]);
    // With five buffers, three that wait are no overflow.
    assert_eq!(played.windows(20, &memtables()), []);
}

#[test]
fn without_memory_an_idle_cache_gives_some() {
    let mut tight = memtables();
    tight.memory_used_bytes = tight.memory_budget_bytes - 1;
    let mut played = Played::new().with(&[("background_threads", 8)]);
    // It is 40 of 64 MiB full and 99 % of reads hit.
    assert_eq!(played.windows(3, &tight), [("block_cache_bytes", 64 * MIB, 32 * MIB)]);
    let mut busy = Played::new().with(&[("background_threads", 8)]);
    tight.block_cache_misses = 100;
    assert_eq!(busy.windows(9, &tight), []);
}

#[test]
fn level_zero_gets_threads_then_batches_then_patience() {
    let mut played = Played::new().with(&[("background_threads", 7)]);
    assert_eq!(played.windows(3, &level_zero(19)), [("background_threads", 7, 8)]);
    assert_eq!(
        played.windows(3, &level_zero(19)),
        [("write_buffer_bytes", 16 * MIB, 32 * MIB)]
    );
    let mut full = Played::new().with(&[("background_threads", 8), ("write_buffer_bytes", 128 * MIB)]);
    assert_eq!(full.windows(3, &level_zero(19)), [("level0_slowdown_trigger", 20, 22)]);
    // Where much is pending, more of level 0 would only put it off.
    let mut pending = level_zero(25);
    pending.pending_compaction_bytes = 5 << 30;
    assert_eq!(full.windows(9, &pending), []);
}

#[test]
fn redundancy_gets_threads_then_larger_compactions() {
    let mut much = calm();
    much.pending_compaction_bytes = 9 << 30;
    let mut played = Played::new().with(&[("background_threads", 7)]);
    assert_eq!(played.windows(3, &much), [("background_threads", 7, 8)]);
    assert_eq!(played.windows(3, &much), [("level0_compaction_trigger", 4, 6)]);
}

#[test]
fn a_full_cache_that_misses_grows_while_there_is_memory() {
    let mut played = Played::new();
    assert_eq!(
        played.windows(3, &reads(700)),
        [("block_cache_bytes", 64 * MIB, 96 * MIB)]
    );
    // Now it is not full.
    assert_eq!(played.windows(9, &reads(700)), []);
    assert_eq!(Played::new().windows(9, &reads(960)), []);
    let mut tight = reads(700);
    tight.memory_used_bytes = 1_000 << 20;
    assert_eq!(Played::new().windows(9, &tight), []);
    tight.memory_budget_bytes = 0;
    assert_eq!(Played::new().windows(9, &tight), []);
}

#[test]
fn memory_over_its_budget_is_answered_at_once() {
    let mut over = calm();
    over.memory_used_bytes = over.memory_budget_bytes + 1;
    let mut played = Played::new().with(&[("block_cache_bytes", 40 * MIB), ("write_buffer_bytes", 4 * MIB)]);
    let found = played.windows(4, &over);
    let wanted = [
        ("block_cache_bytes", 40 * MIB, 8 * MIB),
        ("write_buffers_max", 4, 3),
        ("write_buffers_max", 3, 2),
        ("write_buffers_max", 2, 1),
    ];
    assert_eq!(found, wanted);
    assert_eq!(played.windows(9, &over), [], "nothing is left to give");
    let found = Played::new().rules.propose(&over, &knobs().list(), Duration::ZERO);
    assert_eq!(found.map(|found| found.purpose), Some(Purpose::Protect));
}

#[test]
fn in_a_calm_knobs_go_back_to_their_defaults_and_no_further() {
    let mut played = Played::new().with(&[("background_threads", 4), ("level0_slowdown_trigger", 21)]);
    assert_eq!(played.windows(59, &calm()), []);
    let wanted = [
        // Two steps would be past it.
        ("level0_slowdown_trigger", 21, 20),
        ("background_threads", 4, 3),
        ("background_threads", 3, 2),
    ];
    assert_eq!(played.windows(1_000, &calm()), wanted);
}

#[test]
fn between_the_marks_a_sight_goes_on_and_a_dip_below_ends_it() {
    // 18 of 20 is above the high mark, 14 between, 8 below the low one.
    let act = |files: [u64; 6]| {
        let mut played = Played::new();
        files
            .iter()
            .filter(|files| played.window(&level_zero(**files)).is_some())
            .count()
    };
    assert_eq!(act([18, 14, 14, 8, 8, 8]), 1);
    assert_eq!(act([14, 14, 14, 14, 14, 14]), 0);
    assert_eq!(act([18, 18, 8, 18, 18, 8]), 0);
}

#[test]
fn what_was_taken_back_is_not_tried_again_soon() {
    let mut played = Played::new();
    let revert = |played: &mut Played, step: &(&'static str, i64, i64)| {
        played.knobs.set(step.0, step.1).expect("it was there");
        let outcome = Outcome {
            proposal: crate::example::proposal(step.0, step.1, step.2),
            ended: Ended::Reverted("it did harm".to_owned()),
            reward: Some(-0.1),
            windows: 6,
            at: played.now(),
        };
        played.rules.learn(&outcome);
    };
    // Each move in the row is tried once, and then none for a while.
    let mut tried = Vec::new();
    for _ in 0..50 {
        if let Some(step) = played.window(&level_zero(19)) {
            revert(&mut played, &step);
            tried.push(step.0);
        }
    }
    assert_eq!(
        tried,
        ["background_threads", "write_buffer_bytes", "level0_slowdown_trigger"]
    );
    // 600 s are over: the same again, and then for 1,200 s not.
    let again = played.windows(20, &level_zero(19));
    assert_eq!(again[0].0, "background_threads");
}

/// How often the knob that turns around most does so, in `windows` of the worst for a controller: it is told one thing until it acts, then the
/// opposite.
fn turns(reversal: Duration, windows: u64) -> u32 {
    let mut played = Played::new();
    played.rules = Rules::new(Settings {
        reversal,
        ..Settings::default()
    });
    let mut last: HashMap<&str, i64> = HashMap::new();
    let mut turns: HashMap<&str, u32> = HashMap::new();
    let mut is_calm = false;
    for at in 0..windows {
        let signals = if is_calm { calm() } else { level_zero(60) };
        let Some((knob, from, to)) = played.window(&signals) else {
            // Where neither is answered, the other is tried.
            is_calm ^= at % 200 == 199;
            continue;
        };
        is_calm = !is_calm;
        let direction = (to - from).signum();
        if last.insert(knob, direction).is_some_and(|last| last != direction) {
            *turns.entry(knob).or_default() += 1;
        }
    }
    turns.into_values().max().unwrap_or(0)
}

#[test]
fn a_knob_hardly_turns_around_whatever_the_signals_do() {
    const WINDOWS: u64 = 20_000;
    let reversal = Settings::default().reversal;
    let most = (WINDOWS * WINDOW / reversal.as_secs()).ilog2() + 1;
    let (damped, undamped) = (turns(reversal, WINDOWS), turns(Duration::ZERO, WINDOWS));
    assert!((1..=most).contains(&damped), "{damped}, at most {most}");
    assert!(undamped > 100, "the signals tempt it: {undamped}");
}

#[test]
fn knobs_that_are_pinned_or_not_there_are_not_moved() {
    let only = |names: &[&str]| {
        let list = knobs().list().into_iter().filter(|knob| names.contains(&knob.name));
        let mut played = Played::new();
        played.knobs = ManualKnobs::new(list);
        played
    };
    let trigger = "level0_slowdown_trigger";
    assert_eq!(only(&[trigger]).windows(3, &level_zero(19)), [(trigger, 20, 22)]);
    assert_eq!(only(&[]).windows(99, &level_zero(19)), []);
    let mut pinned = knobs().list();
    for knob in &mut pinned {
        knob.is_pinned = true;
    }
    let mut played = Played::new();
    played.knobs = ManualKnobs::new(pinned);
    for signals in [level_zero(19), memtables(), reads(100), calm()] {
        assert_eq!(played.windows(99, &signals), []);
    }
}
