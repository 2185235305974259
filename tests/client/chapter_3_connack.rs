//! What a server supports, and what it says when it refuses: MQTT 5.0 §3.2.2, §4.11, §4.13.

use sansio_mqtt::client::{CallError, DisconnectCause, TopicAliases};
use sansio_mqtt::{
    ConnAck, Instant, PacketType, Properties, Property, Publish, QoS, ReasonCode, Sender,
    Subscription, Version,
};

use crate::world::{World, of, scenario, v5};

/// A call that some servers do not take.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Publish(Publish<'static>),
    /// With a Subscription Identifier or without.
    Subscribe(&'static str, bool),
}

impl Ask {
    fn call(
        self,
        client: &mut sansio_mqtt::Client,
        now: Instant,
    ) -> Result<sansio_mqtt::client::Handle, CallError> {
        match self {
            Self::Publish(publish) => client.publish(now, &publish),
            Self::Subscribe(topic_filter, identified) => {
                let identifier = [Property::SubscriptionIdentifier(7)];
                let properties = Properties::List(&identifier[..usize::from(identified)]);
                let subscription = [Subscription::new(topic_filter, QoS::AtMostOnce)];
                client.subscribe(now, &subscription, properties)
            }
        }
    }
}

const A: Publish<'static> = Publish {
    topic: "a",
    payload: b"0123456789",
    qos: QoS::AtMostOnce,
    retain: false,
    dup: false,
    packet_id: None,
    properties: Properties::NONE,
};

/// What a server says, what it does not take then, and what it still takes.
fn capabilities() -> Vec<(Property<'static>, Ask, CallError, Ask)> {
    let qos_0 = Publish { qos: QoS::AtMostOnce, ..A };
    let qos_1 = Publish { qos: QoS::AtLeastOnce, ..A };
    let qos_2 = Publish { qos: QoS::ExactlyOnce, ..A };
    let retained = Publish { retain: true, ..A };
    let smaller = Publish { payload: b"012345678", ..A };
    let maximum = |qos| Property::MaximumQoS(qos);
    let too_large = |size| CallError::PacketTooLarge { size, maximum: 15 };
    vec![
        (
            maximum(QoS::AtMostOnce),
            Ask::Publish(qos_1),
            CallError::QoSNotSupported(QoS::AtMostOnce),
            Ask::Publish(qos_0),
        ),
        (
            maximum(QoS::AtMostOnce),
            Ask::Publish(qos_2),
            CallError::QoSNotSupported(QoS::AtMostOnce),
            Ask::Publish(qos_0),
        ),
        (
            maximum(QoS::AtLeastOnce),
            Ask::Publish(qos_2),
            CallError::QoSNotSupported(QoS::AtLeastOnce),
            Ask::Publish(qos_1),
        ),
        (
            Property::RetainAvailable(false),
            Ask::Publish(retained),
            CallError::RetainNotSupported,
            Ask::Publish(qos_2),
        ),
        // Two bytes of header, three of the topic, one of the properties, and the payload.
        (
            Property::MaximumPacketSize(15),
            Ask::Publish(qos_0),
            too_large(16),
            Ask::Publish(smaller),
        ),
        (
            Property::MaximumPacketSize(15),
            Ask::Subscribe("0123456789", false),
            too_large(18),
            Ask::Subscribe("0123456", false),
        ),
        (
            Property::WildcardSubscriptionAvailable(false),
            Ask::Subscribe("a/#", false),
            CallError::WildcardSubscriptionsNotSupported,
            Ask::Subscribe("a/b", false),
        ),
        (
            Property::WildcardSubscriptionAvailable(false),
            Ask::Subscribe("$share/g/+", false),
            CallError::WildcardSubscriptionsNotSupported,
            Ask::Subscribe("$share/g/a", false),
        ),
        (
            Property::SharedSubscriptionAvailable(false),
            Ask::Subscribe("$share/g/a", false),
            CallError::SharedSubscriptionsNotSupported,
            Ask::Subscribe("a/+", false),
        ),
        (
            Property::SubscriptionIdentifierAvailable(false),
            Ask::Subscribe("a", true),
            CallError::SubscriptionIdentifiersNotSupported,
            Ask::Subscribe("a", false),
        ),
    ]
}

#[test]
fn what_the_server_does_not_support_is_refused_by_the_call() {
    // v5 [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15]
    for (property, wrong, error, right) in capabilities() {
        scenario(|world| {
            world.up(v5(), &[property]);
            let found = world.refused(|client, now| wrong.call(client, now));
            assert_eq!(found, error);
            world.poll();
            world.silent();
            world.call(|client, now| right.call(client, now)).unwrap();
            assert_eq!(world.sent().len(), 1);
        });
    }
}

