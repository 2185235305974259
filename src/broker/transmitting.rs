//! Bytes to clients.

use alloc::boxed::Box;

use bytes::Buf;

use crate::broker::authorizer::{Authorizer, Client, Decision, Forwarded};
use crate::broker::connection::{Connection, Pause};
use crate::broker::delivery::Delivery;
use crate::broker::event::Counters;
use crate::broker::hash::Seed;
use crate::broker::machine::{Broker, number_of};
use crate::broker::messages::{Frame, Messages, Stored};
use crate::broker::ready::Form;
use crate::broker::session::Session;
use crate::broker::topics::Topics;
use crate::link::{ConnectionId, Link, Transmitted};
use crate::outgoing::Outgoing;
use crate::packet_id::PacketId;
use crate::session::publish::{Alias, WirePublish};
use crate::session::store::Log;
use crate::time::Instant;
use crate::version::Version;

/// So often retained messages are taken up while bytes are pulled once.
const REPLAYS: usize = 64;

/// How far pulling has come.
enum Pulled {
    /// There is nothing more.
    All,
    /// There is no more room.
    More,
    /// It is the turn of retained messages for new subscriptions of this session: all the others
    /// are in the window, and there is room in it.
    Replay(u32),
}

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
    /// [outputs](Self::poll_output) again afterwards. The [module](crate::broker) has a function
    /// that writes what is pulled, as far as a socket takes it.
    pub fn transmit(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        limit: usize,
        outgoing: &mut Outgoing,
    ) -> Transmitted {
        self.advance(now);
        let number = number_of(connection);
        if outgoing.remaining() < limit && self.transmit_direct(number, connection, outgoing) {
            return Transmitted::All;
        }
        self.transmit_queued(number, connection, limit, outgoing)
    }

    #[inline(never)]
    fn transmit_queued(
        &mut self,
        number: u32,
        connection: ConnectionId,
        limit: usize,
        outgoing: &mut Outgoing,
    ) -> Transmitted {
        outgoing.begin(connection.0);
        if self.find(connection).is_none() {
            return Transmitted::All;
        }
        let held = outgoing.remaining();
        let mut replays: usize = 0;
        let left = loop {
            match self.pull(number, limit.max(1), outgoing) {
                Pulled::All => break Transmitted::All,
                Pulled::More => break Transmitted::More,
                Pulled::Replay(session) => {
                    let any = self.take_replays(session);
                    replays = replays.saturating_add(1);
                    let has_message =
                        self.session_mut(session).is_some_and(|session| session.has_message());
                    if replays < REPLAYS && has_message {
                        continue;
                    }
                    // There is no room for the next one, or it is far away, or those that there are
                    // cannot be sent: others come first.
                    self.ready.ran_dry(number);
                    if any {
                        self.later.push_back(connection);
                    }
                    break Transmitted::All;
                }
            }
        };
        let sent = u64::try_from(outgoing.remaining().saturating_sub(held)).unwrap_or(u64::MAX);
        self.counters.bytes_sent = self.counters.bytes_sent.saturating_add(sent);
        if sent > 0 {
            self.was_heard(number);
        }
        left
    }

    /// Sends a message that is all there is to be sent, as it is; `false` if there is more, or less.
    #[inline]
    fn transmit_direct(&mut self, number: u32, id: ConnectionId, out: &mut Outgoing) -> bool {
        let Self { ready, messages, topics, seed, authorizer, counters, .. } = self;
        let Some((lane, message)) = ready.alone(id, number) else { return false };
        let Some(client) = lane.client() else { return false };
        let Some(stored) = messages.get_mut(message) else { return false };
        let (which, alias) = match lane.form() {
            Form::Plain(which) => (which, None),
            Form::Aliased(alias, topic) if stored.topic_number(topics, seed) == Some(topic) => {
                (Frame::Aliased, Some(alias))
            }
            Form::Aliased(..) | Form::Unknown => return false,
        };
        if !stored.prepare(which) {
            return false;
        }
        out.begin(id.0);
        let frame = stored.frame(which);
        let forwarded = Forwarded { topic: &stored.topic, publisher: stored.publisher.as_deref() };
        if authorizer.deliver(client, &forwarded) != Decision::Allow {
            counters.withheld = counters.withheld.saturating_add(1);
        } else if !lane.accepts(frame.len()) {
            counters.too_large = counters.too_large.saturating_add(1);
        } else {
            let room = out.room(frame.len());
            room.copy_from_slice(frame);
            if let Some(alias) = alias
                && let Some(behind) = room.get_mut(stored.alias_at()..)
                && let Some(place) = behind.first_chunk_mut()
            {
                *place = alias.to_be_bytes();
            }
            let sent = u64::try_from(frame.len()).unwrap_or(u64::MAX);
            counters.bytes_sent = counters.bytes_sent.saturating_add(sent);
            counters.publishes_sent = counters.publishes_sent.saturating_add(1);
        }
        lane.sent();
        if stored.leave() {
            messages.remove(message);
        }
        true
    }

    /// A client that takes what waits for it is not blamed for what is not read from it meanwhile,
    /// and is read again when it has taken all that it was answered.
    fn was_heard(&mut self, number: u32) {
        let now = self.now;
        if let Some(found) = self.connection_mut(number)
            && found.paused == Some(Pause::Client)
        {
            found.last_received = now;
            if found.acks.is_empty() {
                self.resume(number, Pause::Client);
            }
        }
    }

    /// Pulls all that is there to be sent, or as much as there is room for.
    #[inline]
    fn pull(&mut self, connection_number: u32, limit: usize, out: &mut Outgoing) -> Pulled {
        let Self { connections, sessions, log, messages, authorizer, counters, ready, .. } = self;
        let (topics, seed) = (&mut self.topics, &self.seed);
        let (now, options) = (&self.now, &self.options);
        let Some(Some(connection)) = connections.get_mut(connection_number) else {
            return Pulled::All;
        };
        let session_number = connection.session;
        let session = session_number.and_then(|number| sessions.get_mut(number)?.as_mut());
        if (connection.link.has_control() || !connection.acks.is_empty())
            && !connection.pull_answers(log, limit, out)
        {
            return Pulled::More;
        }
        let (mut pulled, mut is_idle) = (Pulled::All, false);
        if let (Some(session), Some(number)) = (session, session_number) {
            let link = &mut connection.link;
            session.queue.pulled();
            let mut pull = Pull { now: *now, link, session, messages, authorizer, counters };
            if out.remaining() < limit
                && let Some(message) = ready.take_direct(connection_number)
            {
                pull.deliver(&Delivery::plain(message), out);
            } else if ready.waiting(connection_number).is_some() {
                return Pulled::More;
            }
            pulled = match pull.messages(log, limit, out) {
                Pulled::All if pull.session.has_replay(options) && connection.acks.is_empty() => {
                    Pulled::Replay(number)
                }
                pulled => pulled,
            };
            is_idle = pull.session.replays.is_empty() && pull.session.queue.len() == 0;
        }
        if let Pulled::All = pulled {
            if is_idle {
                ready.went_idle(connection_number, form(&connection.link, topics, seed));
            } else {
                ready.ran_dry(connection_number);
            }
            if connection.link.is_closing() && connection.acks.is_empty() {
                self.finish(connection_number);
            }
        }
        pulled
    }
}

