//! Bytes to clients.

use alloc::boxed::Box;

use bytes::Buf;

use crate::broker::authorizer::{Authorizer, Client, Decision, Forwarded};
use crate::broker::connection::{Connection, Pause};
use crate::broker::delivery::{Delivery, Identifiers};
use crate::broker::event::Counters;
use crate::broker::machine::Broker;
use crate::broker::messages::{Messages, Origin, Stored};
use crate::broker::routing;
use crate::broker::session::Session;
use crate::link::{ConnectionId, Link, Transmitted};
use crate::outgoing::Outgoing;
use crate::packet_id::PacketId;
use crate::session::publish::{Alias, WirePublish};
use crate::session::store::Log;
use crate::time::Instant;

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Control,
    Ack,
    AtMostOnce,
    Publish,
    Replay,
}

/// So many retained messages are taken up for new subscriptions at a time.
const REPLAYED: usize = 32;
/// So many at most while bytes are pulled once: the authorizer may hold them all back.
const REPLAYED_AT_ONCE: usize = 1024;

/// What pulling messages needs of a broker.
struct Pull<'a> {
    now: Instant,
    link: &'a mut Link,
    session: &'a mut Session,
    messages: &'a mut Messages,
    authorizer: &'a mut Box<dyn Authorizer + Send>,
    counters: &'a mut Counters,
}

impl Broker {
    /// Pulls bytes for a client: appends packets to `outgoing` until that holds `limit` bytes or
    /// more, or nothing is left. Bytes of another connection that it still holds are thrown away.
    ///
    /// Whoever pulls sends: what was pulled counts as sent. Ask for
    /// [outputs](Self::poll_output) again afterwards.
    pub fn transmit(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        limit: usize,
        outgoing: &mut Outgoing,
    ) -> Transmitted {
        self.advance(now);
        let Some(number) = self.find(connection) else { return Transmitted::All };
        outgoing.begin(connection.0);
        let held = outgoing.remaining();
        let left = self.pull(number, limit.max(1), outgoing);
        let sent = u64::try_from(outgoing.remaining().saturating_sub(held)).unwrap_or(u64::MAX);
        self.counters.bytes_sent = self.counters.bytes_sent.saturating_add(sent);
        if left == Transmitted::All {
            self.ran_dry(number);
        }
        left
    }

    fn pull(&mut self, number: u32, limit: usize, out: &mut Outgoing) -> Transmitted {
        let mut replayed: usize = 0;
        loop {
            let Self { connections, sessions, log, .. } = self;
            let Some(Some(connection)) = connections.get_mut(number) else {
                return Transmitted::All;
            };
            let session_number = connection.session;
            let mut session = session_number.and_then(|number| sessions.get_mut(number)?.as_mut());
            let Some(next) = next(connection, session.as_deref_mut(), log) else {
                return Transmitted::All;
            };
            if out.remaining() >= limit || replayed >= REPLAYED_AT_ONCE {
                return Transmitted::More;
            }
            match (next, session) {
                (Next::Control, _) => connection.link.pull_control(out),
                (Next::Ack, _) => {
                    if connection.acks.pull(connection.link.version, out) {
                        connection.quota.pulled();
                    }
                    if connection.acks.is_empty() {
                        self.resume(number, Pause::Client);
                    }
                }
                (Next::Replay, Some(_)) => {
                    let Some(session) = session_number else { return Transmitted::All };
                    replayed = replayed.saturating_add(self.take_replays(session));
                }
                (Next::AtMostOnce | Next::Publish, Some(session)) => {
                    let Self { now, messages, authorizer, counters, .. } = self;
                    let link = &mut connection.link;
                    let now = *now;
                    let mut pull = Pull { now, link, session, messages, authorizer, counters };
                    if next == Next::AtMostOnce {
                        pull.at_most_once(limit, out);
                    } else {
                        pull.publish(out);
                    }
                }
                _ => return Transmitted::All,
            }
        }
    }

