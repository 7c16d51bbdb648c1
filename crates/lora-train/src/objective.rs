//! The training objective: the loss under drawn masks, averaged.

use std::ops::Range;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use lora_core::frozen::FrozenStates;
use lora_core::random::Draw;
use lora_core::sampler::AdapterShape;
use lora_core::{Adapted, LoraConfig, LoraDropout, MaskSampler, Model, Pass, PassNoise};
use lora_data::Batch;

use crate::config::HiddenKeySettings;
use crate::config::TrainConfig;
use crate::criterion::Criterion;
use crate::grouping::MaskGrouping;
use crate::hidden_key::held_together;
use crate::loss::{batch_loss, batch_loss_above};
use crate::variational::VariationalA;

/// LoRA Dropout's objective, `L(x) = 1/N Σ_i ℓ(x; θ0 + Δθ(m_i))` (arXiv 2404.09610): loss and gradient are averaged
/// over N fresh masks a step, one forward and backward pass each.
///
/// The passes of a step take its masks in order: the batches of an accumulation one after the other, each with its N
/// passes, each pass with as many masks as its [`MaskGrouping`] says. Without anything to draw (plain LoRA, or a
/// dropout of 0) there is one pass a batch, and it is [`Pass::Mean`]. With [`HiddenKeySettings`] each pass has noise of its own too, or
/// is two that are held together.
#[derive(Clone, Debug)]
pub struct Objective {
    sampler: MaskSampler,
    passes: usize,
    grouping: MaskGrouping,
    hidden_key: Option<HiddenKeySettings>,
    criterion: Criterion,
    adapters: Vec<AdapterShape>,
    device: Device,
    states: Option<FrozenStates>,
}

