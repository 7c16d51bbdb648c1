//! Every key of a run, once: the file's keys, the flags and their help come from this table.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// A key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name in a file; as a flag with hyphens.
    pub name: &'static str,
    /// How the text of a flag becomes a value.
    pub form: KeyForm,
    /// Where it stands in the help.
    pub section: &'static str,
    /// What it is, as one sentence without a full stop.
    pub help: &'static str,
}

/// How the text of a flag becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// The text as it is.
    Text,
    /// A number or true/false where it is one, else the text.
    Scalar,
    /// A flag without value.
    Switch,
    /// Names separated by commas; a pattern if it holds other characters than names do.
    Names,
    /// Scalars separated by commas.
    List,
    /// `name=value` pairs separated by commas, or a JSON object.
    Pairs,
    /// The same, or a single word.
    PairsOrWord,
    /// The text as it is; the flag alone is [`NEWEST`](super::NEWEST).
    Newest,
}

/// Keys without which nothing can be trained.
pub const REQUIRED: [&str; 5] = [
    "model_name_or_path",
    "output_dir",
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
];

const DATA: &str = "Model and data";
const ADAPTER: &str = "Adapter";
const ADALORA: &str = "AdaLoRA (peft_type ADALORA)";
const ENSEMBLE: &str = "LoRA Dropout";
const CHECKPOINTS: &str = "Checkpoints";
const TRAINING: &str = "Training";

const fn key(name: &'static str, form: KeyForm, section: &'static str, help: &'static str) -> Key {
    Key {
        name,
        form,
        section,
        help,
    }
}

