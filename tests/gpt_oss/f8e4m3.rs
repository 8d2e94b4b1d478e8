//! A KV cache of f8e4m3.

use crate::common::{F32, VECTORS, file, single, tokens};
use dropless::gpt_oss::safetensors::SafetensorsFile;
use dropless::gpt_oss::{Checkpoint, Config, Forward, Layout, Logits, Model, Options};
use dropless::{Cpu, DType, Error};
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;
use std::sync::Arc;

const NARROW: Options = Options { kv: Some(DType::F8E4m3), ..F32 };

/// Logits of a prompt in pieces and of single tokens behind it.
fn logits(model: &mut Model<Cpu>) -> Vec<f64> {
    let (ids, mut session) = (tokens("len40.tokens"), model.session().unwrap());
    let mut all = Vec::new();
    for piece in [&ids[..30], &ids[30..31], &ids[31..32], &ids[32..]] {
        let forward = Forward { logits: Logits::All, routing: None, record: None };
        all.extend(model.forward(&mut session, piece, forward).unwrap().to_f64());
    }
    all
}

/// The root of the mean square of the differences, over that of `want`.
fn relative(got: &[f64], want: &[f64]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    (square(&mut got.iter().zip(want).map(|(a, b)| a - b)) / square(&mut want.iter().copied())).sqrt()
}

/// A cache of bf16 rounds to 8 bits, this one to 4: errors grow in that proportion, 32 times, where no expert changes. And not less than
/// twice, or the cache is not what was asked for.
#[test]
fn as_near_as_four_bits_are() {
    let want = logits(&mut single(Layout::Hf, &F32));
    let bf16 = relative(&logits(&mut single(Layout::Hf, &Options { kv: Some(DType::Bf16), ..F32 })), &want);
    let mut model = single(Layout::Hf, &NARROW);
    let got = logits(&mut model);
    let off = relative(&got, &want);
    assert!((2.0 * bf16..32.0 * bf16).contains(&off), "off by {off}, bf16 by {bf16}");
    assert!(logits(&mut model) == got && logits(&mut single(Layout::Original, &NARROW)) == got, "not the same twice");
    // A checkpoint's scales: keys and values divided by some lie within the type's range still, by others beyond.
    for (scale, near) in [(0.01, true), (3.0, true), (0.001, false)] {
        let off = relative(&logits(&mut scaled(scale).unwrap()), &want);
        assert_eq!(off < 32.0 * bf16, near, "scale {scale}: off by {off}, bf16 by {bf16}");
    }
}

#[test]
fn scales_that_make_no_sense() {
    for wrong in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let words = scaled(wrong).err().unwrap().to_string();
        assert!(words.contains("layers.1.self_attn.k_proj.k_scale") && words.contains("positive"), "{words}");
    }
}

/// The tiny model with this scale for the keys of the second layer and values of each head of the third.
fn scaled(scale: f32) -> Result<Model<Cpu>, Error> {
    let (one, many) = (scale.to_le_bytes(), [scale, 2.0 * scale].map(f32::to_le_bytes).concat());
    let scales = [
        ("model.layers.1.self_attn.k_proj.k_scale", TensorView::new(Dtype::F32, vec![], &one).unwrap()),
        ("model.layers.2.self_attn.v_proj.v_scale", TensorView::new(Dtype::F32, vec![2], &many).unwrap()),
    ];
    let bytes = safetensors::serialize(scales, None).unwrap();
    let scales = SafetensorsFile::parse(Path::new("scales.safetensors"), bytes.into()).unwrap();
    let config = Config::parse(Path::new("config.json"), &VECTORS["tiny-hf/config.json"]).unwrap();
    let files = vec![file("tiny-hf/model.safetensors"), scales];
    let checkpoint = Checkpoint::from_files(config, Layout::Hf, files).unwrap();
    Model::load(Arc::new(Cpu::new()), &checkpoint, &NARROW, &mut |_| {})
}
