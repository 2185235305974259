//! Steps of clients that keep to the rules.

use sansio_mqtt::broker::ConnectionId;
use sansio_mqtt::{
    Connect, Disconnect, Packet, Properties, Property, Publish, QoS, ReasonCode, RetainHandling,
    Subscribe, Subscription, Unsubscribe, Version, Will,
};

use super::input::Input;
use super::rules::FORBIDDEN;
use super::world::{CLIENTS, SECOND, World};

const TOPICS: [&str; 9] = ["a", "a/b", "a/b/c", "a/c", "b", "$x/a", "/", "w", FORBIDDEN];
const FILTERS: [&str; 16] = [
    "a", "#", "a/b", "+", "a/#", "a/+", "+/b", "+/+", "a/b/#", "many/+", "$x/#", "/+", "w", "a/c",
    "$x/a", FORBIDDEN,
];
/// The Subscription Identifier of each is 100 and its place, so that a copy tells whom it is for.
const SHARED: [&str; 4] = ["$share/g/a/#", "$share/h/a/#", "$share/g/+", "$share/g/b"];
const EXPIRIES: [Option<u32>; 6] = [None, None, None, Some(1), Some(4), Some(1_000)];
const LEVELS: [QoS; 3] = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtMostOnce];

impl World<'_> {
    pub(crate) fn tame_step(&mut self) {
        // No two deadlines come at once.
        self.pass(1_000);
        let slot = self.input.below(CLIENTS);
        let connection = self.actors[slot].connection;
        match (self.input.below(32), connection) {
            (0..=2, _) | (_, None) => self.connect(slot),
            (3..=6, _) => self.subscribe(slot),
            (7, _) => self.unsubscribe(slot),
            (8..=15, _) => self.publish(slot),
            (16..=19, Some(id)) => {
                let limit = self.input.pick(&[1 << 20, 1, 100]);
                self.pull(id, limit);
                self.consume(id, usize::MAX);
            }
            (20..=23, _) => {
                let count = 1 + self.input.below(4);
                let Self { actors, input, .. } = self;
                (0..count).for_each(|_| actors[slot].acknowledge(input));
            }
            (24, Some(id)) => self.lose(id),
            (25, _) => self.say_goodbye(slot),
            (26..=27, _) => {
                let wait = [SECOND / 10, SECOND, 2 * SECOND, 5 * SECOND, 120 * SECOND];
                let wait = self.input.pick(&wait);
                self.pass(wait);
            }
            (28, _) => self.actors[slot].say(Packet::PingReq),
            (29, Some(id)) => self.end(slot, id),
            _ => self.application(),
        }
        (0..CLIENTS).for_each(|slot| self.flush(slot));
    }

    /// What a client has to say goes out, for as long as the broker takes it.
    pub(crate) fn flush(&mut self, slot: usize) {
        while let Some(id) = self.actors[slot].connection {
            let Some(connection) = self.find(id) else { return };
            // One packet at a time: how many of several are taken in is not known.
            if connection.paused || !connection.incoming.is_empty() {
                return;
            }
            let Some(bytes) = self.actors[slot].outbox.pop_front() else { return };
            self.deliver(id, &bytes);
        }
    }

    pub(crate) fn connect(&mut self, slot: usize) {
        let is_known = slot < 4 || !self.actors[slot].client_id.is_empty();
        let input = &mut self.input;
        let version = match slot {
            0 | 1 => input.pick(&[Version::V5, Version::V3_1_1, Version::V3_1]),
            4 => input.pick(&[Version::V5, Version::V3_1_1]),
            _ => Version::V5,
        };
        let flags = input.byte();
        let anew = slot == 4 && flags & 0x40 == 0;
        let clean_start = flags & 1 != 0 || version == Version::V3_1_1 && (anew || !is_known);
        let expiry = input.pick(&[1_000, 3, 0, u32::MAX]);
        let mut properties = vec![Property::SessionExpiryInterval(expiry)];
        if flags & 2 != 0 {
            properties.push(Property::ReceiveMaximum(input.pick(&[1, 2, 3])));
        }
        if flags & 0x0c == 0x0c {
            properties.push(Property::MaximumPacketSize(input.pick(&[120, 1_120, 160])));
        }
        if flags & 0x10 != 0 {
            properties.push(Property::TopicAliasMaximum(input.pick(&[5, 1])));
        }
        let number = self.published.to_be_bytes();
        let (keep_alive, will) = (input.pick(&[0, 10, 0, 1]), flags & 0xa0 == 0xa0 && slot >= 2);
        let delay = input.pick(&[0, 1, 5]);
        let mut will_properties = vec![Property::WillDelayInterval(delay)];
        will_properties.extend(input.pick(&EXPIRIES).map(Property::MessageExpiryInterval));
        will_properties.push(Property::ContentType("text"));
        let will = will.then(|| Will {
            qos: input.pick(&LEVELS),
            retain: input.flag(),
            topic: input.pick(&["w", "a/b", "a"]),
            payload: &number,
            properties: list(version, &will_properties),
        });
        self.published += 1;
        self.actors[slot].session_expires = expiry > 0 && version.is_v5();
        let client_id = if anew { String::new() } else { self.actors[slot].client_id.clone() };
        let properties = list(version, &properties);
        let client_id = client_id.as_str();
        let connect = Connect {
            version,
            clean_start,
            keep_alive,
            properties,
            client_id,
            will,
            ..Connect::default()
        };
        let mut bytes = Vec::new();
        Packet::from(connect).encode(version, &mut bytes).expect("a CONNECT");
        if let Some(old) = self.actors[slot].connection.filter(|_| anew) {
            // Nobody would take it over.
            self.lose(old);
        }
        if let Some(id) = self.open(Some(slot)) {
            self.deliver(id, &bytes);
        }
    }

    fn subscribe(&mut self, slot: usize) {
        let Self { actors, input, .. } = self;
        let actor = &mut actors[slot];
        if !actor.may_ask() {
            return;
        }
        let is_v5 = actor.version.is_v5();
        let packet_id = actor.packet_id();
        let mut properties = Vec::new();
        let mut subscriptions = Vec::new();
        let shares = (slot == 2 || slot == 3) && input.rarely(3);
        let count = if shares { 1 } else { 1 + input.below(2) };
        for _ in 0..count {
            let flags = input.byte();
            let mut topic_filter = input.pick(&FILTERS);
            if topic_filter == FORBIDDEN && actor.version == Version::V3_1 {
                // It has no way to be told.
                topic_filter = "a";
            }
            if shares {
                let at = input.below(SHARED.len());
                topic_filter = SHARED[at];
                properties.push(Property::SubscriptionIdentifier(100 + at as u32));
            }
            subscriptions.push(Subscription {
                topic_filter,
                qos: LEVELS[usize::from(flags & 3) % 3],
                // A Will may be its client's own or not.
                no_local: is_v5 && slot < 2 && flags & 4 != 0,
                retain_as_published: is_v5 && flags & 8 != 0,
                retain_handling: match flags >> 4 & 3 {
                    1 if is_v5 => RetainHandling::SendAtSubscribeIfNew,
                    2 if is_v5 => RetainHandling::DoNotSend,
                    _ => RetainHandling::SendAtSubscribe,
                },
            });
        }
        if !shares && is_v5 && input.flag() {
            properties.push(Property::SubscriptionIdentifier(1 + input.below(2) as u32));
        }
        actor.awaits(packet_id);
        let subscribe = Subscribe::new(packet_id, &subscriptions);
        actor.say(Subscribe { properties: list(actor.version, &properties), ..subscribe });
    }

    fn unsubscribe(&mut self, slot: usize) {
        let Self { actors, input, .. } = self;
        let actor = &mut actors[slot];
        if !actor.may_ask() {
            return;
        }
        let packet_id = actor.packet_id();
        let shares = actor.version.is_v5() && input.rarely(3);
        let filter = if shares { input.pick(&SHARED) } else { input.pick(&FILTERS) };
        actor.awaits(packet_id);
        actor.say(Unsubscribe::new(packet_id, &[filter]));
    }

    fn publish(&mut self, slot: usize) {
        let actor = &mut self.actors[slot];
        let Some(id) = actor.connection else { return };
        let version = actor.version;
        let mut message = Content::new(&mut self.input, version, &mut self.published);
        if message.qos > QoS::AtMostOnce && !actor.may_publish() {
            message.qos = QoS::AtMostOnce;
        }
        let mut topic = message.topic;
        let aliases = self.setup.options.topic_alias_maximum;
        // What is resent has no alias, so it has one at QoS 0 only.
        if version.is_v5() && aliases > 0 && message.qos == QoS::AtMostOnce && self.input.flag() {
            let alias = 1 + self.input.below(aliases.into()) as u16;
            message.properties.push(Property::TopicAlias(alias));
            if actor.aliases.contains(&(alias, topic)) {
                topic = "";
            } else {
                actor.aliases.retain(|(known, _)| *known != alias);
                actor.aliases.push((alias, topic));
            }
        }
        let packet_id = (message.qos > QoS::AtMostOnce).then(|| actor.packet_id());
        actor.publishes(&Publish { topic, packet_id, ..message.publish(version) });
        let _ = id;
    }

    fn say_goodbye(&mut self, slot: usize) {
        let Self { actors, input, .. } = self;
        let actor = &mut actors[slot];
        let flags = input.byte();
        let will = actor.version.is_v5() && flags & 1 != 0;
        let reason_code = match will {
            true => ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
            false => ReasonCode::SUCCESS,
        };
        let mut properties = Vec::new();
        if actor.session_expires && flags & 6 == 6 {
            properties.push(Property::SessionExpiryInterval(input.pick(&[0, 3, u32::MAX])));
        }
        actor.say(Disconnect { reason_code, properties: Properties::List(&properties) });
    }

    /// The application ends a connection or a session.
    fn end(&mut self, slot: usize, id: ConnectionId) {
        let now = self.instant();
        let model = self.model.as_mut().expect("a model");
        if self.input.flag() {
            model.end(id, true);
            let reason_code = ReasonCode::SERVER_BUSY;
            let disconnect = Disconnect { reason_code, ..Disconnect::default() };
            assert_eq!(self.broker.disconnect(now, id, &disconnect), Ok(()));
        } else {
            let client_id = self.actors[slot].client_id.clone();
            let serial = model.session(id).map(|session| session.serial);
            model.end(id, true);
            serial.into_iter().for_each(|serial| model.end_session(serial));
            assert_eq!(self.broker.end_session(now, &client_id), Ok(()));
        }
        self.poll();
    }

    fn application(&mut self) {
        if self.input.rarely(12) {
            return self.retain_many();
        }
        let now = self.instant();
        let message = Content::new(&mut self.input, Version::V5, &mut self.published);
        let publish = message.publish(Version::V5);
        let model = self.model.as_mut().expect("a model");
        let (heard, surely) = model.application(&publish);
        let routed = self.broker.publish(now, &publish).expect("a message");
        assert!(routed.sessions <= heard && (!surely || routed.sessions > 0), "{publish}");
        self.poll();
    }

    /// More retained messages than a new subscription gets at once.
    fn retain_many(&mut self) {
        let qos = self.input.pick(&LEVELS);
        for at in 0..50 {
            self.published += 1;
            let (topic, payload) = (format!("many/{at}"), self.published.to_be_bytes());
            let (topic, payload) = (topic.as_str(), &payload[..]);
            let publish = Publish { topic, payload, qos, retain: true, ..Publish::default() };
            let now = self.instant();
            let model = self.model.as_mut().expect("a model");
            let _ = model.application(&publish);
            let _ = self.broker.publish(now, &publish).expect("a message");
            self.poll();
        }
    }
}

