//! Where received messages go: standard output, or a file that has each of them once.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Stdout, Write};
use std::path::Path;

use sansio_mqtt::client::{Delivery, DeliveryId};

use super::Result;
use super::args::Sub;
use super::store::sync_folder;

pub(super) enum Output {
    Printed { out: BufWriter<Stdout>, topics: bool, delivery_ids: bool },
    Filed { file: BufWriter<File>, written: HashSet<u64> },
}

impl Output {
    /// `is_new` says that the session is a new one.
    pub(super) fn open(args: &Sub, is_new: bool) -> Result<Self> {
        let Some(path) = &args.output else {
            let out = BufWriter::new(io::stdout());
            return Ok(Self::Printed {
                out,
                topics: args.verbose,
                delivery_ids: args.delivery_ids,
            });
        };
        let (file, written) =
            open_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if is_new && !written.is_empty() {
            // Its delivery identifiers would be taken for those of the new session.
            return Err(format!("{} belongs to an earlier session", path.display()).into());
        }
        Ok(Self::Filed { file: BufWriter::new(file), written })
    }

    /// Writes a message; `false` if it was written before. It is not safe before
    /// [`flush`](Self::flush).
    pub(super) fn write(&mut self, delivery: &Delivery) -> io::Result<bool> {
        let (message, id) = (&delivery.message, delivery.delivery_id.map(DeliveryId::get));
        match self {
            Self::Printed { out, topics, delivery_ids } => {
                match id {
                    Some(id) if *delivery_ids => write!(out, "{id}\t")?,
                    None if *delivery_ids => write!(out, "-\t")?,
                    _ => {}
                }
                if *topics {
                    write!(out, "{} ", message.topic())?;
                }
                out.write_all(message.payload())?;
                out.write_all(b"\n")?;
            }
            Self::Filed { file, written } => {
                let id = id.unwrap_or_default();
                if delivery.redelivered && written.contains(&id) {
                    return Ok(false);
                }
                write!(file, "{id}\t")?;
                write_escaped(file, message.payload())?;
                file.write_all(b"\n")?;
            }
        }
        Ok(true)
    }

    /// Makes safe what was written: only now may it be acknowledged.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Printed { out, .. } => out.flush(),
            Self::Filed { file, .. } => {
                file.flush()?;
                file.get_ref().sync_data()
            }
        }
    }
}

/// Opens a file of earlier messages, and reads their delivery identifiers. What a crash left of a
/// last line is cut off: it was not acknowledged, and comes again.
fn open_file(path: &Path) -> io::Result<(File, HashSet<u64>)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    let ids = lines.filter_map(|line| {
        let id = line.split(|byte| *byte == b'\t').next()?;
        str::from_utf8(id).ok()?.parse().ok()
    });
    Ok((file, ids.collect()))
}

/// A payload as part of a line.
fn write_escaped(out: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    for byte in payload {
        match byte {
            b'\n' => out.write_all(b"\\n")?,
            b'\\' => out.write_all(b"\\\\")?,
            byte => out.write_all(&[*byte])?,
        }
    }
    Ok(())
}
