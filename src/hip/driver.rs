//! Devices, modules and launches: everything that talks to the runtime, but for memory.

use super::api::{Api, Handle, api};
use super::choose::Code;
use super::{Stream, discover, rtc};
use crate::backend::{Arch, DeviceInfo};
use crate::error::Error;
use bytemuck::Pod;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// hipDeviceAttribute_t, the same numbers from HIP 5 on: multiprocessors, LDS of a block, L2.
const MULTIPROCESSORS: c_int = 63;
const SHARED_BYTES: c_int = 74;
const CACHE_BYTES: c_int = 19;

/// hipStreamNonBlocking.
const NON_BLOCKING: u32 = 1;

/// A device, what is loaded on it, and the stream of its [`Runtime`](crate::Runtime).
pub(super) struct Device {
    ordinal: c_int,
    stream: Handle,
    info: DeviceInfo,
    /// Its name in AMD's words: gfx942.
    target: String,
    cache_bytes: usize,
    api: &'static Api,
    /// By the address of the object, or of the source.
    modules: Mutex<HashMap<usize, Module>>,
}

#[derive(Clone, Copy)]
struct Module(Handle);

/// A loaded kernel; lives as long as its [`Device`].
#[derive(Clone, Copy)]
pub(super) struct Function(Handle);

// SAFETY: handles of the runtime, which is thread-safe; the map is behind a mutex.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}
// SAFETY: as above.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable { backend: "hip", reason: reason.into() }
}

impl Device {
    pub(super) fn open(ordinal: usize) -> Result<Self, Error> {
        let api = api().map_err(unavailable)?;
        let count = api.start().map_err(unavailable)?;
        let ordinal = match c_int::try_from(ordinal) {
            Ok(i) if i < count => i,
            _ => return Err(unavailable(format!("there is no device {ordinal}; the runtime lists {count}"))),
        };
        let info = describe(api, ordinal).map_err(unavailable)?;
        let cache_bytes = attribute(api, ordinal, CACHE_BYTES).map_err(unavailable)? as usize;
        let mut new = Device {
            ordinal,
            stream: std::ptr::null_mut(),
            target: api.target(ordinal).map_err(unavailable)?,
            info,
            cache_bytes,
            api,
            modules: Mutex::new(HashMap::new()),
        };
        let mut stream = std::ptr::null_mut();
        let entered = new.enter()?;
        // SAFETY: writes one handle.
        new.said("hipStreamCreateWithFlags", unsafe { (api.call.stream_create)(&mut stream, NON_BLOCKING) })?;
        drop(entered);
        new.stream = stream;
        Ok(new)
    }

    pub(super) fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Bytes of the last-level cache, where the runtime does not count it as L2: in front of memory.
    pub(super) fn cache_bytes(&self) -> usize {
        match self.info.arch {
            Arch::Gfx(0x942 | 0x950) => self.cache_bytes.max(256 << 20),
            Arch::Gfx(0x1100 | 0x1201) => self.cache_bytes.max(96 << 20),
            _ => self.cache_bytes,
        }
    }

