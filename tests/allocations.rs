//! The codec allocates nothing: decoding, reading, encoding and refusing of every golden vector
//! is done without the allocator. What owns its bytes allocates what sharing needs, and no more.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::{self, Write};
use std::hint::black_box;
use std::path::Path;

use bytes::{Buf, Bytes, BytesMut};
use sansio_mqtt::{
    Connect, DecodeError, Decoder, Message, OwnedPacket, Packet, PacketId, PacketType, Properties,
    Property, Publish, QoS, Sender, Subscribe, Subscription, Version,
};

#[allow(dead_code, reason = "what the vectors say is checked by `vectors.rs`")]
#[path = "support/vector.rs"]
mod vector;

use vector::{Expected, Vector};

/// Counts what each thread asks for, since tests run on threads of their own.
struct Counting;

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { allocations: 0, bytes: 0 }) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    allocations: usize,
    bytes: usize,
}

const NONE: Count = Count { allocations: 0, bytes: 0 };

impl Counting {
    fn count(bytes: usize) {
        COUNT.with(|cell| {
            let Count { allocations, bytes: before } = cell.get();
            cell.set(Count { allocations: allocations + 1, bytes: before + bytes });
        });
    }
}

// SAFETY: all is left to the system's allocator; counting changes nothing but a `Cell`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `action` asks the allocator for, growing what is there included.
fn count<T>(action: impl FnOnce() -> T) -> (Count, T) {
    let before = COUNT.with(Cell::get);
    let result = action();
    let after = COUNT.with(Cell::get);
    let count = Count {
        allocations: after.allocations - before.allocations,
        bytes: after.bytes - before.bytes,
    };
    (count, result)
}

/// Takes text and keeps nothing of it but its length.
struct Sink(usize);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[test]
fn the_counter_sees_allocations() {
    let (found, bytes) = count(|| vec![0u8; 40]);
    assert_eq!(found, Count { allocations: 1, bytes: 40 });
    let (found, _) = count(move || {
        let mut bytes = bytes;
        bytes.reserve_exact(60);
        bytes
    });
    assert_eq!(found, Count { allocations: 1, bytes: 100 });
    assert_eq!(count(|| 1).0, NONE);
}

#[test]
fn decoding_and_reading_any_packet_allocates_nothing() {
    let mut decoded = 0;
    for (vector, version, sender, _) in accepted(&vectors()) {
        let (found, result) = count(|| {
            let packet = Packet::decode(&vector.bytes, version, sender)?;
            Ok::<_, DecodeError>(black_box(read(&packet)))
        });
        assert_eq!(found, NONE, "{} in {version}", vector.place);
        assert!(result.unwrap() > 0);
        let (found, result) = count(|| {
            let mut decoder = decoder(&vector.bytes, version, sender);
            // First the header without its body, as it comes from a socket.
            assert_eq!(decoder.decode(&vector.bytes[..1]), Ok(None));
            decoder.decode(&vector.bytes).map(|found| found.map(|(packet, _)| read(&packet)))
        });
        assert_eq!(found, NONE, "{} in {version}, by Decoder", vector.place);
        assert!(result.unwrap().is_some());
        decoded += 1;
    }
    assert!(decoded > 1_000, "{decoded} packets");
}

#[test]
fn refusing_any_packet_allocates_nothing() {
    let mut refused = 0;
    for vector in vectors() {
        let Expected::Reject { .. } = vector.expected else { continue };
        for (version, sender) in scopes(&vector) {
            let mut sink = Sink(0);
            let (found, result) = count(|| {
                let result = Packet::decode(&vector.bytes, version, sender);
                if let Err(error) = result {
                    black_box(error.reason_code());
                    write!(sink, "{error} {error:?}").unwrap();
                }
                let mut decoder = decoder(&vector.bytes, version, sender);
                black_box(decoder.decode(&vector.bytes).is_err());
                result
            });
            assert_eq!(found, NONE, "{} in {version}", vector.place);
            refused += usize::from(result.is_err());
        }
    }
    assert!(refused > 3_000, "{refused} packets");
}

