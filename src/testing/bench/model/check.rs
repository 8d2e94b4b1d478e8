//! A model of two layers beside the reference.

use super::activations;
use crate::backend::Timing;
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::gpt_oss::{Config, Forward, Layout, Logits, Model, Options, RandomWeights};
use crate::host::HostTensor;
use crate::kernel::AllOps;
use std::sync::Arc;

/// Largest relative error: some roundings of bf16 in each of two layers. In a cache of f8e4m3 keys that differ by one of them may lie
/// on both sides of a step of 2^-4: the reference with bf16 activations beside the one with f32 is 0.015 off then, 0.004 without.
pub(super) fn allowed(kv: Option<DType>) -> f64 {
    if kv == Some(DType::F8E4m3) { 0.08 } else { 0.02 }
}

/// Tokens that are compared.
const TOKENS: [u32; 12] = [11, 7, 403, 29, 5, 83, 211, 2, 97, 350, 64, 18];
/// Rows of its embedding and head, at most.
const VOCAB: usize = 2048;

/// Relative error of the logits of a model of random weights and these dimensions, cut to two layers and a small
/// vocabulary, with the reference's choice of experts: near-ties would fall either way.
pub(super) fn against_reference<B: Timing + AllOps>(
    backend: &Arc<B>,
    config: &Config,
    kv: Option<DType>,
) -> Result<f64, Error> {
    let layers = config.layers.min(2);
    let config = Config {
        layers,
        vocab: config.vocab.min(VOCAB),
        layer_windows: config.layer_windows[..layers].to_vec(),
        eos: Vec::new(),
        ..config.clone()
    };
    let weights = RandomWeights::new(config.clone(), Layout::Hf, 0)?;
    let tokens: Vec<u32> = TOKENS.iter().map(|t| t % config.vocab as u32).collect();
    let options = |activations| Options {
        activations,
        kv,
        max_context: 64,
        max_chunk: 64,
        max_sequences: 1,
        published_experts: false,
    };

    let reference = Arc::new(Cpu::new());
    let mut routing = Vec::new();
    let mut record = |name: &str, tensor: HostTensor| {
        if name.ends_with("topk_idx") {
            routing.extend(tensor.to_i32().unwrap_or_default());
        }
    };
    let mut model = Model::random(reference.clone(), &weights, &options(activations(&*reference)), &mut |_| {})?;
    let mut session = model.session()?;
    let want = Forward { logits: Logits::All, routing: None, record: Some(&mut record) };
    let want = model.forward(&mut session, &tokens, want)?.to_f64();

    let mut model = Model::random(backend.clone(), &weights, &options(activations(&**backend)), &mut |_| {})?;
    let mut session = model.session()?;
    let got = Forward { logits: Logits::All, routing: Some(&routing), record: None };
    let got = model.forward(&mut session, &tokens, got)?.to_f64();
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let off = square(&mut got.iter().zip(&want).map(|(a, b)| a - b));
    Ok((off / square(&mut want.iter().copied())).sqrt())
}
