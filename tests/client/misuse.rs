//! Callers that break the rules: a typed error each, and nothing has changed.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use sansio_mqtt::client::{
    Acknowledgement, Authentication, CallError, Client, DeliveryId, Options, Overflow, Received,
    Transmitted,
};
use sansio_mqtt::{
    Disconnect, EncodeError, Instant, Message, Outgoing, Packet, Properties, Property, PropertyId,
    Publish, QoS, ReasonCode, Subscription, TopicName, Version,
};

use crate::calls::{WHOLE, disconnect};
use crate::world::{World, of, pub_ack, publish, scenario, v5};

fn to(topic: &str, qos: QoS) -> Publish<'_> {
    Publish { topic, qos, ..Publish::default() }
}

#[test]
fn options_that_make_no_connect_make_no_client() {
    type Change = fn(&mut Options);
    let rows: [(&str, Version, Change); 10] = [
        ("receive maximum 0", Version::V5, |options| options.receive_maximum = 0),
        ("maximum packet size 0", Version::V5, |options| options.maximum_packet_size = 0),
        ("a null character", Version::V5, |options| options.client_id = "a\0".into()),
        ("too long", Version::V5, |options| options.client_id = "x".repeat(65_536)),
        ("user name", Version::V3_1_1, |options| options.user_name = Some("x".repeat(65_536))),
        ("password alone", Version::V3_1_1, |options| options.password = Some("p".into())),
        ("24 characters", Version::V3_1, |options| options.client_id = "x".repeat(24)),
        ("user properties", Version::V3_1_1, |options| {
            options.user_properties = vec![("k".into(), "v".into())];
        }),
        ("no method", Version::V5, |options| {
            let method = "m\0".into();
            options.authentication = Some(Authentication { method, data: None });
        }),
        ("a method in 3.x", Version::V3_1, |options| {
            options.authentication = Some(Authentication { method: "m".into(), data: None });
        }),
    ];
    for (what, version, change) in rows {
        let mut options = of(version);
        change(&mut options);
        assert!(Client::new(options.clone()).is_err(), "{what}");
        let nothing: [(&[u8], &[u8]); 0] = [];
        let now = Instant::from_micros(1);
        let unix_now = sansio_mqtt::UnixTime::from_secs(1);
        assert!(Client::restore(options.clone(), now, unix_now, nothing).is_err(), "{what}");
        // And no later ones either.
        scenario(|world| {
            world.start(of(version));
            world.refused(|client, _| client.set_options(options.clone()));
        });
    }
}

#[test]
fn options_are_not_changed_under_a_connection() {
    scenario(|world| {
        world.start(v5()).open();
        let error = world.refused(|client, _| client.set_options(v5()));
        assert_eq!(error, CallError::AlreadyConnected);
        world.server(sansio_mqtt::ConnAck::default());
        let error = world.refused(|client, _| client.set_options(v5()));
        assert_eq!(error, CallError::AlreadyConnected);
        world.lose();
        let error = world.refused(|client, _| client.set_options(of(Version::V3_1_1)));
        assert_eq!(error, CallError::OtherSession);
        world.client().set_options(v5()).unwrap();
    });
}

#[test]
fn there_is_one_connection_at_a_time() {
    scenario(|world| {
        world.start(v5()).open();
        let error = world.refused(Client::transport_opened_at);
        assert_eq!(error, CallError::AlreadyConnected);
        world.server(sansio_mqtt::ConnAck::default());
        let error = world.refused(Client::transport_opened_at);
        assert_eq!(error, CallError::AlreadyConnected);
        // One that is about to end counts until it is closed.
        world.writable = false;
        world.disconnect_now();
        let error = world.refused(Client::transport_opened_at);
        assert_eq!(error, CallError::AlreadyConnected);
        world.unblock();
        assert!(world.closed);
        world.open();
    });
}

/// `transport_opened`, with its arguments in the order that [`World::refused`] has them.
trait OpenedAt: Sized {
    fn transport_opened_at(
        &mut self,
        now: Instant,
    ) -> Result<sansio_mqtt::client::ConnectionId, CallError>;
}

impl OpenedAt for Client {
    fn transport_opened_at(
        &mut self,
        now: Instant,
    ) -> Result<sansio_mqtt::client::ConnectionId, CallError> {
        self.transport_opened(now)
    }
}

