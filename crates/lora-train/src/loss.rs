//! The loss of a batch, and which of a model's outputs it is of.

use burn::tensor::{Device, Tensor, TensorData, assert_shape};
use lora_core::frozen::FrozenStates;
use lora_core::model::select_rows;
use lora_core::{Model, Pass};
use lora_data::{Batch, ChoiceTarget, Targets};
use lora_eval::letter_logits;

use crate::criterion::Criterion;

/// Cross-entropy for classes, binary cross-entropy for labels any number of which may hold, mean squared error for values; means over
/// what is judged. Positions without a class count
/// neither in the sum nor in the mean; the loss is 0 where no position has one. Of a span, start and end count alike: the
/// classes of both are the places of the row (Devlin et al. 2018, section 4.2). Among choices the softmax runs over the tokens to choose
/// from alone, as in Laplace-LoRA (arXiv 2308.13111) and `BLoB` (arXiv 2406.11675), whose code is `bayesian-peft`.
///
/// # Shapes
///
/// - outputs: `[batch, classes]`, `[batch, labels]`, `[batch, 1]` for values, `[batch · seq, classes]` for positions and choices, `[2 · batch, seq]`
///   for spans: the starts of all rows, then their ends
/// - output: `[1]`
///
/// # Panics
///
/// Panics if there are no targets, their number is not the batch size, or a class is not below `classes`.
pub fn loss(outputs: Tensor<2>, targets: &Targets) -> Tensor<1> {
    Criterion::default().loss(outputs, targets)
}

impl Criterion {
    /// The loss of a batch: as [`loss`](crate::loss::loss()), with this criterion for classes of texts and of positions, and for labels any
    /// number of which may hold. Numbers, answers in a text and choices have no other loss.
    ///
    /// # Panics
    ///
    /// As [`loss`](crate::loss::loss()).
    pub fn loss(&self, outputs: Tensor<2>, targets: &Targets) -> Tensor<1> {
        loss_by(outputs, targets, self)
    }
}

/// [`Criterion::loss`].
pub(crate) fn loss_by(outputs: Tensor<2>, targets: &Targets, criterion: &Criterion) -> Tensor<1> {
    let [batch, classes] = outputs.dims();
    let device = outputs.device();
    match targets {
        Targets::None => panic!("a batch without targets has no loss"),
        Targets::Classes(labels) => criterion.of_classes(outputs, labels),
        Targets::Values(values) => {
            assert_shape!(outputs, [batch, 1]);
            let values = TensorData::new(values.clone(), [values.len(), 1]);
            let values = Tensor::<2>::from_data(values, &device);
            assert_shape!(values, [batch, 1]);
            (outputs - values).square().mean()
        }
        Targets::Labels(rows) => criterion.of_labels(outputs, held(rows, batch, classes, &device)),
        Targets::Positions(rows) => {
            let (places, labels) = judged(rows, batch / rows.len());
            if places.is_empty() {
                return outputs.sum().mul_scalar(0.0);
            }
            // The softmax of judged positions alone.
            loss_by(
                select_rows(outputs, &places),
                &Targets::Classes(labels),
                criterion,
            )
        }
        Targets::Spans(spans) => {
            let starts = spans.iter().map(|(start, _)| *start);
            let ends = spans.iter().map(|(_, end)| *end);
            loss(outputs, &Targets::Classes(starts.chain(ends).collect()))
        }
        Targets::Choices(choices) => {
            let places = places_of_choices(choices, batch / choices.len());
            let (letters, answers) = letters_of(select_rows(outputs, &places), choices);
            loss(letters, &answers)
        }
    }
}

/// 1 where a label holds, else 0: `[batch, labels]`.
fn held(rows: &[Vec<usize>], batch: usize, labels: usize, device: &Device) -> Tensor<2> {
    assert_eq!(rows.len(), batch, "a set of labels for each row");
    let mut truth = vec![0.0_f32; batch * labels];
    for (row, of_row) in rows.iter().enumerate() {
        for label in of_row {
            assert!(*label < labels, "label {label} for a model with {labels} labels");
            truth[row * labels + label] = 1.0;
        }
    }
    Tensor::from_data(TensorData::new(truth, [batch, labels]), device)
}