    /// There is nothing more for a client: it is told of the next.
    fn ran_dry(&mut self, number: u32) {
        if let Some((_, session)) = self.both_mut(number) {
            session.is_ready = false;
        }
        let Some(connection) = self.connection_mut(number) else { return };
        connection.link.ran_dry();
        if connection.link.is_closing() {
            self.finish(number);
        }
    }

    /// Takes up retained messages that new subscriptions are still to get, and says how many it
    /// has looked at. They wait neither in a queue that could overflow, nor take anybody's place:
    /// it is their turn when nothing else waits.
    fn take_replays(&mut self, number: u32) -> usize {
        let mut looked_at: usize = 0;
        while looked_at < REPLAYED {
            let Self { sessions, retained, messages, authorizer, counters, scratch, .. } = self;
            let Some(Some(session)) = sessions.get_mut(number) else { break };
            let Some(replay) = session.replays.front_mut() else { break };
            looked_at = looked_at.saturating_add(1);
            let found = retained.next(self.now, &replay.filter, &mut replay.cursor, scratch);
            let Some(kept) = found else {
                session.replays.pop_front();
                continue;
            };
            let publisher = kept.publisher.as_deref();
            let own = publisher.is_some_and(|one| one.client_id == session.client.client_id);
            if replay.no_local && own {
                continue;
            }
            let message = Forwarded { topic: kept.message.topic(), publisher };
            if authorizer.replay(&session.client, &message) != Decision::Allow {
                counters.withheld = counters.withheld.saturating_add(1);
                continue;
            }
            let publish = kept.message.to_publish();
            let origin = Origin {
                expires: kept.expires,
                publisher: kept.publisher.clone(),
                shared: Some(kept.message.payload_bytes()),
            };
            let delivery = |message| Delivery {
                message,
                qos: publish.qos.min(replay.qos),
                // v5 [MQTT-3.3.1-8], v3.1.1 [MQTT-3.3.1-8]
                retain: true,
                is_replay: true,
                group: None,
                identifiers: Identifiers::One(replay.identifier),
            };
            let Some(message) = messages.insert(&publish, origin) else { break };
            let delivery = delivery(message);
            self.deliver(number, delivery);
            self.messages.release(message);
        }
        looked_at
    }
}

/// What is sent next: what does not wait, then answers, then messages in their order. One that may
/// not be sent yet, for a record, holds back none at QoS 0. Retained messages for new subscriptions
/// come when all the others are in the window, and there is room in it.
///
/// v5 [MQTT-3.3.4-8] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
#[inline]
fn next(connection: &Connection, session: Option<&mut Session>, log: &Log) -> Option<Next> {
    if connection.link.has_control() {
        return Some(Next::Control);
    }
    if connection.acks.front().is_some_and(|ack| log.is_committed(ack.after)) {
        return Some(Next::Ack);
    }
    let session = session?;
    let at_most_once = session.at_most_once.front().map_or(u64::MAX, |item| item.number);
    let publish = match session.outbound.next_ready() {
        Some((_, entry)) if log.is_committed(entry.after) => entry.order,
        _ => u64::MAX,
    };
    if at_most_once < publish {
        Some(Next::AtMostOnce)
    } else if publish != u64::MAX {
        Some(Next::Publish)
    } else if !session.replays.is_empty()
        && session.outbound.is_open()
        && connection.acks.is_empty()
    {
        Some(Next::Replay)
    } else {
        None
    }
}

