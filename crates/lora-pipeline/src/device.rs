//! `--device`, `--dtype` and `--fp32-precision`: from names to a Burn device.

use std::fmt;
use std::str::FromStr;
#[cfg(any(feature = "wgpu", feature = "vulkan"))]
use std::sync::{Mutex, PoisonError};

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::{Device, FloatDType};
use lora_core::Fp32Precision;
use thiserror::Error;

/// The device that is used when none is named.
pub const DEFAULT_DEVICE: &str = "flex";

/// Kinds of devices, each a cargo feature of this program.
const KINDS: [Kind; 7] = [
    Kind::Flex,
    Kind::NdArray,
    Kind::Wgpu,
    Kind::Vulkan,
    Kind::Metal,
    Kind::Cuda,
    Kind::Rocm,
];

/// A device by name: `flex`, `ndarray`, `wgpu`, `vulkan`, `metal`, `cuda`, `rocm`, the last five also as `cuda:1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceName {
    kind: Kind,
    which: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flex,
    NdArray,
    Wgpu,
    Vulkan,
    Metal,
    Cuda,
    Rocm,
}

/// Which of the devices of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Index(usize),
    /// The software device of a graphics interface.
    Software,
}

/// What a model computes in: its weights, and everything that is made of them. Values of files that have more digits are
/// rounded; sums of matrix products are the backend's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, 24 of them digits.
    #[default]
    F32,
    /// 16 bits with the range of f32, 8 of them digits.
    Bf16,
    /// 16 bits up to 65,504, 11 of them digits.
    F16,
}

impl From<Precision> for FloatDType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::BF16,
            Precision::F16 => Self::F16,
        }
    }
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];
}

impl FromStr for Precision {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let mut all = Self::ALL.into_iter();
        all.find(|precision| precision.to_string() == text)
            .ok_or_else(|| DeviceError::UnknownPrecision {
                found: text.to_owned(),
            })
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

/// A device that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// No such name.
    #[error("device is `{found}`: expected one of {}, or one with an index, such as cuda:1", names(&KINDS))]
    Unknown {
        /// The name.
        found: String,
    },
    /// No such precision.
    #[error("precision is `{found}`: expected f32, bf16 or f16")]
    UnknownPrecision {
        /// What was given.
        found: String,
    },
    /// The program was built without it.
    #[error(
        "device `{found}` is not in this build, which has {}; build with `cargo build --release --features {found}`",
        names(&compiled())
    )]
    NotCompiled {
        /// The name without index.
        found: &'static str,
    },
    /// There is none, or its driver refuses.
    #[error("cannot open device `{device}` ({reason}); check that its driver is installed")]
    Graphics {
        /// The device's name.
        device: String,
        /// What Burn says.
        reason: String,
    },
    /// Precisions of products are those of f32 values on Flex.
    #[error(
        "fp32_precision is {products}, which is for f32 numbers on the device flex, not for {precision} on `{device}`; leave one of \
         --fp32-precision, --dtype and --device out"
    )]
    Products {
        /// The device's name.
        device: String,
        /// What it was to compute in.
        precision: Precision,
        /// The precision of products.
        products: Fp32Precision,
    },
    /// It computes in other values only.
    #[error("device `{device}` cannot compute in {precision}: {reason}; leave --dtype out for f32")]
    Precision {
        /// The device's name.
        device: String,
        /// What it was to compute in.
        precision: Precision,
        /// What Burn says.
        reason: String,
    },
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
        }
    }

    fn is_compiled(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Rocm => cfg!(feature = "rocm"),
        }
    }
}

fn compiled() -> Vec<Kind> {
    KINDS.into_iter().filter(|kind| kind.is_compiled()).collect()
}

fn names(kinds: &[Kind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    if names.is_empty() {
        "no device".to_owned()
    } else {
        names.join(", ")
    }
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown {
            found: text.to_owned(),
        };
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index)),
            None => (text, None),
        };
        let kind = KINDS
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(unknown)?;
        let which = match index {
            None => Which::First,
            Some(_) if matches!(kind, Kind::Flex | Kind::NdArray) => return Err(unknown()),
            Some("cpu") if matches!(kind, Kind::Wgpu | Kind::Vulkan) => Which::Software,
            Some(index) => Which::Index(index.parse().map_err(|_| unknown())?),
        };
        Ok(Self { kind, which })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.name())?;
        match self.which {
            Which::First => Ok(()),
            Which::Index(index) => write!(formatter, ":{index}"),
            Which::Software => formatter.write_str(":cpu"),
        }
    }
}

