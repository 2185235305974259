//! Faults that this machine had, a test each.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use sansio_mqtt::client::{
    Acknowledgement, CleanStart, Client, Event, Options, Output, Published, Received,
    RestoreFailure,
};
use sansio_mqtt::{
    ConnAck, Disconnect, Instant, Outgoing, Packet, Properties, Property, Publish, QoS, ReasonCode,
    Subscription, UnixTime, Version,
};

use crate::calls::WHOLE;
use crate::sessions::{acknowledged, by_hand, durably, lasting};
use crate::world::{
    World, of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, sub_ack, v5,
};

#[test]
fn a_message_under_the_identifier_of_an_earlier_one_is_kept_across_a_crash() {
    // v5 [MQTT-4.3.2-5]
    for version in [Version::V3_1_1, Version::V5] {
        durably(|world| {
            let options = by_hand(version);
            world.up(options.clone(), &[]);
            world.server(publish("old", QoS::AtLeastOnce, 5, "old"));
            let old = world.deliveries()[0].delivery_id.unwrap();
            world.resume().server(publish("new", QoS::AtLeastOnce, 5, "new"));
            let new = world.deliveries()[0].delivery_id.unwrap();
            world.crash(options.clone());
            let offered: Vec<_> = world.deliveries().iter().map(|one| one.delivery_id).collect();
            assert_eq!(offered, [Some(old), Some(new)]);
            world.connect(true, &[]).forget();
            world.acknowledge(old);
            assert_eq!(world.sent(), [""; 0], "the server waits for the other one");
            world.server(Publish { dup: true, ..publish("new", QoS::AtLeastOnce, 5, "new") });
            assert_eq!(world.told(), [""; 0]);
            assert_eq!(world.acknowledge(new).sent(), ["PUBACK #5"]);
        });
    }
}

#[test]
fn what_is_acknowledged_without_a_connection_is_not_offered_by_the_next_process() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        durably(|world| {
            let options = by_hand(Version::V5);
            world.up(options.clone(), &[]);
            world.server(publish("a", qos, 1, "first")).server(publish("a", qos, 2, "second"));
            let ids: Vec<_> = world.deliveries().iter().map(|one| one.delivery_id).collect();
            // The first holds back the acknowledgement of the second.
            world.acknowledge(ids[1].unwrap());
            world.crash(options.clone());
            assert_eq!(world.told(), [format!("message a QoS {qos} \"first\" redelivered")]);
            world.acknowledge(ids[0].unwrap());
            world.crash(options.clone());
            assert_eq!(world.told(), [""; 0]);
            world.connect(true, &[]).forget();
            for id in [1, 2] {
                world.server(Publish { dup: true, ..publish("a", qos, id, "again") });
            }
            let packet = if qos == QoS::AtLeastOnce { "PUBACK" } else { "PUBREC" };
            assert_eq!(world.sent(), [format!("{packet} #1"), format!("{packet} #2")]);
            assert_eq!(world.told(), [""; 0]);
            // Nothing of it is left, unless the server has to say more.
            if qos == QoS::ExactlyOnce {
                world.server(pub_rel(1)).server(pub_rel(2));
            }
            assert_eq!(world.store.len(), 1, "{:?}", world.store);
        });
    }
}

#[test]
fn what_was_never_pulled_is_not_lost_with_the_session() {
    scenario(|world| {
        world.start(v5());
        let handles = [(); 3].map(|()| world.publish("a", QoS::AtLeastOnce, "x"));
        world.open();
        world.writable = false;
        world.forget();
        world.server(ConnAck::default()).lose();
        assert_eq!(world.told(), ["connected", "disconnected: the transport was closed"]);
        world.writable = true;
        world.connect(false, &[]).forget();
        for id in [4, 5, 6] {
            world.server(pub_ack(id));
        }
        assert_eq!(world.told(), handles.map(acknowledged));
    });
}

#[test]
fn answers_are_heard_while_the_application_has_all_the_messages_it_may() {
    // A bridge acknowledges what it has passed on.
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let mut options = by_hand(version);
            options.receive_maximum = 1;
            world.up(options, &[]);
            world.server(publish("in", QoS::AtLeastOnce, 1, "x"));
            let first = world.deliveries()[0].delivery_id.unwrap();
            let handle = world.publish("out", QoS::AtLeastOnce, "x");
            world.forget().server(pub_ack(1)).server(Packet::PingResp);
            assert_eq!(world.told(), [acknowledged(handle)]);
            // One more message waits, and what is behind it.
            world.server(publish("in", QoS::AtLeastOnce, 2, "y"));
            world.server(publish("in", QoS::AtMostOnce, 0, "z"));
            assert_eq!(world.wait_secs(3_600).told(), [""; 0]);
            world.acknowledge(first);
            assert_eq!(world.told(), ["message in QoS 1 \"y\"", "message in QoS 0 \"z\""]);
        });
    }
}

