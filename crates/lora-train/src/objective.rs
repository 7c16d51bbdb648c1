//! The training objective: the loss under drawn masks, averaged.

use std::ops::Range;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData, assert_shape};
use lora_core::{Adapted, AdapterShape, Draw, LoraConfig, MaskSampler, MaskSet, Model, Pass, select_rows};
use lora_data::{Batch, ChoiceTarget, Targets};
use lora_kernels::cross_entropy;

use crate::config::TrainConfig;
use crate::grouping::MaskGrouping;
use crate::variational::VariationalA;

/// LoRA Dropout's objective, `L(x) = 1/N Σ_i ℓ(x; θ0 + Δθ(m_i))` (arXiv 2404.09610): loss and gradient are averaged
/// over N fresh masks a step, one forward and backward pass each.
///
/// The passes of a step take its masks in order: the batches of an accumulation one after the other, each with its N
/// passes, each pass with as many masks as its [`MaskGrouping`] says. Without anything to draw (plain LoRA, or a
/// dropout of 0) there is one pass a batch, and it is [`Pass::Mean`].
#[derive(Clone, Debug)]
pub struct Objective {
    sampler: MaskSampler,
    passes: usize,
    grouping: MaskGrouping,
    adapters: Vec<AdapterShape>,
    device: Device,
}

/// A pass of a step.
struct OnePass<'a> {
    batch: &'a Batch,
    /// Of its mean loss in the step's.
    weight: f64,
    /// Numbers of its draws.
    samples: Range<u32>,
    /// None for plain LoRA.
    masks: Option<MaskSet>,
}

/// What backward passes give.
#[derive(Debug)]
pub struct LossAndGradients {
    /// `[1]`, without autodiff.
    pub loss: Tensor<1>,
    /// Gradients of the trained parameters, and of no others.
    pub gradients: GradientsParams,
}

impl Objective {
    /// The objective for a model in training mode, masks drawn with the seed of the settings.
    ///
    /// # Panics
    ///
    /// Panics if the model has no linear.
    pub fn new<M: Model>(adapted: &Adapted<M>, config: &TrainConfig) -> Self {
        let sampler = MaskSampler {
            seed: config.seed,
            dropout: adapted.dropout(),
            input_dropout: adapted.input_dropout(),
        };
        let mut device = None;
        adapted.model.visit_linears(&mut |linear| {
            device.get_or_insert_with(|| linear.base.weight.device());
        });
        Self {
            sampler,
            passes: config.masks_per_step,
            grouping: config.mask_grouping,
            adapters: adapted.adapter_shapes(),
            device: device.expect("an adapted model has a linear"),
        }
    }

    /// Loss and gradient of one optimizer step over all rows of its batches: a batch counts by its number of targets (rows,
    /// or tokens for a language model), so where a step is cut into batches does not matter to plain LoRA.
    ///
    /// # Panics
    ///
    /// Panics if there is no batch, or a batch has no targets.
    pub fn step<M: Model<Input = Batch>>(
        &self,
        adapted: &Adapted<M>,
        step: u64,
        batches: &[Batch],
    ) -> LossAndGradients {
        let mut accumulator = GradientsAccumulator::new();
        let mut losses = Vec::new();
        self.each_pass(step, batches, self.draws_masks(), &mut |one| {
            let pass = one.masks.as_ref().map_or(Pass::Mean, Pass::Masked);
            let LossAndGradients { loss, gradients } = backward(adapted, one.batch, &pass, one.weight);
            losses.push(loss);
            accumulator.accumulate(&adapted.model, gradients);
        });
        LossAndGradients {
            loss: Tensor::cat(losses, 0).sum(),
            gradients: accumulator.grads(),
        }
    }

