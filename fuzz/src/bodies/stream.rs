//! A stream that arrives in chunks gives the packets and the errors of one that is there at
//! once; errors that are found early are those that are found late.

use bytes::BytesMut;
use sansio_mqtt::{Cause, DecodeError, Decoder, FixedHeader, OwnedPacket, Packet, Sender, Version};

/// What a decoder said, where in the stream, and what it was like after that.
type Event<'a> = (usize, Result<Packet<'a>, DecodeError>, Decoder);

/// The input is a byte for the decoder, two for its maximum packet size (0 for none), one for
/// the number of chunk sizes, those, which repeat, and the stream.
pub fn run(input: &[u8]) {
    let [mode, high, low, sizes, rest @ ..] = input else { return };
    let maximum = u32::from(u16::from_be_bytes([*high, *low]));
    let Some((sizes, stream)) = rest.split_at_checked(usize::from(sizes % 8)) else { return };
    let decoder = decoder(*mode, maximum);

    let whole = decode(decoder, stream, std::iter::once(stream.len()));
    whole.iter().for_each(|(at, event, _)| keeps_maximum(&stream[*at..], event, maximum));
    assert_eq!(decode(decoder, stream, chunk_ends(sizes)), whole, "in chunks of {sizes:?}");
    assert_eq!(decode(decoder, stream, 0..), whole, "byte by byte");
    owned(decoder, stream, sizes, &whole);
}

fn decoder(mode: u8, maximum: u32) -> Decoder {
    let decoder = match mode % 8 {
        0 | 1 => Decoder::from_client(),
        2 => Decoder::from_client().with_version(Version::V3_1),
        3 => Decoder::from_client().with_version(Version::V3_1_1),
        4 => Decoder::from_client().with_version(Version::V5),
        5 => Decoder::from_server(Version::V3_1),
        6 => Decoder::from_server(Version::V3_1_1),
        _ => Decoder::from_server(Version::V5),
    };
    assert_eq!(decoder.sender() == Sender::Client, mode % 8 < 5);
    if maximum == 0 { decoder } else { decoder.with_maximum_packet_size(maximum) }
}

/// A packet is too large if its header says so, and for nothing else, unless its first byte is
/// wrong already.
fn keeps_maximum(bytes: &[u8], event: &Result<Packet<'_>, DecodeError>, maximum: u32) {
    let header = FixedHeader::decode(bytes).ok().flatten();
    let size = header.map_or(0, |header| header.frame_len());
    let too_large = maximum != 0 && size > maximum as usize;
    let refused = event.is_err_and(|error| {
        matches!(error.cause, Cause::PacketTooLarge { .. }) || too_large && error.offset == 0
    });
    assert_eq!(refused, too_large, "{size} bytes, {maximum} are the maximum");
}

/// Where chunks of these sizes, over and over, end; a chunk of 0 is a wakeup for nothing.
fn chunk_ends(sizes: &[u8]) -> impl Iterator<Item = usize> {
    let sizes = if sizes.iter().all(|size| *size == 0) { &[3][..] } else { sizes };
    sizes.iter().cycle().scan(0, |end: &mut usize, size| {
        *end += usize::from(*size);
        Some(*end)
    })
}

fn decode<'a>(
    mut decoder: Decoder,
    stream: &'a [u8],
    ends: impl Iterator<Item = usize>,
) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    let mut at = 0;
    for end in ends.map(|end| end.min(stream.len())) {
        while at <= end {
            let before = decoder;
            match decoder.decode(&stream[at..end]) {
                Ok(Some((packet, len))) => {
                    events.push((at, Ok(packet), decoder));
                    at += len;
                }
                Ok(None) => {
                    assert_eq!(decoder, before);
                    break;
                }
                Err(error) => {
                    assert_eq!(decoder, before);
                    events.push((at, Err(error), decoder));
                    // Behind a packet whose length is not known nothing can be read.
                    let Some(len) = error.frame_len else { return events };
                    at += len;
                }
            }
        }
        if end == stream.len() {
            break;
        }
    }
    events
}

/// Packets that own their bytes are taken off a buffer as others are read from a slice.
fn owned(mut decoder: Decoder, stream: &[u8], sizes: &[u8], whole: &[Event<'_>]) {
    let mut buffer = BytesMut::new();
    let mut expected = whole.iter();
    let mut fed = 0;
    for end in chunk_ends(sizes).map(|end| end.min(stream.len())) {
        buffer.extend_from_slice(&stream[fed..end]);
        fed = end;
        loop {
            match OwnedPacket::decode(&mut decoder, &mut buffer) {
                Ok(Some(packet)) => {
                    let (_, wanted, after) = expected.next().expect("as many packets");
                    assert_eq!(Ok(packet.packet()), *wanted);
                    assert_eq!(decoder, *after);
                }
                Ok(None) => break,
                Err(error) => {
                    let (at, wanted, _) = expected.next().expect("as many errors");
                    assert_eq!(Err(error), *wanted);
                    assert_eq!(buffer, stream[*at..fed]);
                    return;
                }
            }
        }
        if fed == stream.len() {
            break;
        }
    }
    assert!(expected.next().is_none(), "fewer packets");
}
