//! The adapters that are in memory, by name. Those on the same base model share it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use lora_pipeline::base::shared::SharedBases;
use lora_pipeline::predict::ensemble::EnsembleChoice;
use lora_pipeline::predict::prepared::PreparedPredictor;
use lora_pipeline::saved::adapter::{AdapterOptions, open_adapter_on};
use lora_pipeline::saved::task_file::InferenceKind;

use crate::error::ServeError;

/// How adapter folders are opened, and how they predict.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// For every folder; which one is filled in.
    pub adapter: AdapterOptions,
    /// What of the ensemble is chosen by hand.
    pub ensemble: EnsembleChoice,
    /// Mean pass or ensemble; none: the one that training found better.
    pub inference: Option<InferenceKind>,
}

/// An adapter folder with the name that requests choose it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFolder {
    /// The name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
}

impl NamedFolder {
    /// A folder under a name.
    ///
    /// # Errors
    ///
    /// [`ServeError::Name`] if a path cannot hold the name as it is.
    pub fn new(name: &str, folder: &Path) -> Result<Self, ServeError> {
        let fits = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(ServeError::Name {
                given: name.to_owned(),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
        })
    }

    /// A folder under its own name.
    ///
    /// # Errors
    ///
    /// As [`NamedFolder::new`].
    pub fn of_folder(folder: &Path) -> Result<Self, ServeError> {
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = whole.file_name().and_then(|name| name.to_str());
        Self::new(name.unwrap_or_default(), folder).map_err(|_| ServeError::Name {
            given: folder.display().to_string(),
        })
    }
}

impl FromStr for NamedFolder {
    type Err = ServeError;

    /// `NAME=FOLDER`, or a folder, whose own name is taken.
    fn from_str(given: &str) -> Result<Self, ServeError> {
        if let Some((name, folder)) = given.split_once('=')
            && !Path::new(given).is_dir()
        {
            return Self::new(name, Path::new(folder));
        }
        Self::of_folder(Path::new(given))
    }
}

/// The adapters that are in memory.
#[derive(Debug)]
pub(crate) struct ServedAdapters {
    options: OpenOptions,
    by_name: RwLock<BTreeMap<String, Arc<PreparedPredictor>>>,
    /// Locked while an adapter is opened or dropped: one at a time.
    bases: Mutex<SharedBases>,
}

impl ServedAdapters {
    pub fn new(options: OpenOptions) -> Self {
        Self {
            options,
            by_name: RwLock::default(),
            bases: Mutex::default(),
        }
    }

    /// Opens a folder. This takes as long as reading the base model, if none of the others is on it.
    pub fn load(&self, adapter: &NamedFolder) -> Result<Arc<PreparedPredictor>, ServeError> {
        let mut bases = self.lock_bases();
        let NamedFolder { name, folder } = adapter;
        if self.find(name).is_some() {
            return Err(ServeError::Taken { name: name.clone() });
        }
        let options = AdapterOptions {
            adapter: folder.clone(),
            ..self.options.adapter.clone()
        };
        let (ensemble, inference) = (&self.options.ensemble, self.options.inference);
        let opened = open_adapter_on(&options, &mut bases);
        let predictor = opened.and_then(|opened| PreparedPredictor::new(opened, ensemble, inference));
        let outcome = match predictor {
            Ok(predictor) => {
                let predictor = Arc::new(predictor);
                self.write(|all| all.insert(name.clone(), Arc::clone(&predictor)));
                Ok(predictor)
            }
            Err(source) => Err(ServeError::Adapter {
                name: name.clone(),
                source: Box::new(source),
            }),
        };
        self.forget_unused(&mut bases);
        outcome
    }

    /// Forgets an adapter, once the requests that have it are answered; none if there is no such one.
    pub fn drop_one(&self, name: &str) -> Option<Arc<PreparedPredictor>> {
        let mut bases = self.lock_bases();
        let dropped = self.write(|all| all.remove(name));
        self.forget_unused(&mut bases);
        dropped
    }

    pub fn find(&self, name: &str) -> Option<Arc<PreparedPredictor>> {
        let all = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        all.get(name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<(String, Arc<PreparedPredictor>)> {
        let all = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(name, one)| (name.clone(), Arc::clone(one)))
            .collect()
    }

    fn forget_unused(&self, bases: &mut SharedBases) {
        let used: Vec<_> = self
            .all()
            .iter()
            .map(|(_, one)| one.opened().base.clone())
            .collect();
        bases.retain(&used);
    }

    fn lock_bases(&self) -> MutexGuard<'_, SharedBases> {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<R>(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<PreparedPredictor>>) -> R) -> R {
        change(&mut self.by_name.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_called_by_its_own_name_or_by_another() {
        let named = |given: &str| {
            given
                .parse::<NamedFolder>()
                .map(|found| (found.name, found.folder))
                .ok()
        };
        let folder = |name: &str, folder: &str| Some((name.to_owned(), PathBuf::from(folder)));
        assert_eq!(named("runs/reviews"), folder("reviews", "runs/reviews"));
        assert_eq!(named("good=runs/reviews"), folder("good", "runs/reviews"));
        for nameless in ["/", "", "a name=runs", "=runs", "a/b=runs"] {
            assert_eq!(named(nameless), None, "{nameless}");
        }
    }
}