impl Connection {
    /// What goes out before messages: what does not wait, then answers. `false` if there is no room
    /// for all of it.
    fn pull_answers(&mut self, log: &Log, limit: usize, out: &mut Outgoing) -> bool {
        while self.link.has_control() {
            if out.remaining() >= limit {
                return false;
            }
            self.link.pull_control(out);
        }
        while self.acks.front().is_some_and(|ack| log.is_committed(ack.after)) {
            if out.remaining() >= limit {
                return false;
            }
            if self.acks.pull(self.link.version, out) {
                self.quota.pulled();
            }
        }
        true
    }
}

impl Pull<'_> {
    /// Messages in their order. One that may not be sent yet, for a record, holds back none at
    /// QoS 0.
    ///
    /// v5 [MQTT-3.3.4-8] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
    #[inline]
    fn messages(&mut self, log: &Log, limit: usize, out: &mut Outgoing) -> Pulled {
        loop {
            let at_most_once = self.session.queue.front_at_most_once().map(|item| item.number);
            let publish = match self.session.queue.next_ready() {
                Some((_, entry)) if log.is_committed(entry.after) => Some(entry.order),
                _ => None,
            };
            if at_most_once.is_none() && publish.is_none() {
                return Pulled::All;
            }
            if out.remaining() >= limit {
                return Pulled::More;
            }
            let before = publish.unwrap_or(u64::MAX);
            if at_most_once.is_some_and(|number| number < before) {
                self.at_most_once(before, limit, out);
            } else {
                self.publish(out);
            }
        }
    }

    /// Messages at QoS 0, as long as they come next.
    #[inline]
    fn at_most_once(&mut self, before: u64, limit: usize, out: &mut Outgoing) {
        while let Some(item) = self.session.queue.front_at_most_once()
            && item.number < before
            && out.remaining() < limit
            && let Some(delivery) = self.session.queue.pop_at_most_once()
        {
            let size = self.deliver(&delivery, out);
            self.session.queue.popped(size);
        }
    }

    /// A message at QoS 0, which is done with; says how many bytes it held.
    #[inline]
    fn deliver(&mut self, delivery: &Delivery, out: &mut Outgoing) -> usize {
        let message = delivery.message;
        let Some(stored) = self.messages.get_mut(message) else { return 0 };
        let size = delivery.size(stored);
        let is_expired = stored.expires.is_some_and(|expires| expires <= self.now);
        if is_expired {
            self.counters.expired = self.counters.expired.saturating_add(1);
        } else if may_have(self.authorizer, &self.session.client, delivery, stored) {
            let publish = wire(self.now, self.link.version, stored, delivery);
            send(publish, stored, self.link, self.counters, out);
        } else {
            self.counters.withheld = self.counters.withheld.saturating_add(1);
        }
        if stored.leave() {
            self.messages.remove(message);
        }
        size
    }

    /// A message at QoS 1 or 2.
    fn publish(&mut self, out: &mut Outgoing) {
        let Some((key, entry)) = self.session.queue.next_ready() else { return };
        let was_sent = entry.sent;
        let sent = match entry.message.as_ref() {
            None => false,
            Some(_) if !was_sent && entry.expires.is_some_and(|expires| expires <= self.now) => {
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
                    let publish = wire(self.now, self.link.version, stored, delivery);
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
            if let Some(held) = self.session.queue.acknowledged() {
                held.pulled(was_sent, size);
            }
            return;
        }
        // It is complete as if it had been sent. v5 [MQTT-3.1.2-25]
        let removed = self.session.queue.remove(key);
        if let Some(delivery) = removed.and_then(|removed| removed.message) {
            self.messages.release(delivery.message);
        }
    }
}

