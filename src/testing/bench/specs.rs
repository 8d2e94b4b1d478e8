//! The specs behind the rows, without operands: what would run, and how much work it is.

use super::attention;
use super::catalog::{self, Case, Select, Unknown, What};
use super::dense::{bf16, bf16_work, linear};
use super::moe::{self, Part, mlp1, mlp2};
use super::ragged;
use super::routing::{self, Skew, expected_touched};
use crate::dtype::DType;
use crate::op::{AnySpec, FlashAttnSpec, Op, WeightFormat, Work};

/// A row's specs, in the order they run.
#[derive(Clone, Debug)]
pub struct RowSpecs {
    /// Op of the row.
    pub op: &'static str,
    /// Case of it.
    pub case: String,
    /// Tokens; sequences of a decode.
    pub tokens: usize,
    /// One, or those of a block.
    pub specs: Vec<AnySpec>,
    /// Of the whole row: of the experts' weights those that near-uniform routing touches on average.
    pub work: Work,
}

/// The rows that `select` asks for.
///
/// # Errors
/// A name that nothing has.
pub fn specs(select: &Select, openai_weights: bool) -> Result<Vec<RowSpecs>, Unknown> {
    let weights = format(openai_weights);
    let mut rows = Vec::new();
    for Case { op, case, tokens, what } in catalog::cases(select)? {
        for tokens in tokens {
            let (specs, work) = row(what, tokens, weights);
            rows.push(RowSpecs { op, case: case.clone(), tokens, specs, work });
        }
    }
    Ok(rows)
}

/// The specs of a row.
pub(super) fn specs_of(what: What, tokens: usize, openai_weights: bool) -> Vec<AnySpec> {
    row(what, tokens, format(openai_weights)).0
}

fn format(openai_weights: bool) -> WeightFormat {
    if openai_weights { WeightFormat::Mxfp4 } else { WeightFormat::Mxfp4Tiled }
}

fn row(what: What, tokens: usize, weights: WeightFormat) -> (Vec<AnySpec>, Work) {
    let gemm = AnySpec::GroupedGemm;
    let attention = |spec: FlashAttnSpec| (vec![AnySpec::FlashAttn(spec)], spec.work());
    match what {
        What::Mlp1(p) => {
            let work = moe::work(&p, Part::Mlp1, tokens, expected_touched(&p, tokens, Skew::Uniform));
            (vec![gemm(mlp1(&p, tokens, weights))], work)
        }
        What::Mlp2(p) => {
            let work = moe::work(&p, Part::Mlp2, tokens, expected_touched(&p, tokens, Skew::Uniform));
            (vec![gemm(mlp2(&p, tokens, weights))], work)
        }
        What::Block(p) => {
            let dispatch = AnySpec::Dispatch(routing::spec(&p, tokens));
            let work = moe::work(&p, Part::Block, tokens, expected_touched(&p, tokens, Skew::Uniform));
            (vec![dispatch, gemm(mlp1(&p, tokens, weights)), gemm(mlp2(&p, tokens, weights))], work)
        }
        What::Bf16(p) => {
            let spec = bf16(&p, tokens);
            (vec![gemm(spec)], bf16_work(&spec, expected_touched(&p, tokens, Skew::Uniform)))
        }
        What::Dispatch(p) => {
            let spec = routing::spec(&p, tokens);
            (vec![AnySpec::Dispatch(spec)], spec.work())
        }
        What::Linear { n, k } => {
            let spec = linear(tokens, n, k);
            (vec![gemm(spec)], spec.work())
        }
        What::Prefill { window, head_dim, keys, page, cache } => {
            let spec = attention::spec(1, tokens, keys.unwrap_or(tokens), head_dim, window, cache);
            attention(attention::stored(spec, page))
        }
        What::Decode { window, kv, page, cache } => {
            attention(attention::stored(attention::spec(tokens, 1, kv, 64, window, cache), page))
        }
        What::Ragged { most } => {
            let (specs, _) =
                attention(attention::stored(attention::spec(tokens, 1, most, 64, None, DType::Bf16), None));
            (specs, ragged::work(most, tokens))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_specs_that_make_sense() {
        let rows = specs(&Select::default(), false).unwrap();
        assert!(rows.len() > 60, "{}", rows.len());
        for row in rows {
            let name = format!("{} {} {}", row.op, row.case, row.tokens);
            assert!(row.work.bytes > 0 && row.work.flops > 0 && !row.specs.is_empty(), "{name}");
            row.specs.iter().for_each(|s| s.check().unwrap_or_else(|e| panic!("{name}: {e}")));
        }
    }
}
