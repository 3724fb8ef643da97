//! The limits of the edge.

use std::fmt;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// What a client may ask of the server. Printed at start, see its `Display`.
///
/// The memory that a connection can make the server hold is at most `message_bytes_max + statement_bytes_total_max +
/// portal_bytes_total_max + row_bytes_max` and one batch of its result.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Bytes of one message. A longer one is read, dropped and answered with 54000; the session stays usable.
    pub message_bytes_max: usize,
    /// Bytes of one message that carries the text of a statement; likewise.
    pub statement_bytes_max: usize,
    /// Bytes of one row of a result; 54000.
    pub row_bytes_max: usize,
    /// Connections, those that log in included; 53300.
    pub connections_max: usize,
    /// Time from the connection to the end of the login; 57014.
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
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 * MIB,
            statement_bytes_max: 16 * MIB,
            row_bytes_max: 256 * MIB,
            connections_max: 100,
            login_timeout: Duration::from_secs(10),
            idle_timeout: None,
            send_timeout: Duration::from_secs(600),
            statements_max: 10_000,
            statement_bytes_total_max: 64 * MIB,
            portals_max: 1_000,
            portal_bytes_total_max: 128 * MIB,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

impl fmt::Display for ServerLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "connections           {}", self.connections_max)?;
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
        write!(f, "grace at shutdown     {:?}", self.shutdown_grace)
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
            "connections           100\n\
             statement             16 MiB\n\
             message               64 MiB\n\
             row of a result       256 MiB\n\
             prepared statements   10000 per connection, 64 MiB in all\n\
             portals               1000 per connection, 128 MiB in all\n\
             login                 10s\n\
             idle                  no limit\n\
             unread results        600s\n\
             grace at shutdown     10s"
        );
        assert_eq!(Size(1536).to_string(), "1536 bytes");
        assert_eq!(Size(3072).to_string(), "3 KiB");
    }
}
