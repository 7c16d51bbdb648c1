//! AdaLoRA's rank allocator (arXiv 2303.10512), step for step as PEFT has it.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use lora_core::adalora::{BudgetStep, RankPattern};
use lora_core::adapter::{Adapter, SvdFactors};
use lora_core::tensors::HostTensor;
use lora_core::{AdaLora, Adapted, Linears};

use crate::state::{StateError, TrainingState};

/// Measures how much every triplet of every linear matters to the loss, and sets the least important ones to zero as
/// the budget shrinks.
///
/// The importance of a number is the product of two moving averages: of its sensitivity `|p · ∂L/∂p|`, and of how far the
/// sensitivity strays from its average. A triplet's is that of its weight in E, plus the means over its column of A and its
/// row of B.
#[derive(Clone, Debug)]
pub struct RankAllocator {
    settings: AdaLora,
    total_steps: u64,
    /// By path.
    importance: BTreeMap<String, [Importance; 3]>,
    pattern: RankPattern,
}

/// The two moving averages of one factor.
#[derive(Clone, Debug)]
struct Importance {
    sensitivity: Tensor<2>,
    uncertainty: Tensor<2>,
}

/// Gradients of AdaLoRA's factors (A, E, B), by path: retained while the optimizer consumes the others.
#[derive(Clone, Debug, Default)]
pub struct FactorGradients(BTreeMap<String, [Option<Tensor<2>>; 3]>);

impl FactorGradients {
    /// Those of a model.
    pub fn of<M: Linears>(model: &M, gradients: &GradientsParams) -> Self {
        let mut found = BTreeMap::new();
        visit_factors(model, &mut |path, factors| {
            let gradients = params(factors).map(|param| gradients.get::<2>(param.id));
            found.insert(path.to_owned(), gradients);
        });
        Self(found)
    }
}

impl RankAllocator {
    /// An allocator without history, for a training of so many steps.
    pub fn new(settings: AdaLora, total_steps: u64) -> Self {
        let pattern = settings.rank_pattern.clone();
        Self {
            settings,
            total_steps,
            importance: BTreeMap::new(),
            pattern,
        }
    }

    /// Which triplets are retained since the last allocation; empty before the first one.
    pub fn pattern(&self) -> &RankPattern {
        &self.pattern
    }

    pub(crate) fn state(&self) -> TrainingState {
        let mut state = TrainingState::default();
        state.put("rank_pattern", &self.pattern);
        state.put("measured", &self.importance.keys().collect::<Vec<_>>());
        for (path, factors) in &self.importance {
            for (factor, average) in FACTORS.iter().zip(factors) {
                let of = |tensor: &Tensor<2>| HostTensor::of(tensor.clone());
                state.put_tensor(format!("{path}.{factor}.sensitivity"), of(&average.sensitivity));
                state.put_tensor(format!("{path}.{factor}.uncertainty"), of(&average.uncertainty));
            }
        }
        state
    }

    /// The same allocator with the importances of a state, for the factors of this model.
    pub(crate) fn restore<M: Linears>(
        mut self,
        model: &M,
        mut state: TrainingState,
    ) -> Result<Self, StateError> {
        self.pattern = state.take("rank_pattern")?;
        let measured: Vec<String> = state.take("measured")?;
        let mut result = Ok(());
        visit_factors(model, &mut |path, factors| {
            if result.is_err() || !measured.iter().any(|measured| measured == path) {
                return;
            }
            match restored_averages(path, factors, &mut state) {
                Ok(averages) => {
                    self.importance.insert(path.to_owned(), averages);
                }
                Err(error) => result = Err(error),
            }
        });
        result?;
        state.finish()?;
        Ok(self)
    }

    /// To be called after the optimizer's update of step `step` (from 0), with the gradients that it used. The parameters are
    /// the updated ones and the gradients those before the update, as where PEFT's `update_and_allocate` stands.
    pub fn update<M: Module + Linears>(
        &mut self,
        adapted: &mut Adapted<M>,
        gradients: &FactorGradients,
        step: u64,
    ) -> BudgetStep {
        let mut linears = 0;
        visit_factors(&adapted.model, &mut |_, _| linears += 1);
        let action = self.settings.step(step, self.total_steps, linears);
        if matches!(action, BudgetStep::Measure | BudgetStep::Allocate { .. }) {
            self.measure(&adapted.model, gradients);
        }
        match action {
            BudgetStep::Measure => return action,
            BudgetStep::Allocate { budget } => self.pattern = self.share_out(budget),
            BudgetStep::Finalize { budget } => {
                self.pattern = self.share_out(budget);
                self.importance.clear();
            }
            BudgetStep::Hold => {}
        }
        cut(&mut adapted.model, &self.pattern);
        adapted.set_rank_pattern(self.pattern.clone());
        action
    }

