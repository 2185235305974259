//! Who sent a stream, and in which version, where that is not told.

use sansio_mqtt::{DecodeError, Decoder, FixedHeader, PacketType, Sender, Version};

use super::args::{self, Args};

/// Newest first. What fits 3.1 fits 3.1.1 as a rule.
const VERSIONS: [Version; 3] = [Version::V5, Version::V3_1_1, Version::V3_1];

/// The decoder for a stream, and how it was found if that needs explaining.
pub(super) fn decoder(args: &Args, bytes: &[u8]) -> (Decoder, Option<String>) {
    let from = args.from.map(args::From::sender);
    let sender = from.or_else(|| sender(bytes)).unwrap_or(Sender::Client);
    let decoder = match sender {
        Sender::Client => Decoder::from_client(),
        // The version is put right below.
        Sender::Server => Decoder::from_server(Version::V5),
    };
    if let Some(level) = args.version {
        return (decoder.with_version(level.version()), None);
    }
    let first = bytes.first().map(|first| first >> 4);
    if first.is_none() || first == Some(PacketType::Connect as u8) && sender == Sender::Client {
        return (decoder, None);
    }
    let (version, why) = version(bytes, decoder);
    let note = format!("taken for MQTT {version} from the {sender}: {why}");
    (decoder.with_version(version), Some(note))
}

/// Whose packet types the first ones are, of those that only one end sends.
fn sender(mut bytes: &[u8]) -> Option<Sender> {
    while let Ok(Some(header)) = FixedHeader::decode(bytes) {
        let sent_by = |sender| {
            let packet_type = header.packet_type();
            packet_type.is_some_and(|found| found.is_sent_by(sender, Version::V5))
        };
        match (sent_by(Sender::Client), sent_by(Sender::Server)) {
            (true, false) => return Some(Sender::Client),
            (false, true) => return Some(Sender::Server),
            _ => bytes = bytes.get(header.frame_len()..)?,
        }
    }
    None
}

/// The newest version that every packet fits, or else the one that fits the most bytes; and why
/// it is that.
pub(super) fn version(bytes: &[u8], decoder: Decoder) -> (Version, String) {
    let mut furthest = (Version::V5, 0);
    let mut faults = Vec::new();
    for version in VERSIONS {
        let Some((offset, error)) = first_error(bytes, decoder.with_version(version)) else {
            faults.push(format!("in {version} there is no fault"));
            return (version, faults.join("; "));
        };
        let at = offset + error.offset;
        faults.push(format!("in {version} there is a fault at byte {at}, {}", error.cause));
        if offset > furthest.1 {
            furthest = (version, offset);
        }
    }
    (furthest.0, faults.join("; "))
}

/// The first packet that is none: where it begins, and why it is none.
fn first_error(bytes: &[u8], mut decoder: Decoder) -> Option<(usize, DecodeError)> {
    let mut offset = 0;
    loop {
        match decoder.decode(bytes.get(offset..)?) {
            Ok(Some((_, len))) => offset += len,
            Ok(None) => return None,
            Err(error) => return Some((offset, error)),
        }
    }
}