#[test]
fn a_server_that_is_at_a_large_packet_is_not_dead() {
    // v5 [MQTT-3.1.2-20]
    for version in Version::ALL {
        let mut world = World::new(WHOLE);
        world.up(of(version), &[]);
        let (now, one) = (world.now, [Subscription::new("a", QoS::AtMostOnce)]);
        world.client().subscribe(now, &one, Properties::NONE).unwrap();
        world.poll();
        let payload = vec![7; 10_000];
        let mut bytes = Vec::new();
        let large = Publish { topic: "a", payload: &payload, ..Publish::default() };
        Packet::from(large).encode(version, &mut bytes).unwrap();
        let (last, slow) = bytes.split_last().unwrap();
        for chunk in slow.chunks(100) {
            world.server_bytes(chunk).wait_secs(1);
        }
        assert!(!world.closed, "after {:?}", world.told());
        // It is if nothing more comes of it.
        let mut stalls = world.deadline.unwrap().duration_since(world.now);
        assert!(stalls <= Duration::from_secs(20), "{stalls:?}");
        world.server_bytes(&[*last]).server(sub_ack(1, &[ReasonCode::SUCCESS]));
        world.server(Packet::PingResp);
        assert_eq!(world.told().len(), 2);
        world.server_bytes(slow);
        stalls += Duration::from_secs(60);
        assert!(world.wait(stalls).closed);
    }
}

#[test]
fn a_client_that_is_told_of_a_session_it_does_not_know_connects_the_next_time() {
    // v5 [MQTT-3.2.2-4]
    let mut options = v5();
    options.clean_start = CleanStart::Never;
    options.session_expiry_interval = 60;
    scenario(|world| {
        world.start(options.clone()).connect(false, &[]);
        // For the client it is over; the server noticed later that the connection was lost.
        world.lose().wait_secs(61).connect(true, &[]);
        assert!(world.closed);
        world.forget().open();
        assert!(world.sent()[0].contains("clean start"), "a new session");
        world.server(ConnAck::default());
        assert_eq!(world.told(), ["connected"]);
        world.resume();
        assert_eq!(world.told(), ["connected again"]);
    });
    // Nor is it shut out by a DISCONNECT that ends the session and was never pulled.
    scenario(|world| {
        world.start(options.clone()).connect(false, &[]);
        world.writable = false;
        let (now, list) = (world.now, [Property::SessionExpiryInterval(0)]);
        let end = Disconnect { properties: (&list).into(), ..Disconnect::default() };
        world.client().disconnect(now, &end).unwrap();
        world.lose();
        world.writable = true;
        world.connect(true, &[]);
        assert!(world.closed);
        world.connect(false, &[]);
        assert!(world.client().server().is_some());
    });
}

#[test]
fn numbers_are_not_used_again_however_often_a_process_starts() {
    durably(|world| {
        let options = lasting(Version::V5);
        world.start(options.clone());
        // As after a million starts.
        let record = world.store.get_mut(&b"s"[..]).unwrap();
        let at = 2 + 4 + options.client_id.len();
        record[at..at + 4].copy_from_slice(&0x000f_fffe_u32.to_be_bytes());
        let mut last = 0;
        for _ in 0..4 {
            world.crash(options.clone());
            let handle = world.publish("a", QoS::AtLeastOnce, "x").get();
            assert!(handle > last, "{handle} after {last}");
            last = handle;
        }
    });
}

#[test]
fn what_a_pubrec_says_is_told() {
    // v5 3.5.2.1
    let nobody = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    let words = [Property::ReasonString("nobody")];
    scenario(|world| {
        world.up(v5(), &[]);
        world.publish("a", QoS::ExactlyOnce, "x");
        let said = sansio_mqtt::PubRec { reason_code: nobody, ..pub_rec(1) };
        world.server(sansio_mqtt::PubRec { properties: (&words).into(), ..said });
        world.server(pub_comp(1));
        let events = world.events();
        let Some(Event::Published {
            result: Ok(Published::Acknowledged { reason_code, packet: Some(packet) }),
            ..
        }) = events.last()
        else {
            panic!("{events:?}")
        };
        assert_eq!(*reason_code, nobody);
        assert!(packet.to_string().contains("nobody"), "{packet}");
    });
}

