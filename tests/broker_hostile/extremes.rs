//! Values at the ends of their ranges, and calls at the wrong time.

use bytes::{Buf, BytesMut};
use sansio_mqtt::broker::{
    Acceptance, CallError, DisconnectCause, Options, Output, Received, Transmitted,
};
use sansio_mqtt::{
    ConnAck, Connect, Disconnect, Outgoing, Packet, Properties, Property, PubAck, PubRel, Publish,
    QoS, ReasonCode, Subscribe, Subscription, Unsubscribe, Version,
};

use crate::memory;
use crate::world::{QOS, World, encode, id, lasting, of, options_with, publish};

#[test]
fn nothing_is_larger_than_a_client_accepts_however_little_that_is() {
    // v5 [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    for maximum in 1..=48 {
        for aliases in [0, 10] {
            let mut world = World::default();
            let publisher = world.up(Version::V5, "publisher");
            let properties =
                [Property::MaximumPacketSize(maximum), Property::TopicAliasMaximum(aliases)];
            let properties = Properties::List(&properties);
            let connect = Connect { properties, ..of(Version::V5, "c") };
            let peer = world.connect(&connect);
            let filters: Vec<_> = (0..10).map(|number| format!("f/{number}")).collect();
            let many: Vec<_> =
                filters.iter().map(|one| Subscription::new(one, QoS::AtMostOnce)).collect();
            let one = [Subscription::new("a/topic", QoS::ExactlyOnce)];
            for packet in [
                Packet::from(Subscribe::new(id(1), &one)),
                Packet::PingReq,
                PubRel::new(id(9)).into(),
                publish("b", QoS::AtLeastOnce, 1, "x").into(),
                Unsubscribe::new(id(1), &["x", "y", "z"]).into(),
                Subscribe::new(id(1), &many).into(),
            ] {
                world.send(peer, packet);
                for qos in QOS {
                    for payload in ["", "0123456789"] {
                        world.send(publisher, publish("a/topic", qos, 1, payload));
                    }
                }
            }
            let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
            let reason = Properties::List(&[Property::ReasonString("because")]);
            let disconnect = Disconnect { reason_code, properties: reason };
            let _ = world.broker.disconnect(world.now, world.id(peer), &disconnect);
            world.poll();
            for packet in world.packets(peer) {
                let len = packet.frame().len();
                assert!(len <= maximum as usize, "{packet} of {len} bytes for {maximum}");
            }
            assert!(world.is_closed(peer));
        }
    }
}

#[test]
fn names_that_are_too_long_are_refused() {
    // v5 3.2.2.2, v3.1.1 3.2.2.3
    let mut world = World::new(options_with(|options| options.maximum_name_length = 30));
    let (fits, long) = ("x".repeat(30), "x".repeat(31));
    for version in [Version::V3_1_1, Version::V5] {
        let _ = world.join(&Connect { user_name: Some(&fits), ..of(version, &fits) });
        let rows = [
            (of(version, &long), 0x85, 2),
            (Connect { user_name: Some(&long), ..of(version, "c") }, 0x86, 4),
        ];
        for (connect, reason_code, return_code) in rows {
            let peer = world.connect(&connect);
            let expected: &[u8] = match version.is_v5() {
                true => &[0x20, 3, 0, reason_code, 0],
                false => &[0x20, 2, 0, return_code],
            };
            assert_eq!(world.raw(peer), expected);
            assert!(world.is_closed(peer));
        }
    }
}

#[test]
fn subscription_identifiers_of_messages_that_wait_are_bounded_with_them() {
    // 1,000 filters match, each with an identifier: 4,000 bytes of them for each message.
    let mut world = World::new(options_with(|options| options.maximum_queued_bytes = 100_000));
    let peer = world.up(Version::V5, "c");
    for number in 0..1_000_u32 {
        let level = |at: u32| if number >> at & 1 == 1 { "+" } else { "a" };
        let filter = (0..10).map(level).collect::<Vec<_>>().join("/");
        let one = [Subscription::new(&filter, QoS::AtLeastOnce)];
        let properties = [Property::SubscriptionIdentifier(number + 1_000_000)];
        let properties = Properties::List(&properties);
        world.send(peer, Subscribe { properties, ..Subscribe::new(id(1), &one) });
    }
    let _ = world.raw(peer);
    world.block(peer);
    let publisher = world.up(Version::V5, "publisher");
    world.ignore(publisher);
    let before = memory::held();
    for _ in 0..300 {
        world.send(publisher, publish("a/a/a/a/a/a/a/a/a/a", QoS::AtLeastOnce, 1, "x"));
    }
    let held = memory::held() - before;
    assert!(held < 100_000 + 100 * 1_024, "{held}");
}

