//! Contexts, modules and launches: everything that talks to the driver, but for memory.

mod query;

pub(super) use query::{driver_version, start};

use super::{Capability, Stream};
use crate::backend::DeviceInfo;
use crate::error::Error;
use bytemuck::Pod;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use dropless_kernels_cuda::Artifact;
use query::{cache_bytes, describe, find, ptx_version};
use std::collections::HashMap;
use std::ffi::{CStr, c_uint, c_void};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// PTX version of CUDA 12.3, whose drivers capture overlapping launches in graphs.
const OVERLAP_PTX: u16 = 83;

/// A context, what is loaded in it, and the stream of its [`Runtime`](crate::Runtime).
pub(super) struct Device {
    context: sys::CUcontext,
    /// The device whose primary context is retained; `None`: the context is an engine's.
    primary: Option<sys::CUdevice>,
    stream: sys::CUstream,
    info: DeviceInfo,
    cache_bytes: usize,
    ptx_version: u16,
    /// By the address of the artifact's PTX.
    modules: Mutex<HashMap<usize, Module>>,
}

#[derive(Clone, Copy)]
struct Module(sys::CUmodule);

/// A loaded kernel; lives as long as its [`Device`].
#[derive(Clone, Copy)]
pub(super) struct Function(sys::CUfunction);

// SAFETY: handles of the driver, which is thread-safe; the map is behind a mutex.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}
// SAFETY: as above.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// What the driver said, with what was asked.
pub(super) fn said(what: impl fmt::Display) -> impl FnOnce(DriverError) -> Error {
    move |e| Error::Device { backend: "cuda", source: format!("{what}: {e}").into() }
}

impl Device {
    /// `limit`: the capability that it is used as, where that is not its own.
    pub(super) fn primary(ordinal: usize, limit: Option<Capability>) -> Result<Self, Error> {
        let device = find(ordinal)?;
        let own = describe(device).map_err(said("asking about a device"))?;
        let info = limit.map_or_else(|| Ok(own.clone()), |capability| capability.limit(&own))?;
        // SAFETY: `device` comes from the driver.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(said("cuDevicePrimaryCtxRetain"))?;
        Device::open(context, Some(device), device, info)
    }

    /// # Safety
    /// `context` is a live context of that device and outlives the result.
    pub(super) unsafe fn borrowed(context: *mut c_void, ordinal: usize) -> Result<Self, Error> {
        let device = find(ordinal)?;
        let info = describe(device).map_err(said("asking about a device"))?;
        Device::open(context.cast(), None, device, info)
    }

    fn open(
        context: sys::CUcontext,
        primary: Option<sys::CUdevice>,
        device: sys::CUdevice,
        info: DeviceInfo,
    ) -> Result<Self, Error> {
        let mut new = Device {
            context,
            primary,
            stream: std::ptr::null_mut(),
            info,
            cache_bytes: cache_bytes(device).map_err(said("asking about a device"))?,
            ptx_version: ptx_version(driver_version().map_err(said("cuDriverGetVersion"))?),
            modules: Mutex::new(HashMap::new()),
        };
        let entered = new.enter()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(said("cuStreamCreate"))?;
        drop(entered);
        new.stream = stream;
        Ok(new)
    }

    pub(super) fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Bytes of the L2 cache.
    pub(super) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// PTX version that the driver understands, times ten.
    pub(super) fn ptx_version(&self) -> u16 {
        self.ptx_version
    }

