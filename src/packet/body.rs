//! What all packets have in common when they are encoded: they are checked as a whole, and only
//! then written.

use bytes::BufMut;

use crate::error::EncodeError;
use crate::packet_type::PacketType;
use crate::varint;
use crate::version::Version;

/// What comes behind the fixed header of a packet.
pub(crate) trait Body<'a> {
    /// What checking found out that writing needs.
    type Plan: Copy;

    /// Checks everything but the room in the buffer.
    fn check(&self, version: Version) -> Result<Self::Plan, EncodeError>;

    /// How many bytes it takes, the payload of a PUBLISH included.
    fn remaining_length(&self, plan: &Self::Plan) -> usize;

    /// The first byte of the fixed header: type and flags.
    fn first_byte(&self) -> u8;

    /// Appends it, but for the payload of a PUBLISH.
    fn write(&self, version: Version, plan: &Self::Plan, out: &mut impl BufMut);

    /// The payload of a PUBLISH.
    #[inline(always)]
    fn payload(&self) -> &'a [u8] {
        &[]
    }
}

/// What checking most packets finds out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Bytes behind the fixed header.
    pub(crate) remaining: usize,
    /// Bytes of the properties, the Property Length not included.
    pub(crate) properties: u32,
}

/// PINGREQ and PINGRESP, of which there is nothing but the fixed header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ping(pub(crate) PacketType);

impl<'a> Body<'a> for Ping {
    type Plan = ();

    #[inline(always)]
    fn check(&self, _: Version) -> Result<(), EncodeError> {
        Ok(())
    }

    #[inline(always)]
    fn remaining_length(&self, (): &()) -> usize {
        0
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        (self.0 as u8) << 4
    }

    #[inline(always)]
    fn write(&self, _: Version, (): &(), _: &mut impl BufMut) {}
}

/// A body that was checked, and what is to be written in front of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned<B, P> {
    body: B,
    plan: P,
    remaining_length: u32,
}

impl<'a, B: Body<'a>> Planned<&B, B::Plan> {
    #[inline(always)]
    pub(crate) fn encoded_len(&self) -> usize {
        // Lossless: targets have addresses of 32 bits at least.
        (self.remaining_length as usize)
            .saturating_add(varint::encoded_len(self.remaining_length))
            .saturating_add(1)
    }

    #[inline(always)]
    pub(crate) fn encode(
        &self,
        version: Version,
        out: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        check_room(self.encoded_len(), out)?;
        self.write(version, out);
        let payload = self.body.payload();
        if !payload.is_empty() {
            out.put_slice(payload);
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn encode_split(
        &self,
        version: Version,
        head: &mut impl BufMut,
    ) -> Result<&'a [u8], EncodeError> {
        let payload = self.body.payload();
        check_room(self.encoded_len().saturating_sub(payload.len()), head)?;
        self.write(version, head);
        Ok(payload)
    }

    #[inline(always)]
    fn write(&self, version: Version, out: &mut impl BufMut) {
        let first_byte = self.body.first_byte();
        match u8::try_from(self.remaining_length) {
            Ok(remaining_length @ ..0x80) => out.put_slice(&[first_byte, remaining_length]),
            _ => {
                out.put_u8(first_byte);
                varint::put(self.remaining_length, out);
            }
        }
        self.body.write(version, &self.plan, out);
    }
}

/// Checks a body, and what is to be written in front of it.
#[inline(always)]
pub(crate) fn plan<'p, 'a, B: Body<'a>>(
    body: &'p B,
    version: Version,
) -> Result<Planned<&'p B, B::Plan>, EncodeError> {
    let plan = body.check(version)?;
    match u32::try_from(body.remaining_length(&plan)) {
        Ok(remaining_length) if remaining_length <= varint::MAX => {
            Ok(Planned { body, plan, remaining_length })
        }
        _ => Err(EncodeError::PacketTooLong),
    }
}

#[inline(always)]
fn check_room(needed: usize, out: &impl BufMut) -> Result<(), EncodeError> {
    let available = out.remaining_mut();
    if needed > available {
        return Err(EncodeError::BufferTooSmall { needed, available });
    }
    Ok(())
}
