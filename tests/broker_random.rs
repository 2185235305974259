//! The broker machine under random inputs of the fuzz target `broker`: see `fuzz/README.md`.

#![allow(unreachable_pub, reason = "the bodies belong to a library")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails a test may panic"
)]

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../fuzz/src/bodies/broker/mod.rs"]
mod broker;
#[path = "../fuzz/src/bodies/input.rs"]
mod input;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_broker_keeps_its_promises_whatever_happens(input in vec(any::<u8>(), 0..1_200)) {
        broker::run(&input);
    }
}
