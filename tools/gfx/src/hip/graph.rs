//! Graphs: launches in the order in which they were captured.

use super::SUCCESS;
use super::device::api;
use super::stream::{Recorded, run};
use std::ffi::{c_char, c_int, c_void};

api! {
    /// A copy that can be launched.
    fn hipGraphInstantiate(
        executable: *mut *mut c_void, graph: *mut c_void, _node: *mut *mut c_void, _log: *mut c_char, _bytes: usize
    ) {
        // SAFETY: `hipStreamEndCapture` made the graph; the rest is the caller's promise, as below.
        let captured = unsafe { &*graph.cast::<Vec<Recorded>>() };
        // SAFETY: as above.
        unsafe { executable.write(Box::into_raw(Box::new(captured.clone())).cast()) };
        SUCCESS
    }

    /// Runs all of it.
    fn hipGraphLaunch(executable: *mut c_void, _stream: *mut c_void) {
        // SAFETY: as above.
        let captured = unsafe { &*executable.cast::<Vec<Recorded>>() };
        captured.iter().map(run).find(|code| *code != SUCCESS).unwrap_or(SUCCESS)
    }

    /// Its end.
    fn hipGraphDestroy(graph: *mut c_void) {
        // SAFETY: made by `hipStreamEndCapture`, and destroyed once.
        drop(unsafe { Box::from_raw(graph.cast::<Vec<Recorded>>()) });
        SUCCESS
    }

    /// Its end.
    fn hipGraphExecDestroy(executable: *mut c_void) {
        // SAFETY: made by `hipGraphInstantiate`, and destroyed once.
        drop(unsafe { Box::from_raw(executable.cast::<Vec<Recorded>>()) });
        SUCCESS
    }
}
