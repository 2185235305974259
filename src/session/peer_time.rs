//! The time that the other end has had to answer.

use core::time::Duration;

use crate::time::Instant;

/// A clock that stands still while the other end cannot be heard: while this end reads nothing,
/// and while a packet that is on its way keeps the answers behind it from coming.
#[derive(Debug, Default)]
pub(crate) struct PeerTime {
    behind: Duration,
    stopped: Option<Instant>,
    /// When the last bytes came of a packet that is not whole.
    partial: Option<Instant>,
}

impl PeerTime {
    /// The time that there is for the other end.
    pub(crate) fn of(&self, now: Instant) -> Instant {
        self.stopped.unwrap_or(now).before(self.behind)
    }

    /// When a moment of this clock comes, unless something else happens; `None` while it stands.
    pub(crate) fn comes(&self, moment: Instant) -> Option<Instant> {
        self.stopped.is_none().then(|| moment + self.behind)
    }

    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    pub(crate) fn stop(&mut self, now: Instant) {
        self.stopped.get_or_insert(now);
    }

    pub(crate) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.stopped.take() {
            self.skip(since, now);
        }
    }

    /// Bytes came: if they are of a packet that was not whole, they are what the time until now
    /// was needed for.
    #[inline]
    pub(crate) fn received(&mut self, now: Instant) {
        if let Some(since) = self.partial.take() {
            self.skip(since, now);
        }
    }

    /// What came ends amid a packet.
    #[inline]
    pub(crate) fn partial(&mut self, now: Instant) {
        self.partial.get_or_insert(now);
    }

    fn skip(&mut self, since: Instant, now: Instant) {
        self.behind = self.behind.saturating_add(now.duration_since(since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn the_clock_stands_while_it_is_stopped() {
        let mut time = PeerTime::default();
        assert_eq!((time.of(at(10)), time.comes(at(15))), (at(10), Some(at(15))));
        time.stop(at(12));
        time.stop(at(14));
        assert_eq!((time.of(at(20)), time.comes(at(15))), (at(12), None));
        time.go_on(at(20));
        time.go_on(at(30));
        assert_eq!((time.of(at(20)), time.comes(at(15))), (at(12), Some(at(23))));
    }

    #[test]
    fn the_time_that_a_packet_takes_does_not_count() {
        let mut time = PeerTime::default();
        time.received(at(5));
        time.partial(at(5));
        time.received(at(8));
        time.partial(at(8));
        assert_eq!(time.of(at(10)), at(7), "nothing has come since 8");
        time.received(at(12));
        assert_eq!(time.of(at(13)), at(6));
    }
}
