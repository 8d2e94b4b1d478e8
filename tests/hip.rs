//! The HIP backend, on an AMD GPU or on the stand-in that interprets its kernels (`tools/with-hip.sh cargo test --test hip`). Without
//! either these tests say so and pass, unless DROPLESS_REQUIRE names hip. Golden vectors and models: `dropless verify`.
#![cfg(all(feature = "hip", feature = "testing"))]

#[path = "../examples/link_hip/runtime.rs"]
#[allow(dead_code, reason = "the example uses all of it")]
mod runtime;

use dropless::hip::{Hip, Stream, variants};
use dropless::op::cases::Data;
use dropless::op::moe::DispatchSpec;
use dropless::op::{FlashAttnSpec, KvIndex, KvStore, Lse, Mask, RmsNormSpec};
use dropless::testing::conform::{self, Conform, Same, judge_on, same};
use dropless::testing::harness::{self, Options, Prepared};
use dropless::testing::random::Random;
use dropless::testing::{Filter, Status, present};
use dropless::{Backend, DType, Error, HostTensor, Provide, Scalar};
use runtime::{Own, Runtime};
use std::path::Path;

fn device() -> Option<Hip> {
    present(Hip::new(0)).unwrap()
}

fn only(ops: &[&str]) -> Filter {
    Filter { ops: ops.iter().map(|op| op.to_string()).collect(), ..Filter::default() }
}

fn passes(hip: &Hip, ops: &[&str]) {
    let report = conform::run(hip, &only(ops), |_| {});
    let failed: Vec<_> = report.with(Status::Failed).collect();
    assert!(failed.is_empty() && report.count(Status::Passed) > 0, "{report}: {failed:?}");
}

/// No library, or one without a device to run on: what HIP says with 100 or 101.
#[test]
fn absence_is_said_in_words() {
    let listed = dropless::hip::devices();
    match Hip::new(0) {
        Ok(hip) => assert!(listed.is_ok_and(|all| all[0].name == hip.device().name)),
        Err(Error::Unavailable { backend: "hip", reason }) => {
            let known = reason.contains("is not installed") || reason.contains("there is no AMD GPU");
            assert!(known && !Path::new("/dev/kfd").exists(), "{reason}");
            assert_eq!(listed, Err(reason));
        }
        Err(other) => panic!("{other}"),
    }
    match Hip::new(99) {
        Err(Error::Unavailable { backend: "hip", reason }) => assert!(reason.contains(' '), "{reason}"),
        other => panic!("{:?}", other.map(|_| "a device")),
    }
}

/// Each variant on every case that it may run, whether the chooser would take it or not.
#[test]
fn every_variant_when_forced() {
    let Some(hip) = device() else { return };
    for (op, variant) in variants() {
        let filter = Filter { variant: Some(variant.into()), ..only(&[op]) };
        let report = conform::run(&hip, &filter, |_| {});
        let failed: Vec<String> = report.with(Status::Failed).map(|r| format!("{}: {}", r.case, r.message)).collect();
        assert!(failed.is_empty(), "{op} {variant}: {failed:#?}");
        // Made for other targets: every case is refused for that.
        let other = report.rows.iter().all(|r| r.status == Status::Skipped && r.message.contains("this is gfx"));
        assert!(report.count(Status::Passed) > 0 || other, "{op} {variant}: {report}");
        eprintln!("{op} {variant}: {report}");
    }
}

