//! What PEFT calls the tensors of an adapter folder, and what we call them.

use std::collections::BTreeMap;

use super::error::AdapterError;
use super::folder::PREFIX;
use crate::tensors::TensorFile;

/// What `torch.compile` puts into the names of what it wraps.
pub const COMPILED: &str = "_orig_mod.";

/// Maps names as this crate writes them to names as the file has them. An adapter's name, such as `default`, may stand
/// inside its keys, and so may what `torch.compile` adds.
pub(super) fn names_of(tensors: &TensorFile) -> Result<BTreeMap<String, String>, AdapterError> {
    let mut names = BTreeMap::new();
    let has = |name: &str| tensors.shape(name).is_some();
    for in_file in tensors.names().filter(|name| !is_repeated(name, has)) {
        let name = in_file.replace(COMPILED, "");
        let name = without_adapter_name(name.strip_prefix(PREFIX).unwrap_or(&name));
        if names.insert(name.clone(), in_file.to_owned()).is_some() {
            return Err(AdapterError::DuplicateTensor {
                path: tensors.origin().to_owned(),
                name,
            });
        }
    }
    Ok(names)
}

/// With `bias: all`, PEFT writes the biases of `modules_to_save` twice more: under the names of the module's inner copies,
/// trained and as they were before. The trained copy of a module with parts has the adapter's name too, as in
/// `classifier.modules_to_save.default.dense.bias` (`_remove_adapter_name_from_key` in PEFT's `tuners/tuners_utils.py`). A copy
/// that is the only one is the head of an old PEFT.
fn is_repeated(name: &str, has: impl Fn(&str) -> bool) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let Some(copy) = parts
        .iter()
        .position(|part| ["original_module", "modules_to_save"].contains(part))
        .filter(|_| parts.last() == Some(&"bias"))
    else {
        return false;
    };
    let (module, inside) = (&parts[..copy], &parts[copy + 1..]);
    let is_there = |inside: &[&str]| has(&[module, inside].concat().join("."));
    parts[copy] == "original_module" || is_there(inside) || is_there(&inside[1..])
}

/// A name without that of the adapter, which stands after the factor or module that belongs to it.
fn without_adapter_name(name: &str) -> String {
    const OWNERS: [&str; 7] = [
        "lora_A",
        "lora_B",
        "lora_E",
        "lora_magnitude_vector",
        "lora_embedding_A",
        "lora_embedding_B",
        "modules_to_save",
    ];
    let parts: Vec<&str> = name.split('.').collect();
    let Some(owner) = parts.iter().rposition(|part| OWNERS.contains(part)) else {
        return name.to_owned();
    };
    let (before, after) = parts.split_at(owner + 1);
    let is_tensor = |part: &&&str| ["weight", "bias"].contains(*part);
    let tensor: Vec<&str> = after.last().filter(is_tensor).copied().into_iter().collect();
    match before {
        [module @ .., "modules_to_save"] if after.len() > 1 => [module, &after[1..]].concat().join("."),
        factor if after.len() == tensor.len() + 1 => [factor, &tensor].concat().join("."),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adapters_name_is_left_out_wherever_peft_keeps_it() {
        for (in_file, expected) in [
            ("net.query.lora_A.default.weight", "net.query.lora_A.weight"),
            ("net.query.lora_B.mine.weight", "net.query.lora_B.weight"),
            ("net.query.lora_B.mine.bias", "net.query.lora_B.bias"),
            ("net.query.lora_A.weight", "net.query.lora_A.weight"),
            ("net.query.lora_E.mine", "net.query.lora_E"),
            ("net.query.lora_E", "net.query.lora_E"),
            ("net.words.lora_embedding_A.mine", "net.words.lora_embedding_A"),
            ("head.modules_to_save.mine.weight", "head.weight"),
            ("head.modules_to_save.mine.dense.weight", "head.dense.weight"),
            ("head.dense.weight", "head.dense.weight"),
        ] {
            assert_eq!(without_adapter_name(in_file), expected);
        }
    }

    #[test]
    fn biases_that_peft_repeats_with_bias_all_are_known_by_their_other_name() {
        // `save_pretrained` of PEFT 0.21.2 with `bias="all"` on RobertaForSequenceClassification and BertForSequenceClassification.
        let of_roberta = ["classifier.dense.bias", "classifier.out_proj.bias"];
        let repeated = [
            "classifier.modules_to_save.default.dense.bias",
            "classifier.modules_to_save.default.out_proj.bias",
            "classifier.original_module.dense.bias",
            "classifier.original_module.out_proj.bias",
        ];
        let of_roberta_has = |name: &str| of_roberta.contains(&name) || repeated.contains(&name);
        for name in repeated {
            assert!(is_repeated(name, of_roberta_has), "{name}");
        }
        let of_bert = [
            "classifier.bias",
            "classifier.modules_to_save.bias",
            "classifier.original_module.bias",
        ];
        let of_bert_repeated: Vec<bool> = of_bert
            .iter()
            .map(|name| is_repeated(name, |name| of_bert.contains(&name)))
            .collect();
        assert_eq!(of_bert_repeated, [false, true, true]);
        // An old PEFT's head, with an adapter that is called as a part of the module.
        let old = [
            "head.modules_to_save.dense.weight",
            "head.modules_to_save.dense.bias",
        ];
        for name in old.iter().chain(&of_roberta) {
            assert!(!is_repeated(name, |name| old.contains(&name)), "{name}");
        }
    }
}
