//! The bundled tiny checkpoints, opened.

use dropless::gpt_oss::safetensors::SafetensorsFile;
use dropless::gpt_oss::{Checkpoint, Config, Layout, Model, Options};
use dropless::{Cpu, DType};
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub static VECTORS: LazyLock<dropless_vectors::Files> = LazyLock::new(|| dropless_vectors::files().unwrap());

pub fn file(name: &str) -> SafetensorsFile {
    SafetensorsFile::parse(Path::new(name), VECTORS[name].clone().into()).unwrap()
}

pub fn checkpoint(layout: Layout) -> Checkpoint {
    let config = format!("tiny-{layout}/config.json");
    let config = Config::parse(Path::new(&config), &VECTORS[&config]).unwrap();
    Checkpoint::from_files(config, layout, vec![file(&format!("tiny-{layout}/model.safetensors"))]).unwrap()
}

pub const F32: Options = Options {
    activations: DType::F32,
    kv: None,
    max_context: 1024,
    max_chunk: 256,
    max_sequences: 3,
    published_experts: false,
};
pub const F64: Options = Options { activations: DType::F64, ..F32 };

pub fn single(layout: Layout, options: &Options) -> Model<Cpu> {
    Model::load(Arc::new(Cpu::new()), &checkpoint(layout), options, &mut |_| {}).unwrap()
}

pub fn oracle(layout: Layout, options: &Options) -> Model<Cpu> {
    Model::load(Arc::new(Cpu::oracle()), &checkpoint(layout), options, &mut |_| {}).unwrap()
}

/// Token ids of a tensor of the expected results.
pub fn tokens(name: &str) -> Vec<u32> {
    let ids = file("tiny-expected/expected.safetensors").get(name).unwrap().unwrap();
    ids.to_f64().into_iter().map(|id| id as u32).collect()
}

/// Largest absolute difference; NaN where there is one anywhere.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, |m, d| if d <= m { m } else { d })
}
