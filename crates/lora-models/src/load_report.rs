//! What a checkpoint lacked or had too much, and what follows from it.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::LoadError;
use crate::heads::SavedHead;

/// What loading found beside the tensors it used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// The file of weights, or the index of several.
    pub path: PathBuf,
    /// Tensors that the file lacks (or has for another number of classes) and that started from the seed.
    pub initialized: Vec<String>,
    /// Tensors of the file that the model has no place for.
    pub left_over: Vec<String>,
    /// How the classes of the file's output layer relate to the labels; `None` where it has none, or none were asked for.
    pub saved_head: Option<SavedHead>,
}

impl LoadReport {
    /// The modules of new tensors. Whatever is trained on this model must train and save them too: with another seed they are
    /// others.
    pub fn new_modules(&self) -> Vec<String> {
        let mut modules = Vec::new();
        for name in &self.initialized {
            let module = name.rsplit_once('.').map_or(name.as_str(), |(module, _)| module);
            if !modules.iter().any(|known| known == module) {
                modules.push(module.to_owned());
            }
        }
        modules
    }

    /// Checks that every new tensor is replaced by one that `has` knows, such as an adapter's head. A model with random numbers
    /// in it is of use to nobody but a training.
    ///
    /// # Errors
    ///
    /// [`LoadError::NewWeights`].
    pub fn expect_all_in(&self, has: impl Fn(&str) -> bool) -> Result<(), LoadError> {
        let random: Vec<String> = self
            .initialized
            .iter()
            .filter(|name| !has(name))
            .cloned()
            .collect();
        if random.is_empty() {
            return Ok(());
        }
        Err(LoadError::NewWeights {
            path: self.path.clone(),
            names: random,
        })
    }
}

/// What old checkpoints saved though it follows from the configuration: counts 0, 1, 2… beside the table of positions,
/// causal masks, frequencies. No weight is lost with them.
pub(crate) fn is_buffer(name: &str) -> bool {
    let buffers = [
        "embeddings.position_ids",
        ".attn.bias",
        ".attn.masked_bias",
        ".rotary_emb.inv_freq",
    ];
    buffers.iter().any(|buffer| name.ends_with(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_once_however_many_of_its_tensors_are_new() {
        let report = LoadReport {
            initialized: [
                "bert.pooler.dense.weight",
                "bert.pooler.dense.bias",
                "classifier.weight",
            ]
            .map(String::from)
            .to_vec(),
            ..LoadReport::default()
        };
        assert_eq!(report.new_modules(), ["bert.pooler.dense", "classifier"]);
    }
}
