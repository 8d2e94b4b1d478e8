//! A small engine that links dropless: it owns a CUDA context, a stream and all memory through its own binding, and captures one
//! graph of a kernel of its own, our attention and our MoE block. Each replay is compared with the reference on the CPU.
//!
//! `cargo run --example link_cuda --features cuda`

mod layer;
mod reference;

use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;
use dropless::Cuda;
use dropless::cuda::Stream;
use layer::{Layer, Place, Places, TOKENS, tensors};
use reference::{Reference, describe};
use std::collections::HashMap;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error>;

/// The engine's own kernel: every sequence has one more key. No launch of ours knows; our kernels read it on the device.
const ADVANCE: &str = "
.version 8.0
.target sm_75
.address_size 64
.visible .entry advance(.param .u64 lengths)
{
    .reg .u64 %at;
    .reg .u32 %sequence, %length;
    ld.param.u64 %at, [lengths];
    mov.u32 %sequence, %tid.x;
    mad.wide.u32 %at, %sequence, 4, %at;
    ld.global.u32 %length, [%at];
    add.u32 %length, %length, 1;
    st.global.u32 [%at], %length;
    ret;
}";

/// One step of the engine: a launch of its own kernel, then dropless's, all in its own stream.
fn step(
    stream: &Arc<CudaStream>,
    advance: &CudaFunction,
    layer: &Layer<Cuda>,
    cuda: &Cuda,
    at: &Places<Cuda>,
) -> Result<(), Failure> {
    let one_block = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (TOKENS as u32, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the kernel takes one address, of as many i32 as it has threads.
    unsafe { stream.launch_builder(advance).arg(&at["k_len"].mem).launch(one_block) }?;
    // SAFETY: a stream of the context that `cuda` borrows; it outlives the queue.
    let mut queue = unsafe { Stream::from_raw(stream.cu_stream().cast()) };
    Ok(layer.enqueue(cuda, at, &mut queue)?)
}

fn main() -> Result<(), Failure> {
    // cudarc panics where the library is missing: ask before anything else.
    // SAFETY: looks for the library and closes it again.
    if !unsafe { sys::is_culib_present() } {
        println!("nothing to run on: the NVIDIA driver library is not installed");
        return Ok(());
    }
    let context = match CudaContext::new_non_primary(0, 0) {
        Ok(context) => context,
        Err(e) => {
            println!("nothing to run on: the driver gives no context of device 0: {e}");
            return Ok(());
        }
    };
    // SAFETY: everything runs in one stream, so no event has to order streams; during a capture they would be in the way.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream()?;
    let advance = context.load_module(Ptx::from_src(ADVANCE))?.load_function("advance")?;

    // SAFETY: a live context of device 0. It is borrowed: `cuda` and its plans go before it does, and never destroy it.
    let cuda = unsafe { Cuda::from_raw(context.cu_ctx().cast(), 0) }?;
    let layer = Layer::plan(&cuda)?;
    let host = tensors(layer.scratch_bytes())?;
    let (mut memory, mut at) = (HashMap::new(), Places::new());
    for (name, tensor) in &host {
        let slice: CudaSlice<u8> = stream.clone_htod(tensor.bytes.as_slice())?;
        let mem = slice.device_ptr(&stream).0;
        at.insert(name, Place { mem, dtype: tensor.dtype, shape: tensor.shape.clone() });
        memory.insert(*name, slice);
    }
    stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
    let captured = step(&stream, &advance, &layer, &cuda, &at);
    // A capture must end, also where recording failed.
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags_enum(0));
    captured?;
    let graph = graph?.ok_or("nothing was captured")?;

    let mut reference = Reference::new(&host)?;
    for replay in 1..=3 {
        graph.launch()?;
        let out: Vec<u8> = stream.clone_dtoh(&memory["out"])?;
        let status: Vec<u8> = stream.clone_dtoh(&memory["status"])?;
        stream.synchronize()?;
        reference.check(replay, out)?;
        if status != [0; 4] {
            return Err(format!("the status word is {status:?}").into());
        }
    }
    println!("{}", describe(&cuda, &layer));
    Ok(())
}
