//! The functions of libamdhip64 that the hip backend calls, on the interpreter. Work runs when it is launched, one launch
//! after the other; what goes wrong is printed and is the text of the error. `DROPLESS_GFX` names the device.

mod device;
mod graph;
mod module;
mod rtc;
mod seed;
mod stream;

use crate::memory::Memory;
use std::ffi::{CString, c_char, c_int};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) const SUCCESS: c_int = 0;
pub(crate) const INVALID_VALUE: c_int = 1;
pub(crate) const OUT_OF_MEMORY: c_int = 2;
pub(crate) const INVALID_DEVICE: c_int = 101;
pub(crate) const INVALID_IMAGE: c_int = 200;
pub(crate) const NO_BINARY: c_int = 209;
pub(crate) const NOT_FOUND: c_int = 500;
pub(crate) const LAUNCH_FAILURE: c_int = 719;
pub(crate) const CAPTURE_UNSUPPORTED: c_int = 900;

static MEMORY: Mutex<Memory> = Mutex::new(Memory::new());
static FAULT: Mutex<Option<CString>> = Mutex::new(None);

pub(crate) fn memory() -> MutexGuard<'static, Memory> {
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what went wrong for [`hipGetErrorString`].
pub(crate) fn fail(code: c_int, what: &str) -> c_int {
    eprintln!("gfx: {what}");
    *FAULT.lock().unwrap_or_else(PoisonError::into_inner) = CString::new(what.replace('\0', "?")).ok();
    code
}

/// Text of an error; of a failed launch, what it did wrong.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn hipGetErrorString(code: c_int) -> *const c_char {
    let fault = FAULT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match (code, fault) {
        (SUCCESS, _) => c"no error".as_ptr(),
        // Given away for good: the caller may keep it for ever.
        (LAUNCH_FAILURE | INVALID_IMAGE | NO_BINARY, Some(fault)) => fault.into_raw(),
        (INVALID_VALUE, _) => c"invalid argument".as_ptr(),
        (OUT_OF_MEMORY, _) => c"out of memory".as_ptr(),
        (INVALID_DEVICE, _) => c"invalid device ordinal".as_ptr(),
        (NOT_FOUND, _) => c"named symbol not found".as_ptr(),
        (CAPTURE_UNSUPPORTED, _) => c"operation not permitted when stream is capturing".as_ptr(),
        _ => c"unknown error".as_ptr(),
    }
}
