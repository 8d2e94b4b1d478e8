//! The devices that the driver lists.

use super::driver::{driver_version, start};
use crate::devices::Device;
use cudarc::driver::{result, sys};
use sys::CUdevice_attribute::{
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
};

/// Kernels this build ships.
pub fn kernels() -> usize {
    dropless_kernels_cuda::ARTIFACTS.len()
}

/// Op and variant of every kernel this build ships, in the order in which an op's variants are tried.
pub fn variants() -> Vec<(&'static str, &'static str)> {
    dropless_kernels_cuda::ARTIFACTS.iter().flat_map(|a| a.ops.iter().map(|op| (*op, a.variant))).collect()
}

/// The devices that the driver lists.
///
/// # Errors
/// Why there are none, in words: no library, or what the driver answered.
pub fn devices() -> Result<Vec<Device>, String> {
    start()?;
    let said = |what: &str, e: result::DriverError| format!("the driver is installed, but {what} failed: {e}");
    let version = driver_words().map_err(|e| said("cuDriverGetVersion", e))?;
    let count = result::device::get_count().map_err(|e| said("cuDeviceGetCount", e))?;
    (0..count).map(|i| describe(i, &version).map_err(|e| said("asking about a device", e))).collect()
}

fn driver_words() -> Result<String, result::DriverError> {
    let version = driver_version()?;
    Ok(format!("CUDA {}.{}", version / 1000, version % 1000 / 10))
}

fn describe(ordinal: i32, driver: &str) -> Result<Device, result::DriverError> {
    let device = result::device::get(ordinal)?;
    // SAFETY: `device` comes from the driver, two lines up; so below.
    let attribute = |a| unsafe { result::device::get_attribute(device, a) };
    let major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    // SAFETY: as above.
    let memory = unsafe { result::device::total_mem(device) }?;
    Ok(Device {
        name: result::device::get_name(device)?,
        arch: format!("sm_{major}{minor}"),
        driver: driver.into(),
        memory: memory as u64,
    })
}