impl DeviceName {
    /// The device, computing in these numbers, for models whose products with frozen weights have precision `products`. Burn lets
    /// the values be said once in a program, before the device's first tensor.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotCompiled`], [`DeviceError::Graphics`], [`DeviceError::Precision`], [`DeviceError::Products`].
    pub fn open_in(self, precision: Precision, products: Fp32Precision) -> Result<Device, DeviceError> {
        if products != Fp32Precision::Ieee && (self.kind != Kind::Flex || precision != Precision::F32) {
            return Err(DeviceError::Products {
                device: self.to_string(),
                precision,
                products,
            });
        }
        let mut device = self.open()?;
        // Every backend computes in f32 unless told otherwise.
        if precision != Precision::F32 {
            let refused = device.configure(FloatDType::from(precision));
            refused.map_err(|error| DeviceError::Precision {
                device: self.to_string(),
                precision,
                reason: error.to_string(),
            })?;
        }
        Ok(device)
    }

    /// The device, computing in f32.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotCompiled`], [`DeviceError::Graphics`].
    pub fn open(self) -> Result<Device, DeviceError> {
        match self.kind {
            #[cfg(feature = "flex")]
            Kind::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            Kind::NdArray => {
                #[expect(deprecated, reason = "kept as a second opinion on numbers")]
                let device = Device::ndarray();
                Ok(device)
            }
            #[cfg(feature = "wgpu")]
            Kind::Wgpu => self.open_graphics(WgpuBackend::Auto),
            #[cfg(feature = "vulkan")]
            Kind::Vulkan => self.open_graphics(WgpuBackend::Vulkan),
            #[cfg(feature = "metal")]
            Kind::Metal => Ok(Device::metal(self.which.device_kind())),
            #[cfg(feature = "cuda")]
            Kind::Cuda => Ok(Device::cuda(self.which.index())),
            #[cfg(feature = "rocm")]
            Kind::Rocm => Ok(Device::rocm(self.which.index())),
            #[allow(unreachable_patterns, reason = "reached unless every device is compiled in")]
            kind => Err(DeviceError::NotCompiled { found: kind.name() }),
        }
    }

    /// The device of a graphics interface. Burn sets each up once in a program, so it is kept.
    #[cfg(any(feature = "wgpu", feature = "vulkan"))]
    fn open_graphics(self, interface: WgpuBackend) -> Result<Device, DeviceError> {
        static OPEN: Mutex<Vec<(DeviceName, Device)>> = Mutex::new(Vec::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, device)) = open.iter().find(|(name, _)| *name == self) {
            return Ok(device.clone());
        }
        let options = Device::wgpu_options()
            .device_kind(self.which.device_kind())
            .graphics_api(interface);
        let device = options.init().map_err(|error| DeviceError::Graphics {
            device: self.to_string(),
            reason: error.to_string(),
        })?;
        open.push((self, device.clone()));
        Ok(device)
    }
}

impl Which {
    #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
    fn device_kind(self) -> burn::tensor::DeviceKind {
        match self {
            Self::First => burn::tensor::DeviceKind::DefaultDevice,
            Self::Index(index) => burn::tensor::DeviceKind::DiscreteGpu(index),
            Self::Software => burn::tensor::DeviceKind::Cpu,
        }
    }

    #[cfg(any(feature = "cuda", feature = "rocm"))]
    fn index(self) -> usize {
        match self {
            Self::Index(index) => index,
            Self::First | Self::Software => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            "flex",
            "ndarray",
            "wgpu",
            "vulkan:1",
            "vulkan:cpu",
            "cuda:3",
            "rocm",
            "metal:0",
        ] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_choices() {
        for name in ["gpu", "cuda:", "cuda:x", "flex:0", "", "cuda:cpu"] {
            let error = name.parse::<DeviceName>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{name}`")) && error.contains("flex, ndarray"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_device_that_was_not_built_names_the_feature_to_build_with() {
        for kind in KINDS.into_iter().filter(|kind| !kind.is_compiled()) {
            let error = kind.name().parse::<DeviceName>().unwrap().open().unwrap_err();
            let feature = format!("--features {}`", kind.name());
            assert!(error.to_string().contains(&feature), "{error}");
        }
    }
}
