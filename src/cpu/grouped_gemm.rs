//! Grouped matrix multiplication: every weight row meets every row of its expert.
//!
//! Weights stay as they are stored: a weight row is decoded where it is used, for up to [`CHUNK`] rows at a time, so that no
//! dequantised expert ever exists. Weight rows run in parallel, each result is one [`dot`] (the twin's: [`tensor_cores::dot`]).

use super::faults::Faults;
use super::moe::add_weighted;
use super::provide::provide;
use super::real::{Real, dot};
use super::rows::{Rows, RowsMut, ints, optional_ints};
use super::swiglu::Unit;
use super::weights::Weights;
use super::{Arithmetic, Cpu, tensor_cores};
use crate::dtype::DType;
use crate::error::Error;
use crate::mutation::{Rule, wrong};
use crate::op::{Combine, Epilogue, Fault, GroupedGemmArgs, GroupedGemmSpec};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of an expert that share one decoding of its weights.
const CHUNK: usize = 64;
/// Weight rows that a thread takes at once, where there are so many.
const WEIGHT_ROWS: usize = 16;

provide!(GroupedGemmSpec, run);

fn run<R: Real>(op: &GroupedGemmSpec, mut args: GroupedGemmArgs<'_, Cpu>, arithmetic: Arithmetic) -> Result<(), Error> {
    let faults = Faults::none();
    let offsets = match &args.offsets {
        Some(offsets) => faults.offsets(&ints(offsets), op.rows),
        None => vec![0, op.rows],
    };
    let gemm = Gemm::<R>::new(op, &args, arithmetic, &faults);
    match op.combine {
        None => gemm.store(&offsets, &mut RowsMut::new(&mut args.d))?,
        Some(combine) => {
            let rows = gemm.all_rows(&offsets)?;
            let (row_of, weight) = (optional_ints(&args.row_of), args.combine_weight.as_ref().map(Rows::new));
            gemm.combine(combine, &rows, &row_of, weight, &mut RowsMut::new(&mut args.d));
        }
    }
    faults.report(&mut args.status);
    Ok(())
}

/// A finished row and the (local) expert it belongs to.
struct Owned<R> {
    expert: usize,
    y: Vec<R>,
}

struct Gemm<'a, R> {
    op: &'a GroupedGemmSpec,
    a: Rows<'a>,
    row_index: Vec<i32>,
    weights: Weights<'a, R>,
    bias: Option<Rows<'a>>,
    unit: Option<Unit<R>>,
    /// Of a row and a weight row.
    dot: fn(&[R], &[R]) -> R,
    faults: &'a Faults,
}

impl<'a, R: Real> Gemm<'a, R> {
    fn new(
        op: &'a GroupedGemmSpec,
        args: &GroupedGemmArgs<'a, Cpu>,
        arithmetic: Arithmetic,
        faults: &'a Faults,
    ) -> Self {
        let bias = args.bias.as_ref().filter(|_| !wrong(Rule::BiasDropped)).map(Rows::new);
        let narrow = matches!(op.a, DType::Bf16 | DType::F16);
        let unit = match op.epilogue {
            Epilogue::None => None,
            Epilogue::Swiglu(swiglu) => Some(Unit::new(swiglu)),
        };
        Gemm {
            op,
            a: Rows::new(&args.a),
            row_index: optional_ints(&args.row_index),
            weights: Weights::new(op, &args.w, args.w_scales.as_ref()),
            bias,
            unit,
            dot: if narrow && arithmetic == Arithmetic::Twin { tensor_cores::dot } else { dot },
            faults,
        }
    }

