//! Packs a folder of vectors into this crate's archive: `cargo run -p dropless-vectors --example pack -- DIR`.
//!
//! Takes `manifest.json` and the files it names; anything else in the folder stays out.

use dropless_vectors::{Files, pack};
use serde_json::Value;
use std::collections::btree_map::Entry;
use std::io::{Error, Result};
use std::path::Path;

fn main() -> Result<()> {
    let dir = std::env::args_os().nth(1).ok_or_else(|| Error::other("usage: pack DIR"))?;
    let dir = Path::new(&dir);
    let manifest = std::fs::read(dir.join("manifest.json"))?;
    let mut names = Vec::new();
    collect_names(&serde_json::from_slice(&manifest)?, &mut names);
    let mut files = Files::from([("manifest.json".to_string(), manifest)]);
    for name in names {
        if let Entry::Vacant(new) = files.entry(name) {
            let bytes = std::fs::read(dir.join(new.key()))?;
            new.insert(bytes);
        }
    }
    let packed = pack(&files)?;
    let out = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.bin");
    std::fs::write(out, &packed)?;
    println!("{} files, {} bytes: {out}", files.len(), packed.len());
    Ok(())
}

/// Files that references name, and the configurations beside checkpoints.
fn collect_names(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(file) = map.get("file").and_then(Value::as_str) {
                names.push(file.to_string());
            }
            if let (Some(dir), Some(config)) =
                (map.get("dir").and_then(Value::as_str), map.get("config").and_then(Value::as_str))
            {
                names.push(format!("{dir}/{config}"));
            }
            map.values().for_each(|v| collect_names(v, names));
        }
        Value::Array(list) => list.iter().for_each(|v| collect_names(v, names)),
        _ => {}
    }
}