#[test]
fn what_was_asked_for_before_fails_when_the_server_turns_out_not_to_support_it() {
    // v5 [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15]
    for (property, wrong, error, right) in capabilities() {
        for before_the_transport in [true, false] {
            scenario(|world| {
                world.start(v5());
                if !before_the_transport {
                    world.open();
                }
                let handle = world.call(|client, now| wrong.call(client, now)).unwrap().get();
                world.call(|client, now| right.call(client, now)).unwrap();
                if before_the_transport {
                    world.open();
                }
                world.forget();
                let properties = Properties::List(std::slice::from_ref(&property));
                world.server(ConnAck { properties, ..ConnAck::default() });
                let told = world.told();
                let kind = match wrong {
                    Ask::Publish(_) => "published",
                    Ask::Subscribe(..) => "subscribed",
                };
                let expected = format!("{kind} {handle}: {error}");
                assert_eq!(told.iter().filter(|line| **line == expected).count(), 1, "{told:?}");
                // The other call is not held up by it.
                assert_eq!(world.sent().len(), 1);
            });
        }
    }
}

#[test]
fn what_one_server_does_not_support_the_next_one_may() {
    for (property, wrong, _, _) in capabilities() {
        scenario(|world| {
            world.up(v5(), &[property]);
            world.lose();
            world.call(|client, now| wrong.call(client, now)).unwrap();
            world.forget().connect(false, &[]);
            assert_eq!(world.sent().len(), 2, "CONNECT and what was asked for");
            world.call(|client, now| wrong.call(client, now)).unwrap();
        });
    }
}

#[test]
fn a_message_in_flight_that_the_next_server_does_not_take_fails() {
    for (property, error) in [
        (Property::MaximumQoS(QoS::AtMostOnce), "a QoS above the server's maximum, 0"),
        (Property::MaximumPacketSize(15), "a packet of 18 bytes where the server accepts 15"),
    ] {
        scenario(|world| {
            let mut options = v5();
            options.clean_start = sansio_mqtt::client::CleanStart::First;
            options.session_expiry_interval = 100;
            world.up(options, &[]);
            let publish = Publish { qos: QoS::AtLeastOnce, ..A };
            let handle = world.publish_with(&publish).get();
            world.forget().again(true, &[property]);
            assert_eq!(world.sent().len(), 1, "CONNECT alone");
            let told = world.told();
            assert_eq!(told.last(), Some(&format!("published {handle}: {error}")), "{told:?}");
            world.again(true, &[]);
            assert_eq!(world.sent().len(), 1, "it is not tried for ever");
        });
    }
}

#[test]
fn an_alias_is_left_out_that_would_make_the_packet_too_large() {
    // v5 [MQTT-3.2.2-15]
    scenario(|world| {
        let topic = "a/long/topic";
        let publish = |payload| Publish { topic, payload, ..Publish::default() };
        let payload = [b'x'; 20];
        // Without an alias as large as may be, to the byte.
        let size = 2 + 2 + topic.len() + 1 + payload.len();
        let maximum = u32::try_from(size).unwrap();
        world.up(v5(), &[Property::MaximumPacketSize(maximum), Property::TopicAliasMaximum(5)]);
        world.publish_with(&publish(&payload));
        assert_eq!(sizes(world), [size]);
        // One byte less is not enough for an alias; three are.
        world.publish_with(&publish(&payload[..18]));
        assert_eq!(sizes(world), [size - 2]);
        world.publish_with(&publish(&payload[..17]));
        assert_eq!(sizes(world), [size]);
        // From then on it makes the packet smaller.
        world.publish_with(&publish(&payload));
        assert_eq!(sizes(world), [size - topic.len() + 3]);
        let error = world.refused(|client, now| client.publish(now, &publish(&[0; 21])));
        assert_eq!(error, CallError::PacketTooLarge { size: size + 1, maximum });
    });
}

fn sizes(world: &mut World) -> Vec<usize> {
    let version = Version::V5;
    let packets = world.sent_packets();
    packets.iter().map(|packet| packet.packet().encoded_len(version).unwrap()).collect()
}

