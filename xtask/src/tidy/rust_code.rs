//! Rust source without its comments and the insides of its literals, so that a rule about code does not stumble over
//! a word in a text. Line numbers stay.

use std::iter::Peekable;
use std::str::Chars;

/// The code, with comments and the contents of string and character literals left out.
pub(super) fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '/' if rest.peek() == Some(&'/') => skip_line_comment(&mut rest),
            '/' if rest.peek() == Some(&'*') => skip_block_comment(&mut rest, &mut code),
            '"' => {
                let hashes = trailing_raw_prefix(&code);
                code.push('"');
                match hashes {
                    Some(hashes) => skip_raw_string(&mut rest, &mut code, hashes),
                    None => skip_string(&mut rest, &mut code),
                }
                code.push('"');
            }
            '\'' => {
                code.push('\'');
                skip_character(&mut rest);
            }
            _ => code.push(character),
        }
    }
    code
}

/// Whether the macro `name!` is called in a line of code.
pub(super) fn calls_macro(code_line: &str, name: &str) -> bool {
    let call = format!("{name}!");
    code_line.match_indices(&call).any(|(at, _)| {
        let before = code_line[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
    })
}

fn skip_line_comment(rest: &mut Peekable<Chars>) {
    while rest.peek().is_some_and(|character| *character != '\n') {
        rest.next();
    }
}

/// Block comments nest.
fn skip_block_comment(rest: &mut Peekable<Chars>, code: &mut String) {
    let mut depth = 0;
    let mut previous = '/';
    for character in rest.by_ref() {
        match (previous, character) {
            ('/', '*') => {
                depth += 1;
                previous = ' ';
            }
            ('*', '/') => {
                depth -= 1;
                previous = ' ';
                if depth == 0 {
                    return;
                }
            }
            _ => previous = character,
        }
        if character == '\n' {
            code.push('\n');
        }
    }
}

fn skip_string(rest: &mut Peekable<Chars>, code: &mut String) {
    while let Some(character) = rest.next() {
        match character {
            '"' => return,
            '\n' => code.push('\n'),
            '\\' if rest.next() == Some('\n') => code.push('\n'),
            _ => {}
        }
    }
}

fn skip_raw_string(rest: &mut Peekable<Chars>, code: &mut String, hashes: usize) {
    while let Some(character) = rest.next() {
        if character == '\n' {
            code.push('\n');
        }
        if character == '"' {
            let mut seen = 0;
            while seen < hashes && rest.peek() == Some(&'#') {
                rest.next();
                seen += 1;
            }
            if seen == hashes {
                return;
            }
        }
    }
}

/// The number of `#` if the code so far ends in the prefix of a raw string: `r`, `br#`, `cr##`, …
fn trailing_raw_prefix(code: &str) -> Option<usize> {
    let without_hashes = code.trim_end_matches('#');
    let before = without_hashes.strip_suffix('r')?;
    let before = before.strip_suffix(['b', 'c']).unwrap_or(before);
    let is_word = before
        .chars()
        .next_back()
        .is_some_and(|character| character.is_alphanumeric() || character == '_');
    (!is_word).then(|| code.len() - without_hashes.len())
}

/// After a quote: a character literal is skipped, a lifetime is left to the caller.
fn skip_character(rest: &mut Peekable<Chars>) {
    let mut ahead = rest.clone();
    let length = match (ahead.next(), ahead.next()) {
        (Some('\\'), Some(_)) => 2 + ahead.take_while(|character| *character != '\'').count() + 1,
        (Some(_), Some('\'')) => 2,
        _ => return,
    };
    for _ in 0..length {
        rest.next();
    }
}

#[cfg(test)]
mod tests {
    //! What is code and what is not.

    use super::{calls_macro, code_only};

    #[test]
    fn comments_are_left_out_and_lines_stay() {
        assert_eq!(code_only("a // b\nc /* d\n/* e */ f */ g\n"), "a \nc \n g\n");
    }

    #[test]
    fn strings_lose_their_contents() {
        assert_eq!(
            code_only(r#"f("a \" // b", b"c", '"', '\'', 'x')"#),
            r#"f("", b"", ', ', ')"#
        );
        assert_eq!(code_only("f(\"a \\\n b\")\ng"), "f(\"\n\")\ng");
    }

    #[test]
    fn raw_strings_end_at_their_own_mark() {
        assert_eq!(code_only("f(r##\"a \" \"# b\n\"##, c)"), "f(r##\"\n\", c)");
        assert_eq!(code_only("bar\"x\" y"), "bar\"\" y");
    }

    #[test]
    fn lifetimes_are_code() {
        assert_eq!(code_only("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    }

    #[test]
    fn a_macro_is_called_by_its_whole_name() {
        assert!(calls_macro("    print!(1)", "print") && calls_macro("std::print!()", "print"));
        assert!(!calls_macro("eprint!(1)", "print") && !calls_macro("print(1)", "print"));
    }
}
