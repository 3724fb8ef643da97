//! The switches of `aion serve`, and three edges over one database.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use super::Process;
use crate::program::program;

fn refused(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let output = Command::new(program())
        .args(["serve", "--data"])
        .arg(&data)
        .args(arguments)
        .output()
        .expect("ran");
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn an_edge_that_cannot_listen_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    for switch in ["--pg", "--flight", "--http"] {
        let rest: Vec<&str> = ["--pg", "--flight", "--http"]
            .into_iter()
            .filter(|other| *other != switch)
            .flat_map(|other| [other, if other == "--pg" { "127.0.0.1:0" } else { "off" }])
            .collect();
        let complaint = refused(&[&rest[..], &[switch, &address]].concat());
        assert!(
            complaint.contains(&address) && complaint.contains(switch),
            "{complaint}"
        );
        assert!(complaint.contains("port 0 takes a free one"), "{complaint}");
        let complaint = refused(&[&rest[..], &[switch, "0.0.0.0:0"]].concat());
        assert!(complaint.contains("--insecure"), "{complaint}");
    }
    let complaint = refused(&["--http", "nonsense"]);
    assert!(complaint.contains("or off"), "{complaint}");
}

fn post(port: u16, sql: &str) -> String {
    let body = format!("{{\"sql\": \"{sql}\"}}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let head = "POST /v1/sql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn all_edges_serve_one_database_and_stop_together() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut server = Process::start_with_edges(&data);
    let (http, flight) = (server.http.expect("printed"), server.flight.expect("printed"));
    assert!(post(http, "CREATE TABLE t (id int PRIMARY KEY)").starts_with("HTTP/1.1 200"));
    assert!(post(http, "INSERT INTO t VALUES (1), (2)").contains("\"row_count\":2"));
    assert_eq!(server.psql(&["-c", "SELECT count(*) FROM t"], "").1, "2\n");
    // HTTP/2 settings come first, whatever a client says.
    let mut stream = TcpStream::connect(("127.0.0.1", flight)).expect("it listens");
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .expect("sent");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).expect("settings");
    assert_eq!(frame[3], 4, "a SETTINGS frame");
    drop(stream);
    assert!(server.signal("-TERM").success(), "SIGTERM is a clean stop");
    let server = Process::start(&data, &[]);
    assert_eq!(server.psql(&["-c", "SELECT count(*) FROM t"], "").1, "2\n");
}
