//! From the file of a sweep to its trainings and trials, each with a key that says everything it depends on.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use itertools::{Itertools as _, iproduct};
use lora_pipeline::bail;
use lora_pipeline::config::{MaskProbability, PeftType, RunConfig, TuningKind};
use lora_pipeline::device::DeviceName;
use lora_pipeline::error::Result;
use lora_train::swag::SwagError;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::curve::CurvePlan;
use super::data::SweepTask;
use super::file::{CurveEntry, MethodEntry, RowCount, Stopping, SweepFile, TaskEntry};
use super::inference_method::InferenceMethod;
use super::settings::{Layer, Settings, config_of, points};

/// Changes with everything that makes the same settings give another result.
const KEY_VERSION: u32 = 1;

/// Everything that a sweep is to compute.
#[derive(Debug)]
pub struct Plan {
    /// The trainings, each once.
    pub trainings: Vec<PlannedTraining>,
    /// The trials, each once.
    pub trials: Vec<PlannedTrial>,
    /// Trials that are the same as others, because two methods have the same settings at some point.
    pub repeated: usize,
}

/// One training, whatever predicts with it.
#[derive(Clone, Debug)]
pub struct PlannedTraining {
    /// A hash of all that it depends on.
    pub key: String,
    /// Index of the task.
    pub task: usize,
    /// Training rows.
    pub rows: RowCount,
    /// Name of the method that brought it in.
    pub method: String,
    /// Its settings.
    pub config: RunConfig,
    /// Those that are not the defaults.
    pub settings: Settings,
    /// Seed of new weights, order of rows and masks.
    pub seed: u64,
    /// What draws its rows.
    pub data_seed: u64,
    /// What it is scored on the way.
    pub curve: Option<CurvePlan>,
}

impl PlannedTraining {
    /// The same training on this device; none: that of its settings.
    #[must_use]
    pub fn on(&self, device: Option<DeviceName>) -> Self {
        let mut moved = self.clone();
        if let Some(device) = device {
            moved.config.device = device.to_string();
        }
        moved
    }
}

/// One way to predict with one training, or with several.
#[derive(Clone, Debug)]
pub struct PlannedTrial {
    /// A hash of all that it depends on.
    pub key: String,
    /// Indices of its trainings; the first one has its seed.
    pub trainings: Vec<usize>,
    /// Name of the method.
    pub method: String,
    /// How it predicts.
    pub prediction: InferenceMethod,
    /// Which model of each training predicts.
    pub stopping: Stopping,
}

/// Plans a sweep whose tasks are loaded, in the order of the file.
///
/// # Errors
///
/// The first thing in the file that cannot be used, with its place.
pub fn plan(path: &Path, file: &SweepFile, tasks: &[SweepTask]) -> Result<Plan> {
    check(path, file)?;
    let mut planner = Planner {
        path,
        file,
        tasks,
        plan: Plan {
            trainings: Vec::new(),
            trials: Vec::new(),
            repeated: 0,
        },
        training_of: HashMap::new(),
        known_trials: HashSet::new(),
    };
    for (index, entry) in file.tasks.iter().enumerate() {
        for &rows in &entry.rows {
            for method in &file.methods {
                planner.method(index, entry, rows, method)?;
            }
        }
    }
    Ok(planner.plan)
}

fn check(path: &Path, file: &SweepFile) -> Result<()> {
    let shown = path.display();
    for (key, is_empty) in [
        ("tasks", file.tasks.is_empty()),
        ("methods", file.methods.is_empty()),
        ("seeds", file.seeds.is_empty()),
        ("stopping", file.stopping.is_empty()),
        (
            "rows of a task",
            file.tasks.iter().any(|task| task.rows.is_empty()),
        ),
    ] {
        if is_empty {
            bail!("`{shown}`: {key} is empty; give at least one");
        }
    }
    let tasks: Vec<&str> = file.tasks.iter().map(|task| task.name.as_str()).collect();
    let methods: Vec<&str> = file.methods.iter().map(|method| method.name.as_str()).collect();
    for (what, names) in [("task", &tasks), ("method", &methods)] {
        if let Some(twice) = names.iter().duplicates().next() {
            bail!("`{shown}`: two {what}s have the name {twice}; give each a name of its own");
        }
    }
    if let Some(reference) = file.reference.as_deref().filter(|name| !methods.contains(name)) {
        bail!(
            "`{shown}`: reference is {reference}, which is no method; expected one of {}",
            methods.join(", ")
        );
    }
    if let Some(seed) = file.seeds.iter().duplicates().next() {
        bail!("`{shown}`: the seed {seed} stands twice in seeds; remove one");
    }
    if let Some(CurveEntry { epochs, rows, .. }) = &file.curve
        && (epochs.is_empty() || epochs.contains(&0) || *rows == 0)
    {
        bail!(
            "`{shown}`: curve names no epochs, the epoch 0, or no rows; `curve: {{epochs: [1, 2, 4, 8]}}` is enough"
        );
    }
    Ok(())
}

