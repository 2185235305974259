//! A client machine under calls, bytes, times, commits and crashes in any order, watched by a
//! model: of the wire as a server sees it, and of what an application is promised.

mod calls;
mod connection;
mod finale;
mod ledger;
mod options;
mod peer;
mod receipts;
mod server;
mod store;
mod transport;
mod world;

use super::input;
use world::World;

/// The input is the options, and then one step after the other; when it is used up, a server that
/// keeps to the rules comes, and everything must come to its end.
pub fn run(input: &[u8]) {
    let first = World::run(input);
    assert_eq!(first, World::run(input), "the same calls gave other outputs");
}
