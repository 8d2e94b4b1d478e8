//! Adapters: which there are, and how one is opened.

use super::Wgpu;
use super::device::{Device, Rewrite, side_of};
use super::replay::CLOCK;
use crate::devices;
use crate::error::Error;
use std::sync::Arc;

/// Kernels this build ships.
pub fn kernels() -> usize {
    dropless_kernels_wgsl::ARTIFACTS.len()
}

/// Op and variant of every kernel this build ships, in the order in which an op's variants are tried.
pub fn variants() -> Vec<(&'static str, &'static str)> {
    dropless_kernels_wgsl::ARTIFACTS.iter().map(|a| (a.op, a.variant)).collect()
}

/// The adapters that the system's drivers list: GPUs first, software last.
///
/// # Errors
/// Why there are none, in words.
pub fn devices() -> Result<Vec<devices::Device>, String> {
    Ok(adapters()?.iter().map(|a| describe(&a.get_info())).collect())
}

fn adapters() -> Result<Vec<wgpu::Adapter>, String> {
    let wanted = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wanted,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wanted));
    if adapters.is_empty() {
        return Err("no Vulkan, Metal or DX12 driver lists an adapter".into());
    }
    adapters.sort_by_key(|a| match a.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    Ok(adapters)
}

/// Features that some variant needs, and those of the clock.
fn wanted() -> wgpu::Features {
    let needs = dropless_kernels_wgsl::ARTIFACTS.iter().flat_map(|a| a.needs);
    needs.filter_map(|name| wgpu::Features::from_name(name)).fold(CLOCK, wgpu::Features::union)
}

/// Matrices as kernels multiply them: `side` x `side` of f16 into f32.
fn is_wanted(matrices: &wgpu::CooperativeMatrixProperties, side: u32) -> bool {
    use wgpu::CooperativeScalarType::{F16, F32};
    (matrices.m_size, matrices.n_size, matrices.k_size) == (side, side, side)
        && (matrices.ab_type, matrices.cr_type) == (F16, F32)
}

/// All limits of an adapter, and the features it has of those that some variant or the clock needs.
fn all_wanted(adapter: &wgpu::Adapter) -> (wgpu::Features, wgpu::Limits) {
    let side = side_of(adapter.get_info().backend);
    let matrices = adapter.cooperative_matrix_properties().iter().any(|m| is_wanted(m, side));
    let without = if matrices { wgpu::Features::empty() } else { wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX };
    ((adapter.features() & wanted()) - without, adapter.limits())
}

fn describe(info: &wgpu::AdapterInfo) -> devices::Device {
    let driver = format!("{} {}", info.driver, info.driver_info);
    let driver = if driver.trim().is_empty() { info.backend.to_string() } else { driver.trim().into() };
    devices::Device {
        name: info.name.clone(),
        arch: format!("{}, {:?}", info.backend, info.device_type),
        driver,
        memory: 0,
    }
}

impl Wgpu {
    /// The adapter of this number, in the order of [`devices()`], opened with all limits it has and the features that some
    /// variant or the clock needs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no such adapter, or its driver refuses.
    pub fn new(ordinal: usize) -> Result<Self, Error> {
        Self::open(ordinal, all_wanted, wgpu::ShaderRuntimeChecks::unchecked(), None)
    }

    /// As [`Wgpu::new`], with cooperative matrices of `side` x `side` (8 or 16) emulated in the text of kernels, after `edit` has had it.
    ///
    /// # Errors
    /// As [`Wgpu::new`]; [`Error::Unavailable`] also where the adapter has no f16.
    #[cfg(feature = "testing")]
    pub fn emulating_matrices(
        ordinal: usize,
        side: u32,
        edit: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let ask = |adapter: &wgpu::Adapter| {
            let (features, limits) = all_wanted(adapter);
            ((features - wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) | wgpu::Features::SHADER_F16, limits)
        };
        let edit = Box::new(move |text| super::emulate::emulated(&edit(text)));
        Self::open(ordinal, ask, wgpu::ShaderRuntimeChecks::checked(), Some(Rewrite { edit, emulates: side }))
    }

    /// As [`Wgpu::new`], with `edit` between every text, those of probes too, and its compiler: a driver with faults.
    ///
    /// # Errors
    /// As [`Wgpu::new`].
    #[cfg(feature = "testing")]
    pub fn edited(ordinal: usize, edit: impl Fn(String) -> String + Send + Sync + 'static) -> Result<Self, Error> {
        let rewrite = Rewrite { edit: Box::new(edit), emulates: 0 };
        Self::open(ordinal, all_wanted, wgpu::ShaderRuntimeChecks::checked(), Some(rewrite))
    }

    /// The same with WebGPU's default limits, no features, and every access of a kernel checked: what runs here runs wherever
    /// WebGPU does.
    ///
    /// # Errors
    /// As [`Wgpu::new`].
    pub fn portable(ordinal: usize) -> Result<Self, Error> {
        let ask = |_: &wgpu::Adapter| (wgpu::Features::empty(), wgpu::Limits::default());
        Self::open(ordinal, ask, wgpu::ShaderRuntimeChecks::checked(), None)
    }

    fn open(
        ordinal: usize,
        ask: impl Fn(&wgpu::Adapter) -> (wgpu::Features, wgpu::Limits),
        checks: wgpu::ShaderRuntimeChecks,
        rewrite: Option<Rewrite>,
    ) -> Result<Self, Error> {
        let unavailable = |reason| Error::Unavailable { backend: "wgpu", reason };
        let adapters = adapters().map_err(unavailable)?;
        let count = adapters.len();
        let adapter = adapters.into_iter().nth(ordinal);
        let adapter = adapter
            .ok_or_else(|| unavailable(format!("there is no adapter {ordinal}, the drivers list {count} (from 0)")))?;
        let (required_features, required_limits) = ask(&adapter);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("dropless"),
            required_features,
            required_limits,
            memory_hints: wgpu::MemoryHints::Performance,
            // SAFETY: cooperative matrices alone are asked for of what is experimental; kernels load and store them inside arrays of
            // their own, at multiples of a matrix. SPIR-V that is passed on is naga's (spirv.rs).
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..wgpu::DeviceDescriptor::default()
        }))
        .map_err(|e| unavailable(format!("{}: {e}", adapter.get_info().name)))?;
        Ok(Wgpu { device: Arc::new(Device::new(device, queue, checks, rewrite)?) })
    }

    /// A device and queue of the engine's. Their uncaptured errors stay the engine's affair.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost.
    pub fn from_engine(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self, Error> {
        let checks = wgpu::ShaderRuntimeChecks::unchecked();
        Ok(Wgpu { device: Arc::new(Device::new(device, queue, checks, None)?) })
    }
}
