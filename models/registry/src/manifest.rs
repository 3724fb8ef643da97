//! What is known of a model beside its file.
//!
//! **Format.** `NAME-VERSION.json`, at most 64 KiB: one JSON object in UTF-8 with the fields of [`Manifest`], their names as they are
//! spelled there, and `"aion_model": 1`, the number of this format. Times are microseconds since 1970 in UTC; digests are SHA-256 as 64
//! lower-case hexadecimal digits; stages are the words of [`Stage::name`]. What is not known is null. Keys stand in any order; one
//! that the format does not have is refused, so that a misspelled one is noticed. `models/training` writes the same.
//!
//! ```text
//! {"aion_model":1,"name":"cardinality","version":3,"purpose":"cardinality","stage":"shadow","sha256":"9f...","bytes":31690,
//!  "features":{"name":"subplan","version":1,"count":48},"feature_low":[...],"feature_high":[...],"outputs":3,"opset":17,
//!  "trained_at":1796000000000000,"train_rows":5200,"test_rows":900,"q_error_p50":1.4,"q_error_p95":9.0,"baseline_p50":2.2,
//!  "baseline_p95":60.0,"seed":7,"lineage":{"parent":2,"data_sha256":"41..."},"last_error":null}
//! ```

use std::fmt;

use aion_base::{Error, Result, SqlState};
use serde::{Deserialize, Serialize};

use crate::mlp::{QUANTILES, WIDTH_MAX};
use crate::onnx::{BYTES_MAX, OPSET};

/// Bytes of a manifest.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// Bytes of an error that is kept.
const ERROR_BYTES_MAX: usize = 1_024;
/// Bytes of a name or a purpose.
const NAME_BYTES_MAX: usize = 48;
/// The number of this format.
const FORMAT: u64 = 1;

/// How far a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Trained, not measured yet.
    Training,
    /// Predicts beside what is in use, and never acts.
    Shadow,
    /// Has won in shadow; waits for approval.
    Candidate,
    /// In use. At most one of each name.
    Live,
    /// Was in use or in shadow, and can be again.
    Retired,
    /// Its file is damaged or it did not hold; see the manifest's error. The end.
    Failed,
}

impl Stage {
    /// The word that views and manifests have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Shadow => "shadow",
            Self::Candidate => "candidate",
            Self::Live => "live",
            Self::Retired => "retired",
            Self::Failed => "failed",
        }
    }

    /// Whether it has left the way to use: such models are kept in bounded number.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Retired | Self::Failed)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The features that a model takes. A model predicts only from rows of the same set and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSet {
    /// Which set.
    pub name: String,
    /// Counted up when what a feature means changes.
    pub version: u32,
    /// Features of a row.
    pub count: usize,
}

impl FeatureSet {
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_name("set of features", &self.name)?;
        if !(1..=WIDTH_MAX).contains(&self.count) {
            return Err(format!("{} features are not within 1 to {WIDTH_MAX}", self.count));
        }
        Ok(())
    }
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// The version of the same name that it was meant to replace.
    pub parent: Option<u64>,
    /// Of the rows that it was trained on, as they were exported.
    pub data_sha256: Option<String>,
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Counts from 1; never given twice.
    pub version: u64,
    /// What it predicts, for people.
    pub purpose: String,
    /// How far it is.
    pub stage: Stage,
    /// Of its file.
    pub sha256: String,
    /// Of its file.
    pub bytes: u64,
    /// What it takes.
    pub features: FeatureSet,
    /// The least value of each feature in training; empty where that is not known.
    #[serde(default)]
    pub feature_low: Vec<f32>,
    /// The greatest value of each feature in training; empty where that is not known.
    #[serde(default)]
    pub feature_high: Vec<f32>,
    /// What it gives for a row.
    pub outputs: usize,
    /// The version of ONNX's operators.
    pub opset: u64,
    /// Microseconds since 1970, UTC.
    pub trained_at: i64,
    /// Rows that it was trained on.
    pub train_rows: u64,
    /// Rows that it was measured on, later ones than those.
    pub test_rows: u64,
    /// The median Q-error on the test rows.
    pub q_error_p50: Option<f64>,
    /// The 95th percentile of the Q-error on the test rows.
    pub q_error_p95: Option<f64>,
    /// The median Q-error without the model.
    pub baseline_p50: Option<f64>,
    /// The 95th percentile of the Q-error without the model.
    pub baseline_p95: Option<f64>,
    /// Of its first weights and the order of its rows.
    pub seed: u64,
    /// Where it comes from.
    pub lineage: Lineage,
    /// What last went wrong with it.
    pub last_error: Option<String>,
}