struct Planner<'a> {
    path: &'a Path,
    file: &'a SweepFile,
    tasks: &'a [SweepTask],
    plan: Plan,
    training_of: HashMap<String, usize>,
    known_trials: HashSet<String>,
}

impl Planner<'_> {
    fn method(&mut self, task: usize, entry: &TaskEntry, rows: RowCount, method: &MethodEntry) -> Result<()> {
        let place = format!("methods {}", method.name);
        let predictions = self.predictions(&place, method)?;
        let common = points(self.path, "grid", &self.file.grid)?;
        let own = points(self.path, &format!("{place}, grid"), &method.grid)?;
        for (common, own) in iproduct!(&common, &own) {
            // Later layers win: what all trainings share, the task's, the method's, then the grids'.
            let layers = [
                ("base".to_owned(), &self.file.base),
                (format!("task {}, settings", entry.name), &entry.settings),
                (format!("{place}, train"), &method.train),
                ("grid".to_owned(), common),
                (format!("{place}, grid"), own),
            ]
            .map(|(place, values)| Layer { place, values });
            for (&seed, prediction, &stopping) in
                iproduct!(&self.file.seeds, &predictions, &self.file.stopping)
            {
                self.trial(task, rows, method, &layers, (prediction, stopping), seed)?;
            }
        }
        Ok(())
    }

    fn predictions(&self, place: &str, method: &MethodEntry) -> Result<Vec<InferenceMethod>> {
        let mut predictions = Vec::new();
        for (index, entry) in method.predictions.iter().enumerate() {
            match entry.expand() {
                Ok(expanded) => predictions.extend(expanded),
                Err(reason) => bail!(
                    "`{}`, {place}, predictions[{index}]: {reason}",
                    self.path.display()
                ),
            }
        }
        if predictions.is_empty() {
            bail!(
                "`{}`, {place}: predictions is empty; `predictions: [mean]` is the least",
                self.path.display()
            );
        }
        Ok(predictions)
    }

    fn trial(
        &mut self,
        task: usize,
        rows: RowCount,
        method: &MethodEntry,
        layers: &[Layer<'_>],
        (prediction, stopping): (&InferenceMethod, Stopping),
        seed: u64,
    ) -> Result<()> {
        let data_seed = self.file.data_seed.of(seed);
        let mut trainings = Vec::new();
        for seed in prediction.training_seeds(seed) {
            let (config, settings) = config_of(self.path, layers, seed)?;
            let [train_rows, _] = self.tasks[task].sizes(rows)?;
            let names = [&self.tasks[task].name, &method.name].map(String::as_str);
            self.check_prediction(names, &config, train_rows, (prediction, stopping))?;
            let key = training_key(&self.tasks[task], rows, &settings, seed, data_seed);
            let place = *self.training_of.entry(key.clone()).or_insert_with(|| {
                self.plan.trainings.push(PlannedTraining {
                    key,
                    task,
                    rows,
                    method: method.name.clone(),
                    config,
                    settings,
                    seed,
                    data_seed,
                    curve: curve_of(self.file, seed),
                });
                self.plan.trainings.len() - 1
            });
            trainings.push(place);
            if let Some(curve) = &mut self.plan.trainings[place].curve
                && matches!(prediction, InferenceMethod::Ensemble { masks: None, .. })
            {
                curve.members = self.file.curve.as_ref().map_or(0, |curve| curve.members);
            }
        }
        let keys: Vec<&str> = trainings
            .iter()
            .map(|&training| self.plan.trainings[training].key.as_str())
            .collect();
        let mut known_by = json!({"trainings": keys, "prediction": prediction});
        if stopping != Stopping::Early {
            known_by["stopping"] = json!(stopping);
        }
        let key = hash(&known_by);
        if !self.known_trials.insert(key.clone()) {
            self.plan.repeated += 1;
            return Ok(());
        }
        self.plan.trials.push(PlannedTrial {
            key,
            trainings,
            method: method.name.clone(),
            prediction: prediction.clone(),
            stopping,
        });
        Ok(())
    }

    fn check_prediction(
        &self,
        [task, method]: [&str; 2],
        config: &RunConfig,
        train_rows: usize,
        (prediction, stopping): (&InferenceMethod, Stopping),
    ) -> Result<()> {
        let place = || format!("`{}`, methods {method}", self.path.display());
        let has_noise =
            config.mask_probability.has_masks() || config.lora_dropout > 0.0 || config.blob.is_some();
        let has_plain_factors =
            config.tuning == TuningKind::Lora && config.peft_type == PeftType::Lora && !config.use_dora;
        match prediction {
            InferenceMethod::Ensemble { masks: None, .. }
                if config.blob.is_some() && stopping == Stopping::Never =>
            {
                bail!(
                    "{}: stopping is never, but a training with blob has the deviations of its best evaluation alone; set eval_strategy to no \
                     for a fixed budget",
                    place()
                )
            }
            InferenceMethod::Ensemble { masks: None, .. } if !has_noise => bail!(
                "{}: the members of an ensemble differ in nothing, because its trainings have no masks; set mask_probability, \
                 lora_dropout or blob in train, or give the ensemble a mask_probability of its own",
                place()
            ),
            InferenceMethod::Laplace { of, .. } if of.has_adapters() && !has_plain_factors => bail!(
                "{}: the Laplace approximation of adapters is that of LoRA's factors, which its trainings do not have (tuning, \
                 peft_type or use_dora); use `of: last_layer`, or train plain LoRA",
                place()
            ),
            InferenceMethod::Tfb { .. } if !has_plain_factors => bail!(
                "{}: TFB puts noise on LoRA's factors, which its trainings do not have (tuning, peft_type or use_dora); train plain LoRA",
                place()
            ),
            InferenceMethod::Swag { .. } if config.mask_probability == MaskProbability::Auto => bail!(
                "{}: SWAG collects a Gaussian from all states that training passes by, and with mask_probability auto it goes back from some \
                 of them; give mask_probability a number",
                place()
            ),
            InferenceMethod::Swag { collect, .. } => {
                let (steps, of_epoch) = (
                    config.train.total_steps(train_rows),
                    config.train.steps_per_epoch(train_rows),
                );
                let found = collect.collections(steps, of_epoch);
                if found < 2 {
                    let error = SwagError::TooFewCollections { found };
                    bail!("{}, task {task}, {steps} steps: {error}", place());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Without the members, which only trainings with an ensemble have.
fn curve_of(file: &SweepFile, seed: u64) -> Option<CurvePlan> {
    let CurveEntry {
        epochs, rows, seeds, ..
    } = file.curve.as_ref()?;
    let is_wanted = seeds.as_ref().is_none_or(|seeds| seeds.contains(&seed));
    is_wanted.then(|| CurvePlan {
        epochs: epochs.clone(),
        members: 0,
        rows: *rows,
    })
}

fn training_key(task: &SweepTask, rows: RowCount, settings: &Settings, seed: u64, data_seed: u64) -> String {
    hash(&json!({
        "version": KEY_VERSION,
        "task": task.name,
        "data": format!("{:016x}", task.fingerprint),
        "rows": rows,
        "validation_rows": task.validation_rows,
        "test_rows": task.test_sizes(),
        "settings": settings,
        "seed": seed,
        "data_seed": data_seed,
    }))
}

/// The same for the same value on every machine: the text of a value follows from it, objects in the order of their making.
fn hash(value: &Value) -> String {
    format!("{:016x}", xxh3_64(value.to_string().as_bytes()))
}
