//! The scripts of others: what of the corpus that DataFusion is tested with holds here, too, through the wire.
//!
//! `deploy/fetch-corpora.sh` puts the scripts of the crate `datafusion-sqllogictest` below `$AION_CACHE/corpora`; they are not part of
//! this repository. `AION_CORPORA` names a folder with others, which are run as well, and only reported on.
//!
//! **What is asked.** Not that all of it passes: the dialect is DataFusion's, with its own types, files and settings. `expected.txt`
//! names the records that do, file by file; one that does not any more fails the test. `AION_BLESS=1` writes the file anew. The
//! report has the rate of each file, and the reasons in classes. At length a PostgreSQL 15 is asked, too: what it answers as
//! DataFusion does, and we do not, is listed.
//!
//! **How.** Each file has a server of its own, so that one cannot spoil another; each record is run whatever became of the one
//! before. Values are compared as words: numbers as numbers, booleans and timestamps as either side writes them; rows in
//! their order where the query asks for one. Shell commands of a script are never run.

mod report;
mod wire;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sqllogictest::{DefaultColumnType, Location, Record, Runner};

use self::report::{Expected, FileReport, Report};
use self::wire::Connection;
use crate::differential::postgres::Postgres;
use crate::program::at_length;
use crate::wire::Process;

const CRATE: &str = "datafusion-sqllogictest-55.2.0";
/// In the gate every so-manieth file is run.
const SLICE: usize = 24;

/// Where `deploy/fetch-corpora.sh` put the scripts; None, with a line that says so, where it did not.
fn corpus() -> Option<PathBuf> {
    let cache = std::env::var_os("AION_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cache/aion"))
    });
    let folder = cache?.join("corpora").join(CRATE).join("test_files");
    if !folder.is_dir() {
        println!("not run: {} is not there; `make test` fetches it", folder.display());
        return None;
    }
    Some(folder)
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let all = crate::crash::directory::files(folder).into_iter();
    all.filter(|file| file.extension().is_some_and(|name| name == "slt"))
        .collect()
}

/// The line of a record, behind the name of its file where that is an included one.
fn place(loc: &Location, script: &Path) -> String {
    let file = Path::new(loc.file());
    match file.file_name().filter(|_| !file.ends_with(script)) {
        Some(included) => format!("{}:{}", included.display(), loc.line()),
        None => loc.line().to_string(),
    }
}

/// Runs a script against a server of its own.
fn run_file(folder: &Path, name: &Path) -> FileReport {
    let dir = tempfile::tempdir().expect("a directory");
    let process = Process::start(&dir.path().join("data"), &["--ai-mode", "off"]);
    run_records(folder, name, process.port, "aion")
}

fn run_records(folder: &Path, name: &Path, port: u16, database: &str) -> FileReport {
    let mut report = FileReport::new(name.display().to_string());
    let records = match sqllogictest::parse_file::<DefaultColumnType>(folder.join(name)) {
        Ok(records) => records,
        Err(error) => {
            report.fail("0".to_owned(), format!("the script cannot be read: {error}"));
            return report;
        }
    };
    let mut runner = Runner::new(|| async move { Connection::open(port, database) });
    for record in records {
        let place = match &record {
            Record::Statement { loc, .. } | Record::Query { loc, .. } => place(loc, name),
            // Neither shell commands nor pauses.
            Record::System { .. } | Record::Sleep { .. } => continue,
            Record::Halt { .. } => break,
            _ => {
                let _ = runner.run(record);
                continue;
            }
        };
        let is_ordered = matches!(&record, Record::Query { sql, .. } if sql.to_lowercase().contains("order by"));
        runner.with_validator(if is_ordered { wire::same_values } else { wire::same_rows });
        match runner.run(record) {
            Ok(sqllogictest::RecordOutput::Nothing) => {}
            Ok(_) => report.pass(place),
            Err(error) => report.fail(place, error.kind().to_string()),
        }
    }
    runner.shutdown();
    report
}

/// What PostgreSQL passes of the scripts, if it is installed.
fn run_peer(folder: &Path, files: &[PathBuf]) -> Option<Report> {
    let postgres = Postgres::start()?;
    let run = |name: &PathBuf| {
        postgres.make_database("script");
        run_records(folder, name, postgres.port, "script")
    };
    Some(Report::of(files.iter().map(run)))
}

#[test]
fn what_passed_of_the_corpus_of_datafusion_passes() {
    let Some(folder) = corpus() else { return };
    let is_blessed = std::env::var_os("AION_BLESS").is_some();
    let every = if is_blessed { 1 } else { at_length(SLICE, 1) };
    let files: Vec<PathBuf> = scripts(&folder).into_iter().step_by(every).collect();
    let report = Report::of(files.iter().map(|file| run_file(&folder, file)));
    println!("{report}");
    if every == 1
        && let Some(peer) = run_peer(&folder, &files)
    {
        println!("{}", report.beside(&peer));
    }
    if is_blessed {
        Expected::write(&report);
        return;
    }
    let expected = Expected::read();
    let told = |of: fn(&Expected, &FileReport) -> Vec<String>| -> Vec<String> {
        report.files.iter().flat_map(|file| of(&expected, file)).collect()
    };
    let gained = told(Expected::gained);
    if !gained.is_empty() {
        println!("these pass, too; AION_BLESS=1 writes that down:\n{}", gained.join("\n"));
    }
    let missed = told(Expected::missed);
    assert!(
        missed.is_empty(),
        "these passed, as engine/tests/corpus/expected.txt says, and do not any more:\n{}",
        missed.join("\n")
    );
}

/// No expectation: whoever has other scripts reads the report.
#[test]
fn other_corpora_are_reported_on() {
    let Some(folder) = std::env::var_os("AION_CORPORA").map(PathBuf::from) else {
        println!("not run: AION_CORPORA names no folder");
        return;
    };
    let files = scripts(&folder);
    assert!(!files.is_empty(), "no script below {}", folder.display());
    let report = Report::of(files.iter().map(|file| run_file(&folder, file)));
    println!("{report}");
    let unread: BTreeSet<&str> = report
        .files
        .iter()
        .filter(|file| file.is_dead())
        .map(|file| file.name.as_str())
        .collect();
    assert!(unread.is_empty(), "the server ended in {unread:?}");
}