#[test]
fn a_maximum_packet_size_without_room_for_an_acknowledgement_ends_the_connection() {
    // v5 [MQTT-3.2.2-15]
    for maximum in [1, 2, 3, 4] {
        scenario(|world| {
            world.start(v5()).open().forget();
            world.server(ConnAck {
                properties: (&[Property::MaximumPacketSize(maximum)]).into(),
                ..ConnAck::default()
            });
            assert!(world.closed);
            // DISCONNECT with a Reason Code has three bytes.
            assert_eq!(world.sent().len(), usize::from(maximum >= 3));
        });
    }
    scenario(|world| {
        world.up(v5(), &[Property::MaximumPacketSize(5)]);
        world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
        assert_eq!(world.sent(), ["PUBACK #1"]);
    });
}

#[test]
fn whoever_resumes_when_told_to_gets_all_there_is() {
    for (count, size) in [(500, 1), (5, 600_000)] {
        let mut client = Client::new(v5()).unwrap();
        let now = Instant::from_micros(0);
        let connection = client.transport_opened(now).unwrap();
        let mut incoming = BytesMut::new();
        Packet::from(ConnAck::default()).encode(Version::V5, &mut incoming).unwrap();
        let payload = vec![7; size];
        for _ in 0..count {
            let one = Publish { topic: "a", payload: &payload, ..Publish::default() };
            Packet::from(one).encode(Version::V5, &mut incoming).unwrap();
        }
        let mut outgoing = Outgoing::new();
        let _ = client.transmit(now, connection, usize::MAX, &mut outgoing);
        assert_eq!(client.receive(now, connection, &mut incoming), Received::Paused);
        let (mut messages, mut rests) = (0, 0);
        loop {
            match client.poll_output() {
                Output::Event(Event::Message(_)) => messages += 1,
                Output::Resume(connection) => {
                    rests += 1;
                    let _ = client.receive(now, connection, &mut incoming);
                }
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        assert_eq!((messages, incoming.len()), (count, 0));
        assert!(rests > 1, "messages are taken in portions");
    }
}

#[test]
fn subscriptions_are_made_again_by_the_next_process_too() {
    let mut options = lasting(Version::V5);
    options.resubscribe = true;
    durably(|world| {
        world.up(options.clone(), &[]);
        let (now, identifier) = (world.now, [Property::SubscriptionIdentifier(7)]);
        let two = [
            Subscription::new("a/b", QoS::AtLeastOnce),
            Subscription::new("+/c", QoS::ExactlyOnce),
        ];
        world.client().subscribe(now, &two, (&identifier).into()).unwrap();
        world.poll().server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1, ReasonCode::GRANTED_QOS_2]));
        world.client().unsubscribe(now, &["a/b"], Properties::NONE).unwrap();
        world
            .poll()
            .server(sansio_mqtt::UnsubAck::new(crate::world::id(2), &[ReasonCode::SUCCESS]));
        world.crash(options.clone()).connect(false, &[]);
        let sent = world.sent_of("SUBSCRIBE");
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(sent[0].contains("\"+/c\"") && !sent[0].contains("a/b"), "{sent:?}");
        assert!(sent[0].contains('7'), "{sent:?}");
    });
}

#[test]
fn a_calendar_that_was_set_back_does_not_lengthen_a_message_expiry_interval() {
    // v5 [MQTT-3.3.2-6]
    durably(|world| {
        world.start(lasting(Version::V5));
        let list = [Property::MessageExpiryInterval(60)];
        let (topic, qos) = ("a", QoS::AtLeastOnce);
        world.publish_with(&Publish {
            topic,
            qos,
            properties: (&list).into(),
            ..Publish::default()
        });
        let (now, then) = (world.now, UnixTime::from_secs(0));
        let client = Client::restore(lasting(Version::V5), now, then, &world.store).unwrap();
        world.client = Some(client);
        world.poll().connect(false, &[]);
        let sent = world.sent_of("PUBLISH");
        assert!(sent[0].contains("Message Expiry Interval=60"), "{sent:?}");
    });
}

