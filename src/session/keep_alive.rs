//! When a client pings, and when the other end is taken for dead. MQTT 5.0 §3.1.2.10.

use core::time::Duration;

use crate::time::Instant;

/// Keep Alive of a client's connection.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    /// `None` if it is off.
    interval: Option<Duration>,
    /// How long a PINGRESP may take.
    timeout: Duration,
    last_sent: Instant,
    last_received: Instant,
    /// When a PINGRESP must have come.
    ping: Option<Instant>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    Dead,
}

impl KeepAlive {
    pub(crate) const fn off() -> Self {
        let (timeout, start) = (Duration::ZERO, Instant::from_micros(0));
        Self { interval: None, timeout, last_sent: start, last_received: start, ping: None }
    }

    /// A PINGREQ goes out an eighth of the interval early, so that it is on its way in time.
    pub(crate) fn new(seconds: u16, timeout: Duration, now: Instant) -> Self {
        let interval = Duration::from_millis(u64::from(seconds).saturating_mul(875));
        Self {
            interval: (seconds > 0).then_some(interval),
            timeout,
            last_sent: now,
            last_received: now,
            ping: None,
        }
    }

    #[inline]
    pub(crate) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    #[inline]
    pub(crate) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    pub(crate) fn on_ping_resp(&mut self) {
        self.ping = None;
    }

    /// Input was paused by this end, and goes on: the time until now does not count.
    pub(crate) fn resumed(&mut self, now: Instant) {
        self.last_received = now;
        if self.ping.is_some() {
            self.ping = Some(now + self.timeout);
        }
    }

    /// The moment at which something is due; while input is paused only a PINGREQ for want of
    /// anything sent.
    pub(crate) fn deadline(&self, paused: bool) -> Option<Instant> {
        let interval = self.interval?;
        match self.ping {
            Some(_) if paused => None,
            Some(ping) => Some(ping),
            None if paused => Some(self.last_sent + interval),
            None => Some(self.last_sent.min(self.last_received) + interval),
        }
    }

    /// What is due by now; a PINGREQ that is due has to be sent.
    pub(crate) fn poll(&mut self, now: Instant, paused: bool) -> Due {
        match self.deadline(paused) {
            Some(deadline) if deadline <= now => {}
            _ => return Due::Nothing,
        }
        if self.ping.is_some() {
            return Due::Dead;
        }
        self.ping = Some(now + self.timeout);
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn pings_when_nothing_was_sent_and_when_nothing_was_received() {
        // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]
        for only_sending in [true, false] {
            let mut keep_alive = KeepAlive::new(10, Duration::from_secs(5), at(0));
            for second in 0..=8 {
                let now = at(second * 1_000);
                if only_sending {
                    keep_alive.sent(now)
                } else {
                    keep_alive.received(now)
                }
                assert_eq!(keep_alive.poll(now, false), Due::Nothing);
            }
            assert_eq!(keep_alive.deadline(false), Some(at(8_750)));
            assert_eq!(keep_alive.poll(at(8_750), false), Due::Ping);
            assert_eq!(keep_alive.deadline(false), Some(at(13_750)));
            keep_alive.sent(at(13_000));
            keep_alive.received(at(13_000));
            assert_eq!(keep_alive.poll(at(13_750), false), Due::Dead);
        }
    }

    #[test]
    fn a_pause_of_the_input_does_not_count_against_the_other_end() {
        let mut keep_alive = KeepAlive::new(10, Duration::from_secs(5), at(0));
        assert_eq!(keep_alive.poll(at(9_000), false), Due::Ping);
        assert_eq!(keep_alive.poll(at(60_000), true), Due::Nothing);
        keep_alive.resumed(at(60_000));
        assert_eq!(keep_alive.poll(at(64_000), false), Due::Nothing);
        assert_eq!(keep_alive.poll(at(65_000), false), Due::Dead);
    }

    #[test]
    fn zero_is_off() {
        let mut keep_alive = KeepAlive::new(0, Duration::ZERO, at(0));
        assert_eq!(keep_alive.deadline(false), None);
        assert_eq!(keep_alive.poll(Instant::MAX, false), Due::Nothing);
    }
}
