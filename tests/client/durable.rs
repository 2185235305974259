//! Durability is ordering: what waits for a record, what does not, and what another process makes
//! of the records.

use std::collections::BTreeSet;

use sansio_mqtt::client::{Acknowledgement, CleanStart, Client, Delivery, SessionLost};
use sansio_mqtt::{Instant, Properties, Property, Publish, QoS, Subscription, UnixTime, Version};

use crate::sessions::{acknowledged, by_hand, durably, ended, id_of, lasting};
use crate::world::{World, apply, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, v5};

const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];
const LOST: &str = "lost with the session";

/// Records wait from here on.
fn hold(world: &mut World) {
    world.forget();
    world.commits = false;
}

#[test]
fn a_message_at_qos_1_or_2_is_sent_when_it_is_stored() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        durably(|world| {
            world.up(lasting(Version::V5), &[]);
            hold(world);
            world.publish("a", qos, "x");
            assert_eq!(world.sent(), [""; 0]);
            assert_eq!(world.commit().poll().sent().len(), 1);
        });
    }
}

#[test]
fn qos_0_pings_and_subscriptions_wait_for_no_record() {
    durably(|world| {
        world.up(lasting(Version::V5), &[]);
        hold(world);
        world.publish("a", QoS::AtLeastOnce, "x");
        let handle = world.publish("a", QoS::AtMostOnce, "y");
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 0 \"y\""]);
        assert_eq!(world.told(), [ended(handle, "sent")]);
        let (now, one) = (world.now, [Subscription::new("a", QoS::AtLeastOnce)]);
        world.client().subscribe(now, &one, Properties::NONE).unwrap();
        world.client().unsubscribe(now, &["a"], Properties::NONE).unwrap();
        world.poll();
        assert_eq!(world.sent().len(), 2);
        world.server(sansio_mqtt::Packet::PingResp).wait_secs(0);
        world.server(crate::world::sub_ack(2, &[sansio_mqtt::ReasonCode::SUCCESS]));
        world.server(sansio_mqtt::UnsubAck::new(
            crate::world::id(3),
            &[sansio_mqtt::ReasonCode::SUCCESS],
        ));
        world.wait_secs(60);
        assert_eq!(world.sent(), ["PINGREQ"]);
    });
}

#[test]
fn acknowledgements_wait_for_what_they_depend_on() {
    for version in VERSIONS {
        durably(|world| {
            world.up(by_hand(version), &[]);
            world.publish("a", QoS::ExactlyOnce, "x");
            world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
            world.server(publish("a", QoS::ExactlyOnce, 2, "x"));
            let ids: Vec<_> =
                world.deliveries().iter().map(|one| one.delivery_id.unwrap()).collect();
            hold(world);
            world.acknowledge(ids[0]).acknowledge(ids[1]).server(pub_rec(1));
            assert_eq!(world.sent(), [""; 0]);
            world.commit().poll();
            assert_eq!(world.sent(), ["PUBACK #1", "PUBREC #2", "PUBREL #1"]);
            world.server(pub_rel(2));
            assert_eq!(world.sent(), [""; 0]);
            assert_eq!(world.commit().poll().sent(), ["PUBCOMP #2"]);
        });
    }
}

#[test]
fn the_application_is_told_when_it_is_stored() {
    for version in VERSIONS {
        durably(|world| {
            world.up(by_hand(version), &[]);
            let first = world.publish("a", QoS::AtLeastOnce, "x");
            let second = world.publish("a", QoS::ExactlyOnce, "x");
            world.server(pub_rec(2));
            hold(world);
            world.server(pub_ack(1)).server(pub_comp(2));
            world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
            world.server(publish("a", QoS::ExactlyOnce, 2, "y"));
            assert_eq!(world.told(), [""; 0]);
            world.commit().poll();
            let told = [
                acknowledged(first),
                acknowledged(second),
                "message a QoS 1 \"x\"".into(),
                "message a QoS 2 \"y\"".into(),
            ];
            assert_eq!(world.told(), told);
        });
    }
}

