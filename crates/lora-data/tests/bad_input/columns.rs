//! Columns that are not there.

use super::{case, check, text_column, with};

#[test]
fn columns_that_are_not_there() {
    let table = "Sentence,label,other\na,0,x\nb,1,y\n";
    check(vec![
        with(
            case(
                "name.csv",
                table,
                &[
                    "no text column `sentnce`",
                    "`Sentence`, `label`, `other`",
                    "did you mean `Sentence`?",
                ],
            ),
            |options| options.columns = text_column("sentnce"),
        ),
        with(
            case(
                "far.csv",
                table,
                &["no label column `sentiment`", "the columns are `Sentence`"],
            ),
            |options| {
                options.columns.label = Some("sentiment".into());
            },
        ),
        with(
            case("pair.csv", table, &["no second text column `sentence2`"]),
            |options| {
                options.columns.text_pair = Some("sentence2".into());
            },
        ),
        with(
            case(
                "index.csv",
                table,
                &["no text column 3", "the 3 columns have the indices 0 to 2"],
            ),
            |options| {
                options.columns = text_column(3);
            },
        ),
        with(
            case(
                "twice.csv",
                "text,text,label\na,b,0\n",
                &["two columns are named `text`", "by index"],
            ),
            |options| {
                options.columns = text_column("text");
            },
        ),
        case(
            "default.csv",
            // No slip of `content`.
            "intent,label\na,0\n",
            &[
                "no text column has a default name: name the text column, or, if the first row is data, read the file without a \
                 header; the columns are `intent`, `label`",
            ],
        ),
        case(
            "slip.csv",
            "txt,label\na,0\n",
            &["`txt`, `label`", "did you mean `text` by `txt`?"],
        ),
        case(
            "unlabelled.csv",
            "text\na\n",
            &["no label column has a default name", "`text`"],
        ),
        case(
            "keys.jsonl",
            "{\"phrase\": \"a\"}\n",
            &["name the text column; the columns are `phrase`"],
        ),
        with(
            case(
                "cola.tsv",
                "x\t1\t\tA sentence.\n",
                &["text column must be given by index", "none was given"],
            ),
            |options| {
                options.header = false;
            },
        ),
        with(
            case(
                "named.tsv",
                "x\t1\t\tA sentence.\n",
                &["by index, from 0; `sentence` was given"],
            ),
            |options| {
                options.header = false;
                options.columns = text_column("sentence");
            },
        ),
    ]);
}