impl Manifest {
    /// A model that was just trained. Version, digest and size are set when it is added to a registry.
    pub fn new(name: impl Into<String>, purpose: impl Into<String>, features: FeatureSet) -> Self {
        Self {
            name: name.into(),
            version: 0,
            purpose: purpose.into(),
            stage: Stage::Training,
            sha256: String::new(),
            bytes: 0,
            features,
            feature_low: Vec::new(),
            feature_high: Vec::new(),
            outputs: QUANTILES,
            opset: OPSET,
            trained_at: 0,
            train_rows: 0,
            test_rows: 0,
            q_error_p50: None,
            q_error_p95: None,
            baseline_p50: None,
            baseline_p95: None,
            seed: 0,
            lineage: Lineage::default(),
            last_error: None,
        }
    }

    /// A model of which nothing is known but its name, and what is wrong.
    pub(crate) fn damaged(name: &str, version: u64, error: &str) -> Self {
        let mut manifest = Self::new(name, "", FeatureSet::default());
        manifest.version = version;
        manifest.fail(error);
        manifest
    }

    /// Whether each feature lies between the least and the greatest value that it had in training. What lies outside is predicted by
    /// continuing straight lines, which nothing vouches for. True where the ranges are not known.
    pub fn has_seen(&self, row: &[f32]) -> bool {
        let ranges = self.feature_low.iter().zip(&self.feature_high);
        ranges
            .zip(row)
            .all(|((low, high), value)| low <= value && value <= high)
    }

    pub(crate) fn note_error(&mut self, error: &str) {
        let mut end = error.len().min(ERROR_BYTES_MAX);
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        self.last_error = Some(error[..end].to_owned());
    }

    pub(crate) fn fail(&mut self, error: &str) {
        self.note_error(error);
        self.stage = Stage::Failed;
    }

    /// The manifest as it is stored.
    ///
    /// # Errors
    /// Invalid for what [`Manifest::from_json`] would not read.
    pub fn to_json(&self) -> Result<String> {
        let invalid = |what| Error::invalid(SqlState::INVALID_PARAMETER_VALUE, format!("manifest: {what}"));
        self.check().map_err(invalid)?;
        let mut value = serde_json::to_value(self).map_err(|error| invalid(error.to_string()))?;
        value["aion_model"] = FORMAT.into();
        let mut text = serde_json::to_string_pretty(&value).map_err(|error| invalid(error.to_string()))?;
        text.push('\n');
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(invalid(format!(
                "its {} bytes are more than {MANIFEST_BYTES_MAX}",
                text.len()
            )));
        }
        Ok(text)
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// Corrupt, with what is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what: String| Error::corrupt(format!("manifest: {what}"));
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(corrupt(format!(
                "its {} bytes are more than {MANIFEST_BYTES_MAX}",
                bytes.len()
            )));
        }
        let mut value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| corrupt(format!("no JSON: {error}")))?;
        let format = value.as_object_mut().and_then(|fields| fields.remove("aion_model"));
        if format != Some(FORMAT.into()) {
            let found = format.map_or_else(|| "missing".to_owned(), |format| format.to_string());
            return Err(corrupt(format!("\"aion_model\" is {found}, not {FORMAT}")));
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| corrupt(error.to_string()))?;
        manifest.check().map_err(corrupt)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        check_name("model", &self.name)?;
        if self.version == 0 {
            return Err("versions count from 1".to_owned());
        }
        if self.purpose.len() > NAME_BYTES_MAX {
            return Err(format!("its purpose has more than {NAME_BYTES_MAX} bytes"));
        }
        let digests = [Some(&self.sha256), self.lineage.data_sha256.as_ref()];
        for digest in digests.into_iter().flatten() {
            if digest.len() != 64 || !digest.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(format!("{digest:?} is no SHA-256"));
            }
        }
        if self.bytes > BYTES_MAX as u64 {
            return Err(format!("a file of {} bytes is larger than {BYTES_MAX}", self.bytes));
        }
        self.features.check()?;
        for range in [&self.feature_low, &self.feature_high] {
            let fits = range.is_empty() || range.len() == self.features.count;
            if !fits || !range.iter().all(|value| value.is_finite()) {
                return Err("the ranges of its features are not those of as many finite numbers".to_owned());
            }
        }
        if self.outputs != QUANTILES || self.opset != OPSET {
            return Err(format!(
                "{} outputs and opset {} are not {QUANTILES} and {OPSET}",
                self.outputs, self.opset
            ));
        }
        let measured = [self.q_error_p50, self.q_error_p95, self.baseline_p50, self.baseline_p95];
        if !measured.into_iter().flatten().all(f64::is_finite) {
            return Err("a Q-error is not a finite number".to_owned());
        }
        if self
            .last_error
            .as_ref()
            .is_some_and(|error| error.len() > ERROR_BYTES_MAX)
        {
            return Err(format!("its error has more than {ERROR_BYTES_MAX} bytes"));
        }
        Ok(())
    }
}

