//! Every variant of an op on the rows of the bench: which is the fastest, and which one is chosen without measurements.

use super::catalog::{self, Case, Select};
use super::specs::specs_of;
use super::{Options, Runner};
use crate::backend::{Class, Explain, Explanation, Hint, Timing};
use crate::error::Error;
use crate::kernel::AllOps;
use crate::op::moe::DispatchSpec;
use crate::op::{AnySpec, GroupedGemmSpec};
use crate::testing::random::Random;

/// One row with all variants that run it and are right.
#[derive(Clone, PartialEq, Debug)]
pub struct Tried {
    /// Op, case and tokens of the bench row.
    pub op: &'static str,
    /// Of the op.
    pub case: String,
    /// Tokens of a call.
    pub tokens: usize,
    /// Name of the kernel's op.
    pub kernel: &'static str,
    /// What a chooser finds the row by.
    pub class: Class,
    /// The one that the backend chooses.
    pub chosen: Option<&'static str>,
    /// Variants and their microseconds, the fastest first.
    pub times: Vec<(&'static str, f64)>,
    /// Variants whose result is wrong.
    pub wrong: Vec<&'static str>,
}

impl Tried {
    /// How many times as long as the fastest one the chosen one takes.
    pub fn excess(&self) -> Option<f64> {
        let (_, best) = self.times.first()?;
        let (_, chosen) = self.times.iter().find(|(name, _)| Some(*name) == self.chosen)?;
        Some(chosen / best)
    }
}

/// Measures each variant on the rows that `options` asks for. Rows of several ops, and those whose op has no measured choices,
/// are left out. `found` is given each row once it is measured: all of them take minutes.
///
/// # Errors
/// As [`run`](super::run), and what `found` returns.
pub fn tune<B>(
    backend: &B,
    options: &Options,
    mut progress: impl FnMut(&str),
    mut found: impl FnMut(Tried) -> Result<(), Error>,
) -> Result<(), Error>
where
    B: Timing + AllOps + Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    let mut kept = None;
    for Case { op, case, tokens, what } in catalog::cases(&options.select).map_err(|e| Error::input("tune", e))? {
        for tokens in tokens {
            let [spec] = &specs_of(what, tokens, options.openai_weights)[..] else { continue };
            let Some((kernel, told)) = explain(backend, spec)? else { continue };
            let Some(class) = told.class else { continue };
            let mut tried = Tried {
                op,
                case: case.clone(),
                tokens,
                kernel,
                class,
                chosen: told.chosen,
                times: Vec::new(),
                wrong: Vec::new(),
            };
            for variant in told.chosen.into_iter().chain(told.rejected.iter().map(|r| r.variant)) {
                progress(&format!("{op} {case} {tokens}, {variant}"));
                let options = Options { variant: Some(variant.into()), ..options.clone() };
                let random = Random::named("dropless tune");
                let mut runner = Runner { backend, options: &options, random, kept };
                let measured = runner.case(what, tokens);
                kept = runner.kept.take();
                match measured {
                    Ok(m) if m.rel_err <= m.allowed => tried.times.push((variant, m.times.median)),
                    Ok(_) => tried.wrong.push(variant),
                    Err(Error::Unsupported { .. }) => {}
                    Err(e) => return Err(e),
                }
            }
            tried.times.sort_by(|a, b| a.1.total_cmp(&b.1));
            found(tried)?;
        }
    }
    Ok(())
}

fn explain<B>(backend: &B, spec: &AnySpec) -> Result<Option<(&'static str, Explanation)>, Error>
where
    B: Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    Ok(match spec {
        AnySpec::GroupedGemm(op) => Some((spec.name(), backend.explain_here(op, Hint::default())?)),
        AnySpec::Dispatch(op) => Some((spec.name(), backend.explain_here(op, Hint::default())?)),
        _ => None,
    })
}

/// The rows of the ops that have measured choices, at every power of two of tokens.
pub fn tuned_rows() -> Select {
    let ops = ["moe_mlp1", "moe_mlp2", "grouped_gemm_bf16", "linear", "moe_dispatch"].map(String::from).to_vec();
    let presets = ["gpt-oss-20b", "gpt-oss-120b"].map(String::from).to_vec();
    Select { ops, presets, tokens: (0..14).map(|i| 1 << i).collect(), ..Select::default() }
}
