//! The whole index as one file, so that opening a database needs no rebuild.
//!
//! **Guarantee.** [`VectorIndex::restore`] gives the index as it was at its position, or an error that names the file:
//! XX002 when it is damaged or was made with other parameters or another version, 58P01 when there is none. Either way
//! the caller builds the index from the rows. No byte reaches usearch before its checksum was right: its loader trusts
//! what it reads.
//!
//! A file is written under another name, synced, and renamed: after a crash there is the old one or the new one.
//!
//! **Format 1**, little endian:
//!
//! ```text
//! header    "AIONHNSW" | format u32 | usearch u32 | metric u32 | dimensions u32 | m u32 | ef_construction u32
//!           position u64 | nodes u32 | strays u32 | versions u64 | rows_bytes u64 | graph_bytes u64
//!           crc64 of the header u64                                                     80 bytes with the checksum
//! rows      strays    x { label u32, dimensions x f32 }
//!           versions  x { label u32, born u64, died u64, key_bytes u32, key }            died FF..FF: alive
//!           crc64 of the rows u64
//! graph     rows_bytes + 88 ...: what usearch writes for itself; no bytes for an empty graph
//!           crc64 of the graph u64
//! metric    1 L2, 2 cosine, 3 inner product
//! usearch   its version: major << 16 | minor << 8; the patch does not count
//! ```
//!
//! Changes above the position are put again by the caller, so the restored index is without them: a version born above
//! the position is left out, one that died above it lives.
//!
//! Left out: saving what changed. The file is as large as the index, and its bytes are in memory while it is written.

mod crc;

use std::path::Path;
use std::sync::Arc;

use aion_base::files::{File, Files, Open};
use aion_base::id::LogIndex;
use aion_base::{Error, ErrorKind, Result, SqlState};

use crate::graph::Graph;
use crate::index::{HnswOptions, State, VectorIndex, check_parameters};
use crate::metric::Metric;
use crate::versions::{ALIVE, Versions};
use crc::crc64;

const MAGIC: &[u8; 8] = b"AIONHNSW";
const FORMAT: u32 = 1;
const CRC_BYTES: usize = 8;
const HEADER_BYTES: usize = 80;

/// The suffix of a file that is being written.
const UNFINISHED: &str = ".new";

