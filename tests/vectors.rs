//! Every golden vector decodes and encodes as it says, or is refused as it says.

#[path = "support/dump.rs"]
mod dump;
#[path = "support/vector.rs"]
mod vector;

use std::path::Path;

use bytes::Bytes;
use sansio_mqtt::{
    Connect, DecodeError, Decoder, EncodeError, FixedHeader, OwnedPacket, Packet, PacketType,
    Sender, Version,
};

use dump::Dump;
use vector::{Expected, Result, Vector};

/// A directory that lost some is a failure.
const FEWEST_VECTORS: usize = 3_600;

#[test]
fn every_vector_holds_for_every_version_and_sender_it_names() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors");
    let vectors = vector::read_all(&dir).unwrap();
    assert!(vectors.len() >= FEWEST_VECTORS, "{} vectors", vectors.len());

    let failures: Vec<_> = vectors.iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn failures(vector: &Vector) -> Vec<String> {
    let mut failures = Vec::new();
    for &version in &vector.versions {
        for &sender in &vector.senders {
            let checked = match &vector.expected {
                Expected::Accept { packet, encoded } => {
                    check_accepted(vector, version, sender, packet, encoded)
                }
                Expected::Reject { .. } => check_rejected(vector, version, sender),
            };
            if let Err(failure) = checked {
                let place = &vector.place;
                failures.push(format!("{place}: MQTT {version} from {sender}: {failure}"));
            }
        }
    }
    failures
}

fn check_accepted(
    vector: &Vector,
    version: Version,
    sender: Sender,
    expected: &str,
    encoded: &[u8],
) -> Result<()> {
    let bytes = vector.bytes.as_slice();
    let packet = Packet::decode(bytes, version, sender).map_err(|error| error.to_string())?;
    let dump = Dump { packet: &packet, longest_payload: usize::MAX }.to_string();
    same(dump.as_str(), expected, "decodes to")?;
    check_stream(decoder(version, sender), bytes, packet)?;
    if packet.packet_type() == PacketType::Connect {
        check_stream(Decoder::from_client(), bytes, packet)?;
        same(Connect::decode_any_version(bytes).map(Packet::Connect), Ok(packet), "any version")?;
    }
    check_owned(bytes, version, sender, packet)?;
    check_encoding(&packet, version, encoded)
}

/// Whole, byte by byte and with other bytes behind it.
fn check_stream(mut decoder: Decoder, bytes: &[u8], packet: Packet<'_>) -> Result<()> {
    for len in 0..bytes.len() {
        same(decoder.decode(&bytes[..len]), Ok(None), &format!("{len} bytes decode to"))?;
    }
    let mut two = bytes.to_vec();
    two.push(0xff);
    same(decoder.decode(&two), Ok(Some((packet, bytes.len()))), "with a byte behind it")?;
    same(decoder.decode(bytes), Ok(Some((packet, bytes.len()))), "in a stream")?;
    let header = FixedHeader::decode(bytes).map_err(|error| error.to_string())?;
    same(header.map(|header| header.frame_len()), Some(bytes.len()), "frame_len")
}

fn check_owned(bytes: &[u8], version: Version, sender: Sender, packet: Packet<'_>) -> Result<()> {
    let owned = OwnedPacket::from_frame(Bytes::copy_from_slice(bytes), version, sender)
        .map_err(|error| error.to_string())?;
    same(owned.packet(), packet, "owned")
}

fn check_encoding(packet: &Packet<'_>, version: Version, expected: &[u8]) -> Result<()> {
    let fault = |error: EncodeError| format!("encodes to an error: {error}");
    same(packet.encoded_len(version).map_err(fault)?, expected.len(), "encoded_len")?;

    let mut out = b"before".to_vec();
    packet.encode(version, &mut out).map_err(fault)?;
    same(&out[6..], expected, "encodes to")?;

    let mut exact = vec![0; expected.len()];
    let mut room = exact.as_mut_slice();
    packet.encode(version, &mut room).map_err(fault)?;
    same(room.len(), 0, "room left")?;
    same(exact.as_slice(), expected, "encodes into a slice")?;

    let mut head = Vec::new();
    let payload = packet.encode_split(version, &mut head).map_err(fault)?;
    let payload_len = match packet {
        Packet::Publish(publish) => publish.payload.len(),
        _ => 0,
    };
    same(payload.len(), payload_len, "split payload")?;
    same([head.as_slice(), payload].concat().as_slice(), expected, "encodes in two")?;

    let short = expected.len() - 1;
    let mut small = vec![0xa5; short];
    let error = packet.encode(version, &mut small.as_mut_slice());
    let too_small = EncodeError::BufferTooSmall { needed: expected.len(), available: short };
    same(error, Err(too_small), "encodes into too little room")?;
    same(small, vec![0xa5; short], "too little room then holds")
}

fn check_rejected(vector: &Vector, version: Version, sender: Sender) -> Result<()> {
    let bytes = vector.bytes.as_slice();
    let error = check_refused_stream(decoder(version, sender), vector)?;
    // `Packet::decode` wants the whole frame, which a vector need not be.
    if error.frame_len.is_none_or(|len| len == bytes.len()) {
        same(
            Packet::decode(bytes, version, sender).err(),
            Some(error),
            "decodes as one packet to",
        )?;
    }
    let is_connect = bytes.first().is_some_and(|first| first >> 4 == PacketType::Connect as u8);
    if is_connect && sender == Sender::Client {
        check_refused_stream(Decoder::from_client(), vector)?;
        if error.frame_len.is_none_or(|len| len == bytes.len()) {
            // Which version it is, is known only from where the CONNECT has told it.
            let any = Connect::decode_any_version(bytes).err().map(|mut any| {
                any.version = any.version.or(Some(version));
                any
            });
            same(any, Some(error), "decodes as a CONNECT of any version to")?;
        }
    }
    Ok(())
}

/// Whole and byte by byte; the error may come before the last byte, but no other may.
fn check_refused_stream(mut decoder: Decoder, vector: &Vector) -> Result<DecodeError> {
    let Expected::Reject { cause, reason_code, offset } = &vector.expected else {
        return Err("accepted".into());
    };
    let expected = format!("{cause} {reason_code:#04x} @{offset}");
    let bytes = vector.bytes.as_slice();
    let before = decoder;
    let error = match decoder.decode(bytes) {
        Ok(accepted) => return Err(format!("expected {expected}\n    got {accepted:?}")),
        Err(error) => error,
    };
    let got = format!("{} {:#04x} @{}", name(error), error.reason_code().get(), error.offset);
    same(got, expected, "decodes to")?;
    let mut refused = false;
    for len in 0..bytes.len() {
        match decoder.decode(&bytes[..len]) {
            Ok(None) if !refused => {}
            Err(early) if early == error => refused = true,
            other => return Err(format!("{len} bytes of it decode to {other:?}")),
        }
    }
    same(decoder, before, "the decoder changes to")?;
    Ok(error)
}

fn decoder(version: Version, sender: Sender) -> Decoder {
    match sender {
        Sender::Client => Decoder::from_client().with_version(version),
        Sender::Server => Decoder::from_server(version),
    }
}

/// The name of the variant, without its fields.
fn name(error: DecodeError) -> String {
    let debug = format!("{:?}", error.cause);
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T, what: &str) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (format!("{got:02x?}"), format!("{expected:02x?}"));
    Err(format!("{what}\n         {}\n    not  {}", cut(&got), cut(&expected)))
}

/// No more of a line than one reads.
fn cut(line: &str) -> String {
    let mut out: String = line.chars().take(600).collect();
    if out.len() < line.len() {
        out.push('…');
    }
    out
}
