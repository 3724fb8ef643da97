//! Sizes, headers, stray test scripts and paths of one machine.

use super::Violation;
use super::modules::{Modules, Purpose};
use crate::model::Model;
use crate::policy::{LINES_AIM, LINES_MAX, LINES_WITHOUT_HEADER_MAX, MACHINE_DIRECTORIES, SLT_FOLDER};
use crate::scan::scan;

/// Files with too much product code.
pub fn sizes(model: &Model, modules: &Modules) -> Vec<Violation> {
    product_lines(model, modules)
        .filter(|(_, count)| *count > LINES_MAX)
        .map(|(path, count)| {
            let message = format!("{count} lines without tests, more than {LINES_MAX}: split it by noun");
            Violation::new("sizes", path, message)
        })
        .collect()
}

/// Files above the length to aim for, longest first, for information.
pub fn long_files(model: &Model) -> Vec<(String, usize)> {
    let modules = Modules::resolve(model);
    let mut files: Vec<(String, usize)> = product_lines(model, &modules)
        .filter(|(_, count)| *count > LINES_AIM)
        .map(|(path, count)| (path.to_owned(), count))
        .collect();
    files.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    files
}

fn product_lines<'a>(model: &'a Model, modules: &'a Modules) -> impl Iterator<Item = (&'a str, usize)> {
    model
        .rust_files()
        .filter(|(path, _)| modules.purpose(path) != Purpose::Test)
        .map(|(path, text)| (path, scan(text).product_line_count()))
}

/// Long files that do not say what they are.
pub fn headers(model: &Model) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in model.rust_files() {
        let count = text.lines().count();
        if count > LINES_WITHOUT_HEADER_MAX && !text.starts_with("//!") {
            let message = format!(
                "{count} lines and no header: open with `//!`, saying what it is, what it guarantees and how it works"
            );
            violations.push(Violation::new("headers", path, message));
        }
    }
    violations
}

/// SQL scripts that the harness does not read.
pub fn forgotten_slt(model: &Model) -> Vec<Violation> {
    let stray = model
        .files
        .keys()
        .filter(|path| path.ends_with(".slt") && !path.starts_with(SLT_FOLDER));
    stray
        .map(|path| {
            Violation::new(
                "scripts",
                path,
                format!("no harness reads this script: move it below {SLT_FOLDER}"),
            )
        })
        .collect()
}

/// Absolute paths of somebody's machine.
pub fn machine_paths(model: &Model) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in &model.files {
        for (index, line) in text.lines().enumerate() {
            for directory in MACHINE_DIRECTORIES {
                let absolute = format!("/{directory}/");
                if line.match_indices(&absolute).any(|(at, _)| begins_a_path(&line[..at])) {
                    let message = format!("`{absolute}` exists on one machine only: use a relative path or a variable");
                    violations.push(Violation::new("paths", format!("{path}:{}", index + 1), message));
                }
            }
        }
    }
    violations
}

/// Whether a `/` after this text begins an absolute path, rather than going on with a relative one.
fn begins_a_path(before: &str) -> bool {
    let goes_on = |last: char| last.is_alphanumeric() || "._-~*/})>$@%+".contains(last);
    before.ends_with("file://") || !before.ends_with(goes_on)
}