#[test]
fn retained_messages_come_one_by_one_where_there_is_room_for_one() {
    for qos in QOS {
        for (maximum_bytes, window) in [(1, 1), (60, 1), (200, 1), (200, 10)] {
            let mut world = World::new(options_with(|options| {
                options.maximum_queued_bytes = maximum_bytes;
                options.maximum_in_flight = window;
            }));
            let publisher = world.up(Version::V5, "publisher");
            for number in 0..200_u16 {
                let topic = format!("t/{number}");
                let payload = "x".repeat(50);
                let publish = publish(&topic, QoS::ExactlyOnce, number + 1, &payload);
                world.send(publisher, Publish { retain: true, ..publish });
            }
            let peer = world.up(Version::V5, "c");
            let all = [Subscription::new("t/+", qos)];
            world.send(peer, Subscribe::new(id(1), &all));
            let mut topics = std::collections::BTreeSet::new();
            loop {
                let packets = world.packets(peer);
                if packets.is_empty() {
                    break;
                }
                for packet in packets {
                    let answer: Packet<'_> = match packet.packet() {
                        Packet::Publish(publish) => {
                            assert!(topics.insert(publish.topic.to_string()), "twice");
                            match (publish.qos, publish.packet_id) {
                                (QoS::AtLeastOnce, Some(id)) => PubAck::new(id).into(),
                                (QoS::ExactlyOnce, Some(id)) => sansio_mqtt::PubRec::new(id).into(),
                                _ => continue,
                            }
                        }
                        Packet::PubRel(ack) => sansio_mqtt::PubComp::new(ack.packet_id).into(),
                        _ => continue,
                    };
                    world.send(peer, answer);
                }
            }
            assert_eq!(topics.len(), 200, "QoS {qos}, {maximum_bytes} bytes, window {window}");
            assert_eq!(world.broker.session("c").unwrap().dropped, 0);
        }
    }
}

#[test]
fn a_replay_for_one_that_takes_nothing_does_not_keep_the_broker_awake() {
    for qos in QOS {
        let mut world = World::default();
        let publisher = world.up(Version::V5, "publisher");
        for number in 0..2_000_u16 {
            let topic = format!("t/{number}");
            let publish = publish(&topic, QoS::ExactlyOnce, number % 500 + 1, "x");
            world.send(publisher, Publish { retain: true, ..publish });
            world.send(publisher, PubRel::new(id(number % 500 + 1)));
        }
        world.lose(publisher);
        for blocked in [true, false] {
            let peer = world.up(Version::V5, "c");
            if blocked {
                world.block(peer);
            }
            let all = [Subscription::new("t/#", qos)];
            // `poll` ends, and when the time to connect is over there is nothing to wake up for.
            world.send(peer, Subscribe::new(id(1), &all));
            world.wait_secs(10);
            assert_eq!(world.deadline, None);
            world.lose(peer);
        }
    }
}