/// All keys: first those of [`super::RunConfig`], then [`lora_train::TrainConfig::KEYS`], each in the order of the fields.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("model_name_or_path", KeyForm::Text, DATA, "Base model: a folder, a hub id, or minilm-l6, which is embedded"),
    key("revision", KeyForm::Text, DATA, "Branch, tag or commit of a hub id [main]"),
    key("train_file", KeyForm::Text, DATA, "Rows to train on, labelled text (.csv, .tsv, .jsonl, .json, .parquet)"),
    key("validation_file", KeyForm::Text, DATA, "Labelled text that picks the best model; without it a share of the training rows is split off"),
    key("test_file", KeyForm::Text, DATA, "Labelled text that is scored once, at the end"),
    key("data_file", KeyForm::Text, DATA, "File of rows in place of the three: validation and test rows are split off"),
    key("task_name", KeyForm::Text, DATA, "A benchmark in place of files: lora tasks lists the names; labels, splits and metric are its own"),
    key("data_dir", KeyForm::Text, DATA, "Folder of task_name: of a GLUE download, of the hub, or of files named after the splits"),
    key("data_format", KeyForm::Text, DATA, "Format of the files, if the name does not tell: csv, tsv, tsv-quoted, jsonl, json, parquet"),
    key("header", KeyForm::Switch, DATA, "Whether the first row of a CSV or TSV names the columns; without, columns are given by index from 0 [true]"),
    key("validation_fraction", KeyForm::Scalar, DATA, "Share of the rows split off for validation when there is no validation_file; 0 for none [0.1]"),
    key("test_fraction", KeyForm::Scalar, DATA, "Share of the rows of data_file split off for the test [0.1]"),
    key("text_column", KeyForm::Scalar, DATA, "Column of the text, or of the prompt of a language model, by name or index from 0 [default names]"),
    key("text_pair_column", KeyForm::Scalar, DATA, "Column of the second text, for pairs, or of what belongs to the prompt"),
    key("label_column", KeyForm::Scalar, DATA, "Column of the label, or of the completion [default names]"),
    key("label_columns", KeyForm::List, DATA, "Several columns of 0 and 1, whose names are the labels, in place of a label_column of lists; means multi_label_classification"),
    key("problem_type", KeyForm::Text, DATA, "What is predicted: single_label_classification, multi_label_classification, regression [from the labels], question_answering, token_classification, multiple_choice, or causal_lm"),
    key("chat_template", KeyForm::Switch, DATA, "Write the prompts of causal_lm with the model's chat template, as a user's message"),
    key("max_seq_length", KeyForm::Scalar, DATA, "Longest text in tokens; longer ones are cut [128]"),
    key("doc_stride", KeyForm::Scalar, DATA, "For question_answering: tokens that two windows of a long context share [a third of max_seq_length]"),
    key("max_answer_length", KeyForm::Scalar, DATA, "For question_answering: longest answer in tokens [30]"),
    key("output_dir", KeyForm::Text, DATA, "Where results go: a folder for the adapter, the scores and the report [with --data alone: runs/ and its name]"),
    key("overwrite_output_dir", KeyForm::Switch, DATA, "Write over an earlier run in output_dir"),
    key("report_to", KeyForm::Text, DATA, "Where losses, rates and scores go while the training runs: tensorboard (an event file in output_dir), json (events.jsonl there), mlflow (the same and a run of an MLflow server), or none [none]"),
    key("mlflow_tracking_uri", KeyForm::Text, DATA, "For report_to mlflow: address of the server, such as http://127.0.0.1:5000 [MLFLOW_TRACKING_URI]"),
    key("mlflow_experiment_name", KeyForm::Text, DATA, "For report_to mlflow: the experiment, which is made if there is none; the run is called as the output folder [MLFLOW_EXPERIMENT_NAME, or Default]"),
    key("device", KeyForm::Text, DATA, "Device: flex, ndarray, wgpu, vulkan, metal, cuda or rocm, also with an index: cuda:1 [flex]"),
    key("fp32_precision", KeyForm::Text, DATA, "How products with frozen weights are computed, on flex: ieee, bf16x3 (three products of bf16 numbers; faster with AMX on larger models), bf16 (one; half the memory, faster with AMX or AVX512-BF16), or auto (today the same as ieee) [ieee]"),

    key("tuning", KeyForm::Text, ADAPTER, "What is trained: lora (also AdaLoRA, with peft_type), full (all weights), bitfit (all biases), houlsby or pfeiffer (bottleneck adapters); the head always [lora]"),
    key("peft_type", KeyForm::Text, ADAPTER, "LORA, or ADALORA: ranks are shared out while training [LORA]"),
    key("r", KeyForm::Scalar, ADAPTER, "Rank of the update [8]"),
    key("lora_alpha", KeyForm::Scalar, ADAPTER, "Numerator of the scaling alpha/r [8]"),
    key("use_rslora", KeyForm::Switch, ADAPTER, "Scale by alpha/sqrt(r) (rsLoRA)"),
    key("use_dora", KeyForm::Switch, ADAPTER, "Train the length of every weight column apart from its direction (DoRA)"),
    key("lora_bias", KeyForm::Switch, ADAPTER, "Train a bias of the factor B too"),
    key("target_modules", KeyForm::Names, ADAPTER, "Linears and tables of embeddings to adapt: names, a pattern on the whole path, or all-linear (no tables) [query,value]"),
    key("exclude_modules", KeyForm::Names, ADAPTER, "Linears to leave out: names or a pattern"),
    key("layers_to_transform", KeyForm::List, ADAPTER, "Only these layers, from 0"),
    key("layers_pattern", KeyForm::Names, ADAPTER, "Name of the list that the layers are numbered in, if not the first number of a path counts"),
    key("rank_pattern", KeyForm::Pairs, ADAPTER, "Ranks of single modules: pattern=rank,…"),
    key("alpha_pattern", KeyForm::Pairs, ADAPTER, "Alphas of single modules: pattern=alpha,…"),
    key("bias", KeyForm::Text, ADAPTER, "Biases to train: none, lora_only (of adapted linears) or all [none]"),
    key("modules_to_save", KeyForm::List, ADAPTER, "Modules trained in full beside the head"),
    key("init_lora_weights", KeyForm::Scalar, ADAPTER, "Start of the factors: true (A Kaiming uniform, B zero), gaussian, orthogonal, or from the base weight: pissa, pissa_niter_N, olora [true]"),
    key("lora_dropout", KeyForm::Scalar, ADAPTER, "PEFT's dropout on the branch's input, in training only [0]"),
    key("blob", KeyForm::Pairs, ADAPTER, "BLoB: learns a Gaussian over the factors A; {} for the default settings, or prior_deviation, start, learning_rate, kl_weight=evidence, steps or doubling [none]"),
    key("swag", KeyForm::Pairs, ADAPTER, "SWAG: a Gaussian over trained parameters from the end of the training; {} for the defaults, or start, every, columns, part [none]"),
    key("bottleneck_size", KeyForm::Scalar, ADAPTER, "For houlsby and pfeiffer: features of a bottleneck [64]"),
    key("bottleneck_activation", KeyForm::Text, ADAPTER, "For houlsby and pfeiffer: relu, gelu or silu [gelu for houlsby, relu for pfeiffer]"),

    key("target_r", KeyForm::Scalar, ADALORA, "Average rank at the end [8]"),
    key("init_r", KeyForm::Scalar, ADALORA, "Rank of every linear at the start [12]"),
    key("tinit", KeyForm::Scalar, ADALORA, "Steps before the budget shrinks [0]"),
    key("tfinal", KeyForm::Scalar, ADALORA, "Steps at the end with fixed ranks [0]"),
    key("deltaT", KeyForm::Scalar, ADALORA, "Steps between two allocations [1]"),
    key("beta1", KeyForm::Scalar, ADALORA, "Smoothing of the sensitivity of weights [0.85]"),
    key("beta2", KeyForm::Scalar, ADALORA, "Smoothing of its uncertainty [0.85]"),
    key("orth_reg_weight", KeyForm::Scalar, ADALORA, "Weight of the loss that keeps triplets orthogonal [0.5]"),

    key("mask_probability", KeyForm::Scalar, ENSEMBLE, "LoRA Dropout's p: probability that a column of A, or a row of B, is dropped; 0 for plain LoRA; auto tries 0.3, 0.5 and 0.7 while training, as the validation loss rises, and keeps the last state in place of the best [0]"),
    key("mask_rescale", KeyForm::Text, ENSEMBLE, "plain: kept entries stay, as in the paper's equations, and a pass without masks uses (1-p)^2 of the update; rescaled: kept entries are divided by 1-p [plain; rescaled with mask_probability auto]"),
    key("mask_axes", KeyForm::Text, ENSEMBLE, "What has masks: rows_and_columns (of B and of A, each its own, as in the paper); as controls rows (of B), columns (of A) or rank [rows_and_columns]"),
    key("ensemble_members", KeyForm::Scalar, ENSEMBLE, "Passes of the ensemble at test time, each with masks of its own; 0 for none [8 with LoRA Dropout]"),
    key("ensemble_average", KeyForm::Text, ENSEMBLE, "What the ensemble averages: probabilities or logits [probabilities]"),
    key("temperature_scaling", KeyForm::Switch, ENSEMBLE, "Fit a temperature on the validation rows, and score with and without it [true]"),

    key("save_strategy", KeyForm::Text, CHECKPOINTS, "When checkpoints to resume from are written: no, steps or epoch; those that are asked for stay [after an epoch, half a minute or more apart, the newest alone, and none when the training is finished]"),
    key("save_steps", KeyForm::Scalar, CHECKPOINTS, "Steps between checkpoints, for save_strategy steps"),
    key("save_total_limit", KeyForm::Scalar, CHECKPOINTS, "So many checkpoints are kept, the newest [all]"),
    key("resume_from_checkpoint", KeyForm::Newest, CHECKPOINTS, "Go on with a training that was interrupted: from the newest checkpoint in output_dir (auto, or the flag alone; from the start if there is none), or from this one"),

    key("learning_rate", KeyForm::Scalar, TRAINING, "Learning rate of the factors A, of biases, and of whatever else is trained"),
    key("num_train_epochs", KeyForm::Scalar, TRAINING, "Passes over the training rows"),
    key("per_device_train_batch_size", KeyForm::Scalar, TRAINING, "Rows of a batch"),
    key("loraplus_lr_ratio", KeyForm::Scalar, TRAINING, "LoRA+: learning rate of B, of biases and of DoRA's magnitudes as a multiple of that of A [1]"),
    key("head_learning_rate", KeyForm::Scalar, TRAINING, "Learning rate of the head [learning_rate]"),
    key("weight_decay", KeyForm::Scalar, TRAINING, "Decoupled weight decay [0]"),
    key("adam_beta1", KeyForm::Scalar, TRAINING, "Decay of AdamW's first moment [0.9]"),
    key("adam_beta2", KeyForm::Scalar, TRAINING, "Decay of AdamW's second moment [0.999]"),
    key("adam_epsilon", KeyForm::Scalar, TRAINING, "AdamW's epsilon [1e-8]"),
    key("max_grad_norm", KeyForm::Scalar, TRAINING, "Norm that the whole gradient is clipped to; 0 for no clipping [1]"),
    key("lr_scheduler_type", KeyForm::Text, TRAINING, "linear, cosine or constant [linear]"),
    key("warmup_steps", KeyForm::Scalar, TRAINING, "Steps in which the learning rate rises from 0 [0]"),
    key("warmup_ratio", KeyForm::Scalar, TRAINING, "The same as a share of all steps [0]"),
    key("max_steps", KeyForm::Scalar, TRAINING, "Number of steps, in place of num_train_epochs"),
    key("gradient_accumulation_steps", KeyForm::Scalar, TRAINING, "Batches a step [1]"),
    key("masks_per_step", KeyForm::Scalar, TRAINING, "LoRA Dropout's N: masks that a step averages over, one pass each [1]"),
    key("mask_grouping", KeyForm::Scalar, TRAINING, "Rows of a pass that share a mask: pass (all, as in the paper), example (none), or a number of groups [pass]"),
    key("hidden_key", KeyForm::Pairs, TRAINING, "HiddenKey: drops keys of attention and cuts hidden representations, in training only: key_probability=0.1,cut_probability=0.1,kl_weight=1, the last of which holds two passes together; 0 for one pass [none]"),
    key("class_weights", KeyForm::PairsOrWord, TRAINING, "How much classes count in the loss: balanced (inversely to their rows, as scikit-learn's), or label=weight,…, 1 for labels that are left out [all alike]"),
    key("label_smoothing_factor", KeyForm::Scalar, TRAINING, "Share of a label that is spread evenly over all classes; 0.1 is usual [0]"),
    key("focal_loss_gamma", KeyForm::Scalar, TRAINING, "Gamma of the focal loss, in which sure rows count less; 2 is usual, 0 is cross-entropy [0]"),
    key("seed", KeyForm::Scalar, TRAINING, "Seed of splits, new weights, order of rows, masks and ensemble [42]"),
    key("eval_strategy", KeyForm::Text, TRAINING, "When the validation rows are scored: no, epoch or steps [epoch]"),
    key("eval_steps", KeyForm::Scalar, TRAINING, "Steps between evaluations, for eval_strategy steps"),
    key("per_device_eval_batch_size", KeyForm::Scalar, TRAINING, "Rows of an evaluation batch [32]"),
    key("metric_for_best_model", KeyForm::Text, TRAINING, "loss, accuracy, balanced_accuracy, f1, matthews_correlation, brier, ece, pearson or spearman [loss]"),
    key("early_stopping_patience", KeyForm::Scalar, TRAINING, "Evaluations without improvement after which training ends [never]"),
    key("early_stopping_threshold", KeyForm::Scalar, TRAINING, "What counts as an improvement must be larger than this [0]"),
];

