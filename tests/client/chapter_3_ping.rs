//! Keep Alive, PINGREQ and PINGRESP: MQTT 5.0 §3.1.2.10, §3.12, §3.13.

use std::time::Duration;

use sansio_mqtt::client::{Acknowledgement, Options};
use sansio_mqtt::{Packet, Property, QoS, ReasonCode, Version};

use crate::world::{World, of, publish, scenario, v5};

fn every(seconds: u16, version: Version) -> Options {
    let mut options = of(version);
    options.keep_alive = seconds;
    options
}

/// Waits so long, in steps of a quarter of a second, with a server that answers pings, and says
/// after how many milliseconds there was one.
fn pings(world: &mut World, seconds: u64) -> Vec<u64> {
    let mut at = Vec::new();
    for step in 1..=seconds * 4 {
        world.wait(Duration::from_millis(250));
        for line in world.sent() {
            assert_eq!(line, "PINGREQ");
            at.push(step * 250);
            world.server(Packet::PingResp);
        }
    }
    assert!(!world.closed);
    at
}

#[test]
fn an_idle_client_pings_within_keep_alive() {
    // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]
    for version in Version::ALL {
        scenario(|world| {
            world.up(every(10, version), &[]);
            let at = pings(world, 100);
            let gaps = at.iter().zip([0].iter().chain(&at)).map(|(now, before)| now - before);
            let gaps: Vec<u64> = gaps.collect();
            assert!(gaps.iter().all(|gap| *gap <= 10_000), "{gaps:?}");
            assert!(gaps.iter().all(|gap| *gap >= 5_000), "more than there is need for: {gaps:?}");
        });
    }
}

#[test]
fn a_keep_alive_of_zero_never_pings() {
    // v5 [MQTT-3.1.2-20]
    for version in Version::ALL {
        scenario(|world| {
            world.up(every(0, version), &[]);
            assert_eq!(pings(world, 1_000), [0; 0]);
            assert_eq!(world.deadline, None);
        });
    }
}

#[test]
fn the_servers_keep_alive_is_used_instead_of_the_clients() {
    // v5 [MQTT-3.1.2-21] [MQTT-3.2.2-21]
    for own in [0, 60, 2] {
        scenario(|world| {
            world.up(every(own, Version::V5), &[Property::ServerKeepAlive(6)]);
            let at = pings(world, 30);
            assert!((4..=7).contains(&at.len()), "{at:?}");
        });
        scenario(|world| {
            world.up(every(own, Version::V5), &[Property::ServerKeepAlive(0)]);
            assert_eq!(pings(world, 300), [0; 0]);
        });
    }
}

#[test]
fn the_keep_alive_of_an_earlier_connection_is_forgotten() {
    scenario(|world| {
        world.up(every(0, Version::V5), &[Property::ServerKeepAlive(6)]);
        world.again(false, &[]).forget();
        assert_eq!(pings(world, 300), [0; 0]);
        // A ping that was not answered is forgotten too.
        world.again(false, &[Property::ServerKeepAlive(6)]).forget().wait_secs(6);
        assert_eq!(world.sent(), ["PINGREQ"]);
        world.again(false, &[Property::ServerKeepAlive(600)]).forget().wait_secs(100);
        world.silent();
    });
}

#[test]
fn what_is_sent_puts_pings_off_as_long_as_something_comes_back() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(every(10, version), &[]);
            for _ in 0..20 {
                world.wait_secs(4);
                world.publish("a", QoS::AtMostOnce, "x");
                world.server(publish("b", QoS::AtMostOnce, 0, "y"));
            }
            assert!(world.sent().iter().all(|line| line.starts_with("PUBLISH")));
        });
    }
}

#[test]
fn a_client_that_only_receives_pings() {
    // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]
    scenario(|world| {
        world.up(every(10, Version::V3_1_1), &[]);
        for _ in 0..3 {
            world.wait_secs(4);
            world.server(publish("b", QoS::AtMostOnce, 0, "y"));
        }
        assert_eq!(world.sent(), ["PINGREQ"]);
    });
}

#[test]
fn a_client_that_only_sends_notices_a_dead_server() {
    // v5 [U5-3.1.2.10-2]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = every(10, version);
            options.response_timeout = Duration::from_secs(5);
            world.up(options, &[]);
            let mut seconds = 0;
            while !world.closed {
                world.wait_secs(1);
                if !world.closed {
                    world.publish("a", QoS::AtMostOnce, "x");
                }
                seconds += 1;
                assert!(seconds <= 15, "it takes the server for alive");
            }
            let sent = world.sent();
            assert!(sent.contains(&"PINGREQ".into()), "{sent:?}");
            assert_eq!(world.told().last().unwrap(), "disconnected: no PINGRESP in time");
        });
    }
}