    /// As [`Objective::step`] with factors A drawn anew for each mask, and the weighted KL added to the loss. The second gradients
    /// are those of the spreads.
    pub(crate) fn variational_step<M: Model<Input = Batch>>(
        &self,
        adapted: &Adapted<M>,
        step: u64,
        batches: &[Batch],
        variational: &VariationalA,
        kl_weight: f64,
    ) -> (LossAndGradients, GradientsParams) {
        let (mut accumulator, mut of_spreads) = (GradientsAccumulator::new(), GradientsAccumulator::new());
        let mut losses = Vec::new();
        let mut penalty = Some(variational.divergence(adapted).mul_scalar(kl_weight));
        self.each_pass(step, batches, true, &mut |one| {
            let noise = variational.noise(step, &one.samples);
            let masks = one.masks.unwrap_or_default().with_factor_noise(noise);
            let loss = batch_loss(&adapted.model, one.batch, &Pass::Masked(&masks));
            let mut loss = loss.mul_scalar(one.weight);
            // Once a step.
            if let Some(penalty) = penalty.take() {
                loss = loss + penalty;
            }
            let mut gradients = loss.backward();
            of_spreads.accumulate(
                variational.spreads(),
                GradientsParams::from_module(&mut gradients, variational.spreads()),
            );
            accumulator.accumulate(
                &adapted.model,
                GradientsParams::from_grads(gradients, &adapted.model),
            );
            losses.push(loss.inner());
        });
        let of_model = LossAndGradients {
            loss: Tensor::cat(losses, 0).sum(),
            gradients: accumulator.grads(),
        };
        (of_model, of_spreads.grads())
    }

