//! Streams, and events in them.

use super::device::api;
use super::module::Function;
use super::{CAPTURE_UNSUPPORTED, INVALID_VALUE, LAUNCH_FAILURE, SUCCESS, fail, memory};
use crate::launch::{self, Launch};
use std::ffi::{c_int, c_uint, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A launch with its arguments.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) function: Arc<Function>,
    pub(crate) launch: Launch,
    pub(crate) arguments: Vec<u8>,
}

/// Runs a launch to its end.
pub(crate) fn run(r: &Recorded) -> c_int {
    let memory = memory().clone();
    match launch::run(&r.function.object.program, &r.function.kernel, r.launch, &r.arguments, &memory) {
        Ok(_) => SUCCESS,
        Err(e) => fail(LAUNCH_FAILURE, &e),
    }
}

#[derive(Default)]
pub(crate) struct Stream {
    /// What is captured, while something is.
    captured: Mutex<Option<Vec<Recorded>>>,
}

impl Stream {
    pub(crate) fn take(&self, launch: Recorded) -> c_int {
        match self.captured.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(captured) => {
                captured.push(launch);
                SUCCESS
            }
            None => run(&launch),
        }
    }
}

api! {
    /// A stream.
    fn hipStreamCreateWithFlags(stream: *mut *mut c_void, _flags: c_uint) {
        // SAFETY: the caller's promise, as everywhere below.
        unsafe { stream.write(Box::into_raw(Box::<Stream>::default()).cast()) };
        SUCCESS
    }

    /// Its end.
    fn hipStreamDestroy(stream: *mut c_void) {
        // SAFETY: made by `hipStreamCreateWithFlags`, and destroyed once.
        drop(unsafe { Box::from_raw(stream.cast::<Stream>()) });
        SUCCESS
    }

    /// Everything has run already.
    fn hipStreamSynchronize(stream: *mut c_void) {
        // SAFETY: as above.
        let capturing = unsafe { stream.cast::<Stream>().as_ref() }
            .is_some_and(|s| s.captured.lock().unwrap_or_else(PoisonError::into_inner).is_some());
        if capturing { CAPTURE_UNSUPPORTED } else { SUCCESS }
    }

    /// From now on launches are kept.
    fn hipStreamBeginCapture(stream: *mut c_void, _mode: c_uint) {
        // SAFETY: as above.
        let Some(stream) = (unsafe { stream.cast::<Stream>().as_ref() }) else { return INVALID_VALUE };
        *stream.captured.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
        SUCCESS
    }

    /// A graph of them.
    fn hipStreamEndCapture(stream: *mut c_void, graph: *mut *mut c_void) {
        // SAFETY: as above.
        let Some(stream) = (unsafe { stream.cast::<Stream>().as_ref() }) else { return INVALID_VALUE };
        let captured = stream.captured.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(captured) = captured else { return INVALID_VALUE };
        // SAFETY: as above.
        unsafe { graph.write(Box::into_raw(Box::new(captured)).cast()) };
        SUCCESS
    }

    /// A point in time.
    fn hipEventCreate(event: *mut *mut c_void) {
        // SAFETY: as above.
        unsafe { event.write(Box::into_raw(Box::new(Instant::now())).cast()) };
        SUCCESS
    }

    /// Now.
    fn hipEventRecord(event: *mut c_void, _stream: *mut c_void) {
        // SAFETY: made by `hipEventCreate`.
        unsafe { event.cast::<Instant>().write(Instant::now()) };
        SUCCESS
    }

    /// Milliseconds of the interpreter, which say nothing of a device.
    fn hipEventElapsedTime(milliseconds: *mut f32, from: *mut c_void, to: *mut c_void) {
        // SAFETY: as above.
        unsafe {
            let (from, to) = (*from.cast::<Instant>(), *to.cast::<Instant>());
            milliseconds.write(to.saturating_duration_since(from).as_secs_f32() * 1e3);
        }
        SUCCESS
    }

    /// Its end.
    fn hipEventDestroy(event: *mut c_void) {
        // SAFETY: made by `hipEventCreate`, and destroyed once.
        drop(unsafe { Box::from_raw(event.cast::<Instant>()) });
        SUCCESS
    }
}
