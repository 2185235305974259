//! When a client pings, and when the other end is taken for dead. MQTT 5.0 §3.1.2.10.

use core::time::Duration;

use crate::session::peer_time::PeerTime;
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
    /// When a PINGRESP must have come, by the time that the other end has had.
    awaited: Option<Instant>,
    /// Whether a PINGREQ waits to be pulled.
    queued: bool,
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
        let start = Instant::from_micros(0);
        Self {
            interval: None,
            timeout: Duration::ZERO,
            last_sent: start,
            last_received: start,
            awaited: None,
            queued: false,
        }
    }

    /// The server has said what Keep Alive is, which counts since the last packet that was sent.
    /// A PINGREQ goes out an eighth of the interval early, so that it is on its way in time.
    pub(crate) fn begin(&mut self, seconds: u16, timeout: Duration, now: Instant) {
        let interval = Duration::from_millis(u64::from(seconds).saturating_mul(875));
        let interval = (seconds > 0).then_some(interval);
        *self = Self {
            interval,
            timeout,
            last_sent: self.last_sent,
            last_received: now,
            ..Self::off()
        };
    }

    #[inline]
    pub(crate) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
        self.queued = false;
    }

    #[inline]
    pub(crate) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    pub(crate) fn on_ping_resp(&mut self) {
        self.awaited = None;
    }

    /// The moment at which something is due.
    pub(crate) fn deadline(&self, peer: &PeerTime) -> Option<Instant> {
        self.interval?;
        let dead = self.awaited.and_then(|awaited| peer.comes(awaited));
        [self.ping_due(peer), dead].into_iter().flatten().min()
    }

    /// When the next PINGREQ is due: when nothing was sent for long enough, or nothing received.
    fn ping_due(&self, peer: &PeerTime) -> Option<Instant> {
        let interval = self.interval.filter(|_| !self.queued)?;
        let since = match self.awaited {
            None if !peer.is_stopped() => self.last_sent.min(self.last_received),
            _ => self.last_sent,
        };
        Some(since + interval)
    }

    /// What is due by now; a PINGREQ that is due has to be sent.
    pub(crate) fn poll(&mut self, now: Instant, peer: &PeerTime) -> Due {
        if self.interval.is_none() {
            return Due::Nothing;
        }
        if self.awaited.is_some_and(|awaited| awaited <= peer.of(now)) {
            return Due::Dead;
        }
        if self.ping_due(peer).is_none_or(|due| due > now) {
            return Due::Nothing;
        }
        self.queued = true;
        self.awaited = self.awaited.or(Some(peer.of(now) + self.timeout));
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep_alive(seconds: u16, timeout: Duration, now: Instant) -> KeepAlive {
        let mut keep_alive = KeepAlive::off();
        keep_alive.sent(now);
        keep_alive.begin(seconds, timeout, now);
        keep_alive
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn pings_when_nothing_was_sent_and_when_nothing_was_received() {
        // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]
        for only_sending in [true, false] {
            let mut keep_alive = keep_alive(10, Duration::from_secs(5), at(0));
            for second in 0..=8 {
                let now = at(second * 1_000);
                if only_sending {
                    keep_alive.sent(now)
                } else {
                    keep_alive.received(now)
                }
                assert_eq!(keep_alive.poll(now, &PeerTime::default()), Due::Nothing);
            }
            assert_eq!(keep_alive.deadline(&PeerTime::default()), Some(at(8_750)));
            assert_eq!(keep_alive.poll(at(8_750), &PeerTime::default()), Due::Ping);
            assert_eq!(
                keep_alive.deadline(&PeerTime::default()),
                Some(at(13_750)),
                "one is enough"
            );
            keep_alive.sent(at(13_000));
            keep_alive.received(at(13_000));
            assert_eq!(keep_alive.poll(at(13_750), &PeerTime::default()), Due::Dead);
        }
    }

    #[test]
    fn goes_on_pinging_while_an_answer_is_awaited() {
        // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]
        let mut keep_alive = keep_alive(4, Duration::from_secs(20), at(0));
        for ping in 1..6 {
            assert_eq!(keep_alive.deadline(&PeerTime::default()), Some(at(3_500 * ping)));
            assert_eq!(keep_alive.poll(at(3_500 * ping), &PeerTime::default()), Due::Ping);
            keep_alive.sent(at(3_500 * ping));
        }
        assert_eq!(keep_alive.deadline(&PeerTime::default()), Some(at(21_000)));
        keep_alive.sent(at(21_000));
        assert_eq!(keep_alive.poll(at(23_500), &PeerTime::default()), Due::Dead);
    }

    #[test]
    fn a_pause_of_the_input_does_not_count_against_the_other_end() {
        let mut keep_alive = keep_alive(10, Duration::from_secs(5), at(0));
        let mut peer = PeerTime::default();
        assert_eq!(keep_alive.poll(at(9_000), &peer), Due::Ping);
        peer.stop(at(10_000));
        assert_eq!(keep_alive.deadline(&peer), None);
        assert_eq!(keep_alive.poll(at(60_000), &peer), Due::Nothing);
        peer.go_on(at(60_000));
        assert_eq!(keep_alive.poll(at(63_000), &peer), Due::Nothing);
        assert_eq!(keep_alive.poll(at(64_000), &peer), Due::Dead);
    }

    #[test]
    fn zero_is_off() {
        let mut keep_alive = keep_alive(0, Duration::ZERO, at(0));
        assert_eq!(keep_alive.deadline(&PeerTime::default()), None);
        assert_eq!(keep_alive.poll(Instant::MAX, &PeerTime::default()), Due::Nothing);
    }
}
