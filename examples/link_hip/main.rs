//! A small engine that links dropless on AMD: it owns a stream and all memory through its own binding of HIP, and captures our attention
//! and our MoE block into one graph. Between replays it writes new lengths into its memory: our kernels read them on the device. Each
//! replay is compared with the reference on the CPU.
//!
//! `cargo run --example link_hip --features hip`; without an AMD GPU `tools/with-hip.sh cargo run ...` runs it on the interpreter.

#[path = "../link_cuda/layer.rs"]
mod layer;
#[path = "../link_cuda/reference.rs"]
mod reference;
mod runtime;

use dropless::devices::required;
use dropless::hip::{Hip, Stream};
use layer::{LENGTHS, Layer, Place, Places, tensors};
use reference::{Reference, describe};
use runtime::{Captured, Memory, Own, Runtime};
use std::collections::HashMap;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let hip = match Hip::new(0) {
        Ok(hip) => hip,
        Err(e) if required("hip") => return Err(e.into()),
        Err(e) => {
            println!("nothing to run on: {e}");
            return Ok(());
        }
    };
    let runtime = Runtime::load()?;
    let stream = Own::new(&runtime)?;
    let layer = Layer::plan(&hip)?;
    let host = tensors(layer.scratch_bytes())?;
    let (mut memory, mut at) = (HashMap::new(), Places::new());
    for (name, tensor) in &host {
        let own = Memory::new(&runtime, tensor.bytes.as_slice(), &stream)?;
        at.insert(name, Place { mem: own.address, dtype: tensor.dtype, shape: tensor.shape.clone() });
        memory.insert(*name, own);
    }
    let graph = Captured::new(&runtime, &stream, || {
        // SAFETY: a stream of device 0, as `hip` is; it outlives the queue.
        let mut queue = unsafe { Stream::from_raw(stream.raw) };
        Ok(layer.enqueue(&hip, &at, &mut queue)?)
    })?;

    let mut reference = Reference::new(&host)?;
    for replay in 1..=3 {
        let lengths: Vec<u8> = LENGTHS.iter().flat_map(|n| (n + replay).to_le_bytes()).collect();
        memory["k_len"].write(&lengths, &stream)?;
        graph.launch(&stream)?;
        reference.check(replay, memory["out"].read(&stream)?)?;
        let status = memory["status"].read(&stream)?;
        if status != [0; 4] {
            return Err(format!("the status word is {status:?}").into());
        }
    }
    println!("{}", describe(&hip, &layer));
    Ok(())
}
