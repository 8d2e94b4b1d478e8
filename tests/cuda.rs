//! The CUDA backend on whatever device is here. Without one these tests say so and pass, unless DROPLESS_REQUIRE names cuda.
#![cfg(all(feature = "cuda", feature = "testing"))]

use dropless::cuda::CAPABILITIES;
mod common;
#[path = "common/layouts.rs"]
mod layouts;

use common::assert_all_passed;
use dropless::gpt_oss::{Config, Feed, Forward, Layout, Model, Options, RandomWeights};
use dropless::op::cases::{Cases, Data};
use dropless::op::{FlashAttnSpec, KvStore};
use dropless::testing::conform::Conform;
use dropless::testing::harness::{self, Outputs};
use dropless::testing::random::Random;
use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Status, conform, present};
use dropless::{AllOps, Backend, Cpu, Cuda, DType, Error, Hint, HostTensor, Replay, Scalar};
use std::sync::Arc;

fn device() -> Option<Cuda> {
    present(Cuda::new(0)).unwrap()
}

#[test]
fn a_device_that_is_not_there_is_refused_in_words() {
    match Cuda::new(99) {
        Err(Error::Unavailable { backend: "cuda", reason }) => assert!(reason.contains(' '), "{reason}"),
        other => panic!("{:?}", other.map(|_| "a device")),
    }
}

#[test]
fn every_case_of_every_op() {
    let Some(cuda) = device() else { return };
    assert_all_passed(&conform::run(&cuda, &Filter::default(), |_| {}));
}

/// What earlier devices would run, chosen as there. A capability that this device does not reach is refused in words.
#[test]
fn every_case_as_an_earlier_device() {
    if device().is_none() {
        return;
    }
    for capability in CAPABILITIES {
        match Cuda::new_as(0, capability) {
            Ok(cuda) => {
                eprintln!("{}", cuda.device().name);
                assert_all_passed(&conform::run(&cuda, &Filter::default(), |_| {}));
            }
            Err(Error::Input { problem, .. }) => assert!(problem.contains("later than"), "{problem}"),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Each variant on every case that it may run, whether the chooser would take it or not. What it may not run is refused and
/// never run by another.
#[test]
fn every_variant_when_forced() {
    let Some(cuda) = device() else { return };
    for (op, variant) in dropless::cuda::variants() {
        let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), ..Filter::default() };
        let report = conform::run(&cuda, &filter, |_| {});
        let failed: Vec<String> = report.with(Status::Failed).map(|r| format!("{}: {}", r.case, r.message)).collect();
        assert!(failed.is_empty(), "{op} {variant}: {failed:#?}");
        // Made for another generation, or a later one: every case is refused for that.
        let other = report.rows.iter().all(|r| r.status == Status::Skipped && r.message.contains("this is sm_"));
        assert!(report.count(Status::Passed) > 0 || other, "{op} {variant}: {report}");
        eprintln!("{op} {variant}: {report}{}", if other { ", not for this device" } else { "" });
    }
}

#[test]
fn golden_vectors() {
    let Some(cuda) = device() else { return };
    assert_all_passed(&Vectors::bundled().unwrap().run(&Arc::new(cuda), Class::Bf16, &Filter::default(), |_| {}));
}

/// The variants without tensor cores are exact enough for class f32.
#[test]
fn golden_vectors_in_f32() {
    let Some(cuda) = device() else { return };
    let ops = ["grouped_gemm", "flash_attn"].map(String::from).to_vec();
    let filter = Filter { ops, variant: Some("simt".into()), ..Filter::default() };
    assert_all_passed(&Vectors::bundled().unwrap().run(&Arc::new(cuda), Class::F32, &filter, |_| {}));
}

#[test]
fn layouts_of_a_checkpoint_compute_the_same() {
    if device().is_some() {
        layouts::compute_the_same(|| Cuda::new(0).unwrap());
    }
}

/// Logits of three sequences: prompts of different lengths in one call, then steps in other orders and with one of them
/// missing; at the end what each would say next.
fn batches<B: Replay + AllOps>(backend: B) -> (Vec<f64>, Vec<u32>) {
    let weights = RandomWeights::new(Config::preset("tiny").unwrap(), Layout::Hf, 7).unwrap();
    let options = Options {
        activations: DType::F32,
        kv: None,
        max_context: 128,
        max_chunk: 32,
        max_sequences: 3,
        published_experts: false,
    };
    let mut model = Model::random(Arc::new(backend), &weights, &options, &mut |_| {}).unwrap();
    let mut sessions = [(); 3].map(|()| model.session().unwrap());
    let prompts: [Vec<u32>; 3] = [50, 3, 17].map(|n| (0..n).map(|i| (37 * i + n) % 512).collect());
    let mut batch: Vec<Feed> =
        sessions.iter_mut().zip(&prompts).map(|(session, tokens)| Feed { session, tokens }).collect();
    let mut logits = model.forward_batch(&mut batch, Forward::LAST).unwrap().to_f64();
    for (step, order) in [[0, 1, 2].as_slice(), &[2, 0, 1], &[1, 2], &[2, 1, 0]].into_iter().enumerate() {
        let tokens: Vec<[u32; 1]> = order.iter().map(|i| [(100 * step + i) as u32]).collect();
        let mut free = sessions.each_mut().map(Some);
        let mut batch: Vec<Feed> =
            order.iter().zip(&tokens).map(|(i, tokens)| Feed { session: free[*i].take().unwrap(), tokens }).collect();
        logits.extend(model.forward_batch(&mut batch, Forward::LAST).unwrap().to_f64());
    }
    let mut batch: Vec<Feed> = sessions.iter_mut().map(|session| Feed { session, tokens: &[9] }).collect();
    (logits, model.next_tokens(&mut batch).unwrap())
}

#[test]
fn batches_of_the_model() {
    let Some(cuda) = device() else { return };
    let ((got, next), (want, want_next)) = (batches(cuda), batches(Cpu::new()));
    let scale = want.iter().fold(0.0, |most: f64, l| most.max(l.abs()));
    let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d <= m { m } else { d });
    assert!(got.len() == want.len() && off <= 1e-4 * scale, "off by {off} of {scale}");
    assert_eq!(next, want_next);
}

