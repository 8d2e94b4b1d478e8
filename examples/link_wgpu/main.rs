//! A small engine that shares its wgpu device with dropless: it owns instance, device, queue and one buffer with every tensor, and
//! records a pass of its own, our attention and our MoE block into one command encoder. Each step is compared with the
//! reference on the CPU.
//!
//! `cargo run --example link_wgpu --features wgpu`

#[path = "../link_cuda/layer.rs"]
mod layer;
#[path = "../link_cuda/reference.rs"]
mod reference;

use dropless::Wgpu;
use dropless::devices::required;
use dropless::wgpu::{Mem, wgpu};
use layer::{HIDDEN, Layer, Place, Places, TOKENS, tensors};
use reference::{Reference, describe};
use std::collections::HashMap;

type Failure = Box<dyn std::error::Error>;

/// The engine's own kernel: every sequence has one more key. No dispatch of ours knows; our kernels read it on the device.
const ADVANCE: &str = "
@group(0) @binding(0) var<storage, read_write> lengths: array<i32>;
@compute @workgroup_size(4) fn advance(@builtin(local_invocation_index) sequence: u32) { lengths[sequence] += 1; }
";

/// What the engine has of its own.
struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Every tensor, each at a multiple of 256 bytes.
    memory: wgpu::Buffer,
    readback: wgpu::Buffer,
    advance: wgpu::ComputePipeline,
    lengths: wgpu::BindGroup,
}

impl Engine {
    fn new(device: wgpu::Device, queue: wgpu::Queue, bytes: u64, lengths: u64) -> Self {
        use wgpu::BufferUsages as Usage;
        let buffer = |size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let memory = buffer(bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST);
        let readback = buffer((TOKENS * HIDDEN * 2) as u64, Usage::MAP_READ | Usage::COPY_DST);
        let source = wgpu::ShaderSource::Wgsl(ADVANCE.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let advance = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("advance"),
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            cache: None,
        });
        let size = std::num::NonZeroU64::new((TOKENS * 4) as u64);
        let lengths = wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &memory, offset: lengths, size }),
        };
        let lengths = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &advance.get_bind_group_layout(0),
            entries: &[lengths],
        });
        Engine { device, queue, memory, readback, advance, lengths }
    }

    /// One step: a pass of its own, then dropless's, all in one encoder and one submission; then the result.
    fn step(&self, layer: &Layer<Wgpu>, wgpu: &Wgpu, at: &Places<Wgpu>) -> Result<Vec<u8>, Failure> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.advance);
        pass.set_bind_group(0, &self.lengths, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        layer.enqueue(wgpu, at, &mut encoder)?;
        encoder.copy_buffer_to_buffer(&self.memory, at["out"].mem.offset, &self.readback, 0, self.readback.size());
        self.queue.submit([encoder.finish()]);
        let (sender, receiver) = std::sync::mpsc::channel();
        self.readback.slice(..).map_async(wgpu::MapMode::Read, move |done| drop(sender.send(done)));
        self.device.poll(wgpu::PollType::wait_indefinitely())?;
        receiver.recv()??;
        let out = self.readback.slice(..).get_mapped_range().map_err(|e| e.to_string())?.to_vec();
        self.readback.unmap();
        Ok(out)
    }
}

/// The engine opens a device as it likes; here with no more than WebGPU gives by default.
fn open() -> Result<(wgpu::Device, wgpu::Queue), Failure> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    Ok(pollster::block_on(adapter.request_device(&Default::default()))?)
}

fn main() -> Result<(), Failure> {
    let (device, queue) = match open() {
        Ok(opened) => opened,
        Err(e) if required("wgpu") => return Err(e),
        Err(e) => {
            println!("nothing to run on: {e}");
            return Ok(());
        }
    };
    let wgpu = Wgpu::from_engine(device.clone(), queue.clone())?;
    let layer = Layer::plan(&wgpu)?;
    let host = tensors(layer.scratch_bytes())?;
    let mut offsets = HashMap::new();
    let mut bytes = 0u64;
    for (name, tensor) in &host {
        offsets.insert(*name, bytes);
        bytes += (tensor.bytes.as_slice().len() as u64).next_multiple_of(256);
    }
    let engine = Engine::new(device, queue, bytes, offsets["k_len"]);
    let mut at = Places::new();
    for (name, tensor) in &host {
        let mut bytes = tensor.bytes.as_slice().to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        engine.queue.write_buffer(&engine.memory, offsets[name], &bytes);
        let mem = Mem { buffer: engine.memory.clone(), offset: offsets[name] };
        at.insert(name, Place { mem, dtype: tensor.dtype, shape: tensor.shape.clone() });
    }

    let mut reference = Reference::new(&host)?;
    for step in 1..=3 {
        reference.check(step, engine.step(&layer, &wgpu, &at)?)?;
    }
    println!("{}", describe(&wgpu, &layer));
    Ok(())
}