/// A pass of a step.
struct OnePass<'a> {
    batch: &'a Batch,
    /// Of its mean loss in the step's.
    weight: f64,
    /// Numbers of the draws of each forward pass; there are two where `HiddenKey` holds them together.
    samples: Vec<Range<u32>>,
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
            hidden_key: config.hidden_key,
            criterion: Criterion::new(config),
            adapters: adapted.adapter_shapes(),
            device: device.expect("an adapted model has a linear"),
            states: None,
        }
    }

    /// The same for batches of one data set, whose rows go through the layers below everything trained once and not in every epoch.
    #[must_use]
    pub fn with_states(self, states: Option<FrozenStates>) -> Self {
        Self { states, ..self }
    }

    /// The same with classes that count by weights `[classes]`.
    #[must_use]
    pub fn with_class_weights(self, class_weights: Vec<f32>) -> Self {
        Self {
            criterion: self.criterion.with_class_weights(class_weights),
            ..self
        }
    }

    /// The masks of the steps that come.
    pub(crate) fn set_dropout(&mut self, dropout: Option<LoraDropout>) {
        self.sampler.dropout = dropout;
    }

    /// The hidden states that passes begin with, if any are cached.
    pub fn states(&self) -> Option<&FrozenStates> {
        self.states.as_ref()
    }

    /// Loss and gradient of one optimizer step over all rows of its batches: a batch counts by its number of targets (rows,
    /// or tokens for a language model; with class weights by their sum), so where a step is cut into batches does not matter to plain LoRA.
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
        self.each_pass(batches, self.draws_noise(), &mut |one| {
            let masks: Vec<Option<PassNoise>> = one
                .samples
                .iter()
                .map(|samples| self.masks(step, samples))
                .collect();
            let passes: Vec<Pass> = masks
                .iter()
                .map(|masks| masks.as_ref().map_or(Pass::Mean, Pass::Stochastic))
                .collect();
            let loss = match (&passes[..], self.hidden_key) {
                ([first, second], Some(settings)) => held_together(
                    &adapted.model,
                    one.batch,
                    &[*first, *second],
                    settings.kl_weight,
                    &self.criterion,
                ),
                (passes, _) => self.loss(adapted, one.batch, &passes[0]),
            };
            let LossAndGradients { loss, gradients } = backward_of(adapted, loss, one.weight);
            losses.push(loss);
            accumulator.accumulate(&adapted.model, gradients);
        });
        LossAndGradients {
            loss: Tensor::cat(losses, 0).sum(),
            gradients: accumulator.grads(),
        }
    }

    /// As [`Objective::step`] with factors A drawn anew for each mask, and the weighted KL added to the loss. The second gradients
    /// are those of the roots G of the standard deviations.
    pub(crate) fn variational_step<M: Model<Input = Batch>>(
        &self,
        adapted: &Adapted<M>,
        step: u64,
        batches: &[Batch],
        variational: &VariationalA,
        kl_weight: f64,
    ) -> (LossAndGradients, GradientsParams) {
        let (mut accumulator, mut of_roots) = (GradientsAccumulator::new(), GradientsAccumulator::new());
        let mut losses = Vec::new();
        let mut penalty = Some(variational.divergence(adapted).mul_scalar(kl_weight));
        self.each_pass(batches, true, &mut |one| {
            let samples = &one.samples[0];
            let noise = variational.noise(step, samples);
            let masks = self
                .masks(step, samples)
                .unwrap_or_default()
                .with_factor_noise(noise);
            let pass = Pass::Stochastic(&masks);
            let loss = self.loss(adapted, one.batch, &pass);
            let mut loss = loss.mul_scalar(one.weight);
            // Once a step.
            if let Some(penalty) = penalty.take() {
                loss = loss + penalty;
            }
            let mut gradients = loss.backward();
            of_roots.accumulate(
                variational.roots(),
                GradientsParams::from_module(&mut gradients, variational.roots()),
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
        (of_model, of_roots.grads())
    }

    /// Calls `run` for every pass of a step, in order. `draws` says whether passes differ, so that there is more than one.
    fn each_pass(&self, batches: &[Batch], draws: bool, run: &mut dyn FnMut(OnePass<'_>)) {
        let twins = self.hidden_key.map_or(1, |settings| settings.twins());
        let counted = |batch: &Batch| self.criterion.counted(&batch.targets);
        let all: f64 = batches.iter().map(counted).sum();
        let passes = if draws { self.passes } else { 1 };
        let mut next = 0;
        for batch in batches {
            let weight = counted(batch) / all.max(f64::MIN_POSITIVE) / passes as f64;
            for _ in 0..passes {
                let mut samples = Vec::with_capacity(twins);
                for _ in 0..twins {
                    let first = next;
                    next += self.grouping.masks(batch.batch) as u32;
                    samples.push(first..next);
                }
                run(OnePass {
                    batch,
                    weight,
                    samples,
                });
            }
        }
    }

    /// Makes a pass for nothing but the hidden states that it caches.
    pub(crate) fn compute_states<M: Model<Input = Batch>>(&self, adapted: &Adapted<M>, batch: &Batch) {
        if self.hidden_key.is_none() {
            self.loss(adapted, batch, &Pass::Mean);
        }
    }

    fn loss<M: Model<Input = Batch>>(
        &self,
        adapted: &Adapted<M>,
        batch: &Batch,
        pass: &Pass<'_>,
    ) -> Tensor<1> {
        batch_loss_above(&adapted.model, batch, pass, self.states.as_ref(), &self.criterion)
    }

    fn draws_masks(&self) -> bool {
        self.sampler.dropout.is_some() || self.sampler.input_dropout > 0.0
    }

    /// Whether passes differ at all.
    fn draws_noise(&self) -> bool {
        self.draws_masks() || self.hidden_key.is_some()
    }

    /// Everything random about a forward pass; none for plain LoRA.
    fn masks(&self, step: u64, samples: &Range<u32>) -> Option<PassNoise> {
        let draw = |sample| Draw::Step { step, sample };
        let masks = self.draws_masks().then(|| {
            let draws: Vec<Draw> = samples.clone().map(draw).collect();
            self.sampler.draw(&draws, &self.adapters, &self.device)
        });
        let Some(settings) = self.hidden_key else {
            return masks;
        };
        let noise = settings.noise(self.sampler.seed, draw(samples.start));
        Some(masks.unwrap_or_default().with_hidden_key(noise))
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
    backward_of(adapted, batch_loss(&adapted.model, batch, pass), weight)
}

/// [`backward`] of a loss that is computed.
fn backward_of<M: Model<Input = Batch>>(
    adapted: &Adapted<M>,
    mut loss: Tensor<1>,
    weight: f64,
) -> LossAndGradients {
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
