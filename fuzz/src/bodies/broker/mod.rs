//! A broker machine with several clients, under calls, bytes and times in any order.
//!
//! In one half of the inputs the clients keep to the rules, and a slow reference broker says what
//! each of them has to be sent. In the other half anything may come, and what is sent has to
//! keep to the protocol all the same.

mod actor;
mod checks;
mod connection;
mod finale;
mod message;
mod model;
mod outputs;
mod rules;
mod session;
mod setup;
mod tame;
mod wild;
mod wire;
mod world;

use super::input;
use world::World;

/// The input is the options, and then one step after the other; when it is used up, all comes to
/// its end, and nothing may be left over.
pub fn run(input: &[u8]) {
    let first = World::run(input, 0x5eed);
    let second = World::run(input, 0xfeed);
    assert_eq!(first, second, "the same calls gave other outputs, or hashes show in them");
}
