//! How fast each kind of packet is decoded and encoded, small and large, in bytes a second.
//!
//! `cargo bench --bench codec -- publish` measures those with "publish" in their name. How that
//! compares with other codecs: `benches/peers`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot run may panic")]

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sansio_mqtt::topic::{check_filter, check_name};
use sansio_mqtt::{
    Auth, ConnAck, Connect, Decoder, Disconnect, Message, OwnedPacket, Packet, PacketId,
    Properties, Property, PubAck, PubComp, PubRec, PubRel, Publish, QoS, ReasonCode, Sender,
    SubAck, Subscribe, Subscription, TopicFilter, TopicName, UnsubAck, Unsubscribe, Version, Will,
};

const ID: PacketId = PacketId::MAX;
const TOPIC: &str = "plant/4711/dev/0815/temp";
const V3_1_1: &[Version] = &[Version::V3_1_1];
const V5: &[Version] = &[Version::V5];
const BOTH: &[Version] = &[Version::V3_1_1, Version::V5];

/// What is measured: a name, the versions, and the packet.
type Row = (&'static str, &'static [Version], Packet<'static>);

fn rows() -> Vec<Row> {
    let reason = Properties::List(&[Property::ReasonString("quota exceeded")]);
    let code = ReasonCode::QUOTA_EXCEEDED;
    let publish = |payload, properties| {
        let qos = QoS::AtLeastOnce;
        let packet_id = Some(ID);
        Publish { topic: TOPIC, qos, packet_id, payload, properties, ..Default::default() }.into()
    };
    let filters: &'static [&'static str] = vec!["plant/+/dev/0815/#"; 64].leak();
    let subscriptions: &'static [Subscription<'static>] =
        vec![Subscription::new("plant/+/dev/0815/#", QoS::AtLeastOnce); 64].leak();
    let codes: &'static [ReasonCode] = vec![ReasonCode::GRANTED_QOS_1; 64].leak();
    let zeros: &'static [u8] = vec![0; 1 << 20].leak();
    let none = Properties::NONE;
    vec![
        ("connect, small", BOTH, Connect { client_id: "sensor-7", ..connect() }.into()),
        ("connect, all fields", V5, Connect { version: Version::V5, ..full_connect() }.into()),
        ("connect, all fields", V3_1_1, full_connect().into()),
        ("connack, small", BOTH, ConnAck::default().into()),
        (
            "connack, all properties",
            V5,
            ConnAck { properties: LIMITS, ..Default::default() }.into(),
        ),
        ("publish, 0 B", BOTH, publish(&[], none)),
        ("publish, 64 B", BOTH, publish(&zeros[..64], none)),
        ("publish, 64 B, 5 properties", V5, publish(&zeros[..64], REQUEST)),
        ("publish, 16 KiB", BOTH, publish(&zeros[..16 << 10], none)),
        ("publish, 1 MiB", BOTH, publish(zeros, none)),
        ("puback", BOTH, PubAck::new(ID).into()),
        (
            "puback, reason string",
            V5,
            PubAck { reason_code: code, properties: reason, ..PubAck::new(ID) }.into(),
        ),
        ("pubrec", BOTH, PubRec::new(ID).into()),
        ("pubrel", BOTH, PubRel::new(ID).into()),
        ("pubcomp", BOTH, PubComp::new(ID).into()),
        ("subscribe, 1 filter", BOTH, Subscribe::new(ID, &subscriptions[..1]).into()),
        ("subscribe, 64 filters", BOTH, Subscribe::new(ID, subscriptions).into()),
        ("suback, 1 code", BOTH, SubAck::new(ID, &codes[..1]).into()),
        ("suback, 64 codes", BOTH, SubAck::new(ID, codes).into()),
        ("unsubscribe, 1 filter", BOTH, Unsubscribe::new(ID, &filters[..1]).into()),
        ("unsubscribe, 64 filters", BOTH, Unsubscribe::new(ID, filters).into()),
        ("unsuback", V3_1_1, UnsubAck::new(ID, &[]).into()),
        ("unsuback, 64 codes", V5, UnsubAck::new(ID, UNSUBSCRIBED).into()),
        ("pingreq", BOTH, Packet::PingReq),
        ("pingresp", BOTH, Packet::PingResp),
        ("disconnect", BOTH, Disconnect::default().into()),
        (
            "disconnect, reason string",
            V5,
            Disconnect { reason_code: code, properties: reason }.into(),
        ),
        (
            "auth",
            V5,
            Auth { reason_code: ReasonCode::CONTINUE_AUTHENTICATION, properties: PROOF }.into(),
        ),
    ]
}

const UNSUBSCRIBED: &[ReasonCode] = &[ReasonCode::SUCCESS; 64];

const REQUEST: Properties<'static> = Properties::List(&[
    Property::MessageExpiryInterval(60),
    Property::ResponseTopic("reply/0123456789ab"),
    Property::CorrelationData(b"\x00\x01\x02\x03\x04\x05\x06\x07"),
    Property::UserProperty("trace", "0123456789abcdef"),
    Property::UserProperty("region", "eu-4711"),
]);