#[test]
fn what_is_refused_or_lost_is_told_when_it_is_stored() {
    durably(|world| {
        world.up(lasting(Version::V5), &[]);
        let handle = world.publish("a", QoS::AtLeastOnce, "x");
        world.lose();
        hold(world);
        world.connect(false, &[]);
        assert_eq!(world.told(), [""; 0]);
        world.commit().poll();
        assert!(world.told().contains(&ended(handle, LOST)));
    });
}

#[test]
fn a_group_of_records_is_committed_with_its_last_one() {
    durably(|world| {
        world.up(lasting(Version::V5), &[]);
        hold(world);
        for payload in ["1", "2", "3"] {
            world.publish("a", QoS::AtLeastOnce, payload);
        }
        let stores = std::mem::take(&mut world.uncommitted);
        // Two records each: the message, and that it is in flight.
        assert_eq!(stores.len(), 6);
        let sequences: Vec<_> = stores.iter().map(|store| store.sequence).collect();
        assert!(sequences.is_sorted());
        stores.into_iter().for_each(|store| apply(&mut world.store, store));
        world.client().committed(sequences[2]);
        assert_eq!(world.poll().sent().len(), 1);
        world.client().committed(sequences[5]);
        assert_eq!(world.poll().sent().len(), 2);
        // Once more, or of long ago, it changes nothing.
        world.client().committed(sequences[0]);
        assert_eq!(world.poll().sent(), [""; 0]);
    });
}

#[test]
fn a_repeated_message_is_answered_when_the_first_answer_is_stored() {
    // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2]
    for version in VERSIONS {
        durably(|world| {
            world.up(by_hand(version), &[]);
            let message = publish("a", QoS::ExactlyOnce, 6, "x");
            world.server(message);
            let delivery_id = world.deliveries()[0].delivery_id.unwrap();
            hold(world);
            world.acknowledge(delivery_id).resume();
            world.server(Publish { dup: true, ..message });
            assert_eq!(world.sent_after_connect(), [""; 0]);
            world.commit().poll();
            let sent = world.sent();
            assert!(!sent.is_empty() && sent.iter().all(|line| line == "PUBREC #6"), "{sent:?}");
        });
    }
}

#[test]
fn a_repeated_pubrel_is_answered_when_the_first_answer_is_stored() {
    // v5 [MQTT-4.3.3-11] [MQTT-4.3.3-12], v3.1.1 [MQTT-4.3.3-2]
    for version in VERSIONS {
        durably(|world| {
            world.up(lasting(version), &[]);
            world.server(publish("a", QoS::ExactlyOnce, 6, "x"));
            hold(world);
            world.server(pub_rel(6)).resume().server(pub_rel(6));
            assert_eq!(world.sent_after_connect(), [""; 0]);
            let sent = world.commit().poll().sent();
            assert!(sent.len() == 1 && sent[0].starts_with("PUBCOMP #6"), "{sent:?}");
        });
    }
}

#[test]
fn what_a_crash_takes_was_not_told_to_anybody() {
    for version in VERSIONS {
        durably(|world| {
            world.up(by_hand(version), &[]);
            hold(world);
            world.publish("a", QoS::ExactlyOnce, "x");
            world.server(publish("a", QoS::ExactlyOnce, 6, "x"));
            assert_eq!((world.sent(), world.told()), (Vec::new(), Vec::new()));
            world.commits = true;
            world.crash(by_hand(version)).resume();
            assert_eq!(world.client().held(), 0);
            // The server sends it again: to this process it is new.
            world.forget().server(Publish { dup: true, ..publish("a", QoS::ExactlyOnce, 6, "x") });
            assert_eq!(world.told(), ["message a QoS 2 \"x\" dup"]);
        });
    }
}

