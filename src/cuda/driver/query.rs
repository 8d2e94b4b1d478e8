//! What the driver says of itself and of its devices.

use super::said;
use crate::backend::{Arch, DeviceInfo};
use crate::error::Error;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use std::ffi::c_uint;

/// The oldest driver whose functions we call, as `cuDriverGetVersion` says it: CUDA 12.0, drivers from 525 on.
const OLDEST_DRIVER: i32 = 12_000;

fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable { backend: "cuda", reason: reason.into() }
}

/// The driver's handle of a device, once there is a driver that will do.
pub(super) fn find(ordinal: usize) -> Result<sys::CUdevice, Error> {
    start().map_err(unavailable)?;
    let version = driver_version().map_err(said("cuDriverGetVersion"))?;
    if version < OLDEST_DRIVER {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        let reason = format!("the driver is one of CUDA {major}.{minor}, 12.0 (driver 525) is the oldest that will do");
        return Err(unavailable(reason));
    }
    let count = result::device::get_count().map_err(said("cuDeviceGetCount"))?;
    match i32::try_from(ordinal) {
        Ok(i) if i < count => result::device::get(i).map_err(said("cuDeviceGet")),
        _ => Err(unavailable(format!("there is no device {ordinal}; the driver lists {count}"))),
    }
}

/// Loads and starts the driver. A missing library would make every other call panic.
pub(in crate::cuda) fn start() -> Result<(), String> {
    // SAFETY: looks for the library and closes it again.
    if !unsafe { sys::is_culib_present() } {
        return Err("the driver library (libcuda.so.1, nvcuda.dll) is not installed".into());
    }
    result::init().map_err(|e| format!("the driver is installed, but cuInit failed: {e}"))
}

/// CUDA version of the driver: 1000 * major + 10 * minor.
pub(in crate::cuda) fn driver_version() -> Result<i32, DriverError> {
    let mut version = 0;
    // SAFETY: writes one integer; may be called at any time.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    Ok(version)
}

/// PTX version, times ten, that a driver of this CUDA version understands.
pub(super) fn ptx_version(driver: i32) -> u16 {
    match driver / 10 {
        ..1200 => 0,
        minor @ 1200..=1205 => 80 + (minor - 1200) as u16,
        1206 => 85,
        1207 => 86,
        1208 => 87,
        1209..1300 => 88,
        _ => 90,
    }
}

pub(super) fn cache_bytes(device: sys::CUdevice) -> Result<usize, DriverError> {
    // SAFETY: `device` comes from the driver.
    let bytes = unsafe { result::device::get_attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE) }?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

pub(super) fn describe(device: sys::CUdevice) -> Result<DeviceInfo, DriverError> {
    // SAFETY: `device` comes from the driver.
    let attribute = |a| unsafe { result::device::get_attribute(device, a) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let shared = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
    Ok(DeviceInfo {
        name: result::device::get_name(device)?,
        arch: Arch::Sm((10 * major + minor) as u16),
        units: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as c_uint,
        shared_bytes: shared as u32,
    })
}
