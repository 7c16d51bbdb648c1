//! CSV and TSV: fields between separators, with quoting or without.

use std::fmt;
use std::path::Path;

use super::table::{Naming, RawCell, RawRow, RawTable};
use crate::error::DataError;

/// What stands between the fields of a CSV, as an ASCII character. Displayed as people call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separator(pub u8);

impl Separator {
    /// Those that the first row is searched for where it has no comma, in this order.
    const OTHERS: [u8; 3] = [b';', b'\t', b'|'];
}

impl fmt::Display for Separator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b',' => formatter.write_str("commas"),
            b';' => formatter.write_str("semicolons"),
            b'\t' => formatter.write_str("tabs"),
            b'|' => formatter.write_str("bars"),
            other => write!(formatter, "`{}`", char::from(other)),
        }
    }
}

/// Tab-separated without quoting.
pub(super) fn read_plain(content: &str, header: bool, file: &Path) -> Result<RawTable, DataError> {
    let rows =
        plain_rows(content).map(|(line, fields)| (line, fields.into_iter().map(str::to_owned).collect()));
    table(rows.map(Ok), None, header, file)
}

/// Separated by `usual`, quoted as in RFC 4180. In CSV the first row may tell another separator, in both formats a line before it.
pub(super) fn read_quoted(
    content: &str,
    usual: u8,
    header: bool,
    file: &Path,
) -> Result<RawTable, DataError> {
    let told = || told_separator(content).filter(|_| usual == b',');
    let (separator, content) = named_separator(content)
        .or_else(|| Some((told()?, content)))
        .unwrap_or((usual, content));
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
    let unusual = (separator != usual).then_some(Separator(separator));
    table(records, unusual, header, file)
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
    separator: Option<Separator>,
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
            separator,
            has_mark: false,
            rows: Vec::new(),
        }
    } else {
        RawTable {
            names: RawTable::numbered(columns),
            naming: Naming::Numbers,
            separator,
            has_mark: false,
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
                separator,
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

/// The separator of a CSV whose first row has no comma outside quotes: the first of [`Separator::OTHERS`] that it has there.
fn told_separator(content: &str) -> Option<u8> {
    let mut outside = Vec::new();
    let mut place = Place::FieldStart;
    for byte in content.trim_start_matches(['\r', '\n']).bytes() {
        if place != Place::Quoted {
            if byte == b'\n' || byte == b'\r' {
                break;
            }
            outside.push(byte);
        }
        let may_end_field = byte == b',' || Separator::OTHERS.contains(&byte);
        place = place.behind(byte, may_end_field).unwrap_or(Place::Unquoted);
    }
    let has = |separator: &u8| outside.contains(separator);
    Separator::OTHERS.into_iter().find(has).filter(|_| !has(&b','))
}

/// Where a byte of a quoted format stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    Unquoted,
    Quoted,
    AfterQuote,
}

impl Place {
    /// Behind one more byte; none where text follows the quote that closes a field.
    fn behind(self, byte: u8, ends_field: bool) -> Option<Self> {
        Some(match self {
            // Behind a quote: written twice it is one inside the field.
            Self::FieldStart | Self::AfterQuote if byte == b'"' => Self::Quoted,
            Self::Quoted if byte == b'"' => Self::AfterQuote,
            Self::Quoted => Self::Quoted,
            _ if ends_field => Self::FieldStart,
            Self::AfterQuote if byte != b' ' => return None,
            Self::AfterQuote => Self::AfterQuote,
            Self::FieldStart | Self::Unquoted => Self::Unquoted,
        })
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
    let mut line = 1;
    let mut opened = line;
    let mut place = Place::FieldStart;
    for &byte in bytes {
        let ends_field = byte == separator || byte == b'\n' || byte == b'\r';
        let next = place.behind(byte, ends_field);
        let next = next.ok_or((QuoteFault::TextAfter, line))?;
        if place == Place::FieldStart && next == Place::Quoted {
            opened = line;
        }
        place = next;
        line += usize::from(byte == b'\n');
    }
    if place == Place::Quoted {
        Err((QuoteFault::Unclosed, opened))
    } else {
        Ok(())
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
    fn the_first_row_tells_the_separator_where_it_has_no_comma() {
        let told = |content: &str| told_separator(content).map(char::from);
        assert_eq!(told("text;label\ngood, but long;1\n"), Some(';'));
        assert_eq!(told("\r\ntext\tlabel\r\na; b\t1\r\n"), Some('\t'));
        assert_eq!(told("text|label\na|1\n"), Some('|'));
        assert_eq!(told("id;text|pair;label"), Some(';'), "semicolons before bars");
        // What is in quotes separates nothing, whatever row it is in.
        assert_eq!(
            told("\"text, or \"\"title\"\", or\nboth\";\"label\"\na;1\n"),
            Some(';')
        );
        assert_eq!(told("\"text; or title\",label\na;b,1\n"), None);
        assert_eq!(told("\"text; or title\"\na;b\n"), None, "one column");
        assert_eq!(told("text\na; b\n"), None, "one column");
        assert_eq!(told("text;body,label\na;b,1\n"), None);
        assert_eq!(told(""), None);
    }

    #[test]
    fn fields_between_semicolons_may_hold_commas_and_quoted_semicolons() {
        let content = "text;label\r\ngood, but long;a,b\r\n\"bad; \"\"very\"\" bad\";c\r\n";
        assert_eq!(
            csv(content),
            [
                (1, fields(&["text", "label"])),
                (2, fields(&["good, but long", "a,b"])),
                (3, fields(&["bad; \"very\" bad", "c"])),
            ]
        );
        // With quoting as asked for, a tab separates whatever else stands in the first row.
        let tabs = read_quoted("a;b\nc;d\n", b'\t', false, Path::new("x.tsv")).unwrap();
        assert_eq!((tabs.names.len(), tabs.separator), (1, None));
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
