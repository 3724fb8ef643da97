//! `aion ai show`: one recommendation with its evidence.

use std::process::ExitCode;

use aion_base::Error;
use aion_bench::report::count;
use aion_shadow::recommendation::Proof;
use aion_shadow::statistics::{Pair, Stratum, median, speedup};
use aion_shadow::verdict::Measured;

use super::{Asking, Done, number, text};
use crate::advise::shortened;
use crate::screen::{Screen, megabytes};

const COLUMNS: &str = "kind, object, state, state_reason, command, undo_command, origin, calls, estimated_speedup, speedup, \
     speedup_low, speedup_high, samples, results_equal, size_bytes, build_ms, write_cost_pct, created_at, decided_at, decided_by, \
     expires_at, pinned, verbs, evidence, write_bytes_pct";

/// Prints one recommendation.
pub fn show(asking: &mut Asking, id: u64, screen: &Screen) -> Done {
    let row = asking.one(COLUMNS, id)?;
    let [kind, object, state, why, command, undo] = [0, 1, 2, 3, 4, 5].map(|at| text(&row[at]));
    screen.line(format_args!("{id}  {kind} on {object}: {state}"))?;
    screen.line(format_args!("  why       {why}"))?;
    screen.line(format_args!("  command   {command}"))?;
    screen.line(format_args!("  undo      {undo}"))?;
    screen.line(format_args!(
        "  origin    {}, {}; {} decided at {}",
        text(&row[6]),
        text(&row[17]),
        text(&row[19]),
        text(&row[18])
    ))?;
    if let Some(estimated) = number(&row[8]) {
        screen.line(format_args!("  estimated {estimated:.2}x for the workload"))?;
    }
    if let Some(evidence) = &row[23] {
        let proof: Proof = serde_json::from_str(evidence)
            .map_err(|error| Error::internal(format!("the evidence cannot be read: {error}")))?;
        show_evidence(&proof, screen)?;
    }
    if let (Some(point), Some(low), Some(high)) = (number(&row[9]), number(&row[10]), number(&row[11])) {
        let equal = match text(&row[13]) {
            "t" => "all answers that were compared were equal",
            _ => "answers differed",
        };
        screen.line(format_args!(
            "  the workload: {point:.2}x (95 %: {low:.2} to {high:.2}), {} pairs; {equal}",
            text(&row[12])
        ))?;
        let writes = match number(&row[16]) {
            Some(cost) => format!(
                "inserts take {cost:+.1} % time and put {:+.1} % bytes into the log",
                number(&row[24]).unwrap_or(0.0)
            ),
            None => "no writes feel it".to_owned(),
        };
        let bytes = number(&row[14]).unwrap_or(0.0) as u64;
        screen.line(format_args!(
            "  it takes {} MB and {:.0} ms to make; {writes}",
            megabytes(bytes),
            number(&row[15]).unwrap_or(0.0)
        ))?;
    }
    let decisions = asking.ask(&format!(
        "SELECT at, from_state, to_state, actor, reason FROM aion.decisions WHERE recommendation_id = {id} ORDER BY seq"
    ))?;
    for decision in &decisions {
        screen.line(format_args!(
            "  {}  {} -> {} by {}: {}",
            text(&decision[0]),
            text(&decision[1]),
            text(&decision[2]),
            text(&decision[3]),
            text(&decision[4])
        ))?;
    }
    if text(&row[21]) == "t" {
        screen.line("  pinned: it stays whatever the watch says")?;
    }
    let verbs = text(&row[22])
        .trim_matches(['{', '}'])
        .replace(',', &format!(" {id}, aion ai "));
    screen.line(match verbs.as_str() {
        "" => "  next: nothing can be asked of it".to_owned(),
        verbs => format!("  next: aion ai {verbs} {id}"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show_evidence(proof: &Proof, screen: &Screen) -> Done<()> {
    let head = [
        "statement",
        "calls",
        "before ms",
        "after ms",
        "speed-up (95 %)",
        "pairs",
        "equal",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut left_out = Vec::new();
    for (query, measured) in proof.queries.iter().zip(&proof.evidence.statements) {
        match &measured.excluded {
            Some(why) => left_out.push(format!("  left out, {why}: {}", shortened(query))),
            None => rows.push(statement(&shortened(query), measured, proof.seed)),
        }
    }
    screen.table(&rows)?;
    left_out.iter().try_for_each(|line| screen.line(line))?;
    Ok(())
}

fn statement(query: &str, measured: &Measured, seed: u64) -> Vec<String> {
    let side = |of: fn(&Pair) -> f64| median(&mut measured.pairs.iter().map(of).collect::<Vec<_>>()).unwrap_or(0.0);
    let stratum = Stratum {
        calls: measured.calls,
        pairs: measured.pairs.clone(),
    };
    let interval = speedup(&[stratum], seed).map_or("-".to_owned(), |speedup| {
        format!("{:.2}x ({:.2} to {:.2})", speedup.point, speedup.low, speedup.high)
    });
    vec![
        query.to_owned(),
        count(measured.calls),
        format!("{:.2}", side(|pair| pair.incumbent_ms)),
        format!("{:.2}", side(|pair| pair.candidate_ms)),
        interval,
        count(measured.pairs.len() as u64),
        format!("{}/{}", measured.equal, measured.compared),
    ]
}
