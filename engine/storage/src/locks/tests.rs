//! What the table grants, whom it lets wait, and what it refuses.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aion_base::clock::ManualClock;
use aion_base::{Error, SqlState};

use super::LockMode::{KeyShare, NoKeyUpdate, Share, Update};
use super::*;

mod reference;
mod stress;

fn table_with(options: LockOptions) -> LockTable {
    LockTable::new(Arc::new(ManualClock::at(7)), options)
}

fn table() -> LockTable {
    table_with(LockOptions::default())
}

fn granted(owner: &LockOwner, key: &[u8], mode: LockMode) -> Grant {
    match owner.lock(key, mode).expect("no limit, no deadlock") {
        Attempt::Granted(grant) => grant,
        Attempt::Waiting(wait) => panic!("{wait:?} waits"),
    }
}

fn waiting(owner: &LockOwner, key: &[u8], mode: LockMode) -> LockWait {
    match owner.lock(key, mode).expect("no limit, no deadlock") {
        Attempt::Granted(grant) => panic!("{owner:?}: {grant:?}"),
        Attempt::Waiting(wait) => wait,
    }
}

fn refused(owner: &LockOwner, key: &[u8], mode: LockMode) -> Error {
    owner
        .lock(key, mode)
        .map(|found| format!("{found:?}"))
        .expect_err("refused")
}

fn is_granted(wait: &mut LockWait) -> bool {
    wait.wait_timeout(Duration::ZERO).expect("the owner lives")
}

/// Partitions of a statement run on several threads, and wait as tasks that move between them.
#[test]
fn owners_are_shared_between_threads_and_waits_move() {
    fn is_shared<T: Send + Sync + 'static>() {}
    fn moves<T: Send + 'static>() {}
    is_shared::<LockTable>();
    is_shared::<LockOwner>();
    moves::<LockWait>();
}

#[test]
fn two_owners_hold_a_key_together_unless_their_modes_conflict() {
    for held in LockMode::ALL {
        for asked in LockMode::ALL {
            let table = table();
            let (holder, other) = (table.owner(None), table.owner(None));
            assert_eq!(granted(&holder, b"k", held), Grant::Acquired);
            assert_eq!(
                other.try_lock(b"k", asked).expect("no limit").is_none(),
                asked.conflicts_with(held)
            );
            assert_eq!(other.holds(b"k"), (!asked.conflicts_with(held)).then_some(asked));
            drop(holder);
            assert!(
                other.try_lock(b"k", asked).expect("no limit").is_some(),
                "nobody is left"
            );
            drop(other);
            assert_eq!(table.locks(), 0);
        }
    }
}

#[test]
fn different_keys_do_not_meet() {
    let table = table();
    let (left, right) = (table.owner(None), table.owner(None));
    for number in 0..10_000_u32 {
        granted(&left, &(number * 2).to_be_bytes(), Update);
        granted(&right, &(number * 2 + 1).to_be_bytes(), Update);
    }
    assert_eq!((left.locks(), right.locks(), table.locks()), (10_000, 10_000, 20_000));
    drop(left);
    assert_eq!(table.locks(), 10_000);
}

#[test]
fn what_is_held_is_granted_again_and_becomes_stronger_in_place() {
    let table = table();
    let owner = table.owner(None);
    assert_eq!(granted(&owner, b"k", Share), Grant::Acquired);
    assert_eq!(granted(&owner, b"k", KeyShare), Grant::Held);
    assert_eq!(granted(&owner, b"k", Update), Grant::Upgraded { from: Share });
    assert_eq!(granted(&owner, b"k", Share), Grant::Held);
    assert_eq!(owner.holds(b"k"), Some(Update));
    assert_eq!((owner.locks(), table.locks()), (1, 1));
}

#[test]
fn who_came_first_is_served_first() {
    let table = table();
    let owners: Vec<LockOwner> = (0..4).map(|_| table.owner(None)).collect();
    granted(&owners[0], b"k", Update);
    let mut waits: Vec<LockWait> = owners[1..].iter().map(|owner| waiting(owner, b"k", Update)).collect();
    for (at, owner) in owners.into_iter().enumerate().take(3) {
        assert!(waits.iter_mut().all(|wait| !is_granted(wait)));
        drop(owner);
        assert!(is_granted(&mut waits[0]), "owner {at} left it to the next");
        drop(waits.remove(0));
    }
}

