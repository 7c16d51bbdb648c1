//! Says whether the model that the program carries lies beside this crate: in a checkout it does, in a package of the registry, which takes
//! no file of 45 MB, it does not.

use std::path::Path;

fn main() {
    let model = Path::new("../../assets/minilm-l6/model.safetensors");
    println!("cargo::rustc-check-cfg=cfg(has_embedded_model)");
    println!("cargo::rerun-if-changed={}", model.display());
    if model.is_file() {
        println!("cargo::rustc-cfg=has_embedded_model");
    }
}
