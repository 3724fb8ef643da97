//! The machine and its state: what every figure depends on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use aion_base::{Error, Result};
use serde::Serialize;

const PROBE_SYNCS: usize = 200;
const PROBE_BYTES: usize = 4096;

/// The program that measures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Build {
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from, or "unknown".
    pub commit: &'static str,
    /// The newest format of data directories that it writes.
    pub format_version: u32,
}

/// What stands in `env.json`.
#[derive(Debug, Serialize)]
pub struct Environment {
    #[serde(flatten)]
    build: Build,
    seed: u64,
    cpu_model: String,
    cores: usize,
    memory_bytes: Option<u64>,
    /// Over 1, 5 and 15 minutes, at the beginning.
    load_average: Option<[f64; 3]>,
    /// Of writes of 4 KiB with fdatasync, in the folder of the data.
    fsync_p50_us: u64,
    fsync_p99_us: u64,
}

impl Environment {
    /// Looks at the machine, and probes the disk that `folder` is on.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn measure(folder: &Path, seed: u64, build: Build) -> Result<Self> {
        let mut syncs = probe(&folder.join("fsync-probe"))?;
        syncs.sort_unstable();
        let quantile = |per_cent: usize| syncs[(syncs.len() - 1) * per_cent / 100].as_micros() as u64;
        Ok(Self {
            build,
            seed,
            cpu_model: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field("/proc/meminfo", "MemTotal").and_then(|text| kilobytes(&text)),
            load_average: load_average(),
            fsync_p50_us: quantile(50),
            fsync_p99_us: quantile(99),
        })
    }

    /// The text of `env.json`.
    ///
    /// # Errors
    /// Internal; there is nothing in it that JSON cannot say.
    pub fn json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::internal(error.to_string()))?;
        Ok(text + "\n")
    }

    /// The commit that the program was built from.
    pub fn commit(&self) -> &'static str {
        self.build.commit
    }

    /// One line for the screen.
    pub fn summary(&self) -> String {
        let load = self
            .load_average
            .map_or_else(|| "unknown".to_owned(), |load| format!("{:.2}", load[0]));
        format!(
            "{}, {} cores, load {load}; fdatasync of 4 KiB: median {} us, p99 {} us",
            self.cpu_model, self.cores, self.fsync_p50_us, self.fsync_p99_us
        )
    }
}

/// How long each sync of a file that is written once before takes, so that only data is synced.
fn probe(path: &Path) -> Result<Vec<Duration>> {
    let failed = |error| Error::io(format_args!("probe the disk with {}", path.display()), error);
    let file = File::create(path).map_err(failed)?;
    file.write_all_at(&[0; PROBE_BYTES], 0).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let mut syncs = Vec::with_capacity(PROBE_SYNCS);
    for number in 0..PROBE_SYNCS {
        file.write_all_at(&[number as u8; PROBE_BYTES], 0).map_err(failed)?;
        let start = Instant::now();
        file.sync_data().map_err(failed)?;
        syncs.push(start.elapsed());
    }
    std::fs::remove_file(path).map_err(failed)?;
    Ok(syncs)
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

fn kilobytes(text: &str) -> Option<u64> {
    Some(text.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The machine's load over 1, 5 and 15 minutes; None where the system does not tell.
pub fn load_average() -> Option<[f64; 3]> {
    read_load(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

fn read_load(text: &str) -> Option<[f64; 3]> {
    let mut fields = text.split_whitespace().map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_understood() {
        assert_eq!(read_load("0.56 0.63 0.67 1/200 9\n"), Some([0.56, 0.63, 0.67]));
        assert_eq!(read_load(""), None);
        assert_eq!(kilobytes("16384 kB"), Some(16 << 20));
    }

    #[test]
    fn the_evidence_names_what_the_issue_asks_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let build = Build {
            version: "0.0.0",
            commit: "unknown",
            format_version: 1,
        };
        let environment = Environment::measure(dir.path(), 7, build).expect("measured");
        let json: serde_json::Value = serde_json::from_str(&environment.json().expect("text")).expect("JSON");
        for name in ["cpu_model", "load_average", "fsync_p50_us", "commit", "seed", "version"] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert!(environment.fsync_p50_us <= environment.fsync_p99_us);
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("readable").count(),
            0,
            "the probe is gone"
        );
    }
}
