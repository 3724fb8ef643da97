//! Commands, verdicts and the watch, with windows that are made up.

use aion_shadow::recommendation::KnobTrial;
use aion_shadow::verdict::Verdict;

use super::change::parse_command;
use super::judge::{arm, verdict_of};
use super::*;

const ARM: Measured = Measured {
    throughput: 1_000.0,
    p99_ms: 10.0,
    write_amplification: 3.0,
    stalled: 0.0,
    memory_bytes: 1e6,
};

const CHANGE: Change = Change {
    name: "write_buffers_max",
    from: 4,
    to: 5,
};

fn judged(pairs: usize, factor: f64) -> KnobTrial {
    let with = Measured {
        throughput: ARM.throughput * factor,
        ..ARM
    };
    let mut judged = KnobTrial {
        knob: CHANGE.name.to_owned(),
        from: CHANGE.from,
        to: CHANGE.to,
        memory_budget_bytes: 1e9,
        windows: vec![Some([arm(ARM), arm(with)]); pairs],
        verdict: Verdict::Undecided,
    };
    judged.verdict = verdict_of(&judged);
    judged
}

#[test]
fn commands_that_change_a_knob_are_told_from_others() {
    for (command, wanted) in [
        ("ALTER SYSTEM SET aion.write_buffers_max = 5", Some(Some("5"))),
        ("alter system set aion.write_buffers_max='5';", Some(Some("5"))),
        (
            "ALTER SYSTEM SET aion.write_buffers_max TO '64 MB'",
            Some(Some("64 MB")),
        ),
        ("ALTER SYSTEM SET aion.write_buffers_max = DEFAULT", Some(None)),
        ("ALTER SYSTEM RESET aion.write_buffers_max", Some(None)),
        ("ALTER SYSTEM RESET aion.write_buffers_max 5", None),
        ("ALTER SYSTEM SET work_mem = 5", None),
        ("SET aion.write_buffers_max = 5", None),
        ("CREATE INDEX ON t (a)", None),
        ("", None),
    ] {
        let wanted = wanted.map(|value| ("write_buffers_max".to_owned(), value.map(str::to_owned)));
        assert_eq!(parse_command(command), wanted, "{command}");
    }
    assert_eq!(
        parse_command(&Change::set_command("a", 7)),
        Some(("a".to_owned(), Some("7".to_owned())))
    );
}

#[test]
fn the_verdict_on_a_knob_follows_from_its_windows() {
    assert_eq!(judged(6, 1.2).verdict, Verdict::Undecided);
    let ready = judged(7, 1.2);
    assert_eq!(ready.verdict, Verdict::Ready);
    assert!(matches!(judged(1, 0.5).verdict, Verdict::Rejected(why) if why.contains("throughput")));
    assert!(matches!(judged(25, 1.0).verdict, Verdict::Rejected(why) if why.contains("not shown to pay")));
    let mut idle = judged(6, 1.0);
    idle.windows.fill(None);
    idle.verdict = verdict_of(&idle);
    assert!(
        matches!(&idle.verdict, Verdict::Rejected(why) if why.contains("not measured")),
        "{idle:?}"
    );
    let [without, with] = means(&ready).expect("seven windows");
    assert!((with.throughput / without.throughput - 1.2).abs() < 1e-9);
    assert_eq!(means(&idle), None);

    // As it is stored, it is checked again.
    for one in [ready.clone(), idle] {
        let stored = serde_json::to_string(&Grounds::Trial(one.clone())).expect("it is data");
        let read: Grounds = serde_json::from_str(&stored).expect("as written");
        assert_eq!(read, Grounds::Trial(one));
        assert!(is_sound(&read));
    }
    let mut forged = judged(25, 1.0);
    forged.verdict = Verdict::Ready;
    assert!(!is_sound(&Grounds::Trial(forged)));
}

#[test]
fn a_knob_that_is_watched_goes_back_or_is_kept() {
    let calm = Signals {
        window: Duration::from_secs(10),
        memory_used_bytes: 10,
        memory_budget_bytes: 100,
        ..Signals::default()
    };
    let watched = Watched {
        without: Some(ARM),
        ..Watched::default()
    };
    let slow = Measured { p99_ms: 25.0, ..ARM };
    let mut one = watched;
    assert_eq!(one.look(&CHANGE, &calm, Some(slow)), watch::Finding::Watch);
    assert_eq!(one.look(&CHANGE, &calm, Some(slow)), watch::Finding::Watch);
    let found = one.look(&CHANGE, &calm, Some(slow));
    assert!(
        matches!(&found, watch::Finding::Revert(why) if why.contains("25.0 ms")),
        "{found:?}"
    );

    // Less load is no harm, nor is a single bad window; where nothing runs nothing is shown.
    let mut one = watched;
    let quiet = Measured { throughput: 1.0, ..ARM };
    for window in 0..GOOD_MIN - 1 {
        assert_eq!(one.look(&CHANGE, &calm, Some(quiet)), watch::Finding::Watch, "{window}");
        assert_eq!(one.look(&CHANGE, &calm, None), watch::Finding::Watch, "{window}");
    }
    assert_eq!(one.look(&CHANGE, &calm, Some(quiet)), watch::Finding::Keep);

    // Without the trial's windows there are still stalls; and memory, against what takes some.
    let stalled = Signals {
        stall_micros: 9_000_000,
        ..calm
    };
    let over = Signals {
        memory_used_bytes: 101,
        ..calm
    };
    let back = Change {
        from: CHANGE.to,
        to: CHANGE.from,
        ..CHANGE
    };
    for (change, signals, is_reverted) in [(CHANGE, stalled, true), (CHANGE, over, true), (back, over, false)] {
        let mut one = Watched::default();
        let found: Vec<watch::Finding> = (0..BAD_MAX).map(|_| one.look(&change, &signals, None)).collect();
        let last = found.last().expect("three");
        assert_eq!(
            matches!(last, watch::Finding::Revert(_)),
            is_reverted,
            "{change:?} {found:?}"
        );
    }
}
