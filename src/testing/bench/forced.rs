//! Rows of several ops, of which a forced variant may belong to any.

use super::operand::{Call, Slot};
use crate::backend::{Backend, Hint, Provide, Runtime};
use crate::error::Error;
use crate::op::Op;
use std::sync::Arc;

/// Makes the calls of a row: each with the forced variant where that may run it, and chosen elsewhere.
pub(super) struct Forced<'a> {
    hint: Hint<'a>,
    runs: bool,
    refused: Vec<String>,
}

impl<'a> Forced<'a> {
    pub(super) fn new(hint: Hint<'a>) -> Self {
        Forced { hint, runs: hint.variant.is_none(), refused: Vec::new() }
    }

    pub(super) fn call<O: Op, B: Runtime + Provide<O>>(
        &mut self,
        backend: &B,
        op: O,
        operands: Vec<(&'static str, Arc<Slot<B>>)>,
    ) -> Result<Call<O, B>, Error> {
        let Some(name) = self.hint.variant else { return Call::new(backend, op, self.hint, operands) };
        match Call::new(backend, op, self.hint, operands.clone()) {
            Err(Error::Unsupported { reason, .. }) => {
                let own = reason.strip_prefix(name).and_then(|words| words.strip_prefix(": "));
                self.refused.extend(own.map(|why| format!("{}: {why}", O::NAME)));
                Call::new(backend, op, Hint { variant: None, ..self.hint }, operands)
            }
            made => {
                self.runs |= made.is_ok();
                made
            }
        }
    }

    /// Once all calls are made.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the variant runs none of them.
    pub(super) fn check<B: Backend>(self, op: &'static str) -> Result<(), Error> {
        if self.runs {
            return Ok(());
        }
        let name = self.hint.variant.unwrap_or_default();
        let reason = match self.refused.is_empty() {
            true => format!("none of its ops has a variant `{name}`"),
            false => format!("{name} runs none of its ops: {}", self.refused.join("; ")),
        };
        Err(Error::Unsupported { backend: B::NAME, op, reason })
    }
}
