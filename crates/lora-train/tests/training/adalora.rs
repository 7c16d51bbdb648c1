//! AdaLoRA in the trainer. That its numbers are PEFT's is shown by the reference cases of `xtask/golden`.

use lora_core::peft::{AdapterFolder, SaveOptions, TaskType, trained_tensors};
use lora_core::{AdaLora, Form, LoraConfig, Rescale};
use lora_train::{TrainConfig, TrainError, Trainer};

use crate::toy::{Toy, adapted, batch, config, trained_bits};

const STEPS: u64 = 12;

fn settings() -> AdaLora {
    AdaLora {
        init_r: 4,
        target_r: 2,
        tinit: 2,
        tfinal: 3,
        delta_t: 2,
        ..AdaLora::default()
    }
}

fn lora(adalora: AdaLora) -> LoraConfig {
    config().with_form(Form::Svd(adalora))
}

fn trained(config: LoraConfig) -> Trainer<crate::toy::Toy> {
    let mut trainer = Trainer::new(adapted(config), TrainConfig::new(2e-2, 1.0, 6), STEPS).unwrap();
    let batch = batch(6);
    for _ in 0..STEPS {
        trainer.step(std::slice::from_ref(&batch)).unwrap();
    }
    trainer
}

#[test]
fn the_budget_is_met_with_lora_dropout_too() {
    for config in [
        lora(settings()),
        lora(settings()).with_dropout(0.3, Rescale::Plain),
    ] {
        let trainer = trained(config);
        let kept: usize = trainer
            .rank_pattern()
            .unwrap()
            .values()
            .flatten()
            .filter(|kept| **kept)
            .count();
        assert_eq!(kept, 2 * 2, "target_r for each of two linears");
        let adapted = trainer.into_adapted();
        let adalora = adapted.lora().unwrap().adalora().unwrap();
        assert_eq!(adalora.total_step, Some(STEPS));
        for (path, kept) in &adalora.rank_pattern {
            let weights = &trained_tensors(&adapted)[&format!("{path}.lora_E")].values;
            let alive: Vec<bool> = weights.iter().map(|weight| *weight != 0.0).collect();
            assert_eq!(alive, *kept, "{path}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_ranks_and_bits() {
    let run = || trained(lora(settings()).with_dropout(0.3, Rescale::Plain));
    let (first, second) = (run(), run());
    assert_eq!(first.rank_pattern(), second.rank_pattern());
    assert_eq!(
        trained_bits(&first.into_adapted()),
        trained_bits(&second.into_adapted())
    );
}

#[test]
fn where_nothing_is_to_be_cut_everything_is_kept() {
    let all = AdaLora {
        target_r: 4,
        ..settings()
    };
    let trainer = trained(lora(all));
    assert!(
        trainer
            .rank_pattern()
            .unwrap()
            .values()
            .flatten()
            .all(|kept| *kept)
    );
}

/// In PEFT what is cut grows again after the last allocation, and its file holds it cut.
#[test]
fn without_final_steps_the_trained_model_is_the_one_that_the_last_allocation_left() {
    let trainer = trained(lora(AdaLora {
        tinit: 0,
        tfinal: 0,
        delta_t: 5,
        ..settings()
    }));
    let pattern = trainer.rank_pattern().unwrap().clone();
    assert!(pattern.values().flatten().any(|kept| !kept));
    let tensors = trained_tensors(&trainer.into_adapted());
    for (path, kept) in pattern {
        let weights = &tensors[&format!("{path}.lora_E")].values;
        let alive: Vec<bool> = weights.iter().map(|weight| *weight != 0.0).collect();
        assert_eq!(alive, kept, "{path}");
    }
}

#[test]
fn an_adapter_whose_ranks_are_cut_is_not_trained_again() {
    let cut = trained(lora(settings())).into_adapted();
    let again = Trainer::new(cut.clone(), TrainConfig::new(1e-3, 1.0, 6), STEPS).err();
    assert!(matches!(again, Some(TrainError::RanksAreCut { .. })), "{again:?}");

    let folder = tempfile::tempdir().unwrap();
    cut.save(folder.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    let read = AdapterFolder::read(folder.path()).unwrap();
    let read = read.attach_to(Toy::new(3)).unwrap();
    let again = Trainer::new(read, TrainConfig::new(1e-3, 1.0, 6), STEPS).err();
    assert!(matches!(again, Some(TrainError::RanksAreCut { .. })), "{again:?}");
}

#[test]
fn the_length_of_another_training_is_refused() {
    let other = AdaLora {
        total_step: Some(STEPS + 5),
        ..settings()
    };
    let refused = Trainer::new(adapted(lora(other)), TrainConfig::new(1e-3, 1.0, 6), STEPS).err();
    let expected = TrainError::TotalStep {
        total_step: STEPS + 5,
        total_steps: STEPS,
    };
    assert_eq!(refused, Some(expected));
}

#[test]
fn a_schedule_without_room_is_refused_before_the_first_step() {
    let late = AdaLora {
        tinit: 9,
        ..settings()
    };
    let error = Trainer::new(adapted(lora(late)), TrainConfig::new(1e-3, 1.0, 6), STEPS).err();
    assert!(
        matches!(
            error,
            Some(TrainError::Budget {
                total_steps: STEPS,
                ..
            })
        ),
        "{error:?}"
    );
}
