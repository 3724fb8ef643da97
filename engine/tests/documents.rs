//! The shell blocks of README.md, and of the page of keys and values, that say `<!-- checked -->` do run.
//!
//! They run in a folder of their own, where `aion` and `build/aion` are the program under test. The fixed ports of the page are
//! replaced by free ones, in the block and for `aion serve`, so that another server on the machine is not in the way.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::program::program;

/// The page's ports, with the switch of `aion serve` that sets each.
const PORTS: &[(&str, &str)] = &[("5433", "--pg"), ("50051", "--flight"), ("8080", "--http")];

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
    check("README.md");
}

#[test]
fn the_checked_blocks_of_keys_and_values_run() {
    check("engine/docs/kv.md");
}

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    let page = std::fs::read_to_string(path).expect(name);
    let blocks = checked_blocks(&page);
    assert!(!blocks.is_empty(), "{name} has no block marked {MARK}");
    let listeners: Vec<TcpListener> = PORTS
        .iter()
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        .collect();
    let free = listeners
        .iter()
        .map(|listener| listener.local_addr().expect("bound").port().to_string());
    let ports: Vec<_> = PORTS.iter().zip(free).collect();
    drop(listeners);
    // A folder of its own, and `aion` as a user would type it.
    let dir = tempfile::tempdir().expect("a directory");
    let bin = dir.path().join("build");
    std::fs::create_dir(&bin).expect("made");
    let switches: Vec<_> = ports
        .iter()
        .map(|((_, switch), port)| format!("{switch} 127.0.0.1:{port}"))
        .collect();
    let wrapper = format!(
        "#!/bin/sh\nif [ \"$1\" = serve ]; then exec '{0}' \"$@\" {1}; fi\nexec '{0}' \"$@\"\n",
        program().display(),
        switches.join(" ")
    );
    let aion = bin.join("aion");
    std::fs::write(&aion, wrapper).expect("written");
    std::fs::set_permissions(&aion, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    for (line, block) in blocks {
        let block = ports
            .iter()
            .fold(block, |block, ((port, _), free)| block.replace(port, free));
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(dir.path())
            .env("PATH", &path)
            .output()
            .expect("bash starts");
        assert!(
            output.status.success(),
            "{name}, line {line}: {}\n{block}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