#[test]
fn another_process_goes_on_with_what_was_published() {
    for version in VERSIONS {
        durably(|world| {
            let mut options = lasting(version);
            options.maximum_in_flight = 3;
            world.up(options.clone(), &[]);
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::AtLeastOnce];
            let handles = qos.map(|qos| world.publish("a", qos, "x"));
            world.server(pub_rec(2)).crash(options).resume();
            let sent = [
                "PUBREL #2",
                "PUBLISH \"a\" QoS 1 #1 dup \"x\"",
                "PUBLISH \"a\" QoS 2 #3 dup \"x\"",
            ];
            assert_eq!(world.sent_after_connect(), sent);
            world.forget().server(pub_ack(1)).server(pub_comp(2));
            let sent = world.sent();
            assert_eq!(sent, ["PUBLISH \"a\" QoS 1 #4 \"x\""]);
            world.server(pub_rec(3)).server(pub_comp(3)).server(pub_ack(4));
            assert_eq!(world.told(), handles.map(acknowledged));
            assert_eq!(world.store.len(), 1, "the session alone");
        });
    }
}

#[test]
fn another_process_offers_what_was_not_acknowledged_under_the_same_identifier() {
    for version in VERSIONS {
        durably(|world| {
            world.up(by_hand(version), &[]);
            let messages = [
                publish("a", QoS::AtLeastOnce, 1, "1"),
                publish("a", QoS::ExactlyOnce, 2, "2"),
                publish("a", QoS::ExactlyOnce, 3, "3"),
            ];
            for message in messages {
                world.server(message);
            }
            let ids = |deliveries: &[Delivery]| -> Vec<_> {
                deliveries.iter().map(|one| one.delivery_id.unwrap()).collect()
            };
            let before = ids(&world.deliveries());
            world.crash(by_hand(version));
            let again = world.deliveries();
            assert!(again.iter().all(|one| one.redelivered));
            assert_eq!(ids(&again), before);
            let payloads: Vec<&[u8]> = again.iter().map(|one| one.message.payload()).collect();
            assert_eq!(payloads, [b"1", b"2", b"3"]);
            world.resume().forget();
            for message in messages {
                world.server(Publish { dup: true, ..message });
            }
            assert_eq!((world.sent(), world.told()), (Vec::new(), Vec::new()));
            for delivery_id in before {
                world.acknowledge(delivery_id);
            }
            assert_eq!(world.sent(), ["PUBACK #1", "PUBREC #2", "PUBREC #3"]);
            // Acknowledged, it is not offered again by a third one, which answers all the same.
            world.crash(by_hand(version));
            assert_eq!(world.told(), [""; 0]);
            world.resume().forget().server(Publish { dup: true, ..messages[1] });
            world.server(pub_rel(3)).server(pub_rel(2));
            assert_eq!(world.sent(), ["PUBREC #2", "PUBCOMP #3", "PUBCOMP #2"]);
            assert_eq!(world.told(), [""; 0]);
            assert_eq!(world.store.len(), 1, "the session alone");
        });
    }
}

#[test]
fn a_message_is_acknowledged_by_itself_only_after_the_application_has_it() {
    // v5 [MQTT-4.3.2-4] [MQTT-4.3.3-8]
    for version in Version::ALL {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            durably(|world| {
                world.up(lasting(version), &[]);
                hold(world);
                world.server(publish("a", qos, 1, "x"));
                // It is not handed over yet, and the process dies.
                world.commit();
                let store = world.store.clone();
                world.poll().commit().poll();
                assert_eq!((world.told().len(), world.sent().len()), (1, 1));
                world.store = store;
                world.commits = true;
                world.crash(lasting(version));
                assert_eq!(
                    world.told(),
                    ["message a QoS N \"x\" redelivered".replace('N', &qos.to_string())]
                );
            });
        }
    }
}

