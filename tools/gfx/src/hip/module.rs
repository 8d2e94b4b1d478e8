//! Modules, kernels and launches.

use super::device::{api, arch};
use super::seed::sow;
use super::stream::{Recorded, Stream, run};
use super::{INVALID_IMAGE, INVALID_VALUE, NO_BINARY, NOT_FOUND, SUCCESS, fail};
use crate::launch::Launch;
use crate::object::{Kernel, Object, text_of};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::Arc;

/// The target that runs the same instructions and is known to the interpreter.
fn isa(arch: &str) -> &str {
    if arch == "gfx1101" { "gfx1100" } else { arch }
}

pub(crate) struct Function {
    pub(crate) object: Arc<Object>,
    pub(crate) kernel: Kernel,
}

pub(crate) struct Module {
    object: Arc<Object>,
    /// Boxed, so that their addresses stay.
    #[allow(clippy::vec_box)]
    functions: Vec<Box<Arc<Function>>>,
}

api! {
    /// Reads a code object. An ELF file says how long it is: its section headers stand at its end.
    fn hipModuleLoadData(module: *mut *mut c_void, image: *const c_void) {
        // SAFETY: an image begins with a header of 64 bytes.
        let header = unsafe { std::slice::from_raw_parts(image.cast::<u8>(), 64) };
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return fail(INVALID_IMAGE, "the image is no ELF file");
        }
        let number = |at: usize, n: usize| header[at..at + n].iter().rev().fold(0, |x, b| x << 8 | usize::from(*b));
        let bytes = number(40, 8) + number(58, 2) * number(60, 2);
        // SAFETY: the image has all of its sections.
        let bytes = unsafe { std::slice::from_raw_parts(image.cast(), bytes) };
        let text = text_of(bytes).and_then(|[code, notes]| Ok([sow(code)?, notes]));
        let object = match text.and_then(|[code, notes]| Object::from_text(bytes, &code, &notes)) {
            Ok(object) => Arc::new(object),
            Err(e) => return fail(INVALID_IMAGE, &e),
        };
        if object.arch != isa(&arch()) {
            return fail(NO_BINARY, &format!("the image is for {}, the device is {}", object.arch, arch()));
        }
        let one = |k: &Kernel| Box::new(Arc::new(Function { object: object.clone(), kernel: k.clone() }));
        let functions = object.kernels.iter().map(one).collect();
        // SAFETY: the caller's promise, as everywhere below.
        unsafe { module.write(Box::into_raw(Box::new(Module { object, functions })).cast()) };
        SUCCESS
    }

    /// Forgets a module.
    fn hipModuleUnload(module: *mut c_void) {
        // SAFETY: made by `hipModuleLoadData`, and unloaded once.
        drop(unsafe { Box::from_raw(module.cast::<Module>()) });
        SUCCESS
    }

    /// A kernel by its name.
    fn hipModuleGetFunction(function: *mut *mut c_void, module: *mut c_void, name: *const c_char) {
        // SAFETY: as above.
        let (module, name) = unsafe { (&*module.cast::<Module>(), CStr::from_ptr(name)) };
        debug_assert!(module.functions.iter().all(|f| Arc::ptr_eq(&f.object, &module.object)));
        let Some(found) = module.functions.iter().find(|f| f.kernel.name.as_bytes() == name.to_bytes()) else {
            return NOT_FOUND;
        };
        // SAFETY: as above.
        unsafe { function.write(std::ptr::from_ref(&**found).cast_mut().cast()) };
        SUCCESS
    }

    /// Runs a kernel, or records it where the stream is capturing.
    fn hipModuleLaunchKernel(
        function: *mut c_void, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared: c_uint, stream: *mut c_void, arguments: *mut *mut c_void, extra: *mut *mut c_void
    ) {
        // SAFETY: `hipModuleGetFunction` gave it.
        let function = unsafe { &*function.cast::<Arc<Function>>() };
        let grid = [grid_x, grid_y, grid_z];
        if block_y != 1 || block_z != 1 || grid.contains(&0) || block_x == 0 || block_x > 1024 {
            return INVALID_VALUE;
        }
        if arguments.is_null() || !extra.is_null() {
            return INVALID_VALUE;
        }
        // SAFETY: our kernels have one argument, and the first pointer is its address.
        let bytes = unsafe { std::slice::from_raw_parts((*arguments).cast::<u8>(), function.kernel.explicit) };
        let launch = Launch { grid, threads: block_x, shared };
        let recorded = Recorded { function: function.clone(), launch, arguments: bytes.to_vec() };
        // SAFETY: null, or made by `hipStreamCreateWithFlags`.
        match unsafe { stream.cast::<Stream>().as_ref() } {
            Some(stream) => stream.take(recorded),
            None => run(&recorded),
        }
    }
}
