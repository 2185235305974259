//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use sansio_mqtt::{MAXIMUM_PACKET_SIZE, Sender, Version};

/// Shows one side of an MQTT connection packet by packet, and where a broken one is broken.
///
/// Every line begins with the packet's place in the stream and its length, in bytes. Passwords
/// and authentication data are not shown.
#[derive(Debug, Parser)]
#[command(
    name = "dissect",
    after_help = "\
Reason codes are those of 5.0, in streams of 3.x too.

Exit codes: 0 all packets are sound, 1 one is malformed or not whole, 2 wrong usage or I/O error.

Examples:
  dissect testdata/captures/mosquitto-v5-qos2-1.server.bin
  echo '30 07 00 03 61 2f 62 68 69  # hi' | dissect --version 3.1.1
  nc -l 1883 | dissect --raw --from client --json | jq .fields.topic"
)]
pub(super) struct Args {
    /// The bytes that one end sent; without it, standard input has them in hexadecimal, in which
    /// white space, `0x`, commas and comments from `#` to the end of the line are left out
    pub(super) file: Option<PathBuf>,

    /// Take the bytes of standard input as they are, not as hexadecimal digits
    #[arg(long, conflicts_with = "file")]
    pub(super) raw: bool,

    /// Who sent the bytes; by default the end that the first telling packet types belong to
    #[arg(long, value_name = "END")]
    pub(super) from: Option<From>,

    /// Version of the protocol; by default that of the CONNECT, or the newest that fits
    #[arg(long, value_name = "VERSION")]
    pub(super) version: Option<Level>,

    /// Refuse packets of more bytes than this
    #[arg(long, value_name = "BYTES", default_value_t = MAXIMUM_PACKET_SIZE, hide_default_value = true)]
    pub(super) maximum_packet_size: u32,

    /// One JSON object a line: `offset`, `length`, and `type` with `fields`, or `error`; payloads
    /// and other binary data in hexadecimal
    #[arg(long)]
    pub(super) json: bool,

    /// Show passwords and authentication data in JSON, and the bytes around a fault of a packet
    /// that may hold some
    #[arg(long)]
    pub(super) secrets: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum From {
    Client,
    Server,
}

impl From {
    pub(super) const fn sender(self) -> Sender {
        match self {
            Self::Client => Sender::Client,
            Self::Server => Sender::Server,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Level {
    #[value(name = "3.1")]
    V3_1,
    #[value(name = "3.1.1")]
    V3_1_1,
    #[value(name = "5", alias = "5.0")]
    V5,
}

impl Level {
    pub(super) const fn version(self) -> Version {
        match self {
            Self::V3_1 => Version::V3_1,
            Self::V3_1_1 => Version::V3_1_1,
            Self::V5 => Version::V5,
        }
    }
}
