//! Packets and faults for a person to read.

use std::io::{Result, Write};

use sansio_mqtt::{DecodeError, PacketType};

use super::parts::{Event, Part};

/// Bytes that are shown on either side of a fault.
const AROUND: usize = 8;

pub(super) fn write(part: &Part<'_>, secrets: bool, out: &mut dyn Write) -> Result<()> {
    let (offset, len) = (part.offset, part.bytes.len());
    write!(out, "{offset:>6} {len:>5}  ")?;
    match &part.event {
        Event::Packet(packet) => writeln!(out, "{packet}"),
        Event::Malformed { error, goes_on } => malformed(part, error, *goes_on, secrets, out),
        Event::Incomplete { header: Some(header) } => {
            let name = header.packet_type().map_or("packet", PacketType::name);
            let whole = header.frame_len();
            writeln!(out, "INCOMPLETE {name} of {whole} bytes: {} are missing", whole - len)
        }
        Event::Incomplete { header: None } => writeln!(out, "INCOMPLETE fixed header"),
    }
}

fn malformed(
    part: &Part<'_>,
    error: &DecodeError,
    goes_on: bool,
    secrets: bool,
    out: &mut dyn Write,
) -> Result<()> {
    write!(out, "MALFORMED ")?;
    if let Some(packet_type) = error.packet_type {
        write!(out, "{packet_type}: ")?;
    }
    writeln!(out, "{}", error.cause)?;
    let at = part.offset + error.offset;
    write!(out, "{INDENT}at byte {at} (byte {} of the packet)", error.offset)?;
    writeln!(out, "; reason code {}", error.reason_code())?;
    if secrets || !may_hold_secrets(error.packet_type) {
        bytes_around(part.bytes, error.offset, out)?;
    } else {
        writeln!(out, "{INDENT}bytes that may be secret: --secrets shows them")?;
    }
    if goes_on {
        return Ok(());
    }
    match error.frame_len {
        Some(len) => {
            writeln!(out, "{INDENT}the packet would have {len} bytes, more than there are")
        }
        None => writeln!(out, "{INDENT}no telling where the next packet begins"),
    }
}

/// Whether packets of this type have passwords or authentication data.
fn may_hold_secrets(packet_type: Option<PacketType>) -> bool {
    use PacketType::{Auth, ConnAck, Connect};
    packet_type.is_none_or(|packet_type| matches!(packet_type, Connect | ConnAck | Auth))
}

const INDENT: &str = "              ";

/// The bytes of the packet around one of them, and a mark under that. A fault at the very end
/// has no byte to mark.
fn bytes_around(bytes: &[u8], at: usize, out: &mut dyn Write) -> Result<()> {
    let start = at.saturating_sub(AROUND);
    let shown = bytes.iter().enumerate().skip(start).take(2 * AROUND);
    let (before, after) = (start > 0, bytes.len() > start + 2 * AROUND);
    write!(out, "{INDENT}{}", if before { "… " } else { "" })?;
    for (index, byte) in shown {
        write!(out, "{}{byte:02x}", if index > start { " " } else { "" })?;
    }
    writeln!(out, "{}", if after { " …" } else { "" })?;
    let column = 3 * (at - start) + if before { 2 } else { 0 };
    writeln!(out, "{INDENT}{:column$}^^", "")
}