#[test]
fn encoding_into_room_that_is_there_allocates_nothing() {
    let mut vec = Vec::with_capacity(300_000);
    let mut bytes_mut = BytesMut::with_capacity(300_000);
    let mut slice = vec![0; 300_000];
    for (vector, version, sender, encoded) in accepted(&vectors()) {
        vec.clear();
        bytes_mut.clear();
        let (found, len) = count(|| {
            let packet = Packet::decode(&vector.bytes, version, sender).unwrap();
            packet.encode(version, &mut vec).unwrap();
            packet.encode(version, &mut bytes_mut).unwrap();
            packet.encode(version, &mut &mut slice[..]).unwrap();
            packet.check(version).unwrap().encoded_len()
        });
        assert_eq!(found, NONE, "{} in {version}", vector.place);
        assert_eq!(vec, encoded, "{}", vector.place);
        assert_eq!(bytes_mut, encoded, "{}", vector.place);
        assert_eq!(slice[..len], *encoded, "{}", vector.place);

        vec.clear();
        let (found, payload) = count(|| {
            let packet = Packet::decode(&vector.bytes, version, sender).unwrap();
            packet.encode_split(version, &mut vec).unwrap()
        });
        assert_eq!(found, NONE, "{} in {version}, split", vector.place);
        vec.extend_from_slice(payload);
        assert_eq!(vec, encoded, "{}", vector.place);
    }
}

#[test]
fn failing_to_encode_allocates_nothing() {
    let long = "a".repeat(65_536);
    let id = PacketId::MIN;
    let filter = [Subscription::new("a/#b", QoS::AtMostOnce)];
    let name = [Property::UserProperty(&long, "")];
    let packets = [
        Packet::from(Publish { topic: &long, ..Default::default() }),
        Packet::from(Publish { topic: "a/+", ..Default::default() }),
        Packet::from(Publish { topic: "a", properties: (&name).into(), ..Default::default() }),
        Packet::from(Subscribe::new(id, &filter)),
        Packet::from(Connect { client_id: "a\0", ..Default::default() }),
    ];
    let mut out = Vec::with_capacity(100);
    for packet in &packets {
        let (found, result) = count(|| packet.encode(Version::V5, &mut out));
        assert_eq!((found, out.len(), result.is_err()), (NONE, 0, true), "{packet}");
    }
    let fits = Packet::from(Publish { topic: "a", ..Default::default() });
    let (found, result) = count(|| fits.encode(Version::V5, &mut &mut [0; 4][..]));
    assert_eq!((found, result.is_err()), (NONE, true));
}

#[test]
fn leaving_out_what_a_version_lacks_allocates_nothing() {
    for (vector, version, sender, _) in accepted(&vectors()) {
        let packet = Packet::decode(&vector.bytes, version, sender).unwrap();
        for version in Version::ALL {
            let (found, _) = count(|| {
                let packet = packet.for_version(version).ok()?;
                packet.encoded_len(version).ok()
            });
            assert_eq!(found, NONE, "{} for {version}", vector.place);
        }
    }
}

/// CVE-2017-7651, CVE-2023-0809: memory was reserved for a length that a peer only claims.
#[test]
fn a_header_that_claims_256_mib_reserves_no_memory() {
    let claim = [0x10, 0xff, 0xff, 0xff, 0x7f];
    let mut received = BytesMut::with_capacity(64);
    received.extend_from_slice(&claim);
    let (found, ()) = count(|| {
        let mut decoder = Decoder::from_client();
        assert_eq!(decoder.decode(&claim), Ok(None));
        assert_eq!(OwnedPacket::decode(&mut decoder, &mut received), Ok(None));
        let mut decoder = Decoder::from_client().with_maximum_packet_size(1 << 16);
        assert!(decoder.decode(&claim).is_err());
    });
    assert_eq!(found, NONE);
    assert_eq!((&received[..], received.capacity()), (&claim[..], 64));
}

/// CVE-2021-41039: CONNECT with thousands of User Properties.
#[test]
fn thousands_of_user_properties_take_no_memory_and_keep_their_order() {
    let size_of_one = |count: usize| {
        let texts: Vec<String> = (0..count).map(|index| index.to_string()).collect();
        let list: Vec<_> = texts.iter().map(|text| Property::UserProperty(text, "v")).collect();
        let connect = Connect { properties: Properties::List(&list), ..Default::default() };
        let mut frame = Vec::new();
        Packet::from(connect).encode(Version::V5, &mut frame).unwrap();
        let (found, properties) = count_user_properties(&frame, &texts);
        assert_eq!((found, properties), (NONE, count));
        let packet = Packet::decode(&frame, Version::V5, Sender::Client).unwrap();
        size_of_val(&packet)
    };
    // No wall clock: the time is not measured here. The bytes are read once when they are
    // checked, and what is known of those before is one bit for each of 27 identifiers, so that
    // eight times the properties are eight times the work.
    assert_eq!(size_of_one(1_000), size_of_one(8_000));
}

