//! Runs the bodies of the fuzz targets over the corpus that is checked in.
//!
//! The target `differential` needs other implementations; the tests of `fuzz/` run it.

#![allow(unreachable_pub, reason = "the bodies belong to a library")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "what fails a test may panic"
)]

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/bodies/broker/mod.rs"]
mod broker;
#[path = "../fuzz/src/bodies/client/mod.rs"]
mod client;
#[path = "../fuzz/src/bodies/decode.rs"]
mod decode;
#[path = "../fuzz/src/bodies/input.rs"]
mod input;
#[cfg(feature = "arbitrary")]
#[path = "../fuzz/src/bodies/round_trip.rs"]
mod round_trip;
#[path = "../fuzz/src/bodies/stream.rs"]
mod stream;
#[path = "../fuzz/src/bodies/topic.rs"]
mod topic;

fn replay(target: &str, body: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs = fs::read_dir(&directory).expect("a corpus");
    let mut count = 0;
    for input in inputs {
        let path = input.expect("a file").path();
        let bytes = fs::read(&path).expect("a file");
        // Shown only if the body panics.
        println!("{}", path.display());
        body(&bytes);
        count += 1;
    }
    assert_ne!(count, 0, "{} is empty", directory.display());
}

#[test]
fn a_broker_keeps_its_promises() {
    replay("broker", broker::run);
}

#[test]
fn a_client_keeps_its_promises() {
    replay("client", client::run);
}

#[test]
fn what_decodes_agrees_with_itself() {
    replay("decode", decode::run);
}

#[test]
#[cfg(feature = "arbitrary")]
fn what_encodes_decodes_to_the_same_packet() {
    replay("round_trip", round_trip::run);
}

#[test]
fn a_stream_in_chunks_gives_the_same_packets() {
    replay("stream", stream::run);
}

#[test]
fn topics_match_as_in_a_slow_model() {
    replay("topic", topic::run);
}
