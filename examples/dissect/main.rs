//! Shows one side of an MQTT connection packet by packet, and where a broken one is broken.
//!
//! ```text
//! $ echo '10 0d 00044d515454 04 02 003c 0001 61   36 05 0001 74 0001' |
//!     cargo run -q --example dissect
//!      0    15  CONNECT 3.1.1 "a" clean start keep alive 60 s
//!     15     7  MALFORMED PUBLISH: QoS 3
//!               at byte 15 (byte 0 of the packet); reason code 0x81 Malformed Packet
//!               36 05 00 01 74 00 01
//!               ^^
//! ```
//!
//! `cargo run --example dissect -- --help` tells the rest.

mod args;
mod guess;
mod input;
mod json;
mod parts;
mod text;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;
use std::{env, result};

use clap::Parser;

use self::args::Args;
use self::parts::{Event, Parts};

type Result<T> = result::Result<T, Box<dyn Error>>;

/// Every packet is sound, and the last one whole.
const SOUND: u8 = 0;
/// A packet is malformed, or the bytes end within one.
const MALFORMED: u8 = 1;
/// The arguments are wrong, or something could not be read or written.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let code = run(env::args_os(), &mut io::stdin().lock(), &mut out, &mut io::stderr().lock());
    ExitCode::from(code)
}

/// Does all that `main` does, and gives the exit code.
pub(crate) fn run(
    args: impl IntoIterator<Item = OsString>,
    stdin: &mut dyn Read,
    out: &mut dyn Write,
    stderr: &mut dyn Write,
) -> u8 {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return fail(stderr, &error.render()),
        // That is how clap calls for help.
        Err(error) => {
            let shown = write!(out, "{}", error.render()).and_then(|()| out.flush());
            return if shown.is_ok() { SOUND } else { FAILED };
        }
    };
    match dissect(&args, stdin, out, stderr) {
        Ok(true) => SOUND,
        Ok(false) => MALFORMED,
        // Whoever reads the output has seen enough of it.
        Err(error) if is_broken_pipe(error.as_ref()) => SOUND,
        Err(error) => fail(stderr, &format!("dissect: {error}\n")),
    }
}

/// Whether all packets are sound.
fn dissect(
    args: &Args,
    stdin: &mut dyn Read,
    out: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<bool> {
    let bytes = input::read(args, stdin)?;
    let (decoder, note) = guess::decoder(args, &bytes);
    if let Some(note) = note {
        writeln!(stderr, "dissect: {note}")?;
    }
    let mut sound = true;
    for part in Parts::new(&bytes, decoder.with_maximum_packet_size(args.maximum_packet_size)) {
        sound &= matches!(part.event, Event::Packet(_));
        if args.json {
            writeln!(out, "{}", json::part(&part, args.secrets))?;
        } else {
            text::write(&part, args.secrets, out)?;
        }
    }
    out.flush()?;
    Ok(sound)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn fail(stderr: &mut dyn Write, message: &dyn std::fmt::Display) -> u8 {
    // Where nothing can be written, the exit code has to do.
    let _ = write!(stderr, "{message}");
    FAILED
}