impl VectorIndex {
    /// Writes the index to `path`, replacing what was there. Searches go on; changes wait.
    pub fn save(&self, files: &dyn Files, path: &Path) -> Result<()> {
        let sections = self.frozen(|state| {
            let rows = self.rows_bytes(state);
            let graph = state.graph.to_bytes()?;
            Ok([self.header_bytes(state, rows.len(), graph.len()), rows, graph])
        })?;
        let unfinished = path.with_added_extension(&UNFINISHED[1..]);
        match files.remove(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("remove {}", unfinished.display()), error));
            }
            _ => {}
        }
        let write = || -> std::io::Result<()> {
            let file = files.open(&unfinished, Open::New)?;
            let mut offset = 0;
            for section in &sections {
                file.write_at(section, offset)?;
                offset += section.len() as u64;
                file.write_at(&crc64(section).to_le_bytes(), offset)?;
                offset += CRC_BYTES as u64;
            }
            file.sync_data()?;
            files.rename(&unfinished, path)?;
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            files.sync_dir(directory.unwrap_or(Path::new(".")))
        };
        write().map_err(|error| Error::io(format!("write the vector index {}", path.display()), error))
    }

    /// Reads what [`VectorIndex::save`] wrote for an index of these parameters; see the module's header for errors.
    /// Of the options, the expansion of searches and the threads may differ from those of the file.
    pub fn restore(
        files: &dyn Files,
        path: &Path,
        dimensions: usize,
        metric: Metric,
        options: HnswOptions,
    ) -> Result<Self> {
        check_parameters(dimensions, &options)?;
        let io = |error| Error::io(format!("read the vector index {}", path.display()), error);
        let refused = |what: String| {
            let message = format!("the vector index file {} cannot be used: {what}", path.display());
            Error::new(ErrorKind::Corrupt, SqlState::INDEX_CORRUPTED, message)
                .with_hint("The index is built again from the rows; the file may be removed.")
        };
        let file = files.open(path, Open::Existing).map_err(io)?;
        let length = file.len().map_err(io)?;

        let header = read_section(&*file, 0, HEADER_BYTES - CRC_BYTES, length).map_err(io)?;
        let header = header.ok_or_else(|| refused("the header is damaged, or it is no such file".into()))?;
        let header = Header::parse(&header).map_err(&refused)?;
        header.check(dimensions, metric, &options).map_err(&refused)?;

        let too_long = || refused("the header names sections that the file is too short for".into());
        let whole = (header.rows_bytes)
            .checked_add(header.graph_bytes)
            .and_then(|sections| sections.checked_add((HEADER_BYTES + 2 * CRC_BYTES) as u64));
        if whole != Some(length) {
            return Err(refused(format!("it has {length} bytes, and its header says otherwise")));
        }
        let rows_bytes = usize::try_from(header.rows_bytes).map_err(|_| too_long())?;
        let graph_bytes = usize::try_from(header.graph_bytes).map_err(|_| too_long())?;
        let rows_at = HEADER_BYTES as u64;
        let rows = read_section(&*file, rows_at, rows_bytes, length).map_err(io)?;
        let rows = rows.ok_or_else(|| refused("the checksum of the rows is wrong".into()))?;
        let mut versions = header.parse_rows(&rows, dimensions).map_err(&refused)?;
        drop(rows);

        let graph_at = rows_at + header.rows_bytes + CRC_BYTES as u64;
        let graph = read_section(&*file, graph_at, graph_bytes, length).map_err(io)?;
        let graph = graph.ok_or_else(|| refused("the checksum of the graph is wrong".into()))?;
        let graph = Graph::from_bytes(&graph, dimensions, metric, &options)?;
        publish(&graph, &mut versions, dimensions)?.map_err(&refused)?;
        Ok(Self::from_parts(
            dimensions,
            metric,
            options,
            graph,
            versions,
            header.position,
        ))
    }

    fn header_bytes(&self, state: &State, rows_bytes: usize, graph_bytes: usize) -> Vec<u8> {
        // Dimensions and options are checked to be small, labels are u32.
        let words = [
            FORMAT,
            usearch_version(),
            metric_code(self.metric),
            self.dimensions as u32,
            self.options.connectivity as u32,
            self.options.expansion_add as u32,
        ];
        let mut header = MAGIC.to_vec();
        header.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        header.extend(state.position.0.to_le_bytes());
        header.extend((state.versions.node_count() as u32).to_le_bytes());
        header.extend((state.versions.strays().len() as u32).to_le_bytes());
        header.extend((state.versions.iter().count() as u64).to_le_bytes());
        header.extend((rows_bytes as u64).to_le_bytes());
        header.extend((graph_bytes as u64).to_le_bytes());
        assert_eq!(header.len(), HEADER_BYTES - CRC_BYTES, "the header is as drawn");
        header
    }

    fn rows_bytes(&self, state: &State) -> Vec<u8> {
        let mut rows = Vec::new();
        for (label, vector) in state.versions.strays() {
            rows.extend(label.to_le_bytes());
            rows.extend(vector.iter().flat_map(|component| component.to_le_bytes()));
        }
        for version in state.versions.iter() {
            rows.extend(version.node.to_le_bytes());
            rows.extend(version.born.0.to_le_bytes());
            rows.extend(version.died.0.to_le_bytes());
            // A key has at most aion_base::key::KEY_BYTES_MAX bytes.
            rows.extend((version.key.len() as u32).to_le_bytes());
            rows.extend(&*version.key);
        }
        rows
    }
}

/// A section whose checksum is right; none where it is wrong, or the file ends before it.
fn read_section(file: &dyn File, offset: u64, bytes: usize, length: u64) -> std::io::Result<Option<Vec<u8>>> {
    if offset + (bytes + CRC_BYTES) as u64 > length {
        return Ok(None);
    }
    let mut section = vec![0; bytes + CRC_BYTES];
    if file.read_at(&mut section, offset)? < section.len() {
        return Ok(None);
    }
    let crc = section.split_off(bytes);
    Ok((crc == crc64(&section).to_le_bytes()).then_some(section))
}

