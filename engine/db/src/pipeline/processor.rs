//! Processor time of the thread that asks, and of the child processes that ended.
//!
//! From `/proc`: the first field of `thread-self/schedstat` is nanoseconds on a processor, fields 16 and 17 of `self/stat` are clock
//! ticks, of which Linux shows user space 100 a second. Elsewhere it is not known, and zero.

use std::time::Duration;

use crate::memory::figures;

/// Clock ticks of a second, as user space sees them.
const TICKS: u64 = 100;

/// A reading of both clocks. They only go up.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessorTime {
    thread: Duration,
    children: Duration,
}

impl ProcessorTime {
    /// Of this thread, and of the children of this process that were waited for.
    pub fn now() -> Self {
        let thread = figures("/proc/thread-self/schedstat").and_then(|text| text.split(' ').next()?.parse().ok());
        let children = figures("/proc/self/stat").and_then(|text| {
            // The second field is the name, in parentheses, which may hold anything.
            let (_, rest) = text.rsplit_once(") ")?;
            let mut fields = rest.split(' ').skip(13);
            let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(user + system)
        });
        Self {
            thread: Duration::from_nanos(thread.unwrap_or(0)),
            children: Duration::from_millis(children.unwrap_or(0) * 1_000 / TICKS),
        }
    }

    /// What was spent since an earlier reading by the same thread.
    pub fn since(self, earlier: Self) -> Duration {
        self.thread.saturating_sub(earlier.thread) + self.children.saturating_sub(earlier.children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_thread_and_of_children_is_seen() {
        let before = ProcessorTime::now();
        let mut sum = 0_u64;
        while ProcessorTime::now().since(before) < Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        let before = ProcessorTime::now();
        let looping = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("sh").args(["-c", looping]).status();
        assert!(status.expect("there is a shell").success());
        assert!(ProcessorTime::now().since(before) >= Duration::from_millis(20));
    }
}
