//! A device and what was made for it once: pipelines, uniform buffers, layouts.

use super::bind::NOTHINGS;
use super::launch::Launch;
use super::probe::{Fault, faults};
use super::source::source;
use super::spirv;
use crate::backend::{Arch, DeviceInfo};
use crate::error::Error;
use dropless_kernels_wgsl::{Artifact, Kernel};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the chooser of variants may look at; by default, what WebGPU guarantees.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// Features that the device was opened with.
    pub features: wgpu::Features,
    /// Limits that the device was opened with.
    pub limits: wgpu::Limits,
    /// Smallest and largest subgroup.
    pub subgroups: (u32, u32),
    /// Rows and columns of its cooperative matrices, where it was opened with them: 8 through Metal, otherwise 16.
    pub side: u32,
    /// What its driver gets wrong, of all that variants rely on.
    pub faults: Vec<Fault>,
}

pub(super) struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: DeviceInfo,
    pub(super) capabilities: Capabilities,
    checks: wgpu::ShaderRuntimeChecks,
    rewrite: Option<Rewrite>,
    /// Bound where an operand is absent or empty.
    pub(super) nothing: wgpu::Buffer,
    pipelines: Mutex<HashMap<String, Pipeline>>,
    uniforms: Mutex<HashMap<Vec<u8>, wgpu::Buffer>>,
}

/// What tests compile instead of a kernel's text.
pub(super) struct Rewrite {
    pub(super) edit: Box<dyn Fn(String) -> String + Send + Sync>,
    /// One without cooperative matrices, for a device that is to pass for one with them, of this many rows and columns; 0: as it is.
    pub(super) emulates: u32,
}

/// A compiled kernel.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// Rows and columns of the cooperative matrices that kernels multiply through an interface.
pub(super) fn side_of(backend: wgpu::Backend) -> u32 {
    if backend == wgpu::Backend::Metal { 8 } else { 16 }
}

/// Distinct uniform buffers that are kept; a model needs some hundred.
const MOST_UNIFORMS: usize = 4096;

impl Device {
    pub(super) fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        checks: wgpu::ShaderRuntimeChecks,
        rewrite: Option<Rewrite>,
    ) -> Result<Self, Error> {
        let (mut limits, adapter) = (device.limits(), device.adapter_info());
        let (mut features, mut subgroups) = (device.features(), (adapter.subgroup_min_size, adapter.subgroup_max_size));
        let matrices = features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
        let mut side = if matrices { side_of(adapter.backend) } else { 0 };
        if let Some(emulates) = rewrite.as_ref().map(|r| r.emulates).filter(|side| *side != 0) {
            features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::PASSTHROUGH_SHADERS;
            (side, subgroups) = (emulates, (32, 32));
            // As devices with matrices have; software drivers promise 32 KiB and give more.
            limits.max_compute_workgroup_storage_size = if side == 8 { 32 << 10 } else { 48 << 10 };
        }
        let name = adapter.name;
        let info = DeviceInfo {
            name,
            arch: Arch::Wgsl,
            // No interface tells how many there are.
            units: 1,
            shared_bytes: limits.max_compute_workgroup_storage_size,
        };
        let faults = faults(&device, &queue, features, side, rewrite.as_ref());
        let capabilities = Capabilities { features, limits, subgroups, side, faults };
        let nothing = caught(&device, "creating a buffer", || {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("dropless nothing"),
                size: NOTHINGS,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        })?;
        Ok(Device {
            device,
            queue,
            info,
            capabilities,
            checks,
            rewrite,
            nothing,
            pipelines: Mutex::default(),
            uniforms: Mutex::default(),
        })
    }

    /// The pipeline of a launch; made once for all plans whose text is the same.
    pub(super) fn pipeline(&self, artifact: &Artifact, kernel: &Kernel, launch: &Launch) -> Result<Pipeline, Error> {
        let text = rewritten(self.rewrite.as_ref(), source(artifact, kernel, launch));
        let mut known = lock(&self.pipelines);
        if let Some(pipeline) = known.get(&text) {
            return Ok(pipeline.clone());
        }
        let what = format_args!("compiling kernel {} of variant {}", kernel.name, artifact.variant).to_string();
        let made = caught(&self.device, &what, || self.compile(kernel.name, &text, launch.bindings.len()))?;
        let made = made.map_err(|e| said(&what, e))?;
        known.insert(text, made.clone());
        Ok(made)
    }

    fn compile(&self, name: &str, text: &str, bindings: usize) -> Result<Pipeline, String> {
        let device = &self.device;
        let entry = |binding: u32, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = wgpu::BufferBindingType::Storage { read_only: false };
        let entries: Vec<_> = std::iter::once(entry(0, wgpu::BufferBindingType::Uniform))
            .chain((1..=bindings as u32).map(|i| entry(i, storage)))
            .collect();
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
        // SAFETY: kernels keep every index inside what is bound, whatever is in the operands, divide by sizes above zero and
        // have no endless loop; tests/wgpu runs them between guard zones without checks, and with them too.
        let module = unsafe { spirv::module(device, name, text, self.checks) }?;
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(name),
            // Kernels write workgroup memory before they read it.
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[],
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Ok(Pipeline { pipeline, layout })
    }

    /// A uniform buffer with this content. A call with the same operands' places as an earlier one takes the earlier one's.
    pub(super) fn uniform(&self, bytes: Vec<u8>) -> wgpu::Buffer {
        let mut known = lock(&self.uniforms);
        if let Some(buffer) = known.get(&bytes) {
            return buffer.clone();
        }
        if known.len() >= MOST_UNIFORMS {
            // What is recorded keeps its own alive.
            known.clear();
        }
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("dropless parameters"),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: true,
        });
        if let Ok(mut mapped) = buffer.slice(..).get_mapped_range_mut() {
            mapped.copy_from_slice(&bytes);
        }
        buffer.unmap();
        known.insert(bytes, buffer.clone());
        buffer
    }
}

/// The text that is compiled.
pub(super) fn rewritten(rewrite: Option<&Rewrite>, text: String) -> String {
    match rewrite {
        Some(rewrite) => (rewrite.edit)(text),
        None => text,
    }
}

/// No state of ours is left half-changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `f` makes, or what wgpu had to say of it.
pub(super) fn caught<T>(device: &wgpu::Device, what: &str, f: impl FnOnce() -> T) -> Result<T, Error> {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let scopes = filters.map(|filter| device.push_error_scope(filter));
    let made = f();
    // The innermost first.
    let errors: Vec<wgpu::Error> =
        scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop())).collect();
    match errors.into_iter().next() {
        None => Ok(made),
        Some(error) => Err(said(what, error)),
    }
}

/// An error of wgpu's, in words.
pub(super) fn said(what: &str, error: impl fmt::Display) -> Error {
    Error::Device { backend: "wgpu", source: format!("{what}: {error}").into() }
}

/// The device of an engine, shared.
pub(super) type Shared = Arc<Device>;
