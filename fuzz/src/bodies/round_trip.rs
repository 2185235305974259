//! Any packet, valid or not: what encodes decodes to an equal packet, and to the same bytes
//! again; what does not encode leaves the buffer as it was.

use arbitrary::{Arbitrary as _, Result, Unstructured};
use sansio_mqtt::arbitrary::AnyPacket;
use sansio_mqtt::{EncodeError, OwnedPacket, Packet, Property, Sender, Version};

/// The input is read as `Arbitrary` reads it: see [`packet`].
pub fn run(input: &[u8]) {
    // An input that is too short is not worth to be looked at.
    let _ = packet(&mut Unstructured::new(input));
    let _ = owned(&mut Unstructured::new(input));
}

/// A version, whether to mend the packet and for whom, how to stretch it, and the packet.
fn packet(u: &mut Unstructured<'_>) -> Result<()> {
    let version = u.arbitrary()?;
    let sender = u.arbitrary()?;
    let mend = u.arbitrary()?;
    let stretch: u8 = u.arbitrary()?;
    let mut any = AnyPacket::arbitrary(u)?;
    if mend {
        any.mend(version, sender);
    }
    check(&any.packet(), version, mend.then_some(sender));
    check_stretched(any.packet(), version, stretch);
    Ok(())
}

fn owned(u: &mut Unstructured<'_>) -> Result<()> {
    let owned = OwnedPacket::arbitrary(u)?;
    check(&owned.packet(), owned.version(), Some(owned.sender()));
    assert_eq!(owned.packet().encoded_len(owned.version()), Ok(owned.frame().len()));
    Ok(())
}

/// The same packet with a field around the greatest length that fields have.
fn check_stretched(packet: Packet<'_>, version: Version, stretch: u8) {
    if stretch & 0xf0 != 0xf0 {
        return;
    }
    let text = "x".repeat(65_534 + usize::from(stretch % 4));
    let name = [Property::UserProperty(&text, ""), Property::ReasonString(&text)];
    let long = match packet {
        Packet::Connect(mut connect) => {
            match (stretch >> 2) % 4 {
                0 => connect.client_id = &text,
                1 => connect.user_name = Some(&text),
                2 => connect.password = Some(text.as_bytes()),
                _ => connect.properties = (&name[..1]).into(),
            }
            connect.into()
        }
        Packet::Publish(mut publish) => {
            match (stretch >> 2) % 4 {
                0 => publish.topic = &text,
                1 => publish.payload = text.as_bytes(),
                _ => publish.properties = (&name[..1]).into(),
            }
            publish.into()
        }
        Packet::PubAck(mut ack) => {
            ack.properties = (&name).into();
            ack.into()
        }
        other => other,
    };
    check(&long, version, None);
}

/// `valid_for` is who may send the packet, if that is known.
fn check(packet: &Packet<'_>, version: Version, valid_for: Option<Sender>) {
    let mut out = b"before".to_vec();
    let encoded = packet.encode(version, &mut out);
    assert_eq!(packet.encoded_len(version), encoded.map(|()| out.len() - 6));
    assert_eq!(&out[..6], b"before");
    if let Err(error) = encoded {
        assert!(valid_for.is_none(), "{packet:?} does not encode: {error:?}");
        assert_eq!(out.len(), 6, "a failed encode wrote something");
        assert_eq!(packet.encode_split(version, &mut out), Err(error));
        assert_eq!(out.len(), 6, "a failed encode wrote something");
        refused(packet, version, error);
    } else {
        encoded_to(packet, &out[6..], version, valid_for);
    }
    for other in Version::ALL {
        let Ok(packet) = packet.for_version(other) else { continue };
        let encoded = packet.encoded_len(other);
        let left_in = matches!(encoded, Err(EncodeError::NotInVersion(..)));
        assert!(!left_in, "{packet:?} is said to be for {other}: {encoded:?}");
    }
}

fn refused(packet: &Packet<'_>, version: Version, error: EncodeError) {
    assert!(!error.to_string().is_empty());
    assert!(!matches!(error, EncodeError::BufferTooSmall { .. }), "a vector has room");
    for sender in [Sender::Client, Sender::Server] {
        assert_eq!(OwnedPacket::from_packet(packet, version, sender), Err(error));
    }
}

fn encoded_to(packet: &Packet<'_>, frame: &[u8], version: Version, valid_for: Option<Sender>) {
    let split = packet.encode_split(version, &mut &mut vec![0; frame.len()][..]);
    assert!(split.is_ok_and(|payload| frame.ends_with(payload)));

    let mut room = vec![0xaa; frame.len() - 1];
    let (needed, available) = (frame.len(), room.len());
    let error = EncodeError::BufferTooSmall { needed, available };
    assert_eq!(packet.encode(version, &mut &mut room[..]), Err(error));
    assert!(room.iter().all(|byte| *byte == 0xaa), "a failed encode wrote something");

    let senders = [Sender::Client, Sender::Server].map(|sender| {
        let decoded = Packet::decode(frame, version, sender);
        let owned = OwnedPacket::from_packet(packet, version, sender);
        assert_eq!(owned.is_ok(), decoded.is_ok());
        let Ok(decoded) = decoded else { return false };
        assert_eq!(decoded, *packet);
        assert_eq!(owned.expect("it decodes").frame(), frame);
        let mut again = Vec::new();
        decoded.encode(version, &mut again).expect("what was decoded encodes");
        assert_eq!(again, frame);
        true
    });
    assert_ne!(senders, [false; 2], "{packet:?} encodes, and nobody may send it");
    assert!(valid_for.is_none_or(|sender| senders[sender as usize]), "{packet:?}");
}
