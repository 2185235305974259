//! When to look through what waits for what has expired.

use core::time::Duration;

use crate::time::Instant;

/// What is known of the expiries of messages that wait, so that they are not looked through each
/// time that there is no room.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    /// Before this none expires; `None` if none does at all.
    pub(super) earliest: Option<Instant>,
    /// When they were looked through.
    searched: Option<Instant>,
}

impl Expiries {
    /// A message has this one.
    #[inline(always)]
    pub(super) fn add(&mut self, expires: Instant) {
        self.earliest = Some(self.earliest.map_or(expires, |earliest| earliest.min(expires)));
    }

    /// Whether it is time to look through so many messages: some may have expired, and of many it
    /// was not done within a second, which is as exact as the Message Expiry Interval.
    pub(super) fn is_due(&self, now: Instant, len: usize) -> bool {
        const FEW: usize = 64;
        const PAUSE: Duration = Duration::from_secs(1);
        self.earliest.is_some_and(|earliest| earliest < now)
            && (len <= FEW || self.searched.is_none_or(|searched| now >= searched + PAUSE))
    }

    /// They were looked through: the messages that stay have these.
    pub(super) fn searched(&mut self, now: Instant, left: impl Iterator<Item = Instant>) {
        (self.earliest, self.searched) = (left.min(), Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_looked_through_only_when_there_may_be_some() {
        let at = |millis: u64| Instant::from_micros(millis * 1_000);
        let mut expiries = Expiries::default();
        assert!(!expiries.is_due(at(0), 1), "none expires");
        [20, 10, 30].into_iter().for_each(|millis| expiries.add(at(millis)));
        assert!(!expiries.is_due(at(10), 1) && expiries.is_due(at(11), 1_000));
        expiries.searched(at(11), [at(20), at(30)].into_iter());
        // Of few at once, of many once a second.
        assert!(!expiries.is_due(at(20), 64) && expiries.is_due(at(21), 64));
        assert!(!expiries.is_due(at(1_010), 65) && expiries.is_due(at(1_011), 65));
        expiries.searched(at(1_011), core::iter::empty());
        assert!(!expiries.is_due(at(9_000), 1));
    }
}
