//! `aion ai rehearse|approve|dismiss|revert|pin|unpin`: what a person asks for.

use std::process::ExitCode;

use clap::Args;

use super::{Asking, Done, literal, show, text};
use crate::screen::Screen;

/// A verb of one recommendation.
#[derive(Debug, Args)]
pub struct OfOne {
    /// The recommendation
    id: u64,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Does what is asked, and says where the recommendation stands.
pub fn act(asking: &mut Asking, verb: &str, of: &OfOne, screen: &Screen) -> Done {
    let reason = of
        .reason
        .as_deref()
        .map(literal)
        .map_or(String::new(), |reason| format!(", {reason}"));
    let spinner = screen.spinner();
    spinner.set_message(format!("{verb} {}", of.id));
    let asked = asking.ask(&format!("SELECT aion.{verb}({}{reason})", of.id));
    spinner.finish_and_clear();
    asked?;
    let row = asking.one("state, state_reason, command, undo_command, pinned", of.id)?;
    screen.line(format_args!("{}  {}: {}", of.id, text(&row[0]), text(&row[1])))?;
    screen.line(format_args!("  {}", text(&row[2])))?;
    if matches!(text(&row[0]), "watching" | "kept") {
        screen.line(format_args!(
            "  to take it back: aion ai revert {}   ({})",
            of.id,
            text(&row[3])
        ))?;
        if text(&row[4]) == "t" {
            screen.line("  pinned: it stays whatever the watch says")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Rehearses a command or a recommendation, and shows what came of it.
pub fn rehearse(asking: &mut Asking, what: &str, screen: &Screen) -> Done {
    let argument = match what.parse::<u64>() {
        Ok(id) => id.to_string(),
        Err(_) => literal(what),
    };
    let spinner = screen.spinner();
    spinner.set_message("rehearsing on clones");
    let asked = asking.ask(&format!("SELECT aion.rehearse({argument})"));
    spinner.finish_and_clear();
    let id = asked?
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next().flatten());
    let id = id.and_then(|id| id.parse().ok()).unwrap_or(0);
    show::show(asking, id, screen)?;
    let row = asking.one("state", id)?;
    Ok(match text(&row[0]) {
        "ready" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
