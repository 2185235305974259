//! Where time comes from: the machines have no clock, and nothing else here looks at one.
#![allow(clippy::disallowed_methods, reason = "the edge of the program is where time comes from")]

use std::time;

use sansio_mqtt::Instant;

/// Counts from when it was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(time::Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Self(time::Instant::now())
    }

    pub(super) fn now(self) -> Instant {
        Instant::from_epoch(self.0.elapsed())
    }
}
