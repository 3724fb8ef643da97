//! The shell blocks of README.md that say `<!-- checked -->` do run.

use std::path::Path;
use std::process::Command;

use crate::program::program;

const MARK: &str = "<!-- checked -->";

/// The checked blocks of a page, with the line each begins on.
fn checked_blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() != MARK {
            continue;
        }
        let fence = lines.next().map(|(_, line)| line.trim());
        assert_eq!(
            fence,
            Some("```sh"),
            "line {}: a shell block follows the mark",
            number + 2
        );
        let block: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| line.trim() != "```")
            .collect();
        blocks.push((number + 3, block.join("\n")));
    }
    blocks
}

#[test]
fn blocks_are_found_by_their_mark() {
    let page = "a\n```sh\nrm -rf x\n```\n<!-- checked -->\n```sh\naion --version\ntrue\n```\n";
    assert_eq!(checked_blocks(page), [(7, "aion --version\ntrue".to_owned())]);
}

#[test]
fn the_checked_blocks_of_the_readme_run() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let page = std::fs::read_to_string(readme).expect("README.md");
    let blocks = checked_blocks(&page);
    assert!(!blocks.is_empty(), "README.md has no block marked {MARK}");
    // A folder of its own, and `aion` as a user would type it.
    let dir = tempfile::tempdir().expect("a directory");
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).expect("made");
    std::os::unix::fs::symlink(program(), bin.join("aion")).expect("linked");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    for (line, block) in blocks {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(dir.path())
            .env("PATH", &path)
            .output()
            .expect("bash starts");
        assert!(
            output.status.success(),
            "README.md, line {line}: {}\n{block}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