/// A stream of readers would keep a writer waiting for ever if they passed it.
#[test]
fn a_reader_waits_behind_a_writer_that_waits() {
    let table = table();
    let (first, writer, second, third) = (
        table.owner(None),
        table.owner(None),
        table.owner(None),
        table.owner(None),
    );
    granted(&first, b"k", Share);
    let mut written = waiting(&writer, b"k", NoKeyUpdate);
    let mut read = waiting(&second, b"k", Share);
    assert_eq!(granted(&third, b"k", KeyShare), Grant::Acquired, "excludes neither");
    drop(first);
    assert!(is_granted(&mut written) && !is_granted(&mut read));
    drop(writer);
    assert!(is_granted(&mut read));
}

#[test]
fn a_release_wakes_all_that_nothing_blocks_and_no_other() {
    let table = table();
    let (holder, a, b, writer, c) = (
        table.owner(None),
        table.owner(None),
        table.owner(None),
        table.owner(None),
        table.owner(None),
    );
    granted(&holder, b"k", Update);
    let mut first = waiting(&a, b"k", Share);
    let mut second = waiting(&b, b"k", KeyShare);
    let mut third = waiting(&writer, b"k", NoKeyUpdate);
    let mut fourth = waiting(&c, b"k", KeyShare);
    drop(holder);
    assert!(is_granted(&mut first) && is_granted(&mut second) && is_granted(&mut fourth));
    assert!(!is_granted(&mut third));
    drop(a);
    assert!(is_granted(&mut third), "the others exclude it not");
}

#[test]
fn an_upgrade_goes_before_the_queue() {
    let table = table();
    let (holder, other, queued) = (table.owner(None), table.owner(None), table.owner(None));
    granted(&holder, b"k", KeyShare);
    granted(&other, b"k", Share);
    let mut last = waiting(&queued, b"k", Update);
    assert_eq!(granted(&holder, b"k", Share), Grant::Upgraded { from: KeyShare });
    let mut upgrade = waiting(&holder, b"k", NoKeyUpdate);
    drop(other);
    assert!(is_granted(&mut upgrade) && !is_granted(&mut last));
    assert_eq!(holder.holds(b"k"), Some(NoKeyUpdate));
    drop(holder);
    assert!(is_granted(&mut last));
}

#[test]
fn two_who_wait_for_each_other_are_told_and_the_other_goes_on() {
    let table = table();
    let (left, right) = (
        table.owner(Some("process 1".into())),
        table.owner(Some("process 2".into())),
    );
    granted(&left, b"a", Update);
    granted(&right, b"b", Update);
    let mut wait = waiting(&left, b"b", Update);
    let error = refused(&right, b"a", Update);
    assert_eq!(error.state(), SqlState::DEADLOCK_DETECTED);
    assert_eq!(
        error.detail(),
        Some("process 2 waits for process 1; process 1 waits for process 2.")
    );
    assert_eq!(right.holds(b"a"), None);
    assert_eq!(table.waits(), 1, "the victim waits no more");
    drop(right);
    assert!(is_granted(&mut wait));
}

#[test]
fn a_circle_of_three_is_told() {
    let table = table();
    let owners: Vec<LockOwner> = (0..3).map(|_| table.owner(None)).collect();
    let keys = [b"a", b"b", b"c"];
    for (owner, key) in owners.iter().zip(keys) {
        granted(owner, key, Update);
    }
    let _first = waiting(&owners[0], keys[1], NoKeyUpdate);
    let _second = waiting(&owners[1], keys[2], Share);
    let error = refused(&owners[2], keys[0], KeyShare);
    assert_eq!(error.state(), SqlState::DEADLOCK_DETECTED);
    assert_eq!(
        error.detail(),
        Some("owner 3 waits for owner 1; owner 1 waits for owner 2; owner 2 waits for owner 3.")
    );
}

