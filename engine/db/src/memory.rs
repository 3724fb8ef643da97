//! How much memory there is, and other figures of the kernel.

#![allow(clippy::disallowed_methods, reason = "the figures are files of the operating system")]

use std::fs;

/// What is assumed where nothing can be read.
const UNKNOWN_BYTES: usize = 2 << 30;

/// The memory of the machine, or of the control group where that is less, in bytes.
pub fn available_bytes() -> usize {
    let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_groups = limit_files(&groups)
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<usize>().ok());
    of_groups.chain(of_machine).min().unwrap_or(UNKNOWN_BYTES)
}

/// A file of figures that the kernel shows; None where there is no such file.
pub fn figures(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The files that say what a process of these control groups (`/proc/self/cgroup`) may use: of its own group and of all above
/// it, in version 2 (`0::/path`) and version 1 (`4:memory:/path`). Within a container the own group is the root.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{name}"));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
    }
    files
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
    fn the_limits_of_all_groups_above_count() {
        assert_eq!(
            super::limit_files("0::/system.slice/aion.service\n"),
            [
                "/sys/fs/cgroup/system.slice/aion.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(
            super::limit_files("3:cpu:/a\n2:memory:/a\n"),
            [
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert_eq!(super::limit_files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert!(super::limit_files("garbage\n").is_empty());
    }

    #[test]
    fn the_total_is_read_in_kib() {
        assert_eq!(
            super::total("MemTotal:       24576 kB\nMemFree: 1 kB\n"),
            Some(24_576 * 1024)
        );
        assert_eq!(super::total("nothing"), None);
    }
}
