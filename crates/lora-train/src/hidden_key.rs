//! `HiddenKey` (Wang et al. 2024, "LoRA Meets Dropout under a Unified Framework", arXiv 2403.00812): keys dropped from attention, values
//! cut out of hidden representations, and two passes that are held together by their divergence.
//!
//! ```text
//! loss = ½ (ℓ(y₁) + ℓ(y₂)) + w · D(y₁, y₂)       y₁, y₂: two passes with noise of their own over the same rows
//! D    = ½ (KL(p₁ ‖ p₂) + KL(p₂ ‖ p₁)) = ½ Σ_c (p₁ − p₂)(ln p₁ − ln p₂)       a mean over what is judged
//! ```
//!
//! The noise itself is [`lora_core::hidden_key::HiddenKeyNoise`]. The form of the loss is that of R-Drop (Liang et al. 2021, arXiv 2106.14448), to
//! which the paper's bidirectional KL goes back; gradients flow through both passes. For a regression, which have no KL, D is the mean
//! squared difference: twice the KL of Gaussians with unit variance, as the squared error is twice their negative log-likelihood but
//! for a constant.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, sigmoid};
use lora_core::hidden_key::HiddenKeyNoise;
use lora_core::random::Draw;
use lora_core::{Model, Pass};
use lora_data::{Batch, Targets};

use crate::config::HiddenKeySettings;
use crate::criterion::Criterion;
use crate::loss::{judged_outputs, loss_by};

impl HiddenKeySettings {
    /// What is drawn in a pass.
    pub(crate) fn noise(&self, seed: u64, draw: Draw) -> HiddenKeyNoise {
        HiddenKeyNoise {
            seed,
            draw,
            key_probability: self.key_probability,
            cut_probability: self.cut_probability,
        }
    }

    /// Forward passes that are held together.
    pub(crate) fn twins(&self) -> usize {
        if self.kl_weight > 0.0 { 2 } else { 1 }
    }
}

/// The loss of two passes over a batch, `[1]`.
pub(crate) fn held_together<M: Model<Input = Batch>>(
    model: &M,
    batch: &Batch,
    passes: &[Pass<'_>; 2],
    kl_weight: f64,
    criterion: &Criterion,
) -> Tensor<1> {
    let [(first, targets), (second, _)] = passes
        .each_ref()
        .map(|pass| judged_outputs(model, batch, pass, None));
    let of = |outputs: &Tensor<2>| loss_by(outputs.clone(), &targets, criterion);
    let mean = (of(&first) + of(&second)).mul_scalar(0.5);
    mean + divergence(first, second, &targets).mul_scalar(kl_weight)
}

/// D of two passes.
///
/// # Shapes
///
/// - first, second: `[judged, classes]`, `[batch, 1]` for values
/// - output: `[1]`
fn divergence(first: Tensor<2>, second: Tensor<2>, targets: &Targets) -> Tensor<1> {
    match targets {
        Targets::Values(_) => (first - second).square().mean(),
        Targets::Labels(_) => {
            // A label's KL of two Bernoulli distributions, in both directions: (p₁ − p₂)(logit₁ − logit₂).
            let terms = (sigmoid(first.clone()) - sigmoid(second.clone())) * (first - second); // [batch, labels]
            terms.mean().mul_scalar(0.5)
        }
        // No position of the batch is judged.
        Targets::Positions(_) => (first - second).sum().mul_scalar(0.0),
        _ => {
            let (first, second) = (log_softmax(first, 1), log_softmax(second, 1));
            let terms = (first.clone().exp() - second.clone().exp()) * (first - second); // [judged, classes]
            terms.sum_dim(1).mean().mul_scalar(0.5)
        }
    }
}
