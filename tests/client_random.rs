//! The client machine under random inputs of the fuzz target `client`: see `fuzz/README.md`.

#![allow(unreachable_pub, reason = "the bodies belong to a library")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails a test may panic"
)]

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../fuzz/src/bodies/client/mod.rs"]
mod client;
#[path = "../fuzz/src/bodies/input.rs"]
mod input;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_client_keeps_its_promises_whatever_happens(input in vec(any::<u8>(), 0..1_500)) {
        client::run(&input);
    }
}