/// Decodes the frame and reads its User Properties, whose names are these.
fn count_user_properties(frame: &[u8], names: &[String]) -> (Count, usize) {
    count(|| {
        let packet = Packet::decode(frame, Version::V5, Sender::Client).unwrap();
        let Packet::Connect(connect) = packet else { panic!("{packet}") };
        let mut names = names.iter();
        let found = connect.properties.user_properties();
        found.inspect(|(name, _)| assert_eq!(Some(*name), names.next().map(|s| s.as_str()))).count()
    })
}

/// `BytesMut` counts references from its first split on, for which it allocates once; every
/// later packet of the same buffer is free.
#[test]
fn owning_packets_of_one_buffer_allocates_once_in_all() {
    let frame = b"\x32\x0c\x00\x03a/b\x00\x07hello";
    let mut received = BytesMut::from(&frame.repeat(10)[..]);
    let mut decoder = Decoder::from_server(Version::V3_1_1);
    let mut allocations = Vec::with_capacity(10);
    let mut packets = Vec::with_capacity(10);
    while received.has_remaining() {
        let (found, packet) = count(|| OwnedPacket::decode(&mut decoder, &mut received));
        allocations.push(found.allocations);
        packets.push(packet.unwrap().unwrap());
    }
    assert_eq!(allocations, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

    let (found, copies) = count(|| (packets[3].clone(), read(&packets[3].packet())));
    assert_eq!(found, NONE);
    assert_eq!(copies.0, packets[3]);
    let bytes = Bytes::from_static(frame);
    let (found, owned) =
        count(|| OwnedPacket::from_frame(bytes, Version::V3_1_1, Sender::Server).unwrap());
    assert_eq!((found, owned.packet().packet_type()), (NONE, PacketType::Publish));
}

/// A compact copy has storage for all of its parts in one piece; a count of references to it
/// comes with the first that is shared.
#[test]
fn a_message_shares_its_frame_for_nothing_and_is_compacted_for_one_allocation() {
    let frame = b"\x32\x0f\x00\x03a/b\x00\x07\x02\x01\x01payload";
    let mut received = BytesMut::from(&frame[..]);
    let mut decoder = Decoder::from_server(Version::V5);
    let owned = OwnedPacket::decode(&mut decoder, &mut received).unwrap().unwrap();
    let (found, message) = count(|| owned.message().unwrap());
    assert_eq!(found, NONE);

    let (found, again) = count(|| {
        let Packet::Publish(publish) = owned.packet() else { panic!("no PUBLISH") };
        Message::from_publish(&publish, Version::V5, owned.frame()).unwrap()
    });
    assert_eq!((found, &again), (NONE, &message));
    assert_eq!(count(|| message.clone().with_qos(QoS::AtMostOnce).size()).0, NONE);

    let (found, compact) = count(|| message.compact());
    assert_eq!(compact, message);
    assert_eq!((found.allocations, found.bytes), (1, message.size()));
    let (found, shared) = count(|| compact.clone());
    assert!(found.allocations == 1 && found.bytes <= 64, "{found:?}");
    assert_eq!(count(|| (compact.clone(), shared.clone())).0, NONE);
}

/// Properties that belong to the connection are left out, and the others are copied for that.
#[test]
fn a_message_without_the_topic_alias_of_its_publish_is_made_for_few_allocations() {
    let rows: [&[u8]; 4] = [
        b"\x30\x08\x00\x01a\x03\x23\x00\x01x",
        b"\x30\x0a\x00\x01a\x05\x23\x00\x01\x01\x01x",
        b"\x30\x07\x00\x01a\x02\x0b\x01x",
        b"\x30\x09\x00\x01a\x04\x0b\x01\x01\x01x",
    ];
    for frame in rows {
        let frame = Bytes::from_static(frame);
        let owned = OwnedPacket::from_frame(frame, Version::V5, Sender::Server).unwrap();
        let (found, message) = count(|| owned.message().unwrap());
        assert!(found.allocations <= 2, "{found:?} {message:?}");
    }
}

fn vectors() -> Vec<Vector> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors");
    vector::read_all(&vectors).unwrap()
}