#[test]
fn numbers_are_never_used_again() {
    for version in VERSIONS {
        durably(|world| {
            let mut numbers = BTreeSet::new();
            world.start(by_hand(version));
            for _ in 0..5 {
                world.connect(false, &[]);
                for qos in [0, 1, 2] {
                    let handle = world.publish("a", QoS::new(qos).unwrap(), "x");
                    assert!(numbers.insert(handle.get()));
                }
                world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
                let delivery = world.deliveries().pop().unwrap();
                assert!(numbers.insert(delivery.delivery_id.unwrap().get()));
                world.store.retain(|key, _| key == b"s");
                world.crash(by_hand(version));
            }
        });
    }
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let mut world = World::new(crate::world::Way { fragment: 9, limit: 9, durable: true });
    world.up(by_hand(Version::V5), &[]);
    world.publish("a", QoS::AtLeastOnce, "x");
    world.server(publish("a", QoS::ExactlyOnce, 1, "x"));
    world.server(publish("a", QoS::ExactlyOnce, 2, "x"));
    let delivery_id = world.deliveries()[0].delivery_id.unwrap();
    world.acknowledge(delivery_id);
    assert_eq!(world.store.len(), 5, "one of each kind");
    let (now, unix_now) = (Instant::from_micros(0), UnixTime::from_secs(1_700_000_000));
    let restore = |store: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>| {
        Client::restore(by_hand(Version::V5), now, unix_now, store)
    };
    let mut changed: Vec<(Vec<u8>, Vec<u8>)> = vec![(b"x".to_vec(), Vec::new())];
    for (key, value) in &world.store {
        changed.push((key.clone(), Vec::new()));
        changed.push((key.clone(), value[..value.len() - 1].to_vec()));
        changed.push((key.clone(), [&value[..], &[0]].concat()));
        changed.push(([&key[..], &[0]].concat(), value.clone()));
        if key[0] != b'r' {
            // Of a format to come.
            changed.push((key.clone(), [&[2], &value[1..]].concat()));
        }
    }
    for (key, value) in changed {
        let mut store = world.store.clone();
        store.insert(key.clone(), value);
        match restore(&store) {
            Err(sansio_mqtt::client::RestoreFailure::Record(error)) => assert_eq!(error.key, key),
            other => panic!("{key:?}: {other:?}"),
        }
    }
    // In any order.
    let reversed = Client::restore(by_hand(Version::V5), now, unix_now, world.store.iter().rev());
    let reversed = format!("{:?}", reversed.unwrap());
    assert_eq!(reversed, format!("{:?}", restore(&world.store).unwrap()));
}

#[test]
fn orphans_are_collected() {
    for version in VERSIONS {
        durably(|world| {
            world.up(by_hand(version), &[]);
            let first = world.publish("a", QoS::AtLeastOnce, "1");
            let second = world.publish("a", QoS::ExactlyOnce, "2");
            world.server(publish("a", QoS::ExactlyOnce, 1, "x"));
            let delivery_id = world.deliveries()[0].delivery_id.unwrap();
            world.acknowledge(delivery_id);
            world.server(publish("a", QoS::ExactlyOnce, 2, "y"));
            let offered = world.deliveries()[0].delivery_id.unwrap();
            // Of the records that say that the session is gone, the first is stored.
            world.lose();
            hold(world);
            world.connect(false, &[]);
            let session = world.uncommitted.remove(0);
            apply(&mut world.store, session);
            assert_eq!(world.store.len(), 7, "both messages in flight, and what was received");
            world.commits = true;
            world.crash(by_hand(version));
            let told = world.told();
            assert_eq!(told.len(), 3, "{told:?}");
            assert!(told.contains(&ended(first, LOST)) && told.contains(&ended(second, LOST)));
            world.acknowledge(offered).connect(false, &[]);
            assert_eq!(world.sent_after_connect(), [""; 0]);
            assert_eq!(world.store.len(), 1, "the session alone");
        });
    }
}

