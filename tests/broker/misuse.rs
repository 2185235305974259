//! Any calls and any bytes, in any order: rules that hold all the same.
//!
//! What is checked is what each world checks: outputs are for connections that are there, packets
//! keep to order, identifiers, window and size, nobody is woken for nothing, and nothing is left
//! when all sessions have ended.

use std::time::Duration;

use sansio_mqtt::broker::{Acceptance, Options, Overflow};
use sansio_mqtt::{
    Auth, ConnAck, Connect, Disconnect, Packet, Properties, Property, Publish, QoS, ReasonCode,
    RetainHandling, Subscribe, Subscription, Unsubscribe, Version, Will,
};

use crate::random::Dice;
use crate::rights::Act;
use crate::words::{QOS, id, options_with, pub_ack, pub_comp, pub_rec, pub_rel, publish};
use crate::world::{Answer, Peer, Way, World};

const NAMES: [&str; 5] = ["a", "b", "c", "d", ""];
const TOPICS: [&str; 6] = ["t", "t/1", "t/1/x", "u", "$SYS/x", "will"];
const FILTERS: [&str; 9] =
    ["t", "t/#", "+/1", "#", "u", "$share/g/t", "$share/g/#", "$share/h/+", "$SYS/#"];

/// Limits that are reached soon.
fn narrow(dice: &mut Dice) -> Options {
    options_with(|options| {
        options.maximum_sessions = 3 + dice.roll(3);
        options.maximum_connections = 4 + dice.roll(8);
        options.receive_maximum = [1, 2, 1_000][dice.roll(3)];
        options.maximum_in_flight = [1, 2, 1_000][dice.roll(3)];
        options.maximum_queued_messages = [1, 3, 1_000][dice.roll(3)];
        options.maximum_queued_bytes = [100, 1_000, 1 << 20][dice.roll(3)];
        options.overflow =
            [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect][dice.roll(3)];
        options.retained.maximum_count = [1, 2, 1_000][dice.roll(3)];
        options.maximum_subscriptions_per_session = [1, 3, 1_000][dice.roll(3)];
        options.maximum_session_expiry_interval = [0, 50, u32::MAX][dice.roll(3)];
        options.outgoing_topic_aliases = [0, 2, 100][dice.roll(3)];
        options.work_budget = [1, 5, 1_000][dice.roll(3)];
        options.clients_may_publish_to_dollar_topics = dice.roll(2) == 0;
    })
}

