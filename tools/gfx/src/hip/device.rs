//! One device, and its memory.

use super::{INVALID_DEVICE, INVALID_VALUE, OUT_OF_MEMORY, SUCCESS, memory};
use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, PoisonError};

/// Sizes of allocations, for their layouts.
static SIZES: Mutex<Option<HashMap<u64, usize>>> = Mutex::new(None);

/// The device that is simulated: gfx942 where `DROPLESS_GFX` does not say otherwise.
pub(crate) fn arch() -> String {
    std::env::var("DROPLESS_GFX").unwrap_or_else(|_| "gfx942".into())
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// `to` is null or points to a `T` that may be written.
unsafe fn put<T>(to: *mut T, value: T) -> c_int {
    if to.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: the caller's promise.
    unsafe { to.write(value) };
    SUCCESS
}

macro_rules! api {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// As HIP documents it: pointers are valid for what the function reads and writes.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int $body
    )*};
}
pub(crate) use api;

api! {
    /// Nothing to start.
    fn hipInit(flags: c_uint) {
        if flags == 0 { SUCCESS } else { INVALID_VALUE }
    }

    /// 6.2.
    fn hipRuntimeGetVersion(version: *mut c_int) {
        // SAFETY: the caller's promise, as everywhere below.
        unsafe { put(version, 60_200_000) }
    }

    /// One.
    fn hipGetDeviceCount(count: *mut c_int) {
        // SAFETY: as above.
        unsafe { put(count, 1) }
    }

    /// The device's name.
    fn hipDeviceGetName(name: *mut c_char, length: c_int, device: c_int) {
        let text = format!("{} on the CPU, interpreted", arch());
        if device != 0 || length as usize <= text.len() {
            return INVALID_VALUE;
        }
        // SAFETY: the buffer holds `length` characters, more than the text and its end.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), name, text.len());
            put(name.add(text.len()), 0)
        }
    }

    /// Of the host, in a round number.
    fn hipDeviceTotalMem(bytes: *mut usize, device: c_int) {
        // SAFETY: as above.
        if device == 0 { unsafe { put(bytes, 8 << 30) } } else { INVALID_DEVICE }
    }

    /// Attributes that the backend asks for: multiprocessors, LDS of a block, the last-level cache.
    fn hipDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: c_int) {
        let answer = match attribute {
            _ if device != 0 => return INVALID_DEVICE,
            // Few, so that grids that depend on them stay small.
            63 => 4,
            74 => 64 << 10,
            19 => 4 << 20,
            _ => return INVALID_VALUE,
        };
        // SAFETY: as above.
        unsafe { put(value, answer) }
    }

    /// Of the properties, the architecture's name, at its place in HIP 6.
    fn hipGetDevicePropertiesR0600(properties: *mut c_void, device: c_int) {
        if device != 0 || properties.is_null() {
            return INVALID_DEVICE;
        }
        let features = if arch().starts_with("gfx9") { ":sramecc+:xnack-" } else { "" };
        let text = format!("{}{features}\0", arch());
        // SAFETY: the structure has 1472 bytes, 256 of them from 1160 on for this name.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), properties.cast::<u8>().add(1160), text.len()) };
        SUCCESS
    }

    /// There is one to choose from.
    fn hipSetDevice(device: c_int) {
        if device == 0 { SUCCESS } else { INVALID_DEVICE }
    }

    /// The only one.
    fn hipGetDevice(device: *mut c_int) {
        // SAFETY: as above.
        unsafe { put(device, 0) }
    }

    /// Host memory that kernels may touch.
    fn hipMalloc(address: *mut *mut c_void, bytes: usize) {
        let Ok(layout) = Layout::from_size_align(bytes.max(1), 4096) else { return OUT_OF_MEMORY };
        // SAFETY: the size is not zero.
        let memory_of = unsafe { alloc(layout) };
        if memory_of.is_null() {
            return OUT_OF_MEMORY;
        }
        memory().add(memory_of as u64, bytes as u64);
        let mut sizes = SIZES.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.get_or_insert_default().insert(memory_of as u64, bytes.max(1));
        // SAFETY: as above.
        unsafe { put(address, memory_of.cast()) }
    }

    /// Frees what [`hipMalloc`] gave.
    fn hipFree(address: *mut c_void) {
        let mut sizes = SIZES.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = sizes.get_or_insert_default().remove(&(address as u64)) else { return INVALID_VALUE };
        memory().remove(address as u64);
        let Ok(layout) = Layout::from_size_align(bytes, 4096) else { return INVALID_VALUE };
        // SAFETY: allocated with this layout, and taken from the list so that it happens once.
        unsafe { dealloc(address.cast(), layout) };
        SUCCESS
    }

    /// Host memory both: whichever way it goes.
    fn hipMemcpyHtoDAsync(to: *mut c_void, from: *const c_void, bytes: usize, _stream: *mut c_void) {
        if memory().range(to as u64, bytes as u64).is_err() && bytes > 0 {
            return INVALID_VALUE;
        }
        // SAFETY: the destination was checked, the source is the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast(), bytes) };
        SUCCESS
    }

    /// As above.
    fn hipMemcpyDtoHAsync(to: *mut c_void, from: *mut c_void, bytes: usize, _stream: *mut c_void) {
        if memory().range(from as u64, bytes as u64).is_err() && bytes > 0 {
            return INVALID_VALUE;
        }
        // SAFETY: the source was checked, the destination is the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast(), bytes) };
        SUCCESS
    }
}
