//! Lines for a person, on standard error, each with the seconds since the start. What comes from a
//! client is quoted, so that it cannot move the cursor.

use std::fmt::Arguments;
use std::io::{self, Write};

use sansio_mqtt::Instant;

use super::clock::Clock;

/// How much there is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// What somebody should look at.
    Quiet,
    /// Who comes and goes.
    Normal,
    /// Everything.
    Verbose,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    level: Level,
    pub(super) clock: Clock,
}

impl Log {
    pub(super) fn new(level: Level, clock: Clock) -> Self {
        Self { level, clock }
    }

    pub(super) fn warn(&self, line: Arguments<'_>) {
        self.write(Level::Quiet, line);
    }

    pub(super) fn say(&self, line: Arguments<'_>) {
        self.write(Level::Normal, line);
    }

    pub(super) fn detail(&self, line: Arguments<'_>) {
        self.write(Level::Verbose, line);
    }

    fn write(&self, level: Level, line: Arguments<'_>) {
        if level <= self.level {
            let since = self.clock.now().duration_since(Instant::default());
            let line = format!("{:10.3} {line}\n", since.as_secs_f64());
            // If nobody listens, the broker goes on.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}
