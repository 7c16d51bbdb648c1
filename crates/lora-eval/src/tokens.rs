//! Models with outputs for every token, of which some are read: tags of words, letters of choices.

use burn::tensor::{Int, Tensor, TensorData};
use lora_core::Model;
use lora_core::adapted::CachedModel;

use crate::ModelOutputs;
use crate::choices::ABSENT_LETTER;
use crate::gathered::Gathered;
use crate::passes::{Passes, Request, run_passes, whole};

/// Runs a model with a head for tokens over all batches, in all passes, and keeps the outputs at some places: those of the words of
/// each row that are judged. Examples of the result are the places, in the order of the data set's rows.
///
/// `batches` and `progress` are as for [`predict`](crate::predict); `places` `[rows]` are the tokens of each row of the data set.
///
/// # Panics
/// If a row is missing, out of range or given twice, a place is not in its row, or the outputs are not `[batch · seq, classes]`.
pub fn predict_places<'a, 'm, M: Model + 'm>(
    adapted: impl Into<CachedModel<'m, M>>,
    batches: impl Iterator<Item = (&'a M::Input, &'a [usize])>,
    places: &[Vec<usize>],
    passes: &Passes<'_>,
    progress: &mut dyn FnMut(usize),
) -> ModelOutputs
where
    M::Input: 'a,
{
    let mut gathered = Gathered::new(places.len(), passes.count());
    let mut filled = 0;
    run_passes(
        adapted.into(),
        whole(batches),
        passes,
        &mut |member, rows, [outputs, width], values| {
            let seq = outputs / rows.len();
            for (row, values) in rows.iter().zip(values.chunks_exact(seq * width)) {
                let of_place = places[*row].iter().map(|place| &values[place * width..][..width]);
                gathered.add(member, *row, of_place.flatten().copied());
            }
            filled += rows.len();
            progress(filled);
        },
    );
    let examples = places.iter().map(Vec::len).sum();
    let values = gathered.finish(|_| {});
    let cells = passes.count() * examples;
    ModelOutputs {
        members: passes.count(),
        examples,
        outputs: values.len().checked_div(cells).unwrap_or(0),
        values,
    }
}

/// Runs a language model over all batches, in all passes, and keeps its scores of the tokens that answer each question. Classes are the
/// choices; a question with fewer of them than others has [`ABSENT_LETTER`] for the rest.
///
/// A batch comes with the data set row of each of its rows and with its places of judgement: for each of its rows `row · seq + token`,
/// where the token is the last of the prompt. `letters` `[rows][choices]` are the tokens that answer each row of the data set.
///
/// # Panics
/// If a row is missing, out of range or given twice, or a token is not in the vocabulary.
pub fn predict_letters<'a, 'm, M: Model + 'm>(
    adapted: impl Into<CachedModel<'m, M>>,
    batches: impl Iterator<Item = (&'a M::Input, &'a [usize], &'a [usize])>,
    letters: &[Vec<u32>],
    passes: &Passes<'_>,
    progress: &mut dyn FnMut(usize),
) -> ModelOutputs
where
    M::Input: 'a,
{
    let requests = batches.map(|(input, rows, places)| Request {
        input,
        rows,
        places: Some(places),
    });
    let mut gathered = Gathered::new(letters.len(), passes.count());
    let mut filled = 0;
    run_passes(
        adapted.into(),
        requests,
        passes,
        &mut |member, rows, [_, width], values| {
            for (row, values) in rows.iter().zip(values.chunks_exact(width)) {
                let scores = letters[*row].iter().map(|token| values[*token as usize]);
                gathered.add(member, *row, scores);
            }
            filled += rows.len();
            progress(filled);
        },
    );
    let most = letters.iter().map(Vec::len).max().unwrap_or(0);
    ModelOutputs {
        members: passes.count(),
        examples: letters.len(),
        outputs: most,
        values: gathered.finish(|scores| scores.resize(most, ABSENT_LETTER)),
    }
}

/// A logit that leaves a token out of a softmax, in half precision too.
const LEFT_OUT: f32 = -1e4;

