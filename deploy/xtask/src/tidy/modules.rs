//! The module tree: which files cargo compiles, and which of them only for tests.
//!
//! From each root of each crate, follow `mod name;` to `name.rs` or `name/mod.rs`, through inline modules and
//! `#[path]`. A module that is declared in test code, or below a test root, is a test file unless it is also reached
//! from product code. What is never reached is forgotten: it looks like code, and nobody compiles it.

use std::collections::BTreeMap;

use super::Violation;
use crate::model::{Model, Role};
use crate::policy::TEST_FOLDERS;
use crate::scan::{Kind, Token, is_mark, is_word, scan};

/// What a file is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Only for tests.
    Test,
    /// Only for a build script.
    BuildScript,
    /// For the product.
    Product,
}

/// The files that are compiled, each with its purpose.
pub struct Modules {
    purposes: BTreeMap<String, Purpose>,
}

impl Modules {
    /// Follows the module declarations of all crates.
    pub fn resolve(model: &Model) -> Self {
        let mut modules = Self {
            purposes: BTreeMap::new(),
        };
        for root in model.crates.iter().flat_map(|member| &member.roots) {
            let purpose = match root.role {
                Role::Library | Role::Program => Purpose::Product,
                Role::Test => Purpose::Test,
                Role::BuildScript => Purpose::BuildScript,
            };
            modules.follow(model, &root.path, purpose, true);
        }
        modules
    }

    /// What the file is compiled for; a file that nobody compiles is held to the rules of the product.
    pub fn purpose(&self, path: &str) -> Purpose {
        if path
            .split('/')
            .rev()
            .skip(1)
            .any(|folder| TEST_FOLDERS.contains(&folder))
        {
            return Purpose::Test;
        }
        self.purposes.get(path).copied().unwrap_or(Purpose::Product)
    }

    /// Rust files that no `mod` reaches.
    pub fn forgotten(&self, model: &Model) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (path, _) in model
            .rust_files()
            .filter(|(path, _)| !self.purposes.contains_key(*path))
        {
            let message = match model.crate_of(path) {
                Some(member) => format!(
                    "no `mod` declaration of `{}` reaches this file, so it is never compiled: declare it, or delete it",
                    member.name
                ),
                None => "this file belongs to no crate of the workspace: move it into one, or delete it".to_owned(),
            };
            violations.push(Violation::new("modules", path, message));
        }
        violations
    }

    fn follow(&mut self, model: &Model, path: &str, purpose: Purpose, is_root: bool) {
        let Some(text) = model.files.get(path) else { return };
        if self.purposes.get(path).is_some_and(|known| *known >= purpose) {
            return;
        }
        self.purposes.insert(path.to_owned(), purpose);
        for declaration in declarations(&scan(text).tokens) {
            let purpose = if declaration.test { Purpose::Test } else { purpose };
            for candidate in declaration.candidates(path, is_root) {
                let is_mod_rs = declaration.path.is_some();
                self.follow(model, &candidate, purpose, is_mod_rs);
            }
        }
    }
}

/// `mod name;` with the inline modules around it.
struct Declaration<'a> {
    name: &'a str,
    within: Vec<&'a str>,
    path: Option<&'a str>,
    test: bool,
}

impl Declaration<'_> {
    /// Where the file may lie, for a declaration in `file`.
    fn candidates(&self, file: &str, is_root: bool) -> Vec<String> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let stem = name.strip_suffix(".rs").unwrap_or(name);
        let owns_folder = is_root || stem == "mod";
        let mut parts = vec![folder];
        if !owns_folder && (self.path.is_none() || !self.within.is_empty()) {
            parts.push(stem);
        }
        parts.extend(&self.within);
        let base = parts.join("/");
        match self.path {
            Some(path) => vec![normal(&format!("{base}/{path}"))],
            None => vec![
                format!("{base}/{}.rs", self.name),
                format!("{base}/{}/mod.rs", self.name),
            ],
        }
    }
}

/// Takes `.` and `..` out of a path.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn declarations<'a>(tokens: &[Token<'a>]) -> Vec<Declaration<'a>> {
    let mut declarations = Vec::new();
    let mut inline: Vec<(&str, usize)> = Vec::new();
    let mut path = None;
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match (token.kind, token.text) {
            (Kind::Word, "path") if is_mark(tokens, at.wrapping_sub(1), "[") && is_mark(tokens, at + 1, "=") => {
                path = tokens.get(at + 2).map(|value| value.text.trim_matches('"'));
            }
            (Kind::Word, name) if is_word(tokens, at.wrapping_sub(1), "mod") => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                if is_mark(tokens, at + 1, ";") {
                    let within = inline.iter().map(|(name, _)| *name).collect();
                    declarations.push(Declaration {
                        name,
                        within,
                        path,
                        test: token.test,
                    });
                } else if is_mark(tokens, at + 1, "{") {
                    inline.push((name, depth));
                }
            }
            (Kind::Mark, "{") => {
                depth += 1;
                path = None;
            }
            (Kind::Mark, "}") => {
                depth = depth.saturating_sub(1);
                inline.pop_if(|(_, opened)| *opened == depth);
                path = None;
            }
            (Kind::Mark, ";") => path = None,
            _ => {}
        }
    }
    declarations
}
