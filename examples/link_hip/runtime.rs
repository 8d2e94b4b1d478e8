//! What an engine has of its own: the few functions of HIP that it calls, its memory and its stream.

use std::ffi::{c_int, c_uint, c_void};

type Handle = *mut c_void;
type Failure = Box<dyn std::error::Error>;

macro_rules! functions {
    ($($name:ident: $symbol:literal ($($argument:ident: $type:ty),*);)*) => {
        /// The library, as an engine binds it.
        pub struct Runtime {
            $($name: unsafe extern "C" fn($($type),*) -> c_int,)*
            _library: libloading::Library,
        }

        impl Runtime {
            /// The library that dropless finds too.
            pub fn load() -> Result<Self, Failure> {
                let names = ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so"];
                // SAFETY: the runtime's initialisers only read the environment and the device nodes.
                let found = names.iter().find_map(|name| unsafe { libloading::Library::new(*name) }.ok());
                let library = found.ok_or("the HIP runtime is not installed")?;
                Ok(Runtime {
                    // SAFETY: every version declares the function so.
                    $($name: *unsafe { library.get($symbol) }?,)*
                    _library: library,
                })
            }

            $(fn $name(&self, $($argument: $type),*) -> Result<(), Failure> {
                // SAFETY: as HIP documents it; the callers below give what it wants.
                match unsafe { (self.$name)($($argument),*) } {
                    0 => Ok(()),
                    code => Err(format!("{} gave {code}", $symbol).into()),
                }
            })*
        }
    };
}

functions! {
    malloc: "hipMalloc" (address: *mut Handle, bytes: usize);
    free: "hipFree" (address: Handle);
    to_device: "hipMemcpyHtoDAsync" (to: Handle, from: *mut c_void, bytes: usize, stream: Handle);
    to_host: "hipMemcpyDtoHAsync" (to: *mut c_void, from: Handle, bytes: usize, stream: Handle);
    stream_create: "hipStreamCreateWithFlags" (stream: *mut Handle, flags: c_uint);
    stream_destroy: "hipStreamDestroy" (stream: Handle);
    stream_synchronize: "hipStreamSynchronize" (stream: Handle);
    begin_capture: "hipStreamBeginCapture" (stream: Handle, mode: c_int);
    end_capture: "hipStreamEndCapture" (stream: Handle, graph: *mut Handle);
    instantiate: "hipGraphInstantiate" (exec: *mut Handle, graph: Handle, node: *mut Handle, log: *mut i8, bytes: usize);
    graph_destroy: "hipGraphDestroy" (graph: Handle);
    exec_destroy: "hipGraphExecDestroy" (exec: Handle);
    graph_launch: "hipGraphLaunch" (exec: Handle, stream: Handle);
}

/// A `hipStream_t` that does not wait for the default one.
pub struct Own<'r> {
    runtime: &'r Runtime,
    pub raw: Handle,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = self.runtime.stream_destroy(self.raw);
    }
}

impl<'r> Own<'r> {
    pub fn new(runtime: &'r Runtime) -> Result<Self, Failure> {
        let mut raw = std::ptr::null_mut();
        runtime.stream_create(&mut raw, 1)?;
        Ok(Own { runtime, raw })
    }

    pub fn synchronize(&self) -> Result<(), Failure> {
        self.runtime.stream_synchronize(self.raw)
    }
}

/// Memory of the device, freed on drop.
pub struct Memory<'r> {
    runtime: &'r Runtime,
    pub address: u64,
    bytes: usize,
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        let _ = self.runtime.free(self.address as Handle);
    }
}

impl<'r> Memory<'r> {
    pub fn new(runtime: &'r Runtime, bytes: &[u8], stream: &Own) -> Result<Self, Failure> {
        let mut address = std::ptr::null_mut();
        runtime.malloc(&mut address, bytes.len().max(1))?;
        let memory = Memory { runtime, address: address as u64, bytes: bytes.len() };
        memory.write(bytes, stream)?;
        Ok(memory)
    }

    pub fn write(&self, bytes: &[u8], stream: &Own) -> Result<(), Failure> {
        let (to, n) = (self.address as Handle, bytes.len().min(self.bytes));
        self.runtime.to_device(to, bytes.as_ptr().cast_mut().cast(), n, stream.raw)?;
        stream.synchronize()
    }

    pub fn read(&self, stream: &Own) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; self.bytes];
        self.runtime.to_host(bytes.as_mut_ptr().cast(), self.address as Handle, self.bytes, stream.raw)?;
        stream.synchronize()?;
        Ok(bytes)
    }
}

/// What a stream was given, to be launched again and again.
pub struct Captured<'r> {
    runtime: &'r Runtime,
    raw: Handle,
}

impl Drop for Captured<'_> {
    fn drop(&mut self) {
        let _ = self.runtime.exec_destroy(self.raw);
    }
}

impl<'r> Captured<'r> {
    /// Captures what `record` launches into `stream`.
    pub fn new(
        runtime: &'r Runtime,
        stream: &Own,
        record: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        // Of this thread alone.
        runtime.begin_capture(stream.raw, 1)?;
        let recorded = record();
        // A capture must end, also where recording failed.
        let (mut graph, mut raw) = (std::ptr::null_mut(), std::ptr::null_mut());
        let ended = runtime.end_capture(stream.raw, &mut graph);
        recorded.and(ended)?;
        let instantiated = runtime.instantiate(&mut raw, graph, std::ptr::null_mut(), std::ptr::null_mut(), 0);
        runtime.graph_destroy(graph)?;
        instantiated?;
        Ok(Captured { runtime, raw })
    }

    pub fn launch(&self, stream: &Own) -> Result<(), Failure> {
        self.runtime.graph_launch(self.raw, stream.raw)
    }
}
