//! Putting an adapter on a linear, taking it off, and merging it.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};

use crate::adapter::{Adapter, LowRank, Start, StartError, SvdForm, WeightDecomposed, start};
use crate::bottleneck::{Bottleneck, BottleneckConfig};
use crate::config::{Form, Init, LoraConfig};
use crate::config_error::ConfigError;
use crate::linear::{LinearKind, LoraLinear};
use crate::sampler::seeded_normal;
use crate::tensors::HostTensor;

/// The first factors of an init that changes the base weight, on the host: as small as the adapter itself.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    /// `[d_input, rank]`, multiplied by the scale of the mean pass.
    pub a: HostTensor,
    /// `[rank, d_output]`.
    pub b: HostTensor,
}

impl LoraLinear {
    /// Puts a new adapter on this linear, its random numbers drawn from `(seed, path)`. Settings must be valid
    /// ([`LoraConfig::validate`]). An init that moves part of the base weight into the adapter does so here.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RankTooLarge`], [`ConfigError::OddRank`], [`ConfigError::NotFinite`], [`ConfigError::Table`].
    pub fn attach(&mut self, config: &LoraConfig, seed: u64) -> Result<(), ConfigError> {
        let device = self.base.weight.device();
        let dims = self.dims();
        let settings = config.low_rank_of(self.path());
        if self.kind() == LinearKind::Table {
            self.adapter = Some(Adapter::LowRank(self.start_of_table(config, seed)?));
            return Ok(());
        }
        if matches!(config.form, Form::Svd(_)) {
            let svd = SvdForm::init(self.path(), dims, &settings, seed, &device);
            self.adapter = Some(Adapter::Svd(svd));
            return Ok(());
        }
        let weight = || HostTensor::of(self.wide_weight());
        let first = start(self.path(), dims, &settings, config.init, seed, weight)
            .map_err(|error| self.cannot_start(error, settings.rank, config.init))?;
        let (a, b) = (first.a.clone().on(&device), first.b.clone().on(&device));
        let mut low_rank = LowRank::from_factors(a, b, &settings);
        if config.lora_bias {
            low_rank = low_rank.with_bias(&device);
        }
        if config.init.changes_base() {
            self.base.weight = self.as_held(self.wide_weight() - low_rank.delta());
            let Start { a, b } = first;
            let mut moved = Moved { a, b };
            for value in &mut moved.a.values {
                *value *= settings.mean_scale() as f32;
            }
            self.moved = Some(moved);
        }
        self.adapter = Some(match config.form {
            Form::WeightDecomposed => {
                Adapter::WeightDecomposed(WeightDecomposed::init(low_rank, self.wide_weight()))
            }
            Form::LowRank | Form::Svd(_) => Adapter::LowRank(low_rank),
        });
        Ok(())
    }

    /// The factors of a table start the other way round, as in PEFT: A zero and B normal, for a row of A gets a gradient only
    /// when its token comes. Other starts and forms are those of linears.
    fn start_of_table(&self, config: &LoraConfig, seed: u64) -> Result<LowRank, ConfigError> {
        let refused = [
            ("use_dora", config.form == Form::WeightDecomposed),
            ("peft_type ADALORA", matches!(config.form, Form::Svd(_))),
            ("lora_bias", config.lora_bias),
        ];
        if let Some((setting, _)) = refused.into_iter().find(|(_, is_set)| *is_set) {
            return Err(ConfigError::Table {
                path: self.path().to_owned(),
                setting,
            });
        }
        let settings = config.low_rank_of(self.path());
        let [count, d_output] = self.dims();
        let device = self.base.weight.device();
        let b = seeded_normal(seed, self.path(), settings.rank * d_output, 1.0);
        Ok(LowRank::from_factors(
            Tensor::zeros([count, settings.rank], &device),
            Tensor::from_data(TensorData::new(b, [settings.rank, d_output]), &device),
            &settings,
        ))
    }

    /// Puts a new bottleneck after this linear, its random numbers drawn from `(seed, path)`.
    pub fn attach_bottleneck(&mut self, config: &BottleneckConfig, seed: u64) {
        let [_, d_model] = self.dims();
        let device = self.base.weight.device();
        self.bottleneck = Some(Bottleneck::init(self.path(), d_model, config, seed, &device));
    }

    fn cannot_start(&self, error: StartError, rank: usize, init: Init) -> ConfigError {
        let path = self.path().to_owned();
        let [d_input, d_output] = self.dims();
        match error {
            StartError::RankTooLarge { largest } => ConfigError::RankTooLarge {
                path,
                init: if init == Init::Olora { "olora" } else { "pissa" },
                rank,
                d_input,
                d_output,
                largest,
            },
            StartError::OddRank => ConfigError::OddRank { path, rank },
            StartError::NotFinite => ConfigError::NotFinite { path },
        }
    }

    /// What an init moved from the base weight into the adapter.
    pub(crate) fn moved(&self) -> Option<&Moved> {
        self.moved.as_ref()
    }

    /// Takes adapter and bottleneck off and leaves the pretrained layer. What an init had moved into the adapter is put back.
    pub fn detach(&mut self) -> Option<Adapter> {
        if let Some(moved) = self.moved.take() {
            let device = self.base.weight.device();
            let [a, b] = [moved.a, moved.b].map(|tensor| tensor.on::<2>(&device));
            self.base.weight = self.as_held(self.wide_weight() + a.matmul(b));
        }
        self.bottleneck = None;
        self.adapter.take()
    }

    /// Adds the update of [`Pass::Mean`](crate::Pass::Mean) to the weight and takes the adapter off. A bottleneck, which no
    /// weight can stand for, stays.
    pub fn merge(&mut self) {
        if let Some(delta) = self.delta() {
            let weight = (self.wide_weight() + delta.weight).detach();
            self.base.weight = Param::from_tensor(weight);
            if let Some(added) = delta.bias {
                let bias = match &self.base.bias {
                    Some(bias) => bias.val() + added,
                    None => added,
                };
                self.base.bias = Some(Param::from_tensor(bias.detach()));
            }
            self.moved = None;
            self.adapter = None;
        }
    }
}
