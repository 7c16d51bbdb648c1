//! Which encoding bytes are in: UTF-8, or UTF-16 or UTF-32 with or without a byte-order mark.

use std::borrow::Cow;
use std::path::Path;

use super::signature::no_text;
use crate::error::{EncodingError, LikelyEncoding};

/// Text from the bytes of a file: UTF-8, UTF-16 or UTF-32, the last two in either byte order. Byte-order marks at the
/// beginning of lines are dropped, because joined files have them inside.
///
/// Without a mark, UTF-16 and UTF-32 are recognised by their NUL bytes, which other text does not have.
///
/// # Errors
/// [`EncodingError::NoText`] for a file of another kind, such as an archive; [`EncodingError::Broken`] for UTF-16 or
/// UTF-32 that is not valid; [`EncodingError::NotUtf8`] and [`EncodingError::NulByte`] for anything else.
pub fn decode_text(bytes: &[u8], origin: impl AsRef<Path>) -> Result<Cow<'_, str>, EncodingError> {
    let file = origin.as_ref();
    if let Some(kind) = no_text(bytes) {
        return Err(EncodingError::NoText {
            file: file.to_path_buf(),
            kind,
        });
    }
    if let Some((encoding, content)) = Wide::marked(bytes) {
        let text = encoding.decode(content).ok_or_else(|| EncodingError::Broken {
            file: file.to_path_buf(),
            encoding: encoding.name(),
        })?;
        return Ok(without_marks(Cow::Owned(text)));
    }
    let utf8 = std::str::from_utf8(bytes);
    let nul = bytes.iter().position(|&byte| byte == 0);
    // Cyrillic in UTF-16 can be valid UTF-8 by chance, but half of it is control characters.
    let may_be_wide = nul.is_some() && (utf8.is_err() || is_full_of_control(bytes));
    if let Some(text) = may_be_wide.then(|| Wide::guess(bytes)).flatten() {
        return Ok(Cow::Owned(text));
    }
    match (utf8, nul) {
        (Ok(text), None) => Ok(without_marks(Cow::Borrowed(text))),
        (Ok(_), Some(offset)) => Err(EncodingError::NulByte {
            file: file.to_path_buf(),
            line: line_of(bytes, offset),
            offset,
        }),
        (Err(error), _) => Err(EncodingError::NotUtf8 {
            file: file.to_path_buf(),
            line: line_of(bytes, error.valid_up_to()),
            offset: error.valid_up_to(),
            byte: bytes[error.valid_up_to()],
            likely: likely_encoding(bytes),
        }),
    }
}

/// Whether bytes begin with the byte-order mark of an encoding of Unicode.
pub(super) fn has_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(UTF8_MARK) || Wide::marked(bytes).is_some()
}

/// The byte-order mark in UTF-8.
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Encodings with code units of two or four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wide {
    Utf16Little,
    Utf16Big,
    Utf32Little,
    Utf32Big,
}

impl Wide {
    /// UTF-32 first: its little-endian mark begins with that of UTF-16, and its text read as UTF-16 is full of NULs.
    const ALL: [Self; 4] = [
        Self::Utf32Little,
        Self::Utf32Big,
        Self::Utf16Little,
        Self::Utf16Big,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Utf16Little => "UTF-16LE",
            Self::Utf16Big => "UTF-16BE",
            Self::Utf32Little => "UTF-32LE",
            Self::Utf32Big => "UTF-32BE",
        }
    }

    fn mark(self) -> &'static [u8] {
        match self {
            Self::Utf16Little => b"\xFF\xFE",
            Self::Utf16Big => b"\xFE\xFF",
            Self::Utf32Little => b"\xFF\xFE\0\0",
            Self::Utf32Big => b"\0\0\xFE\xFF",
        }
    }

    /// The encoding whose mark the bytes begin with, and the bytes after it.
    fn marked(bytes: &[u8]) -> Option<(Self, &[u8])> {
        Self::ALL
            .into_iter()
            .find_map(|encoding| Some((encoding, bytes.strip_prefix(encoding.mark())?)))
    }

    /// The text, unless the bytes are not valid in this encoding.
    fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Utf16Little => utf16(bytes, u16::from_le_bytes),
            Self::Utf16Big => utf16(bytes, u16::from_be_bytes),
            Self::Utf32Little => utf32(bytes, u32::from_le_bytes),
            Self::Utf32Big => utf32(bytes, u32::from_be_bytes),
        }
    }

    /// The text of bytes without a mark, if they are valid in one of the encodings, without a NUL character. In the wrong
    /// byte order separators and line ends become rare letters, so the order with more ASCII is the right one.
    fn guess(bytes: &[u8]) -> Option<String> {
        let count = |wanted: u8| bytes.split(|&byte| byte == wanted).count() - 1;
        let (nuls, line_feeds) = (count(0), count(b'\n'));
        // A line feed of two bytes holds a NUL; fewer NULs than that are strays in a file of single bytes.
        if nuls < line_feeds {
            return None;
        }
        let texts = Self::ALL
            .into_iter()
            .filter_map(|encoding| encoding.decode(bytes));
        texts
            .filter(|text| !text.contains('\0'))
            .map(|text| (text.bytes().filter(u8::is_ascii).count(), text))
            .filter(|(ascii, _)| *ascii > 0)
            // The first of equals, as `max_by_key` gives the last.
            .reduce(|best, other| if other.0 > best.0 { other } else { best })
            .map(|(_, text)| text)
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, []) = bytes.as_chunks() else {
        return None;
    };
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<_, _>>()
        .ok()
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Option<String> {
    let (quads, []) = bytes.as_chunks() else {
        return None;
    };
    quads.iter().map(|quad| char::from_u32(unit(*quad))).collect()
}