#[test]
fn nothing_larger_than_the_server_accepts_is_sent_not_even_a_disconnect() {
    // v5 [MQTT-3.2.2-15]
    for maximum in 1..=5_u32 {
        scenario(|world| {
            world.up(v5(), &[Property::MaximumPacketSize(maximum)]);
            world.server_bytes(&[0xff, 0x00]);
            assert!(world.closed);
            for size in sizes(world) {
                assert!(size <= maximum as usize, "{size} bytes where {maximum} are accepted");
            }
        });
    }
}

#[test]
fn without_a_topic_alias_maximum_no_alias_is_sent() {
    // v5 [MQTT-3.2.2-18]
    for (properties, policy) in [
        (&[][..], TopicAliases::Automatic(32)),
        (&[Property::TopicAliasMaximum(0)][..], TopicAliases::Automatic(32)),
        (&[Property::TopicAliasMaximum(9)][..], TopicAliases::None),
        (&[Property::TopicAliasMaximum(9)][..], TopicAliases::Automatic(0)),
    ] {
        scenario(|world| {
            let mut options = v5();
            options.topic_aliases = policy;
            world.up(options, properties);
            for _ in 0..2 {
                world.publish("a/long/topic", QoS::AtMostOnce, "x");
                assert_eq!(world.sent(), ["PUBLISH \"a/long/topic\" QoS 0 \"x\""]);
            }
        });
    }
}

#[test]
fn what_the_server_supports_is_known_while_there_is_a_connection() {
    scenario(|world| {
        world.start(v5()).open();
        assert_eq!(world.client().server(), None);
        let list = [
            Property::SessionExpiryInterval(5),
            Property::ReceiveMaximum(6),
            Property::ServerKeepAlive(7),
            Property::TopicAliasMaximum(8),
            Property::MaximumPacketSize(90),
        ];
        world.server(ConnAck { properties: Properties::List(&list), ..ConnAck::default() });
        let server = world.client().server().unwrap().clone();
        assert_eq!((server.session_expiry_interval, server.receive_maximum), (5, 6));
        assert_eq!((server.keep_alive, server.topic_alias_maximum), (7, 8));
        assert_eq!((server.maximum_packet_size, server.retain_available), (90, true));
        world.lose();
        assert_eq!(world.client().server(), None);
        world.connect(false, &[]);
        let server = world.client().server().unwrap().clone();
        assert_eq!((server.session_expiry_interval, server.receive_maximum), (0, 65_535));
        assert_eq!((server.keep_alive, server.topic_alias_maximum), (60, 0));
    });
}

#[test]
fn a_connack_with_an_error_ends_the_connection() {
    // v5 [MQTT-4.13.2-1]
    let codes = (0x80..=0x9f).map(ReasonCode::new);
    for code in codes.filter(|code| code.is_allowed_in(PacketType::ConnAck, Sender::Server)) {
        for version in Version::ALL {
            if !version.is_v5() && code.return_code().is_none() {
                continue;
            }
            scenario(|world| {
                world.start(of(version)).open().forget();
                world.publish("a", QoS::AtLeastOnce, "x");
                world.server(ConnAck { reason_code: code, ..ConnAck::default() });
                assert_eq!(world.sent(), [""; 0]);
                assert!(world.closed);
                let expected = world.told();
                assert!(expected[0].starts_with("disconnected: refused with "), "{expected:?}");
                // Nothing is lost by it.
                world.connect(false, &[]);
                assert_eq!(world.sent().len(), 2, "CONNECT and PUBLISH");
            });
        }
    }
}

#[test]
fn the_server_to_use_instead_is_told() {
    // v5 [U5-4.11-1]
    for reason_code in [ReasonCode::USE_ANOTHER_SERVER, ReasonCode::SERVER_MOVED] {
        for reference in [Some("other.example:1883"), None] {
            let list = reference.map(Property::ServerReference);
            let properties = Properties::List(list.as_slice());
            scenario(|world| {
                world.start(v5()).open().forget();
                world.server(ConnAck { reason_code, properties, ..ConnAck::default() });
                assert!(world.closed);
                let cause = world.cause();
                assert!(matches!(cause, DisconnectCause::Refused { .. }), "{cause:?}");
                assert_eq!(cause.reason_code(), Some(reason_code));
                assert_eq!(cause.server_reference(), reference);

                world.connect(false, &[]).forget();
                world.server(sansio_mqtt::Disconnect { reason_code, properties });
                assert!(world.closed);
                assert_eq!(world.sent(), [""; 0]);
                let cause = world.cause();
                assert!(matches!(cause, DisconnectCause::ByServer { .. }), "{cause:?}");
                assert_eq!(cause.reason_code(), Some(reason_code));
                assert_eq!(cause.server_reference(), reference);
            });
        }
    }
}
