//! The broker machine and scripted clients, by chapter of the standard.
//!
//! Each scenario runs in all the ways that [`world::scenario`] names: input whole and cut at every
//! byte, output pulled whole and packet by packet. What is sent and what the application is told is
//! the same in all of them.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "what fails may panic")]

mod authorizer;
mod calls;
mod chapter_3_alias;
mod chapter_3_connack;
mod chapter_3_connect;
mod chapter_3_disconnect;
mod chapter_3_expiry;
mod chapter_3_identifiers;
mod chapter_3_publish;
mod chapter_3_replay;
mod chapter_3_retain;
mod chapter_3_subscribe;
mod chapter_3_will;
mod chapter_4_12_authentication;
mod chapter_4_delivery;
mod chapter_4_flow;
mod chapter_4_sessions;
mod chapter_4_shared;
mod corners;
mod known_faults;
mod last_word;
mod lone;
mod misuse;
#[path = "../support/packets.rs"]
mod packets;
mod paused;
mod queue;
mod random;
mod rights;
mod transport;
mod words;
mod world;
