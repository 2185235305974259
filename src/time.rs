//! Time as an input: the machines have no clock.

use core::fmt;
use core::time::Duration;

/// A moment, in microseconds since one that the caller chooses.
///
/// Only differences count, so that any monotonic clock will do. Arithmetic saturates: a moment
/// too far away for it is the last one there is.
///
/// ```
/// use core::time::Duration;
/// use sansio_mqtt::Instant;
///
/// let start = Instant::from_micros(0);
/// let later = start + Duration::from_secs(60);
/// assert_eq!(later.duration_since(start), Duration::from_secs(60));
/// assert_eq!(start.duration_since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The last moment there is.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment so many microseconds after the caller's epoch.
    #[inline]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment so long after the caller's epoch: with `std`, `epoch.elapsed()`.
    pub fn from_epoch(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    /// Microseconds since the caller's epoch.
    #[inline]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment so long before this one; the caller's epoch if there is none.
    pub(crate) fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The seconds from `now` until then, rounded up.
    #[inline]
    pub(crate) fn seconds_from(self, now: Self) -> u32 {
        let micros = self.0.saturating_sub(now.0);
        u32::try_from(micros.div_ceil(1_000_000)).unwrap_or(u32::MAX)
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Saturating.
impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({} us)", self.0)
    }
}

/// Seconds since 1970-01-01 00:00:00 UTC, leap seconds not counted: the time of what outlives a
/// process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// So many seconds after 1970-01-01 00:00:00 UTC.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub const fn as_secs(self) -> u64 {
        self.0
    }
}

/// Maps moments to Unix time and back, for what is stored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calendar {
    now: Instant,
    unix_now: UnixTime,
}

impl Calendar {
    pub(crate) const fn new(now: Instant, unix_now: UnixTime) -> Self {
        Self { now, unix_now }
    }

    /// The Unix time of a moment, rounded up: what expires then has not expired before.
    pub(crate) fn to_unix(self, at: Instant) -> UnixTime {
        let micros = at.duration_since(self.now).as_micros().div_ceil(1_000_000);
        UnixTime(self.unix_now.0.saturating_add(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    /// Whether a Unix time is past.
    pub(crate) fn is_past(self, at: UnixTime) -> bool {
        at <= self.unix_now
    }

    /// The moment of a Unix time; one that is past has come by now.
    pub(crate) fn to_instant(self, at: UnixTime) -> Instant {
        self.now + Duration::from_secs(at.0.saturating_sub(self.unix_now.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let last = Instant::MAX + Duration::MAX;
        assert_eq!(last, Instant::MAX);
        assert_eq!(Instant::from_epoch(Duration::MAX), Instant::MAX);
        assert_eq!(Instant::from_micros(1).duration_since(last), Duration::ZERO);
    }

    #[test]
    fn what_is_stored_as_unix_time_comes_back_in_another_process() {
        let first = Calendar::new(Instant::from_micros(5_000_000), UnixTime::from_secs(1_000));
        let at = first.to_unix(Instant::from_micros(65_000_000));
        assert_eq!(at, UnixTime::from_secs(1_060));
        let second = Calendar::new(Instant::from_micros(0), UnixTime::from_secs(1_020));
        assert_eq!(second.to_instant(at), Instant::from_micros(40_000_000));
        assert_eq!(second.to_instant(UnixTime::from_secs(3)), Instant::from_micros(0));
    }
}
