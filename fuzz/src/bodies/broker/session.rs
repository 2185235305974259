//! A session as the reference broker keeps it.

use std::rc::Rc;

use sansio_mqtt::broker::ConnectionId;
use sansio_mqtt::{PacketId, Publish, QoS, Version};

use super::message::{Copy, Message, State};
use super::rules::matches;

#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) filter: String,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) identifier: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct LastWill {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<String>,
    pub(crate) expiry: Option<u32>,
    pub(crate) delay: u32,
}

/// A connection of a session.
#[derive(Debug, Clone)]
pub(crate) struct Up {
    pub(crate) id: ConnectionId,
    pub(crate) version: Version,
    pub(crate) maximum_packet_size: usize,
    /// In microseconds, one and a half times.
    pub(crate) keep_alive: Option<u64>,
    pub(crate) last_received: u64,
    pub(crate) was_paused: bool,
}

#[derive(Debug)]
pub(crate) struct Session {
    /// Never that of another session.
    pub(crate) serial: u64,
    pub(crate) client_id: String,
    pub(crate) up: Option<Up>,
    /// In seconds.
    pub(crate) expiry: u32,
    pub(crate) expires: Option<u64>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) queue: Vec<Copy>,
    /// Identifiers of messages at QoS 2 that the client has not released.
    pub(crate) received: Vec<PacketId>,
    pub(crate) will: Option<LastWill>,
    pub(crate) will_due: Option<u64>,
    /// With the connection that each was sent on last, in the order in which they were first.
    flights: Vec<(PacketId, ConnectionId)>,
}

impl Session {
    pub(crate) const fn new(serial: u64, client_id: String) -> Self {
        Self {
            serial,
            client_id,
            up: None,
            expiry: 0,
            expires: None,
            subscriptions: Vec::new(),
            queue: Vec::new(),
            received: Vec::new(),
            will: None,
            will_due: None,
            flights: Vec::new(),
        }
    }

    pub(crate) fn is_up(&self, id: ConnectionId) -> bool {
        self.up.as_ref().is_some_and(|up| up.id == id)
    }

    pub(crate) fn expect(&mut self, mut copy: Copy) {
        if !copy.may_go_to(&self.client_id) {
            return;
        }
        copy.optional |= match &self.up {
            // What becomes of it is open. v5 4.5
            None => copy.qos == QoS::AtMostOnce,
            Some(up) => copy.size() > up.maximum_packet_size,
        };
        self.queue.push(copy);
    }

    pub(crate) fn connected(&mut self, up: Up) {
        let limit = up.maximum_packet_size;
        self.up = Some(up);
        (self.expires, self.will_due) = (None, None);
        for copy in &mut self.queue {
            copy.optional |= copy.size() > limit && !matches!(copy.state, State::AwaitPubComp(_));
        }
    }

    pub(crate) fn disconnected(&mut self) {
        self.up = None;
        for copy in &mut self.queue {
            copy.optional |= copy.qos == QoS::AtMostOnce;
        }
    }

    /// The client unsubscribed: what was not sent yet need not be.
    pub(crate) fn forget(&mut self, filter: &str) {
        for copy in self.queue.iter_mut().filter(|copy| copy.state == State::Waiting) {
            copy.filters.retain(|known| known != filter);
            copy.optional |= copy.filters.is_empty();
        }
    }

    /// The client subscribes again: what was not sent yet need be sent once only. Which of two that
    /// are alike, for this filter and for another one, was sent, nobody knows: only identifiers would
    /// tell.
    pub(crate) fn replay_again(&mut self, filter: &str) {
        let is_v5 = self.up.as_ref().is_some_and(|up| up.version.is_v5());
        for copy in self.queue.iter_mut().filter(|copy| copy.state == State::Waiting) {
            let is_alike = !is_v5 || copy.identifiers.is_empty();
            let may_be = is_alike && matches(filter, &copy.message.topic);
            copy.optional |= copy.replay.is_some() && (may_be || copy.filters == [filter]);
        }
    }

    /// Whether retained messages for a subscription may not have been sent yet.
    pub(crate) fn may_still_replay(&self, old: &Subscription) -> bool {
        let waits = |copy: &Copy| {
            let is_replay = copy.replay.is_some() && copy.filters == [old.filter.as_str()];
            is_replay && copy.state == State::Waiting
        };
        old.no_local || self.queue.iter().any(waits)
    }

    /// The broker sends a message that it does not send for a Shared Subscription; whether this is
    /// one that has to be sent.
    pub(crate) fn sent(
        &mut self,
        publish: &Publish<'_>,
        topic: &str,
        now: u64,
        unanswered: &[PacketId],
    ) -> bool {
        let Some(up) = self.up.clone() else { return false };
        if publish.dup {
            self.resent(publish, topic, &up, now);
            return true;
        }
        let is_v5 = up.version.is_v5();
        let is = |copy: &Copy| copy.state == State::Waiting && copy.is(publish, topic, is_v5, now);
        let fits = |copy: &Copy| is(copy) && !copy.message.has_expired(now);
        let Some(at) = self.choose(fits, &up, now) else {
            let expired = self.queue.iter().find(|copy| is(copy));
            assert!(expired.is_none(), "expired, and sent: {expired:?}");
            return false;
        };
        let copy = &self.queue[at];
        let earlier = self.overtaken(at, &up, now);
        assert!(earlier.is_none(), "{copy:?} overtakes {earlier:?}");
        let too_early = copy.replay.is_some_and(|id| unanswered.contains(&id));
        assert!(!too_early, "a retained message before its SUBACK");
        match publish.packet_id {
            None => drop(self.queue.remove(at)),
            Some(id) => self.in_flight(at, id, up.id),
        }
        true
    }

