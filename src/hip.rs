//! AMD through libamdhip64, loaded at run time: this crate builds and runs without it.

use crate::devices::Device;
use libloading::{Library, Symbol};
use std::ffi::{CStr, c_char, c_int};

/// Kernels this build ships.
pub fn kernels() -> usize {
    dropless_kernels_hip::ARTIFACTS.len()
}

/// Names of the library, newest first. The plain name is a development link and may be any of them.
const LIBRARIES: [&str; 5] =
    ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so", "amdhip64_7.dll"];

/// hipErrorNoDevice and hipErrorInsufficientDriver's neighbour hipErrorInvalidDevice: both mean that there is no AMD GPU.
const NO_DEVICE: [c_int; 2] = [100, 101];

/// The devices that the runtime lists.
///
/// # Errors
/// Why there are none, in words: no library, or what the runtime answered.
pub fn devices() -> Result<Vec<Device>, String> {
    // SAFETY: the runtime's initialisers only read the environment and the device nodes.
    let library = LIBRARIES.iter().find_map(|name| unsafe { Library::new(*name) }.ok().map(|l| (*name, l)));
    let (name, library) =
        library.ok_or("the runtime library (libamdhip64.so, .so.7, .so.6, .so.5) is not installed")?;
    let runtime = Runtime { name, library };
    let version = runtime.integer(b"hipRuntimeGetVersion\0")?;
    let count = runtime.integer(b"hipGetDeviceCount\0")?;
    let driver = format!("{name}, HIP {}.{}", version / 10_000_000, version / 100_000 % 100);
    (0..count).map(|i| runtime.describe(i, &driver)).collect()
}

struct Runtime {
    name: &'static str,
    library: Library,
}

impl Runtime {
    /// Calls `int f(int*)`.
    fn integer(&self, symbol: &'static [u8]) -> Result<c_int, String> {
        let mut value = 0;
        // SAFETY: both functions called here have this signature in every HIP version.
        let f: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> = unsafe { self.symbol(symbol) }?;
        // SAFETY: writes one integer.
        self.check(symbol, unsafe { f(&mut value) })?;
        Ok(value)
    }

    fn describe(&self, ordinal: c_int, driver: &str) -> Result<Device, String> {
        let (mut name, mut memory, mut major, mut minor) = ([0 as c_char; 256], 0usize, 0, 0);
        let symbol = b"hipDeviceGetName\0";
        // SAFETY: the signature of every HIP version; hipDevice_t is an int, and the ordinal is that int.
        let f: Symbol<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> = unsafe { self.symbol(symbol) }?;
        // SAFETY: the buffer holds 256 characters, one is kept for the end.
        self.check(symbol, unsafe { f(name.as_mut_ptr(), 255, ordinal) })?;
        let symbol = b"hipDeviceTotalMem\0";
        // SAFETY: as above.
        let f: Symbol<unsafe extern "C" fn(*mut usize, c_int) -> c_int> = unsafe { self.symbol(symbol) }?;
        // SAFETY: writes one integer.
        self.check(symbol, unsafe { f(&mut memory, ordinal) })?;
        let symbol = b"hipDeviceComputeCapability\0";
        // SAFETY: as above.
        let f: Symbol<unsafe extern "C" fn(*mut c_int, *mut c_int, c_int) -> c_int> = unsafe { self.symbol(symbol) }?;
        // SAFETY: writes two integers.
        self.check(symbol, unsafe { f(&mut major, &mut minor, ordinal) })?;
        // SAFETY: the buffer was zeroed and its last element never written, so it ends.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        Ok(Device { name, arch: format!("gfx{major}, revision {minor}"), driver: driver.into(), memory: memory as u64 })
    }

    /// # Safety
    /// `T` is the function's type.
    unsafe fn symbol<T>(&self, symbol: &'static [u8]) -> Result<Symbol<'_, T>, String> {
        // SAFETY: the caller's promise.
        unsafe { self.library.get(symbol) }.map_err(|_| format!("{} has no {}", self.name, text(symbol)))
    }

    fn check(&self, symbol: &[u8], code: c_int) -> Result<(), String> {
        match code {
            0 => Ok(()),
            code if NO_DEVICE.contains(&code) => {
                Err(format!("{} is installed, but there is no AMD GPU ({} gave {code})", self.name, text(symbol)))
            }
            code => Err(format!("{} is installed, but {} failed with {code}", self.name, text(symbol))),
        }
    }
}

fn text(symbol: &[u8]) -> &str {
    std::str::from_utf8(symbol).unwrap_or("?").trim_end_matches('\0')
}
