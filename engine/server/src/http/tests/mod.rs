//! Conversations over sockets, written out as bytes: what a library would not send is sent too.

mod client;
mod connections;
mod guards;
mod page;
mod recommendations;
mod sql;
