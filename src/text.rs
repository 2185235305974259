//! How packets show bytes to a person.

use core::fmt;

/// Bytes in a log line: as text if they are text, in hexadecimal otherwise, cut after a while.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

/// As much of a payload as is shown.
const SHOWN: usize = 32;

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..SHOWN).unwrap_or(self.0);
        let text = match core::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // A character that the cut went through is left out.
            Err(error) if error.error_len().is_none() && shown.len() < self.0.len() => {
                shown.get(..error.valid_up_to()).and_then(|part| core::str::from_utf8(part).ok())
            }
            Err(_) => None,
        };
        match text {
            Some(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
                write!(f, "{text:?}")?;
            }
            _ => {
                f.write_str("0x")?;
                shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            }
        }
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// A string in a log line: quoted, cut after a while.
pub(crate) struct Text<'a>(pub(crate) &'a str);

/// As much of a string as is shown.
const SHOWN_TEXT: usize = 128;

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().map(|(at, _)| at).take_while(|at| *at <= SHOWN_TEXT);
        let shown = if self.0.len() > SHOWN_TEXT { end.last() } else { None };
        let shown = shown.and_then(|end| self.0.get(..end)).unwrap_or(self.0);
        write!(f, "{shown:?}")?;
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// Bytes of which only the length is shown.
pub(crate) struct Secret<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes hidden>", self.0.len())
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_is_shown_as_text_and_other_bytes_as_digits() {
        let rows: [(&[u8], &str); 6] = [
            (b"", "\"\""),
            (b"21.5", "\"21.5\""),
            ("größe".as_bytes(), "\"größe\""),
            (b"a\"b\n", "\"a\\\"b\\n\""),
            (&[0, 1, 0xff], "0x0001ff"),
            (b"a\0", "0x6100"),
        ];
        for (bytes, text) in rows {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn long_strings_are_cut_between_characters() {
        assert_eq!(Text("größe").to_string(), "\"größe\"");
        let long = "a".to_string() + &"ü".repeat(100);
        let shown = "a".to_string() + &"ü".repeat(63);
        assert_eq!(Text(&long).to_string(), alloc::format!("{shown:?}… (201 bytes)"));
    }

    #[test]
    fn long_payloads_are_cut_between_characters() {
        let long = "ü".repeat(40);
        assert_eq!(
            Bytes(long.as_bytes()).to_string(),
            alloc::format!("{:?}… (80 bytes)", "ü".repeat(16))
        );
        let odd = alloc::format!("a{long}");
        assert_eq!(
            Bytes(odd.as_bytes()).to_string(),
            alloc::format!("{:?}… (81 bytes)", alloc::format!("a{}", "ü".repeat(15)))
        );
    }
}
