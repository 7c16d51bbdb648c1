//! Scores of each class, which classes are taken for which, and the rows that are wrong with the highest probability.

use lora_data::tasks::Rows;
use lora_data::{LabelNames, RowText, Target};
use lora_eval::classification::{ConfusionMatrix, ScoresOfClass};
use lora_report::{Better, Block, Cell, Column, Section, Table, WIDEST_MATRIX, confusion_table};
use serde::Serialize;

use super::comparison::method_in_use;
use super::{ScoredMethod, TaskScores};
use crate::counted::counted;
use crate::data::row_checks::{named, shortened};
use crate::error::Result;
use crate::saved::task_file::InferenceKind;

/// Wrong rows that are shown, at most.
const WRONG_ROWS: usize = 10;
/// Longest text of a row, in characters.
const LONGEST_TEXT: usize = 160;

/// One split, class by class, answered as `lora predict` answers. As JSON without texts of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByClass {
    /// Which rows, in words.
    pub on: String,
    /// The way to predict.
    pub method: String,
    /// In the order of the classes.
    pub classes: Vec<NamedScores>,
    /// Counts of rows `[labels][answers]`; none where any number of labels may hold.
    pub confusion_matrix: Option<Vec<Vec<u64>>>,
    /// The wrong rows of the highest probability, the surest first.
    #[serde(skip)]
    pub wrong_and_sure: Vec<WrongRow>,
}

/// Scores of one class, with its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedScores {
    /// The name.
    pub class: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: ScoresOfClass,
}

/// A row whose answer is not its label.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongRow {
    /// Its number in its file, from 1, a header not counted.
    pub number: usize,
    /// The beginning of its text.
    pub text: String,
    /// Name of its label.
    pub label: String,
    /// Name of the class that it was answered with.
    pub answer: String,
    /// Probability of that answer.
    pub probability: f64,
}

impl ByClass {
    /// Of the scores of texts with classes or labels by the way that `lora predict` uses; none of other rows. `places` are those of the rows
    /// in their file; without, the rows are all of it.
    ///
    /// # Errors
    ///
    /// If a class of the rows is none of the model's.
    pub fn of(
        on: &str,
        methods: &[ScoredMethod],
        inference: Option<InferenceKind>,
        rows: &Rows,
        places: Option<&[usize]>,
    ) -> Result<Option<Self>> {
        let (Rows::Texts(dataset), Some(method)) = (rows, method_in_use(methods, inference)) else {
            return Ok(None);
        };
        let names = dataset.task.labels().map_or(&[][..], LabelNames::names);
        let found = |scores: Vec<ScoresOfClass>| Self {
            on: on.to_owned(),
            method: method.method.clone(),
            classes: names
                .iter()
                .cloned()
                .zip(scores)
                .map(|(class, scores)| NamedScores { class, scores })
                .collect(),
            confusion_matrix: None,
            wrong_and_sure: Vec::new(),
        };
        match &method.scores {
            TaskScores::Labels(scores) => Ok(Some(found(scores.labels.iter().map(Into::into).collect()))),
            TaskScores::Classification(_) => {
                let mut matrix = ConfusionMatrix::new(names.len());
                let mut wrong = Vec::new();
                for (row, (example, answer)) in dataset.examples.iter().zip(&method.answers).enumerate() {
                    let Some(Target::Class(label)) = example.target else {
                        return Ok(None);
                    };
                    matrix.update(label, answer.class)?;
                    if label != answer.class {
                        wrong.push((row, label, *answer));
                    }
                }
                // Of equal probability the first in the file comes first.
                wrong.sort_by(|(.., a), (.., b)| b.probability.total_cmp(&a.probability));
                wrong.truncate(WRONG_ROWS);
                let chosen: Vec<usize> = wrong.iter().map(|(row, ..)| *row).collect();
                let texts = RowText::of_dataset(&dataset.select(&chosen));
                let wrong = wrong.into_iter().zip(texts);
                let wrong = wrong.map(|((row, label, answer), text)| WrongRow {
                    number: places.map_or(row, |places| places[row]) + 1,
                    text: shortened(&text.text, LONGEST_TEXT),
                    label: names[label].clone(),
                    answer: names[answer.class].clone(),
                    probability: answer.probability,
                });
                Ok(Some(Self {
                    confusion_matrix: Some(matrix.to_rows()),
                    wrong_and_sure: wrong.collect(),
                    ..found((0..names.len()).map(|class| matrix.of_class(class)).collect())
                }))
            }
            _ => Ok(None),
        }
    }