fn scopes(vector: &Vector) -> impl Iterator<Item = (Version, Sender)> {
    let versions = vector.versions.iter();
    versions.flat_map(|version| vector.senders.iter().map(|sender| (*version, *sender)))
}

/// The vectors that are packets, for each version and sender, and what they encode to.
fn accepted(vectors: &[Vector]) -> impl Iterator<Item = (&Vector, Version, Sender, &[u8])> {
    vectors.iter().flat_map(|vector| {
        let encoded = match &vector.expected {
            Expected::Accept { encoded, .. } => Some(&encoded[..]),
            Expected::Reject { .. } => None,
        };
        let all = scopes(vector).map(move |(version, sender)| (vector, version, sender, encoded));
        all.filter_map(|(vector, version, sender, encoded)| {
            Some((vector, version, sender, encoded?))
        })
    })
}

/// For a stream that begins with these bytes: a server learns the version from a CONNECT.
fn decoder(bytes: &[u8], version: Version, sender: Sender) -> Decoder {
    match sender {
        Sender::Server => Decoder::from_server(version),
        Sender::Client if bytes.first() == Some(&0x10) => Decoder::from_client(),
        Sender::Client => Decoder::from_client().with_version(version),
    }
}

/// Reads all that a packet holds, by iterating and by name, and shows it; says how much that
/// was.
fn read(packet: &Packet<'_>) -> usize {
    let mut sink = Sink(0);
    write!(sink, "{packet} {packet:?} {packet:#?}").unwrap();
    let lists = match packet {
        Packet::Connect(packet) => {
            let will = packet.will.as_ref().map_or(0, |will| read_properties(&will.properties));
            will + read_properties(&packet.properties)
        }
        Packet::ConnAck(packet) => read_properties(&packet.properties),
        Packet::Publish(packet) => read_properties(&packet.properties) + packet.payload.len(),
        Packet::PubAck(packet) => read_properties(&packet.properties),
        Packet::PubRec(packet) => read_properties(&packet.properties),
        Packet::PubRel(packet) => read_properties(&packet.properties),
        Packet::PubComp(packet) => read_properties(&packet.properties),
        Packet::Subscribe(packet) => {
            read_properties(&packet.properties) + packet.subscriptions.iter().count()
        }
        Packet::SubAck(packet) => {
            read_properties(&packet.properties) + packet.reason_codes.iter().count()
        }
        Packet::Unsubscribe(packet) => {
            let lengths = packet.topic_filters.iter().map(str::len);
            read_properties(&packet.properties) + lengths.sum::<usize>()
        }
        Packet::UnsubAck(packet) => {
            read_properties(&packet.properties) + packet.reason_codes.iter().count()
        }
        Packet::PingReq | Packet::PingResp => 0,
        Packet::Disconnect(packet) => read_properties(&packet.properties),
        Packet::Auth(packet) => read_properties(&packet.properties),
    };
    sink.0 + lists
}

fn read_properties(properties: &Properties<'_>) -> usize {
    black_box(properties.payload_format_indicator());
    black_box(properties.message_expiry_interval());
    black_box(properties.content_type());
    black_box(properties.response_topic());
    black_box(properties.correlation_data());
    black_box(properties.session_expiry_interval());
    black_box(properties.assigned_client_identifier());
    black_box(properties.server_keep_alive());
    black_box(properties.authentication_method());
    black_box(properties.authentication_data());
    black_box(properties.request_problem_information());
    black_box(properties.will_delay_interval());
    black_box(properties.request_response_information());
    black_box(properties.response_information());
    black_box(properties.server_reference());
    black_box(properties.reason_string());
    black_box(properties.receive_maximum());
    black_box(properties.topic_alias_maximum());
    black_box(properties.topic_alias());
    black_box(properties.maximum_qos());
    black_box(properties.retain_available());
    black_box(properties.maximum_packet_size());
    black_box(properties.wildcard_subscription_available());
    black_box(properties.subscription_identifier_available());
    black_box(properties.shared_subscription_available());
    let identifiers = properties.subscription_identifiers().count();
    identifiers + properties.user_properties().count() + properties.iter().count()
}
