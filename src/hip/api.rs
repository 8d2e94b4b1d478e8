//! The functions of libamdhip64 that are called, looked up once a process. What every version from 5 on has, and has with the
//! same meaning: no structure of the library's is read by its layout.

use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt;
use std::sync::OnceLock;

/// Names of the library, newest first. The plain name is a development link and may be any of them.
const LIBRARIES: [&str; 5] =
    ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so", "amdhip64_7.dll"];

/// hipErrorNoDevice and hipErrorInvalidDevice: both mean that there is no AMD GPU.
const NO_DEVICE: [c_int; 2] = [100, 101];

/// An address on the device, a stream, a module, a function, a graph or an event.
pub(super) type Handle = *mut c_void;

macro_rules! api {
    ($($name:ident: $symbol:literal ($($argument:ty),*);)*) => {
        /// The functions. All give an error code, 0 for success.
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Functions {
            fn of(library: &Library) -> Result<Self, &'static str> {
                Ok(Functions {
                    // SAFETY: every version of the library declares the function so.
                    $($name: *unsafe { library.get($symbol) }.map_err(|_| $symbol)?,)*
                })
            }
        }
    };
}

api! {
    init: "hipInit" (c_uint);
    runtime_version: "hipRuntimeGetVersion" (*mut c_int);
    device_count: "hipGetDeviceCount" (*mut c_int);
    device_name: "hipDeviceGetName" (*mut c_char, c_int, c_int);
    total_memory: "hipDeviceTotalMem" (*mut usize, c_int);
    attribute: "hipDeviceGetAttribute" (*mut c_int, c_int, c_int);
    set_device: "hipSetDevice" (c_int);
    get_device: "hipGetDevice" (*mut c_int);
    malloc: "hipMalloc" (*mut Handle, usize);
    free: "hipFree" (Handle);
    copy_to_device: "hipMemcpyHtoDAsync" (Handle, *mut c_void, usize, Handle);
    copy_to_host: "hipMemcpyDtoHAsync" (*mut c_void, Handle, usize, Handle);
    stream_create: "hipStreamCreateWithFlags" (*mut Handle, c_uint);
    stream_destroy: "hipStreamDestroy" (Handle);
    stream_synchronize: "hipStreamSynchronize" (Handle);
    begin_capture: "hipStreamBeginCapture" (Handle, c_int);
    end_capture: "hipStreamEndCapture" (Handle, *mut Handle);
    module_load: "hipModuleLoadData" (*mut Handle, *const c_void);
    module_unload: "hipModuleUnload" (Handle);
    module_function: "hipModuleGetFunction" (*mut Handle, Handle, *const c_char);
    launch: "hipModuleLaunchKernel" (
        Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void
    );
    graph_instantiate: "hipGraphInstantiate" (*mut Handle, Handle, *mut Handle, *mut c_char, usize);
    graph_launch: "hipGraphLaunch" (Handle, Handle);
    graph_destroy: "hipGraphDestroy" (Handle);
    graph_exec_destroy: "hipGraphExecDestroy" (Handle);
    event_create: "hipEventCreate" (*mut Handle);
    event_record: "hipEventRecord" (Handle, Handle);
    event_elapsed: "hipEventElapsedTime" (*mut f32, Handle, Handle);
    event_destroy: "hipEventDestroy" (Handle);
}

/// The library, loaded.
pub(super) struct Api {
    /// The name under which it was found.
    pub(super) name: &'static str,
    pub(super) call: Functions,
    properties: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    error_string: unsafe extern "C" fn(c_int) -> *const c_char,
}

/// The library.
///
/// # Errors
/// It is not installed, or lacks a function, in words.
pub(super) fn api() -> Result<&'static Api, String> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    API.get_or_init(Api::load).as_ref().map_err(String::clone)
}

