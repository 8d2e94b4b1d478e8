//! Golden vectors: folders in the format `dropless-vectors/1`, described in docs/vectors.md.
//!
//! A case names an op, parameters, inputs and what must come out, with one bound for each accuracy class. Whatever this
//! crate does not know or take (an op, a parameter value, an input type, a compare kind) is skipped with its reason, never
//! passed.

mod attention;
mod case;
mod compare;
mod files;
mod gemm;
mod host_ops;
mod model;
mod moe_ops;
mod small_ops;
mod tokenize;
mod values;

use crate::backend::{Hint, HostBytes, Provide, Replay};
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::Op;
use crate::testing::conform::rounds;
use crate::testing::harness::{self, Options, Outputs};
use crate::testing::report::{Filter, Report, Row, Status};
use case::{Case, Stop, fail, skip};
use files::Files;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use values::Values;

/// The format that is read.
pub const FORMAT: &str = "dropless-vectors/1";

/// How exact an implementation claims to be; a bound exists for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// f64 throughout: the oracle.
    F64,
    /// f32 arithmetic and outputs.
    F32,
    /// bf16 outputs and stored intermediates, f32 accumulation.
    Bf16,
}

impl Class {
    /// All three.
    pub const ALL: [Class; 3] = [Class::F64, Class::F32, Class::Bf16];

    /// The name in manifests and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Class::F64 => "f64",
            Class::F32 => "f32",
            Class::Bf16 => "bf16",
        }
    }

    /// The class of this name.
    pub fn named(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|c| c.name() == name)
    }

    /// Type of outputs and stored intermediates.
    pub const fn out(self) -> DType {
        match self {
            Class::F64 => DType::F64,
            Class::F32 => DType::F32,
            Class::Bf16 => DType::Bf16,
        }
    }

    /// Type of what stays wide in every class: tables, routing weights, log-sum-exp.
    pub const fn wide(self) -> DType {
        match self {
            Class::F64 => DType::F64,
            _ => DType::F32,
        }
    }

    /// The CPU backend that claims this class.
    pub fn cpu(self) -> Arc<Cpu> {
        Arc::new(match self {
            Class::F64 => Cpu::oracle(),
            Class::F32 => Cpu::new(),
            Class::Bf16 => Cpu::twin(),
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an op gave, by role.
type Actual = Vec<(String, Values)>;

/// A set of golden vectors.
pub struct Vectors {
    files: Files,
    manifest: Arc<Value>,
}

impl Vectors {
    /// The set in a folder.
    ///
    /// # Errors
    /// [`Error::File`] where there is no manifest, or it is not one in this format.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::load(Files::folder(folder))
    }

    /// The set that comes with the crate.
    ///
    /// # Errors
    /// [`Error::File`] where it is damaged.
    pub fn bundled() -> Result<Self, Error> {
        let files = dropless_vectors::files().map_err(|e| Error::file("bundled golden vectors", e))?;
        Self::from_memory(files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect())
    }

    /// The set made of these files, by name relative to the manifest, which is called `manifest.json`.
    ///
    /// # Errors
    /// As [`Vectors::open`].
    pub fn from_memory(files: BTreeMap<String, HostBytes>) -> Result<Self, Error> {
        Self::load(Files::memory(files))
    }

    fn load(files: Files) -> Result<Self, Error> {
        let manifest = files.json("manifest.json")?;
        let format = manifest.get("format").and_then(Value::as_str);
        if format != Some(FORMAT) {
            let got = format.map_or("none".into(), |f| format!("{f:?}"));
            return Err(Error::file("manifest.json", format!("its `format` must be {FORMAT:?}, got {got}")));
        }
        let Some(cases) = manifest.get("cases").and_then(Value::as_array) else {
            return Err(Error::file("manifest.json", "has no list `cases`"));
        };
        let mut seen = std::collections::BTreeSet::new();
        for (i, case) in cases.iter().enumerate() {
            let text = |key| case.get(key).and_then(Value::as_str);
            let (Some(id), Some(_)) = (text("id"), text("op")) else {
                return Err(Error::file("manifest.json", format!("case {i} has not both an `id` and an `op`")));
            };
            if !seen.insert(id) {
                return Err(Error::file("manifest.json", format!("two cases are called {id:?}")));
            }
        }
        Ok(Vectors { files, manifest })
    }

    fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        let list = self.manifest.get("cases").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_object).map(|json| Case { files: &self.files, json })
    }

    /// Ids of all cases, in the manifest's order.
    pub fn ids(&self) -> Vec<&str> {
        self.cases().map(|c| c.text("id")).collect()
    }

    /// Ids of the cases that were seen to fail in class f32 when this wrong rule was in force.
    pub fn catching(&self, rule: &str) -> Vec<&str> {
        let catches = |c: &Case<'_>| {
            let rules = c.json.get("catches").and_then(Value::as_array);
            rules.is_some_and(|rules| rules.iter().any(|r| r.as_str() == Some(rule)))
        };
        self.cases().filter(catches).map(|c| c.text("id")).collect()
    }

    /// Judges `backend`, which claims `class`, by every case that the filter takes.
    pub fn run<B: Replay + AllOps>(
        &self,
        backend: &Arc<B>,
        class: Class,
        filter: &Filter,
        mut progress: impl FnMut(&Row),
    ) -> Report {
        let mut report = Report::default();
        let runner = Runner { backend, class, variant: filter.variant.as_deref() };
        for case in self.cases().filter(|c| filter.takes(c.text("op"), c.text("id"))) {
            let row = self.judge(&runner, &case);
            progress(&row);
            report.rows.push(row);
        }
        report
    }

    fn judge<B: Replay + AllOps>(&self, runner: &Runner<'_, B>, case: &Case<'_>) -> Row {
        let (status, worst, message) = match self.outcome(runner, case) {
            Ok(Ok(worst)) => (Status::Passed, Some(worst), String::new()),
            Ok(Err(words)) | Err(Stop::Fail(words)) => (Status::Failed, None, words),
            Err(Stop::Skip(words)) => (Status::Skipped, None, words),
        };
        let (op, id) = (case.text("op").to_string(), case.text("id").to_string());
        Row { op, backend: B::NAME.into(), case: id, status, worst, message }
    }

    fn outcome<B: Replay + AllOps>(&self, runner: &Runner<'_, B>, case: &Case<'_>) -> Result<compare::Found, Stop> {
        let expected = case.object("expected")?;
        let actual = runner.compute(case)?;
        let (mut worst, mut wrong, mut judged) = (0f64, Vec::new(), 0);
        for (role, entry) in expected {
            let Some((_, got)) = actual.iter().find(|(name, _)| name == role) else {
                match entry.get("optional").and_then(Value::as_bool) {
                    Some(true) => continue,
                    _ => return skip(format!("role `{role}` is not known here")),
                }
            };
            let Some(compare) = entry.get("compare") else {
                return fail(format!("expected `{role}` without `compare`"));
            };
            let want = expected_values(&self.files, entry, role)?;
            let selected = match entry.get("rows") {
                Some(rows) => match case::resolve_tensor(&self.files, rows, "rows")?.to_i32() {
                    Some(rows) => Some(got.rows(&rows)?),
                    None => return fail("`rows` is not i32"),
                },
                None => None,
            };
            let got = selected.as_ref().unwrap_or(got);
            match compare::compare(&self.files, got, &want, compare::rule_for(compare, runner.class)?)? {
                Ok(ratio) => worst = worst.max(ratio),
                Err(words) => wrong.push(format!("{role}: {words}")),
            }
            judged += 1;
        }
        match judged {
            0 => skip("none of its expected roles is known here"),
            _ if wrong.is_empty() => Ok(Ok(worst)),
            _ => Ok(Err(wrong.join("; "))),
        }
    }
}