impl Pull<'_> {
    /// Messages at QoS 0, as long as they come next.
    #[inline]
    fn at_most_once(&mut self, limit: usize, out: &mut Outgoing) {
        let before = match self.session.outbound.next_ready() {
            Some((_, entry)) => entry.order,
            None => u64::MAX,
        };
        while let Some(item) = self.session.at_most_once.front()
            && item.number < before
            && out.remaining() < limit
            && let Some(item) = self.session.at_most_once.pop_front()
        {
            let delivery = &item.delivery;
            let message = delivery.message;
            if let Some(stored) = self.messages.get(message) {
                let bytes = self.session.at_most_once_bytes.saturating_sub(stored.size());
                self.session.at_most_once_bytes = bytes;
                let is_expired = stored.expires.is_some_and(|expires| expires < self.now);
                if is_expired {
                    self.counters.expired = self.counters.expired.saturating_add(1);
                } else if may_have(self.authorizer, &self.session.client, delivery, stored) {
                    let publish = wire(self.now, stored, delivery);
                    send(publish, stored, self.link, self.counters, out);
                } else {
                    self.counters.withheld = self.counters.withheld.saturating_add(1);
                }
            }
            self.messages.release(message);
        }
    }

    /// A message at QoS 1 or 2.
    fn publish(&mut self, out: &mut Outgoing) {
        let Some((key, entry)) = self.session.outbound.next_ready() else { return };
        let was_sent = entry.sent;
        let sent = match entry.message.as_ref() {
            None => false,
            Some(_) if entry.is_expired(self.now) => {
                self.counters.expired = self.counters.expired.saturating_add(1);
                false
            }
            Some(delivery) => match self.messages.get(delivery.message) {
                None => false,
                // What was sent may be with the client: its exchange is brought to an end.
                Some(stored)
                    if !was_sent
                        && !may_have(self.authorizer, &self.session.client, delivery, stored) =>
                {
                    self.counters.withheld = self.counters.withheld.saturating_add(1);
                    false
                }
                Some(stored) => {
                    let publish = wire(self.now, stored, delivery);
                    // v5 [MQTT-3.3.1-1], v3.1.1 [MQTT-3.3.1-1]
                    let (dup, packet_id): (_, Option<PacketId>) = (was_sent, entry.packet_id);
                    let publish = WirePublish { dup, packet_id, ..publish };
                    send(publish, stored, self.link, self.counters, out)
                }
            },
        };
        if sent {
            entry.sent = true;
            let size = entry.size;
            self.session.outbound.pulled(was_sent, size);
            return;
        }
        // It is complete as if it had been sent. v5 [MQTT-3.1.2-25]
        let removed = self.session.outbound.remove(key);
        if let Some(delivery) = removed.and_then(|removed| removed.message) {
            self.messages.release(delivery.message);
        }
        routing::open_window(&mut self.session.outbound);
    }
}

/// Whether a client may have a message now.
#[inline]
fn may_have(
    authorizer: &mut Box<dyn Authorizer + Send>,
    client: &Client,
    delivery: &Delivery,
    stored: &Stored,
) -> bool {
    let message = Forwarded { topic: &stored.topic, publisher: stored.publisher.as_deref() };
    delivery.is_replay || authorizer.deliver(client, &message) == Decision::Allow
}

/// The PUBLISH of a delivery.
#[inline]
fn wire<'a>(now: Instant, stored: &'a Stored, delivery: &'a Delivery) -> WirePublish<'a> {
    WirePublish {
        dup: false,
        qos: delivery.qos,
        retain: delivery.retain,
        topic: stored.topic.as_bytes(),
        packet_id: None,
        properties: stored.properties(),
        present: stored.present,
        expiry: stored.expires.map(|expires| expires.seconds_from(now)),
        identifiers: delivery.identifiers.get(),
        payload: stored.payload(),
    }
}

/// Writes a PUBLISH with the alias that it can have, which counts then; `false` if it is larger
/// than the client accepts. v5 [MQTT-3.1.2-24]
#[inline]
fn send(
    publish: WirePublish<'_>,
    stored: &Stored,
    link: &mut Link,
    counters: &mut Counters,
    out: &mut Outgoing,
) -> bool {
    let mut alias = link.outgoing_aliases.find(publish.topic);
    // A packet that is too large with an alias goes without one.
    if !link.accepts(publish.encoded_len(link.version, alias)) {
        alias = Alias::None;
        if !link.accepts(publish.encoded_len(link.version, alias)) {
            counters.too_large = counters.too_large.saturating_add(1);
            return false;
        }
    }
    publish.write(link.version, alias, stored.large.clone(), out);
    link.outgoing_aliases.used(publish.topic, alias);
    counters.publishes_sent = counters.publishes_sent.saturating_add(1);
    true
}
