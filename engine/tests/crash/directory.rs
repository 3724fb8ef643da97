//! Data directories as files: copied, and looked into.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a condition may take that needs a moment.
const MOMENT: Duration = Duration::from_secs(30);

/// Every file below `path`, relative to it, sorted.
pub fn files(path: &Path) -> Vec<PathBuf> {
    fn walk(path: &Path, below: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(path).expect("a directory") {
            let entry = entry.expect("an entry");
            let relative = below.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                walk(&entry.path(), &relative, found);
            } else {
                found.push(relative);
            }
        }
    }
    let mut found = Vec::new();
    walk(path, Path::new(""), &mut found);
    found.sort();
    found
}

/// Copies a directory whose files nobody changes meanwhile.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for file in files(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().expect("below `to`")).expect("made");
        std::fs::copy(from.join(&file), target).expect("copied");
    }
}

/// Waits until the last segment of the log ends with a mark: everything before it is known to be durable, and the
/// writer is idle.
pub fn wait_for_mark(data: &Path) {
    let deadline = Instant::now() + MOMENT;
    while !ends_with_mark(data) {
        assert!(
            Instant::now() < deadline,
            "the log of {} has no mark at its end",
            data.display()
        );
        std::thread::yield_now();
    }
}

/// Walks the frames of the last segment, as the header of `engine/storage/src/log/frame.rs` draws them.
fn ends_with_mark(data: &Path) -> bool {
    let log = data.join("log");
    let segments = files(&log)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|name| name == "log"));
    let last = segments.max().expect("a segment");
    let bytes = std::fs::read(log.join(last)).expect("readable");
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let (mut at, mut last_index) = (4096, number(16) - 1);
    while at + 32 <= bytes.len() {
        let length = (number(at) & 0xFFFF_FFFF) as usize;
        let (index, synced_upto) = (number(at + 8), number(at + 24));
        if length == 0 {
            return index == last_index + 1 && synced_upto == last_index;
        }
        last_index = index;
        at += (32 + length).next_multiple_of(8);
    }
    false
}
