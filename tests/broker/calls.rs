//! What the application asks of the broker: messages of its own, sessions, counters, shutting down.

use std::time::Duration;

use sansio_mqtt::broker::{Acceptance, CallError, Counters, DisconnectCause};
use sansio_mqtt::{
    Connect, Disconnect, Instant, Packet, Properties, Property, Publish, QoS, ReasonCode,
    Subscription, Version, Will,
};

use crate::words::{QOS, id, lasting, of, options, publish, v5, with};
use crate::world::{Answer, World, scenario};

/// The application publishes; how many sessions it is for.
fn say(world: &mut World, publish: &Publish<'_>) -> Result<usize, CallError> {
    world.call(|broker, now| broker.publish(now, publish)).map(|routed| routed.sessions)
}

#[test]
fn the_application_publishes_to_all_who_subscribe() {
    scenario(|world| {
        let away = world.join(&lasting(Version::V5, "away"));
        world.subscribe(away, "t", QoS::AtLeastOnce);
        world.leave(away);
        for qos in QOS {
            let message = publish("t", qos, 0, "x");
            assert_eq!(say(world, &message), Ok(1), "it is for who is away");
            assert_eq!(say(world, &publish("nobody", qos, 0, "x")), Ok(0));
        }
        for (version, name) in Version::ALL.into_iter().zip(["one", "two", "three"]) {
            let peer = world.join(&of(version, name));
            world.subscribe(peer, "t/+", QoS::ExactlyOnce);
            world.subscribe(peer, "t/1", QoS::AtMostOnce);
            for qos in QOS {
                // Neither DUP nor a Packet Identifier means anything here.
                let message =
                    Publish { dup: true, packet_id: Some(id(9)), ..publish("t/1", qos, 0, "x") };
                assert_eq!(say(world, &message), Ok(1), "a session counts once");
                let expected = match qos {
                    QoS::AtMostOnce => "t/1 x".to_owned(),
                    qos => format!("t/1 x QoS {qos}"),
                };
                assert_eq!(world.heard(peer), [expected]);
            }
            world.leave(peer);
        }
        let shared = ["m1", "m2"].map(|name| world.join(&v5(name)));
        for peer in shared {
            world.subscribe(peer, "$share/g/s", QoS::AtMostOnce);
        }
        assert_eq!(say(world, &publish("s", QoS::AtMostOnce, 0, "x")), Ok(1));
    });
}

#[test]
fn what_the_application_retains_is_retained() {
    // v5 [MQTT-3.3.1-5] [MQTT-3.3.1-6]
    scenario(|world| {
        let retained =
            |payload| Publish { retain: true, ..publish("t", QoS::AtLeastOnce, 0, payload) };
        say(world, &retained("x")).unwrap();
        let peer = world.join(&v5("a"));
        world.subscribe(peer, "t", QoS::AtLeastOnce);
        assert_eq!(world.heard(peer), ["t x QoS 1 retain"]);
        say(world, &retained("")).unwrap();
        assert_eq!(world.heard(peer), ["t  QoS 1"]);
        assert_eq!(world.broker.counters().retained_messages, 0);
    });
}

#[test]
fn what_is_no_message_is_the_callers_mistake() {
    scenario(|world| {
        let peer = world.join(&v5("a"));
        world.subscribe(peer, "#", QoS::AtMostOnce);
        let before = world.broker.counters();
        for topic in ["", "a/+", "#", "a\0b"] {
            let result = say(world, &publish(topic, QoS::AtMostOnce, 0, "x"));
            assert!(matches!(result, Err(CallError::Invalid(_))), "{topic:?} {result:?}");
        }
        for property in [Property::TopicAlias(1), Property::SubscriptionIdentifier(1)] {
            let list = [property];
            let properties = Properties::List(&list);
            let result =
                say(world, &Publish { properties, ..publish("t", QoS::AtMostOnce, 0, "x") });
            assert_eq!(result, Err(CallError::PropertyNotForCaller(property.id())));
        }
        let list = [Property::ReceiveMaximum(1)];
        let properties = Properties::List(&list);
        let result = say(world, &Publish { properties, ..publish("t", QoS::AtMostOnce, 0, "x") });
        assert!(matches!(result, Err(CallError::Invalid(_))), "{result:?}");
        world.silent(peer);
        assert_eq!(world.broker.counters(), before);
    });
}

#[test]
fn a_connection_that_is_not_accepted_yet_is_ended_without_a_word() {
    // v5 [MQTT-3.14.0-1]
    for version in Version::ALL {
        scenario(|world| {
            world.answer = Answer::Later;
            let silent = world.open(version);
            let waiting = world.connect(&of(version, "a"));
            for peer in [silent, waiting] {
                let connection = world.id(peer);
                let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
                let disconnect = Disconnect { reason_code, ..Disconnect::default() };
                world.call(|broker, now| broker.disconnect(now, connection, &disconnect)).unwrap();
                assert!(world.closed(peer));
                assert_eq!(world.raw(peer), [0; 0]);
                assert_eq!(world.cause(peer), DisconnectCause::ByApplication(reason_code));
            }
        });
    }
}

