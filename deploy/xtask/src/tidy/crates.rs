//! Names and manifests of crates.

use super::Violation;
use crate::model::{Crate, Model};
use crate::policy::{UNNAMED_AREAS, VAGUE_NAMES};

const NAMES_CHECK: &str = "names";
const MANIFESTS_CHECK: &str = "manifests";

/// A package is called after its folder, and says what it holds.
pub fn names(model: &Model) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &model.crates {
        let expected = package_name(&member.folder);
        if member.name != expected {
            let message = format!(
                "the package in {} is called `{expected}`, not `{}`",
                member.folder, member.name
            );
            violations.push(Violation::new(NAMES_CHECK, member.manifest(), message));
        }
        if let Some(vague) = member.name.split('-').find(|part| VAGUE_NAMES.contains(part)) {
            let message = format!(
                "`{vague}` says nothing about what `{}` holds: name the noun",
                member.name
            );
            violations.push(Violation::new(NAMES_CHECK, member.manifest(), message));
        }
    }
    violations
}

fn package_name(folder: &str) -> String {
    let parts: Vec<&str> = folder.split('/').collect();
    let named = if parts.len() > 1 && UNNAMED_AREAS.contains(&parts[0]) {
        &parts[1..]
    } else {
        &parts[..]
    };
    format!("aion-{}", named.join("-"))
}

/// Every Cargo.toml belongs to a member, which shares the lints and names its siblings through the workspace.
pub fn manifests(model: &Model) -> Vec<Violation> {
    let mut violations: Vec<Violation> = model.crates.iter().flat_map(|member| manifest(model, member)).collect();
    for path in model.files.keys().filter(|path| path.ends_with("/Cargo.toml")) {
        if !model.crates.iter().any(|member| member.manifest() == *path) {
            let message = "no member of the workspace: add its folder to `members` of the Cargo.toml at the root";
            violations.push(Violation::new(MANIFESTS_CHECK, path, message));
        }
    }
    violations
}

fn manifest(model: &Model, member: &Crate) -> Vec<Violation> {
    let path = member.manifest();
    let Some(text) = model.files.get(&path) else {
        return vec![Violation::new(
            MANIFESTS_CHECK,
            path,
            "git ignores this file: a crate must be tracked",
        )];
    };
    let mut violations = Vec::new();
    let entries = entries(text);
    if !entries.iter().any(Entry::shares_the_lints) {
        let message = "the crate does not share the lints: add `[lints]` with `workspace = true`";
        violations.push(Violation::new(MANIFESTS_CHECK, &path, message));
    }
    for entry in entries.iter().filter(|entry| entry.names_a_path()) {
        let message = "a path dependency goes through the workspace: list it under [workspace.dependencies] at the \
                       root and write `name.workspace = true` here";
        violations.push(Violation::new(
            MANIFESTS_CHECK,
            format!("{path}:{}", entry.line),
            message,
        ));
    }
    violations
}

/// One `key = value` line of a manifest.
struct Entry<'a> {
    table: &'a str,
    key: &'a str,
    value: &'a str,
    line: usize,
}

impl Entry<'_> {
    fn shares_the_lints(&self) -> bool {
        let named = matches!((self.table, self.key), ("lints", "workspace") | ("", "lints.workspace"));
        named && self.value.starts_with("true")
    }

    fn names_a_path(&self) -> bool {
        let depends = self.table.split('.').any(|part| part.ends_with("dependencies"));
        let inline = self.value.split(['{', ',']).any(|field| {
            field
                .trim_start()
                .strip_prefix("path")
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        depends && (self.key == "path" || self.key.ends_with(".path") || inline)
    }
}

/// The lines of a manifest that assign something. Multi-line values keep only their first line, which holds the key.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut table = "";
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            table = name.trim_start_matches('[').trim();
        } else if let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            entries.push(Entry {
                table,
                key: key.trim(),
                value: value.trim(),
                line: index + 1,
            });
        }
    }
    entries
}
