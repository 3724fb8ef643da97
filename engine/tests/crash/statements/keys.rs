//! The keys of a store that nobody serves, held against its catalog.

use std::collections::BTreeMap;
use std::path::Path;

use aion_catalog::descriptor::{IndexMethod, IndexState};
use aion_catalog::objects::{Catalog, retired_range};
use aion_storage::{Direction, Store, StoreOptions};

use aion_base::KeyRange;

/// Fails with what is wrong.
pub fn check(data: &Path) -> Result<(), String> {
    let store = Store::open(data, StoreOptions::default()).map_err(|error| format!("it does not open: {error}"))?;
    let mut counts: BTreeMap<(u32, u16), usize> = BTreeMap::new();
    let mut entries = Vec::new();
    let mut retired = 0;
    let snapshot = store.snapshot();
    let mut scan = snapshot.scan(&KeyRange::ALL, Direction::Forward);
    while scan.advance().map_err(|error| error.to_string())? {
        let key = scan.key();
        if aion_catalog::objects::range().contains(key) {
            entries.push((key.to_vec(), scan.value().to_vec()));
        }
        retired += usize::from(retired_range().contains(key));
        *counts.entry(address(key)?).or_default() += 1;
    }
    drop(scan);
    drop(snapshot);
    let catalog = Catalog::read(entries).map_err(|error| error.to_string());
    store.close().map_err(|error| error.to_string())?;
    if retired > 0 {
        return Err(format!("{retired} ranges are still to be cleared away after VACUUM"));
    }
    verdict(&catalog?, counts)
}

/// Storage u32 BE, index u16 BE.
fn address(key: &[u8]) -> Result<(u32, u16), String> {
    let (head, _) = key.split_at_checked(6).ok_or_else(|| format!("{key:?} is no key"))?;
    let number = |from: usize, upto: usize| {
        head[from..upto]
            .iter()
            .fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte))
    };
    Ok((number(0, 4), u16::try_from(number(4, 6)).expect("two bytes")))
}

fn verdict(catalog: &Catalog, mut counts: BTreeMap<(u32, u16), usize>) -> Result<(), String> {
    for table in catalog.tables() {
        let rows = counts.remove(&(table.storage.0, 0)).unwrap_or(0);
        for index in table
            .indexes
            .iter()
            .filter(|index| index.method == IndexMethod::Ordered)
        {
            let entries = counts.remove(&(table.storage.0, index.id.0)).unwrap_or(0);
            // Of one whose making a kill interrupted nothing is left once the next server began.
            if index.state != IndexState::Readable {
                return Err(format!("{} of {} is not finished", index.name, table.name));
            }
            if entries != rows {
                return Err(format!(
                    "{} has {rows} rows, and {} {entries} entries",
                    table.name, index.name
                ));
            }
        }
    }
    counts.retain(|(storage, _), _| *storage >= aion_catalog::objects::FIRST_TABLE.0);
    match counts.is_empty() {
        true => Ok(()),
        false => Err(format!("keys of storages and indexes that no table has: {counts:?}")),
    }
}
