//! PUBACK, PUBREC, PUBREL and PUBCOMP, MQTT 5.0 §3.4 to §3.7.

use bytes::BufMut;

use crate::error::{EncodeError, Fault, Feature};
use crate::packet::body::Body;
use crate::packet::header::DUP;
use crate::packet::tail::{self, Tail};
use crate::packet_id::PacketId;
use crate::packet_type::{PacketType, Places, Sender};
use crate::properties::Properties;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// Makes an acknowledgement of a PUBLISH or of one another.
macro_rules! acks {
    ($($(#[$doc:meta])* $ack:ident $(dup $dup:ident)?;)+) => {
        $(
            $(#[$doc])*
            ///
            /// What was received encodes to the same bytes; what is made with
            /// [`new`](Self::new) or from a list of properties, to the shortest form.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            pub struct $ack<'a> {
                $(
                    /// Whether this is sent again, in 3.1; later versions have no such flag.
                    pub $dup: bool,
                )?
                /// Of the PUBLISH that this is about.
                pub packet_id: PacketId,
                /// The result; in 3.x there is none but [`ReasonCode::SUCCESS`].
                pub reason_code: ReasonCode,
                /// Reason String and User Properties, in 5.0.
                pub properties: Properties<'a>,
            }

            impl<'a> $ack<'a> {
                /// Success, without properties: the form that every version has.
                pub const fn new(packet_id: PacketId) -> Self {
                    Self {
                        $($dup: false,)?
                        packet_id,
                        reason_code: ReasonCode::SUCCESS,
                        properties: Properties::NONE,
                    }
                }

                /// The same packet without what `version` does not have.
                pub(crate) const fn for_version(self, version: Version) -> Self {
                    match version {
                        Version::V5 => Self { $($dup: false,)? ..self },
                        Version::V3_1_1 => Self::new(self.packet_id),
                        Version::V3_1 => {
                            Self { $($dup: self.$dup,)? ..Self::new(self.packet_id) }
                        }
                    }
                }

                #[inline(always)]
                pub(crate) fn decode(
                    reader: &mut Reader<'a>,
                    version: Version,
                    sender: Sender,
                    #[allow(unused_variables, reason = "PUBREL alone has the flag")] dup: bool,
                ) -> Result<Self, Fault> {
                    let packet_id = reader.packet_id()?;
                    let (reason_code, properties) = if version.is_v5() {
                        tail::decode(reader, Places::of(PacketType::$ack, sender))?
                    } else {
                        reader.finish()?;
                        (ReasonCode::SUCCESS, Properties::NONE)
                    };
                    Ok(Self { $($dup: dup,)? packet_id, reason_code, properties })
                }
            }

            impl<'a> Body<'a> for $ack<'a> {
                type Plan = Tail;

                #[inline(always)]
                fn check(&self, version: Version) -> Result<Tail, EncodeError> {
                    $(check_dup(self.$dup, version)?;)?
                    let place = Places::both(PacketType::$ack);
                    Tail::check(self.reason_code, &self.properties, version, place)
                }

                #[inline(always)]
                fn remaining_length(&self, tail: &Tail) -> usize {
                    // The Packet Identifier takes two bytes.
                    tail.len().saturating_add(2)
                }

                #[inline(always)]
                fn first_byte(&self) -> u8 {
                    (PacketType::$ack as u8) << 4
                        | PacketType::$ack.reserved_flags()
                        $(| dup_flag(self.$dup))?
                }

                #[inline(always)]
                fn write(&self, _: Version, tail: &Tail, out: &mut impl BufMut) {
                    out.put_u16(self.packet_id.get());
                    tail.write(self.reason_code, &self.properties, out);
                }
            }
        )+
    };
}

acks! {
    /// Publish acknowledgement: the answer to a PUBLISH of QoS 1. §3.4
    PubAck;
    /// Publish received: the answer to a PUBLISH of QoS 2. §3.5
    PubRec;
    /// Publish release: the answer to a PUBREC. §3.6
    PubRel dup dup;
    /// Publish complete: the answer to a PUBREL, and the end of a QoS 2 exchange. §3.7
    PubComp;
}

/// Bytes of an acknowledgement in the form that every version has: success, without properties.
pub(crate) const PLAIN_LEN: usize = 4;

/// The acknowledgement that some bytes begin with, if it is in that form, and not marked DUP.
#[inline(always)]
pub(crate) fn plain(bytes: &[u8]) -> Option<(PacketType, PacketId)> {
    let [first, 2, high, low, ..] = *bytes else { return None };
    let packet_type = match first {
        0x40 => PacketType::PubAck,
        0x50 => PacketType::PubRec,
        0x62 => PacketType::PubRel,
        0x70 => PacketType::PubComp,
        _ => return None,
    };
    Some((packet_type, PacketId::new(u16::from_be_bytes([high, low]))?))
}

/// The DUP flag of 3.1 in the fixed header.
#[inline(always)]
pub(crate) const fn dup_flag(dup: bool) -> u8 {
    if dup { DUP } else { 0 }
}

/// Only 3.1 has a DUP flag outside of PUBLISH.
#[inline(always)]
pub(crate) fn check_dup(dup: bool, version: Version) -> Result<(), EncodeError> {
    if dup && version != Version::V3_1 {
        return Err(EncodeError::NotInVersion(version, Feature::Dup));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;
    use crate::packet::Packet;
    use crate::property::Property;
    use alloc::vec::Vec;

    fn encode<'a>(packet: impl Into<Packet<'a>>, version: Version) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        packet.into().encode(version, &mut out).map(|()| out)
    }

    fn id() -> PacketId {
        PacketId::new(0x1234).unwrap()
    }

    #[test]
    fn success_takes_the_shortest_form_in_every_version() {
        // v5 3.4.2.1
        for version in Version::ALL {
            assert_eq!(encode(PubAck::new(id()), version).unwrap(), [0x40, 2, 0x12, 0x34]);
            assert_eq!(encode(PubRec::new(id()), version).unwrap(), [0x50, 2, 0x12, 0x34]);
            assert_eq!(encode(PubRel::new(id()), version).unwrap(), [0x62, 2, 0x12, 0x34]);
            assert_eq!(encode(PubComp::new(id()), version).unwrap(), [0x70, 2, 0x12, 0x34]);
        }
    }

    #[test]
    fn a_reason_takes_one_byte_more_and_properties_their_block() {
        let ack = PubAck { reason_code: ReasonCode::NO_MATCHING_SUBSCRIBERS, ..PubAck::new(id()) };
        assert_eq!(encode(ack, Version::V5).unwrap(), [0x40, 3, 0x12, 0x34, 0x10]);
        let reason = [Property::ReasonString("x")];
        let ack = PubRec { properties: (&reason).into(), ..PubRec::new(id()) };
        let bytes = [0x50, 8, 0x12, 0x34, 0, 4, 0x1f, 0, 1, b'x'];
        assert_eq!(encode(ack, Version::V5).unwrap(), bytes);
    }

    #[test]
    fn received_forms_are_kept() {
        let forms: [&[u8]; 4] = [
            &[0x40, 2, 0, 1],
            &[0x40, 3, 0, 1, 0],
            &[0x40, 4, 0, 1, 0, 0],
            &[0x40, 4, 0, 1, 0x10, 0],
        ];
        for bytes in forms {
            let packet = Packet::decode(bytes, Version::V5, Sender::Server).unwrap();
            assert_eq!(encode(packet, Version::V5).unwrap(), bytes);
        }
    }

    #[test]
    fn what_a_version_lacks_is_refused_unless_left_out_on_purpose() {
        let ack =
            PubComp { reason_code: ReasonCode::PACKET_IDENTIFIER_NOT_FOUND, ..PubComp::new(id()) };
        let feature = Feature::ReasonCode(ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
        let error = EncodeError::NotInVersion(Version::V3_1_1, feature);
        assert_eq!(encode(ack, Version::V3_1_1), Err(error));
        assert_eq!(ack.for_version(Version::V3_1_1), PubComp::new(id()));
        assert_eq!(ack.for_version(Version::V5), ack);

        let again = PubRel { dup: true, ..PubRel::new(id()) };
        assert_eq!(encode(again, Version::V3_1).unwrap(), [0x6a, 2, 0x12, 0x34]);
        let error = EncodeError::NotInVersion(Version::V5, Feature::Dup);
        assert_eq!(encode(again, Version::V5), Err(error));
        assert_eq!(again.for_version(Version::V3_1_1), PubRel::new(id()));
    }

    #[test]
    fn each_packet_has_its_own_reason_codes() {
        // v5 [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
        let code = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
        let error = EncodeError::Invalid(Cause::InvalidReasonCode(0x92));
        let ack = PubAck { reason_code: code, ..PubAck::new(id()) };
        assert_eq!(encode(ack, Version::V5), Err(error));
        let rel = PubRel { reason_code: code, ..PubRel::new(id()) };
        assert_eq!(encode(rel, Version::V5).unwrap(), [0x62, 3, 0x12, 0x34, 0x92]);
    }
}
