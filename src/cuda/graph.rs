//! Launches captured once in a CUDA graph, replayed and timed on the runtime's stream.

use super::driver::{Device, said};
use super::{Cuda, Stream};
use crate::backend::{Replay, Timing};
use crate::error::Error;
use cudarc::driver::{result, sys};
use std::marker::PhantomData;
use std::sync::Arc;

/// An instantiated graph. It holds the addresses of the operands that it was captured with, and so borrows them, or keeps
/// the calls that own them.
pub struct Graph<'a> {
    exec: Exec,
    _calls: Option<Calls<'a>>,
    operands: PhantomData<&'a ()>,
}

type Calls<'a> = Box<dyn Fn(&mut Stream<'_>) -> Result<(), Error> + Send + 'a>;

struct Exec {
    raw: sys::CUgraphExec,
    device: Arc<Device>,
}

// SAFETY: a handle of the driver; the driver asks that one graph is not launched from two threads at once, and the raw
// pointer keeps this from being `Sync`.
unsafe impl Send for Exec {}

impl Drop for Exec {
    fn drop(&mut self) {
        if let Ok(_entered) = self.device.enter() {
            // SAFETY: instantiated in `capture`; a launched graph finishes although its handle is gone.
            let _ = unsafe { result::graph::exec_destroy(self.raw) };
        }
    }
}

/// A stream of its own, so that work of other threads on the runtime's stream is not captured.
struct Capturing<'d> {
    stream: sys::CUstream,
    device: &'d Device,
}

impl Drop for Capturing<'_> {
    fn drop(&mut self) {
        if let Ok(_entered) = self.device.enter() {
            // SAFETY: made in `capture`, where its capture has ended.
            let _ = unsafe { result::stream::destroy(self.stream) };
        }
    }
}

impl Cuda {
    /// Captures what `record` enqueues. It may launch and nothing else: plans, allocations and copies come before.
    ///
    /// # Errors
    /// What `record` returns, or [`Error::Device`] where the driver refuses to capture it.
    pub fn capture<'a>(
        &self,
        record: impl FnOnce(&mut Stream<'_>) -> Result<(), Error> + 'a,
    ) -> Result<Graph<'a>, Error> {
        let _entered = self.device.enter()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(said("cuStreamCreate"))?;
        let capturing = Capturing { stream, device: &self.device };
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: a stream of this context.
        unsafe { result::stream::begin_capture(stream, mode) }.map_err(said("cuStreamBeginCapture"))?;
        let recorded = record(&mut Stream { raw: stream.cast(), owner: PhantomData });
        // SAFETY: begun above; it must end also where recording failed.
        let graph = unsafe { result::stream::end_capture(stream) };
        drop(capturing);
        recorded?;
        let graph = graph.map_err(said("cuStreamEndCapture"))?;
        let mut exec = std::ptr::null_mut();
        // SAFETY: the graph was just captured; flags 0 ask for nothing special.
        let instantiated = unsafe { sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0) }.result();
        // SAFETY: what was instantiated does not need it any more.
        let _ = unsafe { result::graph::destroy(graph) };
        instantiated.map_err(said("cuGraphInstantiate"))?;
        Ok(Graph { exec: Exec { raw: exec, device: self.device.clone() }, _calls: None, operands: PhantomData })
    }
}

/// A point in a stream, with its time.
struct Event<'d> {
    raw: sys::CUevent,
    device: &'d Device,
}

impl<'d> Event<'d> {
    fn record(device: &'d Device) -> Result<Self, Error> {
        let raw = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(said("cuEventCreate"))?;
        let event = Event { raw, device };
        // SAFETY: event and stream are of this context, which the caller has entered.
        unsafe { result::event::record(raw, device.stream()) }.map_err(said("cuEventRecord"))?;
        Ok(event)
    }

    /// Seconds from this to `later`, once that has happened.
    fn until(&self, later: &Event<'_>) -> Result<f64, Error> {
        // SAFETY: both were recorded.
        let milliseconds =
            unsafe { result::event::elapsed(self.raw, later.raw) }.map_err(said("cuEventElapsedTime"))?;
        Ok(f64::from(milliseconds) * 1e-3)
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        if let Ok(_entered) = self.device.enter() {
            // SAFETY: created in `record`.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}

impl Replay for Cuda {
    type Recorded<'a> = Graph<'a>;

    fn record<'a>(&self, calls: impl Fn(&mut Stream<'_>) -> Result<(), Error> + Send + 'a) -> Result<Graph<'a>, Error> {
        let Graph { exec, .. } = self.capture(&calls)?;
        Ok(Graph { exec, _calls: Some(Box::new(calls)), operands: PhantomData })
    }

    fn replay(&self, graph: &Graph<'_>) -> Result<(), Error> {
        let _entered = self.device.enter()?;
        // SAFETY: an instantiated graph and a stream of this context.
        unsafe { result::graph::launch(graph.exec.raw, self.device.stream()) }.map_err(said("cuGraphLaunch"))
    }
}

impl Timing for Cuda {
    fn time(&self, graph: &Graph<'_>, replays: usize) -> Result<Vec<f64>, Error> {
        let _entered = self.device.enter()?;
        let mut events = vec![Event::record(&self.device)?];
        for _ in 0..replays {
            self.replay(graph)?;
            events.push(Event::record(&self.device)?);
        }
        self.finish()?;
        events.windows(2).map(|pair| pair[0].until(&pair[1])).collect()
    }

    fn cache_bytes(&self) -> usize {
        self.device.cache_bytes()
    }
}
