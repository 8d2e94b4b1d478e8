//! What a case asks for: parameters and inputs, read with errors in words.

use super::Class;
use super::files::Files;
use super::values::Values;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use serde_json::{Map, Value};

/// Why a case ends without a result to compare.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something this implementation does not know or take.
    Skip(String),
    /// A broken case, or an op that returned an error.
    Fail(String),
}

/// A spec that is refused is a parameter value that is not supported: legal in the format, not here.
impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        match e {
            Error::Spec(_) | Error::Unsupported { .. } | Error::Unavailable { .. } => Stop::Skip(e.to_string()),
            _ => Stop::Fail(e.to_string()),
        }
    }
}

/// Most elements of an output that the files do not hold as a whole.
const MOST_UNSEEN: usize = 1 << 28;

pub(super) fn fail<T>(words: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fail(words.into()))
}

pub(super) fn skip<T>(words: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Skip(words.into()))
}

/// One case of a manifest.
pub(super) struct Case<'a> {
    pub(super) files: &'a Files,
    pub(super) json: &'a Map<String, Value>,
}

impl<'a> Case<'a> {
    pub(super) fn text(&self, key: &str) -> &'a str {
        self.json.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn object(&self, key: &str) -> Result<&'a Map<String, Value>, Stop> {
        match self.json.get(key).and_then(Value::as_object) {
            Some(map) => Ok(map),
            None => fail(format!("the case has no object `{key}`")),
        }
    }

    pub(super) fn params(&self) -> Result<Params<'a>, Stop> {
        Ok(Params { name: "params".into(), map: self.object("params")? })
    }

    fn input(&self, role: &str) -> Result<&'a Value, Stop> {
        match self.object("inputs")?.get(role) {
            Some(reference) => Ok(reference),
            None => fail(format!("input `{role}` is missing")),
        }
    }

    pub(super) fn wants(&self, role: &str) -> bool {
        self.object("expected").is_ok_and(|e| e.contains_key(role))
    }

    /// Refuses an output of `len` elements where another number is expected: before it is computed, because parameters can
    /// name sizes that no memory holds.
    pub(super) fn expect_len(&self, role: &str, len: Option<usize>) -> Result<(), Stop> {
        match self.object("expected")?.get(role) {
            Some(entry) if entry.get("rows").is_none() => {
                let want = resolve_tensor(self.files, entry, role)?.len();
                match len == Some(want) {
                    true => Ok(()),
                    false => fail(format!("`{role}`: the parameters give {len:?} elements, {want} are expected")),
                }
            }
            _ if len.is_none_or(|n| n > MOST_UNSEEN) => {
                skip(format!("`{role}` has more than {MOST_UNSEEN} elements, of which not all are expected"))
            }
            _ => Ok(()),
        }
    }

    /// The name of the file that an input refers to as a whole.
    pub(super) fn whole_file(&self, role: &str) -> Result<&'a str, Stop> {
        let reference = self.input(role)?;
        match (text_of(reference, "file"), text_of(reference, "tensor")) {
            (Some(file), Some("*")) => Ok(file),
            _ => fail(format!("input `{role}` must be all tensors (\"*\") of a file")),
        }
    }

    /// An input as it is stored.
    pub(super) fn tensor(&self, role: &str) -> Result<HostTensor, Stop> {
        resolve_tensor(self.files, self.input(role)?, role)
    }

    /// A floating-point input as it is stored. f64 is taken by class f64 alone, by the others where all of it is exact in f32.
    pub(super) fn float(&self, role: &str, class: Class) -> Result<HostTensor, Stop> {
        let tensor = self.tensor(role)?;
        if !tensor.dtype.is_float() {
            return skip(format!("input `{role}` is {}, not floating point", tensor.dtype));
        }
        if tensor.dtype != DType::F64 || class == Class::F64 {
            return Ok(tensor);
        }
        let values = tensor.to_f64();
        if values.iter().any(|v| f64::from(*v as f32) != *v && !v.is_nan()) {
            return skip(format!("input `{role}` is f64 that f32 does not hold, which class {class} does not take"));
        }
        Ok(HostTensor::from_f64(DType::F32, &tensor.shape, &values)?)
    }

    /// A floating-point input as f32, or f64 in class f64: tables and weights that ops take in one type only.
    pub(super) fn scalar_floats(&self, role: &str, class: Class) -> Result<HostTensor, Stop> {
        let tensor = self.tensor(role)?;
        if !tensor.dtype.is_float() {
            return skip(format!("input `{role}` is {}, not floating point", tensor.dtype));
        }
        Ok(HostTensor::from_f64(class.wide(), &tensor.shape, &tensor.to_f64())?)
    }

    /// A JSON value: of an input, or of a parameter that is a reference.
    pub(super) fn json_value(&self, role: &str) -> Result<Value, Stop> {
        let reference = match self.object("inputs")?.get(role) {
            Some(reference) => reference,
            None => self.params()?.get(role)?,
        };
        resolve_json(self.files, reference, role)
    }

    pub(super) fn bytes(&self, role: &str) -> Result<HostTensor, Stop> {
        let tensor = self.tensor(role)?;
        match tensor.dtype {
            DType::U8 => Ok(tensor),
            d => skip(format!("input `{role}` is {d}, not u8")),
        }
    }

    pub(super) fn i32s(&self, role: &str) -> Result<Vec<i32>, Stop> {
        let tensor = self.tensor(role)?;
        match tensor.to_i32() {
            Some(values) => Ok(values),
            None => skip(format!("input `{role}` is {}, not i32", tensor.dtype)),
        }
    }
}

