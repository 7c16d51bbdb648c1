//! Each reader on inputs made of its seeds: no panic, and no more memory at once than 1 GiB for an input of at most 1 MiB.
//!
//! The numbers of inputs are from the environment, as `cargo xtask fuzz` sets it: `LORA_FUZZ_INPUTS` for each reader, from
//! `LORA_FUZZ_FIRST` on; `LORA_FUZZ_SLOWEST` is the most seconds that one may take. Time is not asserted in the gate.

#![expect(clippy::print_stdout, reason = "cargo xtask fuzz shows it")]

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use lora_fuzz::READERS;
use lora_fuzz::mutation::Mutator;

/// Inputs of a reader in the gate: so many that all of them take seconds.
const INPUTS: u64 = 500;
/// Most bytes that a reader may hold at once.
const MOST_MEMORY: u64 = 1 << 30;

#[derive(Default)]
struct Found {
    /// Most bytes at once, and the input.
    memory: (u64, u64),
    /// Longest time, and the input.
    time: (Duration, u64),
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: `{text}` is no number")),
    )
}

fn read_all(name: &str, read: fn(&[u8]), mutator: &Mutator) -> Found {
    let first = number("LORA_FUZZ_FIRST").unwrap_or(0);
    let inputs = first..first + number("LORA_FUZZ_INPUTS").unwrap_or(INPUTS);
    let slowest = number("LORA_FUZZ_SLOWEST").map(Duration::from_secs);
    let mut found = Found::default();
    for number in inputs {
        let input = mutator.input(number);
        let mut outcome = Ok(());
        let start = Instant::now();
        let memory = allocation_counter::measure(|| {
            outcome = panic::catch_unwind(AssertUnwindSafe(|| read(&input)));
        });
        let time = start.elapsed();
        let repeat = format!("repeat it with LORA_FUZZ_FIRST={number} LORA_FUZZ_INPUTS=1");
        assert!(
            outcome.is_ok(),
            "{name} panics on input {number}, see above; {repeat}"
        );
        let held = memory.bytes_max;
        assert!(
            held <= MOST_MEMORY,
            "{name} holds {held} bytes at once for input {number}; {repeat}"
        );
        assert!(
            slowest.is_none_or(|slowest| time <= slowest),
            "{name} takes {time:?} for input {number}; {repeat}"
        );
        found.memory = found.memory.max((held, number));
        found.time = found.time.max((time, number));
    }
    found
}

fn check(name: &str) {
    let reader = READERS.iter().find(|reader| reader.name == name);
    let reader = reader.unwrap_or_else(|| panic!("there is no reader `{name}`"));
    let mutator = reader.mutator();
    // The first call loads what all share, such as a model.
    (reader.read)(&mutator.input(0));
    let Found { memory, time } = read_all(name, reader.read, &mutator);
    println!(
        "{name}: most memory {:.1} MiB (input {}), longest {:.3} s (input {})",
        memory.0 as f64 / f64::from(1 << 20),
        memory.1,
        time.0.as_secs_f64(),
        time.1
    );
}

macro_rules! each {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_reader_is_tested_here() {
            let names: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

each!(
    safetensors,
    pytorch_model,
    gguf,
    sentence_piece,
    tokenizer,
    config,
    weights_index,
    chat_template,
    tokenizer_config,
    adapter_config,
    adapter_tensors,
    lora_dropout,
    tuning,
    tuned_tensors,
    posterior,
    posterior_tensors,
    task_file,
    calibration,
    csv,
    tsv,
    jsonl,
    json,
    parquet,
    completions,
    squad,
    conll,
    benchmarks,
    snippets,
    run_yaml,
    run_toml,
    run_json,
    sweep_file,
    sweep_results,
    checkpoint,
    checkpoint_tensors,
    predict_call,
    load_call,
);
