//! Messages that no client sends: what is left of right ones when a few bytes are changed, repeated or missing.
//!
//! **What must hold.** Each connection ends or is answered within a time; what comes back is messages from the first byte to the last; the server
//! does not panic and goes on serving; what had been written is there.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use aion_base::rng::SeededRng;

use super::Process;
use crate::program::{at_length, seed};

const CONNECTIONS: usize = 600;
const CONNECTIONS_FULL: usize = 30_000;
/// Of these connections the server is asked whether it is well.
const ASK_EVERY: usize = 100;
const ANSWER_MAX: Duration = Duration::from_secs(20);

const STATEMENTS: [&str; 8] = [
    "SELECT 1, 'a', NULL",
    "SELECT id, name FROM kept WHERE id = 1",
    "BEGIN; SELECT count(*) FROM kept; COMMIT",
    "INSERT INTO scratch VALUES (1, 'x') ON CONFLICT DO NOTHING",
    "SELECT name FROM kept ORDER BY id LIMIT 3",
    "COPY scratch FROM STDIN",
    "COPY kept TO STDOUT",
    "SELECT * FROM nothing",
];
const PREPARED: [&str; 4] = [
    "SELECT $1::int + 1",
    "SELECT name FROM kept WHERE id = $1",
    "INSERT INTO scratch VALUES ($1, $2) ON CONFLICT DO NOTHING",
    "SELECT $1::numeric, $2::timestamptz, $3::int[]",
];

fn startup() -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    body.extend(b"user\0aion\0database\0aion\0\0");
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

fn pick<'a>(of: &[&'a str], rng: &mut SeededRng) -> &'a str {
    of[rng.below(of.len() as u64) as usize]
}

/// A message that a client may send.
fn right(rng: &mut SeededRng) -> Vec<u8> {
    let name = ["", "", "s", "t"][rng.below(4) as usize];
    let text = |parts: &[&str]| {
        parts
            .iter()
            .flat_map(|part| [part.as_bytes(), &[0]].concat())
            .collect::<Vec<u8>>()
    };
    match rng.below(12) {
        0 | 1 => message(b'Q', &text(&[pick(&STATEMENTS, rng)])),
        2 | 3 => {
            let mut body = text(&[name, pick(&PREPARED, rng)]);
            body.extend([0, 1, 0, 0, 0, [0, 20, 23, 25][rng.below(4) as usize]]);
            message(b'P', &body)
        }
        4 | 5 => {
            let mut body = text(&["", name]);
            body.extend([0, 1, 0, rng.below(2) as u8]);
            let number = rng.below(4) as u16;
            body.extend(number.to_be_bytes());
            for _ in 0..number {
                match rng.below(4) {
                    0 => body.extend([0xff; 4]),
                    1 => body.extend([0, 0, 0, 4, 0, 0, 0, 1]),
                    2 => body.extend([0, 0, 0, 1, b'1']),
                    _ => body.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2]),
                }
            }
            body.extend([0, 1, 0, rng.below(2) as u8]);
            message(b'B', &body)
        }
        6 => message(
            b'D',
            &[&[[b'S', b'P'][rng.below(2) as usize]], &text(&[name])[..]].concat(),
        ),
        7 => message(b'E', &[&[0][..], &(rng.below(3) as u32).to_be_bytes()].concat()),
        8 => message(
            b'C',
            &[&[[b'S', b'P'][rng.below(2) as usize]], &text(&[name])[..]].concat(),
        ),
        9 => message(b'd', b"7\ty\n\\.\n"),
        10 => message([b'c', b'H', b'f', b'F'][rng.below(4) as usize], &[][..]),
        _ => message(b'S', &[]),
    }
}

fn changed(mut bytes: Vec<u8>, rng: &mut SeededRng) -> Vec<u8> {
    for _ in 0..rng.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(6) {
            0 | 1 => bytes[at] ^= 1 << rng.below(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
            3 => bytes.truncate(at),
            4 => bytes.insert(at, rng.next_u64() as u8),
            _ => {
                let end = (at + rng.below(16) as usize).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
    bytes
}

/// Sends the bytes, in pieces, and then nothing more; what came back.
fn send(port: u16, bytes: &[u8], rng: &mut SeededRng) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a timeout");
    stream.set_write_timeout(Some(ANSWER_MAX)).expect("a timeout");
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((rng.below(64) as usize + 1).min(rest.len()));
        // It may have ended the connection.
        if stream.write_all(piece).is_err() {
            break;
        }
        rest = after;
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return answer,
            Ok(read) => answer.extend(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return answer,
            Err(error) => panic!("no end of the answer: {error}, after {} bytes", answer.len()),
        }
    }
}

/// Whether bytes are whole messages of a server, one behind the other. The last may be cut short where the connection was.
fn check_answer(answer: &[u8]) {
    let mut rest = answer;
    // To a startup message that asks for TLS.
    if rest.first() == Some(&b'N') && rest.get(1).is_none_or(|byte| *byte != 0) {
        rest = &rest[1..];
    }
    while let Some((header, _)) = rest.split_first_chunk::<5>() {
        let kind = header[0];
        assert!(
            b"RSKZTDCEINVAGHWdc123stnv".contains(&kind),
            "an answer of type {kind:#x}: {answer:02x?}"
        );
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        assert!(
            (4..1 << 20).contains(&length),
            "an answer of {length} bytes: {answer:02x?}"
        );
        rest = rest.get(length + 1..).unwrap_or_default();
    }
}

#[test]
fn a_server_goes_on_whatever_bytes_come_hunt() {
    let mut rng = SeededRng::new(seed());
    let dir = tempfile::tempdir().expect("a directory");
    let told = dir.path().join("told");
    let mut command = Process::alone(&dir.path().join("data"), &[]);
    command.stderr(std::fs::File::create(&told).expect("a file"));
    let server = Process::of(&mut command);
    let set_up = "CREATE TABLE kept (id int PRIMARY KEY, name text); CREATE TABLE scratch (id int PRIMARY KEY, name text); \
                  INSERT INTO kept VALUES (1, 'one'), (2, 'two'), (3, NULL)";
    assert!(server.psql(&["-q"], set_up).0, "it is set up");
    let mut answers = [0_u64; 2];
    for number in 1..=at_length(CONNECTIONS, CONNECTIONS_FULL) {
        let mut bytes = startup();
        if rng.chance(1, 10) {
            bytes = changed(bytes, &mut rng);
        }
        for _ in 0..=rng.below(8) {
            let message = right(&mut rng);
            bytes.extend(if rng.chance(1, 2) {
                changed(message, &mut rng)
            } else {
                message
            });
        }
        let answer = send(server.port, &bytes, &mut rng);
        check_answer(&answer);
        // A ready one has answered more than its greeting.
        answers[usize::from(answer.windows(6).any(|window| window == [b'Z', 0, 0, 0, 5, b'I']))] += 1;
        if number % ASK_EVERY == 0 {
            let (is_well, output, error) = server.psql(&["-c", "SELECT count(*), max(name) FROM kept"], "");
            assert!(
                is_well && output == "3|two\n",
                "after {number} connections: {output} {error}"
            );
            let told = std::fs::read_to_string(&told).expect("readable");
            assert!(!told.contains("panicked"), "after {number} connections: {told}");
        }
    }
    assert!(
        answers[1] > answers[0],
        "most connections get as far as a session: {answers:?}"
    );
}