impl Key {
    /// Whether it is about adapters or LoRA Dropout.
    pub fn is_of_adapter(&self) -> bool {
        [ADAPTER, ADALORA, ENSEMBLE].contains(&self.section)
    }

    /// The key of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The flag without its two hyphens.
    ///
    /// # Panics
    ///
    /// Panics for a key that is not in [`KEYS`].
    pub fn flag(&self) -> &'static str {
        static FLAGS: LazyLock<Vec<String>> = LazyLock::new(|| KEYS.iter().map(Key::flag_name).collect());
        let index = KEYS.iter().position(|key| key.name == self.name);
        &FLAGS[index.expect("keys are made in this file only")]
    }

    /// A second name of the flag.
    pub fn alias(&self) -> Option<&'static str> {
        match self.name {
            "per_device_train_batch_size" => Some("batch-size"),
            "num_train_epochs" => Some("epochs"),
            "learning_rate" => Some("lr"),
            "resume_from_checkpoint" => Some("resume-from-checkpoint"),
            _ => None,
        }
    }

    /// As every command calls it; in files keys have the names of Hugging Face.
    fn flag_name(&self) -> String {
        match self.name {
            "model_name_or_path" => "model".to_owned(),
            "data_file" => "data".to_owned(),
            "output_dir" => "output".to_owned(),
            "overwrite_output_dir" => "overwrite".to_owned(),
            "ensemble_members" => "members".to_owned(),
            "ensemble_average" => "average".to_owned(),
            "resume_from_checkpoint" => "resume".to_owned(),
            name => name.replace('_', "-"),
        }
    }
}

