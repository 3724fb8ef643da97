//! How much memory there is.

#![allow(clippy::disallowed_methods, reason = "the figures are files of the operating system")]

use std::fs;

/// What is assumed where nothing can be read.
const UNKNOWN_BYTES: usize = 2 << 30;

/// The memory of the machine, or of the control group where that is less, in bytes.
pub fn available_bytes() -> usize {
    let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let of_group = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<usize>().ok());
    of_group.chain(of_machine).min().unwrap_or(UNKNOWN_BYTES)
}

/// `MemTotal` of /proc/meminfo, which counts in KiB.
fn total(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_total_is_read_in_kib() {
        assert_eq!(
            super::total("MemTotal:       24576 kB\nMemFree: 1 kB\n"),
            Some(24_576 * 1024)
        );
        assert_eq!(super::total("nothing"), None);
    }
}
