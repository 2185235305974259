//! When something is due, of many things.

use alloc::collections::BTreeSet;

use crate::time::Instant;

/// What a timer is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The number of a connection.
    Connection(u32),
    /// The number of a session.
    Session(u32),
}

/// Timers, at most one of each thing, which remembers when it is due to be looked at.
///
/// To move one to a later time costs nothing: it is looked at when it comes, and set again.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    /// Has a timer come by `at`. `set` is when it comes so far.
    #[inline]
    pub(super) fn set(&mut self, timer: Timer, set: &mut Option<Instant>, at: Option<Instant>) {
        match (*set, at) {
            (_, None) => {}
            (Some(before), Some(at)) if before <= at => {}
            (before, Some(at)) => {
                if let Some(before) = before {
                    self.0.remove(&(before, timer));
                }
                self.0.insert((at, timer));
                *set = Some(at);
            }
        }
    }

    pub(super) fn cancel(&mut self, timer: Timer, set: &mut Option<Instant>) {
        if let Some(at) = set.take() {
            self.0.remove(&(at, timer));
        }
    }

    /// When the first one comes.
    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes off the first one that has come; whoever it is of forgets that it was set.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = *self.0.first()?;
        if at > now {
            return None;
        }
        self.0.pop_first();
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_moves_forward_at_once_and_back_when_it_comes() {
        let at = |micros| Some(Instant::from_micros(micros));
        let (mut timers, mut set) = (Timers::default(), None);
        let timer = Timer::Session(3);
        timers.set(timer, &mut set, at(50));
        timers.set(timer, &mut set, at(80));
        assert_eq!((timers.first(), set), (at(50), at(50)));
        timers.set(timer, &mut set, at(20));
        assert_eq!((timers.first(), set), (at(20), at(20)));
        assert_eq!(timers.pop(Instant::from_micros(19)), None);
        assert_eq!(timers.pop(Instant::from_micros(20)), Some(timer));
        assert_eq!(timers.first(), None);
        set = None;
        timers.set(timer, &mut set, at(80));
        timers.cancel(timer, &mut set);
        assert_eq!((timers.first(), set), (None, None));
    }
}