#[test]
fn a_connection_that_is_not_up_is_not_ended_with_words() {
    let end = disconnect(ReasonCode::SUCCESS);
    scenario(|world| {
        world.start(v5());
        for _ in 0..2 {
            let errors = [
                world.refused(|client, now| client.disconnect(now, &end)),
                world.refused(|client, now| client.disconnect_now(now, &end)),
            ];
            assert_eq!(errors, [CallError::NotConnected; 2]);
            if world.connection.is_none() {
                world.open();
            }
        }
    });
}

#[test]
fn what_is_said_of_a_connection_that_has_ended_has_no_effect() {
    scenario(|world| {
        world.up(v5(), &[]);
        let old = world.connection.unwrap();
        world.again(false, &[]).forget();
        world.publish("a", QoS::AtLeastOnce, "x");
        world.call(|client, now| client.handle_timeout(now));
        let now = world.now;
        let before = format!("{:?}", world.client());
        let mut bytes = BytesMut::from(&[0xd0, 0x00][..]);
        assert_eq!(world.client().receive(now, old, &mut bytes), Received::Drained);
        let mut outgoing = Outgoing::new();
        assert_eq!(world.client().transmit(now, old, 100, &mut outgoing), Transmitted::All);
        assert!(!outgoing.has_remaining());
        world.client().transport_closed(now, old);
        assert_eq!(format!("{:?}", world.client()), before);
        assert!(!world.poll().closed);
    });
}

#[test]
fn a_transport_that_breaks_while_it_is_about_to_be_closed_need_not_be_closed() {
    scenario(|world| {
        world.up(v5(), &[]);
        let (now, connection) = (world.now, world.connection.unwrap());
        world.client().disconnect_now(now, &Disconnect::default()).unwrap();
        world.client().transport_closed(now, connection);
        let mut bytes = BytesMut::from(&[0xd0, 0x00][..]);
        assert_eq!(world.client().receive(now, connection, &mut bytes), Received::Drained);
        world.connection = None;
        assert!(!world.poll().closed, "it is closed already");
        assert_eq!(world.told(), ["disconnected: the application disconnected"]);
        world.open();
        // Twice is no harm.
        world.client().transport_closed(now, connection);
        assert!(world.connection.is_some());
        world.server(sansio_mqtt::ConnAck::default());
        assert_eq!(world.told(), ["connected"]);
    });
}

#[test]
fn topics_that_are_none_are_refused() {
    let long = "x".repeat(65_536);
    for version in Version::ALL {
        for topic in ["", "a/#", "+", "a\0b", &long] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                scenario(|world| {
                    world.start(of(version));
                    let publish = to(topic, qos);
                    for connected in [false, true] {
                        let error = world.refused(|client, now| client.publish(now, &publish));
                        assert!(matches!(error, CallError::Invalid(_)), "{error:?}");
                        if !connected {
                            world.connect(false, &[]).forget();
                        }
                    }
                    world.poll().silent();
                });
            }
        }
    }
}

#[test]
fn filters_that_are_none_are_refused() {
    let long = "x".repeat(65_536);
    for version in Version::ALL {
        let shared: &[&str] = match version.is_v5() {
            true => &["$share/g", "$share//a", "$share/+/a", "$share/g/"],
            false => &[],
        };
        for filter in ["", "a#", "#/a", "a+", "a\0b", &long].iter().chain(shared) {
            scenario(|world| {
                world.up(of(version), &[]);
                let subscription = [Subscription::new(filter, QoS::AtMostOnce)];
                for error in [
                    world.refused(|client, now| {
                        client.subscribe(now, &subscription, Properties::NONE)
                    }),
                    world.refused(|client, now| {
                        client.unsubscribe(now, &[filter], Properties::NONE)
                    }),
                ] {
                    assert!(matches!(error, CallError::Invalid(_)), "{error:?}");
                }
                world.poll().silent();
            });
        }
        scenario(|world| {
            world.up(of(version), &[]);
            world.refused(|client, now| client.subscribe(now, &[], Properties::NONE));
            world.refused(|client, now| client.unsubscribe(now, &[], Properties::NONE));
        });
    }
    // No Local does not go with a shared subscription.
    scenario(|world| {
        world.up(v5(), &[]);
        let shared = Subscription::new("$share/g/a", QoS::AtMostOnce);
        let subscription = [Subscription { no_local: true, ..shared }];
        world.refused(|client, now| client.subscribe(now, &subscription, Properties::NONE));
    });
}

