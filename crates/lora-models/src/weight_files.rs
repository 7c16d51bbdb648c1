//! The files that hold a checkpoint's tensors, seen as one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lora_core::tensors::{HostTensor, Orientation, TensorFile};
use lora_kernels::Fp32Precision;
use serde::Deserialize;

use crate::error::LoadError;
use crate::gguf::GgufWeights;
use crate::pytorch::PytorchFile;

/// Name of the one file of most checkpoints.
const SAFETENSORS: &str = "model.safetensors";
const SAFETENSORS_INDEX: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";
const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";

/// The files of weights that are understood, the first that is there is taken.
pub(crate) const CHOICES: [&str; 4] = [SAFETENSORS, SAFETENSORS_INDEX, PYTORCH, PYTORCH_INDEX];

/// The tensors of a checkpoint, in one file or several, by safetensors or by PyTorch.
#[derive(Debug)]
pub struct WeightFiles {
    origin: PathBuf,
    files: Vec<WeightFile>,
    /// The file of each tensor, and its name there.
    index: BTreeMap<String, (usize, String)>,
    fp32_precision: Fp32Precision,
}

#[derive(Debug)]
enum WeightFile {
    Safetensors(TensorFile),
    Pytorch(PytorchFile),
    Gguf(GgufWeights),
}

/// `*.index.json`: which file holds which tensor.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl WeightFiles {
    /// Opens the weights of a folder: `model.safetensors`, or its shards by their index, or else `pytorch_model.bin`, or
    /// its shards.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if none is there, a shard is missing or corrupt, or the index and the shards disagree.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let one = |name: &str| folder.join(name).is_file().then(|| folder.join(name));
        if let Some(path) = one(SAFETENSORS) {
            return Self::of_files(&path, vec![WeightFile::Safetensors(TensorFile::open(&path)?)]);
        }
        if let Some(path) = one(SAFETENSORS_INDEX) {
            return Self::open_shards(&path, |shard| {
                Ok(WeightFile::Safetensors(TensorFile::open(shard)?))
            });
        }
        if let Some(path) = one(PYTORCH) {
            return Self::of_files(&path, vec![WeightFile::Pytorch(PytorchFile::open(&path)?)]);
        }
        if let Some(path) = one(PYTORCH_INDEX) {
            return Self::open_shards(&path, |shard| PytorchFile::open(shard).map(WeightFile::Pytorch));
        }
        let others = ["tf_model.h5", "flax_model.msgpack", "model.onnx"];
        Err(
            match others.into_iter().find(|file| folder.join(file).is_file()) {
                Some(found) => LoadError::WeightsFormat {
                    folder: folder.to_owned(),
                    found,
                },
                None => LoadError::MissingFile {
                    folder: folder.to_owned(),
                    file: SAFETENSORS,
                },
            },
        )
    }

    /// Weights from one safetensors file, such as one that the program carries.
    pub fn of_safetensors(file: TensorFile) -> Self {
        Self::of_one(file.origin().to_owned(), WeightFile::Safetensors(file))
    }

    /// Weights of a GGUF file under Hugging Face's names.
    pub(crate) fn of_gguf(weights: GgufWeights) -> Self {
        Self::of_one(weights.origin().to_owned(), WeightFile::Gguf(weights))
    }

    /// Tensors under the names that they have in their file.
    fn of_one(origin: PathBuf, file: WeightFile) -> Self {
        let at = |name: &str| (name.to_owned(), (0, name.to_owned()));
        Self {
            origin,
            index: file.names().into_iter().map(at).collect(),
            files: vec![file],
            fp32_precision: Fp32Precision::Ieee,
        }
    }

    fn open_shards(
        path: &Path,
        open: impl Fn(&Path) -> Result<WeightFile, LoadError>,
    ) -> Result<Self, LoadError> {
        let listed = Index::read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let names = listed.shards(path)?;
        if let Some(name) = names.iter().find(|name| !folder.join(name).is_file()) {
            return Err(LoadError::MissingShard {
                path: path.to_owned(),
                name: name.clone(),
            });
        }
        let files = names
            .iter()
            .map(|name| open(&folder.join(name)))
            .collect::<Result<_, _>>()?;
        let opened = Self::of_files(path, files)?;
        let absent = listed
            .weight_map
            .keys()
            .filter(|name| !opened.index.contains_key(&without_wrapper(name)));
        let absent: Vec<String> = absent.cloned().collect();
        if !absent.is_empty() {
            return Err(LoadError::MissingWeights {
                path: path.to_owned(),
                names: absent,
            });
        }
        Ok(opened)
    }

    fn of_files(origin: &Path, files: Vec<WeightFile>) -> Result<Self, LoadError> {
        let mut index = BTreeMap::new();
        for (place, file) in files.iter().enumerate() {
            for name in file.names() {
                let at = (place, name.to_owned());
                if index.insert(without_wrapper(name), at).is_some() {
                    return Err(LoadError::DuplicateTensor {
                        path: origin.to_owned(),
                        name: name.to_owned(),
                    });
                }
            }
        }
        Ok(Self {
            origin: origin.to_owned(),
            files,
            index,
            fp32_precision: Fp32Precision::Ieee,
        })
    }

    /// How products with the frozen weights of a model are computed that is loaded from here, and so what they are held in;
    /// [`Fp32Precision::Ieee`] at first. Heads that are trained in full are f32 in any case.
    pub fn fp32_precision(&self) -> Fp32Precision {
        self.fp32_precision
    }

    /// Chooses it, before a model is loaded.
    pub fn set_fp32_precision(&mut self, precision: Fp32Precision) {
        self.fp32_precision = precision;
    }

    /// The file, or the index of several.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// The shape of a tensor; `None` if there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let (place, name) = self.index.get(name)?;
        match &self.files[*place] {
            WeightFile::Safetensors(file) => file.shape(name),
            WeightFile::Pytorch(file) => file.shape(name),
            WeightFile::Gguf(weights) => weights.shape(name),
        }
    }

    /// A tensor as f32, read from its file now; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`], [`LoadError::Pytorch`] if its values are no floating-point numbers; these, [`LoadError::Gguf`] and
    /// [`LoadError::Read`] if the file cannot be read any more; [`LoadError::NotFinite`].
    ///
    /// # Panics
    ///
    /// Panics if a tensor to be transposed is no matrix.
    pub fn read(&self, name: &str, orientation: Orientation) -> Result<Option<HostTensor>, LoadError> {
        let Some((place, name)) = self.index.get(name) else {
            return Ok(None);
        };
        let tensor = match &self.files[*place] {
            WeightFile::Safetensors(file) => file.read_as(name, orientation)?,
            WeightFile::Pytorch(file) => file.read_as(name, orientation)?,
            WeightFile::Gguf(weights) => weights.read(name, orientation)?,
        };
        match tensor.as_ref().and_then(HostTensor::not_finite) {
            Some(found) => Err(LoadError::NotFinite {
                path: self.origin.clone(),
                name: name.clone(),
                found,
            }),
            None => Ok(tensor),
        }
    }
}

