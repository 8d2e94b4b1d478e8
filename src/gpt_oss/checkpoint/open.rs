//! The files of a checkpoint folder: one, the shards an index names, or all there are.

use crate::error::Error;
use crate::gpt_oss::safetensors::SafetensorsFile;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

pub(super) const INDEX: &str = "model.safetensors.index.json";
pub(super) const SINGLE: &str = "model.safetensors";

/// Opens the files of a folder. An index that names a tensor which its shard lacks is refused here.
pub(super) fn files(dir: &Path) -> Result<Vec<SafetensorsFile>, Error> {
    let index = dir.join(INDEX);
    if index.is_file() {
        return shards(dir, &index);
    }
    let single = dir.join(SINGLE);
    if single.is_file() {
        return Ok(vec![SafetensorsFile::open(&single)?]);
    }
    // OpenAI's own loader takes whatever lies there.
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| Error::file(dir, e))? {
        let path = entry.map_err(|e| Error::file(dir, e))?.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Error::file(dir, format!("holds no checkpoint: neither {INDEX} nor {SINGLE}")));
    }
    paths.sort();
    paths.iter().map(|p| SafetensorsFile::open(p)).collect()
}

fn shards(dir: &Path, index: &Path) -> Result<Vec<SafetensorsFile>, Error> {
    let json = std::fs::read(index).map_err(|e| Error::file(index, e))?;
    let map = weight_map(index, &json)?;
    let names: BTreeSet<&String> = map.values().collect();
    let mut files = BTreeMap::new();
    for name in names {
        let path = dir.join(name);
        if !path.is_file() {
            return Err(Error::file(index, format!("names the shard {name}, which is not in the folder")));
        }
        files.insert(name.clone(), SafetensorsFile::open(&path)?);
    }
    for (tensor, shard) in &map {
        let there = files.get(shard).is_some_and(|f| f.contains(tensor));
        if !there {
            return Err(Error::file(index, format!("says that tensor {tensor} is in {shard}, but it is not")));
        }
    }
    Ok(files.into_values().collect())
}

/// `weight_map` of an index: tensor -> file name inside the folder.
fn weight_map(index: &Path, json: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let value: Value = serde_json::from_slice(json).map_err(|e| Error::file(index, format!("not JSON: {e}")))?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| Error::file(index, "has no `weight_map` object"))?;
    let mut out = BTreeMap::new();
    for (tensor, shard) in map {
        let plain = |s: &&str| {
            let mut parts = Path::new(s).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        };
        let shard = shard.as_str().filter(plain).ok_or_else(|| {
            Error::file(index, format!("tensor {tensor} must be in a file of the same folder, got {shard}"))
        })?;
        out.insert(tensor.clone(), shard.to_string());
    }
    if out.is_empty() {
        return Err(Error::file(index, "its `weight_map` is empty"));
    }
    Ok(out)
}
