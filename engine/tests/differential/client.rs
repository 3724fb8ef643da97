//! A client that sees all of an answer: tags, types, the state of the transaction, and each field of an error.
//!
//! tokio-postgres keeps the tags of commands and the state of the transaction to itself, and both are compared. It blocks:
//! a run asks one question at a time. All values come as text, in the extended protocol too.

use std::io::{BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer takes no statement of a run; whoever waits so long has found something.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Which part of the protocol carries a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One Query message.
    Simple,
    /// Parse, Bind, Describe, Execute, Sync.
    Extended,
}

/// A row as text.
pub type Cells = Vec<Option<String>>;

/// All that a statement was answered with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Names and type OIDs of the columns.
    pub columns: Vec<(String, u32)>,
    pub rows: Vec<Cells>,
    pub tags: Vec<String>,
    /// SQLSTATE and message.
    pub error: Option<(String, String)>,
    /// `I`, `T` or `E`, as ReadyForQuery says it.
    pub status: char,
}

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// As `aion`, to the database of this name.
    pub fn connect(port: u16, database: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut client = Self {
            stream: BufReader::new(stream),
        };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        body.extend_from_slice(format!("user\0aion\0database\0{database}\0\0").as_bytes());
        let length = u32::try_from(body.len() + 4).expect("short");
        client
            .stream
            .get_mut()
            .write_all(&[&length.to_be_bytes(), &body[..]].concat())?;
        match client.answer()?.error {
            None => Ok(client),
            Some((code, message)) => Err(std::io::Error::other(format!("{code}: {message}"))),
        }
    }

    /// Sends a statement, and waits for its answer to the end.
    pub fn ask(&mut self, sql: &str, way: Way) -> Result<Answer> {
        let sent = match way {
            Way::Simple => message(b'Q', &[sql.as_bytes(), b"\0"].concat()),
            Way::Extended => [
                // No name, no types; no name, no formats, no parameters, no formats of results.
                message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat()),
                message(b'B', &[0; 8]),
                message(b'D', b"P\0"),
                message(b'E', &[0; 5]),
                message(b'S', b""),
            ]
            .concat(),
        };
        self.stream.get_mut().write_all(&sent)?;
        self.answer()
    }

    /// Sends `COPY ... FROM STDIN` and what is copied.
    pub fn copy(&mut self, sql: &str, rows: &str) -> Result<Answer> {
        let sent = [
            message(b'Q', &[sql.as_bytes(), b"\0"].concat()),
            message(b'd', rows.as_bytes()),
            message(b'c', b""),
        ];
        self.stream.get_mut().write_all(&sent.concat())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; length.saturating_sub(4) as usize];
            self.stream.read_exact(&mut body)?;
            let mut body = Body(&body);
            match head[0] {
                b'T' => {
                    answer.columns = (0..body.u16())
                        .map(|_| {
                            let name = body.string();
                            body.bytes(6);
                            let oid = body.u32();
                            body.bytes(8);
                            (name, oid)
                        })
                        .collect();
                }
                b'D' => answer.rows.push((0..body.u16()).map(|_| body.cell()).collect()),
                b'C' => answer.tags.push(body.string()),
                b'E' => answer.error = Some(body.error()),
                b'Z' => {
                    answer.status = char::from(body.bytes(1)[0]);
                    return Ok(answer);
                }
                // Notices, settings, keys, and what says that a step is done.
                _ => {}
            }
        }
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("no statement is so long");
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes(2).try_into().expect("two bytes"))
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes(4).try_into().expect("four bytes"))
    }

    fn string(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).expect("a zero ends it");
        let text = String::from_utf8_lossy(self.bytes(end)).into_owned();
        self.bytes(1);
        text
    }

    fn cell(&mut self) -> Option<String> {
        let length = self.u32();
        // -1 is NULL.
        (length != u32::MAX).then(|| String::from_utf8_lossy(self.bytes(length as usize)).into_owned())
    }

    fn error(&mut self) -> (String, String) {
        let (mut code, mut message) = (String::new(), String::new());
        loop {
            match self.bytes(1)[0] {
                0 => return (code, message),
                b'C' => code = self.string(),
                b'M' => message = self.string(),
                _ => drop(self.string()),
            }
        }
    }
}
