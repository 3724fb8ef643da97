//! The directory of models.
//!
//! **Format.** For each version of each name two files, `NAME-VERSION.onnx` ([`crate::onnx`]) and `NAME-VERSION.json`
//! ([`crate::manifest`]). Other files are left alone.
//!
//! **Guarantees.**
//!
//! 1. A file is written under a further `.new`, made durable, renamed, and its name made durable; the model before its manifest. A
//!    power cut leaves the state before or after; what it leaves of `.new` is removed at the next opening, and a model without a
//!    manifest is listed as failed.
//! 2. What is damaged keeps nothing from opening: it is listed as failed, with the reason as its error, and never predicts.
//! 3. Bytes leave [`Registry::load`] only when their size and SHA-256 are those of the manifest and [`inspect`] accepts them.
//! 4. Of each name at most one model is live and one in shadow. The one before is retired first: a power cut between the two leaves none,
//!    and the database plans as it does without.
//! 5. All is bounded: of models that are over, the last [`KEPT_MAX`] of each name are kept.
//!
//! **Left out.** Locks: a registry has one owner, as the directory of the database has. Who may change a stage, and why, is decided and
//! recorded by the pipeline (`shadow`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::files::{Files, Open, read_all};
use aion_base::{Error, ErrorKind, Result, SqlState};
use sha2::{Digest, Sha256};

use crate::manifest::{MANIFEST_BYTES_MAX, Manifest, Stage, check_name};
use crate::onnx::{BYTES_MAX, ModelFacts, inspect};

/// Models of one name that are over (retired or failed) and still kept: what can be gone back to.
pub const KEPT_MAX: usize = 8;
/// Models of one name on their way.
const ACTIVE_MAX: usize = 16;
/// Models whose manifests are read at opening.
const MODELS_MAX: usize = 1_000;

/// A model whose file was checked.
#[derive(Clone, Debug)]
pub struct Model {
    /// What is known of it.
    pub manifest: Manifest,
    /// What its file holds; predicts without ONNX Runtime.
    pub facts: ModelFacts,
    /// Its file.
    pub bytes: Vec<u8>,
}

/// See the module's header.
#[derive(Debug)]
pub struct Registry {
    files: Arc<dyn Files>,
    directory: PathBuf,
    /// By name, then by version.
    models: Vec<Manifest>,
    /// Those that could not be read for a reason that may pass. They are shown as failed, and never removed for it.
    unread: BTreeSet<(String, u64)>,
}

/// The kinds of file that a model has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Model,
    Manifest,
}

impl Part {
    fn extension(self) -> &'static str {
        match self {
            Self::Model => "onnx",
            Self::Manifest => "json",
        }
    }
}

/// The model that a file name belongs to.
fn parse(file: &str) -> Option<(&str, u64, Part)> {
    let (stem, part) = match file.rsplit_once('.')? {
        (stem, "onnx") => (stem, Part::Model),
        (stem, "json") => (stem, Part::Manifest),
        _ => return None,
    };
    let (name, digits) = stem.rsplit_once('-')?;
    let version: u64 = digits.parse().ok()?;
    let is_ours = version > 0 && version.to_string() == digits && check_name("model", name).is_ok();
    is_ours.then_some((name, version, part))
}

