//! The loop with scripted, chaotic and rule-made proposals, and with an engine that answers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use aion_base::knobs::ManualKnobs;
use aion_base::rng::SeededRng;

use super::*;
use crate::example::{MIB, calm, knobs, proposal, window};
use crate::reward::Measured;
use crate::rules::{Rules, Settings};

/// A policy that proposes what it is told, and remembers what it learnt.
#[derive(Debug, Default)]
struct Scripted {
    proposals: VecDeque<Proposal>,
    learnt: Arc<Mutex<Vec<Outcome>>>,
}

impl Policy for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn propose(&mut self, _: &Signals, _: &[Knob], _: Duration) -> Option<Proposal> {
        self.proposals.pop_front()
    }

    fn learn(&mut self, outcome: &Outcome) {
        self.learnt.lock().expect("no test panics").push(outcome.clone());
    }
}

/// A tuner with its engine.
struct Played {
    tuner: Tuner,
    knobs: ManualKnobs,
    learnt: Arc<Mutex<Vec<Outcome>>>,
    second: u64,
}

impl Played {
    fn new(proposals: impl IntoIterator<Item = Proposal>) -> Self {
        let policy = Scripted {
            proposals: proposals.into_iter().collect(),
            learnt: Arc::default(),
        };
        let learnt = Arc::clone(&policy.learnt);
        Self {
            tuner: Tuner::new(Box::new(policy), Limits::default()),
            knobs: knobs(),
            learnt,
            second: 0,
        }
    }

    /// One window whose command is not carried out.
    fn unheard(&mut self, signals: &Signals, change: impl FnOnce(&mut Measured)) -> Option<Command> {
        self.second += 10;
        let now = Duration::from_secs(self.second);
        self.tuner.tick(signals, Some(&window(change)), &self.knobs.list(), now)
    }

    /// One window.
    fn tick(&mut self, change: impl FnOnce(&mut Measured)) -> Option<Command> {
        let command = self.unheard(&calm(), change)?;
        command.carry_out(&self.knobs).expect("it is within the envelope");
        Some(command)
    }

    /// Windows until there is a command.
    fn until(&mut self, mut change: impl FnMut(&mut Measured)) -> Command {
        let found = (0..100).find_map(|_| self.tick(&mut change));
        found.expect("something is decided in a hundred windows")
    }

    fn value(&self, name: &str) -> i64 {
        self.knobs.get(name).expect("it is there").value
    }

    fn ends(&self) -> Vec<Ended> {
        let learnt = self.learnt.lock().expect("no test panics");
        learnt.iter().map(|outcome| outcome.ended.clone()).collect()
    }
}

fn threads(from: i64, to: i64) -> Proposal {
    proposal("background_threads", from, to)
}

#[test]
fn what_pays_is_kept_and_learnt() {
    let mut played = Played::new([threads(2, 3)]);
    assert_eq!(played.tick(|_| {}).map(|command| command.action), Some(Action::Try));
    assert_eq!(played.value("background_threads"), 3);
    let command = played.until(|treated| treated.throughput *= 1.3);
    assert_eq!((command.action, command.from, command.to), (Action::Keep, 3, 3));
    assert_eq!(
        (played.value("background_threads"), played.ends()),
        (3, vec![Ended::Kept])
    );
    let reward = played.learnt.lock().expect("no test panics")[0].reward;
    assert!(
        reward.is_some_and(|reward| (reward - 0.35 * 1.3_f64.ln()).abs() < 1e-9),
        "{reward:?}"
    );
}

#[test]
fn the_watchdog_takes_it_back_in_the_same_window() {
    let mut played = Played::new([threads(2, 3), threads(2, 3)]);
    played.tick(|_| {});
    assert_eq!(played.tick(|_| {}), None);
    let command = played
        .tick(|treated| treated.throughput = 1.0)
        .expect("it is seen at once");
    assert_eq!((command.action, command.from, command.to), (Action::Revert, 3, 2));
    assert!(command.reason.contains("throughput"), "{command:?}");
    assert_eq!(played.value("background_threads"), 2);
    // The knob rests: what the policy proposes next is refused.
    for _ in 0..9 {
        assert_eq!(played.tick(|_| {}), None);
    }
    assert!(matches!(&played.ends()[..], [Ended::Reverted(_), Ended::Refused(why)] if why.contains("rests")));
}