#[test]
fn properties_that_do_not_go_there_are_refused() {
    let long = "x".repeat(65_536);
    for property in [
        Property::ServerKeepAlive(1),
        Property::ReasonString("no"),
        Property::ResponseTopic("a/#"),
        Property::ContentType("\0"),
        Property::UserProperty("k", &long),
    ] {
        scenario(|world| {
            world.up(v5(), &[]);
            let properties = Properties::List(std::slice::from_ref(&property));
            let publish = Publish { properties, ..to("a", QoS::AtLeastOnce) };
            let error = world.refused(|client, now| client.publish(now, &publish));
            assert!(matches!(error, CallError::Invalid(_)), "{error:?}");
            if property.id() != PropertyId::UserProperty {
                let subscription = [Subscription::new("a", QoS::AtMostOnce)];
                world.refused(|client, now| client.subscribe(now, &subscription, properties));
                world.refused(|client, now| client.unsubscribe(now, &["a"], properties));
            }
        });
    }
    // In 3.x none go anywhere.
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            world.up(of(version), &[]);
            let list = [Property::UserProperty("k", "v")];
            let properties = Properties::List(&list);
            let publish = Publish { properties, ..to("a", QoS::AtMostOnce) };
            let subscription = [Subscription::new("a", QoS::AtMostOnce)];
            for error in [
                world.refused(|client, now| client.publish(now, &publish)),
                world.refused(|client, now| client.subscribe(now, &subscription, properties)),
                world.refused(|client, now| client.unsubscribe(now, &["a"], properties)),
            ] {
                let error = format!("{error:?}");
                assert!(error.contains("NotInVersion"), "{error}");
            }
        });
    }
}

#[test]
fn a_message_that_no_packet_can_hold_is_refused() {
    let mut world = World::new(WHOLE);
    world.start(of(Version::V3_1_1));
    let payload = vec![0; 268_435_455];
    let publish = Publish { payload: &payload, ..to("a", QoS::AtMostOnce) };
    let error = world.refused(|client, now| client.publish(now, &publish));
    assert_eq!(error, CallError::Invalid(EncodeError::PacketTooLong));
}

#[test]
fn what_was_not_received_or_was_acknowledged_before_is_not_acknowledged() {
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.acknowledgement = Acknowledgement::Manual;
            world.up(options, &[]);
            let none = DeliveryId::from_stored(u64::MAX);
            let error = world.refused(|client, now| client.acknowledge(now, none));
            assert_eq!(error, CallError::UnknownDelivery);
            world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
            let delivery = world.deliveries().remove(0).delivery_id.unwrap();
            // A code that is none, or not from a client.
            for code in [
                ReasonCode::NO_MATCHING_SUBSCRIBERS,
                ReasonCode::GRANTED_QOS_1,
                ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            ] {
                world.refused(|client, now| {
                    client.acknowledge_with(now, delivery, code, Properties::NONE)
                });
            }
            let wrong = [Property::ServerKeepAlive(1)];
            world.refused(|client, now| {
                let properties = Properties::List(&wrong);
                client.acknowledge_with(now, delivery, ReasonCode::SUCCESS, properties)
            });
            if !version.is_v5() {
                let code = ReasonCode::NOT_AUTHORIZED;
                world.refused(|client, now| {
                    client.acknowledge_with(now, delivery, code, Properties::NONE)
                });
            }
            world.poll().silent();
            world.acknowledge(delivery);
            assert_eq!(world.sent(), ["PUBACK #1"]);
            let error = world.refused(|client, now| client.acknowledge(now, delivery));
            assert_eq!(error, CallError::UnknownDelivery);
        });
    }
}

/// A client whose queue is full with what `fill` makes.
fn full(world: &mut World, overflow: Overflow, held: usize, bytes: usize) {
    let mut options = v5();
    options.maximum_held = held;
    options.maximum_held_bytes = bytes;
    options.overflow = overflow;
    world.start(options);
}

#[test]
fn what_has_no_room_is_refused() {
    for (held, bytes) in [(2, 1_000), (1_000, 10)] {
        scenario(|world| {
            full(world, Overflow::Refuse, held, bytes);
            // Five bytes each.
            world.publish("a", QoS::AtLeastOnce, "1234");
            world.publish("a", QoS::AtMostOnce, "1234");
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                let more = to("a", qos);
                let error = world.refused(|client, now| client.publish(now, &more));
                assert_eq!(error, CallError::QueueFull);
                let message = Message::new(TopicName::new("a").unwrap(), &b""[..]).with_qos(qos);
                let error = world.refused(|client, now| client.publish_message(now, message));
                assert_eq!(error, CallError::QueueFull);
            }
            // With room it goes.
            world.connect(false, &[]).server(pub_ack(1));
            world.publish("a", QoS::AtLeastOnce, "1234");
        });
    }
}