fn expected_values(files: &Files, entry: &Value, role: &str) -> Result<Values, Stop> {
    if entry.get("pointer").is_none() {
        return Ok(Values::of(&case::resolve_tensor(files, entry, role)?));
    }
    match Values::from_json(&case::resolve_json(files, entry, role)?) {
        Some(values) => Ok(values),
        None => fail(format!("expected `{role}` is not made of numbers")),
    }
}

/// A backend under judgement.
struct Runner<'a, B> {
    backend: &'a Arc<B>,
    class: Class,
    variant: Option<&'a str>,
}

impl<B: Replay + AllOps> Runner<'_, B> {
    fn compute(&self, case: &Case<'_>) -> Result<Actual, Stop> {
        match case.text("op") {
            "mxfp4_decode" => host_ops::decode(case),
            "mxfp4_repack" => host_ops::repack(case),
            "mxfp4_quantize" => host_ops::quantize(case),
            "rope_table" => host_ops::rope_table(case, self.class),
            "rope_apply" => small_ops::rope_apply(self, case),
            "rms_norm" => small_ops::rms_norm(self, case),
            "swiglu" => moe_ops::swiglu(self, case),
            "grouped_gemm" => gemm::grouped_gemm(self, case),
            "moe_route" => moe_ops::route(self, case),
            "moe_permute" => moe_ops::permute(self, case),
            "moe_block" => moe_ops::moe_block(self, case),
            "flash_attn" => attention::flash_attn(self, case),
            "model_logits" | "model_hidden" => model::prefill(self, case),
            "model_greedy" => model::greedy(self, case),
            "tokenize" => tokenize::tokenize(case),
            op => skip(format!("op {op:?} is not known here")),
        }
    }

    /// Runs one op in guarded memory; a fault in the status word is an error.
    fn op<O: Op>(&self, spec: &O, inputs: &[(&'static str, HostTensor)]) -> Result<Outputs, Stop>
    where
        B: Provide<O>,
    {
        if let Some(variant) = self.variant.filter(|name| rounds(O::NAME, name)) {
            return skip(format!("`{variant}` rounds operands first, these results are of operands as they are"));
        }
        let hint = Hint { variant: self.variant, ..Hint::default() };
        let outputs = harness::run(&**self.backend, spec, inputs, Options { hint, ..Options::default() })?;
        Ok(outputs.no_fault()?)
    }
}