    /// Of copies that are alike, one that comes in its order, and rather one that has to come.
    fn choose(&self, fits: impl Fn(&Copy) -> bool, up: &Up, now: u64) -> Option<usize> {
        let all = (0..self.queue.len()).filter(|at| fits(&self.queue[*at]));
        all.min_by_key(|at| (self.overtaken(*at, up, now).is_some(), self.queue[*at].optional))
    }

    /// What should have been sent before a copy.
    fn overtaken(&self, at: usize, up: &Up, now: u64) -> Option<&Copy> {
        let (earlier, copy) = (self.queue.get(..at)?, self.queue.get(at)?);
        earlier.iter().find(|earlier| {
            let is_due = match earlier.state {
                State::Waiting => true,
                State::AwaitAck(id) => !self.flights.contains(&(id, up.id)),
                State::AwaitPubComp(_) => false,
            };
            // A retained message for a new subscription may wait until nothing else does.
            let is_due = is_due && (earlier.replay.is_none() || copy.replay.is_some());
            is_due && earlier.is_ordered_with(copy) && !earlier.may_be_gone(now)
        })
    }

    fn in_flight(&mut self, at: usize, id: PacketId, connection: ConnectionId) {
        self.queue[at].state = State::AwaitAck(id);
        self.queue[at].is_vague |= self.up.as_ref().is_some_and(|up| !up.version.is_v5());
        // What could not be sent again was given up, and its identifier with it.
        self.flights.retain(|(known, _)| *known != id);
        let is_other = |other: usize, copy: &Copy| other == at || copy.state != State::AwaitAck(id);
        let mut place = 0..;
        self.queue.retain(|copy| {
            let place = place.next().unwrap_or_default();
            let gone = !is_other(place, copy);
            assert!(!gone || copy.optional, "{id:?} is in use by {copy:?}");
            !gone
        });
        self.flights.push((id, connection));
    }

    /// A copy for a Shared Subscription comes here.
    pub(crate) fn takes(&mut self, copy: Copy, id: Option<PacketId>) {
        let Some(up) = self.up.as_ref().map(|up| up.id) else { return };
        if let Some(id) = id {
            self.queue.push(copy);
            self.in_flight(self.queue.len() - 1, id, up);
        }
    }

    fn resent(&mut self, publish: &Publish<'_>, topic: &str, up: &Up, now: u64) {
        let id = publish.packet_id.expect("an identifier");
        let copy = self.queue.iter().find(|copy| copy.state == State::AwaitAck(id));
        let Some(copy) = copy else { panic!("{publish} was not sent before, or is acknowledged") };
        let is_v5 = up.version.is_v5();
        let may_be = copy.is_vague && copy.is(publish, topic, false, now);
        let is_it = may_be || copy.is(publish, topic, is_v5, now);
        assert!(is_it, "{publish} was another: {copy:?}");
        let at = self.flights.iter().position(|(known, _)| *known == id).expect("a flight");
        assert_ne!(self.flights[at].1, up.id, "{publish} twice on one connection");
        for (earlier, connection) in &self.flights[..at] {
            let is_due = |copy: &&Copy| copy.state == State::AwaitAck(*earlier) && !copy.optional;
            let due = self.queue.iter().find(is_due);
            assert!(due.is_none() || *connection == up.id, "{publish} before {due:?}");
        }
        self.flights[at].1 = up.id;
    }

    /// The client has acknowledged a message for good.
    pub(crate) fn completed(&mut self, id: PacketId) {
        let is = |copy: &Copy| matches!(copy.state, State::AwaitAck(known) | State::AwaitPubComp(known) if known == id);
        self.queue.retain(|copy| !is(copy));
        self.flights.retain(|(known, _)| *known != id);
    }

    pub(crate) fn pub_rec(&mut self, id: PacketId) {
        for copy in self.queue.iter_mut().filter(|copy| copy.state == State::AwaitAck(id)) {
            copy.state = State::AwaitPubComp(id);
        }
    }
}

/// What is to be sent of a message for some subscriptions of a session.
pub(crate) fn merged(message: &Rc<Message>, matched: &[&Subscription], lossy: bool) -> Copy {
    let highest = matched.iter().map(|found| found.qos).max().unwrap_or_default();
    // One copy is as published if one of the subscriptions that it stands for asks for that.
    let as_published = matched.iter().any(|found| found.retain_as_published);
    let mut identifiers: Vec<u32> = matched.iter().filter_map(|found| found.identifier).collect();
    identifiers.sort_unstable();
    Copy {
        message: Rc::clone(message),
        qos: message.qos.min(highest),
        retain: message.retain && as_published,
        identifiers,
        filters: matched.iter().map(|found| found.filter.clone()).collect(),
        replay: None,
        optional: lossy,
        state: State::Waiting,
        is_vague: false,
    }
}
