//! Where time comes from: the machine has no clock, and nothing else here looks at one.
#![allow(clippy::disallowed_methods, reason = "the edge of the program is where time comes from")]

use std::time::{self, SystemTime, UNIX_EPOCH};

use sansio_mqtt::{Instant, UnixTime};

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

/// The time of day, for what expires from run to run.
pub(super) fn unix_now() -> UnixTime {
    // A clock that is set before 1970 keeps everything for longer, which is the safe side.
    UnixTime::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()))
}
