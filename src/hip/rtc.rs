//! hipRTC: kernels compiled from the sources in this crate, for targets that it ships no object for. Loaded when it is needed.

use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::OnceLock;

/// Names of the library, newest first. The compiler of HIP 5 knows too little of bf16 for these sources.
const LIBRARIES: [&str; 4] = ["libhiprtc.so.7", "libhiprtc.so.6", "libhiprtc.so", "hiprtc0700.dll"];

type Program = *mut c_void;

/// The functions. All give an error code, 0 for success.
struct Rtc {
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    log_bytes: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    log: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    code_bytes: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    code: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
}

fn library() -> Option<&'static Rtc> {
    static RTC: OnceLock<Option<Rtc>> = OnceLock::new();
    RTC.get_or_init(load).as_ref()
}

/// Is there a compiler?
pub(super) fn present() -> bool {
    library().is_some()
}

fn load() -> Option<Rtc> {
    LIBRARIES.iter().find_map(|name| {
        // SAFETY: its initialisers only read the environment.
        let library = unsafe { Library::new(*name) }.ok()?;
        // SAFETY: every version declares the functions so.
        let rtc = unsafe {
            Rtc {
                create: *library.get("hiprtcCreateProgram").ok()?,
                compile: *library.get("hiprtcCompileProgram").ok()?,
                log_bytes: *library.get("hiprtcGetProgramLogSize").ok()?,
                log: *library.get("hiprtcGetProgramLog").ok()?,
                code_bytes: *library.get("hiprtcGetCodeSize").ok()?,
                code: *library.get("hiprtcGetCode").ok()?,
                destroy: *library.get("hiprtcDestroyProgram").ok()?,
            }
        };
        // As the runtime, it stays.
        std::mem::forget(library);
        Some(rtc)
    })
}

/// A program until it is dropped.
struct Source<'r> {
    rtc: &'r Rtc,
    raw: Program,
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `compile`, and destroyed once.
        let _ = unsafe { (self.rtc.destroy)(&mut self.raw) };
    }
}

/// The code object of a source that ends with a NUL, for a target.
///
/// # Errors
/// There is no compiler, or what it says of the source.
pub(super) fn compile(source: &str, arch: &str) -> Result<Vec<u8>, String> {
    let rtc = library().ok_or("hipRTC (libhiprtc.so of HIP 6 or later) is not installed")?;
    let text = CStr::from_bytes_until_nul(source.as_bytes()).map_err(|_| "the source has no end")?;
    let gave = |what: &str, code: c_int| if code == 0 { Ok(()) } else { Err(format!("{what} gave {code}")) };
    let (mut raw, none) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: text and name end with a NUL, and there are no headers.
    let created = unsafe { (rtc.create)(&mut raw, text.as_ptr(), c"dropless.hip".as_ptr(), 0, none, none) };
    gave("hiprtcCreateProgram", created)?;
    let program = Source { rtc, raw };
    let target = CString::new(format!("--offload-arch={arch}")).map_err(|_| "the target's name has a NUL")?;
    // The kernels read where version 5 has the number of blocks.
    let options = [target.as_c_str(), c"-O3", c"-std=c++17", c"-mcode-object-version=5"].map(CStr::as_ptr);
    // SAFETY: as many options as it is told, each ending with a NUL.
    let compiled = unsafe { (rtc.compile)(program.raw, options.len() as c_int, options.as_ptr()) };
    gave("hiprtcCompileProgram", compiled).map_err(|e| format!("{e}: {}", program.log()))?;
    let mut bytes = 0;
    // SAFETY: writes one number.
    gave("hiprtcGetCodeSize", unsafe { (rtc.code_bytes)(program.raw, &mut bytes) })?;
    let mut code = vec![0u8; bytes];
    // SAFETY: there is room for what it says it writes.
    gave("hiprtcGetCode", unsafe { (rtc.code)(program.raw, code.as_mut_ptr().cast()) })?;
    Ok(code)
}

impl Source<'_> {
    fn log(&self) -> String {
        let mut bytes = 0;
        // SAFETY: writes one number.
        if unsafe { (self.rtc.log_bytes)(self.raw, &mut bytes) } != 0 {
            return String::new();
        }
        let mut text = vec![0u8; bytes];
        // SAFETY: there is room for what it says it writes.
        let code = unsafe { (self.rtc.log)(self.raw, text.as_mut_ptr().cast()) };
        if code == 0 { String::from_utf8_lossy(&text).trim_end_matches('\0').into() } else { String::new() }
    }
}