    fn measure<M: Linears>(&mut self, model: &M, gradients: &FactorGradients) {
        let (beta1, beta2) = (self.settings.beta1, self.settings.beta2);
        let importance = &mut self.importance;
        visit_factors(model, &mut |path, factors| {
            let values = params(factors).map(|param| param.val().detach().inner());
            let averages = importance.entry(path.to_owned()).or_insert_with(|| {
                values.clone().map(|value| Importance {
                    sensitivity: value.zeros_like(),
                    uncertainty: value.zeros_like(),
                })
            });
            let Some(gradients) = gradients.0.get(path) else {
                return;
            };
            for ((average, value), gradient) in averages.iter_mut().zip(values).zip(gradients) {
                let now = match gradient {
                    Some(gradient) => (value * gradient.clone()).abs(),
                    None => value.zeros_like(),
                };
                let sensitivity =
                    average.sensitivity.clone().mul_scalar(beta1) + now.clone().mul_scalar(1.0 - beta1);
                let strayed = (now - sensitivity.clone()).abs();
                average.uncertainty =
                    average.uncertainty.clone().mul_scalar(beta2) + strayed.mul_scalar(1.0 - beta2);
                average.sensitivity = sensitivity;
            }
        });
    }

    /// Cuts a model that is from an earlier step, when more triplets were retained.
    pub(crate) fn cut_again<M: Module + Linears>(&self, adapted: &mut Adapted<M>) {
        cut(&mut adapted.model, &self.pattern);
    }

    /// Keeps the triplets above the threshold that leaves `budget` of them; ties with the threshold are all cut, as in PEFT.
    fn share_out(&self, budget: usize) -> RankPattern {
        let scores: BTreeMap<&String, Vec<f32>> = self
            .importance
            .iter()
            .map(|(path, factors)| (path, triplet_scores(factors)))
            .collect();
        let mut sorted: Vec<f32> = scores.values().flatten().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let cut = sorted.len().saturating_sub(budget);
        // Where nothing is to be cut PEFT takes the zeroth smallest number and fails; everything is retained here.
        let threshold = cut.checked_sub(1).map(|last| sorted[last]);
        scores
            .into_iter()
            .map(|(path, scores)| {
                let kept = |score: &f32| threshold.is_none_or(|threshold| *score > threshold);
                (path.clone(), scores.iter().map(kept).collect())
            })
            .collect()
    }
}

/// Names of the factors in a state, in the order of [`params`].
const FACTORS: [&str; 3] = ["lora_A", "lora_E", "lora_B"];

fn restored_averages(
    path: &str,
    factors: &SvdFactors,
    state: &mut TrainingState,
) -> Result<[Importance; 3], StateError> {
    let mut restored = |place: usize| {
        let factor = params(factors)[place];
        let device = factor.val().inner().device();
        let mut average = |what: &str| {
            let name = format!("{path}.{}.{what}", FACTORS[place]);
            let tensor = state.take_tensor(&name, &factor.dims())?;
            Ok(tensor.on::<2>(&device))
        };
        Ok(Importance {
            sensitivity: average("sensitivity")?,
            uncertainty: average("uncertainty")?,
        })
    };
    Ok([restored(0)?, restored(1)?, restored(2)?])
}

/// `S_k = s(E_k) + mean_i s(A_ik) + mean_j s(B_kj)` with `s` the product of the two averages.
fn triplet_scores([a, e, b]: &[Importance; 3]) -> Vec<f32> {
    let score = |factor: &Importance| factor.sensitivity.clone() * factor.uncertainty.clone();
    let rank = e.sensitivity.dims()[1];
    let vectors = score(a).mean_dim(0).reshape([rank]) + score(b).mean_dim(1).reshape([rank]);
    HostTensor::of(score(e).reshape([rank]) + vectors).values
}

/// Sets the weights of cut triplets to zero.
fn cut<M: Linears>(model: &mut M, pattern: &RankPattern) {
    model.visit_linears_mut(&mut |linear| {
        let Some(kept) = pattern.get(linear.path()) else {
            return;
        };
        let Some(Adapter::Svd(svd)) = &mut linear.adapter else {
            return;
        };
        let Some(factors) = &mut svd.factors else { return };
        let mask: Vec<f32> = kept.iter().map(|kept| f32::from(u8::from(*kept))).collect();
        let e = factors.e.clone();
        factors.e = e.map(|e| {
            let mask = Tensor::<2>::from_data(TensorData::new(mask, [1, kept.len()]), &e.device());
            let tracked = e.is_require_grad();
            (e.detach() * mask).detach().set_require_grad(tracked)
        });
    });
}

fn params(factors: &SvdFactors) -> [&Param<Tensor<2>>; 3] {
    [&factors.a, &factors.e, &factors.b]
}

fn visit_factors<M: Linears>(model: &M, visit: &mut dyn FnMut(&str, &SvdFactors)) {
    model.visit_linears(&mut |linear| {
        if let Some(Adapter::Svd(svd)) = &linear.adapter
            && let Some(factors) = &svd.factors
        {
            visit(linear.path(), factors);
        }
    });
}