#[test]
fn two_readers_of_a_row_who_both_want_to_change_it() {
    let table = table();
    let (left, right) = (table.owner(None), table.owner(None));
    granted(&left, b"k", Share);
    granted(&right, b"k", Share);
    let mut wait = waiting(&left, b"k", NoKeyUpdate);
    assert_eq!(refused(&right, b"k", NoKeyUpdate).state(), SqlState::DEADLOCK_DETECTED);
    drop(right);
    assert!(is_granted(&mut wait));
}

/// `queued` waits behind `reader` for a key, and for it `holder` of another key would wait behind `queued`: but the holder only has to
/// read the key, which nobody else keeps from it.
#[test]
fn who_is_blocked_by_the_queue_alone_passes_it_before_a_deadlock() {
    let table = table();
    let (reader, queued, holder) = (table.owner(None), table.owner(None), table.owner(None));
    granted(&reader, b"k", Share);
    granted(&holder, b"other", Update);
    let mut write = waiting(&queued, b"k", Update);
    let mut read = waiting(&reader, b"other", Share);
    assert_eq!(granted(&holder, b"k", Share), Grant::Acquired);
    drop(holder);
    assert!(is_granted(&mut read) && !is_granted(&mut write));
    drop(reader);
    assert!(is_granted(&mut write));
}

/// An owner could wait for several locks, one for each partition of a statement, and that hung: `owner` waits for `j`, which `other` holds, and
/// asks for more of `k`, which makes `other` wait for it. The circle was found; but `third` ended before the request was taken back, which was
/// granted by that, and so the circle was taken for broken. It went on through `j`.
#[test]
fn an_owner_waits_for_one_lock_at_a_time() {
    let table = table();
    let (owner, other, third) = (
        table.owner(Some("process 1".into())),
        table.owner(None),
        table.owner(None),
    );
    granted(&other, b"j", Update);
    granted(&owner, b"k", KeyShare);
    granted(&third, b"k", NoKeyUpdate);
    let mut wait = waiting(&owner, b"j", Update);
    let mut blocked = waiting(&other, b"k", NoKeyUpdate);
    let error = refused(&owner, b"k", NoKeyUpdate);
    assert_eq!(error.state(), SqlState::INTERNAL_ERROR);
    assert_eq!(error.message(), "process 1 would wait for two row locks at one time");
    assert_eq!(refused(&owner, b"j", KeyShare).state(), SqlState::INTERNAL_ERROR);
    assert_eq!(
        owner.try_lock(b"j", KeyShare).expect("no limit"),
        None,
        "it waits itself"
    );
    assert_eq!((table.waits(), owner.holds(b"k")), (2, Some(KeyShare)), "as before");
    drop(third);
    assert!(is_granted(&mut blocked));
    drop(other);
    assert!(is_granted(&mut wait));
    assert_eq!(granted(&owner, b"k", NoKeyUpdate), Grant::Upgraded { from: KeyShare });
}

/// A wait is over when its lock is granted, whether that was noticed or not, and when it is dropped.
#[test]
fn an_owner_waits_again_when_it_waits_no_more() {
    let table = table();
    let (holder, other, owner) = (table.owner(None), table.owner(None), table.owner(None));
    granted(&holder, b"a", Update);
    granted(&other, b"b", Update);
    let unnoticed = waiting(&owner, b"a", Update);
    drop(holder);
    drop(waiting(&owner, b"b", Update));
    let mut wait = waiting(&owner, b"b", Update);
    drop(unnoticed);
    drop(other);
    assert!(is_granted(&mut wait));
}

/// While one partition of a statement waits, another locks what nobody keeps from it. A stronger lock on `k`, for which `other` would begin to
/// wait while it keeps `j` from the owner, would close a circle that nobody looks for.
#[test]
fn who_waits_is_given_no_lock_that_others_would_begin_to_wait_for() {
    let table = table();
    let (owner, other, third) = (table.owner(None), table.owner(None), table.owner(None));
    granted(&owner, b"k", KeyShare);
    granted(&third, b"k", Share);
    granted(&other, b"j", Update);
    let mut wait = waiting(&owner, b"j", Update);
    let _blocked = waiting(&other, b"k", NoKeyUpdate);
    assert_eq!(granted(&owner, b"k", KeyShare), Grant::Held);
    assert_eq!(granted(&owner, b"free", Update), Grant::Acquired);
    assert_eq!(owner.try_lock(b"k", Share).expect("no limit"), None);
    assert_eq!(refused(&owner, b"k", Share).state(), SqlState::INTERNAL_ERROR);
    assert_eq!(owner.holds(b"k"), Some(KeyShare), "as before");
    drop(other);
    assert!(is_granted(&mut wait));
    assert_eq!(granted(&owner, b"k", Share), Grant::Upgraded { from: KeyShare });
}

