//! Files that are no text, by their first bytes.

use std::path::Path;

/// What the bytes are, where they are of a known kind that is no data in text form: with what to do.
pub(super) fn no_text(bytes: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 16] = [
        (b"\x1F\x8B", "a gzip archive; unpack it with `gunzip`"),
        (b"BZh", "a bzip2 archive; unpack it with `bunzip2`"),
        (b"\xFD7zXZ\0", "an xz archive; unpack it with `unxz`"),
        (
            b"\x28\xB5\x2F\xFD",
            "a Zstandard archive; unpack it with `unzstd`",
        ),
        (b"7z\xBC\xAF\x27\x1C", "a 7z archive; unpack it"),
        (
            b"PK\x03\x04",
            "a zip archive or an Excel workbook; unpack it, or export the sheet as CSV in UTF-8",
        ),
        (
            b"\xD0\xCF\x11\xE0",
            "an old Excel workbook; export the sheet as CSV in UTF-8",
        ),
        (b"PAR1", "a Parquet file; end its name in .parquet"),
        (b"ARROW1", "an Arrow or Feather file; save it as Parquet or CSV"),
        (b"\xFF\xFF\xFF\xFF", "an Arrow stream; save it as Parquet or CSV"),
        (b"Obj\x01", "an Avro file; save it as Parquet or CSV"),
        (b"ORC", "an ORC file; save it as Parquet or CSV"),
        (b"SQLite format 3\0", "an SQLite database; export a table as CSV"),
        (b"\x80\x04\x95", "a Python pickle; save the data as CSV or JSONL"),
        (b"\x80\x05\x95", "a Python pickle; save the data as CSV or JSONL"),
        (b"%PDF-", "a PDF document; save its text as CSV or JSONL"),
    ];
    const TEXTS: [(&str, &str); 3] = [
        (
            "version https://git-lfs.github.com/",
            "a pointer of Git LFS, not the file; fetch the file with `git lfs pull`",
        ),
        (
            "<!doctype html",
            "an HTML page, not the file; fetch the file itself",
        ),
        ("<html", "an HTML page, not the file; fetch the file itself"),
    ];
    let kind = KINDS.iter().find(|(signature, _)| bytes.starts_with(signature));
    let start = bytes.trim_ascii_start();
    let begins = |text: &str| {
        let head = start.get(..text.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(text.as_bytes()))
    };
    let text = || TEXTS.iter().find(|(text, _)| begins(text)).map(|(_, what)| *what);
    kind.map(|(_, what)| *what).or_else(text)
}

/// The same for a file whose reader gave up, or whose name tells nothing.
pub(super) fn of_file(path: &Path) -> Option<&'static str> {
    use std::io::Read as _;
    // A pipe may have no bytes yet, and what is taken from it is gone.
    if !path.is_file() {
        return None;
    }
    let mut head = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(64).read_to_end(&mut head).ok()?;
    no_text(&head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_pages_and_pointers_are_known_and_text_is_not() {
        for (bytes, part) in [
            (&b"\x1F\x8B\x08\0"[..], "gunzip"),
            (b"PK\x03\x04\x14\0", "Excel"),
            (b"PAR1\x15\x04", ".parquet"),
            (b"\n<!DOCTYPE HTML>\n<html>", "HTML"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
                "git lfs pull",
            ),
        ] {
            assert!(no_text(bytes).is_some_and(|what| what.contains(part)), "{part}");
        }
        for text in ["", "text,label\nPK,1\n", "<b>,1\n", "version,label\n1,2\n"] {
            assert_eq!(no_text(text.as_bytes()), None, "{text}");
        }
    }
}