#[test]
fn a_session_that_is_ended_is_gone_with_its_connection() {
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            world.forget();
            world.call(|broker, now| broker.end_session(now, "a")).unwrap();
            world.ended(peer, ReasonCode::ADMINISTRATIVE_ACTION);
            assert_eq!(world.cause(peer), DisconnectCause::SessionEnded);
            let told = world.told();
            assert_eq!(told.last().unwrap(), "session ended a");
            let code = world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            assert_eq!(code, ReasonCode::NO_MATCHING_SUBSCRIBERS);
            let again = world.call(|broker, now| broker.end_session(now, "a"));
            assert_eq!(again, Err(CallError::UnknownSession));
            let (peer, present) = world.resume(&lasting(version, "a"));
            assert!(!present);
            world.leave(peer);
            // Without a connection too.
            world.forget();
            world.call(|broker, now| broker.end_session(now, "a")).unwrap();
            assert_eq!(world.told(), ["session ended a"]);
            assert_eq!(world.broker.counters().sessions, 1);
        });
    }
}

#[test]
fn sessions_can_be_looked_at() {
    scenario(|world| {
        let publisher = world.join(&Connect { user_name: Some("u"), ..of(Version::V3_1, "p") });
        let list = [Property::SessionExpiryInterval(60)];
        let peer = world.join(&with(v5("a"), &list));
        world.subscribe(peer, "t", QoS::AtLeastOnce);
        world.subscribe(peer, "$share/g/u", QoS::AtLeastOnce);
        let connection = world.id(peer);
        let info = world.broker.session("a").unwrap();
        assert_eq!(&*info.client.client_id, "a");
        assert_eq!(info.client.identity, None);
        assert_eq!((info.version, info.connection), (Version::V5, Some(connection)));
        assert_eq!((info.session_expiry_interval, info.expires), (60, None));
        assert_eq!((info.subscriptions, info.queued_messages, info.queued_bytes), (2, 0, 0));
        world.lose(peer);
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        let due = world.now + Duration::from_secs(60);
        let info = world.broker.session("a").unwrap();
        assert_eq!((info.connection, info.expires), (None, Some(due)));
        assert_eq!((info.queued_messages, info.dropped), (1, 0));
        assert!(info.queued_bytes > 0);
        let names: Vec<_> =
            world.broker.sessions().map(|info| info.client.client_id.to_string()).collect();
        assert_eq!(names, ["p", "a"]);
        assert_eq!(world.broker.session("b"), None);
        let info = world.broker.session("p").unwrap();
        assert_eq!(info.client.identity.as_deref(), Some("u"));
    });
}

#[test]
fn what_happens_is_counted() {
    scenario(|world| {
        assert_eq!(world.broker.counters(), Counters::default());
        let publisher = world.join(&v5("publisher"));
        let peers = ["a", "b"].map(|name| world.join(&lasting(Version::V3_1_1, name)));
        for peer in peers {
            world.subscribe(peer, "t", QoS::ExactlyOnce);
        }
        world.by_hand(peers[0]);
        world.retain(publisher, "r", QoS::AtMostOnce, "x");
        for qos in QOS {
            world.publish(publisher, "t", qos, "x");
        }
        let found = world.broker.counters();
        assert_eq!((found.connections, found.sessions, found.connected), (3, 3, 3));
        assert_eq!((found.subscriptions, found.retained_messages), (2, 1));
        assert_eq!((found.transports, found.publishes_received, found.publishes_sent), (3, 4, 6));
        assert_eq!(found.stored_messages, 2, "one acknowledges, one does not");
        assert!(found.stored_bytes > 0 && found.retained_bytes > 0);
        let all = world.written;
        assert_eq!(found.bytes_received, all as u64);
        let sent: usize =
            [publisher, peers[0], peers[1]].map(|peer| world.raw(peer).len()).iter().sum();
        assert_eq!(found.bytes_sent, sent as u64);
        world.lose(peers[0]);
        world.leave(publisher);
        let found = world.broker.counters();
        assert_eq!((found.connections, found.sessions, found.connected), (1, 2, 1));
        world.by_itself();
        let again = world.join(&lasting(Version::V3_1_1, "a"));
        assert_eq!(world.heard(again), ["t x QoS 1 dup", "t x QoS 2 dup"]);
        let found = world.broker.counters();
        assert_eq!((found.publishes_sent, found.stored_messages, found.stored_bytes), (8, 0, 0));
        assert_eq!((found.transports, found.dropped, found.withheld), (4, 0, 0));
    });
}