/// A sequence's attention is the same bits beside any neighbours, and with `splits` in a batch of any size.
#[test]
fn attention_is_batch_invariant() {
    let Some(cuda) = device() else { return };
    assert_eq!(conform::batch_invariant(&cuda).unwrap(), Vec::<String>::new());
}

/// More and more keys, by every variant that takes them: decode, and a hundred queries; heads of 64 and 128 elements, with sinks
/// from -infinity to 20. Per head, over its queries, no further from f64 than twice what plain bf16 is (f32 sums; probabilities
/// and results rounded; one query of a hundred may have luck in how its probabilities round).
#[test]
fn attention_over_many_keys_errs_no_more_than_twice_plain_bf16() {
    let Some(cuda) = device() else { return };
    for kv in [DType::Bf16, DType::F8E4m3] {
        for keys in [128, 1024, 8192, 32768, 131_072] {
            many_keys(&cuda, kv, 64, 1, keys);
        }
    }
    for (head_dim, queries, keys) in
        [(128, 1, 1024), (128, 1, 32768), (64, 100, 128), (64, 100, 8192), (128, 100, 128), (128, 100, 8192)]
    {
        many_keys(&cuda, DType::Bf16, head_dim, queries, keys);
    }
}

fn many_keys(cuda: &Cuda, kv: DType, head_dim: usize, queries: usize, keys: usize) {
    let q_heads = 16;
    let sinks: Vec<f64> =
        (0..q_heads).map(|h| if h == 0 { f64::NEG_INFINITY } else { 3.0 * h as f64 - 25.0 }).collect();
    let base = FlashAttnSpec::cases().into_iter().find(|c| c.name == "keys_128").unwrap().op;
    let op = FlashAttnSpec {
        kv,
        store: KvStore::Packed { tokens: keys },
        q_tokens: queries,
        max_q_len: queries,
        max_k_len: keys,
        q_heads,
        kv_heads: q_heads / 8,
        head_dim,
        sm_scale: Scalar((head_dim as f64).sqrt().recip()),
        out: DType::Bf16,
        ..base
    };
    let mut inputs = op.fill(Data::Usual, &mut Random::named(&format!("{keys} keys"))).unwrap();
    let given = inputs.iter_mut().find(|(name, _)| *name == "sinks").unwrap();
    given.1 = HostTensor::from_f64(DType::Bf16, &[q_heads], &sinks).unwrap();
    let out = |outputs: Outputs| outputs.no_fault().unwrap().get("out").unwrap().to_f64();
    let want = out(harness::run(&Cpu::oracle(), &op.oracle(), &inputs, harness::Options::default()).unwrap());
    let errors = |got: &[f64]| -> Vec<f64> {
        let mut squares = vec![0.0; q_heads];
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            squares[i / head_dim % q_heads] += (got - want).powi(2);
        }
        squares.into_iter().map(f64::sqrt).collect()
    };
    let plain = errors(&out(harness::run(&Cpu::twin(), &op, &inputs, harness::Options::default()).unwrap()));
    let what = format!("{kv} {head_dim} {queries} x {keys} keys");
    let mut ran = 0;
    for (_, variant) in dropless::cuda::variants().into_iter().filter(|(of, _)| *of == "flash_attn") {
        let hint = Hint { variant: Some(variant), ..Hint::default() };
        let got = match harness::run(cuda, &op, &inputs, harness::Options { hint, ..Default::default() }) {
            Err(Error::Unsupported { .. }) => continue,
            got => errors(&out(got.unwrap())),
        };
        let worst = got.iter().zip(&plain).map(|(got, plain)| got / plain).fold(0.0, f64::max);
        eprintln!("{what}, {variant}: at most {worst:.2} of plain bf16's error");
        assert!(got.iter().zip(&plain).all(|(got, plain)| *got <= 2.0 * plain), "{what}, {variant}: {worst}");
        ran += 1;
    }
    assert!(ran > 1, "{what}: {ran} variants");
}
