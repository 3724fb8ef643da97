//! Edges between the crates of the workspace, and the homes of heavy dependencies.

use super::Violation;
use crate::model::{Crate, Dependency, Model};
use crate::policy::{ABSENCES, HOMES, LAYERS, Row, STANDALONE, STRANGERS};

const LAYERS_CHECK: &str = "layers";
const HOMES_CHECK: &str = "homes";

/// An edge points to a strictly lower row, whether it is needed to run, to build or to test.
pub fn edges(model: &Model) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &model.crates {
        if row(&member.folder).is_none() && !is_standalone(&member.folder) {
            violations.push(Violation::new(
                LAYERS_CHECK,
                &member.folder,
                "this folder stands on no layer: add it to LAYERS in deploy/xtask/src/policy.rs and to the \
                 architecture page, or make it a module of an existing crate",
            ));
        }
        for dependency in &member.dependencies {
            let Some(to) = dependency.folder.as_deref() else {
                continue;
            };
            if let Some(message) = wrong_edge(&member.folder, dependency, to) {
                violations.push(Violation::new(LAYERS_CHECK, member.manifest(), message));
            }
        }
    }
    violations
}

fn wrong_edge(from: &str, dependency: &Dependency, to: &str) -> Option<String> {
    let edge = format!("{from} -> {to} ({})", dependency.kind);
    if is_standalone(from) || is_standalone(to) {
        let alone = if is_standalone(from) { from } else { to };
        return Some(format!("{edge}: {alone} stands alone; remove the edge"));
    }
    if let Some((_, _, why)) = STRANGERS.iter().find(|(a, b, _)| (*a, *b) == (from, to)) {
        return Some(format!("{edge}: {from} must not know {to}: {why}"));
    }
    // A folder without a row has been reported as such.
    let (from_row, to_row) = (row(from)?, row(to)?);
    (to_row.height >= from_row.height).then(|| {
        format!(
            "{edge}: an edge may only point to a lower row; {from} is on row {} ({}) and {to} on row {} ({}). Move \
             what is needed down, or take it through a trait that {from} defines",
            from_row.height, from_row.name, to_row.height, to_row.name
        )
    })
}

fn row(folder: &str) -> Option<&'static Row> {
    LAYERS.iter().find(|row| row.folders.contains(&folder))
}

fn is_standalone(folder: &str) -> bool {
    STANDALONE.contains(&folder)
}

/// A heavy dependency is named in its home, and nowhere else; the lowest crates do without some at all.
pub fn homes(model: &Model) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &model.crates {
        for dependency in member
            .dependencies
            .iter()
            .filter(|dependency| dependency.folder.is_none())
        {
            let message = away_from_home(member, &dependency.name).or_else(|| absent(member, &dependency.name));
            if let Some(message) = message {
                let message = format!("{} `{}`: {message}", dependency.kind, dependency.name);
                violations.push(Violation::new(HOMES_CHECK, member.manifest(), message));
            }
        }
    }
    violations
}

fn away_from_home(member: &Crate, name: &str) -> Option<String> {
    let home = HOMES.iter().find(|home| in_family(name, home.family))?;
    if home.folder == member.folder || home.guests.iter().any(|guest| guest.folder == member.folder) {
        return None;
    }
    let guests: String = home
        .guests
        .iter()
        .map(|guest| format!(" (and to {}: {})", guest.folder, guest.why))
        .collect();
    Some(format!(
        "it belongs to {}{guests}; remove it from {} and call what {} offers",
        home.folder, member.folder, home.folder
    ))
}

fn absent(member: &Crate, name: &str) -> Option<String> {
    let absence = ABSENCES.iter().find(|absence| {
        absence.folder == member.folder
            && absence.families.iter().any(|family| in_family(name, family))
            && !absence.except.contains(&name)
    })?;
    Some(format!("{}; remove it from {}", absence.why, member.folder))
}

fn in_family(name: &str, family: &str) -> bool {
    name.strip_prefix(family)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
