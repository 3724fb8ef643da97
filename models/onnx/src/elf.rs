//! Whether a file is ONNX Runtime, without running anything of it.
//!
//! Loading a library runs its constructors, whatever it is. So the file is read first, as much of the ELF format (System V ABI, and the
//! GNU extension for versions of symbols) as it takes:
//!
//! 1. The header: 64 bits, little-endian, a shared object, for this machine.
//! 2. The table of sections, which stands at the end: a library that was cut while it was downloaded lacks it.
//! 3. Of the dynamic symbols, `OrtGetApiBase` must be defined.
//! 4. Of the versions of symbols, ONNX Runtime defines `VERS_1.MINOR.PATCH`. Some builds define none; then the version is checked
//!    after loading, by `ort`.
//!
//! Everything is bounded and read at offsets that are checked; a wrong file is an error with the reason.

use aion_base::files::File;

/// Sections of a library.
const SECTIONS_MAX: usize = 4_096;
/// Bytes of a table of symbols or strings.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// Versions that a library defines.
const VERSIONS_MAX: usize = 256;

const HEADER_BYTES: usize = 64;
const SECTION_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;
const SHARED_OBJECT: u16 = 3;
const DYNAMIC_SYMBOLS: u32 = 11;
const VERSION_DEFINITIONS: u32 = 0x6fff_fffd;
const ENTRY_POINT: &[u8] = b"OrtGetApiBase";
const VERSION_PREFIX: &str = "VERS_";

/// The version of the ONNX Runtime in `file`, where it says one.
pub(crate) fn version(file: &dyn File) -> Result<Option<String>, String> {
    let header = read(file, 0, HEADER_BYTES as u64)?;
    if !header.starts_with(b"\x7fELF") {
        return Err("it is no library of this system".to_owned());
    }
    if header[4..6] != [2, 1] || u16_at(&header, 16)? != SHARED_OBJECT {
        return Err("it is no shared library of 64 bits".to_owned());
    }
    let machine = u16_at(&header, 18)?;
    if this_machine().is_some_and(|this| this != machine) {
        return Err(format!("it is for another processor (ELF machine {machine})"));
    }
    let sections = sections(file, &header)?;
    let of_kind = |kind: u32| sections.iter().find(|section| section.kind == kind);
    let symbols = of_kind(DYNAMIC_SYMBOLS).ok_or("it exports nothing")?;
    let names = strings_of(file, &sections, symbols)?;
    let table = read(file, symbols.offset, symbols.bytes)?;
    let is_entry_point = |symbol: &[u8]| {
        let section = u16_at(symbol, 6).unwrap_or(0);
        let name = u32_at(symbol, 0).ok().and_then(|at| string_at(&names, at as usize));
        section != 0 && name == Some(ENTRY_POINT)
    };
    if !table.chunks_exact(SYMBOL_BYTES).any(is_entry_point) {
        return Err("it is another library: it does not export OrtGetApiBase".to_owned());
    }
    match of_kind(VERSION_DEFINITIONS) {
        Some(definitions) => defined_version(file, &sections, definitions),
        None => Ok(None),
    }
}

/// The ELF number of the processor that this program was compiled for, where it is one of those that ONNX Runtime is built for.
fn this_machine() -> Option<u16> {
    match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    }
}

struct Section {
    kind: u32,
    offset: u64,
    bytes: u64,
    link: usize,
}

fn sections(file: &dyn File, header: &[u8]) -> Result<Vec<Section>, String> {
    let offset = u64_at(header, 40)?;
    let count = usize::from(u16_at(header, 60)?);
    if usize::from(u16_at(header, 58)?) != SECTION_BYTES || count == 0 || count > SECTIONS_MAX {
        return Err("it has no table of sections".to_owned());
    }
    let table = read(file, offset, (count * SECTION_BYTES) as u64)?;
    let sections = table.chunks_exact(SECTION_BYTES).map(|section| {
        Ok(Section {
            kind: u32_at(section, 4)?,
            offset: u64_at(section, 24)?,
            bytes: u64_at(section, 32)?,
            link: u32_at(section, 40)? as usize,
        })
    });
    sections.collect()
}

/// The strings that a section's names point into.
fn strings_of(file: &dyn File, sections: &[Section], of: &Section) -> Result<Vec<u8>, String> {
    let strings = sections.get(of.link).ok_or("its names are missing")?;
    read(file, strings.offset, strings.bytes)
}

/// Walks the definitions: each has an offset to its name and one to the next definition.
fn defined_version(file: &dyn File, sections: &[Section], definitions: &Section) -> Result<Option<String>, String> {
    let names = strings_of(file, sections, definitions)?;
    let table = read(file, definitions.offset, definitions.bytes)?;
    let mut at = 0;
    for _ in 0..VERSIONS_MAX {
        let name = at + u32_at(&table, at + 12)? as usize;
        let name = string_at(&names, u32_at(&table, name)? as usize).and_then(|name| std::str::from_utf8(name).ok());
        if let Some(version) = name.and_then(|name| name.strip_prefix(VERSION_PREFIX)) {
            return Ok(Some(version.to_owned()));
        }
        match u32_at(&table, at + 16)? as usize {
            0 => return Ok(None),
            next => at += next,
        }
    }
    Ok(None)
}

fn read(file: &dyn File, offset: u64, bytes: u64) -> Result<Vec<u8>, String> {
    let length = file.len().map_err(|error| format!("it cannot be read: {error}"))?;
    let ends_within = offset.checked_add(bytes).is_some_and(|end| end <= length);
    if !ends_within || bytes > TABLE_BYTES_MAX {
        return Err("it was cut: a part of it is missing".to_owned());
    }
    let mut buffer = vec![0; bytes as usize];
    match file.read_at(&mut buffer, offset) {
        Ok(read) if read == buffer.len() => Ok(buffer),
        Ok(_) => Err("it was cut while it was read".to_owned()),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], String> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    found
        .copied()
        .ok_or_else(|| "a table of it points outside of itself".to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, String> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, String> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}

/// The string that starts there, up to its zero.
fn string_at(strings: &[u8], at: usize) -> Option<&[u8]> {
    let rest = strings.get(at..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(&rest[..end])
}

/// The number that a file for this machine has.
#[cfg(test)]
pub(crate) fn machine_for_tests() -> u16 {
    this_machine().unwrap_or(0)
}