#[test]
fn a_revert_that_failed_is_given_again() {
    let mut played = Played::new([threads(2, 3)]);
    played.tick(|_| {});
    for _ in 0..4 {
        let command = played
            .unheard(&calm(), |treated| treated.p99_ms = 1e6)
            .expect("it is not taken back yet");
        assert_eq!((command.action, command.to), (Action::Revert, 2));
        assert_eq!(played.value("background_threads"), 3);
    }
    assert_eq!(played.tick(|_| {}).map(|command| command.action), Some(Action::Revert));
    assert_eq!(played.tick(|_| {}), None);
    assert_eq!(played.value("background_threads"), 2);
    assert_eq!(played.ends().len(), 1, "learnt once");
}

#[test]
fn a_knob_that_a_person_takes_is_left_alone() {
    let mut played = Played::new([threads(2, 3)]);
    played.tick(|_| {});
    played.knobs.set("background_threads", 7).expect("within its bounds");
    let command = played.tick(|treated| treated.throughput = 1.0).expect("it is seen");
    assert_eq!((command.action, command.from, command.to), (Action::Abandon, 7, 7));
    assert_eq!(
        (played.value("background_threads"), played.ends()),
        (7, vec![Ended::Abandoned])
    );
    assert_eq!(played.tuner.trying(), None);
}

#[test]
fn one_change_at_a_time_with_a_pause_between() {
    let mut played = Played::new([threads(2, 3), threads(3, 4)]);
    played.tick(|_| {});
    assert_eq!(played.tuner.trying(), Some(&threads(2, 3)));
    played.until(|treated| treated.throughput *= 1.3);
    let kept = played.second;
    let command = played.until(|_| {});
    assert_eq!((command.action, command.to, played.second), (Action::Try, 4, kept + 30));
}

#[test]
fn memory_over_its_budget_is_not_tried_but_done() {
    let protect = |from, to| Proposal {
        purpose: Purpose::Protect,
        ..proposal("block_cache_bytes", from * MIB, to * MIB)
    };
    let mut over = calm();
    over.memory_used_bytes = over.memory_budget_bytes + 1;
    let mut played = Played::new([protect(64, 32), protect(32, 8)]);
    for to in [32, 8] {
        let command = played.unheard(&over, |_| {}).expect("no pause for it");
        assert_eq!((command.action, command.to), (Action::Protect, to * MIB));
        command.carry_out(&played.knobs).expect("within its bounds");
    }
    assert_eq!(played.ends(), [Ended::Kept, Ended::Kept]);

    // A change that gives memory back is not taken back when memory is short; one that takes some is.
    let mut smaller = Played::new([proposal("block_cache_bytes", 64 * MIB, 32 * MIB)]);
    smaller.tick(|_| {});
    let command = smaller.unheard(&over, |treated| treated.p99_ms = 1e6);
    assert_eq!(command.map(|command| command.action), Some(Action::Keep));
    let mut larger = Played::new([proposal("block_cache_bytes", 64 * MIB, 96 * MIB)]);
    larger.tick(|_| {});
    let command = larger.unheard(&over, |treated| treated.throughput *= 2.0);
    assert_eq!(command.map(|command| command.action), Some(Action::Revert));
}

/// A policy that proposes anything.
#[derive(Debug)]
struct Chaos(SeededRng);

impl Policy for Chaos {
    fn name(&self) -> &'static str {
        "chaos"
    }

    fn propose(&mut self, _: &Signals, knobs: &[Knob], _: Duration) -> Option<Proposal> {
        let random = &mut self.0;
        let knob = knobs[random.below(knobs.len() as u64) as usize];
        let far = random.next_u64() as i64;
        let steps = [1, 1, 1, -1, -1, -1, 2, far][random.below(8) as usize];
        let purpose = if random.chance(1, 5) {
            Purpose::Protect
        } else {
            Purpose::Improve
        };
        Some(Proposal {
            purpose,
            ..proposal(
                knob.name,
                knob.value,
                knob.value.saturating_add(knob.step.saturating_mul(steps)),
            )
        })
    }

    fn learn(&mut self, _: &Outcome) {}
}

