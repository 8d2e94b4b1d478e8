//! The layer's results on a few tokens, against the oracle.

use super::{Operands, mlp1, mlp2};
use crate::backend::{Provide, Runtime};
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::op::GroupedGemmSpec;
use crate::testing::bench::catalog::Preset;
use crate::testing::bench::check::{relative_error, sample};
use crate::testing::bench::experts::{Experts, Named};
use crate::testing::bench::operand::{Call, Slot};
use crate::testing::bench::routing::Routing;

/// The tokens that are checked, and their own routing.
struct Sampled {
    tokens: Vec<usize>,
    routing: Routing,
}

impl Sampled {
    fn new<B: Runtime>(p: &Preset, operands: &Operands<B>) -> Result<Self, Error> {
        let logits = &operands.logits[0];
        let tokens = sample(logits.shape[0], 4);
        let row = p.experts * logits.dtype.bytes();
        let bytes = logits.bytes.as_slice();
        let rows: Vec<u8> = tokens.iter().flat_map(|t| &bytes[t * row..(t + 1) * row]).copied().collect();
        let logits = HostTensor::new(logits.dtype, &[tokens.len(), p.experts], rows.into())?;
        Ok(Sampled { routing: Routing::of(p, &logits)?, tokens })
    }

    /// For each assignment of these tokens: its row among them, and among all.
    fn rows(&self, p: &Preset, all: &Routing) -> Vec<(usize, usize)> {
        let (here, all) = (self.routing.inverse.to_i32().unwrap_or_default(), all.inverse.to_i32().unwrap_or_default());
        let assignment = |a: usize| self.tokens[a / p.top_k] * p.top_k + a % p.top_k;
        here.iter().enumerate().map(|(a, row)| (*row as usize, all[assignment(a)] as usize)).collect()
    }
}

fn rows_of(tensors: &[HostTensor], row: &[usize], dtype: DType) -> Result<HostTensor, Error> {
    let bytes: Vec<u8> = tensors.iter().flat_map(|t| t.bytes.as_slice()).copied().collect();
    HostTensor::new(dtype, &[&[tensors.len()], row].concat(), bytes.into())
}

/// What the reference computes for the sampled tokens.
struct Oracle<'a, B: Runtime> {
    preset: &'a Preset,
    experts: &'a Experts<B>,
    operands: &'a Operands<B>,
    sampled: Sampled,
}

impl<'a, B: Runtime> Oracle<'a, B> {
    fn new(preset: &'a Preset, experts: &'a Experts<B>, operands: &'a Operands<B>) -> Result<Self, Error> {
        Ok(Oracle { preset, experts, operands, sampled: Sampled::new(preset, operands)? })
    }

    /// One GEMM of the sampled rows in f64.
    fn gemm(
        &self,
        spec: GroupedGemmSpec,
        a: &HostTensor,
        weights: Named<Cpu>,
        index: &[(&'static str, &HostTensor)],
    ) -> Result<HostTensor, Error> {
        let cpu = Cpu::oracle();
        let spec = GroupedGemmSpec { a: a.dtype, d: DType::F64, ..spec };
        let d = Slot::empty(&cpu, DType::F64, &[spec.out_rows(), spec.n_out()], 1)?;
        let mut named = weights;
        named.extend([("a", Slot::import(&cpu, a)?), ("d", d.clone())]);
        for (name, tensor) in index {
            named.push((*name, Slot::import(&cpu, tensor)?));
        }
        Call::new(&cpu, spec, Default::default(), named)?.run(&cpu)?;
        d.read(&cpu)
    }

    /// Expert rows \[sampled tokens * k, I\].
    fn mlp1(&self) -> Result<HostTensor, Error> {
        let (p, routing) = (self.preset, &self.sampled.routing);
        let tokens = self.sampled.tokens.iter();
        let x: Vec<HostTensor> = tokens.map(|t| self.operands.x.host_rows(*t, 1)).collect::<Result<_, _>>()?;
        let spec = mlp1(p, x.len(), self.experts.format().of_spec());
        let index = [("offsets", &routing.offsets), ("row_index", &routing.sorted)];
        self.gemm(spec, &rows_of(&x, &[p.hidden], DType::Bf16)?, self.experts.up_on_host(&Cpu::oracle())?, &index)
    }

    /// Token rows \[sampled tokens, H\] from expert rows.
    fn mlp2(&self, activated: &HostTensor) -> Result<HostTensor, Error> {
        let routing = &self.sampled.routing;
        let spec = mlp2(self.preset, self.sampled.tokens.len(), self.experts.format().of_spec());
        let index = [("offsets", &routing.offsets), ("row_of", &routing.inverse), ("combine_weight", &routing.weight)];
        self.gemm(spec, activated, self.experts.down_on_host(&Cpu::oracle())?, &index)
    }

    /// Error of the sampled tokens' rows of the result.
    fn error(&self, backend: &B, want: &HostTensor) -> Result<f64, Error> {
        let mut got = Vec::new();
        for token in &self.sampled.tokens {
            got.extend(self.operands.out.read_rows(backend, *token, 1)?.to_f64());
        }
        Ok(relative_error(&got, &want.to_f64()))
    }
}

/// What a row ran on.
pub(super) struct Ran<'a, B: Runtime> {
    pub(super) backend: &'a B,
    pub(super) preset: &'a Preset,
    pub(super) experts: &'a Experts<B>,
    pub(super) operands: &'a Operands<B>,
}

impl<B: Runtime + Provide<GroupedGemmSpec>> Ran<'_, B> {
    fn oracle(&self) -> Result<Oracle<'_, B>, Error> {
        Oracle::new(self.preset, self.experts, self.operands)
    }

    /// Error of the first GEMM alone.
    pub(super) fn mlp1(&self, call: &Call<GroupedGemmSpec, B>) -> Result<f64, Error> {
        call.run(self.backend)?;
        let (p, oracle) = (self.preset, self.oracle()?);
        let want = oracle.mlp1()?.to_f64();
        let (mut got, mut wanted) = (Vec::new(), Vec::new());
        for (here, there) in oracle.sampled.rows(p, &self.operands.routing[0]) {
            got.extend(self.operands.activated.read_rows(self.backend, there, 1)?.to_f64());
            wanted.extend_from_slice(&want[here * p.intermediate..(here + 1) * p.intermediate]);
        }
        Ok(relative_error(&got, &wanted))
    }

    /// Error of the second GEMM alone, on the activations that it was given.
    pub(super) fn mlp2(&self, call: &Call<GroupedGemmSpec, B>) -> Result<f64, Error> {
        call.run(self.backend)?;
        let (p, oracle) = (self.preset, self.oracle()?);
        let mut rows = oracle.sampled.rows(p, &self.operands.routing[0]);
        rows.sort_unstable();
        let activated: Vec<HostTensor> =
            rows.iter().map(|(_, there)| self.operands.activated.host_rows(*there, 1)).collect::<Result<_, _>>()?;
        let activated = rows_of(&activated, &[p.intermediate], DType::Bf16)?;
        oracle.error(self.backend, &oracle.mlp2(&activated)?)
    }

    /// Error of a whole layer.
    pub(super) fn block(&self) -> Result<f64, Error> {
        let oracle = self.oracle()?;
        oracle.error(self.backend, &oracle.mlp2(&oracle.mlp1()?)?)
    }
}
