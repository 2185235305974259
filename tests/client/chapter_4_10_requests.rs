//! Requests and their responses: MQTT 5.0 §4.10.

use std::time::Duration;

use sansio_mqtt::client::{Acknowledgement, CallError, Failure, Handle, Options};
use sansio_mqtt::{
    OwnedPacket, Packet, Properties, Property, PubAck, Publish, QoS, ReasonCode, Version,
};

use crate::world::{World, of, pub_ack, publish, scenario, sub_ack, v5};

fn asking() -> Options {
    let mut options = v5();
    options.response_topic = Some("answers/c".into());
    options
}

const ASK: Publish<'static> = Publish {
    topic: "service",
    payload: b"?",
    qos: QoS::AtMostOnce,
    retain: false,
    dup: false,
    packet_id: None,
    properties: Properties::NONE,
};

const TIMEOUT: Duration = Duration::from_secs(10);

fn request(world: &mut World) -> Handle {
    world.call(|client, now| client.request(now, &ASK, TIMEOUT)).unwrap()
}

/// Response Topic and Correlation Data of a request.
#[track_caller]
fn asked(packet: &OwnedPacket) -> (String, Vec<u8>) {
    let Packet::Publish(publish) = packet.packet() else { panic!("{packet} is no request") };
    let topic = publish.properties.response_topic().unwrap();
    (topic.into(), publish.properties.correlation_data().unwrap().to_vec())
}

fn respond(world: &mut World, correlation_data: &[u8], qos: QoS, payload: &'static str) {
    let list = [Property::CorrelationData(correlation_data)];
    let properties = Properties::List(&list);
    world.server(Publish { properties, ..publish("answers/c", qos, 1, payload) });
}

#[test]
fn a_response_finds_its_request_whatever_the_order() {
    scenario(|world| {
        world.up(asking(), &[]);
        let first = request(world).get();
        let second = request(world).get();
        let sent = world.sent_packets();
        // The subscription comes first, once.
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[0].to_string(), "SUBSCRIBE #1 [\"answers/c\" QoS 1]");
        let (topic, data_1) = asked(&sent[1]);
        let (_, data_2) = asked(&sent[2]);
        assert_eq!(topic, "answers/c");
        assert_ne!(data_1, data_2);
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1]));
        assert_eq!(world.told(), [""; 0], "a request is complete with its response");
        respond(world, &data_2, QoS::AtMostOnce, "two");
        respond(world, &data_1, QoS::AtLeastOnce, "one");
        let expected = [
            format!("response {second}: answers/c QoS 0 \"two\""),
            format!("response {first}: answers/c QoS 1 \"one\""),
        ];
        assert_eq!(world.told(), expected);
        assert_eq!(world.sent(), ["PUBACK #1"], "acknowledged as any other");
        // A second response is a message.
        respond(world, &data_1, QoS::AtMostOnce, "late");
        assert_eq!(world.told(), ["message answers/c QoS 0 \"late\""]);
        world.wait_secs(20);
        assert_eq!(world.told(), [""; 0]);
    });
}

#[test]
fn what_is_no_response_is_a_message() {
    scenario(|world| {
        world.up(asking(), &[]);
        request(world);
        let (_, data) = asked(&world.sent_packets()[1]);
        respond(world, b"x", QoS::AtMostOnce, "1");
        respond(world, &[0; 8], QoS::AtMostOnce, "2");
        respond(world, &[data.clone(), vec![0]].concat(), QoS::AtMostOnce, "3");
        world.server(publish("answers/c", QoS::AtMostOnce, 0, "4"));
        let list = [Property::CorrelationData(&data)];
        let properties = Properties::List(&list);
        world.server(Publish { properties, ..publish("elsewhere", QoS::AtMostOnce, 0, "5") });
        let told = world.told();
        assert_eq!(told.len(), 5);
        assert!(told.iter().all(|line| line.starts_with("message ")), "{told:?}");
    });
}

#[test]
fn a_request_without_a_response_times_out() {
    scenario(|world| {
        world.up(asking(), &[]);
        let handle = request(world).get();
        let sent = world.sent_packets();
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1]));
        world.wait(TIMEOUT - Duration::from_millis(1));
        assert_eq!(world.told(), [""; 0]);
        world.wait(Duration::from_millis(1));
        assert_eq!(world.told(), [format!("response {handle}: no response in time")]);
        respond(world, &asked(&sent[1]).1, QoS::AtMostOnce, "late");
        assert_eq!(world.told(), ["message answers/c QoS 0 \"late\""]);
    });
    // Without a connection too.
    scenario(|world| {
        world.start(asking());
        let handle = request(world).get();
        world.wait_secs(10);
        assert_eq!(world.told(), [format!("response {handle}: no response in time")]);
    });
}

#[test]
fn a_request_that_the_server_refuses_fails() {
    scenario(|world| {
        world.up(asking(), &[]);
        let ask = Publish { qos: QoS::AtLeastOnce, ..ASK };
        let [refused, taken] = [(); 2]
            .map(|()| world.call(|client, now| client.request(now, &ask, TIMEOUT)).unwrap().get());
        let sent = world.sent_packets();
        let id = |packet: &OwnedPacket| match packet.packet() {
            Packet::Publish(publish) => publish.packet_id.unwrap().get(),
            Packet::Subscribe(subscribe) => subscribe.packet_id.get(),
            other => panic!("{other}"),
        };
        let [subscription, first, second] = [id(&sent[0]), id(&sent[1]), id(&sent[2])];
        world.server(PubAck { reason_code: ReasonCode::NOT_AUTHORIZED, ..pub_ack(first) });
        world.server(pub_ack(second));
        assert_eq!(world.told(), [format!("response {refused}: refused with 0x87 Not authorized")]);
        world.server(sub_ack(subscription, &[ReasonCode::GRANTED_QOS_1])).wait_secs(10);
        assert_eq!(world.told(), [format!("response {taken}: no response in time")]);
    });
}

