//! The time of day, for what expires from run to run.
#![allow(clippy::disallowed_methods, reason = "the edge of the program is where time comes from")]

use std::time::{SystemTime, UNIX_EPOCH};

use sansio_mqtt::UnixTime;

pub(super) fn unix_now() -> UnixTime {
    // A clock that is set before 1970 keeps everything for longer, which is the safe side.
    UnixTime::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()))
}
