//! Processor time of the thread that asks, and of other processes.
//!
//! From `/proc`: the first field of `thread-self/schedstat` is nanoseconds on a processor, fields 14 and 15 of `PID/stat` are clock
//! ticks, of which Linux shows user space 100 a second. Elsewhere it is not known, and zero.

use std::time::Duration;

use crate::memory::figures;

/// Clock ticks of a second, as user space sees them.
const TICKS: u64 = 100;

/// Processor time of this thread so far.
pub fn of_this_thread() -> Duration {
    let nanos = figures("/proc/thread-self/schedstat").and_then(|text| text.split(' ').next()?.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Processor time of a process so far, to a hundredth of a second; zero where there is none with this id.
pub fn of_process(id: u32) -> Duration {
    let ticks = figures(&format!("/proc/{id}/stat")).and_then(|text| {
        // The second field is the name, in parentheses, which may hold anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split(' ').skip(11);
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(user + system)
    });
    Duration::from_millis(ticks.unwrap_or(0) * 1_000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_thread_and_of_a_process_is_seen() {
        let before = of_this_thread();
        let mut sum = 0_u64;
        while of_this_thread() - before < Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        let child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn();
        let mut child = child.expect("there is a shell");
        while of_process(child.id()) < Duration::from_millis(20) {
            std::thread::yield_now();
        }
        child.kill().expect("it runs");
        child.wait().expect("it ended");
        assert_eq!(of_process(child.id()), Duration::ZERO);
    }
}