/// Whether a quarter of the bytes or more are control characters that text does not have.
fn is_full_of_control(bytes: &[u8]) -> bool {
    let control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t');
    4 * bytes.iter().filter(control).count() >= bytes.len()
}

/// Drops the byte-order mark at the beginning of the text, and at the beginning of each line.
fn without_marks(text: Cow<'_, str>) -> Cow<'_, str> {
    const MARK: char = '\u{FEFF}';
    if !text.contains(MARK) {
        return text;
    }
    let lines = text
        .split_inclusive('\n')
        .map(|line| line.trim_start_matches(MARK));
    Cow::Owned(lines.collect())
}

/// The line of an offset, from 1.
fn line_of(bytes: &[u8], offset: usize) -> usize {
    bytes[..offset].split(|&byte| byte == b'\n').count()
}

/// What bytes that are not UTF-8 most likely are.
fn likely_encoding(bytes: &[u8]) -> LikelyEncoding {
    let (mut broken, mut whole, mut is_cut) = (0, 0, false);
    for chunk in bytes.utf8_chunks() {
        whole += chunk
            .valid()
            .chars()
            .filter(|character| !character.is_ascii())
            .count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        is_cut = error.error_len().is_none();
    }
    if is_cut {
        return LikelyEncoding::CutShort;
    }
    if whole > broken {
        return LikelyEncoding::MostlyUtf8;
    }
    let runs = bytes
        .chunk_by(|a, b| a.is_ascii() == b.is_ascii())
        .filter(|run| !run[0].is_ascii());
    let lengths: Vec<usize> = runs.map(<[u8]>::len).collect();
    // Western European languages have single letters with accents; other scripts, and multi-byte encodings, whole words.
    if lengths.iter().sum::<usize>() < 2 * lengths.len() {
        LikelyEncoding::Western
    } else {
        LikelyEncoding::OtherScript
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] = [
        "text,label\na gripping film,good\n",
        "текст,класс\nочень долгий фильм,плохо\n",
        "文本,标签\n这部电影很好看一定要去看,好\n",
        "text,label\n\u{1F600}\u{1D11E},good\n",
    ];

    fn encoded(text: &str, encoding: Wide) -> Vec<u8> {
        let units = text.encode_utf16();
        let characters = text.chars().map(u32::from);
        match encoding {
            Wide::Utf16Little => units.flat_map(u16::to_le_bytes).collect(),
            Wide::Utf16Big => units.flat_map(u16::to_be_bytes).collect(),
            Wide::Utf32Little => characters.flat_map(u32::to_le_bytes).collect(),
            Wide::Utf32Big => characters.flat_map(u32::to_be_bytes).collect(),
        }
    }

    #[test]
    fn every_unicode_encoding_is_read_with_and_without_a_mark() {
        for text in TEXTS {
            assert_eq!(decode_text(text.as_bytes(), "x").unwrap(), text);
            assert!(!has_mark(text.as_bytes()) && has_mark(format!("\u{FEFF}{text}").as_bytes()));
            assert_eq!(
                decode_text(format!("\u{FEFF}{text}").as_bytes(), "x").unwrap(),
                text
            );
            for encoding in Wide::ALL {
                let bare = encoded(text, encoding);
                assert_eq!(
                    decode_text(&bare, "x").unwrap(),
                    text,
                    "{encoding:?} without a mark"
                );
                let marked = [encoding.mark(), &bare].concat();
                assert!(has_mark(&marked) && !has_mark(&bare), "{encoding:?}");
                assert_eq!(
                    decode_text(&marked, "x").unwrap(),
                    text,
                    "{encoding:?} with a mark"
                );
            }
        }
    }

    #[test]
    fn marks_inside_joined_files_are_dropped() {
        let text = decode_text("\u{FEFF}a,b\n\u{FEFF}c,d\u{FEFF}e\n".as_bytes(), "x").unwrap();
        assert_eq!(text, "a,b\nc,d\u{FEFF}e\n");
    }

    #[test]
    fn half_of_a_wide_character_is_refused_by_the_name_of_the_encoding() {
        for encoding in Wide::ALL {
            let mut bytes = [encoding.mark(), &encoded(TEXTS[0], encoding)].concat();
            bytes.pop();
            let error = decode_text(&bytes, "x").unwrap_err().to_string();
            assert!(
                error.contains(encoding.name()) && error.contains("cut short"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_stray_nul_is_refused_with_its_line() {
        let error = decode_text(b"text,label\na\0b,good\n", "x.csv").unwrap_err();
        assert!(
            matches!(
                error,
                EncodingError::NulByte {
                    line: 2,
                    offset: 12,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn advice_fits_the_bytes() {
        let advice = |bytes: &[u8]| match decode_text(bytes, "x").unwrap_err() {
            EncodingError::NotUtf8 { likely, .. } => likely,
            other => panic!("{other}"),
        };
        assert_eq!(advice(b"caf\xE9,1\nna\xEFve,0\n"), LikelyEncoding::Western);
        // "фильм" in WINDOWS-1251, "映画" in SHIFT_JIS.
        assert_eq!(advice(b"\xF4\xE8\xEB\xFC\xEC,1\n"), LikelyEncoding::OtherScript);
        assert_eq!(
            advice(b"\x89\x66\x89\xE6,1\n\x89\xE6\x89\xE6,1\n"),
            LikelyEncoding::OtherScript
        );
        assert_eq!(
            advice(
                "é,ü,ö,à,"
                    .as_bytes()
                    .iter()
                    .chain(b"\xE9,")
                    .copied()
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            LikelyEncoding::MostlyUtf8
        );
        assert_eq!(advice(&"eine Größe".as_bytes()[..8]), LikelyEncoding::CutShort);
    }
}
