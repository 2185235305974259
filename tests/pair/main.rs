//! Several clients and a broker, all machines of this crate, over virtual transports and a virtual
//! clock: bytes come in fragments and late, transports break at any byte, readers are slow.
//!
//! Each seed is a world of its own. Messages are published while everything goes wrong; then
//! nothing goes wrong any more, and everybody must have got what was promised.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "what fails may panic")]

mod ledger;
mod node;
mod pipe;
mod random;
mod world;

use std::panic::catch_unwind;

use sansio_mqtt::Version;

use crate::world::{Style, World};

const VERSIONS: [&[Version]; 4] =
    [&[Version::V3_1], &[Version::V3_1_1], &[Version::V5], &Version::ALL];

/// Runs so many seeds with clients of each version, and of all.
fn each(seeds: u64, style: Style) {
    let mut failed = Vec::new();
    for versions in VERSIONS {
        for seed in 0..seeds {
            if let Err(cause) = catch_unwind(|| World::run(seed, versions, style)) {
                let text = cause.downcast_ref::<String>().map(String::as_str);
                let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or_default();
                failed.push(format!("{versions:?}, seed {seed}: {text}"));
            }
        }
    }
    let shown = failed.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} seeds failed:\n{shown}", failed.len());
}

#[test]
fn nothing_is_lost_or_doubled_when_nothing_goes_wrong() {
    each(30, Style { breaks: false, ..Style::default() });
}

#[test]
fn exactly_once_stays_exactly_once_when_transports_break() {
    each(60, Style::default());
}

#[test]
fn applications_may_acknowledge_late() {
    each(25, Style { acknowledges_late: true, ..Style::default() });
}

#[test]
fn a_group_gets_each_message_once() {
    each(25, Style { shares: true, ..Style::default() });
}