    /// The class of the lowest recall, or all whose rows are never recognized, in words; none where all rows are.
    pub fn weakest(&self) -> Option<String> {
        let recalls = self.classes.iter();
        let recalls = recalls.filter_map(|class| Some((class, class.scores.recall?)));
        let (weakest, recall) = recalls.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let never = self.names_of(|class| class.recall.is_some_and(|recall| recall <= 0.0));
        if never.len() > 1 {
            let (on, classes) = (&self.on, named(&never));
            return Some(format!(
                "weakest classes on {on}: {classes}, none of whose rows is recognized"
            ));
        }
        let rows = weakest.scores.rows;
        #[expect(clippy::cast_sign_loss, reason = "a count")]
        let recognized = (recall * rows as f64).round() as u64;
        (recall < 1.0).then(|| {
            format!(
                "weakest class on {}: `{}`, {recognized} of whose {} {} recognized",
                self.on,
                weakest.class,
                counted(rows as usize, "row"),
                if recognized == 1 { "is" } else { "are" }
            )
        })
    }

    /// The classes without a row, which no score speaks of, in words; none where there are none.
    pub fn absent(&self) -> Option<String> {
        let names = self.names_of(|class| class.rows == 0);
        (!names.is_empty()).then(|| format!("no row of {} has the label {}", self.on, named(&names)))
    }

    fn names_of(&self, is: fn(&ScoresOfClass) -> bool) -> Vec<&str> {
        let classes = self.classes.iter().filter(|class| is(&class.scores));
        classes.map(|class| class.class.as_str()).collect()
    }

    /// A section of a page, with texts of rows.
    pub fn section(&self) -> Section {
        let mut section = Section::new("By class").with_text(format!(
            "On {}, by the {}. Precision: the share of the answers with a class that are right. Recall: the share of the rows of a class \
             that are answered with it. F1: their harmonic mean. A dash stands where there is nothing to divide by.",
            self.on, self.method
        ));
        let names: Vec<String> = self.classes.iter().map(|class| class.class.clone()).collect();
        if names.len() > WIDEST_MATRIX {
            section.blocks.push(Block::Details {
                summary: format!("All {} classes", names.len()),
                blocks: vec![Block::Table(self.table())],
            });
        } else {
            section.blocks.push(Block::Table(self.table()));
        }
        if let Some(counts) = &self.confusion_matrix {
            let title = "Which class is taken for which";
            section
                .blocks
                .push(Block::Table(confusion_table(title, &names, counts)));
            section
                .blocks
                .push(Block::Heading(String::from("Wrong and sure")));
            section.blocks.extend(self.wrong_blocks());
        }
        section
    }

    fn table(&self) -> Table {
        let columns = vec![
            Column::new("rows", Better::None, 0),
            Column::new("answers", Better::None, 0),
            Column::new("precision", Better::Higher, 3),
            Column::new("recall", Better::Higher, 3),
            Column::new("F1", Better::Higher, 3),
        ];
        let mut table =
            Table::new(format!("Scores by class on {}", self.on), "class", columns).without_marks();
        for NamedScores { class, scores } in &self.classes {
            let mut cells = vec![
                Cell::value(scores.rows as f64),
                Cell::value(scores.predicted as f64),
            ];
            let shares = [scores.precision, scores.recall, scores.f1];
            cells.extend(shares.map(|share| share.map_or(Cell::Empty, Cell::value)));
            table.push(class, cells);
        }
        table
    }

