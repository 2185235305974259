//! sansio-mqtt, the subject: borrows from a slice, every check on.
//!
//! * Decoding goes through the stream `Decoder`, of the client's packets or of the server's by
//!   the type of each, since a workload mixes both directions.
//! * Encoding checks and writes each packet (`encode`, into a slice as the floor does, and into a
//!   `BytesMut` as most peers do), or writes what was decoded and checked before (`checked`), as
//!   a broker sends messages on.
//! * `shared` hands the payload back in place of copying it, and keeps both parts for a vectored
//!   write.

use bytes::{Buf, BytesMut};
use sansio_mqtt::{
    Checked, Connect, Decoder, FixedHeader, Packet, PacketId, Properties, Property, PubAck, Publish, QoS,
    ReasonCode, Sender, SubAck, Subscribe, Subscription, Version, Will,
};

use crate::corpus::{self, Chunk, Pkt, Prop, Proto, id};
use crate::registry::{Fixed, Outcome, Registry};
use crate::tally::{self, Tally};

pub fn register(r: &mut Registry) {
    for proto in Proto::ALL {
        let version = version(proto);
        r.decode_slice("sansio-mqtt", proto, move |input, tally| decode(input, version, tally));

        let (new, clear, take) = (Fixed::new, Fixed::clear, Fixed::take);
        let run = move |packets: &[Packet<'static>], out: &mut Fixed| {
            fill(out, packets, |packet, rest| packet.encode(version, rest))
        };
        r.encode("sansio-mqtt", proto, build, new, clear, take, run);
        let run = |packets: &[Checked<'static, 'static>], out: &mut Fixed| {
            fill(out, packets, |packet, rest| packet.encode(rest))
        };
        let checked = move |chunk| check(chunk, version);
        r.encode("sansio-mqtt (checked)", proto, checked, new, clear, take, run);
        r.encode_bytes_mut("sansio-mqtt (BytesMut)", proto, build, move |packets, out| {
            packets.iter().try_for_each(|packet| packet.encode(version, out)).map_err(debug)
        });
        let (new, clear, take) = (Parts::default, Parts::clear, Parts::take);
        let run = move |packets: &[Packet<'static>], out: &mut Parts| {
            packets.iter().try_for_each(|packet| out.add(packet, version))
        };
        r.encode("sansio-mqtt (shared)", proto, build, new, clear, take, run);
    }
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

fn version(proto: Proto) -> Version {
    match proto {
        Proto::V4 => Version::V3_1_1,
        Proto::V5 => Version::V5,
    }
}

#[inline(always)]
fn decode(mut input: &[u8], version: Version, tally: &mut Tally) -> Outcome {
    let mut client = Decoder::from_client().with_version(version);
    let mut server = Decoder::from_server(version);
    while let Some(first) = input.first() {
        // PUBLISH and its acknowledgements are taken for the server's.
        let by_client = matches!(first >> 4, 1 | 8 | 10 | 12 | 14);
        let decoder = if by_client { &mut client } else { &mut server };
        let (packet, len) = decoder.decode(input).map_err(debug)?.ok_or("incomplete")?;
        report(&packet, tally);
        input = &input[len..];
    }
    Ok(())
}

#[inline(always)]
fn report(packet: &Packet<'_>, tally: &mut Tally) {
    match packet {
        Packet::Publish(p) => {
            let pid = p.packet_id.map_or(0, PacketId::get);
            tally.publish(p.topic.as_bytes(), p.qos.get(), pid, p.payload);
            properties(p.properties, tally);
        }
        Packet::PubAck(p) => {
            tally.puback(p.packet_id.get(), p.reason_code.get());
            properties(p.properties, tally);
        }
        Packet::Subscribe(p) => {
            tally.subscribe(p.packet_id.get());
            for subscription in p.subscriptions {
                tally.filter(subscription.topic_filter.as_bytes(), subscription.qos.get());
            }
            properties(p.properties, tally);
        }
        Packet::SubAck(p) => {
            tally.suback(p.packet_id.get());
            p.reason_codes.iter().for_each(|code| tally.granted(code.get()));
            properties(p.properties, tally);
        }
        Packet::PingReq => tally.ping(false),
        Packet::PingResp => tally.ping(true),
        Packet::Connect(p) => {
            let will = p.will.as_ref();
            tally.connect(tally::Connect {
                client_id: p.client_id.as_bytes(),
                keep_alive: p.keep_alive,
                clean: p.clean_start,
                will: will.map(|will| tally::Will {
                    topic: will.topic.as_bytes(),
                    payload: will.payload,
                    qos: will.qos.get(),
                    retain: will.retain,
                }),
                user: p.user_name.map(str::as_bytes),
                password: p.password,
            });
            properties(p.properties, tally);
            if let Some(will) = will {
                properties(will.properties, tally);
            }
        }
        _ => tally.other(),
    }
}

#[inline(always)]
fn properties(properties: Properties<'_>, tally: &mut Tally) {
    for property in properties {
        match property {
            Property::PayloadFormatIndicator(flag)
            | Property::RequestProblemInformation(flag)
            | Property::RequestResponseInformation(flag)
            | Property::RetainAvailable(flag)
            | Property::WildcardSubscriptionAvailable(flag)
            | Property::SubscriptionIdentifierAvailable(flag)
            | Property::SharedSubscriptionAvailable(flag) => tally.number(flag.into()),
            Property::MaximumQoS(qos) => tally.number(qos.get().into()),
            Property::ServerKeepAlive(value)
            | Property::ReceiveMaximum(value)
            | Property::TopicAliasMaximum(value)
            | Property::TopicAlias(value) => tally.number(value.into()),
            Property::MessageExpiryInterval(value)
            | Property::SessionExpiryInterval(value)
            | Property::WillDelayInterval(value)
            | Property::MaximumPacketSize(value)
            | Property::SubscriptionIdentifier(value) => tally.number(value),
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientIdentifier(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => tally.text(text.as_bytes()),
            Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
                tally.text(bytes);
            }
            Property::UserProperty(name, value) => tally.user(name.as_bytes(), value.as_bytes()),
        }
    }
}

/// Encodes behind one another into what is left of a fixed buffer.
#[inline(always)]
fn fill<P>(
    out: &mut Fixed,
    packets: &[P],
    encode: impl Fn(&P, &mut &mut [u8]) -> Result<(), sansio_mqtt::EncodeError>,
) -> Outcome {
    let mut rest = &mut out.bytes[out.len..];
    let before = rest.len();
    packets.iter().try_for_each(|packet| encode(packet, &mut rest)).map_err(debug)?;
    out.len += before - rest.len();
    Ok(())
}

/// What a vectored write takes: heads in one buffer, and payloads where they are.
#[derive(Default)]
struct Parts {
    heads: BytesMut,
    /// Where in `heads` a payload goes, and the payload.
    payloads: Vec<(usize, &'static [u8])>,
}

impl Parts {
    #[inline(always)]
    fn add(&mut self, packet: &Packet<'static>, version: Version) -> Outcome {
        let payload = packet.encode_split(version, &mut self.heads).map_err(debug)?;
        if !payload.is_empty() {
            self.payloads.push((self.heads.len(), payload));
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.payloads.clear();
    }

    fn take(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut from = 0;
        for (at, payload) in &self.payloads {
            all.extend_from_slice(&self.heads[from..*at]);
            all.extend_from_slice(payload);
            from = *at;
        }
        self.heads.advance(from);
        all.extend_from_slice(&self.heads);
        all
    }
}

/// What was decoded, and found fit to be sent on.
fn check(chunk: &'static Chunk, version: Version) -> Outcome<Vec<Checked<'static, 'static>>> {
    let mut packets = Vec::new();
    let mut rest = chunk.wire;
    while let Some(header) = FixedHeader::decode(rest).map_err(debug)? {
        let (frame, after) = rest.split_at(header.frame_len());
        let sender = match header.packet_type() {
            Some(kind) if kind.is_sent_by(Sender::Client, version) => Sender::Client,
            _ => Sender::Server,
        };
        packets.push(Packet::decode(frame, version, sender).map_err(debug)?);
        rest = after;
    }
    packets.leak().iter().map(|packet| packet.check(version).map_err(debug)).collect()
}

fn build(chunk: &'static Chunk) -> Outcome<Vec<Packet<'static>>> {
    Ok(chunk.model.iter().map(packet).collect())
}

fn packet(packet: &'static Pkt) -> Packet<'static> {
    let number = |pid: u16| PacketId::new(pid).expect("the corpus has no identifier 0");
    let level = |qos: u8| QoS::new(qos).expect("the corpus has no QoS 3");
    match packet {
        Pkt::Connect(connect) => self::connect(connect).into(),
        Pkt::Publish(p) => Packet::Publish(Publish {
            qos: level(p.qos),
            topic: &p.topic,
            packet_id: PacketId::new(p.pid),
            properties: list(&p.props),
            payload: &p.payload,
            ..Publish::default()
        }),
        Pkt::PubAck(pid) => PubAck::new(number(*pid)).into(),
        Pkt::Subscribe(pid, filters) => {
            let subscription =
                |(filter, qos): &'static (String, u8)| Subscription::new(filter, level(*qos));
            let list: Vec<_> = filters.iter().map(subscription).collect();
            Subscribe::new(number(*pid), list.leak()).into()
        }
        Pkt::SubAck(pid, codes) => {
            let list: Vec<_> = codes.iter().map(|code| ReasonCode::new(*code)).collect();
            SubAck::new(number(*pid), list.leak()).into()
        }
        Pkt::PingReq => Packet::PingReq,
        Pkt::PingResp => Packet::PingResp,
    }
}

fn connect(connect: &'static corpus::Connect) -> Connect<'static> {
    let will = &connect.will;
    Connect {
        version: if connect.props.is_empty() { Version::V3_1_1 } else { Version::V5 },
        clean_start: connect.clean,
        keep_alive: connect.keep_alive,
        properties: list(&connect.props),
        client_id: &connect.client_id,
        will: Some(Will {
            qos: QoS::new(will.qos).expect("the corpus has no QoS 3"),
            retain: will.retain,
            properties: list(&will.props),
            topic: &will.topic,
            payload: &will.payload,
        }),
        user_name: Some(&connect.user),
        password: Some(&connect.password),
    }
}

fn list(props: &'static [Prop]) -> Properties<'static> {
    let text = |bytes: &'static [u8]| std::str::from_utf8(bytes).expect("the corpus is text");
    let property = |prop: &'static Prop| match prop {
        Prop::Two(id::RECEIVE_MAX, value) => Property::ReceiveMaximum(*value),
        Prop::Two(id::TOPIC_ALIAS_MAX, value) => Property::TopicAliasMaximum(*value),
        Prop::Four(id::MESSAGE_EXPIRY, value) => Property::MessageExpiryInterval(*value),
        Prop::Four(id::SESSION_EXPIRY, value) => Property::SessionExpiryInterval(*value),
        Prop::Four(id::WILL_DELAY, value) => Property::WillDelayInterval(*value),
        Prop::Four(id::MAX_PACKET, value) => Property::MaximumPacketSize(*value),
        Prop::Bytes(id::CONTENT_TYPE, value) => Property::ContentType(text(value)),
        Prop::Bytes(id::RESPONSE_TOPIC, value) => Property::ResponseTopic(text(value)),
        Prop::Bytes(id::CORRELATION, value) => Property::CorrelationData(value),
        Prop::User(key, value) => Property::UserProperty(key, value),
        other => panic!("no property of the corpus: {other:?}"),
    };
    Properties::List(props.iter().map(property).collect::<Vec<_>>().leak())
}
