//! Calls in few words, and what scenarios expect of those that are refused and of servers that
//! break a rule.

use std::fmt::Debug;

use sansio_mqtt::client::{CallError, Client, DisconnectCause, Event, Handle};
use sansio_mqtt::{Disconnect, Instant, Properties, Property, QoS, ReasonCode, Subscription};

use crate::world::{Way, World};

/// One way, for scenarios that take long.
pub(crate) const WHOLE: Way = Way { fragment: usize::MAX, limit: usize::MAX, durable: false };

impl World {
    /// Makes a call, and does what comes of it.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let now = self.now;
        let result = call(self.client(), now);
        self.poll();
        result
    }

    /// The call is refused, and nothing has changed.
    #[track_caller]
    pub(crate) fn refused<T: Debug>(
        &mut self,
        call: impl FnOnce(&mut Client, Instant) -> Result<T, CallError>,
    ) -> CallError {
        // So that time is not what changes.
        self.call(|client, now| client.handle_timeout(now));
        let now = self.now;
        let before = format!("{:#?}", self.client());
        let error = call(self.client(), now).unwrap_err();
        let after = format!("{:#?}", self.client());
        let changed = before.lines().zip(after.lines()).find(|(before, after)| before != after);
        assert!(before == after, "{error} left a trace: {changed:?}");
        error
    }

    pub(crate) fn subscribe(&mut self, topic_filter: &str) -> Handle {
        let subscription = [Subscription::new(topic_filter, QoS::AtLeastOnce)];
        self.call(|client, now| client.subscribe(now, &subscription, Properties::NONE)).unwrap()
    }

    pub(crate) fn unsubscribe(&mut self, topic_filter: &str) -> Handle {
        let filters = [topic_filter];
        self.call(|client, now| client.unsubscribe(now, &filters, Properties::NONE)).unwrap()
    }

    /// Ends the connection when all is done.
    pub(crate) fn disconnect(&mut self) -> &mut Self {
        self.call(|client, now| client.disconnect(now, &Disconnect::default())).unwrap();
        self
    }

    /// Ends the connection at once.
    pub(crate) fn disconnect_now(&mut self) -> &mut Self {
        self.call(|client, now| client.disconnect_now(now, &Disconnect::default())).unwrap();
        self
    }

    /// The transport breaks, and another one is accepted.
    pub(crate) fn again(
        &mut self,
        session_present: bool,
        properties: &[Property<'_>],
    ) -> &mut Self {
        self.lose().connect(session_present, properties)
    }

    /// Why the connection ended, which has to be told last.
    #[track_caller]
    pub(crate) fn cause(&mut self) -> DisconnectCause {
        match self.events().pop() {
            Some(Event::Disconnected(cause)) => cause,
            other => panic!("{other:?} is no end of a connection"),
        }
    }

    /// The server broke a rule: the client has said so, in 5.0, and closed the connection.
    #[track_caller]
    pub(crate) fn blamed(&mut self, reason_code: ReasonCode) {
        let sent = self.sent();
        match self.client().options().version.is_v5() {
            true => assert_eq!(sent, [format!("DISCONNECT {reason_code}")]),
            false => assert_eq!(sent, [""; 0], "there is nothing to say it with"),
        }
        assert!(self.closed, "the connection is still open");
        let cause = self.cause();
        assert!(matches!(cause, DisconnectCause::Violation(_)), "{cause:?}");
        assert_eq!(cause.reason_code(), Some(reason_code));
    }

    /// Nothing was sent, and the connection goes on.
    #[track_caller]
    pub(crate) fn silent(&mut self) {
        assert_eq!(self.sent(), [""; 0]);
        assert!(!self.closed, "the connection was closed");
    }
}

/// A DISCONNECT with this code.
pub(crate) fn disconnect(reason_code: ReasonCode) -> Disconnect<'static> {
    Disconnect { reason_code, ..Disconnect::default() }
}