impl Api {
    fn load() -> Result<Self, String> {
        // SAFETY: the runtime's initialisers only read the environment and the device nodes.
        let library = LIBRARIES.iter().find_map(|name| unsafe { Library::new(*name) }.ok().map(|l| (*name, l)));
        let (name, library) =
            library.ok_or("the runtime library (libamdhip64.so, .so.7, .so.6, .so.5) is not installed")?;
        let lacks = |symbol: &str| format!("{name} has no {symbol}: it is older than ROCm 5");
        let call = Functions::of(&library).map_err(lacks)?;
        // Version 6 changed the structure and with it the name; both names stay.
        let names = ["hipGetDevicePropertiesR0600", "hipGetDeviceProperties"];
        // SAFETY: both are declared so.
        let properties = names.into_iter().find_map(|symbol| unsafe { library.get(symbol) }.ok().map(|f| *f));
        // SAFETY: every version declares it so.
        let error_string = *unsafe { library.get("hipGetErrorString") }.map_err(|_| lacks("hipGetErrorString"))?;
        let properties = properties.ok_or_else(|| lacks(names[1]))?;
        // Its threads would run code that is gone: it stays.
        std::mem::forget(library);
        Ok(Api { name, call, properties, error_string })
    }

    /// What a function said, with what was asked.
    pub(super) fn check(&self, what: impl fmt::Display, code: c_int) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: gives a string that stays, or null.
        let text = unsafe { (self.error_string)(code) };
        let text = match text.is_null() {
            true => "unknown".into(),
            // SAFETY: not null, and ends.
            false => unsafe { CStr::from_ptr(text) }.to_string_lossy(),
        };
        Err(words(self.name, what, code, &text))
    }

    /// Starts the library and counts the devices.
    pub(super) fn start(&self) -> Result<c_int, String> {
        let mut count = 0;
        // SAFETY: 0 is the only flag there is.
        self.check("hipInit", unsafe { (self.call.init)(0) })?;
        // SAFETY: writes one integer.
        self.check("hipGetDeviceCount", unsafe { (self.call.device_count)(&mut count) })?;
        Ok(count)
    }

    /// Target of a device: gfx942.
    ///
    /// # Errors
    /// The library does not say it.
    pub(super) fn target(&self, ordinal: c_int) -> Result<String, String> {
        // Far more than any version writes.
        let mut properties = [0u64; 1024];
        // SAFETY: there is room, aligned for any field.
        let code = unsafe { (self.properties)(properties.as_mut_ptr().cast(), ordinal) };
        self.check("hipGetDeviceProperties", code)?;
        let bytes: &[u8] = bytemuck::cast_slice(&properties);
        find_target(bytes).ok_or_else(|| "hipGetDeviceProperties names no target".into())
    }
}

/// The target's name in the structure: its place differs between versions, so it is looked for. It is behind the device's
/// name, which may be the same.
fn find_target(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(4).rposition(|w| w.starts_with(b"gfx") && w[3].is_ascii_hexdigit())?;
    let name = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric());
    Some(name.map(|b| char::from(*b)).collect())
}

/// What an error code means. `text`: the library's own words.
fn words(library: &str, what: impl fmt::Display, code: c_int, text: &str) -> String {
    if NO_DEVICE.contains(&code) {
        return format!("{library} is installed, but there is no AMD GPU ({what} gave {code})");
    }
    format!("{what} failed with {code}: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_wherever_it_is() {
        let mut bytes = vec![0; 2000];
        assert_eq!(find_target(&bytes), None);
        bytes[..10].copy_from_slice(b"gfxcard\0\0\0");
        bytes[1160..1180].copy_from_slice(b"gfx90a:sramecc+:xnac");
        assert_eq!(find_target(&bytes).as_deref(), Some("gfx90a"));
    }

    #[test]
    fn both_codes_without_a_device_say_so() {
        // HIP 5 on a machine without a GPU says the first where devices are counted, the second where it starts.
        for (what, code) in [("hipGetDeviceCount", 100), ("hipInit", 101)] {
            let said = words("libamdhip64.so.5", what, code, "its own words");
            assert!(said.contains("there is no AMD GPU") && said.contains(&format!("{what} gave {code}")), "{said}");
        }
        assert_eq!(words("libamdhip64.so.7", "hipInit", 2, "out of memory"), "hipInit failed with 2: out of memory");
    }
}
