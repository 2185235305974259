//! Packets written so that their fields can be seen, and what decoding makes of them.
//!
//! | written | bytes |
//! | --- | --- |
//! | `1f` | the byte |
//! | `'a/b'` | a string with its length before it |
//! | `..` | the Remaining Length of what follows |
//! | `{1f 'x'}` | properties with their length before them |
//!
//! `32 .. 'a' 0001 {}` is a PUBLISH of 5.0 to `a` with the Packet Identifier 1.

use std::iter::Peekable;
use std::str::Chars;

use sansio_mqtt::{Cause, DecodeError, Decoder, OwnedPacket, Packet, ReasonCode, Sender, Version};

pub(crate) const ALL: &[Version] = &Version::ALL;
pub(crate) const V3: &[Version] = &[Version::V3_1, Version::V3_1_1];
pub(crate) const V3_1: &[Version] = &[Version::V3_1];
pub(crate) const V3_1_1: &[Version] = &[Version::V3_1_1];
pub(crate) const V5: &[Version] = &[Version::V5];

pub(crate) const CLIENT: &[Sender] = &[Sender::Client];
pub(crate) const SERVER: &[Sender] = &[Sender::Server];
pub(crate) const EITHER: &[Sender] = &[Sender::Client, Sender::Server];

/// The bytes of a packet, or of a part of one.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    parse(&mut text.chars().peekable(), &mut out);
    out
}

/// Reads to the end, or past the `}` that ends properties.
fn parse(chars: &mut Peekable<Chars<'_>>, out: &mut Vec<u8>) {
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\n' => {}
            '}' => return,
            '{' => put_with_length(chars, out),
            '.' => {
                assert_eq!(chars.next(), Some('.'), "a length is two dots");
                return put_with_length(chars, out);
            }
            '\'' => {
                let text: String = chars.by_ref().take_while(|c| *c != '\'').collect();
                out.extend(string(text.as_bytes()));
            }
            high => {
                let digits = (high.to_digit(16), chars.next().and_then(|low| low.to_digit(16)));
                let (Some(high), Some(low)) = digits else { panic!("no byte: {high:?}") };
                out.extend(u8::try_from(high << 4 | low));
            }
        }
    }
}

fn put_with_length(chars: &mut Peekable<Chars<'_>>, out: &mut Vec<u8>) {
    let mut inner = Vec::new();
    parse(chars, &mut inner);
    let mut len = inner.len();
    while len >= 0x80 {
        out.extend(u8::try_from(len % 0x80 + 0x80));
        len /= 0x80;
    }
    out.extend(u8::try_from(len));
    out.extend(inner);
}

/// A string or binary data with its length.
pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    let Ok(len) = u16::try_from(text.len()) else { panic!("{} bytes", text.len()) };
    [&len.to_be_bytes(), text].concat()
}

/// As digits, to be written into a packet.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with one whole packet, which is the same whole, in a stream, byte by byte and
/// owned.
#[track_caller]
pub(crate) fn refused(frame: &[u8], version: Version, sender: Sender) -> DecodeError {
    let error = match Packet::decode(frame, version, sender) {
        Err(error) => error,
        Ok(packet) => panic!("{version} from {sender}: accepted {packet}, {frame:02x?}"),
    };
    let mut decoder = decoder(version, sender);
    assert_eq!(decoder.decode(frame), Err(error), "in a stream");
    let owned = OwnedPacket::from_frame(frame.to_vec().into(), version, sender);
    assert_eq!(owned.err(), Some(error), "owned");
    for len in 0..frame.len() {
        match decoder.decode(&frame[..len]) {
            Ok(None) => {}
            early => assert_eq!(early, Err(error), "{len} bytes of it"),
        }
    }
    error
}

pub(crate) const MALFORMED: u8 = 0x81;
pub(crate) const PROTOCOL_ERROR: u8 = 0x82;

/// In which versions, from whom, what, and why not.
pub(crate) type Row<'a> = (&'a [Version], &'a [Sender], &'a str, Cause);

/// All rows are refused for their cause, and with the same Reason Code.
#[track_caller]
pub(crate) fn refuses(code: u8, rows: &[Row<'_>]) {
    for (versions, senders, text, cause) in rows {
        for version in *versions {
            for sender in *senders {
                let error = refused(&bytes(text), *version, *sender);
                let expected = (*cause, ReasonCode::new(code));
                assert_eq!((error.cause, error.reason_code()), expected, "{version}: {text}");
            }
        }
    }
}

/// Decodes one whole packet, which is the same whole, in a stream and byte by byte, and encodes
/// to the same bytes.
#[track_caller]
pub(crate) fn accepted(frame: &[u8], version: Version, sender: Sender) -> Packet<'_> {
    let packet = match Packet::decode(frame, version, sender) {
        Ok(packet) => packet,
        Err(error) => panic!("{version} from {sender}: {error}, {frame:02x?}"),
    };
    let mut decoder = decoder(version, sender);
    for len in 0..frame.len() {
        assert_eq!(decoder.decode(&frame[..len]), Ok(None), "{len} bytes of it");
    }
    assert_eq!(decoder.decode(frame), Ok(Some((packet, frame.len()))), "in a stream");
    let mut out = Vec::new();
    assert_eq!(packet.encode(version, &mut out), Ok(()));
    assert_eq!(out, frame, "encoded again");
    packet
}

/// For the middle of a stream, when the version is known.
pub(crate) fn decoder(version: Version, sender: Sender) -> Decoder {
    match sender {
        Sender::Client => Decoder::from_client().with_version(version),
        Sender::Server => Decoder::from_server(version),
    }
}