#[test]
fn requests_fail_when_their_responses_are_refused() {
    // v5 4.10
    let mut options = v5();
    options.response_topic = Some("responses".into());
    scenario(|world| {
        world.up(options.clone(), &[]);
        for _ in 0..2 {
            let (now, hour) = (world.now, Duration::from_secs(3_600));
            let request = Publish { topic: "r", ..Publish::default() };
            world.client().request(now, &request, hour).unwrap();
        }
        world.poll().forget().server(sub_ack(1, &[ReasonCode::NOT_AUTHORIZED]));
        let told = world.told();
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|one| one.contains("0x87")), "{told:?}");
    });
}

#[test]
fn records_of_another_client_are_refused() {
    durably(|world| {
        world.start(lasting(Version::V5));
        let (now, then) = (world.now, UnixTime::from_secs(1_700_000_000));
        let others = [Options::new(Version::V5, "other"), lasting(Version::V3_1_1)];
        for options in others {
            let refused = Client::restore(options, now, then, &world.store).unwrap_err();
            assert_eq!(refused, RestoreFailure::OtherSession);
        }
        let mut same = lasting(Version::V5);
        same.acknowledgement = Acknowledgement::Manual;
        assert!(Client::restore(same, now, then, &world.store).is_ok());
    });
}

#[test]
fn nothing_of_one_connection_is_left_for_the_next() {
    // v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
    let mut client = Client::new(v5()).unwrap();
    let (now, mut outgoing) = (Instant::from_micros(0), Outgoing::new());
    let first = client.transport_opened(now).unwrap();
    let _ = client.transmit(now, first, usize::MAX, &mut outgoing);
    let all = outgoing.remaining();
    outgoing.advance(3);
    client.transport_closed(now, first);
    let second = client.transport_opened(now).unwrap();
    let _ = client.transmit(now, second, usize::MAX, &mut outgoing);
    assert_eq!((outgoing.remaining(), outgoing.chunk()[0]), (all, 0x10));
}

