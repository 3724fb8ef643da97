//! Conversations over sockets, with the Flight SQL client of the arrow project.

mod client;
mod connections;
mod handles;
mod metadata;
mod sessions;
mod statements;