    /// Calls `run` for every pass of a step, in order. `draws` says whether passes differ, so that there is more than one.
    fn each_pass(&self, step: u64, batches: &[Batch], draws: bool, run: &mut dyn FnMut(OnePass<'_>)) {
        let targets: usize = batches.iter().map(|batch| batch.targets.judged()).sum();
        let passes = if draws { self.passes } else { 1 };
        let mut next = 0;
        for batch in batches {
            let weight = batch.targets.judged() as f64 / targets.max(1) as f64 / passes as f64;
            for _ in 0..passes {
                let samples = next..next + self.grouping.masks(batch.batch) as u32;
                next = samples.end;
                let masks = self.masks(step, samples.clone());
                run(OnePass {
                    batch,
                    weight,
                    samples,
                    masks,
                });
            }
        }
    }

    fn draws_masks(&self) -> bool {
        self.sampler.dropout.is_some() || self.sampler.input_dropout > 0.0
    }

    /// The masks of a pass; none for plain LoRA.
    fn masks(&self, step: u64, samples: Range<u32>) -> Option<MaskSet> {
        self.draws_masks().then(|| {
            let draws: Vec<Draw> = samples.map(|sample| Draw::Step { step, sample }).collect();
            self.sampler.draw(&draws, &self.adapters, &self.device)
        })
    }
}

/// One forward and backward pass of `weight` times the loss, to which AdaLoRA adds its orthogonality loss, as PEFT does.
///
/// # Panics
///
/// Panics if the model is not in training mode ([`Module::train`](burn::module::Module::train)), or the batch has no
/// targets.
pub fn backward<M: Model<Input = Batch>>(
    adapted: &Adapted<M>,
    batch: &Batch,
    pass: &Pass<'_>,
    weight: f64,
) -> LossAndGradients {
    let mut loss = batch_loss(&adapted.model, batch, pass);
    if let Some(adalora) = adapted.lora().and_then(LoraConfig::adalora)
        && adalora.orth_reg_weight > 0.0
        && let Some(distance) = adapted.orthogonality()
    {
        loss = loss + distance.mul_scalar(adalora.orth_reg_weight);
    }
    let loss = loss.mul_scalar(weight);
    let gradients = GradientsParams::from_grads(loss.backward(), &adapted.model);
    LossAndGradients {
        loss: loss.inner(),
        gradients,
    }
}

/// Cross-entropy for classes, mean squared error for values; means over what is judged. Positions without a class count
/// neither in the sum nor in the mean; the loss is 0 where no position has one. Of a span, start and end count alike: the
/// classes of both are the places of the row (Devlin et al. 2018, section 4.2). Among choices the softmax runs over the tokens to choose
/// from alone, as in Laplace-LoRA (arXiv 2308.13111) and `BLoB` (arXiv 2406.11675), whose code is `bayesian-peft`.
///
/// # Shapes
///
/// - outputs: `[batch, classes]`, `[batch, 1]` for values, `[batch · seq, classes]` for positions and choices, `[2 · batch, seq]`
///   for spans: the starts of all rows, then their ends
/// - output: `[1]`
///
/// # Panics
///
/// Panics if there are no targets, their number is not the batch size, or a class is not below `classes`.
pub fn loss(outputs: Tensor<2>, targets: &Targets) -> Tensor<1> {
    let [batch, classes] = outputs.dims();
    let device = outputs.device();
    match targets {
        Targets::None => panic!("a batch without targets has no loss"),
        Targets::Classes(labels) => {
            let labels: Vec<i32> = labels.iter().map(|label| class(*label, classes)).collect();
            let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
            cross_entropy(outputs, labels)
        }
        Targets::Values(values) => {
            assert_shape!(outputs, [batch, 1]);
            let values = TensorData::new(values.clone(), [values.len(), 1]);
            let values = Tensor::<2>::from_data(values, &device);
            assert_shape!(values, [batch, 1]);
            (outputs - values).square().mean()
        }
        Targets::Positions(rows) => {
            let (places, labels) = judged(rows, batch / rows.len());
            if places.is_empty() {
                return outputs.sum().mul_scalar(0.0);
            }
            // The softmax of judged positions alone.
            loss(select_rows(outputs, &places), &Targets::Classes(labels))
        }
        Targets::Spans(spans) => {
            let starts = spans.iter().map(|(start, _)| *start);
            let ends = spans.iter().map(|(_, end)| *end);
            loss(outputs, &Targets::Classes(starts.chain(ends).collect()))
        }
        Targets::Choices(choices) => {
            let places = places_of_choices(choices, batch / choices.len());
            choice_loss(select_rows(outputs, &places), choices)
        }
    }
}

/// A logit that leaves a token out, in half precision too.
const LEFT_OUT: f32 = -1e4;

/// Cross-entropy of the right token among those to choose from.
///
/// # Shapes
///
/// - outputs: `[batch, vocab_size]`, those of the judged positions
/// - output: `[1]`
fn choice_loss(outputs: Tensor<2>, choices: &[ChoiceTarget]) -> Tensor<1> {
    let device = outputs.device();
    let most = choices
        .iter()
        .map(|choice| choice.tokens.len())
        .max()
        .unwrap_or(0);
    let (mut tokens, mut left_out) = (Vec::new(), Vec::new());
    for choice in choices {
        let missing = most - choice.tokens.len();
        tokens.extend(choice.tokens.iter().map(|token| i64::from(*token)));
        tokens.extend(std::iter::repeat_n(0, missing));
        left_out.extend(std::iter::repeat_n(0.0, choice.tokens.len()));
        left_out.extend(std::iter::repeat_n(LEFT_OUT, missing));
    }
    let shape = [choices.len(), most];
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &device);
    let left_out = Tensor::<2>::from_data(TensorData::new(left_out, shape), &device);
    // A token that is left out stands at 0, and must not be added to.
    let chosen = outputs.gather(1, tokens); // [batch, most]
    let chosen = chosen.mask_fill(left_out.clone().lower_elem(-1.0), 0.0) + left_out;
    let answers = choices.iter().map(|choice| choice.answer).collect();
    loss(chosen, &Targets::Classes(answers))
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

/// [`loss`] of the model's outputs for a batch. Only positions that are judged are computed to the end: a language model's
/// logits are its largest tensor, and the tokens of a prompt need none.
///
/// # Shapes
///
/// - output: `[1]`
///
/// # Panics
///
/// As [`loss`].
pub fn batch_loss<M: Model<Input = Batch>>(model: &M, batch: &Batch, pass: &Pass<'_>) -> Tensor<1> {
    if let Targets::Positions(rows) = &batch.targets {
        let (places, labels) = judged(rows, batch.seq);
        if !places.is_empty() {
            let outputs = model.forward_rows(batch, &places, pass);
            return loss(outputs, &Targets::Classes(labels));
        }
    }
    if let Targets::Choices(choices) = &batch.targets {
        let places = places_of_choices(choices, batch.seq);
        return choice_loss(model.forward_rows(batch, &places, pass), choices);
    }
    loss(model.forward(batch, pass), &batch.targets)
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

fn class(label: usize, classes: usize) -> i32 {
    assert!(
        label < classes,
        "class {label} for a model with {classes} classes"
    );
    i32::try_from(label).expect("a class is below the number of classes")
}