/// gfx90a's matrix units take subnormal operands of 16 bits, and subnormal sums, for zeros: where they would, attention multiplies in f32.
#[test]
fn attention_keeps_small_operands() {
    let Some(hip) = device() else { return };
    // Operands times these powers of two; what scores lose by it `sm_scale` makes good.
    let cases: [(DType, &[(&str, i32)]); 5] = [
        (DType::F16, &[("q", -16)]),
        (DType::F16, &[("k", -16)]),
        (DType::F16, &[("v", -16)]),
        (DType::Bf16, &[("q", -60), ("k", -66)]),
        (DType::Bf16, &[("v", -124)]),
    ];
    for (dtype, small) in cases {
        let exponent: i32 = small.iter().filter(|(name, _)| *name != "v").map(|(_, e)| e).sum();
        let op = FlashAttnSpec {
            sequences: 1,
            q_tokens: 70,
            max_q_len: 70,
            max_k_len: 200,
            q_heads: 2,
            kv_heads: 1,
            head_dim: 64,
            q: dtype,
            kv: dtype,
            kv_scales: false,
            out: DType::F32,
            sm_scale: Scalar(0.125 * 2f64.powi(-exponent)),
            mask: Mask::Causal,
            sinks: Some(DType::Bf16),
            lse: Lse::WithSink,
            store: KvStore::Packed { tokens: 200 },
            index: KvIndex::CuSeqlens,
            splits: None,
        };
        let mut inputs = op.fill(Data::Usual, &mut Random::new(1)).unwrap();
        for (name, e) in small {
            let (_, tensor) = inputs.iter_mut().find(|(n, _)| n == name).unwrap();
            let values: Vec<f64> = tensor.to_f64().iter().map(|x| x * 2f64.powi(*e)).collect();
            *tensor = HostTensor::from_f64(dtype, &tensor.shape, &values).unwrap();
        }
        let judged = judge_on(&hip, &op, &inputs, None).unwrap();
        assert_eq!(judged.wrong, Vec::<String>::new(), "{dtype:?} {small:?}");
    }
}

/// A sequence's attention is the same bits beside any neighbours, and with `splits` in a batch of any size.
#[test]
fn attention_is_batch_invariant() {
    let Some(hip) = device() else { return };
    assert_eq!(conform::batch_invariant(&hip).unwrap(), Vec::<String>::new());
}

/// What only the device knows is read when a graph is launched, not when it is captured.
#[test]
fn captured_in_a_graph() {
    let Some(hip) = device() else { return };
    for op in ["rms_norm", "moe_dispatch", "moe_combine"] {
        let report = same(&hip, Same::Replayed, &only(&[op]), |_| {});
        assert!(report.ok() && report.count(Status::Passed) > 0, "{op}: {report}");
    }
}

/// What is refused while it is recorded leaves the device usable.
#[test]
fn an_error_while_capturing_is_the_result() {
    let Some(hip) = device() else { return };
    let refused = hip.capture(|_| Err(Error::input("a call", "refused")));
    assert!(refused.err().is_some_and(|e| e.to_string().contains("refused")));
    passes(&hip, &["swiglu"]);
}

/// Every case of an op, twice in a stream of its own, against its result when nothing else runs.
fn run_in_a_stream<O: Conform>(hip: &Hip, runtime: &Runtime)
where
    Hip: Provide<O>,
{
    let stream = Own::new(runtime).unwrap();
    let mut ran = 0;
    for case in O::cases() {
        let inputs = case.op.fill(case.data, &mut Random::named(&case.name)).unwrap();
        let call = match Prepared::new(hip, &case.op, &inputs, Options::default()) {
            Err(Error::Unsupported { .. }) => continue,
            prepared => prepared.unwrap(),
        };
        // SAFETY: a stream of device 0, which outlives the queue.
        let mut queue = unsafe { Stream::from_raw(stream.raw) };
        (0..2).for_each(|_| call.enqueue(hip, &mut queue).unwrap());
        stream.synchronize().unwrap();
        let alone = harness::run(hip, &case.op, &inputs, Options::default()).unwrap();
        assert_eq!(call.outputs(hip).unwrap().differs(&alone), None, "{} {}", O::NAME, case.name);
        ran += 1;
    }
    assert!(ran > 0);
}

/// Plans and modules are shared; streams and threads are not.
#[test]
fn three_streams_in_three_threads() {
    let Some(hip) = device() else { return };
    let runtime = Runtime::load().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| run_in_a_stream::<RmsNormSpec>(&hip, &runtime));
        scope.spawn(|| run_in_a_stream::<DispatchSpec>(&hip, &runtime));
        scope.spawn(|| run_in_a_stream::<RmsNormSpec>(&hip, &runtime));
    });
}

/// HIP has one context a device; two of ours share it, and one's end is not the other's.
#[test]
fn two_backends_of_one_device() {
    let (Some(first), Some(second)) = (device(), device()) else { return };
    std::thread::scope(|scope| {
        scope.spawn(|| passes(&first, &["moe_dispatch"]));
        scope.spawn(|| passes(&second, &["moe_dispatch", "rope"]));
    });
    drop(second);
    passes(&first, &["moe_sort"]);
}