#[test]
fn a_dropped_wait_is_taken_back() {
    let table = table();
    let (holder, quitter, next) = (table.owner(None), table.owner(None), table.owner(None));
    granted(&holder, b"k", Share);
    let quits = waiting(&quitter, b"k", Update);
    let mut wait = waiting(&next, b"k", Share);
    drop(quits);
    assert!(is_granted(&mut wait), "nobody is before it any more");
    drop((holder, next));
    assert_eq!((table.locks(), quitter.locks()), (0, 0));
}

#[test]
fn a_lock_that_was_granted_unnoticed_stays_until_the_owner_ends() {
    let table = table();
    let (holder, owner) = (table.owner(None), table.owner(None));
    granted(&holder, b"k", Update);
    let wait = waiting(&owner, b"k", Update);
    drop(holder);
    drop(wait);
    assert_eq!((owner.holds(b"k"), table.waits()), (Some(Update), 0));
    drop(owner);
    assert_eq!(table.locks(), 0);
}

#[test]
fn an_owner_that_ends_ends_what_it_waits_for() {
    let table = table();
    let (holder, owner, next) = (table.owner(None), table.owner(None), table.owner(None));
    granted(&holder, b"k", KeyShare);
    let mut wait = waiting(&owner, b"k", Update);
    let mut behind = waiting(&next, b"k", KeyShare);
    drop(owner);
    assert!(is_granted(&mut behind));
    let error = wait.wait_timeout(Duration::ZERO).expect_err("ended");
    assert_eq!(error.state(), SqlState::QUERY_CANCELED);
    drop((wait, behind, holder, next));
    assert_eq!((table.locks(), table.waits()), (0, 0));
}

#[test]
fn a_panic_leaves_no_lock() {
    let table = table();
    let panics = std::thread::spawn({
        let table = table.clone();
        move || {
            let owner = table.owner(None);
            granted(&owner, b"k", Update);
            panic!("as planned");
        }
    });
    panics.join().expect_err("it panicked");
    assert_eq!(table.locks(), 0);
}

#[test]
fn a_wait_is_a_future_that_is_woken() {
    let table = table();
    let (holder, owner) = (table.owner(None), table.owner(None));
    granted(&holder, b"k", Update);
    let mut wait = Box::pin(waiting(&owner, b"k", Share));
    let (sender, woken) = std::sync::mpsc::channel();
    let waker = Waker::from(Arc::new(Sends(sender)));
    let mut context = Context::from_waker(&waker);
    assert!(wait.as_mut().poll(&mut context).is_pending());
    assert!(wait.as_mut().poll(&mut context).is_pending());
    woken.try_recv().expect_err("not yet");
    drop(holder);
    woken.recv().expect("woken");
    assert!(matches!(wait.as_mut().poll(&mut context), Poll::Ready(Ok(()))));
    assert_eq!(owner.holds(b"k"), Some(Share));
}

struct Sends(std::sync::mpsc::Sender<()>);

impl std::task::Wake for Sends {
    fn wake(self: Arc<Self>) {
        self.0.send(()).expect("the test listens");
    }
}

#[test]
fn what_was_locked_since_a_mark_is_released() {
    let table = table();
    let (owner, other) = (table.owner(None), table.owner(None));
    granted(&owner, b"a", Update);
    granted(&owner, b"b", KeyShare);
    let outer = owner.mark();
    granted(&owner, b"b", Share);
    granted(&owner, b"c", Share);
    let inner = owner.mark();
    granted(&owner, b"b", Update);
    granted(&owner, b"c", Update);
    granted(&owner, b"d", Update);
    let mut wait = waiting(&other, b"b", Share);
    owner.release_to(inner);
    let held = |key: &[u8]| owner.holds(key);
    assert_eq!((held(b"b"), held(b"c"), held(b"d")), (Some(Share), Some(Share), None));
    assert!(is_granted(&mut wait), "the lock is weak enough again");
    owner.release_to(inner);
    owner.release_to(outer);
    assert_eq!(
        (held(b"a"), held(b"b"), held(b"c")),
        (Some(Update), Some(KeyShare), None)
    );
    assert_eq!((owner.locks(), table.locks()), (2, 3));
    granted(&owner, b"c", Share);
    owner.release_to(outer);
    assert_eq!((held(b"c"), owner.locks()), (None, 2));
}