/// How a message goes out that comes alone.
#[inline]
fn form(link: &Link, topics: &mut Topics, seed: &Seed) -> Form {
    let aliases = &link.outgoing_aliases;
    if aliases.are_off() {
        return Form::Plain(if link.version.is_v5() { Frame::V5 } else { Frame::V3 });
    }
    let newest = aliases.newest();
    let found = newest.and_then(|(topic, alias)| Some((alias, topics.number(topic, seed)?)));
    found.map_or(Form::Unknown, |(alias, topic)| Form::Aliased(alias, topic))
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
    let decision = match delivery.is_replay {
        true => authorizer.replay(client, &message),
        false => authorizer.deliver(client, &message),
    };
    decision == Decision::Allow
}

/// The PUBLISH of a delivery.
#[inline]
fn wire<'a>(
    now: Instant,
    version: Version,
    stored: &'a Stored,
    delivery: &'a Delivery,
) -> WirePublish<'a> {
    WirePublish {
        dup: false,
        qos: delivery.qos,
        // The session may have subscribed in 5.0. v3.1.1 [MQTT-3.3.1-9]
        retain: delivery.retain && (delivery.is_replay || version.is_v5()),
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
    let mut lengths = publish.lengths(link.version, alias);
    // A packet that is too large with an alias goes without one.
    if !link.accepts(lengths.packet) {
        alias = Alias::None;
        lengths = publish.lengths(link.version, alias);
        if !link.accepts(lengths.packet) {
            counters.too_large = counters.too_large.saturating_add(1);
            return false;
        }
    }
    publish.write(link.version, alias, lengths, stored.large.clone(), out);
    if alias != Alias::None {
        link.outgoing_aliases.used(publish.topic, alias);
    }
    counters.publishes_sent = counters.publishes_sent.saturating_add(1);
    true
}
