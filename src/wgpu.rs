//! Vulkan, Metal and DX12 through wgpu.

use crate::devices::Device;

/// Kernels this build ships.
pub fn kernels() -> usize {
    dropless_kernels_wgsl::ARTIFACTS.len()
}

/// The adapters that the system's drivers list.
///
/// # Errors
/// Why there are none, in words.
pub fn devices() -> Result<Vec<Device>, String> {
    let wanted = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wanted,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(wanted));
    if adapters.is_empty() {
        return Err("no Vulkan, Metal or DX12 driver lists an adapter".into());
    }
    Ok(adapters.iter().map(|a| describe(&a.get_info())).collect())
}

fn describe(info: &wgpu::AdapterInfo) -> Device {
    let driver = format!("{} {}", info.driver, info.driver_info);
    let driver = if driver.trim().is_empty() { info.backend.to_string() } else { driver.trim().into() };
    Device { name: info.name.clone(), arch: format!("{}, {:?}", info.backend, info.device_type), driver, memory: 0 }
}