#[test]
fn an_owner_locks_at_most_so_many_keys() {
    let table = table_with(LockOptions {
        locks_per_owner_max: 2,
        ..LockOptions::default()
    });
    let (owner, other) = (table.owner(None), table.owner(None));
    granted(&other, b"c", Share);
    granted(&owner, b"a", Share);
    granted(&owner, b"b", Share);
    granted(&owner, b"b", Update);
    for key in [b"c", b"d"] {
        let error = refused(&owner, key, Share);
        assert_eq!(error.state(), SqlState::OUT_OF_MEMORY);
        assert!(error.hint().is_some());
    }
    assert_eq!((owner.locks(), table.locks()), (2, 3));
    granted(&other, b"c", Update);
}

#[test]
fn a_full_table_refuses_and_has_room_again() {
    let table = table_with(LockOptions {
        bytes_max: SHARDS * 100 * LOCK_BYTES,
        ..LockOptions::default()
    });
    let owner = table.owner(None);
    let (mut number, mut refusals) = (0_u32, 0);
    while refusals < 100 {
        match owner.lock(&number.to_be_bytes(), Update) {
            Ok(_) => number += 1,
            Err(error) => {
                assert_eq!(error.state(), SqlState::OUT_OF_MEMORY);
                number += 1;
                refusals += 1;
            }
        }
    }
    let locks = table.locks();
    assert!((SHARDS * 50..=SHARDS * 100).contains(&locks), "{locks} locks");
    drop(owner);
    assert_eq!(table.locks(), 0);
    granted(&table.owner(None), b"k", Update);
}

#[test]
fn no_more_than_so_many_wait() {
    let table = table_with(LockOptions {
        waits_max: 1,
        ..LockOptions::default()
    });
    let (holder, first, second) = (table.owner(None), table.owner(None), table.owner(None));
    granted(&holder, b"k", Update);
    let wait = waiting(&first, b"k", Update);
    assert_eq!(refused(&second, b"k", Update).state(), SqlState::OUT_OF_MEMORY);
    drop(wait);
    waiting(&second, b"k", Update);
}

#[test]
fn the_view_shows_who_holds_and_who_waits() {
    let table = table();
    let (holder, waiter) = (table.owner(Some("process 1".into())), table.owner(None));
    let long = [7; 100];
    granted(&holder, b"quiet", Share);
    granted(&holder, &long, Update);
    let _wait = waiting(&waiter, &long, KeyShare);
    let entries = table.list(10);
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.owner,
                entry.label.as_deref(),
                entry.mode,
                entry.waiting_since_micros,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (holder.id(), Some("process 1"), Update, None),
            (waiter.id(), None, KeyShare, Some(7)),
            (holder.id(), Some("process 1"), Share, None),
        ]
    );
    assert_eq!(entries[0].key_prefix.as_deref(), Some(&long[..64]));
    assert_eq!(
        (entries[0].key, entries[2].key_prefix.as_deref()),
        (entries[1].key, None)
    );
    assert_ne!(entries[0].key, entries[2].key);
    assert!(entries[0].is_granted && !entries[1].is_granted);
    assert_eq!(table.list(2), entries[..2]);
    assert!(table.list(0).is_empty());
}

/// After a large transaction the table is as small as before.
#[test]
fn room_is_given_back() {
    let table = table();
    let owner = table.owner(None);
    let mark = owner.mark();
    for number in 0..1_000_000_u32 {
        granted(&owner, &number.to_be_bytes(), Update);
    }
    let room = || -> usize { table.table.shards.iter().map(|shard| shard.keys.lock().room()).sum() };
    assert!(room() >= 1_000_000);
    owner.release_to(mark);
    assert!(room() <= SHARDS * 2048, "room for {} locks", room());
}
