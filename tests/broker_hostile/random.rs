//! Clients that say anything in any order, well-formed or not: whatever they do, the broker goes on
//! tells each of them nothing but what it may hear, and when all are gone nothing is left.

use sansio_mqtt::broker::{Options, Overflow};
use sansio_mqtt::{
    Auth, Connect, Decoder, Disconnect, Packet, PacketId, Properties, Property, PubAck, PubComp,
    PubRec, PubRel, Publish, QoS, ReasonCode, RetainHandling, Subscribe, Subscription, Unsubscribe,
    Version, Will,
};

use crate::listener::Listener;
use crate::world::{Peer, QOS, World, encode, of, options_with};

/// SplitMix64: the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const TOPICS: [&str; 8] =
    ["a", "a/b", "b/a", "a/b/c", "", "$SYS/x", "long/topic/of/many/levels", "w"];
const FILTERS: [&str; 12] = [
    "a",
    "a/b",
    "#",
    "+",
    "+/+",
    "a/#",
    "$SYS/#",
    "$share/g/a",
    "$share/g/#",
    "$share/h/+/b",
    "w",
    "a/b/c",
];

/// A packet of a client, of any kind.
fn packet(random: &mut Random, version: Version) -> Vec<u8> {
    let id = PacketId::new(random.below(6) as u16 + 1).unwrap();
    let qos = random.pick(&QOS);
    let reason_code = match version.is_v5() && random.one_in(4) {
        true => ReasonCode::UNSPECIFIED_ERROR,
        false => ReasonCode::SUCCESS,
    };
    let subscriptions: Vec<_> = (0..=random.below(3))
        .map(|_| Subscription {
            no_local: version.is_v5() && random.one_in(3),
            retain_handling: match version.is_v5() && random.one_in(3) {
                true => RetainHandling::SendAtSubscribeIfNew,
                false => RetainHandling::SendAtSubscribe,
            },
            ..Subscription::new(random.pick(&FILTERS), random.pick(&QOS))
        })
        .collect();
    let filters: Vec<_> = (0..=random.below(3)).map(|_| random.pick(&FILTERS)).collect();
    let value = random.below(4) as u32;
    let list = [
        [Property::TopicAlias(value as u16 + 1)],
        [Property::MessageExpiryInterval(value)],
        [Property::SessionExpiryInterval(value * 10)],
        [Property::SubscriptionIdentifier(value + 1)],
        [Property::AuthenticationMethod("m")],
    ];
    let some = |random: &mut Random, at: usize| {
        let wanted = version.is_v5() && random.one_in(2);
        Properties::List(if wanted { &list[at] } else { &[] })
    };
    let packet: Packet<'_> = match random.below(20) {
        0..=6 => Publish {
            topic: random.pick(&TOPICS),
            qos,
            packet_id: Some(id).filter(|_| qos != QoS::AtMostOnce),
            retain: random.one_in(3),
            dup: qos != QoS::AtMostOnce && random.one_in(4),
            payload: &[b'x'; 40][..random.below(40)],
            properties: {
                let at = random.below(2);
                some(random, at)
            },
        }
        .into(),
        7 | 8 => PubAck { reason_code, ..PubAck::new(id) }.into(),
        9 | 10 => PubRec { reason_code, ..PubRec::new(id) }.into(),
        11 => PubRel::new(id).into(),
        12 => PubComp::new(id).into(),
        13 | 14 => {
            Subscribe { properties: some(random, 3), ..Subscribe::new(id, &subscriptions) }.into()
        }
        15 => Unsubscribe::new(id, &filters).into(),
        16 | 17 => Packet::PingReq,
        18 if random.one_in(4) => {
            Disconnect { properties: some(random, 2), ..Disconnect::default() }.into()
        }
        19 if version.is_v5() => {
            Auth { reason_code: ReasonCode::RE_AUTHENTICATE, properties: some(random, 4) }.into()
        }
        _ => return connect(random, version),
    };
    let mut bytes = Vec::new();
    // What does not go in this version is not said.
    let _ = packet.encode(version, &mut bytes);
    bytes
}

fn connect(random: &mut Random, version: Version) -> Vec<u8> {
    let list = [
        Property::SessionExpiryInterval(random.below(30) as u32),
        Property::ReceiveMaximum(random.below(5) as u16 + 1),
        Property::TopicAliasMaximum(random.below(4) as u16),
        Property::MaximumPacketSize(random.below(200) as u32 + 1),
        Property::AuthenticationMethod("m"),
    ];
    let count = if random.one_in(3) { random.below(6) } else { random.below(3) };
    let delay = [Property::WillDelayInterval(random.below(20) as u32)];
    let v5 = version.is_v5();
    let will = Will {
        topic: "w",
        payload: b"will",
        qos: random.pick(&QOS),
        retain: random.one_in(3),
        properties: Properties::List(if v5 { &delay } else { &[] }),
    };
    encode(
        version,
        Connect {
            clean_start: random.one_in(2),
            keep_alive: random.below(20) as u16,
            will: Some(will).filter(|_| random.one_in(2)),
            properties: Properties::List(if v5 { &list[..count] } else { &[] }),
            ..of(version, random.pick(&["c0", "c1", "c2", "#"]))
        },
    )
}

