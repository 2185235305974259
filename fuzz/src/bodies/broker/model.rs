//! The reference broker: lists that are searched from end to end.

use std::collections::BTreeSet;
use std::rc::Rc;

use sansio_mqtt::broker::{ConnectionId, Options};
use sansio_mqtt::{
    Connect, Packet, PacketId, PacketType, Properties, Publish, QoS, ReasonCode, RetainHandling,
    Subscribe, Version, Will,
};

use super::message::{Copy, Message, State, passed_on};
use super::rules::{FORBIDDEN, behind_share, matches};
use super::session::{LastWill, Session, Subscription, Up, merged};
use super::wire::{Answer, Codes};
use super::world::SECOND;

/// A message that one member of a group has to get.
#[derive(Debug)]
struct SharedCopy {
    group: String,
    /// What each session would be sent, by its serial.
    candidates: Vec<(u64, Copy)>,
    optional: bool,
}

#[derive(Debug)]
pub(crate) struct Model {
    options: Options,
    lossy: bool,
    now: u64,
    pub(crate) sessions: Vec<Session>,
    retained: Vec<Rc<Message>>,
    shared: Vec<SharedCopy>,
    serials: u64,
    /// Sessions that have ended, of which the application has to be told.
    pub(crate) ended: Vec<String>,
}

impl Model {
    pub(crate) const fn new(options: Options, lossy: bool) -> Self {
        Self {
            options,
            lossy,
            now: 0,
            sessions: Vec::new(),
            retained: Vec::new(),
            shared: Vec::new(),
            serials: 0,
            ended: Vec::new(),
        }
    }

