//! The client machine against a scripted server, by chapter of the standard.
//!
//! Each scenario runs in all the ways that [`world::scenario`] names: input whole and cut at every
//! byte, output pulled whole and packet by packet, with and without durable records. What is sent
//! and what the application is told is the same in all of them.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "what fails may panic")]

mod calls;
mod chapter_3_alias;
mod chapter_3_connack;
mod chapter_3_connect;
mod chapter_3_disconnect;
mod chapter_3_ping;
mod chapter_3_publish;
mod chapter_3_subscribe;
mod chapter_4_10_requests;
mod chapter_4_12_authentication;
mod chapter_4_delivery;
mod chapter_4_flow;
mod chapter_4_order;
mod chapter_4_resume;
mod durable;
#[path = "../support/broken.rs"]
mod frames;
mod hostile_server;
mod identifiers;
mod known_faults;
mod mended;
mod misuse;
#[path = "../support/packets.rs"]
mod packets;
mod queue;
mod sessions;
mod world;