#[test]
fn a_subscription_that_the_server_does_not_take_keeps_no_other_from_being_made_again() {
    // v5 [MQTT-3.2.2-15]
    let mut options = v5();
    options.resubscribe = true;
    let filters = ["a/#", "bbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccc"];
    let limits: [&[Property<'_>]; 2] =
        [&[Property::WildcardSubscriptionAvailable(false)], &[Property::MaximumPacketSize(40)]];
    for (limit, lost) in limits.into_iter().zip([1, 0]) {
        scenario(|world| {
            world.up(options.clone(), &[]);
            for (filter, id) in filters.into_iter().zip(1..) {
                let (now, one) = (world.now, [Subscription::new(filter, QoS::AtMostOnce)]);
                world.client().subscribe(now, &one, Properties::NONE).unwrap();
                world.poll().server(sub_ack(id, &[ReasonCode::SUCCESS]));
            }
            world.lose().forget().connect(false, limit);
            assert_eq!(world.sent_of("SUBSCRIBE").len(), 3 - lost);
            let failed =
                |event: &&Event| matches!(event, Event::Resubscribed { result: Err(_), .. });
            assert_eq!(world.events().iter().filter(failed).count(), lost);
        });
    }
}

#[test]
fn the_topic_of_responses_is_subscribed_to_when_it_has_changed() {
    // v5 4.10.1
    let mut options = lasting(Version::V5);
    options.response_topic = Some("r/1".into());
    let request = |world: &mut World| {
        let (now, second) = (world.now, Duration::from_secs(1));
        world.client().request(now, &Publish { topic: "q", ..Publish::default() }, second).unwrap();
        world.poll().sent_of("SUBSCRIBE")
    };
    scenario(|world| {
        world.up(options.clone(), &[]);
        assert!(request(world)[0].contains("\"r/1\""));
        assert!(request(world).is_empty());
        world.client().set_response_topic("r/2").unwrap();
        assert!(request(world)[0].contains("\"r/2\""));
        assert!(world.client().set_response_topic("r/+").is_err());
        let mut third = options.clone();
        third.response_topic = Some("r/3".into());
        world.lose();
        world.client().set_options(third).unwrap();
        world.connect(true, &[]).forget();
        assert!(request(world).iter().any(|sent| sent.contains("\"r/3\"")));
        // Nor is one counted on that the application has unsubscribed from.
        let now = world.now;
        world.client().unsubscribe(now, &["r/3"], Properties::NONE).unwrap();
        world.poll();
        let id = world.sent_packets().iter().find_map(|sent| match sent.packet() {
            Packet::Unsubscribe(unsubscribe) => Some(unsubscribe.packet_id),
            _ => None,
        });
        world.server(sansio_mqtt::UnsubAck::new(id.unwrap(), &[ReasonCode::SUCCESS]));
        assert!(request(world)[0].contains("\"r/3\""));
    });
}

#[test]
fn a_response_to_a_request_of_another_run_is_a_message() {
    // v5 4.10
    let mut options = v5();
    options.response_topic = Some("r".into());
    let correlation_data = |seed: u64| {
        let mut world = World::new(WHOLE);
        let mut options = options.clone();
        options.seed = seed;
        world.up(options, &[]);
        let (now, hour) = (world.now, Duration::from_secs(3_600));
        world.client().request(now, &Publish { topic: "q", ..Publish::default() }, hour).unwrap();
        world.poll();
        let sent = world.sent_packets();
        let data = sent.iter().find_map(|sent| match sent.packet() {
            Packet::Publish(publish) => Some(publish.properties.correlation_data()?.to_vec()),
            _ => None,
        });
        (world, data.unwrap())
    };
    let (mut world, own) = correlation_data(1);
    let (_, other) = correlation_data(2);
    for (data, told) in [(other, "message r QoS 0 \"x\""), (own, "response")] {
        let list = [Property::CorrelationData(&data)];
        let properties = (&list).into();
        world.server(Publish { properties, ..publish("r", QoS::AtMostOnce, 0, "x") });
        let events = world.told();
        assert!(events.len() == 1 && events[0].contains(told), "{events:?}");
    }
}

#[test]
fn an_identifier_is_not_used_for_messages_of_two_levels() {
    // v5 [MQTT-2.2.1-4], v3.1.1 [MQTT-2.3.1-4]
    use QoS::{AtLeastOnce, ExactlyOnce};
    for version in Version::ALL {
        for (first, second) in [(AtLeastOnce, ExactlyOnce), (ExactlyOnce, AtLeastOnce)] {
            scenario(|world| {
                world.up(by_hand(version), &[]).server(publish("a", first, 5, "first"));
                world.forget().server(publish("a", second, 5, "second"));
                world.blamed(ReasonCode::PROTOCOL_ERROR);
            });
        }
        // Nor released before it was received.
        for qos in [AtLeastOnce, ExactlyOnce] {
            scenario(|world| {
                world.up(by_hand(version), &[]).server(publish("a", qos, 5, "first"));
                world.forget().server(pub_rel(5));
                world.blamed(ReasonCode::PROTOCOL_ERROR);
            });
        }
    }
}

#[test]
fn the_last_message_is_acknowledged_before_a_disconnect_that_it_causes() {
    // v5 [MQTT-4.3.2-4]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut world = World::new(WHOLE);
        world.up(lasting(Version::V5), &[]);
        let (now, connection) = (world.now, world.connection.unwrap());
        let mut bytes = Vec::new();
        Packet::from(publish("a", qos, 7, "x")).encode(Version::V5, &mut bytes).unwrap();
        let _ = world.client().receive(now, connection, &mut BytesMut::from(&bytes[..]));
        assert!(matches!(world.client().poll_output(), Output::Event(Event::Message(_))));
        world.client().disconnect(now, &Disconnect::default()).unwrap();
        let sent = world.poll().sent();
        assert!(sent.len() == 2 && sent[0].contains("#7") && world.closed, "{sent:?}");
    }
}

#[test]
fn keep_alive_counts_from_the_connect_that_was_sent() {
    // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.keep_alive = 10;
            world.start(options).open().forget().wait_secs(8).server(ConnAck::default());
            assert_eq!(world.wait_secs(1).sent(), ["PINGREQ"]);
        });
    }
}

#[test]
fn a_session_that_is_to_last_for_ever_does_in_the_next_process() {
    // v5 3.14.2.2.2
    durably(|world| {
        let options = lasting(Version::V5);
        world.up(options.clone(), &[]);
        world.publish("a", QoS::ExactlyOnce, "x");
        world.server(pub_rec(1));
        let (now, list) = (world.now, [Property::SessionExpiryInterval(u32::MAX)]);
        let end = Disconnect { properties: (&list).into(), ..Disconnect::default() };
        world.client().disconnect_now(now, &end).unwrap();
        world.poll().wait_secs(100_000).crash(options.clone());
        assert_eq!(world.connect(true, &[]).sent_of("PUBREL"), ["PUBREL #1"]);
    });
}