#[test]
fn a_subscription_that_was_refused_is_asked_for_again_with_the_next_request() {
    scenario(|world| {
        world.up(asking(), &[]);
        request(world);
        world.forget().server(sub_ack(1, &[ReasonCode::NOT_AUTHORIZED]));
        request(world);
        let sent = world.sent();
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert!(sent[0].starts_with("SUBSCRIBE"), "{sent:?}");
    });
}

#[test]
fn requests_made_before_the_connection_are_sent_behind_their_subscription() {
    scenario(|world| {
        world.start(asking());
        request(world);
        request(world);
        world.connect(false, &[]);
        let sent = world.sent();
        assert_eq!(sent.len(), 4, "{sent:?}");
        assert!(sent[1].starts_with("SUBSCRIBE"), "{sent:?}");
        assert!(sent[2].starts_with("PUBLISH") && sent[3].starts_with("PUBLISH"), "{sent:?}");
    });
}

#[test]
fn a_lost_session_is_subscribed_for_again_before_the_next_request() {
    scenario(|world| {
        world.up(asking(), &[]);
        request(world);
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1])).forget().again(false, &[]);
        request(world);
        let sent = world.sent();
        assert_eq!(sent.len(), 3, "{sent:?}");
        assert!(sent[1].starts_with("SUBSCRIBE") && sent[2].starts_with("PUBLISH"), "{sent:?}");
    });
}

#[test]
fn a_request_that_waited_while_the_session_was_lost_is_sent_behind_a_subscription() {
    scenario(|world| {
        let mut options = asking();
        options.clean_start = sansio_mqtt::client::CleanStart::Never;
        options.session_expiry_interval = 100;
        world.up(options, &[]);
        request(world);
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1])).lose();
        request(world);
        world.forget().connect(false, &[]);
        let sent = world.sent().split_off(1);
        assert_eq!(sent.len(), 2, "nobody could hear the response: {sent:?}");
        assert!(sent[0].starts_with("SUBSCRIBE"), "{sent:?}");
    });
}

#[test]
fn a_response_is_acknowledged_by_the_application_if_it_wants_to() {
    scenario(|world| {
        let mut options = asking();
        options.acknowledgement = Acknowledgement::Manual;
        world.up(options, &[]);
        request(world);
        let (_, data) = asked(&world.sent_packets()[1]);
        respond(world, &data, QoS::AtLeastOnce, "x");
        world.silent();
        let events = world.events();
        let [sansio_mqtt::client::Event::Response { result: Ok(delivery), .. }] = &events[..]
        else {
            panic!("{events:?}")
        };
        let delivery = delivery.delivery_id.unwrap();
        world.acknowledge(delivery);
        assert_eq!(world.sent(), ["PUBACK #1"]);
    });
}

#[test]
fn a_request_that_cannot_be_made_leaves_no_trace() {
    for (options, publish, expected) in [
        (v5(), ASK, CallError::NoResponseTopic),
        (
            asking(),
            Publish { properties: Properties::List(&[Property::ResponseTopic("mine")]), ..ASK },
            CallError::PropertyNotForCaller(sansio_mqtt::PropertyId::ResponseTopic),
        ),
        (
            asking(),
            Publish { properties: Properties::List(&[Property::CorrelationData(b"mine")]), ..ASK },
            CallError::PropertyNotForCaller(sansio_mqtt::PropertyId::CorrelationData),
        ),
    ] {
        scenario(|world| {
            world.up(options.clone(), &[]);
            let error = world.refused(|client, now| client.request(now, &publish, TIMEOUT));
            assert_eq!(error, expected);
        });
    }
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let mut options = of(version);
            options.response_topic = Some("answers".into());
            world.up(options, &[]);
            let error = world.refused(|client, now| client.request(now, &ASK, TIMEOUT));
            assert_eq!(error, CallError::NoResponseTopic);
        });
    }
}

#[test]
fn a_request_whose_message_is_refused_leaves_no_trace() {
    scenario(|world| {
        world.up(asking(), &[Property::MaximumQoS(QoS::AtMostOnce)]);
        for publish in [Publish { topic: "a/#", ..ASK }, Publish { qos: QoS::AtLeastOnce, ..ASK }] {
            world.refused(|client, now| client.request(now, &publish, TIMEOUT));
        }
        world.poll().silent();
    });
}

#[test]
fn requests_are_limited_as_messages_are() {
    scenario(|world| {
        let mut options = asking();
        options.maximum_held = 2;
        world.up(options, &[]);
        let handles = [request(world), request(world)];
        let error = world.refused(|client, now| client.request(now, &ASK, TIMEOUT));
        assert_eq!(error, CallError::QueueFull);
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1])).wait_secs(10);
        let events = world.events();
        for (event, expected) in events.iter().zip(handles) {
            let sansio_mqtt::client::Event::Response { handle, result } = event else {
                panic!("{event:?}")
            };
            assert_eq!((*handle, result.as_ref().err()), (expected, Some(&Failure::TimedOut)));
        }
        request(world);
    });
}
