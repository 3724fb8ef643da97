//! STDIN and STDOUT: psql's \copy and a driver's streams.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};

use super::{Bench, complaint};
use crate::wire::Process;

#[test]
fn psql_copies_a_file_of_the_client_both_ways() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Process::start(&dir.path().join("data"), &[]);
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let lines: String = (1..=20_000).map(|id| format!("{id},\"name, {id}\",\n")).collect();
    std::fs::write(path("in.csv"), format!("id,s,x\n{lines}")).expect("written");
    let script = format!(
        "CREATE TABLE t (id int PRIMARY KEY, s text, x real);\n\
         \\copy t FROM '{}' WITH (FORMAT csv, HEADER true)\n\
         \\copy (SELECT * FROM t ORDER BY id) TO '{}' CSV\n\
         \\copy t (id, s) TO '{}'\n",
        path("in.csv"),
        path("out.csv"),
        path("out.txt")
    );
    let (ok, output, errors) = server.psql(&["-v", "ON_ERROR_STOP=1"], &script);
    assert!(ok && errors.is_empty(), "{errors}");
    assert_eq!(output, "CREATE TABLE\nCOPY 20000\nCOPY 20000\nCOPY 20000\n");
    assert_eq!(std::fs::read_to_string(path("out.csv")).expect("there"), lines);
    let text = std::fs::read_to_string(path("out.txt")).expect("there");
    assert_eq!(text.lines().next(), Some("1\tname, 1"));

    // The data stands behind the statement, up to a lone \. ; an error in it ends the COPY and not the session.
    let (ok, output, errors) = server.psql(
        &[],
        "COPY t (id, s) FROM STDIN;\n20001\tone\n20002\t\\N\n\\.\n\
         COPY t (id) FROM STDIN;\n20003\nx\n20004\n\\.\nSELECT count(*), count(s) FROM t;\n",
    );
    assert!(ok, "{errors}");
    assert_eq!(output, "COPY 2\n20002|20001\n");
    assert!(errors.contains("COPY t, line 2, column id: \"x\""), "{errors}");
}

#[test]
fn a_driver_streams_in_and_out() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY, s text)");
    bench.server.runtime.block_on(async {
        let sink = bench
            .client
            .copy_in::<_, Bytes>("COPY t FROM STDIN")
            .await
            .expect("begun");
        let mut sink = std::pin::pin!(sink);
        // Cut anywhere, also within a character.
        let data: String = (0..50_000).map(|id| format!("{id}\tä {id}\n")).collect();
        for piece in data.as_bytes().chunks(7_919) {
            sink.send(Bytes::copy_from_slice(piece)).await.expect("sent");
        }
        assert_eq!(sink.finish().await.expect("loaded"), 50_000);

        let stream = bench
            .client
            .copy_out("COPY (SELECT * FROM t ORDER BY id) TO STDOUT")
            .await
            .expect("begun");
        let pieces: Vec<_> = stream.map(|piece| piece.expect("a line")).collect().await;
        assert_eq!(pieces.len(), 50_000, "a message for each line");
        assert_eq!(pieces.concat(), data.as_bytes());
    });
}

#[test]
fn an_error_in_the_middle_leaves_the_session_usable() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY)");
    bench.server.runtime.block_on(async {
        // The server stops it, while much is still under way. (The driver reads no answer while a sink is there.)
        let failed = {
            let sink = bench
                .client
                .copy_in::<_, Bytes>("COPY t FROM STDIN")
                .await
                .expect("begun");
            let mut sink = std::pin::pin!(sink);
            let wrong: String = (0..300_000)
                .map(|id| if id == 5 { "x\n".to_owned() } else { format!("{id}\n") })
                .collect();
            let mut failed = None;
            for piece in wrong.as_bytes().chunks(1 << 16) {
                if let Err(error) = sink.send(Bytes::copy_from_slice(piece)).await {
                    failed = Some(error);
                    break;
                }
            }
            match failed {
                Some(error) => error,
                None => sink.finish().await.expect_err("x is no number"),
            }
        };
        assert_eq!(complaint(&failed).detail, "COPY t, line 6, column id: \"x\"");
        bench
            .client
            .simple_query("SELECT 1")
            .await
            .expect("the session goes on");

        // The client stops it: a sink that is dropped sends CopyFail.
        {
            let sink = bench
                .client
                .copy_in::<_, Bytes>("COPY t FROM STDIN")
                .await
                .expect("begun");
            let mut sink = std::pin::pin!(sink);
            sink.send(Bytes::from_static(b"1\n2\n")).await.expect("sent");
        }
        let counted = bench
            .client
            .query_one("SELECT count(*) FROM t", &[])
            .await
            .expect("the session goes on");
        assert_eq!(counted.get::<_, i64>(0), 0, "nothing was loaded");

        // A query that fails while its rows are sent.
        let stream = bench
            .client
            .copy_out("COPY (SELECT 1 / (g - 20000) FROM generate_series(1, 30000) AS s(g)) TO STDOUT")
            .await
            .expect("begun");
        {
            let mut stream = std::pin::pin!(stream);
            let error = loop {
                match stream.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break error,
                    None => panic!("it ended without its division by zero"),
                }
            };
            assert_eq!(complaint(&error).state, "22012");
        }
        bench
            .client
            .simple_query("SELECT 1")
            .await
            .expect("the session goes on");
    });
}

#[test]
fn a_stream_is_part_of_its_transaction() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY)");
    let load = |data: &'static [u8]| {
        bench.server.runtime.block_on(async {
            let sink = bench
                .client
                .copy_in::<_, Bytes>("COPY t FROM STDIN")
                .await
                .expect("begun");
            let mut sink = std::pin::pin!(sink);
            sink.send(Bytes::from_static(data)).await.expect("sent");
            sink.finish().await
        })
    };
    bench.run("BEGIN").expect("begun");
    load(b"1\n2\n").expect("loaded");
    assert_eq!(bench.run("SELECT count(*) FROM t").expect("its own rows"), ["2"]);
    bench.run("ROLLBACK").expect("rolled back");
    assert_eq!(bench.run("SELECT count(*) FROM t").expect("read"), ["0"]);
    bench.run("BEGIN").expect("begun");
    load(b"3\n3\n").expect_err("twice");
    assert_eq!(bench.run("SELECT 1").expect_err("failed").state, "25P02");
    bench.run("ROLLBACK").expect("rolled back");
    load(b"4\n\\.\n5\n").expect("loaded");
    assert_eq!(bench.run("SELECT id FROM t").expect("read"), ["4"], "\\. ends the data");
}