/// The shards that a file of weights names: none if it is no index.
///
/// # Errors
///
/// [`LoadError`] if it is an index that cannot be read.
pub(crate) fn shards(path: &Path) -> Result<Vec<String>, LoadError> {
    if path.extension().is_some_and(|extension| extension == "json") {
        Index::read(path)?.shards(path)
    } else {
        Ok(Vec::new())
    }
}

/// A tensor's name without the part that `torch.compile` puts into the names of a model it has wrapped.
fn without_wrapper(name: &str) -> String {
    name.replace(lora_core::peft::COMPILED, "")
}

impl Index {
    fn read(path: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&bytes).map_err(|reason| LoadError::Config {
            path: path.to_owned(),
            reason,
        })
    }

    /// The files it names, each once.
    fn shards(&self, path: &Path) -> Result<Vec<String>, LoadError> {
        let mut names: Vec<String> = self.weight_map.values().cloned().collect();
        names.sort();
        names.dedup();
        // A name from a file may not lead out of the folder.
        let outside = names
            .iter()
            .find(|name| Path::new(name).file_name() != Some(name.as_ref()));
        match outside {
            Some(name) => Err(LoadError::ShardName {
                path: path.to_owned(),
                name: name.clone(),
            }),
            None => Ok(names),
        }
    }
}

impl WeightFile {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Safetensors(file) => file.names().collect(),
            Self::Pytorch(file) => file.names().collect(),
            Self::Gguf(weights) => weights.names().collect(),
        }
    }
}
