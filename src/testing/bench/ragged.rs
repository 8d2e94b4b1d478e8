//! The attention row of a batch whose sequences are as different as they may be.

use super::attention::{self, Checked};
use super::catalog::HEADS;
use super::check::sample;
use super::operand::Slot;
use super::pattern::Pattern;
use super::{Measured, Runner};
use crate::backend::Timing;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::{FlashAttnSpec, KvStore, Op, Work};

const DIM: usize = 64;

/// From `most` keys down to one, each sequence by the same factor fewer than the one before.
fn lengths(most: usize, sequences: usize) -> Vec<usize> {
    let last = sequences.saturating_sub(1).max(1) as f64;
    (0..sequences).map(|s| (most as f64).powf(1.0 - s as f64 / last).round() as usize).collect()
}

/// The sequences' as if each stood alone.
pub(super) fn work(most: usize, sequences: usize) -> Work {
    let each =
        lengths(most, sequences).into_iter().map(|len| attention::spec(1, 1, len, DIM, None, DType::Bf16).work());
    each.fold(Work { flops: 0, bytes: 0 }, |all, one| Work {
        flops: all.flops + one.flops,
        bytes: all.bytes + one.bytes,
    })
}

impl<B: Timing + AllOps> Runner<'_, B> {
    /// One query for each of a batch of sequences of up to `most` keys, contiguous.
    pub(super) fn ragged(&mut self, batch: usize, most: usize) -> Result<Measured, Error> {
        let lengths = lengths(most, batch);
        let total: usize = lengths.iter().sum();
        let begins: Vec<usize> = (0..batch).map(|s| lengths[..s].iter().sum()).collect();
        let sets = self.sets(total * 2 * HEADS.1 * DIM * DType::Bf16.bytes());
        let ints = |values: Vec<usize>| {
            HostTensor::from_i32(&[batch], &values.into_iter().map(|n| n as i32).collect::<Vec<_>>())
        };
        let starts = (0..sets).map(|set| ints(begins.iter().map(|begin| set * total + begin).collect()));
        let index = vec![
            ("k_start", Slot::of(self.backend, &starts.collect::<Result<Vec<_>, _>>()?)?),
            ("k_len", Slot::of(self.backend, &[ints(lengths.clone())?])?),
        ];
        let store = KvStore::Packed { tokens: sets * total };
        let spec = FlashAttnSpec { store, ..attention::spec(batch, 1, most, DIM, None, DType::Bf16) };
        let numbers = Pattern::normals(DType::Bf16, 1.0, &mut self.random)?;
        let shape = spec.store.shapes(HEADS.1, DIM).0;
        let k = Slot::filled(self.backend, DType::Bf16, &shape, 1, &numbers)?;
        let v = Slot::filled(self.backend, DType::Bf16, &shape, 1, &numbers)?;
        let keys = |row: usize| begins[row]..begins[row] + lengths[row];
        let checked = sample(batch, attention::CHECKED).into_iter().map(|row| Checked { row, keys: vec![keys(row)] });
        let measured = self.attention(spec, sets, &numbers, (k, v), index, &checked.collect::<Vec<_>>())?;
        Ok(Measured { work: work(most, batch), ..measured })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_go_from_the_most_to_one() {
        assert_eq!(lengths(131_072, 8), [131_072, 24_347, 4522, 840, 156, 29, 5, 1]);
        assert_eq!(lengths(100, 1), [100]);
        assert_eq!(work(100, 1), attention::spec(1, 1, 100, DIM, None, DType::Bf16).work());
    }
}
