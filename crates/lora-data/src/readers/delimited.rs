//! CSV and TSV: fields between separators, with quoting or without.

use std::path::Path;

use super::table::{Naming, RawCell, RawRow, RawTable};
use crate::error::DataError;

/// Tab-separated without quoting.
pub(super) fn read_plain(content: &str, header: bool, file: &Path) -> Result<RawTable, DataError> {
    let rows =
        plain_rows(content).map(|(line, fields)| (line, fields.into_iter().map(str::to_owned).collect()));
    table(rows.map(Ok), header, file)
}

/// Separated by `separator`, quoted as in RFC 4180.
pub(super) fn read_quoted(
    content: &str,
    separator: u8,
    header: bool,
    file: &Path,
) -> Result<RawTable, DataError> {
    let (separator, content) = named_separator(content).unwrap_or((separator, content));
    check_quotes(content.as_bytes(), separator).map_err(|(fault, line)| {
        let file = file.to_path_buf();
        match fault {
            QuoteFault::Unclosed => DataError::UnclosedQuote { file, line },
            QuoteFault::TextAfter => DataError::TextAfterQuote { file, line },
        }
    })?;
    let mut reader = csv::ReaderBuilder::new();
    // The first row is not the reader's business, and rows of another length are told with our words.
    let reader = reader.delimiter(separator).has_headers(false).flexible(true);
    let mut line_of = LineCounter::new(content);
    let records = reader
        .from_reader(content.as_bytes())
        .into_records()
        .map(|record| {
            let record = record.map_err(|source| DataError::Csv {
                file: file.to_path_buf(),
                source,
            })?;
            let start = record.position().map_or(0, csv::Position::byte);
            let fields = record.iter().map(str::to_owned).collect();
            Ok((
                line_of.first_filled_from(usize::try_from(start).unwrap_or(usize::MAX)),
                fields,
            ))
        });
    table(records, header, file)
}

/// The lines of a plain TSV that hold something, each with its number (from 1) and its fields.
pub(crate) fn plain_rows(content: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = (1..).zip(
        content
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line)),
    );
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| (number, line.split('\t').collect()))
}

type Fields = (usize, Vec<String>);

fn table(
    mut rows: impl Iterator<Item = Result<Fields, DataError>>,
    header: bool,
    file: &Path,
) -> Result<RawTable, DataError> {
    let (first_line, first) = rows.next().unwrap_or_else(|| {
        Err(DataError::Empty {
            file: file.to_path_buf(),
        })
    })?;
    let columns = first.len();
    let mut table = if header {
        RawTable {
            names: first.iter().map(|name| name.trim().to_owned()).collect(),
            naming: Naming::Header,
            rows: Vec::new(),
        }
    } else {
        RawTable {
            names: RawTable::numbered(columns),
            naming: Naming::Numbers,
            rows: vec![row(first_line, first)],
        }
    };
    for fields in rows {
        let (line, fields) = fields?;
        // One column of a header's name may be a text like any other.
        let is_header = header && columns > 1 && fields.iter().map(|field| field.trim()).eq(&table.names);
        if is_header {
            return Err(DataError::RepeatedHeader {
                file: file.to_path_buf(),
                line,
            });
        }
        if fields.len() != columns {
            let (file, found) = (file.to_path_buf(), fields.len());
            return Err(DataError::RaggedRow {
                file,
                line,
                expected: columns,
                found,
                first: if columns == 1 {
                    first_row(&table)
                } else {
                    Vec::new()
                },
            });
        }
        table.rows.push(row(line, fields));
    }
    if table.rows.is_empty() {
        Err(DataError::HeaderOnly {
            file: file.to_path_buf(),
        })
    } else {
        Ok(table)
    }
}

/// The names of the header, or without one the fields of the first row.
fn first_row(table: &RawTable) -> Vec<String> {
    let text = |cell: &RawCell| match cell {
        RawCell::Text(text) => text.clone(),
        _ => String::new(),
    };
    match (&table.naming, table.rows.first()) {
        (Naming::Numbers, Some(row)) => row.cells.iter().map(text).collect(),
        _ => table.names.clone(),
    }
}

fn row(line: usize, fields: Vec<String>) -> RawRow {
    RawRow {
        line,
        cells: fields.into_iter().map(RawCell::Text).collect(),
    }
}

/// The separator that a first line such as `sep=;` names, as Excel writes it, and the text after that line.
fn named_separator(content: &str) -> Option<(u8, &str)> {
    let end = content.find(['\r', '\n'])?;
    match content[..end].strip_prefix("sep=")?.as_bytes() {
        // The line's end stays, so that lines keep their numbers.
        &[separator] if separator.is_ascii_punctuation() || separator == b'\t' => {
            Some((separator, &content[end..]))
        }
        _ => None,
    }
}

/// What can be wrong with quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuoteFault {
    /// A quote opens a field and is never closed: the csv crate would take everything after it as one field.
    Unclosed,
    /// After the quote that closes a field comes more of it, as where quotes inside are written `\"`: the csv crate would
    /// drop a quote.
    TextAfter,
}