impl Registry {
    /// Reads the manifests in `directory`. One that does not exist is empty, and made when the first model is added.
    ///
    /// # Errors
    /// An IO error on the directory itself.
    pub fn open(files: Arc<dyn Files>, directory: &Path) -> Result<Self> {
        let mut registry = Self {
            files,
            directory: directory.to_owned(),
            models: Vec::new(),
            unread: BTreeSet::new(),
        };
        let names = match registry.files.list(directory) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io(format_args!("list {}", directory.display()), error)),
        };
        for name in &names {
            let leftover = name.strip_suffix(".new").and_then(parse);
            if leftover.is_some() {
                // Of a process that ended while it wrote. It stays in the way of nothing but its own next version, which removes it too.
                let _ = registry.files.remove(&directory.join(name));
            }
        }
        for (name, version, part) in names.iter().filter_map(|name| parse(name)) {
            let is_listed = registry.position(name, version).is_some();
            // Sorted, `json` comes before `onnx`: a model that is not listed has no manifest.
            let manifest = match part {
                Part::Model if is_listed => continue,
                Part::Model => Manifest::damaged(name, version, "it has no manifest"),
                Part::Manifest => registry.read_manifest(name, version),
            };
            registry.insert(manifest);
        }
        registry.leave_one(Stage::Live);
        registry.leave_one(Stage::Shadow);
        Ok(registry)
    }

    /// All models, by name, then by version.
    pub fn list(&self) -> &[Manifest] {
        &self.models
    }

    /// One version of a name.
    pub fn get(&self, name: &str, version: u64) -> Option<&Manifest> {
        self.position(name, version).map(|at| &self.models[at])
    }

    /// The model in use.
    pub fn live(&self, name: &str) -> Option<&Manifest> {
        self.at_stage(name, Stage::Live)
    }

    /// The model that predicts beside the one in use.
    pub fn shadow(&self, name: &str) -> Option<&Manifest> {
        self.at_stage(name, Stage::Shadow)
    }

    /// Adds a model as the next version of its name. Version, digest and size of `manifest` are set here; its stage is kept, but one
    /// that is live or in shadow takes that place only by [`Registry::set_stage`].
    ///
    /// # Errors
    /// Invalid where the file has other features than the manifest says, or a name is none; Corrupt for a file that [`inspect`]
    /// refuses; Exhausted for too many models of the name on their way; an IO error, after which the model is not added.
    pub fn add(&mut self, mut manifest: Manifest, bytes: &[u8]) -> Result<Manifest> {
        let invalid = |what: String| Error::invalid(SqlState::INVALID_PARAMETER_VALUE, what);
        let facts = inspect(bytes)?;
        if facts.features != manifest.features {
            return Err(invalid(format!(
                "the file of model \"{}\" takes {:?}, its manifest says {:?}",
                manifest.name, facts.features, manifest.features
            )));
        }
        if matches!(manifest.stage, Stage::Live | Stage::Shadow) {
            return Err(invalid(format!(
                "model \"{}\" cannot be added as {}; add it and set its stage",
                manifest.name, manifest.stage
            )));
        }
        let of_name = self.models.iter().filter(|other| other.name == manifest.name);
        let active = of_name.clone().filter(|other| !other.stage.is_over()).count();
        let last = of_name.map(|other| other.version).max().unwrap_or(0);
        if active >= ACTIVE_MAX || self.models.len() >= MODELS_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("model \"{}\" has {active} versions that are not retired", manifest.name),
            )
            .with_hint("Retire those that are not needed."));
        }
        manifest.version = last.checked_add(1).ok_or_else(|| {
            Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("model \"{}\" has no versions left", manifest.name),
            )
        })?;
        manifest.sha256 = sha256(bytes);
        manifest.bytes = bytes.len() as u64;
        let text = manifest.to_json()?;
        let made = self.files.create_dir_all(&self.directory);
        made.map_err(|error| Error::io(format_args!("make {}", self.directory.display()), error))?;
        self.write(&manifest.name, manifest.version, Part::Model, bytes)?;
        self.write(&manifest.name, manifest.version, Part::Manifest, text.as_bytes())?;
        self.insert(manifest.clone());
        self.remove_old(&manifest.name);
        Ok(manifest)
    }

    /// Moves a model to another stage. What is live or in shadow in its place is retired before it.
    ///
    /// # Errors
    /// NotFound; Invalid (55000) for a failed model; Corrupt where one that is to predict has a damaged file, which is failed then; an
    /// IO error.
    pub fn set_stage(&mut self, name: &str, version: u64, stage: Stage) -> Result<Manifest> {
        let at = self.find(name, version)?;
        let from = self.models[at].stage;
        if from == stage {
            return Ok(self.models[at].clone());
        }
        if from == Stage::Failed {
            return Err(Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("model \"{name}\" version {version} has failed and cannot become {stage}"),
            )
            .with_hint("Train another version."));
        }
        if matches!(stage, Stage::Live | Stage::Shadow) {
            self.load(name, version)?;
            if let Some(other) = self.at_stage(name, stage).map(|other| other.version) {
                self.change(name, other, |other| other.stage = Stage::Retired)?;
            }
        }
        let changed = self.change(name, version, |manifest| manifest.stage = stage)?;
        self.remove_old(name);
        Ok(changed)
    }

    /// Notes what is wrong with a model and takes it out of use for good.
    ///
    /// # Errors
    /// NotFound; an IO error, after which it is out of use until the next opening at least.
    pub fn fail(&mut self, name: &str, version: u64, error: &str) -> Result<Manifest> {
        let at = self.find(name, version)?;
        self.models[at].fail(error);
        // One without a manifest that can be read has none to write, and is found failed again.
        if self.models[at].sha256.is_empty() {
            return Ok(self.models[at].clone());
        }
        let changed = self.change(name, version, |_| {})?;
        self.remove_old(name);
        Ok(changed)
    }

    /// Stores what was measured after a model was added: its Q-errors, its test rows, the ranges of its features. What says which model
    /// it is, and its stage, stays as it was.
    ///
    /// # Errors
    /// NotFound; Invalid for numbers that are not finite; an IO error.
    pub fn measure(&mut self, name: &str, version: u64, measure: impl FnOnce(&mut Manifest)) -> Result<Manifest> {
        self.change(name, version, |manifest| {
            let before = manifest.clone();
            measure(manifest);
            manifest.name = before.name;
            manifest.version = before.version;
            manifest.stage = before.stage;
            manifest.sha256 = before.sha256;
            manifest.bytes = before.bytes;
            manifest.features = before.features;
        })
    }

    /// Reads and checks a model's file.
    ///
    /// # Errors
    /// NotFound; Invalid (55000) for one that has failed; Corrupt for one that is not what was added, which is failed then; an IO error.
    /// The manifest notes the error.
    pub fn load(&mut self, name: &str, version: u64) -> Result<Model> {
        let at = self.find(name, version)?;
        if self.models[at].stage == Stage::Failed {
            let reason = self.models[at].last_error.clone().unwrap_or_default();
            return Err(Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("model \"{name}\" version {version} has failed: {reason}"),
            ));
        }
        match self.read_model(&self.models[at]) {
            Ok(model) => {
                self.models[at].last_error = None;
                Ok(model)
            }
            Err(error) => {
                // What cannot be read now may be read later; what is damaged stays so.
                if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) {
                    self.models[at].fail(error.message());
                    // It is out of use in any case; that this is remembered is not worth another error.
                    let _ = self.save(&self.models[at]);
                } else {
                    self.models[at].note_error(error.message());
                }
                Err(error)
            }
        }
    }

    fn read_model(&self, manifest: &Manifest) -> Result<Model> {
        let path = self.path(&manifest.name, manifest.version, Part::Model);
        let corrupt = |what: String| Error::corrupt(format!("model file {}: {what}", path.display()));
        let bytes = self.read(&path, BYTES_MAX)?;
        if bytes.len() as u64 != manifest.bytes {
            return Err(corrupt(format!("it has {} bytes, not {}", bytes.len(), manifest.bytes)));
        }
        if sha256(&bytes) != manifest.sha256 {
            return Err(corrupt("its SHA-256 is not the one of its manifest".to_owned()));
        }
        let facts = inspect(&bytes)?;
        if facts.features != manifest.features {
            return Err(corrupt(format!(
                "it takes {:?}, its manifest says {:?}",
                facts.features, manifest.features
            )));
        }
        Ok(Model {
            manifest: Manifest {
                last_error: None,
                ..manifest.clone()
            },
            facts,
            bytes,
        })
    }

    /// The manifest in a file; one that says what is wrong where it cannot be used.
    fn read_manifest(&mut self, name: &str, version: u64) -> Manifest {
        if self.models.len() >= MODELS_MAX {
            let what = format!("it is one of more than {MODELS_MAX} models and is not read");
            self.unread.insert((name.to_owned(), version));
            return Manifest::damaged(name, version, &what);
        }
        let path = self.path(name, version, Part::Manifest);
        let read = self.read(&path, MANIFEST_BYTES_MAX);
        let mut manifest = match read.and_then(|bytes| Manifest::from_json(&bytes)) {
            Ok(manifest) if (manifest.name.as_str(), manifest.version) == (name, version) => manifest,
            Ok(other) => {
                let what = format!("its manifest is that of {} version {}", other.name, other.version);
                return Manifest::damaged(name, version, &what);
            }
            Err(error) => {
                if error.kind() != ErrorKind::Corrupt {
                    self.unread.insert((name.to_owned(), version));
                }
                return Manifest::damaged(name, version, error.message());
            }
        };
        // The digest is checked when it is loaded; a missing or cut file is told at once.
        let path = self.path(name, version, Part::Model);
        let length = self.files.open(&path, Open::Existing).and_then(|file| file.len());
        let wrong = match length {
            Ok(length) if length == manifest.bytes => None,
            Ok(length) => Some(format!("its file has {length} bytes, not {}", manifest.bytes)),
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    self.unread.insert((name.to_owned(), version));
                }
                Some(format!("its file cannot be opened: {error}"))
            }
        };
        if let Some(wrong) = wrong {
            manifest.fail(&wrong);
        }
        manifest
    }

    /// Retires all but the newest of several that claim the same place, which only a hand can have made.
    fn leave_one(&mut self, stage: Stage) {
        let mut newest: Option<(String, u64)> = None;
        for at in (0..self.models.len()).rev() {
            let model = &mut self.models[at];
            if model.stage != stage {
                continue;
            }
            match &newest {
                Some((name, version)) if *name == model.name => {
                    model.note_error(&format!("version {version} was {stage} beside it"));
                    model.stage = Stage::Retired;
                    // If this fails it is found again at the next opening.
                    let _ = self.save(&self.models[at]);
                }
                _ => newest = Some((model.name.clone(), model.version)),
            }
        }
    }

    fn position(&self, name: &str, version: u64) -> Option<usize> {
        self.search(name, version).ok()
    }

    fn search(&self, name: &str, version: u64) -> Result<usize, usize> {
        let key = |manifest: &Manifest| (manifest.name.as_str().cmp(name)).then(manifest.version.cmp(&version));
        self.models.binary_search_by(key)
    }

    fn insert(&mut self, manifest: Manifest) {
        match self.search(&manifest.name, manifest.version) {
            Ok(at) => self.models[at] = manifest,
            Err(at) => self.models.insert(at, manifest),
        }
    }

    fn find(&self, name: &str, version: u64) -> Result<usize> {
        self.position(name, version).ok_or_else(|| {
            let message = format!("model \"{name}\" version {version} does not exist");
            Error::not_found(SqlState::UNDEFINED_OBJECT, message)
        })
    }

    fn at_stage(&self, name: &str, stage: Stage) -> Option<&Manifest> {
        let mut of_name = self.models.iter().filter(|model| model.name == name);
        of_name.find(|model| model.stage == stage)
    }

    /// Changes a manifest on disk, then in memory.
    fn change(&mut self, name: &str, version: u64, change: impl FnOnce(&mut Manifest)) -> Result<Manifest> {
        let at = self.find(name, version)?;
        let mut changed = self.models[at].clone();
        change(&mut changed);
        self.save(&changed)?;
        self.models[at] = changed.clone();
        Ok(changed)
    }

    fn save(&self, manifest: &Manifest) -> Result<()> {
        let text = manifest.to_json()?;
        self.write(&manifest.name, manifest.version, Part::Manifest, text.as_bytes())
    }

    /// Removes models of a name that are over and too many. What cannot be removed is tried again with the next.
    fn remove_old(&mut self, name: &str) {
        let over = self
            .models
            .iter()
            .filter(|model| model.name == name && model.stage.is_over());
        let over = over.map(|model| model.version);
        let over: Vec<u64> = over
            .filter(|version| !self.unread.contains(&(name.to_owned(), *version)))
            .collect();
        let surplus = over.len().saturating_sub(KEPT_MAX);
        for version in &over[..surplus] {
            let parts = [Part::Manifest, Part::Model].map(|part| self.files.remove(&self.path(name, *version, part)));
            let is_gone = |removed: &std::io::Result<()>| match removed {
                Ok(()) => true,
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            };
            if parts.iter().all(is_gone) {
                self.models
                    .retain(|model| model.name != name || model.version != *version);
            }
        }
    }

    fn path(&self, name: &str, version: u64, part: Part) -> PathBuf {
        self.directory.join(format!("{name}-{version}.{}", part.extension()))
    }

    fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>> {
        let failed = |error| Error::io(format_args!("read {}", path.display()), error);
        let file = self.files.open(path, Open::Existing).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        if length > bytes_max as u64 {
            return Err(Error::corrupt(format!(
                "{} has {length} bytes, more than {bytes_max}",
                path.display()
            )));
        }
        read_all(&*file).map_err(failed)
    }

    fn write(&self, name: &str, version: u64, part: Part, bytes: &[u8]) -> Result<()> {
        let path = self.path(name, version, part);
        let failed = |error| Error::io(format_args!("write {}", path.display()), error);
        let new = path.with_extension(format!("{}.new", part.extension()));
        match self.files.remove(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = self.files.open(&new, Open::New).map_err(failed)?;
        file.write_at(bytes, 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        self.files.rename(&new, &path).map_err(failed)?;
        self.files.sync_dir(&self.directory).map_err(failed)
    }
}

/// The SHA-256 of `bytes`, as manifests have it.
fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
    }
    text
}

#[cfg(test)]
mod tests;
