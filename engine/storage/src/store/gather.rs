//! How long the commit thread waits for company.
//!
//! One sync makes a *group* of commits durable. Who comes while it runs waits for the next one, so that eight who commit again and again fall apart
//! into groups that sync in turn, each at half the pace. A short wait before a sync, for those who were there a moment ago, brings them together.
//!
//! **Rules.** Nobody waits while syncs are fast, below [`FAST_SYNC`]: groups that sync in turn then keep the processors at work meanwhile, which is worth more than
//! the syncs they share. (Eight threads of small transactions, syncs of 0.1 ms, two cores: 18,400 and 17,500 a second with the wait, 22,000 and 20,100 without; batches of 8 puts
//! by eight streams: 147,000 and 165,000, 159,000 and 179,000.) Who commits alone is never waited for. The *company* that is expected are the commits of the last group and those that had come when it
//! was over. The wait is at most a third of what a sync takes. One that brings less than half of who was missing was in vain: the next ones are left
//! out, twice as many each time. So clients that think between their commits lose next to nothing.

use std::time::Duration;

/// Nobody is waited for while a sync takes less in the mean, and who commits alone waits for it itself.
pub const FAST_SYNC: Duration = Duration::from_micros(500);
/// A wait is at most this long.
const WAIT_MAX: Duration = Duration::from_micros(200);
/// What a sync takes is the mean of about so many.
const SYNCS_MEAN: u32 = 16;
/// Groups that are left out after waits in vain, at most.
const LEFT_OUT_MAX: u32 = 64;

/// See the module's header.
#[derive(Debug, Default)]
pub struct Gather {
    /// How many are expected.
    company: usize,
    sync: Duration,
    /// Groups for which nobody waits now, and for how many after the next wait in vain.
    left_out: u32,
    next_left_out: u32,
}

impl Gather {
    /// How many commits to wait for, and how long; None to begin with the `there` that are.
    pub fn wish(&mut self, there: usize) -> Option<(usize, Duration)> {
        if self.is_alone() || there >= self.company || self.sync < FAST_SYNC {
            return None;
        }
        if self.left_out > 0 {
            self.left_out -= 1;
            return None;
        }
        Some((self.company, (self.sync / 3).min(WAIT_MAX)))
    }

    /// Whether no company is expected.
    pub fn is_alone(&self) -> bool {
        self.company < 2
    }

    /// What a sync takes in the mean; None before the first.
    pub fn sync(&self) -> Option<Duration> {
        Some(self.sync).filter(|sync| !sync.is_zero())
    }

    /// A wait for a wish is over: there were `before`, and now there are `after`.
    pub fn waited(&mut self, before: usize, after: usize) {
        let missing = self.company.saturating_sub(before);
        if (after - before) * 2 >= missing {
            self.next_left_out = 1;
        } else {
            self.left_out = self.next_left_out.max(1);
            self.next_left_out = (self.left_out * 2).min(LEFT_OUT_MAX);
        }
    }

    /// A group of commits is durable; its sync took so long, and so many wait for the next one.
    pub fn synced(&mut self, group: usize, sync: Duration, waiting: usize) {
        self.company = group + waiting;
        self.sync = match self.sync.is_zero() {
            true => sync,
            false => (self.sync * (SYNCS_MEAN - 1) + sync) / SYNCS_MEAN,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: u64 = 600;

    /// Clients that commit, are answered, and come back after a while, in microseconds. How many commits were answered, and how many syncs it took.
    fn run(clients: usize, think: impl Fn(usize, u64) -> u64, is_gathering: bool) -> (u64, u64) {
        let mut gather = Gather::default();
        let mut arrivals: Vec<u64> = (0..clients).map(|client| think(client, 0)).collect();
        let (mut now, mut commits, mut syncs) = (0, 0, 0);
        while now < 1_000_000 {
            let first = *arrivals.iter().min().expect("a client");
            now = now.max(first);
            let there = |now: u64, arrivals: &[u64]| arrivals.iter().filter(|at| **at <= now).count();
            let before = there(now, &arrivals);
            if is_gathering && let Some((wanted, longest)) = gather.wish(before) {
                let end = now + longest.as_micros() as u64;
                while now < end && there(now, &arrivals) < wanted {
                    now += 1;
                }
                gather.waited(before, there(now, &arrivals));
            }
            let group: Vec<usize> = (0..clients).filter(|client| arrivals[*client] <= now).collect();
            now += SYNC;
            syncs += 1;
            commits += group.len() as u64;
            let waiting = there(now, &arrivals) - group.len();
            gather.synced(group.len(), Duration::from_micros(SYNC), waiting);
            for client in group {
                arrivals[client] = now + think(client, commits);
            }
        }
        (commits, syncs)
    }

    #[test]
    fn who_commits_alone_is_not_waited_for() {
        assert_eq!(run(1, |_, _| 40, true), run(1, |_, _| 40, false));
    }

    #[test]
    fn who_comes_back_at_once_shares_a_sync() {
        let think = |client: usize, _| 5 + 6 * client as u64;
        let (apart, _) = run(8, think, false);
        let (together, syncs) = run(8, think, true);
        assert!(together * 10 > apart * 15, "{together} against {apart}");
        assert!(together > syncs * 7, "{together} in {syncs}");
    }

    #[test]
    fn nobody_waits_while_syncs_are_fast() {
        let mut gather = Gather::default();
        gather.synced(4, Duration::from_micros(100), 4);
        assert_eq!(gather.wish(4), None);
        (0..64).for_each(|_| gather.synced(4, Duration::from_micros(900), 4));
        assert_eq!(gather.wish(4).map(|(wanted, _)| wanted), Some(8));
    }

    /// Pauses of many syncs, each another one: waiting brings nobody.
    #[test]
    fn who_thinks_long_loses_next_to_nothing() {
        let think = |client: usize, commits: u64| 1_500 + (client as u64 * 7_919 + commits * 104_729) % 3_000;
        let (apart, _) = run(4, think, false);
        let (together, _) = run(4, think, true);
        assert!(together * 100 >= apart * 98, "{together} against {apart}");
    }
}
