//! Checkpoint files: cut short, lying, incomplete, of other shapes and types, with NaN scales.

use crate::common::{config_json, filtered, join, open, refused, split, weights};
use dropless::gpt_oss::safetensors::SafetensorsFile;
use dropless::gpt_oss::{Checkpoint, Layout, Tokenizer};
use serde_json::{Value, json};
use std::path::Path;

const LAYOUTS: [Layout; 2] = [Layout::Hf, Layout::Original];

#[test]
fn cut_short_anywhere() {
    for layout in LAYOUTS {
        let whole = weights(layout);
        assert!(open(layout, whole.to_vec()).is_ok());
        let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize + 8;
        for len in [0, 1, 7, 8, 9, header / 2, header - 1, header, header + 1, whole.len() / 2, whole.len() - 1] {
            refused(open(layout, whole[..len].to_vec()), &["model.safetensors"]);
        }
        refused(open(layout, [whole, b"x"].concat()), &["model.safetensors"]);
    }
}

#[test]
fn headers_that_lie() {
    let whole = weights(Layout::Hf);
    let (header, data) = split(whole);
    let name = "model.layers.1.self_attn.q_proj.weight";
    let (end, size) = (data.len() as u64, 512 * 128 * 2);
    let lies: [(&str, Value); 9] = [
        ("data_offsets", json!([0, end + 2])),
        ("data_offsets", json!([end, end - 2])),
        ("data_offsets", json!([u64::MAX - 1, u64::MAX])),
        ("data_offsets", json!([-2, 0])),
        ("data_offsets", json!([0, size])),
        ("shape", json!([512, 127])),
        ("shape", json!([u64::MAX, 2])),
        ("shape", json!([-512, 128])),
        ("dtype", json!("BF17")),
    ];
    for (field, value) in lies {
        let mut lying = header.clone();
        lying[name][field] = value;
        refused(open(Layout::Hf, join(&lying, &data)), &["model.safetensors"]);
    }
    for length in [0, 1, whole.len() as u64, u64::MAX, u64::MAX - 7] {
        let mut lying = whole.to_vec();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        refused(open(Layout::Hf, lying), &["model.safetensors", "not a safetensors file"]);
    }
}

#[test]
fn shapes_and_types_are_the_configs() {
    let swap = |layout, name: &str, field: &str, value: Value| {
        let (mut header, data) = split(weights(layout));
        header[name][field] = value;
        open(layout, join(&header, &data))
    };
    let q = "model.layers.1.self_attn.q_proj.weight";
    refused(swap(Layout::Hf, q, "shape", json!([128, 512])), &[q, "bf16 [512, 128]", "got bf16 [128, 512]"]);
    refused(swap(Layout::Hf, q, "dtype", json!("F16")), &[q, "must be bf16", "got f16"]);
    refused(swap(Layout::Hf, q, "dtype", json!("I16")), &[q, "I16"]);
    let qkv = "block.0.attn.qkv.weight";
    refused(swap(Layout::Original, qkv, "shape", json!([128, 768])), &[qkv, "bf16 [768, 128]"]);
    let blocks = "model.layers.0.mlp.experts.gate_up_proj_blocks";
    refused(swap(Layout::Hf, blocks, "shape", json!([8, 192, 64])), &[blocks, "u8 [8, 192, 4, 16]"]);
}

#[test]
fn missing_and_foreign_tensors() {
    for (layout, name) in [(Layout::Hf, "model.norm.weight"), (Layout::Original, "block.3.mlp.mlp2_bias")] {
        refused(open(layout, filtered(weights(layout), |n| n != name)), &[name, "is missing", &layout.to_string()]);
    }
    refused(open(Layout::Original, weights(Layout::Hf).to_vec()), &["embedding.weight", "is missing", "original"]);
    let file = || SafetensorsFile::parse(Path::new("a.safetensors"), weights(Layout::Hf).to_vec().into()).unwrap();
    let twice = Checkpoint::from_files(crate::common::config(Layout::Hf), Layout::Hf, vec![file(), file()]);
    refused(twice, &["is also in a.safetensors"]);
}