/// Names are parts of file names.
pub(crate) fn check_name(of: &str, name: &str) -> Result<(), String> {
    let is_allowed = |sign: u8| matches!(sign, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let starts_well = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    if !starts_well || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_allowed) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(format!(
            "{shown:?} is no name of a {of}: up to {NAME_BYTES_MAX} lower-case letters, digits, - and _, a letter first"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::manifest;

    #[test]
    fn what_is_stored_is_read() {
        let mut full = manifest("cardinality");
        full.version = 3;
        full.sha256 = "0a".repeat(32);
        full.feature_low = vec![-0.1; full.features.count];
        full.feature_high = vec![1e30; full.features.count];
        full.q_error_p50 = Some(1.1);
        full.seed = u64::MAX;
        full.lineage = Lineage {
            parent: Some(2),
            data_sha256: Some("ff".repeat(32)),
        };
        full.note_error(&"ü".repeat(2_000));
        let text = full.to_json().unwrap();
        assert_eq!(Manifest::from_json(text.as_bytes()).unwrap(), full);
        assert!(text.contains("\"aion_model\": 1"), "{text}");
    }

    #[test]
    fn every_cut_and_every_wrong_field_is_refused() {
        let mut good = manifest("cardinality");
        good.version = 1;
        good.sha256 = "0a".repeat(32);
        let text = good.to_json().unwrap();
        assert!(Manifest::from_json(text.as_bytes()).is_ok());
        for end in 0..text.trim_end().len() {
            assert!(Manifest::from_json(&text.as_bytes()[..end]).is_err(), "cut at {end}");
        }
        let edits = [
            ("\"version\": 1\n}\n", "\"version\": 0\n}\n"),
            ("\"aion_model\": 1", "\"aion_model\": 2"),
            ("\"stage\": \"training\"", "\"stage\": \"winning\""),
            ("\"name\": \"cardinality\"", "\"name\": \"../cardinality\""),
            ("\"seed\"", "\"sead\""),
            ("0a0a", "0A0A"),
            ("0a0a", "0a"),
            ("\"outputs\": 3", "\"outputs\": 4"),
            ("\"opset\": 17", "\"opset\": 18"),
            ("\"bytes\": 0", "\"bytes\": 16777217"),
            ("\"bytes\": 0", "\"bytes\": -1"),
            ("\"feature_low\": []", "\"feature_low\": [1.0]"),
            ("\"q_error_p50\": null", "\"q_error_p50\": 1e999"),
        ];
        for (from, to) in edits {
            assert!(text.contains(from), "{from} is not in {text}");
            let edited = text.replacen(from, to, 1);
            assert!(Manifest::from_json(edited.as_bytes()).is_err(), "{from} became {to}");
        }
        let huge = " ".repeat(MANIFEST_BYTES_MAX) + &text;
        assert!(Manifest::from_json(huge.as_bytes()).is_err());
        let nested = "[".repeat(60_000);
        assert!(Manifest::from_json(nested.as_bytes()).is_err());
    }

    #[test]
    fn what_lies_outside_of_training_is_known() {
        let mut model = manifest("cardinality");
        assert!(model.has_seen(&[1e9, 0.0, 0.0, 0.0]));
        model.feature_low = vec![0.0, 0.0, -1.0, 0.0];
        model.feature_high = vec![1.0, 1.0, 1.0, 0.0];
        assert!(model.has_seen(&[0.0, 1.0, 0.5, 0.0]));
        assert!(!model.has_seen(&[0.0, 1.1, 0.5, 0.0]));
        assert!(!model.has_seen(&[0.0, 1.0, -1.5, 0.0]));
    }
}