/// The first fault that the csv crate would not report, and its line.
fn check_quotes(bytes: &[u8], separator: u8) -> Result<(), (QuoteFault, usize)> {
    enum Place {
        FieldStart,
        Unquoted,
        Quoted { since: usize },
        AfterQuote { since: usize },
    }
    let mut line = 1;
    let mut place = Place::FieldStart;
    for &byte in bytes {
        let ends_field = byte == separator || byte == b'\n' || byte == b'\r';
        place = match place {
            Place::FieldStart if byte == b'"' => Place::Quoted { since: line },
            Place::Quoted { since } if byte == b'"' => Place::AfterQuote { since },
            Place::Quoted { since } => Place::Quoted { since },
            // A quote written twice is a quote inside the field.
            Place::AfterQuote { since } if byte == b'"' => Place::Quoted { since },
            _ if ends_field => Place::FieldStart,
            Place::AfterQuote { .. } if byte != b' ' => return Err((QuoteFault::TextAfter, line)),
            Place::AfterQuote { since } => Place::AfterQuote { since },
            _ => Place::Unquoted,
        };
        line += usize::from(byte == b'\n');
    }
    match place {
        Place::Quoted { since } => Err((QuoteFault::Unclosed, since)),
        Place::FieldStart | Place::Unquoted | Place::AfterQuote { .. } => Ok(()),
    }
}

/// Turns byte offsets that only grow into line numbers.
pub(super) struct LineCounter<'a> {
    bytes: &'a [u8],
    offset: usize,
    line: usize,
}

impl<'a> LineCounter<'a> {
    pub fn new(content: &'a str) -> Self {
        Self {
            bytes: content.as_bytes(),
            offset: 0,
            line: 1,
        }
    }

    /// The line of the byte at `offset`, from 1.
    pub fn line_at(&mut self, offset: usize) -> usize {
        let end = offset.min(self.bytes.len());
        self.line += self.bytes[self.offset..end].split(|&byte| byte == b'\n').count() - 1;
        self.offset = end;
        self.line
    }

    /// The line of the first byte at or after `offset` that ends no line: the csv crate gives the start of a row before
    /// it skips empty lines and the second half of CR LF.
    fn first_filled_from(&mut self, offset: usize) -> usize {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let skipped = rest
            .iter()
            .take_while(|&&byte| byte == b'\n' || byte == b'\r')
            .count();
        self.line_at(offset + skipped)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn csv(content: &str) -> Vec<(usize, Vec<String>)> {
        let table = read_quoted(content, b',', false, Path::new("x.csv")).unwrap();
        let text = |cell: &RawCell| match cell {
            RawCell::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        table
            .rows
            .iter()
            .map(|row| (row.line, row.cells.iter().map(text).collect()))
            .collect()
    }

    fn fields(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|&field| field.to_owned()).collect()
    }

    #[test]
    fn rows_keep_the_line_where_they_start_whatever_ends_lines() {
        for end in ["\n", "\r\n"] {
            let content = ["a,b", "\"two", "lines\",c", "", "d,\"e \"\"f\"\"\""].join(end);
            let two_lines = format!("two{end}lines");
            let expected = [
                (1, fields(&["a", "b"])),
                (2, fields(&[&two_lines, "c"])),
                (5, fields(&["d", "e \"f\""])),
            ];
            assert_eq!(csv(&content), expected);
        }
    }

    #[test]
    fn plain_rows_take_quotes_as_they_are() {
        let rows: Vec<_> = plain_rows("1\t\" open\r\n\n2\tit's \"so\"\t\n").collect();
        assert_eq!(
            rows,
            [(1, vec!["1", "\" open"]), (3, vec!["2", "it's \"so\"", ""])]
        );
    }

    #[test]
    fn a_wrong_quote_is_found_by_its_line() {
        let fault = |content: &str| check_quotes(content.as_bytes(), b',').err();
        assert_eq!(fault("a,\"b\"\n\"c\"\"d\",e\n\"f\" ,g"), None);
        assert_eq!(
            fault("a,6\" wide\nb,c\n"),
            None,
            "a quote inside an unquoted field is a character"
        );
        assert_eq!(fault("a,b\n\"c,d\ne,f\n"), Some((QuoteFault::Unclosed, 2)));
        assert_eq!(fault("a,b\nc,\"d\"\"\n"), Some((QuoteFault::Unclosed, 2)));
        assert_eq!(
            fault("a,b\n\"c\nd \\\"e\\\"\",f\n"),
            Some((QuoteFault::TextAfter, 3))
        );
    }

    #[test]
    fn a_first_line_may_name_the_separator() {
        for end in ["\n", "\r\n"] {
            let content = ["sep=;", "a;\"b;c\"", "d,e;f"].join(end);
            assert_eq!(
                csv(&content),
                [(2, fields(&["a", "b;c"])), (3, fields(&["d,e", "f"]))]
            );
        }
        assert_eq!(csv("sep=x,y\n"), [(1, fields(&["sep=x", "y"]))]);
    }
}
