//! Ops of the format that run on the host whatever the backend: the MXFP4 codec and the rope table.

use super::case::{Case, Params, Stop, skip};
use super::values::Values;
use super::{Actual, Class};
use crate::dtype::DType;
use crate::host::HostTensor;
use crate::mxfp4::{self, BLOCK, Gguf, Layout, OpenAi, ScaleRule};
use crate::op::YarnRope;

#[derive(Clone, Copy, PartialEq)]
enum BlockLayout {
    OpenAi,
    Gguf,
}

const LAYOUTS: [(&str, BlockLayout); 2] = [("openai", BlockLayout::OpenAi), ("gguf", BlockLayout::Gguf)];

fn bytes_as(shape: Vec<usize>, bytes: &[u8]) -> Values {
    Values { shape, data: bytes.iter().map(|b| f64::from(*b)).collect(), dtype: Some(DType::U8) }
}

/// Calls `f` with the case's blocks, whatever their shape, each as a row.
fn with_blocks<T>(
    case: &Case<'_>,
    layout: BlockLayout,
    f: impl FnOnce(&dyn Layout) -> Result<T, Stop>,
) -> Result<T, Stop> {
    match layout {
        BlockLayout::OpenAi => {
            let (blocks, scales) = (case.bytes("blocks")?, case.bytes("scales")?);
            f(&OpenAi::new(blocks.bytes.as_slice(), scales.bytes.as_slice(), scales.len(), BLOCK)?)
        }
        BlockLayout::Gguf => {
            let data = case.bytes("data")?;
            f(&Gguf::new(data.bytes.as_slice(), data.len() / 17, BLOCK)?)
        }
    }
}

pub(super) fn decode(case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    p.only("block", 32)?;
    p.only("scale_bias", 127)?;
    p.only("scale_255", "nan")?;
    let dtype = p.one_of("out_dtype", &[("f64", DType::F64), ("f32", DType::F32)])?;
    with_blocks(case, p.one_of("layout", &LAYOUTS)?, |layout| {
        let (mut values, mut codes) = (Vec::new(), Vec::new());
        for row in 0..layout.rows() {
            let block = layout.block(row, 0);
            values.extend(block.values().map(|v| dtype.round(v)));
            codes.extend(block.codes);
        }
        let values = Values { shape: vec![values.len()], data: values, dtype: Some(dtype) };
        Ok(vec![("values".into(), values), ("codes".into(), bytes_as(vec![codes.len()], &codes))])
    })
}

pub(super) fn repack(case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    p.only("block", 32)?;
    let to = p.one_of("to", &LAYOUTS)?;
    with_blocks(case, p.one_of("from", &LAYOUTS)?, |from| {
        // The conversions take a sized layout.
        let from = Row(from);
        Ok(match to {
            BlockLayout::Gguf => {
                let data = mxfp4::to_gguf(&from);
                vec![("data".into(), bytes_as(vec![data.len()], &data))]
            }
            BlockLayout::OpenAi => encoded(mxfp4::to_openai(&from)),
        })
    })
}

struct Row<'a>(&'a dyn Layout);

impl Layout for Row<'_> {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn k(&self) -> usize {
        self.0.k()
    }

    fn block(&self, row: usize, index: usize) -> mxfp4::Block {
        self.0.block(row, index)
    }
}

fn encoded(e: mxfp4::Encoded) -> Actual {
    let (blocks, scales) = (bytes_as(vec![e.blocks.len()], &e.blocks), bytes_as(vec![e.scales.len()], &e.scales));
    vec![("blocks".into(), blocks), ("scales".into(), scales)]
}

pub(super) fn quantize(case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    p.only("layout", "openai")?;
    p.only("block", 32)?;
    p.only("zero_block_scale", 0)?;
    p.only("keep_negative_zero", true)?;
    p.only("element_rounding", "nearest_even")?;
    p.only("saturate", 6.0)?;
    let rule = p.one_of("rule", &[("ocp", ScaleRule::Ocp), ("round_up", ScaleRule::RoundUp)])?;
    let x = case.tensor("x")?;
    if !matches!(x.dtype, DType::F32 | DType::Bf16 | DType::F16) {
        return skip(format!("input `x` is {}, the quantiser takes f32", x.dtype));
    }
    let values: Vec<f32> = x.to_f64().iter().map(|v| *v as f32).collect();
    match mxfp4::encode(&values, rule) {
        Ok(e) => Ok(encoded(e)),
        Err(e) => skip(e.to_string()),
    }
}

/// Most pairs of a head that a table is made for.
const MOST_PAIRS: usize = 1 << 16;

/// The rope parameters of a case or of a model.
pub(super) fn yarn(p: &Params<'_>) -> Result<YarnRope, Stop> {
    p.only("concentration", "0.1*ln(factor)+1")?;
    let (head_dim, theta, factor) = (p.count("head_dim")?, p.number("theta")?, p.number("factor")?);
    // A plain table does not look at the rest.
    let plain = |key| factor <= 1.0 && !p.has(key);
    let rope = YarnRope {
        head_dim,
        theta: theta.into(),
        factor: factor.into(),
        beta_fast: if plain("beta_fast") { 32.0 } else { p.number("beta_fast")? }.into(),
        beta_slow: if plain("beta_slow") { 1.0 } else { p.number("beta_slow")? }.into(),
        original: if plain("original") { 1 } else { p.count("original")? },
        truncate: !plain("truncate") && p.flag("truncate")?,
    };
    if rope.head_dim == 0 || !rope.head_dim.is_multiple_of(2) {
        return skip(format!("head_dim {} is not even and above zero", rope.head_dim));
    }
    Ok(rope)
}

pub(super) fn rope_table(case: &Case<'_>, class: Class) -> Result<Actual, Stop> {
    let rope = yarn(&case.params()?)?;
    let positions = case.i32s("positions")?;
    let (rows, half) = (positions.len(), rope.head_dim / 2);
    for role in ["cos", "sin"] {
        case.expect_len(role, rows.checked_mul(half))?;
    }
    case.expect_len("inv_freq", Some(half))?;
    if half > MOST_PAIRS {
        return skip(format!("head_dim {} is more than {}", rope.head_dim, 2 * MOST_PAIRS));
    }
    let table = rope.table(positions.iter().map(|p| i64::from(*p)));
    let rounded = |shape: &[usize], values: &[f64]| -> Result<Values, Stop> {
        Ok(Values::of(&HostTensor::from_f64(class.wide(), shape, values)?))
    };
    Ok(vec![
        ("cos".into(), rounded(&[rows, half], &table.cos)?),
        ("sin".into(), rounded(&[rows, half], &table.sin)?),
        ("inv_freq".into(), rounded(&[half], &rope.inv_freq())?),
        ("concentration".into(), rounded(&[1], &[rope.concentration()])?),
    ])
}
