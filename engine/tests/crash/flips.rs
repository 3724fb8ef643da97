//! Flipped bits: the same answers, or an error that names the file or the directory. Never a wrong answer, a crash, a hang.
//!
//! Two directories are prepared by a writing process, one closed and one killed after its log said that all is durable.
//! Each time a copy gets one random bit flipped, and `aion check` reads all of it in a process of its own, so that an
//! abort or a hang is seen as such. After a refusal the bit is flipped back, and everything must be there again: to look
//! at damage must not make it worse.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use aion_base::rng::SeededRng;

use super::child::{Disk, Writer};
use super::directory::{copy, files, wait_for_mark};
use crate::program::{at_length, program, seed};

const CHECK_MAX: Duration = Duration::from_secs(60);
const TRANSACTIONS: u64 = 600;

/// Kinds of files, by the beginning and the end of their names; each gets its share of the flips, however many or large
/// its files are.
const KINDS: &[(&str, &str, &str)] = &[
    ("SST", "data/", ".sst"),
    ("MANIFEST", "data/MANIFEST-", ""),
    ("CURRENT", "data/CURRENT", ""),
    ("OPTIONS", "data/OPTIONS-", ""),
    ("FORMAT", "FORMAT", ""),
    ("log", "log/", ""),
];

struct Checked {
    is_success: bool,
    answer: String,
    complaint: String,
}

/// Reads the whole directory in another process.
fn check(data: &Path) -> Result<Checked, String> {
    let mut child = Command::new(program())
        .arg("check")
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut streams = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        let mut text = [Vec::new(), Vec::new()];
        // A few lines each, so neither fills its pipe while the other is read.
        let read = streams
            .0
            .read_to_end(&mut text[0])
            .and(streams.1.read_to_end(&mut text[1]));
        let _ = sender.send(read.map(|_| text));
    });
    let text = ended.recv_timeout(CHECK_MAX);
    if text.is_err() {
        child.kill().expect("a child of ours");
    }
    let status = child.wait().expect("a child of ours");
    let Ok(text) = text else {
        return Err(format!("no answer within {} s", CHECK_MAX.as_secs()));
    };
    let [answer, complaint] = text
        .expect("two pipes")
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match status.code() {
        Some(0 | 1) if !complaint.contains("panicked") => Ok(Checked {
            is_success: status.success(),
            answer: answer.split(", ").take(2).collect::<Vec<_>>().join(", "),
            complaint,
        }),
        _ => Err(format!("it ended with {status}: {complaint}")),
    }
}

fn prepare(data: &Path, seed: u64, is_killed: bool) {
    let mut writer = Writer::start(data, seed, 1, Disk::Kernel, Some(TRANSACTIONS));
    writer.listen_until_done();
    if is_killed {
        wait_for_mark(data);
        writer.kill();
    } else {
        writer.close();
    }
}

fn flip(file: &Path, bit: u64) {
    let mut bytes = std::fs::read(file).expect("readable");
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn a_flipped_bit_changes_no_answer() {
    let flips = at_length(60, 200);
    let seed = seed();
    let mut rng = SeededRng::new(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let bases: [PathBuf; 2] = ["closed", "killed"].map(|name| dir.path().join(name));
    let mut answers = Vec::new();
    for (base, is_killed) in bases.iter().zip([false, true]) {
        prepare(base, seed, is_killed);
        let pristine = dir.path().join("pristine");
        copy(base, &pristine);
        let checked = check(&pristine).expect("an answer");
        assert!(checked.is_success, "{}", checked.complaint);
        std::fs::remove_dir_all(&pristine).expect("removed");
        answers.push(checked.answer);
    }
    assert_eq!(answers[0], answers[1], "closed or killed, the rows are the same");

    let mut found = vec![(0, 0); KINDS.len()];
    for number in 0..flips {
        let kind = number % KINDS.len();
        let (kind_name, begin, end) = KINDS[kind];
        let base = &bases[rng.below(2) as usize];
        let damaged = dir.path().join("damaged");
        copy(base, &damaged);
        let candidates: Vec<PathBuf> = files(&damaged)
            .into_iter()
            .filter(|file| file.to_string_lossy().starts_with(begin) && file.to_string_lossy().ends_with(end))
            // A kill during a flush leaves an empty file.
            .filter(|file| std::fs::metadata(damaged.join(file)).expect("a file").len() > 0)
            .collect();
        assert!(
            !candidates.is_empty(),
            "{} has no file of kind {kind_name}",
            base.display()
        );
        let file = &candidates[rng.below(candidates.len() as u64) as usize];
        let size = std::fs::metadata(damaged.join(file)).expect("a file").len();
        let bit = rng.below(size * 8);
        flip(&damaged.join(file), bit);
        let what = format!("flip {number}: bit {bit} of {} of {}", file.display(), base.display());

        let checked = check(&damaged).unwrap_or_else(|how| panic!("{what}: {how}"));
        if checked.is_success {
            assert_eq!(checked.answer, answers[0], "{what}: a wrong answer");
            found[kind].0 += 1;
        } else {
            let place = damaged.to_string_lossy();
            assert!(
                checked.complaint.contains(&*place),
                "{what}: neither file nor directory is named: {}",
                checked.complaint
            );
            // The refusal says that nothing was changed: with the file restored, all is there.
            flip(&damaged.join(file), bit);
            let restored = check(&damaged).unwrap_or_else(|how| panic!("{what}, restored: {how}"));
            assert!(
                restored.is_success,
                "{what}, restored: {}; before: {}",
                restored.complaint, checked.complaint
            );
            assert_eq!(restored.answer, answers[0], "{what}, restored: a wrong answer");
            found[kind].1 += 1;
        }
        std::fs::remove_dir_all(&damaged).expect("removed");
    }
    for ((name, ..), (same, refused)) in KINDS.iter().zip(&found) {
        println!("{name:<8} {same:>3} the same answers, {refused:>3} refused");
    }
}
