//! Conversations with the server, in memory and over sockets.
//!
//! A [`Client`] sends messages and prints the answers, one line each:
//!
//! ```text
//! T v id          RowDescription with its columns          C SELECT 1      CommandComplete
//! D 1 NULL        DataRow with its values                  E 42601@8 ...   ErrorResponse, @position
//! Z I             ReadyForQuery with its status            others by a letter and what they carry
//! ```

mod client;
mod copy;
mod enums;
mod extended;
mod limits;
mod noise;
mod simple;
mod sockets;
mod values;
