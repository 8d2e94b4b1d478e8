//! The bundled tiny checkpoint, to be damaged.

use dropless::Error;
use dropless::gpt_oss::safetensors::SafetensorsFile;
use dropless::gpt_oss::{Checkpoint, Config, Layout};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;

pub static VECTORS: LazyLock<dropless_vectors::Files> = LazyLock::new(|| dropless_vectors::files().unwrap());

pub fn weights(layout: Layout) -> &'static [u8] {
    &VECTORS[&format!("tiny-{layout}/model.safetensors")]
}

pub fn config_json(layout: Layout) -> Value {
    serde_json::from_slice(&VECTORS[&format!("tiny-{layout}/config.json")]).unwrap()
}

pub fn config(layout: Layout) -> Config {
    parse_config(&config_json(layout)).unwrap()
}

pub fn parse_config(json: &Value) -> Result<Config, Error> {
    Config::parse(Path::new("config.json"), json.to_string().as_bytes())
}

/// The checkpoint of these bytes under the tiny config.
pub fn open(layout: Layout, bytes: Vec<u8>) -> Result<Checkpoint, Error> {
    let file = SafetensorsFile::parse(Path::new("model.safetensors"), bytes.into())?;
    Checkpoint::from_files(config(layout), layout, vec![file])
}

/// Header and data of a safetensors file.
pub fn split(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

pub fn join(header: &Value, data: &[u8]) -> Vec<u8> {
    let text = header.to_string();
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat()
}

/// A whole file without the tensors whose names `keep` refuses, their order and bytes kept.
pub fn filtered(bytes: &[u8], keep: impl Fn(&str) -> bool) -> Vec<u8> {
    let (header, data) = split(bytes);
    let mut tensors: Vec<(&String, &Value)> =
        header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__" && keep(name)).collect();
    tensors.sort_by_key(|(_, t)| t["data_offsets"][0].as_u64());
    let (mut out, mut kept) = (json!({}), Vec::new());
    for (name, tensor) in tensors {
        let at = |i: usize| tensor["data_offsets"][i].as_u64().unwrap() as usize;
        let start = kept.len();
        kept.extend_from_slice(&data[at(0)..at(1)]);
        out[name] = tensor.clone();
        out[name]["data_offsets"] = json!([start, kept.len()]);
    }
    join(&out, &kept)
}

/// Asserts an error that has all these words.
pub fn refused<T>(result: Result<T, Error>, words: &[&str]) {
    let error = result.err().unwrap_or_else(|| panic!("accepted, wanted an error with {words:?}")).to_string();
    for word in words {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
}
