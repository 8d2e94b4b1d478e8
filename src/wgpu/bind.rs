//! The operands of one call: what is bound, and what its kernel adds to that.

use super::choose::fits;
use super::device::Capabilities;
use super::launch::{Binding, From, Kind, Launch};
use super::source::{params, view_vectors};
use crate::backend::Backend;
use crate::error::Error;
use crate::op::ArgViews;
use crate::tensor::ViewInfo;

/// A place in a buffer.
pub(super) trait Located {
    /// Bytes from the buffer's beginning.
    fn at(&self) -> u64;
    /// Bytes of the buffer.
    fn buffer_size(&self) -> u64;
}

/// The operands of one call.
pub(super) struct Operands<'a, B: Backend> {
    pub(super) op: &'static str,
    views: ArgViews<B>,
    scratch: B::Mem,
    capabilities: &'a Capabilities,
}

/// What a launch binds.
pub(super) struct Bound<M> {
    /// Words of the uniform buffer.
    pub(super) words: Vec<u32>,
    /// Of each storage binding: some place in its buffer, and the bytes from the beginning and their number. `None` where the
    /// operand is absent or empty: [`nothing`].
    pub(super) places: Vec<Option<(M, u64, u64)>>,
    /// Rows of all elements that share words begin at words.
    pub(super) in_words: bool,
}

/// Bytes of a binding of nothing.
const NOTHING: u64 = 256;
/// Bytes of the buffer that has them: room for as many as some kernel binds.
pub(super) const NOTHINGS: u64 = 16 * NOTHING;

/// What stands for binding `i` where there is nothing: each its own bytes, for WebGPU takes none twice that may be written.
pub(super) fn nothing(i: usize) -> (u64, u64) {
    (i as u64 * NOTHING, NOTHING)
}

/// A binding, and the view in it: its first element, and elements from row to row; and whether its rows begin at words.
type Place<M> = (Option<(M, u64, u64)>, [u32; 2], bool);

impl<'a, B: Backend<Mem: Located>> Operands<'a, B> {
    pub(super) fn new(op: &'static str, views: ArgViews<B>, scratch: B::Mem, capabilities: &'a Capabilities) -> Self {
        Operands { op, views, scratch, capabilities }
    }

    fn view(&self, name: &str) -> Option<&(B::Mem, ViewInfo)> {
        self.views.iter().find(|(n, _)| *n == name).and_then(|(_, view)| view.as_ref())
    }

    /// Does it run in this call at all?
    pub(super) fn wants(&self, launch: &Launch) -> bool {
        launch.items > 0 && !(launch.only_reports && self.view("status").is_none())
    }

    /// What a launch binds.
    pub(super) fn bound(&self, launch: &Launch) -> Result<Bound<B::Mem>, Error> {
        let mut words = vec![0u32; 4 * view_vectors(launch)];
        let mut places = Vec::with_capacity(launch.bindings.len());
        let mut in_words = true;
        for (binding, view) in launch.bindings.iter().zip(words.chunks_exact_mut(2)) {
            let (place, found, at_words) = self.place(binding)?;
            view.copy_from_slice(&found);
            in_words &= at_words;
            places.push(place);
        }
        words.extend(params(launch).map(|(_, param)| param.bits()));
        words.resize(words.len().next_multiple_of(4), 0);
        Ok(Bound { words, places, in_words })
    }

    fn place(&self, binding: &Binding) -> Result<Place<B::Mem>, Error> {
        let (name, mem, bytes, stride, rows) = match &binding.from {
            From::Scratch { bytes, stride } => {
                ("scratch", B::offset(&self.scratch, bytes.start), bytes.len(), *stride, true)
            }
            From::Operand { name, rows } => {
                let Some((mem, info)) = self.view(name) else { return Ok((None, [0, 0], true)) };
                let rows = rows.clone().unwrap_or(0..info.shape.dims().first().copied().unwrap_or(1));
                // Everything was found to fit the address space when the operands were bound to the spec.
                let row = info.row_stride * info.dtype.bytes();
                let bytes = match rows.len() {
                    0 => 0,
                    n => (n - 1) * row + info.shape.row_len() * info.dtype.bytes(),
                };
                (*name, B::offset(mem, rows.start * row), bytes, info.row_stride, info.shape.dims().len() > 1)
            }
        };
        if bytes == 0 {
            return Ok((None, [0, 0], true));
        }
        let problem = |words: String| Error::input(format!("{} `{name}`", self.op), words);
        let limits = &self.capabilities.limits;
        // Bindings begin at multiples of an alignment; kernels skip what lies in front of the view. They read whole words.
        let offset = mem.at() - mem.at() % u64::from(limits.min_storage_buffer_offset_alignment.max(4));
        let end = (mem.at() + bytes as u64).next_multiple_of(4);
        let (skipped, element) = (mem.at() - offset, element_bytes(binding.kind));
        if !skipped.is_multiple_of(element) {
            return Err(problem(format!("must begin at a multiple of {element} bytes, it is at {}", mem.at())));
        }
        let have = mem.buffer_size();
        if end > have {
            return Err(problem(format!("needs {end} bytes of its buffer, whole words counted; there are {have}")));
        }
        fits(name, end - offset, self.capabilities).map_err(problem)?;
        let stride = match binding.kind {
            Kind::Vectors(dtype) => stride * dtype.bytes() / element as usize,
            Kind::Halves => stride / 4,
            _ => stride,
        };
        let stride = u32::try_from(stride).map_err(|_| problem(format!("has rows {stride} elements apart")))?;
        let view = [(skipped / element) as u32, stride];
        // Elements of one dimension are one row, however far apart.
        let at_words = begins_at_words(binding.kind, if rows { &view } else { &view[..1] });
        Ok((Some((mem, offset, end - offset)), view, at_words))
    }
}

/// Are so many elements whole words, as far as they are read by elements?
fn begins_at_words(kind: Kind, elements: &[u32]) -> bool {
    match kind {
        Kind::Reads(dtype) | Kind::Writes(dtype) => {
            elements.iter().all(|n| (u64::from(*n) * dtype.bytes() as u64).is_multiple_of(4))
        }
        _ => true,
    }
}

fn element_bytes(kind: Kind) -> u64 {
    match kind {
        Kind::Reads(dtype) | Kind::Writes(dtype) => dtype.bytes() as u64,
        Kind::Ints | Kind::Status => 4,
        Kind::Bytes => 1,
        Kind::Vectors(_) => 16,
        Kind::Halves => 8,
    }
}