#[test]
fn an_expiry_that_is_raised_with_disconnect_stays_below_the_maximum() {
    // v5 3.14.2.2.2
    let mut world =
        World::new(options_with(|options| options.maximum_session_expiry_interval = 100));
    for (wanted, held) in [(50, 50), (100, 100), (101, 100), (u32::MAX, 100)] {
        let properties = Properties::List(&[Property::SessionExpiryInterval(1)]);
        let peer = world.join(&Connect { properties, ..of(Version::V5, "c") });
        let properties = [Property::SessionExpiryInterval(wanted)];
        let properties = Properties::List(&properties);
        world.send(peer, Disconnect { properties, ..Disconnect::default() });
        assert_eq!(world.broker.session("c").unwrap().session_expiry_interval, held);
        world.wait_secs(u64::from(held) - 1);
        assert!(world.broker.session("c").is_some());
        world.wait_secs(1);
        assert!(world.broker.session("c").is_none());
    }
    // From nothing to something is an error, and the session ends.
    let peer = world.up(Version::V5, "c");
    let properties = Properties::List(&[Property::SessionExpiryInterval(1)]);
    world.send(peer, Disconnect { properties, ..Disconnect::default() });
    world.blamed(peer, ReasonCode::PROTOCOL_ERROR);
    assert!(world.broker.session("c").is_none());
    // In 3.x a session for ever is no longer than the maximum either.
    let peer = world.join(&lasting(Version::V3_1_1, "d"));
    world.lose(peer);
    world.wait_secs(100);
    assert!(world.broker.session("d").is_none());
}

#[test]
fn a_connection_that_is_gone_hears_and_says_nothing() {
    let mut world = World::default();
    let peer = world.up(Version::V5, "c");
    let dead = world.id(peer);
    world.lose(peer);
    // Its number is somebody else's now.
    let other = world.up(Version::V5, "c");
    let now = world.now;
    let mut bytes = BytesMut::from(&encode(Version::V5, Disconnect::default())[..]);
    assert_eq!(world.broker.receive(now, dead, &mut bytes), Received::Drained);
    assert!(bytes.is_empty());
    let mut out = Outgoing::new();
    assert_eq!(world.broker.transmit(now, dead, 100, &mut out), Transmitted::All);
    assert!(!out.has_remaining());
    world.broker.transport_closed(now, dead);
    let unknown = Err(CallError::UnknownConnection);
    let disconnect = Disconnect::default();
    assert_eq!(world.broker.disconnect(now, dead, &disconnect), unknown);
    assert_eq!(world.broker.accept(now, dead, &Acceptance::default()), unknown);
    let refusal = ConnAck::refuse(ReasonCode::NOT_AUTHORIZED);
    assert_eq!(world.broker.refuse(now, dead, &refusal), unknown);
    world.poll();
    world.serves(other);
}

#[test]
fn an_application_that_answers_twice_or_late_changes_nothing() {
    let mut world = World::default();
    let peer = world.up(Version::V5, "c");
    let (now, id) = (world.now, world.id(peer));
    let refusal = ConnAck::refuse(ReasonCode::NOT_AUTHORIZED);
    assert_eq!(world.broker.accept(now, id, &Acceptance::default()), Err(CallError::NotAwaited));
    assert_eq!(world.broker.refuse(now, id, &refusal), Err(CallError::NotAwaited));
    world.serves(peer);
    // When the time is over.
    world.accepts = false;
    let peer = world.connect(&of(Version::V5, "late"));
    let id = world.id(peer);
    world.wait_secs(10);
    assert_eq!(world.cause(peer), Some(DisconnectCause::ConnectTimeout));
    let now = world.now;
    assert!(world.broker.accept(now, id, &Acceptance::default()).is_err());
    assert!(world.broker.session("late").is_none());
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut world = World::default();
    let peer = world.join(&Connect { keep_alive: 10, ..of(Version::V5, "c") });
    world.wait_secs(14);
    let now = world.now;
    world.broker.handle_timeout(now);
    world.now = sansio_mqtt::Instant::from_micros(0);
    world.send(peer, Packet::PingReq);
    world.broker.handle_timeout(world.now);
    world.now = now;
    world.poll();
    assert_eq!(world.sent(peer), ["PINGRESP"]);
    world.wait_secs(14);
    assert!(!world.is_closed(peer));
    // And at the end of time nothing is due before it.
    world.now = sansio_mqtt::Instant::from_micros(u64::MAX);
    world.send(peer, Packet::PingReq);
    world.broker.handle_timeout(world.now);
}

