//! What a pickle of tensors holds: objects, arrays that lie elsewhere, and views of them.

use std::rc::Rc;

use lora_core::tensors::FloatType;

/// A value on the pickle's stack. Copies are cheap: whatever can be large is shared.
#[derive(Clone, Debug)]
pub enum Value {
    /// Whatever has no part in a table of tensors.
    Opaque,
    /// Between here and the top of the stack lie the parts of a value.
    Mark,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(Rc<str>),
    /// A name of Python's, which is never called: `module name`.
    Global(Rc<str>),
    /// Values that do not change.
    Tuple(Rc<[Value]>),
    /// Values.
    List(Vec<Value>),
    /// Values by key, in order.
    Dict(Vec<(Value, Value)>),
    /// Values that lie elsewhere in the file.
    Storage(Storage),
    /// A view of such values.
    Tensor(Rc<TensorView>),
}

/// The type of the values of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// Floats.
    Float(FloatType),
    /// Whole numbers or truth values of so many bytes.
    Other {
        /// Bytes of one.
        width: usize,
    },
}

/// Values that lie elsewhere in the file.
#[derive(Clone, Debug)]
pub struct Storage {
    /// What they are.
    pub number: ElementType,
    /// Their name in the file.
    pub key: Rc<str>,
}

/// A tensor: a view of a storage.
#[derive(Clone, Debug)]
pub struct TensorView {
    /// The values.
    pub storage: Storage,
    /// First element.
    pub offset: usize,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Elements between neighbours, by axis.
    pub strides: Vec<usize>,
}

impl ElementType {
    /// Bytes of one number.
    pub fn width(self) -> usize {
        match self {
            Self::Float(float) => float.width(),
            Self::Other { width } => width,
        }
    }

    /// The kind of floats; `None` for whole numbers and truth values.
    pub fn float(self) -> Option<FloatType> {
        match self {
            Self::Float(float) => Some(float),
            Self::Other { .. } => None,
        }
    }

    fn of_storage(class: &str) -> Option<Self> {
        Some(match class.strip_prefix("torch ")?.strip_suffix("Storage")? {
            "Float" => Self::Float(FloatType::F32),
            "Half" => Self::Float(FloatType::F16),
            "BFloat16" => Self::Float(FloatType::Bf16),
            "Double" => Self::Float(FloatType::F64),
            "Long" => Self::Other { width: 8 },
            "Int" => Self::Other { width: 4 },
            "Short" => Self::Other { width: 2 },
            "Char" | "Byte" | "Bool" => Self::Other { width: 1 },
            _ => return None,
        })
    }
}

/// `("storage", class, key, location, count)`.
pub(super) fn storage_of(id: &Value) -> Option<Storage> {
    let Value::Tuple(parts) = id else { return None };
    match &parts[..] {
        [Value::Text(kind), Value::Global(class), Value::Text(key), ..] if &**kind == "storage" => {
            Some(Storage {
                number: ElementType::of_storage(class)?,
                key: key.clone(),
            })
        }
        _ => None,
    }
}

/// What the few calls that a table holds give.
pub(super) fn result_of(callee: &Value, arguments: &Value) -> Value {
    let (Value::Global(callee), Value::Tuple(arguments)) = (callee, arguments) else {
        return Value::Opaque;
    };
    match (&**callee, &arguments[..]) {
        ("collections OrderedDict", []) => Value::Dict(Vec::new()),
        // Nothing else is copied, for a list can be as long as the file, and calls as many.
        ("torch._utils _rebuild_parameter", [Value::Tensor(tensor), ..]) => Value::Tensor(tensor.clone()),
        (
            "torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor",
            [Value::Storage(storage), Value::Int(offset), shape, strides, ..],
        ) => {
            let parts = usize::try_from(*offset)
                .ok()
                .zip(sizes(shape).zip(sizes(strides)));
            parts.map_or(Value::Opaque, |(offset, (shape, strides))| {
                Value::Tensor(Rc::new(TensorView {
                    storage: storage.clone(),
                    offset,
                    shape,
                    strides,
                }))
            })
        }
        _ => Value::Opaque,
    }
}

/// PyTorch's own operations take no more (`dim_bitset_size`).
const MOST_AXES: usize = 64;

fn sizes(value: &Value) -> Option<Vec<usize>> {
    let Value::Tuple(parts) = value else { return None };
    if parts.len() > MOST_AXES {
        return None;
    }
    let sizes = parts.iter().map(|part| match part {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    });
    sizes.collect()
}