fn list<'a>(version: Version, properties: &'a [Property<'a>]) -> Properties<'a> {
    if version.is_v5() { Properties::List(properties) } else { Properties::NONE }
}

/// A message that is published.
struct Content {
    topic: &'static str,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: Vec<Property<'static>>,
}

impl Content {
    fn new(input: &mut Input<'_>, version: Version, number: &mut u32) -> Self {
        let flags = input.byte();
        *number += 1;
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(4 + [0, 0, 40, 1_100][usize::from(flags & 3)], 0);
        let retain = flags & 0x0c == 0x0c;
        if retain && flags & 0x30 == 0x30 {
            payload.clear();
        }
        let mut properties = Vec::new();
        if version.is_v5() {
            properties.extend(input.pick(&EXPIRIES).map(Property::MessageExpiryInterval));
            if flags & 0x40 != 0 {
                properties.push(Property::UserProperty("k", "1"));
                properties.push(Property::ResponseTopic("r/t"));
                properties.push(Property::UserProperty("k", "0"));
                properties.push(Property::CorrelationData(b"\0x"));
            }
            if flags & 0x80 != 0 {
                properties.push(Property::PayloadFormatIndicator(true));
                properties.push(Property::ContentType("text"));
            }
        }
        Self { topic: input.pick(&TOPICS), payload, qos: input.pick(&LEVELS), retain, properties }
    }

    fn publish(&self, version: Version) -> Publish<'_> {
        Publish {
            topic: self.topic,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            properties: list(version, &self.properties),
            ..Publish::default()
        }
    }
}
