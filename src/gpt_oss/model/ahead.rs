//! Greedy decoding with the device a step ahead of the host: a caller that feeds back what was chosen finds the next step
//! submitted already. A step that nobody asked for harms nothing: what it wrote to the cache is behind the sequences' ends, and written
//! again before it is read.

use super::forward::Feed;
use super::step::Ids;
use super::workspace::Next;
use super::{Model, decode};
use crate::backend::{Fetch, Replay};
use crate::error::Error;
use crate::kernel::AllOps;
use std::collections::btree_map::Entry;

/// One token for a sequence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fed {
    seat: usize,
    len: usize,
    id: u32,
}

/// What comes next if the caller feeds back what was chosen.
pub(super) struct Ahead {
    next: Vec<Fed>,
    /// What that step chooses, where it is submitted.
    picked: Option<Fetch>,
}

impl<B: Replay + AllOps> Model<B> {
    /// One token of each sequence, replayed: logits and the greedy choice are on the device then.
    pub(super) fn decode(&mut self, batch: &[Fed], ids: Ids) -> Result<(), Error> {
        let Model { backend, parts, decodes, .. } = self;
        let recorded = match decodes.entry((batch.len(), ids)) {
            Entry::Occupied(known) => &*known.into_mut(),
            Entry::Vacant(new) => &*new.insert(decode::record(backend, parts, batch.len(), ids)?),
        };
        let next = batch.iter().map(|f| Next { seat: f.seat, len: f.len, tokens: std::slice::from_ref(&f.id) });
        parts.work().indices.write(&**backend, &parts.dims, &next.collect::<Vec<_>>())?;
        backend.replay(recorded)
    }

    fn picked(&self, sequences: usize) -> Result<Fetch, Error> {
        self.parts.work().picked.fetch_prefix(&*self.backend, &[sequences])
    }

    /// The greedy choice after one token of each sequence.
    pub(super) fn pick(&mut self, batch: &mut [Feed<'_>]) -> Result<Vec<u32>, Error> {
        let fed = of(batch);
        let known = self.ahead.take().filter(|ahead| ahead.next == fed);
        let feeds_back = known.is_some();
        let picked = match known.and_then(|ahead| ahead.picked) {
            Some(picked) => picked,
            None => {
                self.decode(&fed, Ids::Given)?;
                self.picked(fed.len())?
            }
        };
        for Feed { session, .. } in batch.iter_mut() {
            session.len += 1;
        }
        let mut next: Vec<Fed> = fed.iter().map(|f| Fed { len: f.len + 1, ..*f }).collect();
        let room = next.iter().all(|f| f.len < self.parts.dims.max_context);
        let after = if B::AHEAD && feeds_back && room {
            self.decode(&next, Ids::Picked)?;
            Some(self.picked(next.len())?)
        } else {
            None
        };
        let words = picked()?;
        for (sequence, (fed, word)) in next.iter_mut().zip(words.as_chunks::<4>().0).enumerate() {
            fed.id = u32::try_from(i32::from_le_bytes(*word)).map_err(|_| {
                Error::input(format!("logits of sequence {sequence}"), "hold NaN or +inf: no token can be chosen")
            })?;
        }
        let ids = next.iter().map(|fed| fed.id).collect();
        self.ahead = Some(Ahead { next, picked: after });
        Ok(ids)
    }
}

/// The tokens of a batch that has one for each sequence.
pub(super) fn of(batch: &[Feed<'_>]) -> Vec<Fed> {
    let fed = |feed: &Feed<'_>| {
        feed.tokens.iter().map(|id| Fed { seat: feed.session.seat, len: feed.session.len, id: *id }).collect::<Vec<_>>()
    };
    batch.iter().flat_map(fed).collect()
}
