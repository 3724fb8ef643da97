//! Random expressions over intervals: `fixtures/intervals.tsv` has the answers of PostgreSQL 15, `intervals.py` beside it made them.
//!
//! Each is computed once as it is, of literals, and once over the columns of a row.

use tokio_postgres::SimpleQueryMessage;

use super::Server;

const ANSWERS: &str = include_str!("../fixtures/intervals.tsv");

#[test]
fn random_expressions_have_the_answers_of_postgres() {
    let server = Server::start();
    let client = server.connect();
    let ask = |text: &str| {
        server.runtime.block_on(async {
            match client.simple_query(text).await {
                Ok(messages) => {
                    let row = messages.into_iter().find_map(|message| match message {
                        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                        _ => None,
                    });
                    row.unwrap_or_default()
                }
                Err(error) => match error.as_db_error() {
                    Some(error) => format!("!{}", error.code().code()),
                    None => panic!("{text}: {error}"),
                },
            }
        })
    };
    ask("SET TimeZone = 'Europe/Berlin'");
    ask("CREATE TABLE one (id integer PRIMARY KEY, day interval, zero interval)");
    ask("INSERT INTO one VALUES (1, '1 day', '0')");
    let mut wrong = Vec::new();
    for line in ANSWERS.lines() {
        let (expression, expected) = line.split_once('\t').expect("an expression and its answer");
        let found = ask(&format!("SELECT {expression}"));
        if found != expected {
            wrong.push(format!("{expression}\n  is {expected}, not {found}"));
        }
        // Not folded: the row's columns are known when it is read.
        if !expected.starts_with('!') && expression.contains("interval '1 day'") {
            let over_row = expression.replace("interval '1 day'", "day");
            let found = ask(&format!("SELECT {over_row} FROM one WHERE day + zero = '24 hours'"));
            if found != expected {
                wrong.push(format!("{over_row}\n  of a row is {expected}, not {found}"));
            }
        }
    }
    let count = ANSWERS.lines().count();
    assert!(
        wrong.is_empty(),
        "{} of {count} answers are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
