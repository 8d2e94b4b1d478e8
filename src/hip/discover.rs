//! The devices that the runtime lists.

use super::api::{Api, api};
use crate::devices::Device;
use dropless_kernels_hip::ARTIFACTS;
use std::ffi::{CStr, c_char, c_int};

/// Kernels this build ships, each compiled for several targets.
pub fn kernels() -> usize {
    ARTIFACTS.len()
}

/// Op and variant of every kernel this build ships, in the order in which an op's variants are tried.
pub fn variants() -> Vec<(&'static str, &'static str)> {
    ARTIFACTS.iter().flat_map(|a| a.ops.iter().map(|op| (*op, a.variant))).collect()
}

/// The devices that the runtime lists.
///
/// # Errors
/// Why there are none, in words: no library, or what the runtime answered.
pub fn devices() -> Result<Vec<Device>, String> {
    let api = api()?;
    let (count, mut version) = (api.start()?, 0);
    // SAFETY: writes one integer.
    api.check("hipRuntimeGetVersion", unsafe { (api.call.runtime_version)(&mut version) })?;
    let driver = format!("{}, HIP {}.{}", api.name, version / 10_000_000, version / 100_000 % 100);
    (0..count).map(|i| describe(api, i, &driver)).collect()
}

fn describe(api: &Api, ordinal: c_int, driver: &str) -> Result<Device, String> {
    let mut memory = 0usize;
    // SAFETY: writes one integer.
    api.check("hipDeviceTotalMem", unsafe { (api.call.total_memory)(&mut memory, ordinal) })?;
    let (name, arch) = (name(api, ordinal)?, api.target(ordinal)?);
    Ok(Device { name, arch, driver: driver.into(), memory: memory as u64 })
}

/// A device's name.
pub(super) fn name(api: &Api, ordinal: c_int) -> Result<String, String> {
    let mut name = [0 as c_char; 256];
    // SAFETY: the buffer holds 256 characters, one is kept for the end.
    api.check("hipDeviceGetName", unsafe { (api.call.device_name)(name.as_mut_ptr(), 255, ordinal) })?;
    // SAFETY: the buffer was zeroed and its last element never written, so it ends.
    Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}
