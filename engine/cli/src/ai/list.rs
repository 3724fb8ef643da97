//! `aion ai list`: all recommendations, a line each.

use std::process::ExitCode;

use super::{Asking, Done, number, text, times};
use crate::screen::{Screen, megabytes};

const COLUMNS: &str = "id, kind, state, object, command, speedup, speedup_low, speedup_high, worst_speedup, size_bytes, \
     write_cost_pct, samples, expires_at, origin, estimated_speedup";

/// Prints the list.
pub fn list(asking: &mut Asking, screen: &Screen) -> Done {
    let status =
        asking.ask("SELECT value FROM aion.ai_status WHERE name IN ('mode', 'processor_time') ORDER BY name")?;
    let cell = |at: usize| {
        status
            .get(at)
            .and_then(|row| row.first())
            .map_or("-", |cell| text(cell))
    };
    screen.line(format_args!(
        "mode {}, the learned parts took {} of processor time",
        cell(0),
        cell(1)
    ))?;
    let rows = asking.ask(&format!("SELECT {COLUMNS} FROM aion.recommendations ORDER BY id"))?;
    if rows.is_empty() {
        screen.line("Nothing is recommended.")?;
        return Ok(ExitCode::SUCCESS);
    }
    let head = [
        "",
        "ID",
        "STATE",
        "SPEED-UP (95 %)",
        "WORST",
        "MB",
        "INSERT",
        "PAIRS",
        "EXPIRES",
        "ORIGIN",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in &rows {
        let speedup = match (number(&row[5]), number(&row[6]), number(&row[7])) {
            (Some(point), Some(low), Some(high)) => format!("{point:.2}x ({low:.2} to {high:.2})"),
            _ => match number(&row[14]) {
                Some(estimated) => format!("estimated {estimated:.2}x"),
                None => "-".to_owned(),
            },
        };
        let megabytes_of = |cell: &Option<String>| number(cell).map_or("-".to_owned(), |bytes| megabytes(bytes as u64));
        lines.push(vec![
            what(text(&row[1]), text(&row[4])),
            text(&row[0]).to_owned(),
            text(&row[2]).to_owned(),
            speedup,
            times(&row[8]),
            megabytes_of(&row[9]),
            number(&row[10]).map_or("-".to_owned(), |cost| format!("{cost:+.0} %")),
            text(&row[11]).to_owned(),
            text(&row[12]).split(' ').next().unwrap_or("-").to_owned(),
            text(&row[13]).to_owned(),
        ]);
    }
    screen.table(&lines)?;
    screen.line("More: aion ai show ID")?;
    Ok(ExitCode::SUCCESS)
}

/// What is recommended, short.
fn what(kind: &str, command: &str) -> String {
    const CHARACTERS: usize = 72;
    let plain = command.replace('"', "");
    let short = match plain.split_once(" ON ") {
        Some((front, rest)) if front.starts_with("CREATE INDEX") => format!("index on {rest}"),
        _ => format!("{kind}: {plain}"),
    };
    match short.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &short[..end]),
        None => short,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_short() {
        let command = r#"CREATE INDEX "aion_flights_dest_17" ON "public"."flights" ("dest")"#;
        assert_eq!(super::what("index", command), "index on public.flights (dest)");
        assert_eq!(
            super::what("statistics", "ANALYZE public.flights"),
            "statistics: ANALYZE public.flights"
        );
    }
}
