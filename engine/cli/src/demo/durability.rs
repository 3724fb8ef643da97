//! Killing a writer and cutting its power, and looking each time for what it had acknowledged.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use aion_base::rng::SeededRng;
use aion_base::{Error, Result};

use super::folder::{Folder, remove_data_directory};
use crate::crash::rows::RowRule;
use crate::crash::verdict::{Verdict, judge};
use crate::crash::victim::{Crash, Victim};
use crate::screen::{Screen, count};

/// The writer of the next round begins this many ids further.
const IDS_PER_ROUND: u64 = 1_000_000;

/// A writer is killed after at least this many acknowledged transactions, and fewer than this many more.
const ACKNOWLEDGED_MIN: u64 = 50;
const ACKNOWLEDGED_SPREAD: u64 = 500;

/// And after up to this much more time.
const LONGER_MICROS: u64 = 20_000;

/// Proves durability `rounds` times each way; says whether nothing was lost.
pub fn prove(screen: &Screen, folder: &Folder, seed: u64, rounds: u32) -> Result<bool> {
    screen.heading(
        "7. Durability: 4 writers of two-row transactions in a child process; every acknowledged one must be there",
    )?;
    if rounds == 0 {
        screen.line("  skipped: --kills 0")?;
        return Ok(true);
    }
    let path = folder.path().join("acked.log");
    let failed = |error| Error::io(format_args!("write {}", path.display()), error);
    let mut ledger = BufWriter::new(File::create(&path).map_err(failed)?);
    let mut lines = vec![
        ["", "rounds", "acked", "found", "lost", "half", "wrong", "seconds"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut is_durable = true;
    for (crash, name, what) in [
        (Crash::Kill, "kill", "kill -9"),
        (Crash::PowerCut, "power-cut", "power cut"),
    ] {
        let bar = screen.bar(what, u64::from(rounds));
        let data = folder.path().join(name);
        let start = Instant::now();
        let mut hunt = Hunt::new(&data, seed, crash);
        for round in 1..=rounds {
            for id in hunt.round()? {
                writeln!(ledger, "{name} {round} {id}").map_err(failed)?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let verdict = hunt.verdict;
        is_durable &= verdict.is_good();
        let elapsed = start.elapsed().as_secs_f64();
        let mut line = vec![
            what.to_owned(),
            count(u64::from(rounds)),
            count(hunt.acknowledged.len() as u64),
        ];
        line.extend([verdict.found, verdict.lost, verdict.half, verdict.wrong].map(count));
        line.push(format!("{elapsed:.1}"));
        lines.push(line);
        if verdict.is_good() {
            remove_data_directory(&data)?;
        }
    }
    ledger.flush().map_err(failed)?;
    screen.table(&lines)?;
    screen.line("  found beyond acked: committed, and the kill came before the child could say so")?;
    screen
        .line("  power cut: simulated; what the log has not synced is in the child's memory only, and dies with it")?;
    if !is_durable {
        screen.line("  LOST: the data directories are kept beside acked.log")?;
    }
    Ok(is_durable)
}

/// One data directory that is written to, crashed and judged again and again.
struct Hunt<'a> {
    data: &'a Path,
    rule: RowRule,
    rng: SeededRng,
    crash: Crash,
    next_id: u64,
    acknowledged: Vec<u64>,
    verdict: Verdict,
}

impl<'a> Hunt<'a> {
    fn new(data: &'a Path, seed: u64, crash: Crash) -> Self {
        Self {
            data,
            rule: RowRule { seed, large_every: 0 },
            rng: SeededRng::new(seed ^ crash as u64),
            crash,
            next_id: 1,
            acknowledged: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    /// One crash; returns the ids that were acknowledged before it.
    fn round(&mut self) -> Result<Vec<u64>> {
        let count = ACKNOWLEDGED_MIN + self.rng.below(ACKNOWLEDGED_SPREAD);
        let longer = Duration::from_micros(self.rng.below(LONGER_MICROS));
        let mut victim = Victim::start(self.data, self.rule.seed, self.next_id, self.crash)?;
        victim.listen(count as usize, longer)?;
        let acknowledged = victim.kill()?;
        self.next_id += IDS_PER_ROUND;
        self.acknowledged.extend(&acknowledged);
        self.verdict = judge(self.data, self.rule, &self.acknowledged)?;
        Ok(acknowledged)
    }
}
