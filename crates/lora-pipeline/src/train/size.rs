//! Is the adapter smaller than the model?

use burn::module::Module;
use lora_core::{Form, Linears, LoraConfig};

use crate::config::Resolved;
use crate::error::Result;

/// Refuses adapters with more numbers than the model that they adapt: a rank with a zero too many takes all memory and minutes
/// before it fails. Targets that cannot be resolved are told by who attaches them.
pub(super) fn check_size<M: Module + Linears>(
    resolved: &Resolved,
    lora: &LoraConfig,
    model: &M,
) -> Result<()> {
    let mut sizes = Vec::new();
    model.visit_linears(&mut |linear| {
        let [d_input, d_output] = linear.base.weight.dims();
        sizes.push((linear.path().to_owned(), d_input + d_output));
    });
    let paths: Vec<String> = sizes.iter().map(|(path, _)| path.clone()).collect();
    let Ok(targets) = lora.targets.resolve(&paths, &model.heads(), &[]) else {
        return Ok(());
    };
    let (key, rank) = match &lora.form {
        Form::Svd(adalora) => ("init_r", adalora.init_r),
        Form::LowRank | Form::WeightDecomposed => ("r", lora.rank),
    };
    let adapted = sizes.iter().filter(|(path, _)| targets.contains(path));
    let numbers = adapted
        .map(|(_, sides)| sides)
        .sum::<usize>()
        .saturating_mul(rank);
    let all = model.num_params();
    if numbers > all {
        let message = format!(
            "with {key} {rank} the adapters hold {numbers} numbers, more than the {all} of the model that they adapt; 8 is usual"
        );
        return Err(resolved.origins.at(key, message));
    }
    Ok(())
}