#[test]
fn a_pingresp_that_does_not_come_ends_the_connection() {
    // v5 [U5-3.1.2.10-2]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = every(60, version);
            options.response_timeout = Duration::from_secs(5);
            world.up(options, &[]).wait_secs(53);
            assert_eq!(world.sent(), ["PINGREQ"]);
            world.wait_secs(5);
            assert!(world.closed);
            let expected = match version.is_v5() {
                true => vec![format!("DISCONNECT {}", ReasonCode::UNSPECIFIED_ERROR)],
                false => vec![],
            };
            assert_eq!(world.sent(), expected);
            assert_eq!(world.told(), ["disconnected: no PINGRESP in time"]);
        });
    }
}

#[test]
fn a_late_pingresp_does_not_keep_the_client_from_sending_something_in_time() {
    // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]: the server closes at one and a half times Keep
    // Alive, and it need not have seen a PINGRESP of its own arrive.
    for version in Version::ALL {
        scenario(|world| {
            let mut options = every(4, version);
            options.response_timeout = Duration::from_secs(20);
            world.up(options, &[]);
            for _ in 0..4 {
                world.wait_secs(4);
                assert!(!world.closed);
                assert_eq!(world.sent(), ["PINGREQ"]);
            }
            world.server(Packet::PingResp).wait_secs(4);
            assert_eq!(world.sent(), ["PINGREQ"]);
        });
    }
}

#[test]
fn an_unasked_pingresp_is_no_harm() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]).server(Packet::PingResp).server(Packet::PingResp);
            world.silent();
        });
    }
}

#[test]
fn while_the_application_holds_the_input_up_the_server_is_not_taken_for_dead() {
    // v5 [MQTT-3.1.2-20], v3.1.1 [MQTT-3.1.2-23]: and the server not made to take the client for
    // dead either.
    scenario(|world| {
        let mut options = every(10, Version::V3_1_1);
        options.acknowledgement = Acknowledgement::Manual;
        options.receive_maximum = 1;
        options.response_timeout = Duration::from_secs(5);
        world.up(options, &[]);
        world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
        let first = world.deliveries().remove(0).delivery_id.unwrap();
        world.server(publish("a", QoS::AtLeastOnce, 2, "y"));
        for _ in 0..10 {
            world.wait_secs(10).server(Packet::PingResp);
            let sent = world.sent();
            assert!(!sent.is_empty() && sent.iter().all(|line| line == "PINGREQ"), "{sent:?}");
        }
        assert!(!world.closed);
        world.acknowledge(first);
        assert_eq!(world.sent(), ["PUBACK #1"]);
        assert_eq!(world.told(), ["message a QoS 1 \"y\""]);
        world.wait_secs(5);
        assert!(!world.closed);
    });
}

#[test]
fn while_the_application_holds_the_input_up_no_answer_is_late() {
    scenario(|world| {
        let mut options = every(0, Version::V3_1_1);
        options.acknowledgement = Acknowledgement::Manual;
        options.receive_maximum = 1;
        world.up(options, &[]);
        world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
        let first = world.deliveries().remove(0).delivery_id.unwrap();
        let handle = world.subscribe("b").get();
        assert_eq!(world.sent(), ["SUBSCRIBE #1 [\"b\" QoS 1]"]);
        world.server(crate::world::sub_ack(1, &[ReasonCode::GRANTED_QOS_1]));
        world.wait_secs(100);
        assert!(!world.closed, "the answer is there, and was not read");
        world.acknowledge(first);
        assert_eq!(world.told(), [format!("subscribed {handle}: 0x01")]);
    });
}

#[test]
fn pings_do_not_wait_for_the_window_or_for_records() {
    // v5 [MQTT-3.3.4-8]
    scenario(|world| {
        let mut options = v5();
        options.keep_alive = 10;
        world.up(options, &[Property::ReceiveMaximum(1)]);
        world.publish("a", QoS::AtLeastOnce, "1");
        world.commits = false;
        world.publish("a", QoS::AtLeastOnce, "2");
        world.forget().wait_secs(10);
        assert_eq!(world.sent(), ["PINGREQ"]);
    });
}
