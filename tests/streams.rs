//! CUDA as an engine links it: its own streams, its own context beside the primary one, several threads. Without a device these
//! tests say so and pass, unless DROPLESS_REQUIRE names cuda.
#![cfg(all(feature = "cuda", feature = "testing"))]

use cudarc::driver::{CudaContext, sys};
use dropless::cuda::Stream;
use dropless::op::moe::DispatchSpec;
use dropless::op::{FlashAttnSpec, GroupedGemmSpec};
use dropless::testing::conform::{self, Conform};
use dropless::testing::harness::{self, Options, Outputs, Prepared};
use dropless::testing::random::Random;
use dropless::testing::{Filter, Status, present};
use dropless::{Backend, Cuda, Error, Provide};

/// Calls in each stream, so that those of the other are under way meanwhile.
const ROUNDS: usize = 20;

fn device() -> Option<Cuda> {
    present(Cuda::new(0)).unwrap()
}

/// Every case of an op, in memory of its own, with its result when nothing else runs.
fn prepared<O: Conform>(cuda: &Cuda) -> Vec<(String, Prepared<O, Cuda>, Outputs)>
where
    Cuda: Provide<O>,
{
    let mut all = Vec::new();
    for case in O::cases() {
        let inputs = case.op.fill(case.data, &mut Random::named(&case.name)).unwrap();
        match Prepared::new(cuda, &case.op, &inputs, Options::default()) {
            Ok(prepared) => {
                let alone = harness::run(cuda, &case.op, &inputs, Options::default()).unwrap();
                all.push((case.name, prepared, alone));
            }
            Err(Error::Unsupported { .. }) => {}
            Err(e) => panic!("{}: {e}", case.name),
        }
    }
    all
}

/// All cases of an op, again and again, in one stream.
fn run_in_a_stream<O: Conform>(cuda: &Cuda, context: &std::sync::Arc<CudaContext>)
where
    Cuda: Provide<O>,
{
    let all = prepared::<O>(cuda);
    assert!(!all.is_empty());
    let stream = context.new_stream().unwrap();
    // SAFETY: the stream belongs to the primary context, which is that of `cuda`, and outlives the queue.
    let mut queue = unsafe { Stream::from_raw(stream.cu_stream().cast()) };
    for _ in 0..ROUNDS {
        for (name, call, _) in &all {
            call.enqueue(cuda, &mut queue).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    stream.synchronize().unwrap();
    for (name, call, alone) in &all {
        assert_eq!(call.outputs(cuda).unwrap().differs(alone), None, "{} {name}", O::NAME);
    }
}

/// Plans, modules and the context are shared; streams and threads are not.
#[test]
fn three_streams_in_three_threads() {
    let Some(cuda) = device() else { return };
    let context = CudaContext::new(0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| run_in_a_stream::<GroupedGemmSpec>(&cuda, &context));
        scope.spawn(|| run_in_a_stream::<FlashAttnSpec>(&cuda, &context));
        scope.spawn(|| run_in_a_stream::<DispatchSpec>(&cuda, &context));
    });
}

/// An engine's context: made and destroyed here, borrowed in between.
struct Own {
    raw: sys::CUcontext,
}

impl Own {
    fn new() -> Own {
        let (mut device, mut raw) = (0, std::ptr::null_mut());
        // SAFETY: `Cuda::new` has started the driver; each call writes one value. The new context is popped again, so that
        // this thread has none.
        unsafe {
            sys::cuDeviceGet(&mut device, 0).result().unwrap();
            sys::cuCtxCreate_v2(&mut raw, 0, device).result().unwrap();
            sys::cuCtxPopCurrent_v2(&mut std::ptr::null_mut()).result().unwrap();
        }
        Own { raw }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // SAFETY: made in `new`; nothing of it is in use any more.
        let destroyed = unsafe { sys::cuCtxDestroy_v2(self.raw) };
        assert_eq!(destroyed, sys::CUresult::CUDA_SUCCESS, "the context was not ours to destroy");
    }
}

fn current() -> sys::CUcontext {
    let mut context = std::ptr::null_mut();
    // SAFETY: writes one pointer.
    unsafe { sys::cuCtxGetCurrent(&mut context) }.result().unwrap();
    context
}

fn passes(cuda: &Cuda, ops: &[&str]) {
    let filter = Filter { ops: ops.iter().map(|o| o.to_string()).collect(), ..Filter::default() };
    let report = conform::run(cuda, &filter, |_| {});
    let failed: Vec<_> = report.with(Status::Failed).collect();
    assert!(failed.is_empty() && report.count(Status::Passed) > 0, "{report}: {failed:?}");
}

#[test]
fn two_contexts_in_one_process() {
    let Some(primary) = device() else { return };
    let own = Own::new();
    // SAFETY: a live context of device 0; dropped after everything that uses it.
    let borrowed = unsafe { Cuda::from_raw(own.raw.cast(), 0) }.unwrap();
    assert_eq!(borrowed.device(), primary.device());
    std::thread::scope(|scope| {
        scope.spawn(|| passes(&primary, &["grouped_gemm", "moe_dispatch"]));
        scope.spawn(|| passes(&borrowed, &["moe_dispatch", "rope", "rms_norm", "grouped_gemm"]));
    });
    drop(borrowed);
    passes(&primary, &["rms_norm"]);
}

/// An engine keeps its context current; a call on another leaves it so.
#[test]
fn the_current_context_stays_what_it_was() {
    let Some(primary) = device() else { return };
    let own = Own::new();
    // SAFETY: a live context.
    unsafe { sys::cuCtxPushCurrent_v2(own.raw) }.result().unwrap();
    passes(&primary, &["swiglu"]);
    assert_eq!(current(), own.raw);
    // SAFETY: pops what was pushed above.
    unsafe { sys::cuCtxPopCurrent_v2(&mut std::ptr::null_mut()) }.result().unwrap();
    passes(&primary, &["swiglu"]);
    assert!(current().is_null());
}
