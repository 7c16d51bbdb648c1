//! Asking a model about an encoded part, in the way of its kind of rows: what is said of texts, words, and questions with choices.

pub mod adaptive;

use burn::tensor::Tensor;
use lora_core::{Adapted, Model, Pass};
use lora_data::{Batch, WordPlace};
use lora_eval::{ModelOutputs, Passes, letter_logits, predict, predict_letters, predict_places};
use lora_models::Transformer;

use crate::data::encoded::{Detail, EncodedPart};

/// What is said of every text, every judged word or every question, in all passes; `progress` is told how many rows are done, counted
/// once for each pass.
///
/// # Panics
///
/// Panics for questions about contexts, whose outputs have another form: [`crate::score::ask`] takes all kinds.
pub fn outputs(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    passes: &Passes<'_>,
    progress: &mut dyn FnMut(usize),
) -> ModelOutputs {
    let batches = part.batches.iter().map(|batch| (batch, batch.rows.as_slice()));
    let adapted = adapted.above(part.states.as_ref());
    match &part.detail {
        Detail::Texts => predict(adapted, batches, part.encoded.len(), passes, progress),
        Detail::Words(detail) => {
            let tokens = |words: &Vec<WordPlace>| words.iter().map(|place| place.token).collect();
            let places: Vec<Vec<usize>> = detail.words.iter().map(tokens).collect();
            predict_places(adapted, batches, &places, passes, progress)
        }
        Detail::Choices(detail) => {
            let batches = batches.zip(&detail.places);
            let batches = batches.map(|((batch, rows), places)| (batch, rows, places.as_slice()));
            predict_letters(adapted, batches, &detail.letters, passes, progress)
        }
        Detail::Spans(_) => unreachable!("answers in a context have a start and an end"),
    }
}

/// The same for a batch of rows of the part in one pass, in a form that gradients go through: `[rows, outputs]`.
///
/// # Panics
///
/// Panics for rows with several outputs: words, and questions about contexts.
pub fn row_outputs(
    model: &Transformer,
    part: &EncodedPart,
    batch: &Batch,
    rows: &[usize],
    pass: &Pass<'_>,
) -> Tensor<2> {
    match &part.detail {
        Detail::Texts => model.forward(batch, pass),
        Detail::Choices(detail) => {
            let letters: Vec<&[u32]> = rows.iter().map(|row| &detail.letters[*row][..]).collect();
            // As wide in every batch: an answer that one batch lacks is an answer in another.
            let width = detail.letters.iter().map(Vec::len).max().unwrap_or(0);
            let last = part.last_tokens(batch);
            let mut outputs = model.forward_passes(batch, Some(&last), &[*pass], None);
            letter_logits(outputs.remove(0), &letters, width)
        }
        Detail::Words(_) | Detail::Spans(_) => unreachable!("a row has one output"),
    }
}