    pub(super) fn api(&self) -> &'static Api {
        self.api
    }

    /// The stream of the runtime.
    pub(super) fn stream(&self) -> Handle {
        self.stream
    }

    /// What the runtime said, with what was asked.
    pub(super) fn said(&self, what: impl fmt::Display, code: c_int) -> Result<(), Error> {
        self.api.check(what, code).map_err(|e| Error::Device { backend: "hip", source: e.into() })
    }

    /// Makes the device current for this thread until the guard is dropped.
    pub(super) fn enter(&self) -> Result<Entered, Error> {
        let mut before = 0;
        // SAFETY: writes one integer.
        self.said("hipGetDevice", unsafe { (self.api.call.get_device)(&mut before) })?;
        // SAFETY: the runtime lists the device.
        self.said("hipSetDevice", unsafe { (self.api.call.set_device)(self.ordinal) })?;
        Ok(Entered { before, api: self.api })
    }

    /// A kernel, loaded, and compiled if it has to be, once a device: not while capturing.
    pub(super) fn function(&self, code: Code, entry: &'static CStr) -> Result<Function, Error> {
        let _entered = self.enter()?;
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match code {
            Code::Object(object) => object.bytes.as_ptr() as usize,
            Code::Source(source) => source.as_ptr() as usize,
        };
        let module = match modules.get(&key) {
            Some(module) => *module,
            None => *modules.entry(key).or_insert(self.load(code, entry)?),
        };
        let mut function = std::ptr::null_mut();
        // SAFETY: the module is loaded on this device, the name ends with a NUL.
        let code = unsafe { (self.api.call.module_function)(&mut function, module.0, entry.as_ptr()) };
        self.said(format_args!("looking for the kernel {entry:?}"), code)?;
        Ok(Function(function))
    }

    fn load(&self, code: Code, entry: &CStr) -> Result<Module, Error> {
        let compiled = match code {
            Code::Object(object) => Cow::Borrowed(object.bytes),
            Code::Source(source) => {
                let made = rtc::compile(source, &self.target);
                let words = |e| format!("compiling the kernel {entry:?} for {}: {e}", self.target);
                Cow::Owned(made.map_err(|e| Error::Device { backend: "hip", source: words(e).into() })?)
            }
        };
        // Aligned as the header of an ELF file wants to be.
        let mut image = vec![0u64; compiled.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut image)[..compiled.len()].copy_from_slice(&compiled);
        let mut module = std::ptr::null_mut();
        // SAFETY: a whole code object, which the runtime copies.
        let code = unsafe { (self.api.call.module_load)(&mut module, image.as_ptr().cast()) };
        self.said(format_args!("loading the kernel {entry:?} for {}", self.target), code)?;
        Ok(Module(module))
    }

    /// Records one launch. `params` is the kernel's one parameter.
    pub(super) fn launch<P: Pod>(
        &self,
        function: Function,
        shape: Launch,
        stream: &Stream<'_>,
        params: &P,
    ) -> Result<(), Error> {
        let Launch { grid: [x, y, z], threads, shared } = shape;
        let mut pointers = [std::ptr::from_ref(params).cast_mut().cast::<c_void>()];
        let (arguments, extra) = (pointers.as_mut_ptr(), std::ptr::null_mut());
        // SAFETY: every kernel of the table takes one struct, which `params` mirrors (sizes are asserted on both sides);
        // the runtime copies it before it returns. Stream and function belong to this device.
        let code =
            unsafe { (self.api.call.launch)(function.0, x, y, z, threads, 1, 1, shared, stream.raw, arguments, extra) };
        self.said("hipModuleLaunchKernel", code)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and a runtime that is shutting down fails all of these.
        let Ok(_entered) = self.enter() else { return };
        for module in self.modules.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            // SAFETY: loaded by `function`, and plans that use it keep `self` alive.
            let _ = unsafe { (self.api.call.module_unload)(module.0) };
        }
        if !self.stream.is_null() {
            // SAFETY: made in `open`.
            let _ = unsafe { (self.api.call.stream_destroy)(self.stream) };
        }
    }
}

/// A launch's extents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Launch {
    pub(super) grid: [u32; 3],
    pub(super) threads: u32,
    /// Dynamic LDS in bytes.
    pub(super) shared: u32,
}

/// The device is current while this lives.
pub(super) struct Entered {
    before: c_int,
    api: &'static Api,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: it was current before.
        let _ = unsafe { (self.api.call.set_device)(self.before) };
    }
}

fn attribute(api: &Api, ordinal: c_int, which: c_int) -> Result<u32, String> {
    let mut value = 0;
    // SAFETY: writes one integer.
    api.check("hipDeviceGetAttribute", unsafe { (api.call.attribute)(&mut value, which, ordinal) })?;
    Ok(u32::try_from(value).unwrap_or(0))
}

fn describe(api: &Api, ordinal: c_int) -> Result<DeviceInfo, String> {
    let target = api.target(ordinal)?;
    let arch = target.strip_prefix("gfx").and_then(|digits| u16::from_str_radix(digits, 16).ok());
    Ok(DeviceInfo {
        name: discover::name(api, ordinal)?,
        arch: Arch::Gfx(arch.ok_or_else(|| format!("the runtime calls the device's target {target:?}"))?),
        units: attribute(api, ordinal, MULTIPROCESSORS)?,
        shared_bytes: attribute(api, ordinal, SHARED_BYTES)?,
    })
}
