//! Topic Aliases in both directions: MQTT 5.0 §3.3.2.3.4.

use sansio_mqtt::client::TopicAliases;
use sansio_mqtt::{OwnedPacket, Packet, Properties, Property, Publish, QoS, ReasonCode};

use crate::world::{World, publish, scenario, v5};

/// The alias and the topic of what was sent.
fn aliases(packets: &[OwnedPacket]) -> Vec<(Option<u16>, String)> {
    let alias = |packet: &OwnedPacket| match packet.packet() {
        Packet::Publish(publish) => (publish.properties.topic_alias(), publish.topic.into()),
        other => panic!("{other}"),
    };
    packets.iter().map(alias).collect()
}

fn sent(world: &mut World) -> Vec<(Option<u16>, String)> {
    aliases(&world.sent_packets())
}

const TOPICS: [&str; 4] = ["topic/0", "topic/1", "topic/2", "topic/3"];

#[test]
fn no_more_aliases_are_used_than_the_server_takes() {
    // v5 [MQTT-3.2.2-17] [MQTT-3.3.2-9]
    for (server, own, most) in [(2, 32, 2), (65_535, 3, 3), (1, 1, 1)] {
        scenario(|world| {
            let mut options = v5();
            options.topic_aliases = TopicAliases::Automatic(own);
            world.up(options, &[Property::TopicAliasMaximum(server)]);
            let mut meaning = std::collections::BTreeMap::new();
            for round in 0..8 {
                for topic in &TOPICS[..2 + round % 3] {
                    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                        world.publish(topic, qos, "x");
                        // As a server reads it.
                        for (alias, written) in sent(world) {
                            let alias = alias.unwrap();
                            assert!((1..=most).contains(&alias), "{alias} of {most}");
                            if !written.is_empty() {
                                meaning.insert(alias, written);
                            }
                            assert_eq!(meaning.get(&alias).map(String::as_str), Some(*topic));
                        }
                    }
                }
            }
        });
    }
}

#[test]
fn the_topic_that_was_used_last_keeps_its_alias() {
    scenario(|world| {
        world.up(v5(), &[Property::TopicAliasMaximum(2)]);
        for (topic, alias, written) in [
            ("topic/0", 1, true),
            ("topic/1", 2, true),
            ("topic/0", 1, false),
            ("topic/2", 2, true),
            ("topic/0", 1, false),
            ("topic/1", 2, true),
        ] {
            world.publish(topic, QoS::AtMostOnce, "x");
            let written = if written { topic } else { "" };
            assert_eq!(sent(world), [(Some(alias), written.into())]);
        }
    });
}