#[test]
fn a_flight_without_its_message_is_over() {
    durably(|world| {
        world.up(lasting(Version::V5), &[]);
        let handle = world.publish("a", QoS::AtLeastOnce, "x");
        world.store.retain(|key, _| key[0] != b'm');
        world.crash(lasting(Version::V5));
        assert_eq!(world.told(), [ended(handle, LOST)]);
        assert_eq!(world.store.len(), 1);
        assert_eq!(world.resume().sent_after_connect(), [""; 0]);
    });
}

#[test]
fn messages_of_a_lost_session_are_published_again_by_another_process_if_they_shall_be() {
    durably(|world| {
        let mut options = lasting(Version::V5);
        options.session_lost = SessionLost::Republish;
        world.up(options.clone(), &[]);
        let handle = world.publish("a", QoS::AtLeastOnce, "x");
        world.lose().wait_secs(3_000).crash(options).wait_secs(3_000);
        world.connect(false, &[]);
        let sent = world.sent_after_connect();
        assert!(sent.len() == 1 && !sent[0].contains("dup"), "{sent:?}");
        world.forget().server(pub_ack(id_of(&sent[0])));
        assert_eq!(world.told(), [acknowledged(handle)]);
        assert_eq!(world.store.len(), 1);
    });
}

#[test]
fn what_expires_while_no_process_runs_is_not_sent() {
    durably(|world| {
        world.start(lasting(Version::V5));
        let properties = [Property::MessageExpiryInterval(10)];
        let properties = (&properties).into();
        let (topic, qos) = ("a", QoS::AtLeastOnce);
        let handle = world.publish_with(&Publish { topic, qos, properties, ..Publish::default() });
        let other = world.publish("a", QoS::AtLeastOnce, "x");
        world.client = None;
        world.wait_secs(11);
        world.crash(lasting(Version::V5)).connect(false, &[]);
        assert_eq!(world.sent_after_connect(), ["PUBLISH \"a\" QoS 1 #1 \"x\""]);
        let expired = ended(handle, "expired before it was sent");
        assert!(world.told().contains(&expired));
        world.server(pub_ack(1));
        assert_eq!(world.told(), [acknowledged(other)]);
        assert_eq!(world.store.len(), 1);
    });
}

#[test]
fn a_session_that_expires_while_no_process_runs_is_gone() {
    durably(|world| {
        world.up(lasting(Version::V5), &[]);
        let handle = world.publish("a", QoS::AtLeastOnce, "x");
        world.lose();
        world.client = None;
        world.deadline = None;
        world.wait_secs(3_601).crash(lasting(Version::V5));
        world.open();
        let sent = world.sent();
        assert!(sent[0].starts_with("CONNECT 5.0 \"c\" clean start"), "{sent:?}");
        assert_eq!(world.told(), [ended(handle, LOST)]);
    });
}

#[test]
fn input_waits_when_the_application_cannot_be_told_of_more_for_want_of_a_record() {
    scenario(|world| {
        if !world.way.durable {
            return;
        }
        world.up(v5(), &[]);
        world.commits = false;
        for value in 1..=200 {
            world.server(publish("a", QoS::AtLeastOnce, value, "x"));
        }
        assert_eq!(world.told(), [""; 0]);
        while !world.uncommitted.is_empty() {
            world.commit().poll();
        }
        assert_eq!(world.deliveries().len(), 200);
        assert!(!world.closed);
    });
}

#[test]
fn a_message_at_qos_2_that_comes_again_without_dup_is_no_new_one() {
    // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2]
    scenario(|world| {
        let mut options = v5();
        options.acknowledgement = Acknowledgement::Manual;
        options.clean_start = CleanStart::First;
        options.session_expiry_interval = 60;
        world.up(options, &[]).server(publish("a", QoS::ExactlyOnce, 7, "x"));
        let delivery_id = world.deliveries().remove(0).delivery_id.unwrap();
        world.lose().connect(true, &[]).forget();
        world.server(publish("a", QoS::ExactlyOnce, 7, "x"));
        assert!(world.deliveries().is_empty());
        world.acknowledge(delivery_id);
        assert_eq!(world.sent(), ["PUBREC #7"]);
    });
}
