//! Several adapters on one model: every row computes what its adapter would compute alone.

use crate::support::{Tiny, assert_close, config, fill_b, normal, numbers};
use lora_core::peft::{AdapterFolder, SaveOptions, TaskType};
use lora_core::{Adapted, AdapterBank, BiasMode, Form, Init, LoraConfig, Pass, Rescale, TargetModules};
use tempfile::TempDir;

/// A folder with an adapter whose numbers depend on the seed.
fn folder(config: LoraConfig, seed: u64) -> (TempDir, AdapterFolder) {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config, seed).unwrap();
    fill_b(&mut adapted.model);
    let path = TempDir::new().unwrap();
    adapted
        .save(path.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    let read = AdapterFolder::read(path.path()).unwrap();
    (path, read)
}

#[test]
fn every_row_is_served_by_its_own_adapter() {
    let first_only = LoraConfig {
        targets: TargetModules::names(["query"]),
        bias: BiasMode::LoraOnly,
        modules_to_save: Vec::new(),
        ..config()
    };
    let pissa = LoraConfig {
        init: Init::Pissa,
        ..config()
    };
    let configs = [
        ("plain", config()),
        ("first", first_only.with_dropout(0.3, Rescale::Plain)),
        ("dora", config().with_form(Form::WeightDecomposed)),
        ("pissa", pissa),
    ];
    let mut bank = AdapterBank::new(Tiny::new());
    let mut alone = Vec::new();
    for (number, (name, config)) in configs.into_iter().enumerate() {
        let (_path, read) = folder(config, 20 + number as u64);
        bank.add(name, &read).unwrap();
        alone.push(read.attach_to(Tiny::new()).unwrap().model);
    }
    assert_eq!(bank.names(), ["plain", "first", "dora", "pissa"]);

    let names = [
        Some("dora"),
        None,
        Some("plain"),
        Some("first"),
        Some("dora"),
        Some("pissa"),
        None,
    ];
    let rows = bank.rows(&names).unwrap();
    let x = normal("x", [7, 5]);
    let together = numbers(bank.model().forward(x.clone(), &Pass::Chosen(&rows)));
    for (row, number) in rows.iter().enumerate() {
        let x = x.clone().narrow(0, row, 1);
        let expected = match number {
            Some(number) => alone[*number].forward(x, &Pass::Mean),
            None => Tiny::new().forward(x, &Pass::Mean),
        };
        assert_close(&together[row * 3..row * 3 + 3], &numbers(expected), 1e-6);
    }
}

#[test]
fn unknown_and_repeated_names_are_refused() {
    let mut bank = AdapterBank::new(Tiny::new());
    let (_path, read) = folder(config(), 1);
    bank.add("reviews", &read).unwrap();
    let taken = bank.add("reviews", &read).unwrap_err().to_string();
    assert!(taken.contains("`reviews` already"), "{taken}");
    let unknown = bank.rows(&[Some("tweets")]).unwrap_err().to_string();
    assert!(
        unknown.contains("`tweets`") && unknown.contains("it holds reviews"),
        "{unknown}"
    );
}