#[test]
fn shutting_down_tells_all_and_takes_no_more() {
    // v5 [MQTT-3.14.4-2] [MQTT-3.14.0-1]
    scenario(|world| {
        world.answer = Answer::Later;
        let open = world.open(Version::V5);
        let waiting = world.connect(&v5("waiting"));
        world.answer = Answer::Accept;
        let new = world.join(&lasting(Version::V5, "new"));
        let old = world.join(&lasting(Version::V3_1_1, "old"));
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let will = Will { topic: "w", payload: b"x", retain: true, ..Will::default() };
        let dying = world.join(&Connect { will: Some(will), ..v5("dying") });
        let deaf = world.join(&v5("deaf"));
        world.block(deaf);
        let reason_code = ReasonCode::SERVER_SHUTTING_DOWN;
        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
        world.call(|broker, now| broker.shut_down(now, &disconnect)).unwrap();
        for peer in [open, waiting] {
            assert!(world.closed(peer));
            assert_eq!(world.raw(peer), [0; 0]);
        }
        for peer in [new, old, watcher, dying] {
            world.ended(peer, reason_code);
            assert_eq!(world.cause(peer), DisconnectCause::ShutDown);
        }
        assert!(!world.closed(deaf));
        let again = world.call(|broker, now| broker.shut_down(now, &disconnect));
        assert_eq!(again, Err(CallError::ShuttingDown));
        let opened = world.call(|broker, now| broker.transport_opened(now));
        assert_eq!(opened, Err(CallError::ShuttingDown));
        let connection = world.id(waiting);
        let late = world.call(|broker, now| broker.accept(now, connection, &Acceptance::default()));
        assert_eq!(late, Err(CallError::UnknownConnection));
        world.wait_secs(5);
        assert!(world.closed(deaf), "it had its time");
        let counters = world.broker.counters();
        assert_eq!(counters.connections, 0);
        assert_eq!(counters.retained_messages, 0, "its Will was left");
        assert!(world.broker.session("new").is_some() && world.broker.session("old").is_some());
    });
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    scenario(|world| {
        let peer = world.join(&Connect { keep_alive: 10, ..v5("a") });
        world.wait_secs(5);
        world.send(peer, Packet::PingReq);
        world.packets(peer);
        let connection = world.id(peer);
        let long_ago = Instant::from_micros(0);
        world.broker.handle_timeout(long_ago);
        let mut bytes = bytes::BytesMut::from(&b"\xc0\x00"[..]);
        let _ = world.broker.receive(long_ago, connection, &mut bytes);
        world.poll();
        assert_eq!(world.sent(peer), ["PINGRESP"]);
        world.wait_millis(14_999);
        world.silent(peer);
        world.wait_millis(1);
        world.ended(peer, ReasonCode::KEEP_ALIVE_TIMEOUT);
    });
}

#[test]
fn a_broker_that_is_woken_late_does_all_that_is_due() {
    scenario(|world| {
        let keeping = world.join(&Connect { keep_alive: 10, ..v5("keeping") });
        let list = [Property::SessionExpiryInterval(20)];
        let lost = world.join(&with(v5("lost"), &list));
        world.lose(lost);
        let silent = world.open(Version::V5);
        world.now = world.now + Duration::from_secs(1_000);
        world.call(|broker, now| broker.handle_timeout(now));
        assert!(world.closed(keeping) && world.closed(silent));
        assert_eq!(world.broker.counters().sessions, 0);
        assert_eq!(world.deadline, None);
    });
}

/// Something of everything, and all that was sent and told of it.
fn trace(world: &mut World) -> (Vec<Vec<u8>>, Vec<String>) {
    let mut peers = Vec::new();
    for number in 0..30 {
        let name = if number % 5 == 0 { String::new() } else { format!("c{number}") };
        let version = if name.is_empty() { Version::V5 } else { Version::ALL[number % 3] };
        let will = Will { topic: "w", payload: b"x", ..Will::default() };
        let connect = Connect { will: Some(will), keep_alive: 10, ..of(version, &name) };
        let peer = world.join(&connect);
        let shared = if version.is_v5() { "$share/g/#" } else { "t/#" };
        for filter in ["t/+", shared, "w"] {
            world.subscribe_to(peer, &[Subscription::new(filter, QoS::ExactlyOnce)]);
        }
        peers.push(peer);
    }
    for (number, &peer) in peers.iter().enumerate() {
        let topic = format!("t/{}", number % 7);
        world.send(peer, Publish { retain: true, ..publish(&topic, QoS::AtMostOnce, 0, "x") });
        world.send(peer, publish(&topic, QoS::ExactlyOnce, 1_000, "y"));
    }
    let late = world.join(&v5("late"));
    world.subscribe_to(late, &[Subscription::new("#", QoS::AtMostOnce)]);
    peers.push(late);
    world.lose(peers[3]);
    world.wait_secs(100);
    let told = world.told();
    (peers.into_iter().map(|peer| world.raw(peer)).collect(), told)
}

#[test]
fn the_same_calls_have_the_same_outputs() {
    scenario(|world| {
        let first = trace(world);
        let second = trace(&mut World::new(world.way, options()));
        assert_eq!(first.1, second.1);
        assert!(first.0 == second.0);
    });
}