fn random_signals(random: &mut SeededRng) -> Signals {
    let mut upto = |most: u64| random.below(most + 1);
    Signals {
        window: Duration::from_secs(upto(10)),
        block_cache_hits: upto(1_000),
        block_cache_misses: upto(1_000),
        block_cache_used_bytes: upto(600 << 20),
        memtables_waiting: upto(12),
        memtable_bytes_waiting: upto(1 << 30),
        l0_files: upto(60),
        pending_compaction_bytes: upto(20 << 30),
        stall_micros: upto(20_000_000),
        memory_used_bytes: upto(1_200 << 20),
        memory_budget_bytes: [0, 1 << 30, 1 << 30, u64::MAX][upto(3) as usize],
    }
}

fn random_window(random: &mut SeededRng) -> Option<Window> {
    const ODD: [f64; 4] = [f64::NAN, f64::INFINITY, -1.0, 0.0];
    let mut value = |around: f64| match random.below(60) {
        0 => ODD[random.below(4) as usize],
        _ => around * (0.7 + random.below(600) as f64 / 1_000.0),
    };
    let mut arm = || Measured {
        throughput: value(1_000.0),
        p99_ms: value(10.0),
        write_amplification: value(10.0),
        stalled: value(0.1),
        memory_bytes: value(1e9),
    };
    let window = Window {
        treated: arm(),
        control: arm(),
    };
    random.chance(9, 10).then_some(window)
}

/// What an engine's knobs let it take.
fn footprint(knobs: &[Knob]) -> i128 {
    let value = |name: &str| {
        knobs
            .iter()
            .find(|knob| knob.name == name)
            .map_or(0, |knob| i128::from(knob.value))
    };
    value("block_cache_bytes") + value("write_buffer_bytes") * value("write_buffers_max")
}

/// Whatever policy, signals, measurements and people do: bounds, steps, orders, pins and the budget hold.
#[test]
fn nothing_leaves_the_envelope() {
    let mut actions: HashMap<&str, u32> = HashMap::new();
    for seed in 0..60 {
        let mut random = SeededRng::new(seed);
        let policy: Box<dyn Policy> = match seed % 2 {
            0 => Box::new(Chaos(random.split())),
            _ => Box::new(Rules::new(Settings::default())),
        };
        let mut tuner = Tuner::new(policy, Limits::default());
        let knobs = knobs();
        for tick in 1..2_000 {
            let at = format!("seed {seed} tick {tick}");
            let signals = random_signals(&mut random);
            // Runs of the same signals, so that rules act.
            for repeat in 0..random.below(6) {
                let before = knobs.list();
                let now = Duration::from_secs(tick * 100 + repeat * 10);
                let window = random_window(&mut random);
                let Some(command) = tuner.tick(&signals, window.as_ref(), &before, now) else {
                    continue;
                };
                *actions
                    .entry(["try", "protect", "revert", "keep", "abandon"][command.action as usize])
                    .or_default() += 1;
                if random.chance(1, 20) {
                    continue;
                }
                command.carry_out(&knobs).expect("a command is within the bounds");
                let after = knobs.list();
                let changed: Vec<_> = before
                    .iter()
                    .zip(&after)
                    .filter(|(old, new)| old.value != new.value)
                    .collect();
                assert!(changed.len() <= 1, "{at}");
                for (old, new) in changed {
                    assert!(!old.is_pinned && !old.needs_restart, "{at}: {old:?}");
                    assert!((new.min..=new.max).contains(&new.value), "{at}: {new:?}");
                    assert!(
                        new.value.abs_diff(old.value) <= old.step.unsigned_abs(),
                        "{at}: {old:?} {new:?}"
                    );
                }
                let taken = footprint(&after) - footprint(&before);
                let free = signals.memory_budget_bytes.saturating_sub(signals.memory_used_bytes);
                match command.action {
                    Action::Try => assert!(taken <= i128::from(free), "{at}: {command:?}"),
                    Action::Protect => assert!(taken < 0 && signals.is_over_budget(), "{at}: {command:?}"),
                    Action::Revert | Action::Keep | Action::Abandon => {}
                }
                let value = |name: &str| knobs.get(name).expect("it is there").value;
                let order = [
                    value("level0_compaction_trigger"),
                    value("level0_slowdown_trigger"),
                    value("level0_stop_trigger"),
                ];
                assert!(
                    order.is_sorted_by(|lesser, greater| lesser < greater),
                    "{at}: {order:?}"
                );
            }
        }
    }
    assert_eq!(actions.len(), 5, "each kind of command was given: {actions:?}");
}