/// The scores of the tokens to choose from, and which of them is right.
///
/// # Shapes
///
/// - outputs: `[batch, vocab_size]`, those of the judged positions
/// - output: `[batch, most choices]`
fn letters_of(outputs: Tensor<2>, choices: &[ChoiceTarget]) -> (Tensor<2>, Targets) {
    let letters: Vec<&[u32]> = choices.iter().map(|choice| &choice.tokens[..]).collect();
    let answers = choices.iter().map(|choice| choice.answer).collect();
    let most = letters.iter().map(|letters| letters.len()).max().unwrap_or(0);
    (letter_logits(outputs, &letters, most), Targets::Classes(answers))
}

/// The judged positions as rows of `[batch · seq, vocab_size]`.
fn places_of_choices(choices: &[ChoiceTarget], seq: usize) -> Vec<usize> {
    let places = choices.iter().enumerate();
    places
        .map(|(row, choice)| {
            assert!(choice.place < seq, "position {} of {seq} tokens", choice.place);
            row * seq + choice.place
        })
        .collect()
}

/// [`loss`] of the model's outputs for a batch.
///
/// # Shapes
///
/// - output: `[1]`
///
/// # Panics
///
/// As [`loss`].
pub fn batch_loss<M: Model<Input = Batch>>(model: &M, batch: &Batch, pass: &Pass<'_>) -> Tensor<1> {
    batch_loss_above(model, batch, pass, None, &Criterion::default())
}

/// [`batch_loss`] from hidden states that are known, if they are; else they are left there.
pub(crate) fn batch_loss_above<M: Model<Input = Batch>>(
    model: &M,
    batch: &Batch,
    pass: &Pass<'_>,
    states: Option<&FrozenStates>,
    criterion: &Criterion,
) -> Tensor<1> {
    let (outputs, targets) = judged_outputs(model, batch, pass, states);
    loss_by(outputs, &targets, criterion)
}

/// The outputs that are judged, and the right answers. Only such positions are computed to the end: a language model's
/// logits are its largest tensor, and the tokens of a prompt need none.
///
/// # Shapes
///
/// - output: `[judged, classes]`, `[batch, 1]` for values
pub(crate) fn judged_outputs<M: Model<Input = Batch>>(
    model: &M,
    batch: &Batch,
    pass: &Pass<'_>,
    states: Option<&FrozenStates>,
) -> (Tensor<2>, Targets) {
    let outputs = |places: Option<&[usize]>| {
        let mut outputs = model.forward_passes(batch, places, &[*pass], states);
        outputs.pop().expect("one pass")
    };
    match &batch.targets {
        Targets::Positions(rows) => {
            let (places, labels) = judged(rows, batch.seq);
            if !places.is_empty() {
                return (outputs(Some(&places)), Targets::Classes(labels));
            }
        }
        Targets::Choices(choices) => {
            let places = places_of_choices(choices, batch.seq);
            return letters_of(outputs(Some(&places)), choices);
        }
        _ => {}
    }
    (outputs(None), batch.targets.clone())
}

/// Where positions have a class, as rows of `[batch · seq, classes]`, and the class.
fn judged(rows: &[Vec<Option<u32>>], seq: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut places, mut labels) = (Vec::new(), Vec::new());
    for (row, positions) in rows.iter().enumerate() {
        assert!(
            positions.len() <= seq,
            "{} positions in {seq} tokens",
            positions.len()
        );
        for (position, label) in positions.iter().enumerate() {
            if let Some(label) = label {
                places.push(row * seq + position);
                labels.push(*label as usize);
            }
        }
    }
    (places, labels)
}