/// The key that a wrong one stands for: that of the flag with this name, or the nearest one if it is near enough to be a slip.
pub fn nearest(wrong: &str) -> Option<&'static str> {
    let flag = wrong.replace('_', "-");
    let is_flag = |key: &&Key| key.flag() == flag || key.alias() == Some(&flag);
    let of_flag = KEYS.iter().find(is_flag).map(|key| key.name);
    of_flag.or_else(|| nearest_of(wrong, KEYS.iter().map(|key| key.name)))
}

/// The word nearest to a wrong one, if it is near enough to be a slip. Case, and hyphens for underscores, are none.
pub fn nearest_of<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let wrong = plain(wrong);
    let length = wrong.chars().count();
    let similarity = |word: &str| strsim::normalized_damerau_levenshtein(&wrong, &plain(word));
    let (word, similarity) = words
        .into_iter()
        // A word twice as long is not similar, and comparing takes the product of both lengths.
        .filter(|word| 2 * word.chars().count() >= length)
        .map(|word| (word, similarity(word)))
        .max_by(|(_, left), (_, right)| left.total_cmp(right))?;
    (similarity >= 0.6).then_some(word)
}

/// The keys that must be given, and nothing else.
pub(super) fn smallest() -> Value {
    json!({
        "model_name_or_path": "", "output_dir": "", "learning_rate": 1, "num_train_epochs": 1,
        "per_device_train_batch_size": 1,
    })
}