fn text_of<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The tensor that a reference names.
pub(super) fn resolve_tensor(files: &Files, reference: &Value, what: &str) -> Result<HostTensor, Stop> {
    if reference.get("pointer").is_some() {
        return json_tensor(&resolve_json(files, reference, what)?, what);
    }
    let (Some(file), Some(tensor)) = (text_of(reference, "file"), text_of(reference, "tensor")) else {
        return fail(format!("`{what}` must be a reference with `file` and `tensor`"));
    };
    let file = files.safetensors(file)?;
    if !file.names().iter().any(|name| name == tensor) {
        return fail(format!("{}: no tensor {tensor}", file.path().display()));
    }
    match file.get(tensor) {
        Ok(Some(found)) => Ok(found),
        Ok(None) => fail(format!("{}: no tensor {tensor}", file.path().display())),
        // The tensor is there and the file was checked as a whole when it was opened: its type is what is not known.
        Err(e) => skip(e.to_string()),
    }
}

/// Numbers of a JSON file as a tensor: i32 where all are such integers, else f64.
fn json_tensor(value: &Value, what: &str) -> Result<HostTensor, Stop> {
    let Some(Values { shape, data, .. }) = Values::from_json(value) else {
        return fail(format!("`{what}` is not made of numbers"));
    };
    let integer = |x: &f64| x.fract() == 0.0 && i32::try_from(*x as i64).is_ok();
    if data.iter().all(integer) {
        return Ok(HostTensor::from_i32(&shape, &data.iter().map(|x| *x as i32).collect::<Vec<_>>())?);
    }
    Ok(HostTensor::from_f64(DType::F64, &shape, &data)?)
}

/// The JSON value that a reference names.
pub(super) fn resolve_json(files: &Files, reference: &Value, what: &str) -> Result<Value, Stop> {
    let (Some(file), Some(pointer)) = (text_of(reference, "file"), text_of(reference, "pointer")) else {
        return fail(format!("`{what}` must be a reference with `file` and `pointer`"));
    };
    match files.json(file)?.pointer(pointer) {
        Some(value) => Ok(value.clone()),
        None => fail(format!("{file}: nothing at {pointer}")),
    }
}

/// Parameters: an object of a case, or one inside it.
#[derive(Clone)]
pub(super) struct Params<'a> {
    name: String,
    map: &'a Map<String, Value>,
}

impl<'a> Params<'a> {
    fn get(&self, key: &str) -> Result<&'a Value, Stop> {
        match self.map.get(key) {
            Some(value) => Ok(value),
            None => fail(format!("{} has no `{key}`", self.name)),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|v| !v.is_null())
    }

    fn typed<T>(&self, key: &str, what: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<T, Stop> {
        let value = self.get(key)?;
        match read(value) {
            Some(t) => Ok(t),
            None => skip(format!("{}.{key} is {value}, not {what}", self.name)),
        }
    }

    pub(super) fn string(&self, key: &str) -> Result<&'a str, Stop> {
        self.typed(key, "a string", Value::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, Stop> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(super) fn number(&self, key: &str) -> Result<f64, Stop> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub(super) fn count(&self, key: &str) -> Result<usize, Stop> {
        self.typed(key, "a whole number", count_of)
    }

    pub(super) fn counts(&self, key: &str) -> Result<Vec<usize>, Stop> {
        self.typed(key, "a list of whole numbers", |v| v.as_array()?.iter().map(count_of).collect())
    }

    pub(super) fn integers(&self, key: &str) -> Result<Vec<i64>, Stop> {
        self.typed(key, "a list of integers", |v| v.as_array()?.iter().map(Value::as_i64).collect())
    }

    pub(super) fn inner(&self, key: &str) -> Result<Params<'a>, Stop> {
        let map = self.typed(key, "an object", Value::as_object)?;
        Ok(Params { name: format!("{}.{key}", self.name), map })
    }

    /// One of the values that are known here, with what it stands for.
    pub(super) fn one_of<T: Copy>(&self, key: &str, known: &[(&str, T)]) -> Result<T, Stop> {
        let value = self.string(key)?;
        match known.iter().find(|(name, _)| *name == value) {
            Some((_, meaning)) => Ok(*meaning),
            None => skip(format!("{}.{key} = {value:?} is not known here", self.name)),
        }
    }

    /// Where the parameter is given, it must have the one value that is known here.
    pub(super) fn only(&self, key: &str, known: impl Into<Value>) -> Result<(), Stop> {
        let known = known.into();
        let same = |v: &Value| *v == known || v.as_f64().is_some_and(|x| known.as_f64() == Some(x));
        match self.map.get(key) {
            Some(value) if !same(value) => {
                skip(format!("{}.{key} = {value} is not supported, only {known} is", self.name))
            }
            _ => Ok(()),
        }
    }
}

fn count_of(value: &Value) -> Option<usize> {
    let float = || value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..9e15).contains(x)).map(|x| x as u64);
    value.as_u64().or_else(float).and_then(|n| usize::try_from(n).ok())
}
