//! What the checks look at: the crates of the workspace and the text of its files. [`load`] fills it from
//! `cargo metadata` and git; tests fill it by hand, which is how each violation is planted.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, Target, TargetKind};

use crate::policy;

/// A file above this size is data, not text to check.
const TEXT_BYTES_MAX: u64 = 4 << 20;

/// The workspace as the checks see it.
#[derive(Clone, Default)]
pub struct Model {
    /// The members of the workspace.
    pub crates: Vec<Crate>,
    /// The text files that git tracks or would track, by path relative to the workspace root.
    pub files: BTreeMap<String, String>,
}

/// One member of the workspace.
#[derive(Clone)]
pub struct Crate {
    /// The package name.
    pub name: String,
    /// Its directory relative to the workspace root, with `/`.
    pub folder: String,
    /// The files that cargo compiles directly.
    pub roots: Vec<Root>,
    /// What its Cargo.toml names.
    pub dependencies: Vec<Dependency>,
}

/// A file that cargo compiles directly.
#[derive(Clone)]
pub struct Root {
    /// Its path relative to the workspace root.
    pub path: String,
    /// What is built from it.
    pub role: Role,
}

/// What is built from a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A library: other crates call it, and its documentation may hold tests.
    Library,
    /// A binary or an example.
    Program,
    /// A test or a benchmark.
    Test,
    /// The build script.
    BuildScript,
}

/// One dependency of one crate.
#[derive(Clone)]
pub struct Dependency {
    /// The package name, also where the manifest renames it.
    pub name: String,
    /// `dependency`, `dev-dependency` or `build-dependency`.
    pub kind: &'static str,
    /// The folder, when it is a crate of this workspace.
    pub folder: Option<String>,
}

/// Reads `cargo metadata` of the workspace around the current directory, without network.
pub fn metadata() -> Result<Metadata> {
    MetadataCommand::new()
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .context(
            "`cargo metadata` failed: run xtask inside the checkout, and repair the Cargo.toml that is named below",
        )
}

/// Fills the model from the checkout.
pub fn load(metadata: &Metadata) -> Result<Model> {
    let root = metadata.workspace_root.as_std_path();
    let crates = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| read_crate(root, package))
        .collect();
    Ok(Model {
        crates,
        files: read_files(root)?,
    })
}

impl Crate {
    /// The path of its Cargo.toml relative to the workspace root.
    pub fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// Whether the file lies in its folder.
    pub fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.folder.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Model {
    /// The Rust files with their text.
    pub fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The crate that a file belongs to: the one with the deepest folder around it.
    pub fn crate_of(&self, path: &str) -> Option<&Crate> {
        self.crates
            .iter()
            .filter(|member| member.holds(path))
            .max_by_key(|member| member.folder.len())
    }
}

fn read_crate(root: &Path, package: &Package) -> Crate {
    let relative = |path: &Path| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    };
    let folder = package
        .manifest_path
        .parent()
        .map(|folder| relative(folder.as_std_path()))
        .unwrap_or_default();
    let dependencies = package.dependencies.iter().map(|dependency| Dependency {
        name: dependency.name.clone(),
        kind: match dependency.kind {
            DependencyKind::Development => "dev-dependency",
            DependencyKind::Build => "build-dependency",
            _ => "dependency",
        },
        folder: dependency.path.as_ref().map(|path| relative(path.as_std_path())),
    });
    Crate {
        name: package.name.to_string(),
        folder,
        roots: package
            .targets
            .iter()
            .map(|target| Root {
                path: relative(target.src_path.as_std_path()),
                role: role(target),
            })
            .collect(),
        dependencies: dependencies.collect(),
    }
}

fn role(target: &Target) -> Role {
    let is = |kind: TargetKind| target.kind.contains(&kind);
    if is(TargetKind::Test) || is(TargetKind::Bench) {
        Role::Test
    } else if is(TargetKind::CustomBuild) {
        Role::BuildScript
    } else if is(TargetKind::Bin) || is(TargetKind::Example) {
        Role::Program
    } else {
        Role::Library
    }
}

fn read_files(root: &Path) -> Result<BTreeMap<String, String>> {
    let listing = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("git is needed for the list of tracked files: install it")?;
    ensure!(
        listing.status.success(),
        "`git ls-files` failed in {}; tidy reads the list of tracked files from git: {}",
        root.display(),
        String::from_utf8_lossy(&listing.stderr).trim()
    );
    let mut files = BTreeMap::new();
    for name in listing.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        if policy::OUTSIDE.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let path = root.join(&name);
        // A file that was deleted and not yet staged is still listed, and a link shows text of another place.
        let Ok(about) = path.symlink_metadata() else { continue };
        if !about.is_file() || about.len() > TEXT_BYTES_MAX {
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            files.insert(name, text);
        }
    }
    Ok(files)
}