    fn wrong_blocks(&self) -> Vec<Block> {
        if self.wrong_and_sure.is_empty() {
            return vec![Block::Text(String::from("Every answer is right."))];
        }
        let words = |name: &str| Column::new(name, Better::None, 0);
        let columns = vec![
            words("label"),
            words("answer"),
            Column::new("probability", Better::None, 3),
            words("text"),
        ];
        let mut table = Table::new("The surest wrong answers", "row", columns)
            .with_note("Rows are counted from 1 in their file; a header is no row.");
        for row in &self.wrong_and_sure {
            let cells = vec![
                Cell::text(&row.label),
                Cell::text(&row.answer),
                Cell::value(row.probability),
                Cell::text(&row.text),
            ];
            table.push(row.number.to_string(), cells);
        }
        let text =
            "Where labels were given by people, read these rows first: the label may be what is wrong.";
        vec![Block::Text(text.to_owned()), Block::Table(table)]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_data::{Dataset, Example, Task};
    use lora_eval::ClassProbabilities;

    use super::*;
    use crate::score::ClassScores;

    /// Labels, and the probabilities of `a`, `b` and `c`.
    const ROWS: [(usize, [f64; 3]); 6] = [
        (0, [0.75, 0.125, 0.125]),
        (0, [0.125, 0.875, 0.0]),
        (1, [0.625, 0.25, 0.125]),
        (0, [0.0625, 0.9375, 0.0]),
        (0, [0.875, 0.0625, 0.0625]),
        (1, [0.625, 0.375, 0.0]),
    ];

    fn method(rows: &[(usize, [f64; 3])]) -> ScoredMethod {
        let probabilities = rows.iter().flat_map(|(_, row)| *row).collect();
        let probabilities = ClassProbabilities::new(rows.len(), 3, probabilities).unwrap();
        let labels: Vec<usize> = rows.iter().map(|(label, _)| *label).collect();
        let found = ClassScores::of(&probabilities, &labels).unwrap();
        ScoredMethod {
            method: "mean pass".to_owned(),
            members: 1,
            mean_members: None,
            average: None,
            temperature: 1.0,
            is_scaled: false,
            scores: TaskScores::Classification(found.scores),
            reliability: found.reliability,
            row_losses: found.row_nll,
            answers: found.answers,
        }
    }

    fn rows_of(rows: &[(usize, [f64; 3])]) -> Rows {
        let example = |(number, (label, _)): (usize, &(usize, [f64; 3]))| Example {
            text: format!("{number}  is\na {}", "long text ".repeat(30)),
            text_pair: None,
            target: Some(Target::Class(*label)),
        };
        Rows::Texts(Dataset {
            examples: rows.iter().enumerate().map(example).collect(),
            task: Task::Classification {
                labels: LabelNames::new(["a", "b", "c"]).unwrap(),
            },
        })
    }

    fn by_class(rows: &[(usize, [f64; 3])], places: Option<&[usize]>) -> ByClass {
        let found = ByClass::of("the test rows", &[method(rows)], None, &rows_of(rows), places);
        found.unwrap().unwrap()
    }

    #[test]
    fn wrong_rows_are_listed_by_falling_probability_with_their_numbers_in_the_file() {
        let numbers = |places| {
            let found = by_class(&ROWS, places);
            let rows = found.wrong_and_sure.iter();
            rows.map(|row| (row.number, row.probability)).collect::<Vec<_>>()
        };
        assert_eq!(
            numbers(None),
            [(4, 0.9375), (2, 0.875), (3, 0.625), (6, 0.625)],
            "the first of equal ones first"
        );
        assert_eq!(numbers(Some(&[7, 9, 12, 30, 31, 40]))[0], (31, 0.9375));
        let found = by_class(&ROWS, None);
        let row = &found.wrong_and_sure[0];
        assert_eq!((row.label.as_str(), row.answer.as_str()), ("a", "b"));
        assert!(row.text.starts_with("3 is a long text "), "{}", row.text);
        assert_eq!(
            row.text.chars().count(),
            LONGEST_TEXT + 1,
            "the last one tells that it is cut"
        );
        let many: Vec<_> = ROWS.iter().cycle().take(60).copied().collect();
        let found = by_class(&many, None);
        assert_eq!(found.wrong_and_sure.len(), WRONG_ROWS);
        assert!(found.wrong_and_sure.iter().all(|row| row.probability > 0.9));
    }

    #[test]
    fn json_has_counts_and_scores_and_no_text() {
        let json = serde_json::to_value(by_class(&ROWS, None)).unwrap();
        assert_eq!(
            json["confusion_matrix"],
            serde_json::json!([[2, 2, 0], [2, 0, 0], [0, 0, 0]])
        );
        assert_eq!(
            json["classes"][0],
            serde_json::json!({"class": "a", "rows": 4, "predicted": 4, "precision": 0.5, "recall": 0.5, "f1": 0.5})
        );
        assert_eq!(json["classes"][2]["recall"], serde_json::Value::Null);
        assert!(!json.to_string().contains("long text"), "{json}");
    }

    #[test]
    fn the_weakest_class_is_said_with_its_rows_and_so_are_classes_without_a_row() {
        let found = by_class(&ROWS, None);
        assert_eq!(
            found.weakest().unwrap(),
            "weakest class on the test rows: `b`, 0 of whose 2 rows are recognized"
        );
        assert_eq!(
            found.absent().unwrap(),
            "no row of the test rows has the label `c`"
        );
        // Of three rows of `a` one is answered right, and the one row of `c`.
        let rows = [ROWS[0], ROWS[1], ROWS[3], (2, [0.25, 0.0, 0.75])];
        assert_eq!(
            by_class(&rows, None).weakest().unwrap(),
            "weakest class on the test rows: `a`, 1 of whose 3 rows is recognized"
        );
        let rows = [ROWS[0], ROWS[2], (2, [0.75, 0.25, 0.0])];
        assert_eq!(
            by_class(&rows, None).weakest().unwrap(),
            "weakest classes on the test rows: `b`, `c`, none of whose rows is recognized"
        );
        let found = [
            (0, [0.75, 0.25, 0.0]),
            (1, [0.25, 0.75, 0.0]),
            (2, [0.25, 0.0, 0.75]),
        ];
        let found = by_class(&found, None);
        assert_eq!((found.weakest(), found.absent()), (None, None));
        let blocks = found.section().blocks;
        assert_eq!(
            blocks.last(),
            Some(&Block::Text("Every answer is right.".to_owned()))
        );
    }
}
