//! The order of messages and acknowledgements: MQTT 5.0 §4.6.

use sansio_mqtt::{Publish, QoS, ReasonCode, Version};

use crate::sessions::{by_hand, durably, lasting};
use crate::world::{of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario};

#[test]
fn messages_are_sent_in_the_order_of_the_calls() {
    for version in Version::ALL {
        scenario(|world| {
            world.start(of(version));
            let qos = [QoS::ExactlyOnce, QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtMostOnce];
            for (qos, payload) in qos.into_iter().zip(["1", "2", "3", "4"]) {
                world.publish("a", qos, payload);
            }
            world.connect(false, &[]);
            for (qos, payload) in qos.into_iter().zip(["5", "6", "7", "8"]) {
                world.publish("a", qos, payload);
            }
            let sent = world.sent_of("PUBLISH");
            let payloads: Vec<&str> =
                sent.iter().map(|line| line.split('"').nth(3).unwrap()).collect();
            assert_eq!(payloads, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        });
    }
}

#[test]
fn messages_are_sent_again_in_the_order_they_were_sent_in() {
    // v5 [MQTT-4.6.0-1], v3.1.1 [MQTT-4.6.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = lasting(version);
            options.maximum_in_flight = 4;
            world.up(options, &[]);
            let all = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
            for (qos, payload) in all.into_iter().zip(["1", "2", "3", "4"]) {
                world.publish("a", qos, payload);
            }
            // So that the storage of the first one is used again, under an identifier above.
            world.server(pub_ack(1));
            world.publish("a", QoS::AtLeastOnce, "5");
            world.publish("a", QoS::AtLeastOnce, "6");
            let again = [
                "PUBLISH \"a\" QoS 2 #2 dup \"2\"",
                "PUBLISH \"a\" QoS 1 #3 dup \"3\"",
                "PUBLISH \"a\" QoS 2 #4 dup \"4\"",
                "PUBLISH \"a\" QoS 1 #5 dup \"5\"",
            ];
            assert_eq!(world.resume().sent_after_connect(), again);
            world.server(pub_ack(3));
            assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 1 #6 \"6\""]);
            let again = [again[0], again[2], again[3], "PUBLISH \"a\" QoS 1 #6 dup \"6\""];
            assert_eq!(world.resume().sent_after_connect(), again);
        });
    }
}

#[test]
fn messages_are_sent_again_in_order_by_another_process() {
    // v5 [MQTT-4.6.0-1], v3.1.1 [MQTT-4.6.0-1]
    for version in Version::ALL {
        durably(|world| {
            world.up(lasting(version), &[]);
            for payload in ["1", "2", "3"] {
                world.publish("a", QoS::ExactlyOnce, payload);
            }
            world.server(pub_rec(2)).server(pub_rec(1)).crash(lasting(version));
            world.resume();
            let sent = world.sent_after_connect();
            assert_eq!(sent.len(), 3);
            assert!(sent[0].starts_with("PUBREL #2") && sent[1].starts_with("PUBREL #1"));
            assert_eq!(sent[2], "PUBLISH \"a\" QoS 2 #3 dup \"3\"");
        });
    }
}

#[test]
fn pubrels_are_sent_in_the_order_of_the_pubrecs() {
    // v5 [MQTT-4.6.0-4], v3.1.1 [MQTT-4.6.0-4]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            for _ in 0..3 {
                world.publish("a", QoS::ExactlyOnce, "x");
            }
            world.forget();
            for id in [2, 1, 3] {
                world.server(pub_rec(id));
            }
            assert_eq!(world.sent(), ["PUBREL #2", "PUBREL #1", "PUBREL #3"]);
            let numbers = |sent: Vec<String>| -> Vec<String> {
                sent.iter().map(|line| line.split(' ').nth(1).unwrap().into()).collect()
            };
            assert_eq!(numbers(world.resume().sent_after_connect()), ["#2", "#1", "#3"]);
            world.server(pub_comp(1));
            assert_eq!(numbers(world.resume().sent_after_connect()), ["#2", "#3"]);
        });
    }
}

