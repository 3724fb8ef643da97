//! What follows from the windows of a trial: computed when it ends, and again whenever the ledger is checked.

use aion_shadow::recommendation::{Arm, Grounds, KnobTrial};
use aion_shadow::verdict::Verdict;
use aion_tuner::policy::{Proposal, Purpose};
use aion_tuner::reward::{Measured, Window};
use aion_tuner::signals::Signals;
use aion_tuner::trial::{self, Finding, Trial};

/// Whether a trial's verdict follows from its windows. True for what is no trial.
pub fn is_sound(grounds: &Grounds) -> bool {
    match grounds {
        Grounds::Trial(judged) => match verdict_of(judged) {
            // What is in no window can only speak against it.
            Verdict::Undecided => judged.verdict != Verdict::Ready,
            verdict => verdict == judged.verdict,
        },
        _ => true,
    }
}

pub fn verdict_of(judged: &KnobTrial) -> Verdict {
    match finding_of(judged) {
        Finding::Continue => Verdict::Undecided,
        Finding::Keep(_) => Verdict::Ready,
        Finding::Revert(why) => Verdict::Rejected(why),
    }
}

/// What the first window that decides says.
pub fn finding_of(judged: &KnobTrial) -> Finding {
    let proposal = Proposal {
        knob: "",
        from: judged.from,
        to: judged.to,
        purpose: Purpose::Improve,
        reason: String::new(),
    };
    let mut trial = Trial::new(proposal, trial::Limits::default());
    for window in &judged.windows {
        let window = window.map(|[control, treated]| Window {
            treated: measured(treated),
            control: measured(control),
        });
        let signals = Signals {
            // A cast of a negative number or NaN is 0.
            memory_used_bytes: window.map_or(0, |window| window.treated.memory_bytes as u64),
            memory_budget_bytes: judged.memory_budget_bytes as u64,
            ..Signals::default()
        };
        match trial.observe(window.as_ref(), &signals) {
            Finding::Continue => {}
            finding => return finding,
        }
    }
    Finding::Continue
}

/// The means of the windows without and with a change.
pub fn means(judged: &KnobTrial) -> Option<[Measured; 2]> {
    let windows: Vec<[Arm; 2]> = judged.windows.iter().flatten().copied().collect();
    let count = (!windows.is_empty()).then_some(windows.len() as f64)?;
    let mean = |at: usize, of: fn(&Arm) -> f64| windows.iter().map(|window| of(&window[at])).sum::<f64>() / count;
    Some([0, 1].map(|at| Measured {
        throughput: mean(at, |arm| arm.throughput),
        p99_ms: mean(at, |arm| arm.p99_ms),
        write_amplification: mean(at, |arm| arm.write_amplification),
        stalled: mean(at, |arm| arm.stalled),
        memory_bytes: mean(at, |arm| arm.memory_bytes),
    }))
}

pub fn arm(measured: Measured) -> Arm {
    Arm {
        throughput: measured.throughput,
        p99_ms: measured.p99_ms,
        write_amplification: measured.write_amplification,
        stalled: measured.stalled,
        memory_bytes: measured.memory_bytes,
    }
}

fn measured(arm: Arm) -> Measured {
    Measured {
        throughput: arm.throughput,
        p99_ms: arm.p99_ms,
        write_amplification: arm.write_amplification,
        stalled: arm.stalled,
        memory_bytes: arm.memory_bytes,
    }
}

pub fn figures(measured: &Measured) -> String {
    format!(
        "{:.0} operations/s, 99 % within {:.2} ms, writers wait {:.1} %, {:.2} bytes written for each, {:.0} MiB",
        measured.throughput,
        measured.p99_ms,
        measured.stalled * 100.0,
        measured.write_amplification,
        measured.memory_bytes / f64::from(1 << 20)
    )
}
