//! The limits of the edge.

use std::fmt;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// What a client may ask of the server. Printed at start, see its `Display`.
///
/// Where nothing else is said, a limit holds for each edge by itself. The memory that a PostgreSQL connection can make the server hold is at most `message_bytes_max + statement_bytes_total_max +
/// portal_bytes_total_max + row_bytes_max` and one batch of its result.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Bytes of one message, or of the parameters of one statement. A longer one is read, dropped and answered with 54000; the session stays usable.
    pub message_bytes_max: usize,
    /// Bytes of one message that carries the text of a statement; likewise.
    pub statement_bytes_max: usize,
    /// Bytes of one row of a result; 54000.
    pub row_bytes_max: usize,
    /// Connections, those that log in included; 53300. `max_connections` in SQL.
    pub connections_max: usize,
    /// PostgreSQL protocol: connections among them that superusers alone may have; 53300. `superuser_reserved_connections` in SQL.
    pub reserved_connections: usize,
    /// Time from the connection to the end of the greeting, and from there to the end of the login; 57014.
    pub login_timeout: Duration,
    /// Time that a connection may be silent between messages; 57P05. None: for ever.
    pub idle_timeout: Option<Duration>,
    /// Time that a client may leave sent bytes unread before the connection is cut.
    pub send_timeout: Duration,
    /// Prepared statements of a connection; 54000.
    pub statements_max: usize,
    /// Bytes of the messages that prepared them, in all; 54000.
    pub statement_bytes_total_max: usize,
    /// Portals (bound statements) of a connection; 54000.
    pub portals_max: usize,
    /// Bytes of the messages that bound them, in all; 54000.
    pub portal_bytes_total_max: usize,
    /// Time that running statements have at shutdown before they are cancelled.
    pub shutdown_grace: Duration,
    /// Flight SQL: calls of a connection at a time; HTTP/2 makes the client wait.
    pub flight_streams_max: usize,
    /// Flight SQL: statements that run, or whose result is being fetched, at a time; 53300.
    pub flight_statements_max: usize,
    /// Flight SQL: sessions that logins opened, in all; 53300.
    pub flight_sessions_max: usize,
    /// Flight SQL: transactions of a client, and in all as many as there are connections; 54000.
    pub flight_transactions_max: usize,
    /// Flight SQL: results of a client that wait to be fetched; 54000.
    pub flight_results_max: usize,
    /// Flight SQL: bytes that a message of a result should have.
    pub flight_batch_bytes: usize,
    /// Flight SQL: time that a transaction may be unused before it is rolled back.
    pub transaction_idle_timeout: Duration,
    /// Flight SQL: time that a result waits to be fetched.
    pub result_idle_timeout: Duration,
    /// Flight SQL: time that a login or a prepared statement is kept unused.
    pub handle_idle_timeout: Duration,
    /// Keys and values: requests, and streams of them, that run at a time; 53300.
    pub kv_requests_max: usize,
    /// Keys and values: batches of a stream that are on their way at a time; further ones wait.
    pub kv_stream_batches_max: usize,
    /// HTTP: bytes of the body of a request; 413.
    pub http_body_bytes_max: usize,
    /// HTTP: time for the body of a request; 408.
    pub http_body_timeout: Duration,
    /// HTTP: bytes of the rows of an answer; 54000.
    pub http_result_bytes_max: usize,
    /// HTTP: statements that run at a time; 503.
    pub http_statements_max: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 * MIB,
            statement_bytes_max: 16 * MIB,
            row_bytes_max: 256 * MIB,
            connections_max: 100,
            reserved_connections: 3,
            login_timeout: Duration::from_secs(10),
            idle_timeout: None,
            send_timeout: Duration::from_secs(600),
            statements_max: 10_000,
            statement_bytes_total_max: 64 * MIB,
            portals_max: 1_000,
            portal_bytes_total_max: 128 * MIB,
            shutdown_grace: Duration::from_secs(10),
            flight_streams_max: 100,
            flight_statements_max: 200,
            flight_sessions_max: 100,
            flight_transactions_max: 16,
            flight_results_max: 100,
            flight_batch_bytes: MIB,
            transaction_idle_timeout: Duration::from_secs(300),
            result_idle_timeout: Duration::from_secs(60),
            handle_idle_timeout: Duration::from_secs(3_600),
            kv_requests_max: 200,
            kv_stream_batches_max: 64,
            http_body_bytes_max: 32 * MIB,
            http_body_timeout: Duration::from_secs(30),
            http_result_bytes_max: 32 * MIB,
            http_statements_max: 32,
        }
    }
}

impl fmt::Display for ServerLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "connections           {}, {} of them for superusers",
            self.connections_max, self.reserved_connections
        )?;
        writeln!(f, "statement             {}", Size(self.statement_bytes_max))?;
        writeln!(f, "message               {}", Size(self.message_bytes_max))?;
        writeln!(f, "row of a result       {}", Size(self.row_bytes_max))?;
        writeln!(
            f,
            "prepared statements   {} per connection, {} in all",
            self.statements_max,
            Size(self.statement_bytes_total_max)
        )?;
        writeln!(
            f,
            "portals               {} per connection, {} in all",
            self.portals_max,
            Size(self.portal_bytes_total_max)
        )?;
        writeln!(f, "login                 {:?}", self.login_timeout)?;
        match self.idle_timeout {
            Some(timeout) => writeln!(f, "idle                  {timeout:?}")?,
            None => writeln!(f, "idle                  no limit")?,
        }
        writeln!(f, "unread results        {:?}", self.send_timeout)?;
        writeln!(f, "grace at shutdown     {:?}", self.shutdown_grace)?;
        writeln!(
            f,
            "Flight SQL            {} statements, {} calls per connection, {} logins",
            self.flight_statements_max, self.flight_streams_max, self.flight_sessions_max
        )?;
        writeln!(
            f,
            "  per client          {} transactions ({:?} unused), {} results ({:?} unfetched)",
            self.flight_transactions_max,
            self.transaction_idle_timeout,
            self.flight_results_max,
            self.result_idle_timeout
        )?;
        writeln!(
            f,
            "keys and values       {} requests, {} batches of a stream",
            self.kv_requests_max, self.kv_stream_batches_max
        )?;
        write!(
            f,
            "HTTP                  {} statements, body {} in {:?}, result {}",
            self.http_statements_max,
            Size(self.http_body_bytes_max),
            self.http_body_timeout,
            Size(self.http_result_bytes_max)
        )
    }
}

/// Bytes, printed in the largest unit that divides them.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % MIB == 0 => write!(f, "{} MiB", bytes / MIB),
            bytes if bytes > 0 && bytes % 1024 == 0 => write!(f, "{} KiB", bytes / 1024),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        assert_eq!(
            ServerLimits::default().to_string(),
            "connections           100, 3 of them for superusers\n\
             statement             16 MiB\n\
             message               64 MiB\n\
             row of a result       256 MiB\n\
             prepared statements   10000 per connection, 64 MiB in all\n\
             portals               1000 per connection, 128 MiB in all\n\
             login                 10s\n\
             idle                  no limit\n\
             unread results        600s\n\
             grace at shutdown     10s\n\
             Flight SQL            200 statements, 100 calls per connection, 100 logins\n\
             \x20 per client          16 transactions (300s unused), 100 results (60s unfetched)\n\
             keys and values       200 requests, 64 batches of a stream\n\
             HTTP                  32 statements, body 32 MiB in 30s, result 32 MiB"
        );
        assert_eq!(Size(1536).to_string(), "1536 bytes");
        assert_eq!(Size(3072).to_string(), "3 KiB");
    }
}
