//! Every variant of an op on the rows of the bench: which is the fastest, and which one is chosen without measurements.

use super::catalog::{self, Case, Select, What};
use super::specs::specs_of;
use super::{Options, Runner};
use crate::backend::{Class, Explain, Explanation, Hint, Timing};
use crate::error::Error;
use crate::kernel::AllOps;
use crate::op::moe::DispatchSpec;
use crate::op::{AnySpec, GroupedGemmSpec};
use crate::testing::random::Random;
use std::ops::ControlFlow;

/// One row with all variants that run it, and of which the fastest is right.
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
    /// Faster variants, whose result is wrong.
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

/// How a variant did.
enum Outcome {
    /// Microseconds of a call.
    Took(f64),
    Wrong,
    /// It does not run this row.
    Refused,
}

/// Measures each variant on the rows that `options` asks for. Rows of several ops, and those whose op has no measured choices,
/// are left out. Of a row all variants are timed, then the result of the fastest is looked at, of the next where it is wrong. `found`
/// is given each row once it is measured, and may end it there: all of them take minutes. `progress` is told what comes next, as
/// the row of how many it is.
///
/// # Errors
/// As [`run`](super::run), and what `found` returns.
pub fn tune<B>(
    backend: &B,
    options: &Options,
    mut progress: impl FnMut(&str),
    mut found: impl FnMut(Tried) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error>
where
    B: Timing + AllOps + Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    let rows = rows(backend, options)?;
    let (mut kept, total) = (None, rows.len());
    for (n, (what, candidates, mut tried)) in rows.into_iter().enumerate() {
        let (op, case, tokens) = (tried.op, tried.case.clone(), tried.tokens);
        let measure = |variant: &'static str, quick: bool| {
            let doing = if quick { "" } else { " checked" };
            progress(&format!("{} of {total}: {op} {case} {tokens}, {variant}{doing}", n + 1));
            let options = Options { variant: Some(variant.into()), ..options.clone() };
            let random = Random::named("dropless tune");
            let mut runner = Runner { backend, options: &options, random, kept: kept.take(), quick, clock: None };
            let measured = runner.case(what, tokens);
            kept = runner.kept;
            match measured {
                Ok(m) if m.rel_err <= m.allowed => Ok(Outcome::Took(m.times.median)),
                Ok(_) => Ok(Outcome::Wrong),
                Err(Error::Unsupported { .. }) => Ok(Outcome::Refused),
                Err(e) => Err(e),
            }
        };
        try_all(&candidates, &mut tried, measure)?;
        if found(tried)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// A row to measure, and the variants there are.
type Row = (What, Vec<&'static str>, Tried);

fn rows<B>(backend: &B, options: &Options) -> Result<Vec<Row>, Error>
where
    B: Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    let mut rows = Vec::new();
    for Case { op, case, tokens, what } in catalog::cases(&options.select).map_err(|e| Error::input("tune", e))? {
        for tokens in tokens {
            let [spec] = &specs_of(what, tokens, options.openai_weights)[..] else { continue };
            let Some((kernel, told)) = explain(backend, spec)? else { continue };
            let Some(class) = told.class else { continue };
            let (case, chosen, times, wrong) = (case.clone(), told.chosen, Vec::new(), Vec::new());
            let candidates = told.chosen.into_iter().chain(told.rejected.iter().map(|r| r.variant)).collect();
            rows.push((what, candidates, Tried { op, case, tokens, kernel, class, chosen, times, wrong }));
        }
    }
    Ok(rows)
}

/// Times every candidate by `measure`, quickly; then not quickly, with a look at the result, the fastest, until one is right.
fn try_all(
    candidates: &[&'static str],
    tried: &mut Tried,
    mut measure: impl FnMut(&'static str, bool) -> Result<Outcome, Error>,
) -> Result<(), Error> {
    for variant in candidates {
        if let Outcome::Took(us) = measure(variant, true)? {
            tried.times.push((variant, us));
        }
    }
    tried.times.sort_by(|a, b| a.1.total_cmp(&b.1));
    while let Some((variant, _)) = tried.times.first() {
        if let Outcome::Took(_) = measure(variant, false)? {
            break;
        }
        tried.wrong.push(variant);
        tried.times.remove(0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Tried {
        let class = Class { name: "k64".into(), size: 1 };
        let (case, chosen, times, wrong) = ("tiny".into(), Some("usual"), Vec::new(), Vec::new());
        Tried { op: "linear", case, tokens: 1, kernel: "grouped_gemm", class, chosen, times, wrong }
    }

    /// Four variants: the fastest is wrong, one does not run the row. Each is timed once, as few as are needed are looked at.
    #[test]
    fn the_fastest_that_is_right() {
        let (mut tried, mut calls) = (row(), Vec::new());
        let measure = |variant: &'static str, quick| {
            calls.push((variant, quick));
            Ok(match (variant, quick) {
                ("usual", _) => Outcome::Took(9.0),
                ("wrong", true) => Outcome::Took(1.0),
                ("wrong", false) => Outcome::Wrong,
                ("good", _) => Outcome::Took(3.0),
                _ => Outcome::Refused,
            })
        };
        try_all(&["usual", "wrong", "other", "good"], &mut tried, measure).unwrap();
        assert_eq!(tried.times, [("good", 3.0), ("usual", 9.0)]);
        assert_eq!(tried.wrong, ["wrong"]);
        assert_eq!(tried.excess(), Some(3.0));
        let timed = ["usual", "wrong", "other", "good"].map(|v| (v, true));
        assert_eq!(calls, [&timed[..], &[("wrong", false), ("good", false)]].concat());
    }

    #[test]
    fn an_error_is_the_result_and_nothing_right_is_no_row() {
        let mut tried = row();
        let lost = try_all(&["usual"], &mut tried, |_, _| Err(Error::input("a device", "is gone")));
        assert!(lost.unwrap_err().to_string().contains("is gone"));
        try_all(&["usual"], &mut tried, |_, quick| Ok(if quick { Outcome::Took(1.0) } else { Outcome::Wrong }))
            .unwrap();
        assert_eq!((tried.times.as_slice(), tried.wrong.as_slice()), (&[][..], &["usual"][..]));
    }
}