#[test]
fn records_of_messages_at_qos_0_are_refused() {
    durably(|world| {
        world.start(lasting(Version::V5));
        world.publish("a", QoS::AtLeastOnce, "x");
        let (key, value) = world.store.iter_mut().find(|(key, _)| key[0] == b'm').unwrap();
        let (key, flags) = (key.clone(), &mut value[9]);
        assert_eq!(*flags, 1 << 1, "QoS 1, not retained");
        *flags = 0;
        let then = UnixTime::from_secs(1_700_000_000);
        let refused = Client::restore(lasting(Version::V5), world.now, then, &world.store);
        assert!(matches!(refused, Err(RestoreFailure::Record(error)) if error.key == key));
    });
}

#[test]
fn options_that_5_0_forbids_are_refused_before_it_too() {
    for version in Version::ALL {
        let mut options = of(version);
        options.receive_maximum = 0;
        assert!(Client::new(options).is_err());
        let mut options = of(version);
        options.maximum_packet_size = 0;
        assert!(Client::new(options).is_err());
        let mut options = of(version);
        options.response_topic = Some("a/#".into());
        assert!(Client::new(options).is_err());
    }
}

#[test]
fn a_restored_client_tells_what_it_holds() {
    durably(|world| {
        world.up(lasting(Version::V5), &[]);
        let handles = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce]
            .map(|qos| world.publish("a", qos, "x"));
        world.server(pub_rec(2)).server(pub_ack(1));
        assert_eq!(world.client().handles(), handles[1..]);
        world.crash(lasting(Version::V5));
        assert_eq!(world.client().handles(), handles[1..]);
        let fourth = world.publish("a", QoS::AtMostOnce, "x");
        assert_eq!(world.client().handles(), [handles[1], handles[2], fourth]);
    });
}

#[test]
fn records_that_cannot_be_together_are_refused() {
    durably(|world| {
        world.up(lasting(Version::V5), &[]);
        world.publish("a", QoS::AtLeastOnce, "x");
        world.publish("a", QoS::AtLeastOnce, "y");
        let (now, then) = (world.now, UnixTime::from_secs(1_700_000_000));
        let restored = |store: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>| {
            Client::restore(lasting(Version::V5), now, then, store).map(drop)
        };
        assert_eq!(restored(&world.store), Ok(()));
        // Without the session's record nobody knows which numbers were given before.
        let mut store = world.store.clone();
        store.remove(&b"s"[..]);
        let refused = restored(&store).unwrap_err();
        assert!(matches!(refused, RestoreFailure::Record(error) if error.key == b"s"));
        // Two under one identifier.
        let mut store = world.store.clone();
        let mut flights = store.iter_mut().filter(|(key, _)| key[0] == b'f');
        let first = flights.next().unwrap().1.clone();
        let (key, second) = flights.next().unwrap();
        let (key, second) = (key.clone(), second);
        *second = first;
        let refused = restored(&store).unwrap_err();
        assert!(matches!(refused, RestoreFailure::Record(error) if error.key == key));
    });
}

#[test]
fn a_server_that_has_lost_the_session_unheard_is_understood() {
    use QoS::{AtLeastOnce, ExactlyOnce};
    for version in [Version::V3_1_1, Version::V5] {
        // Of the earlier session a PUBREL is missing, or the application's word.
        for decides in [true, false] {
            scenario(|world| {
                world.up(by_hand(version), &[]).server(publish("a", ExactlyOnce, 2, "old"));
                let old = world.deliveries()[0].delivery_id.unwrap();
                if decides {
                    world.acknowledge(old);
                }
                // What told it was lost with a connection; the session after it is resumed.
                world.resume().forget().server(publish("a", AtLeastOnce, 2, "new"));
                let new = world.deliveries()[0].delivery_id.unwrap();
                assert_eq!(world.acknowledge(new).sent(), ["PUBACK #2"]);
                world.server(pub_rel(7));
                assert!(!world.closed);
                if !decides {
                    world.acknowledge(old);
                }
                assert_eq!(world.store.len(), usize::from(world.way.durable), "nothing is left");
            });
        }
    }
}
