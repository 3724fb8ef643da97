//! What tests of several modules start from.

use std::time::Duration;

use aion_base::knobs::{Knob, ManualKnobs, Unit};

use crate::policy::{Proposal, Purpose};
use crate::reward::{Measured, Window};
use crate::signals::Signals;

pub(crate) const MIB: i64 = 1 << 20;

pub(crate) const CONTROL: Measured = Measured {
    throughput: 1_000.0,
    p99_ms: 10.0,
    write_amplification: 10.0,
    stalled: 0.02,
    memory_bytes: 2e9,
};

/// A window whose treated arm differs from the control by a change.
pub(crate) fn window(change: impl FnOnce(&mut Measured)) -> Window {
    let mut treated = CONTROL;
    change(&mut treated);
    Window {
        treated,
        control: CONTROL,
    }
}

pub(crate) fn proposal(knob: &'static str, from: i64, to: i64) -> Proposal {
    Proposal {
        knob,
        from,
        to,
        purpose: Purpose::Improve,
        reason: "a test asks for it".to_owned(),
    }
}

/// A window in which nothing happened.
pub(crate) fn calm() -> Signals {
    Signals {
        window: Duration::from_secs(10),
        block_cache_hits: 990,
        block_cache_misses: 10,
        block_cache_used_bytes: 40 << 20,
        l0_files: 1,
        memory_used_bytes: 256 << 20,
        memory_budget_bytes: 1 << 30,
        ..Signals::default()
    }
}

const COUNT: Knob = Knob {
    name: "pinned_count",
    unit: Unit::Count,
    value: 4,
    default: 4,
    min: 1,
    max: 8,
    step: 1,
    needs_restart: false,
    family: "Test",
    description: "Of a test.",
    is_pinned: true,
};

fn count(name: &'static str, value: i64, max: i64, step: i64) -> Knob {
    Knob {
        name,
        value,
        default: value,
        max,
        step,
        is_pinned: false,
        ..COUNT
    }
}

fn bytes(name: &'static str, value: i64, min: i64, max: i64, step: i64) -> Knob {
    Knob {
        unit: Unit::Bytes,
        min: min * MIB,
        ..count(name, value * MIB, max * MIB, step * MIB)
    }
}

/// An engine's knobs: those of RocksDB, a pinned one, and one that needs a restart.
pub(crate) fn knobs() -> ManualKnobs {
    ManualKnobs::new([
        bytes("block_cache_bytes", 64, 8, 512, 32),
        bytes("write_buffer_bytes", 16, 4, 128, 16),
        count("write_buffers_max", 4, 12, 1),
        count("level0_compaction_trigger", 4, 64, 2),
        count("level0_slowdown_trigger", 20, 64, 2),
        count("level0_stop_trigger", 36, 64, 2),
        count("background_threads", 2, 8, 1),
        COUNT,
        Knob {
            name: "restart_count",
            needs_restart: true,
            is_pinned: false,
            ..COUNT
        },
    ])
}