/// An engine that is fastest with five threads: the rules find them, one trial after the other, and stay.
#[test]
fn the_rules_find_what_pays_and_stay() {
    let mut tuner = Tuner::new(Box::new(Rules::new(Settings::default())), Limits::default());
    let knobs = knobs();
    let mut random = SeededRng::new(5);
    let speed = |threads: i64| [0.0, 400.0, 600.0, 750.0, 900.0, 1_000.0, 930.0, 900.0, 850.0][threads as usize];
    let mut other = knobs.list();
    for knob in &mut other {
        // Only the threads may be moved.
        knob.is_pinned = knob.name != "background_threads";
    }
    let knobs = ManualKnobs::new(other);
    let mut most = 0;
    for tick in 0..3_000_u64 {
        let threads = knobs.get("background_threads").expect("it is there").value;
        most = most.max(threads);
        let control = tuner.trying().map_or(threads, |trying| trying.from);
        let mut noise = || 0.97 + random.below(60) as f64 / 1_000.0;
        let arm = |speed: f64| Measured {
            throughput: speed,
            p99_ms: 1e4 / speed,
            ..crate::example::CONTROL
        };
        let window = Window {
            treated: arm(speed(threads) * noise()),
            control: arm(speed(control) * noise()),
        };
        let signals = Signals { l0_files: 19, ..calm() };
        let now = Duration::from_secs(tick * 10);
        if let Some(command) = tuner.tick(&signals, Some(&window), &knobs.list(), now) {
            command.carry_out(&knobs).expect("within the bounds");
        }
    }
    assert_eq!(tuner.policy(), "rules");
    let settled = knobs.get("background_threads").expect("it is there").value;
    let settled = tuner.trying().map_or(settled, |trying| trying.from);
    assert_eq!((settled, most), (5, 6), "six were tried and taken back");
}

/// What is proposed is not in force before somebody begins with it; what is harmful is seen between two ticks.
#[test]
fn who_is_asked_begins_and_watches() {
    let mut played = Played::new([threads(2, 3), threads(2, 9), threads(2, 3)]);
    let list = played.knobs.list();
    let propose = |played: &mut Played, second| played.tuner.propose(&calm(), &list, Duration::from_secs(second));
    let begin = |played: &mut Played, proposal, second| {
        let now = Duration::from_secs(second);
        played.tuner.begin(proposal, &calm(), &list, now)
    };
    let proposal = propose(&mut played, 1).expect("it is within the envelope");
    assert_eq!((proposal.to, played.tuner.trying()), (3, None));
    played.tuner.note(proposal, Ended::Abandoned, Duration::from_secs(2));
    assert_eq!(propose(&mut played, 3), None, "nine threads are more than a step");
    let proposal = propose(&mut played, 4).expect("it is within the envelope");
    let refused = begin(&mut played, threads(3, 4), 5).expect_err("it has two");
    assert!(refused.contains("it is 2, not 3"), "{refused}");
    let command = begin(&mut played, proposal, 6).expect("nothing else is tried");
    assert_eq!((command.action, command.to), (Action::Try, 3));
    command.carry_out(&played.knobs).expect("within its bounds");
    assert!(begin(&mut played, threads(3, 4), 7).is_err_and(|why| why.contains("another change")));
    assert_eq!(propose(&mut played, 8), None);

    assert_eq!(played.tuner.harm(&window(|_| {}), &calm()), None);
    let harmful = window(|treated| treated.stalled = 0.9);
    let why = played.tuner.harm(&harmful, &calm()).expect("writers wait");
    played.second = 10;
    let command = played
        .tick(|treated| treated.stalled = 0.9)
        .expect("the tick sees it too");
    assert_eq!((command.action, command.reason), (Action::Revert, why));
    assert_eq!(played.tuner.harm(&harmful, &calm()), None, "nothing is tried");
}