/// The scores of the tokens that answer each question, of those of all tokens; gradients go through. A question with fewer answers
/// than `width` has a logit for the rest that leaves them out of the softmax.
///
/// # Shapes
///
/// - outputs: `[batch, vocab_size]`, after the last token of each prompt
/// - letters: `[batch][choices]`
/// - output: `[batch, width]`
///
/// # Panics
/// If a question has more answers than `width`.
pub fn letter_logits(outputs: Tensor<2>, letters: &[&[u32]], width: usize) -> Tensor<2> {
    let device = outputs.device();
    let (mut tokens, mut left_out) = (Vec::new(), Vec::new());
    for letters in letters {
        assert!(letters.len() <= width, "a question has more than {width} answers");
        let missing = width - letters.len();
        tokens.extend(letters.iter().map(|token| i64::from(*token)));
        tokens.extend(std::iter::repeat_n(0, missing));
        left_out.extend(std::iter::repeat_n(0.0, letters.len()));
        left_out.extend(std::iter::repeat_n(LEFT_OUT, missing));
    }
    let shape = [letters.len(), width];
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &device);
    let left_out = Tensor::<2>::from_data(TensorData::new(left_out, shape), &device);
    // A token that is left out stands at 0, and must not be added to.
    let chosen = outputs.gather(1, tokens); // [batch, width]
    chosen.mask_fill(left_out.clone().lower_elem(-1.0), 0.0) + left_out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use burn::module::Module;
    use burn::tensor::{Device, Tensor, TensorData};
    use lora_core::{Adapted, Linears, LoraConfig, LoraLinear, Pass, TargetModules};

    use super::*;

    /// The output for every token is its number plus `[0, 100, 200]`, so that an output tells its place.
    #[derive(Module, Debug)]
    struct Probe {
        linear: LoraLinear,
    }

    impl Linears for Probe {
        fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
            visit(&self.linear);
        }
        fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
            visit(&mut self.linear);
        }
        fn heads(&self) -> Vec<String> {
            Vec::new()
        }
    }

    impl Model for Probe {
        type Input = Vec<Vec<f32>>;
        fn forward(&self, input: &Self::Input, _: &Pass) -> Tensor<2> {
            let tokens: Vec<f32> = input.concat();
            let outputs: Vec<f32> = tokens
                .iter()
                .flat_map(|token| [*token, token + 100.0, token + 200.0])
                .collect();
            Tensor::from_data(TensorData::new(outputs, [tokens.len(), 3]), &Device::flex())
        }
    }

    fn probe() -> Adapted<Probe> {
        let device = Device::flex();
        let weight = Tensor::<2>::from_data([[0.5, -1.0, 2.0], [0.25, 3.0, 1.5]], &device);
        let model = Probe {
            linear: LoraLinear::new("probe", weight, None),
        };
        Adapted::attach(model, LoraConfig::new(2, 3.0, TargetModules::names(["probe"])), 1)
            .unwrap()
            .0
    }

    /// Rows 0, 1 and 2 of a data set, in two batches.
    fn batches() -> [(Vec<Vec<f32>>, Vec<usize>); 2] {
        [
            (vec![vec![20.0, 21.0], vec![0.0, 1.0]], vec![2, 0]),
            (vec![vec![10.0, 11.0, 12.0]], vec![1]),
        ]
    }

    #[test]
    fn places_come_in_the_order_of_the_rows() {
        let batches = batches();
        let inputs = batches.iter().map(|(input, rows)| (input, &rows[..]));
        let places = [vec![1], vec![0, 2], vec![]];
        let outputs = predict_places(&probe(), inputs, &places, &Passes::Mean, &mut |_| {});
        assert_eq!((outputs.members, outputs.examples, outputs.outputs), (1, 3, 3));
        assert_eq!(
            outputs.values,
            [1.0, 101.0, 201.0, 10.0, 110.0, 210.0, 12.0, 112.0, 212.0]
        );
    }

    #[test]
    fn letters_are_read_after_the_last_token() {
        let batches = batches();
        let places = [vec![1, 3], vec![2]];
        let inputs = batches.iter().zip(&places);
        let inputs = inputs.map(|((input, rows), places)| (input, &rows[..], &places[..]));
        let letters = [vec![2, 0], vec![0, 1, 2], vec![1, 2]];
        let outputs = predict_letters(&probe(), inputs, &letters, &Passes::Mean, &mut |_| {});
        assert_eq!((outputs.examples, outputs.outputs), (3, 3));
        let absent = ABSENT_LETTER;
        assert_eq!(
            outputs.values,
            [201.0, 1.0, absent, 12.0, 112.0, 212.0, 121.0, 221.0, absent]
        );
    }

    #[test]
    #[should_panic(expected = "row 1 is in no batch")]
    fn a_row_that_is_missing_panics() {
        let [first, _] = batches();
        let inputs = std::iter::once((&first.0, &first.1[..]));
        let places = [vec![0], vec![0], vec![0]];
        let _ = predict_places(&probe(), inputs, &places, &Passes::Mean, &mut |_| {});
    }
}