#[derive(Debug)]
struct Header {
    format: u32,
    usearch: u32,
    metric: u32,
    dimensions: u32,
    connectivity: u32,
    expansion_add: u32,
    position: LogIndex,
    nodes: u32,
    strays: u32,
    versions: u64,
    rows_bytes: u64,
    graph_bytes: u64,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err("it is no vector index".into());
        }
        Ok(Self {
            format: reader.u32()?,
            usearch: reader.u32()?,
            metric: reader.u32()?,
            dimensions: reader.u32()?,
            connectivity: reader.u32()?,
            expansion_add: reader.u32()?,
            position: LogIndex(reader.u64()?),
            nodes: reader.u32()?,
            strays: reader.u32()?,
            versions: reader.u64()?,
            rows_bytes: reader.u64()?,
            graph_bytes: reader.u64()?,
        })
    }

    fn check(&self, dimensions: usize, metric: Metric, options: &HnswOptions) -> Result<(), String> {
        let expected = [
            ("format", self.format, FORMAT),
            ("version of usearch", self.usearch, usearch_version()),
            ("metric", self.metric, metric_code(metric)),
            ("dimensions", self.dimensions, dimensions as u32),
            ("m", self.connectivity, options.connectivity as u32),
            ("ef_construction", self.expansion_add, options.expansion_add as u32),
        ];
        match expected.iter().find(|(_, found, expected)| found != expected) {
            Some((name, found, expected)) => Err(format!("its {name} is {found}, expected was {expected}")),
            None => Ok(()),
        }
    }

    fn parse_rows(&self, bytes: &[u8], dimensions: usize) -> Result<Versions, String> {
        let full = |error: Error| error.to_string();
        let mut reader = Reader(bytes);
        let mut versions = Versions::default();
        for _ in 0..self.nodes {
            versions.new_node().map_err(full)?;
        }
        let label = |reader: &mut Reader<'_>| match reader.u32()? {
            label if label < self.nodes => Ok(label),
            label => Err(format!("it names node {label} of {}", self.nodes)),
        };
        for _ in 0..self.strays {
            let label = label(&mut reader)?;
            let (components, _) = reader.take(dimensions * size_of::<f32>())?.as_chunks();
            let vector: Vec<f32> = components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            versions.keep_stray(label, &vector);
        }
        for _ in 0..self.versions {
            let (label, born) = (label(&mut reader)?, LogIndex(reader.u64()?));
            let died = LogIndex(reader.u64()?);
            let key_bytes = reader.u32()? as usize;
            let key: Arc<[u8]> = reader.take(key_bytes)?.into();
            if born > self.position {
                continue;
            }
            let died = if died > self.position { ALIVE } else { died };
            if !versions.adopt(key, label, born, died).map_err(full)? {
                return Err("it has two versions alive of one key".into());
            }
        }
        if !reader.0.is_empty() {
            return Err(format!("{} bytes follow the last version", reader.0.len()));
        }
        versions.finish_adopting();
        Ok(versions)
    }
}

/// Sees that each node that a row has is there, and lets equal vectors find it.
fn publish(graph: &Graph, versions: &mut Versions, dimensions: usize) -> Result<Result<(), String>> {
    let mut vector = vec![0.0; dimensions];
    for label in 0..versions.node_count() {
        // Below the number of nodes, a u32.
        let label = label as u32;
        let hash = match versions.strays().get(&label) {
            Some(stray) => versions.hash(stray),
            None if graph.read(label, &mut vector)? => versions.hash(&vector),
            None if versions.is_empty_node(label) => continue,
            None => return Ok(Err(format!("its graph lacks node {label}"))),
        };
        versions.publish_node(hash, label);
    }
    Ok(Ok(()))
}

/// A reader of bytes whose checksum was right: what it refuses was written wrongly.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or("its rows end in the middle of one")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("as many bytes as were taken"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }
}

fn metric_code(metric: Metric) -> u32 {
    match metric {
        Metric::L2 => 1,
        Metric::Cosine => 2,
        Metric::InnerProduct => 3,
    }
}

fn usearch_version() -> u32 {
    let mut parts = usearch::version().split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0u32);
    (next() << 16) | (next() << 8)
}