struct Play {
    world: World,
    dice: Dice,
    peers: Vec<Peer>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let options = narrow(&mut dice);
        let fragment = dice.pick(&[usize::MAX, 1, 7]);
        let way = Way { fragment, limit: dice.pick(&[usize::MAX, 1, 40]) };
        let mut world = World::new(way, options);
        world.acknowledges = dice.roll(2) == 0;
        Self { world, dice, peers: Vec::new() }
    }

    fn connect(&mut self) {
        if self.world.broker.counters().connections
            >= self.world.broker.options().maximum_connections
        {
            return;
        }
        let dice = &mut self.dice;
        let version = dice.pick(&Version::ALL);
        let mut client_id = dice.pick(&NAMES);
        let clean_start = dice.roll(2) == 0;
        if client_id.is_empty() && (version == Version::V3_1 || !clean_start) {
            client_id = "e";
        }
        let mut list = Vec::new();
        for property in [
            Property::SessionExpiryInterval(dice.pick(&[0, 10, 100, u32::MAX])),
            Property::ReceiveMaximum(dice.pick(&[1, 2, 100])),
            Property::MaximumPacketSize(dice.pick(&[20, 60, 10_000])),
            Property::TopicAliasMaximum(dice.pick(&[0, 1, 100])),
            Property::AuthenticationMethod("m"),
        ] {
            if dice.roll(3) == 0 {
                list.push(property);
            }
        }
        let delay = [Property::WillDelayInterval(dice.pick(&[0, 5, 500]))];
        let properties = if version.is_v5() { Properties::List(&delay) } else { Properties::NONE };
        let (qos, retain) = (dice.pick(&QOS), dice.roll(2) == 0);
        let topic = dice.pick(&TOPICS);
        let will = Will { qos, retain, topic, payload: b"w", properties };
        let will = (dice.roll(2) == 0).then_some(will);
        let properties = if version.is_v5() { Properties::List(&list) } else { Properties::NONE };
        let keep_alive = dice.pick(&[0, 1, 20]);
        let connect = Connect {
            version,
            client_id,
            clean_start,
            properties,
            will,
            keep_alive,
            ..Connect::default()
        };
        self.world.answer = dice.pick(&[
            Answer::Accept,
            Answer::Accept,
            Answer::Later,
            Answer::Refuse(ReasonCode::BANNED),
        ]);
        let peer = self.world.connect(&connect);
        self.peers.push(peer);
    }

    /// A packet of a client, which may be what comes next or not.
    fn say(&mut self, peer: Peer) {
        let dice = &mut self.dice;
        let version = self.world.version(peer);
        let (value, qos) = (u16::try_from(1 + dice.roll(3)).unwrap(), dice.pick(&QOS));
        let mut list = Vec::new();
        for property in [
            Property::MessageExpiryInterval(dice.pick(&[0, 1, 50])),
            Property::TopicAlias(dice.pick(&[1, 2, 32])),
            Property::UserProperty("k", "v"),
        ] {
            if dice.roll(3) == 0 {
                list.push(property);
            }
        }
        let properties = if version.is_v5() { Properties::List(&list) } else { Properties::NONE };
        let payload = dice.pick(&["", "x", "a payload of some length, which not everybody takes"]);
        let message = Publish {
            retain: dice.roll(3) == 0,
            dup: qos > QoS::AtMostOnce && dice.roll(3) == 0,
            properties,
            ..publish(dice.pick(&TOPICS), qos, value, payload)
        };
        let mut subscription = Subscription::new(dice.pick(&FILTERS), qos);
        if version.is_v5() {
            subscription.no_local =
                !subscription.topic_filter.starts_with("$share") && dice.roll(3) == 0;
            subscription.retain_as_published = dice.roll(3) == 0;
            subscription.retain_handling =
                RetainHandling::new(u8::try_from(dice.roll(3)).unwrap()).unwrap();
        }
        let subscriptions = [subscription];
        let filters = [dice.pick(&FILTERS)];
        let method = [Property::AuthenticationMethod("m")];
        let packet: Packet<'_> = match dice.roll(20) {
            0..=6 => message.into(),
            7..=10 => Subscribe::new(id(value), &subscriptions).into(),
            11 => Unsubscribe::new(id(value), &filters).into(),
            12 => Packet::PingReq,
            13 => pub_ack(value).into(),
            14 => pub_rec(value).into(),
            15 => pub_comp(value).into(),
            16 | 17 => pub_rel(value).into(),
            18 if version.is_v5() => Auth {
                reason_code: dice
                    .pick(&[ReasonCode::RE_AUTHENTICATE, ReasonCode::CONTINUE_AUTHENTICATION]),
                properties: Properties::List(&method),
            }
            .into(),
            _ => Disconnect::default().into(),
        };
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes).unwrap();
        if bytes.len() > 2 && dice.roll(30) == 0 {
            // Not its type, so that it is no acknowledgement that this does not know of.
            let at = 1 + dice.roll(bytes.len() - 1);
            bytes[at] ^= 1 << dice.roll(8);
            if !(0x40..0x80).contains(&bytes[0]) {
                self.world.send_bytes(peer, &bytes);
            }
            return;
        }
        self.world.send(peer, packet);
    }

    /// A call of the application, which may be right or not.
    fn call(&mut self, peer: Peer) {
        let connection = self.world.id(peer);
        let dice = &mut self.dice;
        let name = dice.pick(&NAMES);
        let topic = dice.pick(&TOPICS);
        let (qos, retain) = (dice.pick(&QOS), dice.roll(2) == 0);
        let reason_code = dice.pick(&[ReasonCode::SUCCESS, ReasonCode::CONTINUE_AUTHENTICATION]);
        match dice.roll(8) {
            0 => {
                let act = dice.pick(&[
                    Act::Publish,
                    Act::Deliver,
                    Act::Replay,
                    Act::Subscribe,
                    Act::Will,
                ]);
                if dice.roll(2) == 0 {
                    self.world.rights.deny(act, name, topic);
                } else {
                    self.world.rights.allow(act, name, topic);
                }
            }
            1 => {
                let _ = self.world.call(|broker, now| broker.end_session(now, name));
            }
            2 => {
                let _ = self
                    .world
                    .call(|broker, now| broker.disconnect(now, connection, &Disconnect::default()));
            }
            3 => {
                let acceptance = Acceptance::default();
                let _ = self.world.call(|broker, now| broker.accept(now, connection, &acceptance));
            }
            4 => {
                let refusal = ConnAck::refuse(ReasonCode::BANNED);
                let _ = self.world.call(|broker, now| broker.refuse(now, connection, &refusal));
            }
            5 => {
                let auth = Auth { reason_code, properties: Properties::NONE };
                let _ = self.world.call(|broker, now| broker.authenticate(now, connection, &auth));
            }
            _ => {
                let message = Publish { retain, ..publish(topic, qos, 0, "of the application") };
                let _ = self.world.call(|broker, now| broker.publish(now, &message));
            }
        }
    }

    fn step(&mut self) {
        if self.peers.is_empty() || self.dice.roll(12) == 0 {
            return self.connect();
        }
        let peer = self.dice.pick(&self.peers);
        let is_up = self.world.is_up(peer);
        match self.dice.roll(30) {
            0..=3 => self.call(peer),
            4 if is_up => self.world.lose(peer),
            5 if is_up => self.world.block(peer),
            6 | 7 if is_up => self.world.unblock(peer),
            8 => self.world.wait(Duration::from_micros(1_234_567)),
            9 => self.world.wait_secs(20),
            _ if is_up => self.say(peer),
            _ => {}
        }
    }
}

#[test]
fn whatever_is_called_and_sent_the_rules_hold() {
    for seed in 1..=400 {
        println!("seed {seed}");
        let mut play = Play::new(seed);
        for _ in 0..200 {
            play.step();
        }
        play.world.end();
    }
}

#[test]
fn a_broker_shuts_down_at_any_time() {
    for seed in 1_000..=1_100 {
        println!("seed {seed}");
        let mut play = Play::new(seed);
        for _ in 0..100 {
            play.step();
        }
        let reason_code = ReasonCode::SERVER_SHUTTING_DOWN;
        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
        play.world.call(|broker, now| broker.shut_down(now, &disconnect)).unwrap();
        for peer in play.peers.clone() {
            assert!(!play.world.is_up(peer) || play.world.is_blocked(peer));
        }
        play.world.wait_secs(5);
        assert_eq!(play.world.broker.counters().connections, 0);
        play.world.end();
    }
}
