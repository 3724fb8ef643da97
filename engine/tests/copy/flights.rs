//! The flights of New York, all five tables, through COPY from CSV files into a database on disk.

use std::fs::File;
use std::io::BufWriter;

use aion_datasets::flights::{FlightsArchive, SCHEMA_SQL, Table, write_csv};

use crate::wire::Process;

/// Needs the archive that `make setup` fetches.
#[test]
fn the_five_tables_load_from_csv_and_have_the_known_counts() {
    let archive = FlightsArchive::default_path().and_then(|path| FlightsArchive::open(&path));
    let archive = match archive {
        Ok(archive) => archive,
        Err(error) => return println!("skipped: the flights are not in the cache: {error}"),
    };
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(&dir.path().join("data"), &[]);
    let (ok, _, errors) = server.psql(&["-v", "ON_ERROR_STOP=1"], SCHEMA_SQL);
    assert!(ok, "{errors}");
    for table in Table::ALL {
        let path = dir.path().join(format!("{table}.csv"));
        let mut file = BufWriter::new(File::create(&path).expect("a file"));
        write_csv(&archive, table, &mut file, |_| {}).expect("written");
        drop(file);
        let copy = format!("COPY {table} FROM '{}' (FORMAT csv, HEADER true)", path.display());
        let (ok, tag, errors) = server.psql(&["-c", &copy], "");
        assert!(ok, "{table}: {errors}");
        assert_eq!(tag, format!("COPY {}\n", table.row_count()));
    }
    for table in Table::ALL {
        let counted = server.psql(&["-c", &format!("SELECT count(*) FROM {table}")], "");
        assert_eq!(
            counted.1.trim(),
            table.row_count().to_string(),
            "{table}: {}",
            counted.2
        );
    }
    let profiles = server.psql(&["-c", "SELECT count(profile) FROM flights"], "");
    assert_eq!(profiles.1, "325724\n", "{}", profiles.2);
    let one = server.psql(
        &["-c", "SELECT year, month, day, dep_time, carrier, flight, tailnum, origin, dest, distance FROM flights WHERE id = 1"],
        "",
    );
    assert_eq!(one.1, "2013|1|1|517|UA|1545|N14228|EWR|IAH|1400\n");
}
