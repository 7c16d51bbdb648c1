//! Putting an adapter on a linear, taking it off, and merging it.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};

use super::{LinearKind, LoraLinear};
use crate::adapter::{Adapter, InitError, LowRank, SvdForm, WeightDecomposed, initial_factors};
use crate::bottleneck::{Bottleneck, BottleneckConfig};
use crate::config::{Form, Init, LoraConfig};
use crate::config_error::ConfigError;
use crate::random::seeded_normal;
use crate::tensors::HostTensor;

impl LoraLinear {
    /// Puts a new adapter on this linear, its random numbers drawn from `(seed, path)`. Settings must be valid
    /// ([`LoraConfig::validate`]). An initialization that absorbs part of the base weight into the adapter does so here.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RankTooLarge`], [`ConfigError::OddRank`], [`ConfigError::NotFinite`], [`ConfigError::Table`],
    /// [`ConfigError::Conv1d`].
    pub fn attach(&mut self, config: &LoraConfig, seed: u64) -> Result<(), ConfigError> {
        let device = self.base.weight.device();
        let dims = self.dims();
        let settings = config.low_rank_of(self.path());
        if self.kind() == LinearKind::Table {
            self.adapter = Some(Adapter::LowRank(self.table_factors(config, seed)?));
            return Ok(());
        }
        if matches!(config.form, Form::Svd(_)) {
            let svd = SvdForm::init(self.path(), dims, &settings, seed, &device);
            self.adapter = Some(Adapter::Svd(svd));
            return Ok(());
        }
        if config.init == Init::Olora && self.kind() == LinearKind::Conv1d {
            return Err(ConfigError::Conv1d {
                path: self.path().to_owned(),
            });
        }
        let weight = || HostTensor::of(self.wide_weight());
        let first = initial_factors(self.path(), dims, &settings, config.init, seed, weight)
            .map_err(|error| self.init_error(error, settings.rank, config.init))?;
        let (a, b) = (first.a.clone().on(&device), first.b.clone().on(&device));
        let mut low_rank = LowRank::from_factors(a, b, &settings);
        if config.lora_bias {
            low_rank = low_rank.with_bias(&device);
        }
        if config.init.changes_base() {
            self.absorb(first, &low_rank, settings.mean_scale());
        }
        self.adapter = Some(match config.form {
            Form::WeightDecomposed => {
                Adapter::WeightDecomposed(WeightDecomposed::init(low_rank, self.wide_weight()))
            }
            Form::LowRank | Form::Svd(_) => Adapter::LowRank(low_rank),
        });
        Ok(())
    }

    /// The factors of a table are initialized the other way round, as in PEFT: A zero and B normal, because a row of A gets a
    /// gradient only when its token occurs. Other initializations and forms are those of linears.
    fn table_factors(&self, config: &LoraConfig, seed: u64) -> Result<LowRank, ConfigError> {
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

    fn init_error(&self, error: InitError, rank: usize, init: Init) -> ConfigError {
        let path = self.path().to_owned();
        let [d_input, d_output] = self.dims();
        match error {
            InitError::RankTooLarge { largest } => ConfigError::RankTooLarge {
                path,
                init: if init == Init::Olora { "olora" } else { "pissa" },
                rank,
                d_input,
                d_output,
                largest,
            },
            InitError::OddRank => ConfigError::OddRank { path, rank },
            InitError::NotFinite => ConfigError::NotFinite { path },
        }
    }

    /// Takes adapter and bottleneck off and leaves the pretrained layer. What the adapter had absorbed of the base weight is put back.
    pub fn detach(&mut self) -> Option<Adapter> {
        self.put_back_absorbed();
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
            self.absorbed = None;
            self.adapter = None;
        }
    }
}