#[test]
fn nan_scales_are_named() {
    for (layout, name) in [
        (Layout::Hf, "model.layers.2.mlp.experts.down_proj_scales"),
        (Layout::Original, "block.1.mlp.mlp1_weight.scales"),
    ] {
        let mut bytes = weights(layout).to_vec();
        let (header, data) = split(&bytes);
        let start = bytes.len() - data.len() + header[name]["data_offsets"][0].as_u64().unwrap() as usize;
        bytes[start + 77] = 255;
        refused(open(layout, bytes), &[name, "block scale 77 is 255", "NaN"]);
    }
}

#[test]
fn folders_that_are_no_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    refused(Checkpoint::open(&dir.join("nowhere")), &["config.json"]);
    std::fs::write(dir.join("config.json"), config_json(Layout::Hf).to_string()).unwrap();
    refused(Checkpoint::open(dir), &["neither model.safetensors.index.json nor model.safetensors"]);
    std::fs::write(dir.join("model.safetensors"), b"").unwrap();
    refused(Checkpoint::open(dir), &["model.safetensors", "it is empty"]);
    std::fs::write(dir.join("model.safetensors"), join(&json!({}), &[])).unwrap();
    refused(Checkpoint::open(dir), &["holds no gpt-oss checkpoint"]);
    refused(Tokenizer::open(dir, 512), &["tokenizer.json", "is not there", "512"]);
    let other = "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{},\"unk_token\":\"a\"},\"decoder\":{\"type\":\"Fuse\"}}";
    // The last one is no character: half of a surrogate pair.
    for text in ["", "{}", other, "{\"decoder\":{\"type\":\"\\ud800\"}}"] {
        std::fs::write(dir.join("tokenizer.json"), text).unwrap();
        refused(Tokenizer::open(dir, 512), &["tokenizer.json"]);
    }
}

#[test]
fn indices_that_lie() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    std::fs::write(dir.join("config.json"), config_json(Layout::Hf).to_string()).unwrap();
    let whole = weights(Layout::Hf);
    let first = |name: &str| name.contains("layers.0") || name.contains("layers.1");
    std::fs::write(dir.join("a.safetensors"), filtered(whole, first)).unwrap();
    std::fs::write(dir.join("b.safetensors"), filtered(whole, |n| !first(n))).unwrap();
    let (header, _) = split(whole);
    let names = header.as_object().unwrap().keys().filter(|n| *n != "__metadata__");
    let shard = |n: &String| json!(if first(n) { "a.safetensors" } else { "b.safetensors" });
    let good = json!({ "weight_map": names.map(|n| (n.clone(), shard(n))).collect::<serde_json::Map<_, _>>() });
    let with = |index: &Value| {
        std::fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
        Checkpoint::open(dir)
    };
    assert!(with(&good).is_ok());

    let norm = "model.norm.weight";
    let changed = |name: &str, to: Value| {
        let mut index = good.clone();
        index["weight_map"][name] = to;
        index
    };
    refused(with(&changed(norm, json!("c.safetensors"))), &["c.safetensors", "not in the folder"]);
    refused(with(&changed(norm, json!("a.safetensors"))), &[norm, "is in a.safetensors, but it is not"]);
    refused(with(&changed("ghost", json!("a.safetensors"))), &["ghost", "but it is not"]);
    for outside in ["../b.safetensors", "/etc/passwd", "", "x/b.safetensors"] {
        refused(with(&changed(norm, json!(outside))), &[norm, "a file of the same folder"]);
    }
    refused(with(&changed(norm, json!(7))), &[norm, "a file of the same folder"]);
    refused(with(&json!({})), &["no `weight_map`"]);
    refused(with(&json!({ "weight_map": {} })), &["is empty"]);
    refused(with(&json!([])), &["no `weight_map`"]);
    std::fs::write(dir.join("model.safetensors.index.json"), "{").unwrap();
    refused(Checkpoint::open(dir), &["index.json", "not JSON"]);

    // A tensor that the index does not list must not be in two shards either.
    std::fs::write(dir.join("a.safetensors"), filtered(whole, |n| first(n) || n == norm)).unwrap();
    refused(with(&good), &[norm, "is also in"]);
    // A shard left out of the index altogether.
    std::fs::write(dir.join("a.safetensors"), filtered(whole, first)).unwrap();
    let mut partial = good.clone();
    partial["weight_map"].as_object_mut().unwrap().retain(|_, shard| shard == "a.safetensors");
    refused(with(&partial), &["is missing"]);
}