#[test]
fn acknowledgements_are_sent_in_the_order_of_receipt() {
    // v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3], v3.1.1 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            for (qos, id) in [(1, 5), (2, 9), (1, 4), (2, 8), (2, 10), (1, 6)] {
                world.server(publish("a", QoS::new(qos).unwrap(), id, "x"));
            }
            let sent =
                ["PUBACK #5", "PUBREC #9", "PUBACK #4", "PUBREC #8", "PUBREC #10", "PUBACK #6"];
            assert_eq!(world.sent(), sent);
        });
    }
}

#[test]
fn acknowledgements_are_sent_in_the_order_of_receipt_whatever_the_application_does() {
    // v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3], v3.1.1 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    let answers = ["PUBACK #5", "PUBREC #9", "PUBACK #4", "PUBREC #8"];
    // Which are acknowledged, and how many are sent then.
    let rows: [[(usize, usize); 4]; 4] = [
        [(0, 1), (1, 2), (2, 3), (3, 4)],
        [(3, 0), (2, 0), (1, 0), (0, 4)],
        [(1, 0), (0, 2), (3, 2), (2, 4)],
        [(2, 0), (0, 1), (1, 3), (3, 4)],
    ];
    for version in Version::ALL {
        for row in rows {
            scenario(|world| {
                world.up(by_hand(version), &[]);
                for (qos, id) in [(1, 5), (2, 9), (1, 4), (2, 8)] {
                    world.server(publish("a", QoS::new(qos).unwrap(), id, "x"));
                }
                let deliveries = world.deliveries();
                let mut sent = Vec::new();
                for (index, count) in row {
                    world.acknowledge(deliveries[index].delivery_id.unwrap());
                    sent.extend(world.sent());
                    assert_eq!(sent, answers[..count], "{row:?}");
                }
            });
        }
    }
}

#[test]
fn a_refusal_keeps_its_place() {
    // v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    scenario(|world| {
        world.up(by_hand(Version::V5), &[]);
        world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
        world.server(publish("a", QoS::ExactlyOnce, 2, "x"));
        let ids: Vec<_> = world.deliveries().iter().map(|one| one.delivery_id.unwrap()).collect();
        let (now, code) = (world.now, ReasonCode::NOT_AUTHORIZED);
        world.client().acknowledge_with(now, ids[1], code, (&[]).into()).unwrap();
        world.poll();
        assert_eq!(world.sent(), [""; 0]);
        world.acknowledge(ids[0]);
        assert_eq!(world.sent(), ["PUBACK #1", "PUBREC #2 0x87 Not authorized"]);
    });
}

#[test]
fn pubcomp_does_not_wait_for_messages_that_the_application_still_has() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(by_hand(version), &[]);
            world.server(publish("a", QoS::ExactlyOnce, 1, "x"));
            let delivery_id = world.deliveries()[0].delivery_id.unwrap();
            world.acknowledge(delivery_id).forget();
            world.server(publish("a", QoS::AtLeastOnce, 2, "x")).server(pub_rel(1));
            assert_eq!(world.sent(), ["PUBCOMP #1"]);
        });
    }
}

#[test]
fn messages_are_given_to_the_application_in_the_order_of_receipt() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(by_hand(version), &[]);
            for (qos, id, payload) in [(1, 5, "1"), (0, 0, "2"), (2, 4, "3"), (1, 6, "4")] {
                let message = publish("a", QoS::new(qos).unwrap(), id, payload);
                world.server(message);
                if qos > 0 {
                    // Repeated before anything else, it changes nothing.
                    world.server(Publish { dup: true, ..message });
                }
            }
            let told = [
                "message a QoS 1 \"1\"",
                "message a QoS 0 \"2\"",
                "message a QoS 2 \"3\"",
                "message a QoS 1 \"4\"",
            ];
            assert_eq!(world.told(), told);
        });
    }
}