    pub(crate) fn session(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.is_up(connection))
    }

    /// The earliest moment at which something has to happen.
    pub(crate) fn due(&self) -> Option<u64> {
        let due = |session: &Session| {
            let keep_alive = session.up.as_ref().filter(|up| !up.was_paused);
            let keep_alive = keep_alive.and_then(|up| Some(up.last_received + up.keep_alive?));
            [session.expires, session.will_due, keep_alive].into_iter().flatten().min()
        };
        self.sessions.iter().filter_map(due).min()
    }

    /// Time passes. Connections that are silent for too long are for the broker to end.
    pub(crate) fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        loop {
            let due =
                |session: &Session| [session.expires, session.will_due].into_iter().flatten().min();
            let first = self.sessions.iter().filter_map(|s| Some((due(s)?, s.serial))).min();
            let Some((at, serial)) = first.filter(|(at, _)| *at <= self.now) else { return };
            let session = self.sessions.iter_mut().find(|session| session.serial == serial);
            let session = session.expect("a session");
            if session.will_due.is_some_and(|due| due <= at) {
                session.will_due = None;
                let will = session.will.take();
                let client_id = session.client_id.clone();
                self.publish_will(will, &client_id);
            } else {
                self.end_session(serial);
            }
        }
    }

    /// A client is accepted; whether it goes on with a session.
    pub(crate) fn accept(
        &mut self,
        connect: &Connect<'_>,
        client_id: &str,
        id: ConnectionId,
    ) -> bool {
        let old = self.sessions.iter().find(|session| session.client_id == client_id);
        if let Some(up) = old.and_then(|session| session.up.as_ref()) {
            // v5 [MQTT-3.1.4-3]
            let old = up.id;
            self.end(old, true);
        }
        let old = self.sessions.iter().find(|session| session.client_id == client_id);
        if let Some(serial) = old.map(|session| session.serial)
            && connect.clean_start
        {
            // v5 [MQTT-3.1.2-4]
            self.end_session(serial);
        }
        let present = self.sessions.iter().any(|session| session.client_id == client_id);
        if !present {
            self.serials += 1;
            self.sessions.push(Session::new(self.serials, client_id.to_owned()));
        }
        let up = self.up(connect, id);
        let cap = self.options.maximum_session_expiry_interval;
        let session = self.sessions.iter_mut().find(|session| session.client_id == client_id);
        let session = session.expect("a session");
        session.expiry = wanted_expiry(connect).min(cap);
        session.will = connect.will.map(|will| last_will(&will));
        let (serial, limit) = (session.serial, up.maximum_packet_size);
        session.connected(up);
        for shared in &mut self.shared {
            let is = |(member, copy): &(u64, Copy)| *member == serial && copy.size() > limit;
            shared.optional |= shared.candidates.iter().any(is);
        }
        present
    }

    fn up(&self, connect: &Connect<'_>, id: ConnectionId) -> Up {
        let maximum = self.options.maximum_keep_alive;
        let seconds = match connect.keep_alive {
            0 if connect.version.is_v5() => maximum,
            own if connect.version.is_v5() && maximum > 0 => own.min(maximum),
            own => own,
        };
        let size = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        Up {
            id,
            version: connect.version,
            maximum_packet_size: size as usize,
            keep_alive: (seconds > 0).then(|| u64::from(seconds) * SECOND * 3 / 2),
            last_received: self.now,
            was_paused: false,
        }
    }

    /// A connection ends, with or without its Will.
    pub(crate) fn end(&mut self, connection: ConnectionId, with_will: bool) {
        let now = self.now;
        let Some(session) = self.session(connection) else { return };
        session.disconnected();
        let serial = session.serial;
        if session.expiry != u32::MAX {
            session.expires = Some(now + u64::from(session.expiry) * SECOND);
        }
        if !with_will {
            session.will = None;
        }
        if let Some(will) = &session.will {
            session.will_due = Some(now + u64::from(will.delay) * SECOND);
        }
        if session.will_due == Some(now) {
            session.will_due = None;
            let (will, client_id) = (session.will.take(), session.client_id.clone());
            self.publish_will(will, &client_id);
        }
        if self.sessions.iter().any(|s| s.serial == serial && s.expires == Some(now)) {
            self.end_session(serial);
        }
    }

    pub(crate) fn end_session(&mut self, serial: u64) {
        let Some(at) = self.sessions.iter().position(|session| session.serial == serial) else {
            return;
        };
        let session = self.sessions.remove(at);
        self.ended.push(session.client_id.clone());
        for copy in session.queue {
            let group = copy.filters.first().filter(|filter| behind_share(filter).1);
            if let (Some(group), QoS::AtLeastOnce, State::AwaitAck(_)) =
                (group, copy.qos, copy.state)
            {
                // Another should get it. v5 4.8.2
                self.share(&copy.message, group);
                self.shared.last_mut().into_iter().for_each(|shared| shared.optional = true);
            }
        }
        for copy in &mut self.shared {
            copy.optional |= copy.candidates.iter().any(|(member, _)| *member == serial);
            copy.candidates.retain(|(member, _)| *member != serial);
        }
        // v5 3.1.3.2.2: when the session ends at the latest.
        self.publish_will(session.will, &session.client_id);
    }

    fn publish_will(&mut self, will: Option<LastWill>, client_id: &str) {
        let Some(will) = will else { return };
        self.route(Message {
            topic: will.topic,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            properties: will.properties,
            expiry: will.expiry,
            publisher: Some(client_id.to_owned()),
            since: self.now,
        });
    }

    /// Passes a message on; how many sessions and groups it is for, and whether surely for any.
    pub(crate) fn route(&mut self, message: Message) -> (usize, bool) {
        let (message, lossy) = (Rc::new(message), self.lossy);
        if message.retain {
            self.retained.retain(|old| old.topic != message.topic);
            // Who has not been sent the one before gets this one, and need not get that.
            let queued = self.sessions.iter_mut().flat_map(|session| &mut session.queue);
            let is_due = |copy: &&mut Copy| copy.replay.is_some() && copy.state == State::Waiting;
            for copy in queued.filter(is_due) {
                copy.optional |= copy.message.topic == message.topic;
            }
            if !message.payload.is_empty() {
                self.retained.push(Rc::clone(&message));
            }
        }
        let mut heard = 0;
        let mut groups = BTreeSet::new();
        for session in &mut self.sessions {
            let is_own = message.publisher.as_ref() == Some(&session.client_id);
            let matching = |found: &&Subscription| matches(&found.filter, &message.topic);
            let (shared, own): (Vec<_>, Vec<_>) = session
                .subscriptions
                .iter()
                .filter(matching)
                .filter(|found| !(found.no_local && is_own))
                .partition(|found| behind_share(&found.filter).1);
            groups.extend(shared.iter().map(|found| found.filter.clone()));
            if !own.is_empty() {
                heard += 1;
                let copy = merged(&message, &own, lossy);
                session.expect(copy);
            }
        }
        let mut surely = heard > 0;
        heard += groups.len();
        for group in &groups {
            surely |= self.share(&message, group);
        }
        (heard, surely)
    }

    /// One of a group gets the message; whether surely.
    fn share(&mut self, message: &Rc<Message>, group: &str) -> bool {
        let member = |session: &Session| {
            let own = session.subscriptions.iter().find(|found| found.filter == group)?;
            Some((session.serial, merged(message, &[own], self.lossy)))
        };
        let candidates: Vec<_> = self.sessions.iter().filter_map(member).collect();
        // What may be refused to one, be too large for it, or be dropped because it is away, may
        // be gone when it is that one's turn. v5 4.8.2
        let is_sure = |session: &&Session| {
            let copy = candidates.iter().find(|(serial, _)| *serial == session.serial);
            copy.is_none_or(|(_, copy)| {
                let up = session.up.as_ref();
                copy.may_go_to(&session.client_id)
                    && copy.qos > QoS::AtMostOnce
                    && up.is_none_or(|up| copy.size() <= up.maximum_packet_size)
            })
        };
        let optional = self.lossy || !self.sessions.iter().all(|session| is_sure(&session));
        self.shared.push(SharedCopy { group: group.to_owned(), candidates, optional });
        !optional
    }

    /// The broker has sent a PUBLISH.
    pub(crate) fn sent(
        &mut self,
        connection: ConnectionId,
        publish: &Publish<'_>,
        topic: &str,
        unanswered: &[PacketId],
    ) {
        let now = self.now;
        let Some(session) = self.session(connection) else {
            panic!("{publish} to a client that has gone")
        };
        if session.sent(publish, topic, now, unanswered) {
            return;
        }
        let (serial, client_id) = (session.serial, session.client_id.clone());
        let is_v5 = session.up.as_ref().is_some_and(|up| up.version.is_v5());
        let fits = |(member, copy): &(u64, Copy)| {
            *member == serial
                && copy.may_go_to(&client_id)
                && copy.is(publish, topic, is_v5, now)
                && !copy.message.has_expired(now)
        };
        // Of two that fit, rather one that has to be sent, and that it was for from the beginning.
        let all = self.shared.iter().enumerate();
        let rank = |shared: &SharedCopy| shared.candidates.iter().position(fits);
        let found = all.filter_map(|(at, shared)| Some((shared.optional, rank(shared)?, at))).min();
        let found = found.map(|(_, _, at)| at);
        let copy = found.map(|at| self.shared.remove(at).candidates);
        let copy = copy.and_then(|candidates| candidates.into_iter().find(fits));
        let Some(session) = self.session(connection) else { return };
        let Some((_, copy)) = copy else {
            let queue: Vec<_> = session.queue.iter().map(|copy| format!("{copy:?}")).collect();
            panic!("at {now} {publish} to {client_id}, which has to get {}", queue.join("\n"))
        };
        session.takes(copy, publish.packet_id);
    }

    /// What has to be sent to clients that are there, and was not.
    pub(crate) fn missing(&self) -> Vec<String> {
        let up: Vec<&Session> = self.sessions.iter().filter(|one| one.up.is_some()).collect();
        let own = up.iter().flat_map(|session| {
            let missing = session.queue.iter().filter(|copy| !copy.may_be_gone(self.now));
            missing.map(|copy| format!("{}: {copy:?}", session.client_id))
        });
        let is_due = |shared: &&SharedCopy| {
            let is_up = |serial: &u64| up.iter().any(|session| session.serial == *serial);
            let sure =
                |(member, copy): &(u64, Copy)| is_up(member) && !copy.message.has_expired(self.now);
            !shared.optional && shared.candidates.iter().all(sure)
        };
        let shared = self.shared.iter().filter(is_due).map(|copy| format!("{copy:?}"));
        own.chain(shared).collect()
    }

    /// The broker has taken a packet; what it has to answer.
    pub(crate) fn taken(
        &mut self,
        connection: ConnectionId,
        packet: &Packet<'_>,
    ) -> Option<Answer> {
        let now = self.now;
        let up = self.session(connection)?.up.as_mut()?;
        up.last_received = now;
        let is_v5 = up.version.is_v5();
        match packet {
            Packet::Publish(publish) => return self.publish(connection, publish, is_v5),
            Packet::Subscribe(subscribe) => {
                let refusal = if is_v5 { 0x87 } else { 0x80 };
                return Some(self.subscribe(connection, subscribe, refusal));
            }
            Packet::Disconnect(disconnect) => {
                let cap = self.options.maximum_session_expiry_interval;
                let session = self.session(connection)?;
                if let Some(expiry) = disconnect.properties.session_expiry_interval() {
                    session.expiry = expiry.min(cap);
                }
                // v5 [MQTT-3.14.4-3]
                self.end(connection, disconnect.reason_code != ReasonCode::SUCCESS);
                return None;
            }
            _ => {}
        }
        let session = self.session(connection)?;
        let id = packet.packet_id();
        match (packet, id) {
            (Packet::PubAck(_) | Packet::PubComp(_), Some(id)) => session.completed(id),
            (Packet::PubRec(pub_rec), Some(id)) if pub_rec.reason_code.is_error() => {
                session.completed(id);
            }
            (Packet::PubRec(_), Some(id)) => {
                session.pub_rec(id);
                return Some(Answer::new(PacketType::PubRel, id, Codes::Exactly(vec![0])));
            }
            (Packet::PubRel(_), Some(id)) => {
                let known = session.received.contains(&id);
                session.received.retain(|known| *known != id);
                let code = if known || !is_v5 { 0 } else { 0x92 };
                return Some(Answer::new(PacketType::PubComp, id, Codes::Exactly(vec![code])));
            }
            (Packet::Unsubscribe(unsubscribe), Some(id)) => {
                let mut codes = Vec::new();
                for filter in unsubscribe.topic_filters.iter() {
                    let known = session.subscriptions.iter().any(|found| found.filter == filter);
                    codes.push(if known { 0 } else { 0x11 });
                    session.subscriptions.retain(|found| found.filter != filter);
                    session.forget(filter);
                }
                let serial = session.serial;
                self.leave(serial, unsubscribe.topic_filters.iter());
                let codes = if is_v5 { codes } else { Vec::new() };
                return Some(Answer::new(PacketType::UnsubAck, id, Codes::Exactly(codes)));
            }
            _ => {}
        }
        None
    }

    /// Somebody leaves a group: what waits for it there may go to another, or be gone.
    fn leave<'a>(&mut self, serial: u64, filters: impl Iterator<Item = &'a str>) {
        for filter in filters {
            for shared in &mut self.shared {
                let is = |(member, copy): &(u64, Copy)| {
                    *member == serial && copy.filters.iter().any(|known| known == filter)
                };
                shared.optional |= shared.candidates.iter().any(is);
            }
        }
    }

    fn publish(&mut self, id: ConnectionId, publish: &Publish<'_>, is_v5: bool) -> Option<Answer> {
        let since = self.now;
        let session = self.session(id)?;
        let client_id = session.client_id.clone();
        let forbidden = publish.topic == FORBIDDEN;
        if let Some(id) = publish.packet_id.filter(|_| publish.qos == QoS::ExactlyOnce) {
            if session.received.contains(&id) {
                let codes = if is_v5 { vec![0, 0x10] } else { vec![0] };
                return Some(Answer::new(PacketType::PubRec, id, Codes::OneOf(codes)));
            }
            // One that is refused in 5.0 is over with its PUBREC.
            if !forbidden || !is_v5 {
                session.received.push(id);
            }
        }
        let heard = match forbidden {
            true => (0, false),
            false => self.route(Message::new(publish, Some(&client_id), since)),
        };
        let codes = match heard {
            _ if !is_v5 => vec![0],
            _ if forbidden => vec![0x87],
            (0, _) => vec![0x10],
            (_, true) => vec![0],
            // A group of which nobody is there: whether that is nobody is open.
            (_, false) => vec![0, 0x10],
        };
        let packet_type = match publish.qos {
            QoS::AtMostOnce => return None,
            QoS::AtLeastOnce => PacketType::PubAck,
            QoS::ExactlyOnce => PacketType::PubRec,
        };
        Some(Answer::new(packet_type, publish.packet_id?, Codes::OneOf(codes)))
    }

    fn subscribe(&mut self, id: ConnectionId, subscribe: &Subscribe<'_>, refusal: u8) -> Answer {
        let (now, lossy) = (self.now, self.lossy);
        let retained = self.retained.clone();
        let identifier = subscribe.properties.subscription_identifiers().next();
        let mut codes = Vec::new();
        let found = self.sessions.iter_mut().find(|session| session.is_up(id));
        let session = found.expect("a session");
        for wanted in subscribe.subscriptions.iter() {
            if wanted.topic_filter == FORBIDDEN {
                codes.push(refusal);
                continue;
            }
            codes.push(wanted.qos.get());
            let new = Subscription {
                filter: wanted.topic_filter.to_owned(),
                qos: wanted.qos,
                no_local: wanted.no_local,
                retain_as_published: wanted.retain_as_published,
                identifier,
            };
            let old = session.subscriptions.iter().position(|found| found.filter == new.filter);
            let old = old.map(|at| session.subscriptions.remove(at));
            let is_new = old.is_none();
            let sends = match wanted.retain_handling {
                RetainHandling::SendAtSubscribe => true,
                RetainHandling::SendAtSubscribeIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            if old.is_some_and(|old| !sends && session.may_still_replay(&old)) {
                // What was not sent yet may be sent with the new options.
                for message in retained.iter().filter(|found| matches(&new.filter, &found.topic)) {
                    let mut copy = merged(message, &[&new], true);
                    (copy.retain, copy.replay) = (true, Some(subscribe.packet_id));
                    session.expect(copy);
                }
                session.replay_again(&new.filter);
            }
            if sends && !behind_share(&new.filter).1 {
                session.replay_again(&new.filter);
                let matching = |found: &&Rc<Message>| matches(&new.filter, &found.topic);
                for message in retained.iter().filter(matching) {
                    // v5 [MQTT-3.8.3-3]
                    let is_own = message.publisher.as_ref() == Some(&session.client_id);
                    if message.has_expired(now) || new.no_local && is_own {
                        continue;
                    }
                    let mut copy = merged(message, &[&new], lossy);
                    (copy.retain, copy.replay) = (true, Some(subscribe.packet_id));
                    session.expect(copy);
                }
            }
            for waits in self.shared.iter_mut().filter(|waits| waits.group == new.filter) {
                // It may be passed on to one who comes later.
                let message = waits.candidates.first().map(|(_, copy)| Rc::clone(&copy.message));
                let copy = message.map(|message| merged(&message, &[&new], lossy));
                waits.optional |= new.qos == QoS::AtMostOnce;
                waits.candidates.extend(copy.map(|copy| (session.serial, copy)));
            }
            session.subscriptions.push(new);
        }
        Answer::new(PacketType::SubAck, subscribe.packet_id, Codes::Exactly(codes))
    }

    /// The application publishes; how many it is for, and whether surely for any.
    pub(crate) fn application(&mut self, publish: &Publish<'_>) -> (usize, bool) {
        self.route(Message::new(publish, None, self.now))
    }
}

fn wanted_expiry(connect: &Connect<'_>) -> u32 {
    match connect.version {
        Version::V5 => connect.properties.session_expiry_interval().unwrap_or(0),
        _ if connect.clean_start => 0,
        _ => u32::MAX,
    }
}

fn last_will(will: &Will<'_>) -> LastWill {
    let properties: &Properties<'_> = &will.properties;
    LastWill {
        topic: will.topic.to_owned(),
        payload: will.payload.to_vec(),
        qos: will.qos,
        retain: will.retain,
        properties: passed_on(properties),
        expiry: properties.message_expiry_interval(),
        delay: properties.will_delay_interval().unwrap_or(0),
    }
}
