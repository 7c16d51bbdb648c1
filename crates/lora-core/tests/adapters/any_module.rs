//! LoRA Dropout on a module that knows nothing of it.

use crate::support::{assert_close, device, normal, numbers};
use burn::module::{Lora, Module, ModuleMapper, Param, ParamGroup};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use lora_core::adapter::Adapter;
use lora_core::any_module::{LoraDropoutOn, masked, unmasked};
use lora_core::random::Draw;
use lora_core::sampler::AdapterShape;
use lora_core::{LoraConfig, LoraDropout, LoraLinear, MaskAxes, MaskSampler, Pass, Rescale, TargetModules};

/// Two linears of Burn's own: 5 → 7 → 4.
#[derive(Module, Debug)]
struct Foreign {
    query: Linear,
    value: Linear,
}

impl Foreign {
    fn new() -> Self {
        let linear = |name: &str, d_input, d_output| {
            let mut linear = LinearConfig::new(d_input, d_output).init(&device());
            linear.weight = Param::from_tensor(normal(name, [d_input, d_output]));
            linear.bias = Some(Param::from_tensor(normal(&format!("{name}.bias"), [d_output])));
            linear
        };
        Self {
            query: linear("query", 5, 7),
            value: linear("value", 7, 4),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.value.forward(self.query.forward(x).tanh())
    }
}

/// Gives the factors, Burn's or ours, numbers that depend on their place alone.
struct SetFactors(Vec<String>);

impl ModuleMapper for SetFactors {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let [linear, _, _, factor] = &self.0[..] else {
            return param;
        };
        if factor != "a" && factor != "b" {
            return param;
        }
        let shape: [usize; D] = param.dims();
        let values = normal(&format!("{linear}.{factor}"), shape);
        param.map(|_| values)
    }
}

fn reparameterizer(dropout: Option<LoraDropout>) -> LoraDropoutOn {
    LoraDropoutOn {
        rank: 2,
        alpha: 5.0,
        dropout,
        seed: 3,
        group: ParamGroup::all(),
    }
}

fn adapted(dropout: Option<LoraDropout>) -> Foreign {
    let model = Foreign::new().apply_reparameterization(reparameterizer(dropout));
    model.map(&mut SetFactors(Vec::new()))
}

const PLAIN: LoraDropout = LoraDropout {
    probability: 0.4,
    rescale: Rescale::Plain,
    axes: MaskAxes::RowsAndColumns,
};

#[test]
fn without_dropout_it_is_burn_s_own_lora() {
    let x = normal("x", [3, 5]);
    let burns = Foreign::new()
        .apply_lora(Lora::new(2, 5.0))
        .map(&mut SetFactors(Vec::new()));
    let ours = adapted(None);
    let (found, expected) = (
        numbers(ours.forward(x.clone())),
        numbers(burns.forward(x.clone())),
    );
    assert_close(&found, &expected, 1e-6);
    assert_ne!(found, numbers(Foreign::new().forward(x)));
}

#[test]
fn a_new_update_changes_nothing_and_only_factors_are_trained() {
    let x = normal("x", [3, 5]);
    let model = Foreign::new().apply_reparameterization(reparameterizer(Some(PLAIN)));
    assert_eq!(
        numbers(model.forward(x.clone())),
        numbers(Foreign::new().forward(x))
    );
    assert!(!model.query.weight.is_require_grad());
    assert!(!model.value.bias.as_ref().unwrap().is_require_grad());
}

/// The same linears of this crate, with the same factors.
fn lora_linears(dropout: LoraDropout) -> [LoraLinear; 2] {
    [("query", 5, 7), ("value", 7, 4)].map(|(name, d_input, d_output)| {
        let bias = normal(&format!("{name}.bias"), [d_output]);
        let mut linear = LoraLinear::new(name, normal(name, [d_input, d_output]), Some(bias));
        let config = LoraConfig {
            dropout: Some(dropout),
            ..LoraConfig::new(2, 5.0, TargetModules::names([name]))
        };
        linear.attach(&config, 3).unwrap();
        let Some(Adapter::LowRank(adapter)) = &mut linear.adapter else {
            unreachable!()
        };
        adapter.a = Param::from_tensor(normal(&format!("{name}.a"), [d_input, 2]));
        adapter.b = Param::from_tensor(normal(&format!("{name}.b"), [2, d_output]));
        linear
    })
}

#[test]
fn masks_and_mean_pass_are_those_of_a_lora_linear() {
    for axes in [
        MaskAxes::RowsAndColumns,
        MaskAxes::Rows,
        MaskAxes::Columns,
        MaskAxes::Rank,
    ] {
        computes_what_lora_linears_do(PLAIN.on(axes));
    }
}

fn computes_what_lora_linears_do(dropout: LoraDropout) {
    let x = normal("x", [3, 5]);
    let [query, value] = lora_linears(dropout);
    let expected = |pass: &Pass| {
        let hidden = query.forward(x.clone(), pass).tanh();
        numbers(value.forward(hidden, pass))
    };
    let sampler = MaskSampler {
        seed: 11,
        dropout: Some(dropout),
        input_dropout: 0.0,
    };
    let shapes = [&query, &value].map(|linear| AdapterShape {
        path: linear.path().to_owned(),
        d_input: linear.dims()[0],
        d_output: linear.dims()[1],
        rank: 2,
    });
    for draw in [Draw::Step { step: 4, sample: 1 }, Draw::Member(2)] {
        let set = sampler.draw(&[draw], &shapes, &device());
        let model = masked(adapted(Some(dropout)), &sampler, draw);
        assert_close(
            &numbers(model.forward(x.clone())),
            &expected(&Pass::Stochastic(&set)),
            1e-5,
        );
        let model = unmasked(model, Some(dropout));
        assert_close(&numbers(model.forward(x.clone())), &expected(&Pass::Mean), 1e-5);
        let merged = model.materialize();
        assert_close(&numbers(merged.forward(x.clone())), &expected(&Pass::Mean), 1e-5);
    }
}

#[test]
fn gradients_reach_the_factors_and_nothing_else() {
    let model = adapted(Some(PLAIN)).train();
    let x = normal("x", [3, 5]);
    let device = model.query.weight.base().device();
    let x = Tensor::<2>::from_data(x.into_data(), &device);
    let gradients = model.forward(x).sum().backward();
    let update = model
        .query
        .weight
        .reparameterization::<lora_core::any_module::MaskedUpdate>()
        .unwrap();
    let gradient = update.a.val().grad(&gradients).unwrap();
    assert!(numbers(gradient).iter().any(|value| value.abs() > 1e-3));
    assert!(update.b.val().grad(&gradients).is_some());
    assert!(model.query.weight.base().grad(&gradients).is_none());
}
