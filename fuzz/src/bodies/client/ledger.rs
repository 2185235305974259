//! What an application is promised: one completion of each operation, no message twice.

use std::collections::{BTreeMap, BTreeSet};

use sansio_mqtt::QoS;
use sansio_mqtt::client::{Delivery, DeliveryId, Event, Handle, Published};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Publish(QoS),
    Request(QoS),
    Subscribe,
    Unsubscribe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Done,
    /// A request is done, and its message may be held.
    Answered,
    /// The process ended before it was completed, and it may have been stored.
    Stored,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    operations: BTreeMap<u64, (Kind, State)>,
    offered: BTreeSet<u64>,
    /// What the application has and has not acknowledged.
    pub(crate) unacknowledged: Vec<DeliveryId>,
    last: u64,
    /// The last number before this process.
    before: u64,
    crashed: bool,
}

impl Ledger {
    /// A call was accepted.
    pub(crate) fn returned(&mut self, handle: Handle, kind: Kind) {
        assert!(handle.get() > self.last, "{handle:?} is not new: {} was given", self.last);
        self.last = handle.get();
        self.operations.insert(handle.get(), (kind, State::Waiting));
    }

    pub(crate) fn told(&mut self, event: &Event) {
        match event {
            Event::Published { handle, result } => {
                let kind = self.complete(*handle, |kind, state| match state {
                    State::Stored => matches!(kind, Kind::Publish(_) | Kind::Request(_)),
                    _ => matches!(kind, Kind::Publish(_)),
                });
                let (Kind::Publish(qos) | Kind::Request(qos)) = kind else { return };
                match result {
                    Ok(Published::Sent) => assert_eq!(qos, QoS::AtMostOnce),
                    Ok(Published::Acknowledged { reason_code, .. }) => {
                        assert!(qos > QoS::AtMostOnce && !reason_code.is_error());
                    }
                    Err(_) => {}
                }
            }
            Event::Subscribed { handle, .. } => {
                self.complete(*handle, |kind, _| kind == Kind::Subscribe);
            }
            Event::Unsubscribed { handle, .. } => {
                self.complete(*handle, |kind, _| kind == Kind::Unsubscribe);
            }
            Event::Response { handle, result } => {
                self.complete(*handle, |kind, _| matches!(kind, Kind::Request(_)));
                self.operations
                    .entry(handle.get())
                    .and_modify(|(_, state)| *state = State::Answered);
                if let Ok(delivery) = result {
                    self.offered(delivery);
                }
            }
            Event::Message(delivery) => self.offered(delivery),
            _ => {}
        }
    }

    fn complete(&mut self, handle: Handle, fits: impl Fn(Kind, State) -> bool) -> Kind {
        let Some((kind, state)) = self.operations.get_mut(&handle.get()) else {
            panic!("{handle:?} was never returned");
        };
        let is_done = matches!(state, State::Done | State::Answered);
        assert!(!is_done, "{handle:?} was completed before");
        assert!(fits(*kind, *state), "{handle:?} is of {kind:?}, and {state:?}");
        *state = State::Done;
        *kind
    }

    fn offered(&mut self, delivery: &Delivery) {
        let qos = delivery.message.qos();
        assert_eq!(delivery.delivery_id.is_some(), qos > QoS::AtMostOnce);
        let Some(id) = delivery.delivery_id else { return };
        assert!(self.offered.insert(id.get()), "{id:?} was offered before");
        assert!(!delivery.redelivered || self.crashed, "{id:?} was never offered");
        self.unacknowledged.push(id);
    }

    /// The process ends, and with it what was not stored: if nothing was, its numbers are given
    /// again.
    pub(crate) fn crash(&mut self, anything_stored: bool) {
        if !anything_stored {
            self.last = self.before;
            self.operations.retain(|handle, _| *handle <= self.before);
        }
        self.before = self.last;
        for (kind, state) in self.operations.values_mut() {
            let stored = matches!(kind, Kind::Publish(qos) | Kind::Request(qos)
                if *qos > QoS::AtMostOnce);
            *state = match state {
                State::Waiting | State::Answered | State::Stored if stored => State::Stored,
                _ => State::Done,
            };
        }
        self.offered.clear();
        self.unacknowledged.clear();
        self.crashed = true;
    }

    /// What waits for its completion.
    pub(crate) fn waiting(&self) -> Vec<(u64, Kind)> {
        let waiting = |(handle, (kind, state)): (&u64, &(Kind, State))| {
            (*state == State::Waiting).then_some((*handle, *kind))
        };
        self.operations.iter().filter_map(waiting).collect()
    }

    /// An operation that was called for, the oldest ones first.
    pub(crate) fn handle(&self, index: usize) -> u64 {
        let len = self.operations.len().max(1);
        self.operations.keys().nth(index % len).copied().unwrap_or(1)
    }
}