#[test]
fn aliases_end_with_their_connection() {
    // v5 [MQTT-3.3.2-7]
    scenario(|world| {
        let mut options = v5();
        options.clean_start = sansio_mqtt::client::CleanStart::Never;
        options.session_expiry_interval = 100;
        world.up(options, &[Property::TopicAliasMaximum(5)]);
        world.publish("topic/0", QoS::AtLeastOnce, "x");
        world.publish("topic/0", QoS::AtLeastOnce, "y");
        assert_eq!(sent(world), [(Some(1), "topic/0".into()), (Some(1), String::new())]);
        // The alias of the server.
        world.server(aliased("b", 3)).forget();
        world.again(true, &[Property::TopicAliasMaximum(5)]);
        let packets = world.sent_packets().split_off(1);
        assert_eq!(aliases(&packets), [(Some(1), "topic/0".into()), (Some(1), String::new())]);
        // And to a server that takes none.
        world.again(true, &[]);
        let packets = world.sent_packets().split_off(1);
        assert_eq!(aliases(&packets), [(None, "topic/0".into()), (None, "topic/0".into())]);
        world.forget().server(aliased("", 3));
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
}

#[test]
fn an_alias_counts_when_its_packet_is_pulled_and_not_before() {
    scenario(|world| {
        world.up(v5(), &[Property::TopicAliasMaximum(5), Property::MaximumPacketSize(100)]);
        world.writable = false;
        world.publish("topic/0", QoS::AtMostOnce, "held back by the transport");
        let list = [Property::MessageExpiryInterval(1)];
        let properties = Properties::List(&list);
        let publish = Publish { topic: "topic/1", properties, ..Publish::default() };
        world.publish_with(&publish);
        world.wait_secs(3);
        world.publish("topic/1", QoS::AtMostOnce, "y");
        world.unblock();
        // The one that expired set nothing.
        assert_eq!(sent(world), [(Some(1), "topic/0".into()), (Some(2), "topic/1".into())]);
    });
}

#[test]
fn a_message_that_waits_for_the_window_or_its_record_sets_no_alias() {
    scenario(|world| {
        let properties = [Property::TopicAliasMaximum(5), Property::ReceiveMaximum(1)];
        world.up(v5(), &properties);
        world.publish("topic/0", QoS::AtLeastOnce, "1");
        world.publish("topic/1", QoS::AtLeastOnce, "2");
        world.publish("topic/1", QoS::AtMostOnce, "3");
        assert_eq!(sent(world), [(Some(1), "topic/0".into()), (Some(2), "topic/1".into())]);
        world.server(crate::world::pub_ack(1));
        assert_eq!(sent(world), [(Some(2), String::new())]);
    });
}

/// A message from the server with an alias.
fn aliased(topic: &'static str, alias: u16) -> Publish<'static> {
    let list: &'static [Property<'static>] = match alias {
        1 => &[Property::TopicAlias(1)],
        2 => &[Property::TopicAlias(2)],
        3 => &[Property::TopicAlias(3)],
        4 => &[Property::TopicAlias(4)],
        _ => &[Property::TopicAlias(65_535)],
    };
    let properties = Properties::List(list);
    Publish { properties, ..publish(topic, QoS::AtMostOnce, 0, "x") }
}

#[test]
fn every_alias_up_to_the_clients_maximum_is_understood() {
    // v5 [MQTT-3.3.2-10] [U5-3.3.4-4]
    scenario(|world| {
        let mut options = v5();
        options.topic_alias_maximum = 3;
        world.up(options, &[]);
        for (alias, topic) in [(3, "c"), (1, "a"), (2, "b"), (3, ""), (2, ""), (1, "")] {
            world.server(aliased(topic, alias));
        }
        let topics: Vec<String> =
            world.deliveries().iter().map(|found| found.message.topic().into()).collect();
        assert_eq!(topics, ["c", "a", "b", "c", "b", "a"]);
        // A new topic takes the place of the old one.
        world.server(aliased("d", 1)).server(aliased("", 1)).server(aliased("", 2));
        let deliveries = world.deliveries();
        let topics: Vec<&str> = deliveries.iter().map(|found| found.message.topic()).collect();
        assert_eq!(topics, ["d", "d", "b"]);
        for delivery in &deliveries {
            assert!(delivery.message.properties().is_empty(), "the alias is not for others");
        }
        world.silent();
    });
}

#[test]
fn an_alias_of_zero_or_above_the_maximum_closes_the_connection() {
    // v5 [U5-3.3.4-2]
    for (maximum, alias) in [(3, 4), (3, 65_535), (0, 1)] {
        for topic in ["a", ""] {
            scenario(|world| {
                let mut options = v5();
                options.topic_alias_maximum = maximum;
                world.up(options, &[]);
                world.server(aliased(topic, alias));
                world.blamed(ReasonCode::TOPIC_ALIAS_INVALID);
            });
        }
    }
    scenario(|world| {
        world.up(v5(), &[]);
        world.server_bytes(&[0x30, 7, 0, 1, b'a', 3, 0x23, 0, 0]);
        world.blamed(ReasonCode::TOPIC_ALIAS_INVALID);
    });
}

#[test]
fn an_alias_that_stands_for_nothing_closes_the_connection() {
    // v5 [U5-3.3.4-3]
    scenario(|world| {
        world.up(v5(), &[]);
        world.server(aliased("a", 1)).forget().server(aliased("", 2));
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
}