    /// Rows of each expert, and its place among the local ones if it is one.
    fn groups<'o>(&self, offsets: &'o [usize]) -> impl Iterator<Item = (Range<usize>, Option<usize>)> + use<'o, R> {
        let local = self.op.local;
        offsets
            .windows(2)
            .enumerate()
            .map(move |(expert, ends)| (ends[0]..ends[1], expert.checked_sub(local.first).filter(|e| *e < local.count)))
    }

    /// Without a combine: every expert's rows into `d`, zeros for those that are not here.
    fn store(&self, offsets: &[usize], d: &mut RowsMut<'_>) -> Result<(), Error> {
        for (rows, local) in self.groups(offsets) {
            let Some(expert) = local else {
                d.par_rows(rows).for_each(|mut d| d.zero());
                continue;
            };
            for chunk in chunks(rows) {
                let y = self.finished(expert, chunk.clone())?;
                d.par_rows(chunk).zip(&y).for_each(|(mut d, y)| d.write(y));
            }
        }
        Ok(())
    }

    /// With a combine: every row that a local expert owns.
    fn all_rows(&self, offsets: &[usize]) -> Result<Vec<Option<Owned<R>>>, Error> {
        let mut all: Vec<Option<Owned<R>>> = (0..self.op.rows).map(|_| None).collect();
        for (rows, local) in self.groups(offsets) {
            let Some(expert) = local else { continue };
            for chunk in chunks(rows) {
                let y = self.finished(expert, chunk.clone())?;
                for (place, y) in all[chunk].iter_mut().zip(y) {
                    *place = Some(Owned { expert, y });
                }
            }
        }
        Ok(all)
    }

    /// `d[t] = Σ_j weight[t, j] · y[row_of[t * k + j]]`.
    fn combine(
        &self,
        combine: Combine,
        y: &[Option<Owned<R>>],
        row_of: &[i32],
        weight: Option<Rows<'_>>,
        d: &mut RowsMut<'_>,
    ) {
        let rows = d.par_rows(0..combine.tokens).zip(row_of.par_chunks_exact(combine.top_k));
        rows.enumerate().for_each(|(t, (mut d, row_of))| {
            let mut sum = vec![R::zero(); self.op.n_out()];
            let weights = weight.map_or(Vec::new(), |w| w.row::<R>(t));
            for (weight, row) in weights.into_iter().zip(row_of) {
                if *row == -1 {
                    continue;
                }
                let row = self.faults.index(*row, self.op.rows, Fault::RowIndex);
                let Some(owned) = row.and_then(|r| y[r].as_ref()) else { continue };
                add_weighted(&mut sum, weight, &owned.y);
                if self.bias_outside() {
                    self.add_bias(owned.expert, &mut sum);
                }
            }
            d.write(&sum);
        });
    }

    /// Rows of an expert after bias and epilogue.
    fn finished(&self, expert: usize, rows: Range<usize>) -> Result<Vec<Vec<R>>, Error> {
        let expert = if wrong(Rule::GroupOffByOne) { (expert + 1) % self.op.local.count } else { expert };
        let count = rows.len();
        let products = self.products(expert, rows)?;
        let finish = |i: usize| {
            let mut y: Vec<R> = products.iter().skip(i).step_by(count).copied().collect();
            if !self.bias_outside() {
                self.add_bias(expert, &mut y);
            }
            match &self.unit {
                Some(unit) => unit.apply(&y),
                None => y,
            }
        };
        Ok((0..count).into_par_iter().map(finish).collect())
    }

    /// `W[e] · aᵀ`: all rows' products with weight row 0, then with weight row 1, ...
    fn products(&self, expert: usize, rows: Range<usize>) -> Result<Vec<R>, Error> {
        let (count, k) = (rows.len(), self.op.k);
        let mut a = vec![R::zero(); count * k];
        a.chunks_exact_mut(k).zip(rows).for_each(|(a, r)| self.load(r, a));
        let mut products = vec![R::zero(); self.op.n * count];
        products.par_chunks_exact_mut(count).enumerate().with_min_len(WEIGHT_ROWS).try_for_each_init(
            || vec![R::zero(); k],
            |w, (n, products)| {
                self.weights.row(expert, n, w)?;
                products.iter_mut().zip(a.chunks_exact(k)).for_each(|(product, a)| *product = (self.dot)(a, w));
                Ok::<(), Error>(())
            },
        )?;
        Ok(products)
    }

    /// The input of row `r`; zeros where a gather points outside it.
    fn load(&self, r: usize, a: &mut [R]) {
        let row = match self.op.gather {
            None => Some(r),
            Some(gather) if wrong(Rule::GatherIgnored) => r.checked_rem(gather.input_rows),
            Some(gather) => {
                // The last index that still divides to a row of `a`.
                let end = gather.input_rows.saturating_mul(gather.divide);
                self.faults.index(self.row_index[r], end, Fault::RowIndex).map(|i| i / gather.divide)
            }
        };
        match row {
            Some(row) => self.a.read(row, 0, a),
            None => a.fill(R::zero()),
        }
    }

    fn add_bias(&self, expert: usize, y: &mut [R]) {
        if let Some(bias) = self.bias {
            y.iter_mut().zip(bias.row::<R>(expert)).for_each(|(y, b)| *y += b);
        }
    }

    /// The wrong rule that adds the bias once a summand, outside the weight.
    fn bias_outside(&self) -> bool {
        wrong(Rule::DownBiasOutside) && self.op.combine.is_some() && self.unit.is_none()
    }
}

fn chunks(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(CHUNK).map(move |start| start..end.min(start + CHUNK))
}
