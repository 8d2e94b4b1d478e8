//! A model computes the same whatever layout its experts were stored in.

use dropless::gpt_oss::convert::MAX_SHARD;
use dropless::gpt_oss::{Checkpoint, Config, Forward, Layout, Model, Options, convert, synth};
use dropless::{AllOps, DType, Replay};
use std::path::Path;
use std::sync::Arc;

/// Logits of a prompt by a checkpoint.
fn logits<B: Replay + AllOps>(backend: B, from: &Path, published_experts: bool) -> Vec<f64> {
    let options = Options { activations: DType::Bf16, max_context: 64, published_experts, ..Options::default() };
    let checkpoint = Checkpoint::open(from).unwrap();
    let mut model = Model::load(Arc::new(backend), &checkpoint, &options, &mut |_| {}).unwrap();
    let (mut session, tokens) = (model.session().unwrap(), (0..40).map(|i| 37 * i % 200).collect::<Vec<_>>());
    model.forward(&mut session, &tokens, Forward::LAST).unwrap().to_f64()
}

/// Published experts become tiles on the device while they are loaded, bit for bit: what comes out is what a checkpoint gives that
/// the host has prepacked. Left as they are, they go through other kernels, and bf16 activations come out a little different.
pub fn compute_the_same<B: Replay + AllOps>(backend: impl Fn() -> B) {
    let dir = tempfile::tempdir().unwrap();
    let at = |layout: Layout| dir.path().join(layout.to_string());
    synth(&Config::preset("tiny").unwrap(), &at(Layout::Hf), 5, &mut |_| {}).unwrap();
    for layout in [Layout::Original, Layout::Prepacked] {
        convert(&at(Layout::Hf), layout, &at(layout), MAX_SHARD, &mut |_| {}).unwrap();
    }
    let prepacked = logits(backend(), &at(Layout::Prepacked), false);
    let largest = prepacked.iter().fold(0.0, |most: f64, l| most.max(l.abs()));
    for layout in [Layout::Hf, Layout::Original] {
        assert!(logits(backend(), &at(layout), false) == prepacked, "{layout}");
        let kept = logits(backend(), &at(layout), true);
        let off = kept.iter().zip(&prepacked).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d <= m { m } else { d });
        assert!(off <= 0.05 * largest, "{layout}: off by {off} of {largest}");
    }
}