    /// The stream of the runtime.
    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream
    }

    /// Makes the context current for this thread until the guard is dropped.
    pub(super) fn enter(&self) -> Result<Entered, Error> {
        // SAFETY: the context lives as long as `self` (retained, or the promise of `from_raw`).
        unsafe { sys::cuCtxPushCurrent_v2(self.context) }.result().map_err(said("cuCtxPushCurrent"))?;
        Ok(Entered)
    }

    /// A kernel of an artifact, loaded once a context. May compile: not while capturing.
    pub(super) fn function(&self, artifact: &'static Artifact, entry: &'static CStr) -> Result<Function, Error> {
        let _entered = self.enter()?;
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let key = artifact.ptx.as_ptr() as usize;
        let module = match modules.get(&key) {
            Some(module) => *module,
            None => {
                let what = format!("loading {} {}", artifact.ops.join("/"), artifact.variant);
                // SAFETY: the PTX ends with a NUL (a test of the data crate holds that); the driver copies it.
                let module = unsafe { result::module::load_data(artifact.ptx.as_ptr().cast()) }.map_err(said(what))?;
                *modules.entry(key).or_insert(Module(module))
            }
        };
        let mut function = std::ptr::null_mut();
        // SAFETY: the module is loaded in this context, the name ends with a NUL.
        unsafe { sys::cuModuleGetFunction(&mut function, module.0, entry.as_ptr()) }
            .result()
            .map_err(said(format_args!("looking for the kernel {entry:?}")))?;
        Ok(Function(function))
    }

    /// Lets a kernel use `bytes` of dynamic shared memory.
    pub(super) fn allow_shared(&self, function: Function, bytes: u32) -> Result<(), Error> {
        let _entered = self.enter()?;
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let asking = || said(format!("asking for {bytes} bytes of shared memory"));
        // The limit belongs to the function, which all plans of a context share: it may only grow.
        let mut now = 0;
        // SAFETY: a function of this context; writes one integer.
        unsafe { sys::cuFuncGetAttribute(&mut now, attribute, function.0) }.result().map_err(asking())?;
        if now >= bytes as i32 {
            return Ok(());
        }
        // SAFETY: a function of this context.
        unsafe { sys::cuFuncSetAttribute(function.0, attribute, bytes as i32) }.result().map_err(asking())
    }

    /// Lets a kernel run in clusters of more than eight blocks.
    pub(super) fn allow_large_clusters(&self, function: Function) -> Result<(), Error> {
        let _entered = self.enter()?;
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED;
        // SAFETY: a function of this context.
        unsafe { sys::cuFuncSetAttribute(function.0, attribute, 1) }.result().map_err(said("asking for large clusters"))
    }

    /// Records one launch. `params` is the kernel's one parameter.
    pub(super) fn launch<P: Pod>(
        &self,
        function: Function,
        shape: Launch,
        stream: &Stream<'_>,
        params: &P,
    ) -> Result<(), Error> {
        let _entered = self.enter()?;
        let [x, y, z] = shape.grid;
        // Devices without clusters refuse the attribute.
        let mut attributes = [cluster_of(shape.cluster), overlapping()];
        let attributes = match (shape.cluster > 1, shape.overlap && self.ptx_version >= OVERLAP_PTX) {
            (true, true) => &mut attributes[..],
            (true, false) => &mut attributes[..1],
            (false, true) => &mut attributes[1..],
            (false, false) => &mut [],
        };
        let config = sys::CUlaunchConfig {
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: shape.threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: shape.shared,
            hStream: stream.raw.cast(),
            attrs: attributes.as_mut_ptr(),
            numAttrs: attributes.len() as c_uint,
        };
        let mut pointers = [std::ptr::from_ref(params).cast_mut().cast::<c_void>()];
        // SAFETY: every kernel of the table takes one struct, which `params` mirrors (sizes are asserted on both sides);
        // the driver copies it before it returns. Stream and function belong to this context.
        unsafe { sys::cuLaunchKernelEx(&config, function.0, pointers.as_mut_ptr(), std::ptr::null_mut()) }
            .result()
            .map_err(said("cuLaunchKernelEx"))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and a driver that is shutting down fails all of these.
        if let Ok(_entered) = self.enter() {
            for module in self.modules.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
                // SAFETY: loaded by `function`, and plans that use it keep `self` alive.
                let _ = unsafe { result::module::unload(module.0) };
            }
            if !self.stream.is_null() {
                // SAFETY: made in `open`.
                let _ = unsafe { result::stream::destroy(self.stream) };
            }
        }
        if let Some(device) = self.primary {
            // SAFETY: retained once in `primary`.
            let _ = unsafe { result::primary_ctx::release(device) };
        }
    }
}

/// A launch's extents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Launch {
    pub(super) grid: [u32; 3],
    pub(super) threads: u32,
    /// Dynamic shared memory in bytes.
    pub(super) shared: u32,
    /// Blocks of a cluster, neighbours in x; 1: no clusters.
    pub(super) cluster: u32,
    /// The kernel waits itself for what ran before it in the stream, and may start earlier.
    pub(super) overlap: bool,
}

fn cluster_of(blocks: u32) -> sys::CUlaunchAttribute {
    // SAFETY: a plain C struct, for which zeros are a value.
    let mut attribute: sys::CUlaunchAttribute = unsafe { std::mem::zeroed() };
    attribute.id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.clusterDim = sys::CUlaunchAttributeValue_union__bindgen_ty_1 { x: blocks, y: 1, z: 1 };
    attribute
}

fn overlapping() -> sys::CUlaunchAttribute {
    // SAFETY: as above.
    let mut attribute: sys::CUlaunchAttribute = unsafe { std::mem::zeroed() };
    attribute.id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attribute.value.programmaticStreamSerializationAllowed = 1;
    attribute
}

/// The context is current while this lives.
pub(super) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        let mut popped = std::ptr::null_mut();
        // SAFETY: pops what `enter` pushed on this thread.
        let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) };
    }
}
