//! Each reader on inputs made of its seeds: no panic, and no more memory at once than 1 GiB for an input of at most 1 MiB.
//!
//! The numbers of inputs are from the environment, as `cargo xtask fuzz` sets it: `LORA_FUZZ_INPUTS` for each reader, from
//! `LORA_FUZZ_FIRST` on; `LORA_FUZZ_SLOWEST` is the most seconds of the processor that one may take. Time is not asserted in the gate.
//! `LORA_FUZZ_WRITE` names a folder that gets each input before it is read.

#![expect(clippy::print_stdout, reason = "cargo xtask fuzz shows it")]

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fmt, fs};

use cpu_time::ThreadTime;
use lora_fuzz::READERS;
use lora_fuzz::mutation::Mutator;

/// Inputs of a reader in the gate.
const INPUTS: u64 = 10_000;
/// Most bytes that a reader may hold at once.
const MOST_MEMORY: u64 = 1 << 30;

/// How to read an input alone.
struct Repeat(u64);

impl fmt::Display for Repeat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "repeat it with LORA_FUZZ_FIRST={} LORA_FUZZ_INPUTS=1, and with LORA_FUZZ_WRITE=FOLDER to have it as a file",
            self.0
        )
    }
}

#[derive(Default)]
struct Found {
    inputs: u64,
    /// Of all of them.
    seconds: f64,
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

/// Most bytes at once, and the time that the processor was on it, of a reading; none if it panics.
fn measure(read: fn(&[u8]), input: &[u8]) -> Option<(u64, Duration)> {
    let mut outcome = Ok(());
    let start = ThreadTime::now();
    let memory = allocation_counter::measure(|| {
        outcome = panic::catch_unwind(AssertUnwindSafe(|| read(input)));
    });
    outcome.ok().map(|()| (memory.bytes_max, start.elapsed()))
}

fn read_all(name: &str, read: fn(&[u8]), mutator: &Mutator) -> Found {
    let first = number("LORA_FUZZ_FIRST").unwrap_or(0);
    let inputs = first..first + number("LORA_FUZZ_INPUTS").unwrap_or(INPUTS);
    let slowest = number("LORA_FUZZ_SLOWEST").map(Duration::from_secs);
    let write_to = env::var_os("LORA_FUZZ_WRITE").map(PathBuf::from);
    let is_slow = |time| slowest.is_some_and(|slowest| time > slowest);
    let mut found = Found::default();
    for number in inputs {
        let input = mutator.input(number);
        let repeat = Repeat(number);
        if let Some(folder) = &write_to {
            let file = folder.join(format!("{name}-{number}"));
            fs::write(&file, &input).unwrap_or_else(|reason| panic!("{}: {reason}", file.display()));
        }
        let (held, time) = measure(read, &input)
            .unwrap_or_else(|| panic!("{name} panics on input {number}, see above; {repeat}"));
        assert!(
            held <= MOST_MEMORY,
            "{name} holds {held} bytes at once for input {number}; {repeat}"
        );
        assert!(
            !is_slow(time),
            "{name} takes {time:?} for input {number}; {repeat}"
        );
        found.inputs += 1;
        found.seconds += time.as_secs_f64();
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
    let Found {
        inputs,
        seconds,
        memory,
        time,
    } = read_all(name, reader.read, &mutator);
    println!(
        "{name}: {inputs} inputs in {seconds:.1} s, most memory {:.1} MiB (input {}), longest {:.3} s (input {})",
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
