//! Where the bytes come from.

use std::fs;
use std::io::Read;

use super::Result;
use super::args::Args;

/// All bytes there are.
pub(super) fn read(args: &Args, stdin: &mut dyn Read) -> Result<Vec<u8>> {
    if let Some(path) = &args.file {
        return fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into());
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes)?;
    if args.raw { Ok(bytes) } else { hex(&bytes) }
}

/// Reads pairs of digits, however they are set apart.
fn hex(text: &[u8]) -> Result<Vec<u8>> {
    let Ok(text) = str::from_utf8(text) else {
        return Err("standard input is not text; for bytes as they are, use --raw".into());
    };
    let mut bytes = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let digits = line.split_once('#').map_or(line, |(digits, _)| digits);
        for word in digits.split(|c: char| c.is_whitespace() || c == ',') {
            let word = word.strip_prefix("0x").unwrap_or(word);
            let pairs = pairs(word).ok_or_else(|| {
                format!("line {number}: `{word}` is not a whole number of bytes in hexadecimal")
            })?;
            bytes.extend(pairs);
        }
    }
    Ok(bytes)
}

fn pairs(word: &str) -> Option<Vec<u8>> {
    let digits = word.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let pair = |pair: &[u32]| match *pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}
