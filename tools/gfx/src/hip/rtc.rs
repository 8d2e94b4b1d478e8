//! The functions of libhiprtc that the hip backend calls: clang 22 as a process.

use super::device::api;
use super::{INVALID_VALUE, SUCCESS};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// HIPRTC_ERROR_COMPILATION.
const COMPILATION: c_int = 6;

struct Program {
    source: Vec<u8>,
    code: Vec<u8>,
    log: Vec<u8>,
}

impl Program {
    /// Compiles in a folder for temporary files.
    fn compile(&mut self, options: &[String]) -> std::io::Result<bool> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("dropless-rtc-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let [source, object] = ["hip", "co"].map(|end| std::env::temp_dir().join(format!("{name}.{end}")));
        std::fs::write(&source, &self.source)?;
        let mut clang = Command::new("clang-22");
        clang.args(["-x", "hip", "--offload-device-only", "--no-gpu-bundle-output", "-nogpuinc", "-nogpulib"]);
        let output = clang.args(options).arg("-o").arg(&object).arg(&source).output();
        let code = std::fs::read(&object);
        // Files that are left behind do no harm.
        let _ = (std::fs::remove_file(&source), std::fs::remove_file(&object));
        let output = output?;
        self.log = output.stderr;
        self.log.push(0);
        self.code = code.unwrap_or_default();
        Ok(output.status.success())
    }
}

api! {
    /// A program without headers.
    fn hiprtcCreateProgram(
        program: *mut *mut c_void, source: *const c_char, _name: *const c_char, headers: c_int,
        _texts: *const *const c_char, _names: *const *const c_char
    ) {
        if headers != 0 || source.is_null() {
            return INVALID_VALUE;
        }
        // SAFETY: the caller's promise, as everywhere below.
        let source = unsafe { CStr::from_ptr(source) }.to_bytes().to_vec();
        let new = Box::new(Program { source, code: Vec::new(), log: vec![0] });
        // SAFETY: as above.
        unsafe { program.write(Box::into_raw(new).cast()) };
        SUCCESS
    }

    /// Compiles it.
    fn hiprtcCompileProgram(program: *mut c_void, count: c_int, options: *const *const c_char) {
        // SAFETY: made by `hiprtcCreateProgram`; there are `count` options.
        let program = unsafe { &mut *program.cast::<Program>() };
        let options = (0..count as usize).map(|i| {
            // SAFETY: as above.
            unsafe { CStr::from_ptr(*options.add(i)) }.to_string_lossy().into_owned()
        });
        match program.compile(&options.collect::<Vec<_>>()) {
            Ok(true) => SUCCESS,
            Ok(false) => COMPILATION,
            Err(e) => {
                program.log = format!("{e}\0").into_bytes();
                COMPILATION
            }
        }
    }

    /// Bytes of what the compiler said, with the end.
    fn hiprtcGetProgramLogSize(program: *mut c_void, bytes: *mut usize) {
        // SAFETY: as above.
        unsafe { bytes.write((*program.cast::<Program>()).log.len()) };
        SUCCESS
    }

    /// What the compiler said.
    fn hiprtcGetProgramLog(program: *mut c_void, log: *mut c_char) {
        // SAFETY: as above.
        let from = unsafe { &(*program.cast::<Program>()).log };
        // SAFETY: there is room for as many bytes as was said.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), log.cast(), from.len()) };
        SUCCESS
    }

    /// Bytes of the code object.
    fn hiprtcGetCodeSize(program: *mut c_void, bytes: *mut usize) {
        // SAFETY: as above.
        unsafe { bytes.write((*program.cast::<Program>()).code.len()) };
        SUCCESS
    }

    /// The code object.
    fn hiprtcGetCode(program: *mut c_void, code: *mut c_char) {
        // SAFETY: as above.
        let from = unsafe { &(*program.cast::<Program>()).code };
        // SAFETY: there is room for as many bytes as was said.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), code.cast(), from.len()) };
        SUCCESS
    }

    /// Its end.
    fn hiprtcDestroyProgram(program: *mut *mut c_void) {
        // SAFETY: made by `hiprtcCreateProgram`, and destroyed once.
        drop(unsafe { Box::from_raw((*program).cast::<Program>()) });
        SUCCESS
    }
}
