//! The files of evidence: `samples.csv`, one line for each execution, and the plans.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use aion_base::{Error, Result};
use aion_bench::duckdb::Answer;
use aion_datasets::flights::Query;
use aion_db::rehearsal::SampleLine;
use aion_shadow::answer;
use csv::Writer;

/// `samples.csv` and `plans/`.
#[derive(Debug)]
pub struct Evidence {
    samples: Writer<BufWriter<File>>,
    path: PathBuf,
    plans: PathBuf,
}

impl Evidence {
    /// Begins the files in `folder`; those of a former run are replaced.
    pub fn begin(folder: &Path) -> Result<Self> {
        let path = folder.join("samples.csv");
        let file = File::create(&path).map_err(|error| Error::io(format_args!("write {}", path.display()), error))?;
        let plans = folder.join("plans");
        std::fs::create_dir_all(&plans)
            .map_err(|error| Error::io(format_args!("create {}", plans.display()), error))?;
        let mut evidence = Self {
            samples: Writer::from_writer(BufWriter::new(file)),
            path,
            plans,
        };
        evidence.write(&[
            "phase",
            "candidate_id",
            "template",
            "arm",
            "literal_hash",
            "ms",
            "rows",
            "result_hash",
        ])?;
        Ok(evidence)
    }

    /// One execution of the workload.
    pub fn sample(&mut self, query: &Query, arm: &str, answer: &Answer) -> Result<()> {
        let literals: Vec<Option<String>> = query.parameters.iter().map(|value| Some(value.to_string())).collect();
        let literal_hash = format!("{:016x}", answer::hash(&[literals]));
        let result_hash = format!("{:016x}", answer::hash(&answer.rows));
        self.write(&[
            "workload",
            "",
            query.template.name,
            arm,
            &literal_hash,
            &format!("{:.4}", answer.ms),
            &answer.rows.len().to_string(),
            &result_hash,
        ])
    }

    /// One execution of a rehearsal of a recommendation.
    pub fn rehearsal(&mut self, id: u64, sample: &SampleLine) -> Result<()> {
        self.write(&[
            "rehearsal",
            &id.to_string(),
            &sample
                .queryid
                .map_or_else(|| "write".to_owned(), |queryid| queryid.to_string()),
            &sample.arm,
            &sample.literal_hash,
            // All digits: the verdicts are computed again from these.
            &sample.ms.to_string(),
            &sample.rows.map_or_else(String::new, |rows| rows.to_string()),
            sample.result_hash.as_deref().unwrap_or_default(),
        ])
    }

    /// A plan, as EXPLAIN (ANALYZE, FORMAT JSON) gave it.
    pub fn plan(&self, template: &str, arm: &str, document: &str) -> Result<()> {
        let path = self.plans.join(format!("{template}.{arm}.json"));
        std::fs::write(&path, document).map_err(|error| Error::io(format_args!("write {}", path.display()), error))
    }

    /// Ends the files.
    pub fn finish(mut self) -> Result<()> {
        self.samples
            .flush()
            .map_err(|error| Error::io(format_args!("write {}", self.path.display()), error))
    }

    fn write(&mut self, fields: &[&str]) -> Result<()> {
        self.samples.write_record(fields).map_err(|error| {
            Error::io(
                format_args!("write {}", self.path.display()),
                std::io::Error::other(error),
            )
        })
    }
}