const PROOF: Properties<'static> = Properties::List(&[
    Property::AuthenticationMethod("SCRAM-SHA-256"),
    Property::AuthenticationData(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"),
]);

const LIMITS: Properties<'static> = Properties::List(&[
    Property::SessionExpiryInterval(3600),
    Property::ReceiveMaximum(20),
    Property::MaximumQoS(QoS::AtLeastOnce),
    Property::RetainAvailable(true),
    Property::MaximumPacketSize(1 << 20),
    Property::AssignedClientIdentifier("auto-0123456789abcdef"),
    Property::TopicAliasMaximum(10),
    Property::ReasonString("welcome"),
    Property::UserProperty("node", "a"),
    Property::WildcardSubscriptionAvailable(true),
    Property::SubscriptionIdentifierAvailable(true),
    Property::SharedSubscriptionAvailable(true),
    Property::ServerKeepAlive(30),
    Property::ResponseInformation("reply/"),
    Property::ServerReference("other.example"),
]);

fn connect() -> Connect<'static> {
    Connect { keep_alive: 60, ..Default::default() }
}

fn full_connect() -> Connect<'static> {
    let will = Will { topic: TOPIC, payload: b"gone", qos: QoS::AtLeastOnce, ..Default::default() };
    Connect {
        version: Version::V3_1_1,
        client_id: "client-0123456789abcdef",
        will: Some(will),
        user_name: Some("user-01234567"),
        password: Some(b"0123456789abcdef"),
        ..connect()
    }
}

/// The packet for a version that it may not have been made for.
fn for_version(packet: &Packet<'static>, version: Version) -> Packet<'static> {
    match *packet {
        Packet::Connect(connect) => Packet::Connect(Connect { version, ..connect }),
        packet => packet,
    }
}

fn sender(packet: &Packet<'_>, version: Version) -> Sender {
    if packet.packet_type().is_sent_by(Sender::Server, version) {
        Sender::Server
    } else {
        Sender::Client
    }
}

fn packets(c: &mut Criterion) {
    for (name, versions, packet) in rows() {
        for version in versions {
            let packet = for_version(&packet, *version);
            let sender = sender(&packet, *version);
            let mut frame = Vec::new();
            packet.encode(*version, &mut frame).unwrap();
            let mut group = c.benchmark_group(format!("{name}, {version}"));
            group.throughput(Throughput::Bytes(frame.len() as u64));
            group.bench_function("decode", |b| {
                b.iter(|| Packet::decode(black_box(&frame), *version, sender).unwrap());
            });
            let mut out = Vec::with_capacity(frame.len());
            group.bench_function("encode", |b| {
                b.iter(|| {
                    out.clear();
                    black_box(&packet).encode(*version, &mut out).unwrap();
                });
            });
            let checked = packet.check(*version).unwrap();
            group.bench_function("encode checked", |b| {
                b.iter(|| {
                    out.clear();
                    black_box(&checked).encode(&mut out).unwrap();
                });
            });
            group.bench_function("encode split", |b| {
                b.iter(|| {
                    out.clear();
                    black_box(&packet).encode_split(*version, &mut out).unwrap().len()
                });
            });
        }
    }
}

/// A read of 64 KiB of small messages, borrowed and owned.
fn streams(c: &mut Criterion) {
    let version = Version::V5;
    let publish = Publish { topic: TOPIC, payload: &[0; 64], ..Default::default() };
    let mut stream = Vec::new();
    while stream.len() < 64 << 10 {
        Packet::from(publish).encode(version, &mut stream).unwrap();
    }
    let mut group = c.benchmark_group("stream of 64 KiB");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    let mut decoder = Decoder::from_server(version);
    group.bench_function("Decoder", |b| {
        b.iter(|| {
            let mut rest = &stream[..];
            while let Some((packet, len)) = decoder.decode(rest).unwrap() {
                black_box(&packet);
                rest = &rest[len..];
            }
        });
    });
    group.bench_function("OwnedPacket", |b| {
        b.iter(|| {
            let mut rest = BytesMut::from(&stream[..]);
            while let Some(packet) = OwnedPacket::decode(&mut decoder, &mut rest).unwrap() {
                black_box(&packet);
            }
        });
    });
    group.finish();

    let frame = Bytes::from(stream);
    c.bench_function("Message::from_publish", |b| {
        b.iter(|| Message::from_publish(black_box(&publish), version, &frame).unwrap());
    });
}

fn topics(c: &mut Criterion) {
    let filter = TopicFilter::new("plant/+/dev/0815/#").unwrap();
    let name = TopicName::new(TOPIC).unwrap();
    let mut group = c.benchmark_group("topics");
    group.bench_function("check_name", |b| b.iter(|| check_name(black_box(TOPIC))));
    group.bench_function("check_filter", |b| {
        b.iter(|| check_filter(black_box(filter.as_str()), Version::V5));
    });
    group.bench_function("matches", |b| b.iter(|| black_box(filter).matches(black_box(name))));
}

criterion_group! {
    name = codec;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20)
        .without_plots();
    targets = packets, streams, topics
}
criterion_main!(codec);
