//! A temporary folder with a tiny model and a small data file, and the program run in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lora_core::peft::write_tensors;
use lora_core::tensors::HostTensor;
use tempfile::TempDir;

const D_MODEL: usize = 16;
const D_FF: usize = 24;
const LAYERS: usize = 2;
const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 40;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lora");

/// The folder; gone at the end of the test.
pub struct Workspace {
    folder: TempDir,
}

/// What the program said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// What `predict --json` says: the probabilities of every class, row by row.
    pub fn probabilities(&self) -> Vec<f64> {
        let rows = self.stdout.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["probabilities"].as_object().unwrap().clone()
        });
        rows.flat_map(|row| row.into_iter().map(|(_, number)| number.as_f64().unwrap()))
            .collect()
    }
}

impl Workspace {
    /// With `model/`, `train.csv`, `dev.csv` and `run.yaml`.
    pub fn new() -> Self {
        let workspace = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        write_tiny_bert(&workspace.path("model"));
        workspace.write("train.csv", rows());
        workspace.write("dev.csv", VALIDATION);
        workspace.write("run.yaml", recipe(&[]));
        workspace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs the program in the folder, without network.
    pub fn lora(&self, arguments: &[&str]) -> Said {
        self.run(&mut self.command(arguments))
    }

    /// The program, to be run in the folder, without network.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        self.at_home(command.args(arguments));
        command
    }

    fn at_home<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .current_dir(self.folder.path())
            .env("HF_HOME", self.path("no-cache"))
            .env("HF_HUB_OFFLINE", "1")
            .env_remove("HF_HUB_CACHE")
            .env_remove("MLFLOW_TRACKING_URI")
            .env_remove("MLFLOW_EXPERIMENT_NAME")
            .stdin(Stdio::null())
    }

    /// As [`Workspace::lora`], but no file can grow beyond so many blocks: the write that would do it fails in the middle,
    /// as on a full disk. A block has 512 bytes, in some shells 1024.
    #[cfg(unix)]
    pub fn lora_with_small_files(&self, blocks: u32, arguments: &[&str]) -> Said {
        let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        self.run(
            Command::new("/bin/sh")
                .args(["-c", &script, PROGRAM])
                .args(arguments),
        )
    }

    /// As [`Workspace::lora`], with what the shell's `umask` takes away from new files.
    #[cfg(unix)]
    pub fn lora_with_umask(&self, mask: &str, arguments: &[&str]) -> Said {
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        self.run(
            Command::new("/bin/sh")
                .args(["-c", &script, PROGRAM])
                .args(arguments),
        )
    }

    /// As [`Workspace::lora`], with a folder mounted for reading only, which binds a user with all rights too.
    #[cfg(target_os = "linux")]
    pub fn lora_with_read_only(&self, folder: &str, arguments: &[&str]) -> Said {
        self.run(with_read_only(folder, PROGRAM).args(arguments))
    }

    /// Whether the system lets this user mount folders.
    #[cfg(target_os = "linux")]
    pub fn can_mount(&self, folder: &str) -> bool {
        let outcome = self.at_home(&mut with_read_only(folder, "true")).output();
        outcome.is_ok_and(|output| output.status.success())
    }

    /// Takes tensors out of a safetensors file.
    pub fn keep_tensors(&self, name: &str, keep: impl Fn(&str) -> bool) {
        let bytes = self.read(name);
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let kept = tensors.iter().filter(|(name, _)| keep(name));
        self.write(name, safetensors::serialize(kept, None).unwrap());
    }

    fn run(&self, command: &mut Command) -> Said {
        self.at_home(command);
        let output = command.output().unwrap();
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// As [`Workspace::lora`], and it must work.
    pub fn lora_works(&self, arguments: &[&str]) -> Said {
        let said = self.lora(arguments);
        assert_eq!(said.code, Some(0), "lora {arguments:?}: {}", said.stderr);
        said
    }

    /// Every file below the folder with its content, and every folder.
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.folder.path().to_owned()];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    found.insert(path.clone(), Vec::new());
                    left.push(path);
                } else {
                    found.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        found
    }
}