#[test]
fn a_wrapper_that_asks_for_no_outputs_is_held_up() {
    // What is read at once is bounded by the budget: events and bytes can be taken in between.
    let mut world = World::new(options_with(|options: &mut Options| options.work_budget = 50));
    let peer = world.up(Version::V5, "c");
    let (now, id) = (world.now, world.id(peer));
    let one = encode(Version::V5, publish("a", QoS::AtMostOnce, 0, "x"));
    let mut bytes = BytesMut::from(&one.repeat(10_000)[..]);
    assert_eq!(world.broker.receive(now, id, &mut bytes), Received::Paused);
    let left = bytes.len();
    assert!(left > one.len() * 9_900, "{left}");
    for _ in 0..10 {
        assert_eq!(world.broker.receive(now, id, &mut bytes), Received::Paused);
        assert_eq!(bytes.len(), left);
    }
    let mut resumed = 0;
    while !bytes.is_empty() {
        match world.broker.poll_output() {
            Output::Resume(connection) => {
                resumed += 1;
                let _ = world.broker.receive(now, connection, &mut bytes);
            }
            Output::Timeout(_) => panic!("{} bytes are left", bytes.len()),
            _ => {}
        }
    }
    assert!(resumed >= 10_000 / 51, "{resumed}");
}

#[test]
fn work_of_one_packet_counts_in_the_budget_of_a_read() {
    // 100 copies of each message: ten of them and not a thousand come before others have a turn.
    let mut world = World::default();
    for number in 0..100 {
        let peer = world.up(Version::V5, &format!("reader-{number}"));
        world.subscribe(peer, "a", QoS::AtMostOnce);
    }
    let peer = world.up(Version::V5, "c");
    let (now, id) = (world.now, world.id(peer));
    let one = encode(Version::V5, publish("a", QoS::AtMostOnce, 0, "x"));
    let mut bytes = BytesMut::from(&one.repeat(1_000)[..]);
    assert_eq!(world.broker.receive(now, id, &mut bytes), Received::Paused);
    let taken = 1_000 - bytes.len() / one.len();
    assert!((1..=20).contains(&taken), "{taken}");
}

#[test]
fn of_a_connect_nothing_is_kept_but_the_names_and_the_will() {
    let properties = vec![Property::UserProperty("key", "value"); 4_000];
    let password = [7; 10_000];
    for will in [None, Some(sansio_mqtt::Will { topic: "w", payload: b"x", ..Default::default() })]
    {
        let mut world = World::default();
        let bytes = encode(
            Version::V5,
            Connect {
                will,
                user_name: Some("user"),
                password: Some(&password),
                properties: Properties::List(&properties),
                ..of(Version::V5, "c")
            },
        );
        // As large as a plain one, of which tables have grown.
        let plain = world.up(Version::V5, "plain");
        let _ = world.raw(plain);
        let before = memory::held();
        let peer = world.open(Version::V5);
        let _ = world.flood(peer, &bytes);
        assert_eq!(world.raw(peer)[0], 0x20);
        let held = memory::held() - before;
        assert!(held < 4_096, "{held}");
    }
}

#[test]
fn a_wrapper_that_asks_for_outputs_late_finds_them_all() {
    let mut world = World::default();
    let (now, broker) = (world.now, &mut world.broker);
    let connect = encode(Version::V3_1_1, of(Version::V3_1_1, "c"));
    let ids: Vec<_> = (0..500)
        .map(|_| {
            let id = broker.transport_opened(now).unwrap();
            let mut bytes = BytesMut::from(&connect[..]);
            let _ = broker.receive(now, id, &mut bytes);
            id
        })
        .collect();
    // All of them have the same name: each closes the one before.
    let (mut connects, mut ended, mut closed) = (0, 0, 0);
    loop {
        match broker.poll_output() {
            Output::Event(sansio_mqtt::broker::Event::Connect { connection, .. }) => {
                connects += 1;
                broker.accept(now, connection, &Acceptance::default()).unwrap();
            }
            Output::Event(sansio_mqtt::broker::Event::Disconnected { cause, .. }) => {
                ended += 1;
                assert_eq!(cause, DisconnectCause::TakenOver);
            }
            Output::Close(_) => closed += 1,
            Output::Timeout(_) => break,
            _ => {}
        }
    }
    assert_eq!((connects, ended, closed), (500, 499, 499));
    assert_eq!(broker.session("c").unwrap().connection, ids.last().copied());
    assert_eq!(broker.counters().connections, 1);
}
