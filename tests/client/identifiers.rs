//! Packet Identifiers: there are 65,535, for messages, subscriptions and their end.
//! MQTT 5.0 §2.2.1.

use sansio_mqtt::{Properties, Publish, QoS, ReasonCode, Subscription, UnsubAck};

use crate::world::{Way, World, id, pub_ack, sub_ack, v5};

/// A client that has used up all identifiers but so many, for messages at QoS 1.
fn with_identifiers_left(left: u16) -> World {
    let mut world = World::new(Way { fragment: usize::MAX, limit: usize::MAX, durable: false });
    let mut options = v5();
    options.maximum_held = 70_000;
    world.up(options, &[]);
    let now = world.now;
    let publish = Publish { topic: "a", qos: QoS::AtLeastOnce, ..Publish::default() };
    for _ in left..u16::MAX {
        let _ = world.client().publish(now, &publish).unwrap();
    }
    world.poll().forget();
    world
}

fn subscribe(world: &mut World) {
    let (now, one) = (world.now, [Subscription::new("s", QoS::AtLeastOnce)]);
    world.client().subscribe(now, &one, Properties::NONE).unwrap();
    world.poll();
}

fn unsubscribe(world: &mut World) {
    let now = world.now;
    world.client().unsubscribe(now, &["s"], Properties::NONE).unwrap();
    world.poll();
}

#[test]
fn subscriptions_wait_for_an_identifier_as_messages_do() {
    let mut world = with_identifiers_left(0);
    let world = &mut world;
    world.publish("b", QoS::AtLeastOnce, "1");
    subscribe(world);
    unsubscribe(world);
    world.publish("b", QoS::AtLeastOnce, "2");
    assert_eq!((world.sent(), world.told()), (vec![], vec![]));
    world.publish("b", QoS::AtMostOnce, "3");
    assert_eq!(world.sent(), ["PUBLISH \"b\" QoS 0 \"3\""]);
    // In the order of the calls.
    let rows = [
        (40_000, "PUBLISH \"b\" QoS 1 #40000 \"1\""),
        (9, "SUBSCRIBE #9 [\"s\" QoS 1]"),
        (1, "UNSUBSCRIBE #1 [\"s\"]"),
        (65_535, "PUBLISH \"b\" QoS 1 #65535 \"2\""),
    ];
    for (id, sent) in rows {
        world.server(pub_ack(id));
        assert_eq!(world.sent(), [sent]);
    }
}

#[test]
fn messages_wait_for_the_identifiers_of_subscriptions() {
    let mut world = with_identifiers_left(2);
    let world = &mut world;
    subscribe(world);
    unsubscribe(world);
    world.forget();
    for payload in ["1", "2"] {
        world.publish("b", QoS::AtLeastOnce, payload);
    }
    assert_eq!(world.sent(), [""; 0]);
    world.server(sub_ack(65_534, &[ReasonCode::GRANTED_QOS_1]));
    assert_eq!(world.sent(), ["PUBLISH \"b\" QoS 1 #65534 \"1\""]);
    world.server(UnsubAck::new(id(65_535), &[ReasonCode::SUCCESS]));
    assert_eq!(world.sent(), ["PUBLISH \"b\" QoS 1 #65535 \"2\""]);
}