fn options(random: &mut Random) -> Options {
    options_with(|options| {
        options.maximum_queued_messages = random.pick(&[1, 3, 1_000]);
        options.maximum_queued_bytes = random.pick(&[1, 100, 1 << 20]);
        options.maximum_in_flight = random.pick(&[1, 2, 100]);
        options.receive_maximum = random.pick(&[1, 3, 100]);
        options.work_budget = random.pick(&[1, 2, 1_000]);
        options.maximum_sessions = random.pick(&[2, 100]);
        options.clients_may_publish_to_dollar_topics = random.one_in(2);
        options.overflow =
            random.pick(&[Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect]);
    })
}

/// A client, and what it knows of its connection.
struct Client {
    peer: Peer,
    version: Version,
    listener: Listener,
}

impl Client {
    fn join(world: &mut World, random: &mut Random) -> Self {
        let version = random.pick(&Version::ALL);
        let bytes = connect(random, version);
        let mut decoder = Decoder::from_client();
        let Ok(Some((Packet::Connect(connect), _))) = decoder.decode(&bytes) else { panic!() };
        let listener = Listener::new(&connect);
        let peer = world.open(version);
        world.send_bytes(peer, &bytes);
        Self { peer, version, listener }
    }

    fn listen(&mut self, world: &mut World) {
        world.packets(self.peer).iter().for_each(|packet| self.listener.hears(packet));
    }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let breaks = seed % 2 == 1;
    let mut world = World::new(options(&mut random));
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..250 {
        if clients.len() < 2 || random.one_in(12) {
            clients.push(Client::join(&mut world, &mut random));
        }
        let at = random.below(clients.len());
        if random.one_in(20) {
            world.lose(clients[at].peer);
            clients.swap_remove(at);
        } else {
            step(&mut world, &mut random, &mut clients[at], breaks);
        }
        clients.iter_mut().for_each(|client| client.listen(&mut world));
    }
    finish(&mut world, &clients, breaks);
}

/// A client does something, or something happens.
fn step(world: &mut World, random: &mut Random, client: &mut Client, breaks: bool) {
    let (peer, now) = (client.peer, world.now);
    match random.below(40) {
        0 => world.block(peer),
        1 => world.unblock(peer),
        2 | 3 => world.wait_secs(random.pick(&[1, 7, 30])),
        4 => {
            let qos = random.pick(&QOS);
            let publish = Publish { topic: "a", qos, payload: b"x", ..Publish::default() };
            world.broker.publish(now, &publish).unwrap();
        }
        5 => drop(world.broker.end_session(now, "c1")),
        6 => {
            let auth = Auth { reason_code: ReasonCode::SUCCESS, ..Auth::default() };
            let _ = world.broker.authenticate(now, world.id(peer), &auth);
        }
        _ => {
            let mut bytes = packet(random, client.version);
            if breaks && random.one_in(40) && !bytes.is_empty() {
                let index = random.below(bytes.len());
                bytes[index] ^= 1 << random.below(8);
            }
            client.listener.says(&bytes);
            world.send_bytes(peer, &bytes);
        }
    }
    world.poll();
}

/// Everybody goes, time goes by, and nothing is left.
fn finish(world: &mut World, clients: &[Client], breaks: bool) {
    for client in clients {
        world.lose(client.peer);
    }
    world.wait_secs(1_000);
    for client_id in ["c0", "c1", "c2", "#"] {
        let _ = world.broker.end_session(world.now, client_id);
        world.poll();
    }
    let counters = world.broker.counters();
    assert_eq!((counters.connections, counters.connected, counters.sessions), (0, 0, 0));
    assert_eq!(
        (counters.subscriptions, counters.stored_messages, counters.stored_bytes),
        (0, 0, 0)
    );
    assert_eq!(world.deadline, None);
    for topic in TOPICS.into_iter().filter(|topic| !topic.is_empty()) {
        let clear = Publish { topic, retain: true, ..Publish::default() };
        world.broker.publish(world.now, &clear).unwrap();
    }
    world.poll();
    let counters = world.broker.counters();
    // Packets that were broken may have brought topics that nobody thought of.
    let retained = (counters.retained_messages, counters.retained_bytes);
    assert!(breaks || retained == (0, 0), "{retained:?}");
    let innocent = world.up(Version::V5, "innocent");
    let _ = world.raw(innocent);
}

#[test]
fn whatever_clients_say_each_hears_what_it_may_and_nothing_is_left_when_they_are_gone() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    // SEED is the first one, and RUNS how many.
    let (first, runs): (u64, u64) = (number("SEED").unwrap_or(0), number("RUNS").unwrap_or(300));
    for seed in first..first.saturating_add(runs) {
        println!("SEED={seed}");
        run(seed);
    }
}