#[test]
fn what_is_in_flight_or_would_not_fit_alone_drops_nothing() {
    scenario(|world| {
        full(world, Overflow::DropOldest, 2, 10);
        world.publish("a", QoS::AtMostOnce, "1234");
        let large = Publish { payload: &[0; 10], ..to("a", QoS::AtLeastOnce) };
        let error = world.refused(|client, now| client.publish(now, &large));
        assert_eq!(error, CallError::QueueFull);
        world.connect(false, &[]);
        world.publish("a", QoS::AtLeastOnce, "1");
        world.publish("a", QoS::AtLeastOnce, "2");
        let more = to("a", QoS::AtMostOnce);
        let error = world.refused(|client, now| client.publish(now, &more));
        assert_eq!(error, CallError::QueueFull);
    });
}

#[test]
fn the_oldest_message_makes_room_if_it_shall() {
    for (held, bytes) in [(2, 1_000), (1_000, 10)] {
        scenario(|world| {
            full(world, Overflow::DropOldest, held, bytes);
            let first = world.publish("a", QoS::AtMostOnce, "1234").get();
            let second = world.publish("a", QoS::AtLeastOnce, "1234").get();
            world.publish("a", QoS::AtMostOnce, "5678");
            assert_eq!(world.told(), [format!("published {first}: dropped to make room")]);
            world.publish("a", QoS::AtLeastOnce, "5678");
            assert_eq!(world.told(), [format!("published {second}: dropped to make room")]);
            world.connect(false, &[]);
            assert_eq!(world.sent().len(), 3, "CONNECT and the last two");
        });
    }
}

#[test]
fn subscriptions_without_an_answer_are_limited_too() {
    for (held, bytes) in [(2, 1_000), (1_000, 17)] {
        scenario(|world| {
            full(world, Overflow::DropOldest, held, bytes);
            // Nine bytes, and eight.
            world.subscribe("a");
            world.unsubscribe("b");
            let subscription = [Subscription::new("a", QoS::AtMostOnce)];
            for error in [
                world.refused(|client, now| client.subscribe(now, &subscription, Properties::NONE)),
                world.refused(|client, now| client.unsubscribe(now, &["a"], Properties::NONE)),
            ] {
                assert_eq!(error, CallError::QueueFull);
            }
        });
    }
}

#[test]
fn time_does_not_go_backwards() {
    scenario(|world| {
        let mut options = v5();
        options.keep_alive = 10;
        world.up(options, &[]).wait_secs(5);
        // The client knows what time it is.
        world.call(|client, now| client.handle_timeout(now));
        let connection = world.connection.unwrap();
        let past = Instant::from_micros(0);
        let client = world.client();
        client.handle_timeout(past);
        client.publish(past, &to("a", QoS::AtMostOnce)).unwrap();
        let mut bytes = BytesMut::from(&[0xd0, 0x00][..]);
        let _ = client.receive(past, connection, &mut bytes);
        let _ = client.transmit(past, connection, 100, &mut Outgoing::new());
        world.poll();
        // It counts as sent and received now, and not in the past.
        world.wait_secs(8).silent();
        world.wait_secs(2);
        assert_eq!(world.sent(), ["PINGREQ"]);
        world.server(Packet::PingResp);
        let end = Disconnect::default();
        world.client().disconnect(past, &end).unwrap();
        assert!(world.poll().closed);
        // Nor does it stand still at the end of all time.
        world.connect(false, &[]).wait(Duration::from_secs(1)).forget();
        world.client().handle_timeout(Instant::MAX);
        assert_eq!(world.poll().sent(), ["PINGREQ"]);
    });
}

#[test]
fn times_without_end_are_no_panic() {
    scenario(|world| {
        let mut options = v5();
        options.keep_alive = u16::MAX;
        options.session_expiry_interval = u32::MAX - 1;
        options.connect_timeout = Duration::MAX;
        options.response_timeout = Duration::MAX;
        options.close_timeout = Duration::MAX;
        options.response_topic = Some("answers".into());
        world.up(options, &[]);
        let list = [Property::MessageExpiryInterval(u32::MAX)];
        let properties = Properties::List(&list);
        world.publish_with(&Publish { properties, ..to("a", QoS::AtLeastOnce) });
        world.subscribe("a");
        let ask = to("service", QoS::AtMostOnce);
        world.call(|client, now| client.request(now, &ask, Duration::MAX)).unwrap();
        world.wait_secs(65_535);
        assert!(world.sent().contains(&"PINGREQ".into()));
        world.disconnect().wait_secs(65_535);
        assert!(!world.closed, "it has for ever");
        world.lose();
        world.client().handle_timeout(Instant::MAX);
        world.poll();
    });
}
