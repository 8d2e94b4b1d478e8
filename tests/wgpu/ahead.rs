//! A model that runs ahead of what it is told: what it chooses is what it would choose without.

use super::device;
use dropless::gpt_oss::{Config, Feed, Layout, Model, Options, RandomWeights};
use dropless::{DType, Wgpu};
use std::sync::Arc;

/// Feeds `tokens` one by one, and from then on what was chosen, until `count` are known.
fn choices(model: &mut Model<Wgpu>, tokens: &[u32], count: usize) -> Vec<u32> {
    let mut session = model.session().unwrap();
    let (mut all, mut next) = (Vec::new(), 0);
    for n in 0..count {
        let token = tokens.get(n).copied().unwrap_or(next);
        next = model.next_tokens(&mut [Feed { session: &mut session, tokens: &[token] }]).unwrap()[0];
        all.push(next);
    }
    all
}

/// The same by the logits of whole prompts, which nothing runs ahead of.
fn chosen_without(model: &mut Model<Wgpu>, tokens: &[u32], count: usize) -> Vec<u32> {
    let (mut fed, mut all) = (tokens.to_vec(), Vec::new());
    for n in 1..=count {
        let mut session = model.session().unwrap();
        if fed.len() < n {
            fed.push(all[n - 2]);
        }
        // Two tokens at least: one alone would be a decode step.
        let id = match n {
            1 => choices(model, &fed[..1], 1)[0],
            _ => model.next_tokens(&mut [Feed { session: &mut session, tokens: &fed[..n] }]).unwrap()[0],
        };
        all.push(id);
    }
    all
}

#[test]
fn running_ahead_changes_nothing() {
    let Some(wgpu) = device() else { return };
    let weights = RandomWeights::new(Config::preset("tiny").unwrap(), Layout::Hf, 3).unwrap();
    let options = Options {
        activations: DType::F32,
        kv: None,
        max_context: 12,
        max_chunk: 16,
        max_sequences: 2,
        published_experts: false,
    };
    let mut model = Model::random(Arc::new(wgpu), &weights, &options, &mut |_| {}).unwrap();
    // The second sequence leaves what was chosen for another token, as the third does right away; each takes the seat of the
    // one before, whose next step is on the device still. The last one comes to the end of the context.
    let fed_back = choices(&mut model, &[5], 6);
    let other = (fed_back[3] + 1) % 100;
    let leaving = [&[5], &fed_back[..3], &[other]].concat();
    for (tokens, count) in [(vec![5], 6), (leaving, 8), (vec![5, other], 6), (vec![7], 12)] {
        assert_eq!(choices(&mut model, &tokens, count), chosen_without(&mut model, &tokens, count), "{tokens:?}");
    }
}