/// A program in a view of the file system of its own.
#[cfg(target_os = "linux")]
fn with_read_only(folder: &str, program: &str) -> Command {
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "/bin/sh",
        "-c",
        script,
        folder,
        program,
    ]);
    command
}

/// Most labels are what training teaches and one contradicts it, so that a temperature has a best value.
const VALIDATION: &str = "text,label\na gripping film,good\na dull film,bad\na gripping movie,good\na dull movie,bad\n\
    one gripping film,good\none dull film,bad\nthat gripping film,bad\n";

/// 24 rows of two classes.
fn rows() -> String {
    let mut lines = vec!["text,label".to_owned()];
    for row in 0..24 {
        let (adjective, label) = [("gripping", "good"), ("dull", "bad")][row % 2];
        lines.push(format!("a {adjective} film number {row},{label}"));
    }
    lines.join("\n")
}

/// A complete configuration; `changes` replace or add whole lines by key, an empty value takes the line out.
pub fn recipe(changes: &[(&str, &str)]) -> String {
    let mut keys = vec![
        ("model_name_or_path", "model"),
        ("train_file", "train.csv"),
        ("validation_file", "dev.csv"),
        ("output_dir", "out"),
        ("max_seq_length", "24"),
        ("max_steps", "30"),
        ("learning_rate", "2e-2"),
        ("per_device_train_batch_size", "8"),
        ("r", "2"),
        ("lora_alpha", "4"),
        ("mask_probability", "0.5"),
        ("ensemble_members", "3"),
        ("seed", "11"),
    ];
    for (key, value) in changes {
        keys.retain(|(known, _)| known != key);
        keys.push((key, value));
    }
    let lines = keys.iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<String> = lines.map(|(key, value)| format!("{key}: {value}")).collect();
    lines.join(
        "
",
    )
}

/// A random BERT with the embedded model's tokenizer.
fn write_tiny_bert(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let config = serde_json::json!({
        "model_type": "bert", "hidden_size": D_MODEL, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
        "intermediate_size": D_FF, "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2, "hidden_act": "gelu",
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/minilm-l6");
    fs::copy(assets.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();

    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        (
            "embeddings.word_embeddings.weight".into(),
            vec![VOCABULARY, D_MODEL],
        ),
        (
            "embeddings.position_embeddings.weight".into(),
            vec![POSITIONS, D_MODEL],
        ),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, D_MODEL]),
    ];
    let mut norm =
        |path: String| ["weight", "bias"].map(|part| shapes.push((format!("{path}.{part}"), vec![D_MODEL])));
    norm("embeddings.LayerNorm".into());
    for layer in 0..LAYERS {
        norm(format!("encoder.layer.{layer}.attention.output.LayerNorm"));
        norm(format!("encoder.layer.{layer}.output.LayerNorm"));
    }
    let mut linear = |path: String, d_input: usize, d_output: usize| {
        shapes.push((format!("{path}.weight"), vec![d_output, d_input]));
        shapes.push((format!("{path}.bias"), vec![d_output]));
    };
    for layer in 0..LAYERS {
        for part in [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ] {
            linear(format!("encoder.layer.{layer}.{part}"), D_MODEL, D_MODEL);
        }
        linear(format!("encoder.layer.{layer}.intermediate.dense"), D_MODEL, D_FF);
        linear(format!("encoder.layer.{layer}.output.dense"), D_FF, D_MODEL);
    }
    linear("pooler.dense".into(), D_MODEL, D_MODEL);

    // A multiplicative generator: numbers without pattern that need no library.
    let mut state = 12_345_u64;
    let mut number = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5) * 0.6
    };
    let tensors = shapes.into_iter().map(|(name, shape)| {
        let offset = if name.ends_with("LayerNorm.weight") {
            1.0
        } else {
            0.0
        };
        let count = shape.iter().product();
        let values = (0..count).map(|_| number() + offset).collect();
        (name, HostTensor { shape, values })
    });
    write_tensors(&folder.join("model.safetensors"), tensors).unwrap();
}

/// A safetensors file with another last value.
pub fn ending_in(value: f32, file: &[u8]) -> Vec<u8> {
    [&file[..file.len() - 4], &value.to_le_bytes()].concat()
}
