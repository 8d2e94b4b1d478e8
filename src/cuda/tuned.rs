//! Measured choices: the tables that this crate brings, and how a spec finds its rows in one.

use super::Cuda;
use crate::backend::{Backend, Class, DeviceInfo, Hint, Tuned};
use crate::error::Error;
use crate::op::moe::DispatchSpec;
use crate::op::{Epilogue, GroupedGemmSpec, WeightFormat};
use std::sync::{Arc, LazyLock};

/// What `dropless tune` wrote on each device.
const TEXTS: [&str; 1] = [include_str!("../../tuned/h200.toml")];

static TABLES: LazyLock<Vec<Tuned>> = LazyLock::new(|| TEXTS.iter().filter_map(|text| text.parse().ok()).collect());

/// The table of this device, if there is one.
pub(super) fn of(device: &DeviceInfo) -> Option<&'static Tuned> {
    TABLES.iter().find(|table| table.device == device.name)
}

/// The choices that a backend goes by.
#[derive(Clone, Default)]
pub(super) enum Source {
    /// Those that this crate brings for the device, if it brings some.
    #[default]
    Brought,
    /// The caller's.
    Given(Arc<Tuned>),
}

impl Cuda {
    /// The same device, whose variants are chosen by these measurements where they have the op, the class of its shape and a
    /// size near enough, and else as if there were none. An empty table leaves every choice to the cost model.
    ///
    /// # Errors
    /// [`Error::Input`] where they were measured on another device.
    pub fn with_tuned(self, tuned: Tuned) -> Result<Self, Error> {
        let name = &self.device().name;
        if tuned.device != *name {
            return Err(Error::input("tuned rows", format!("were measured on {}, this is {name}", tuned.device)));
        }
        Ok(Cuda { tuned: Source::Given(Arc::new(tuned)), ..self })
    }

    pub(super) fn tuned(&self) -> Option<&Tuned> {
        match &self.tuned {
            Source::Brought => of(self.device()),
            Source::Given(tuned) => Some(tuned),
        }
    }
}

/// What of a GEMM matters beside the rows, and those.
pub(super) fn gemm_class(op: &GroupedGemmSpec, hint: Hint<'_>) -> Class {
    let weights = match op.weights {
        WeightFormat::Dense(dtype) => dtype.to_string(),
        WeightFormat::Mxfp4 => "mxfp4".into(),
        WeightFormat::Mxfp4Gguf => "mxfp4 gguf".into(),
        WeightFormat::Mxfp4Tiled => "mxfp4 tiled".into(),
    };
    let mut name = format!("{} by {weights}, {} of {}x{}", op.a, op.local.count, op.n, op.k);
    let parts = [
        (op.gather.is_some(), ", gather"),
        (matches!(op.epilogue, Epilogue::Swiglu(_)), ", swiglu"),
        (op.combine.is_some(), ", combine"),
    ];
    parts.iter().filter(|(is, _)| *is).for_each(|(_, part)| name.push_str(part));
    Class { name, size: hint.rows.unwrap_or(op.rows) }
}

/// The same of a dispatch, and its tokens.
pub(super) fn dispatch_class(op: &DispatchSpec, hint: Hint<'_>) -> Class {
    let route = &op.route;
    let name = format!("{} of {}, {}", route.top_k, route.experts, route.logits);
    Class { name, size: hint.rows.unwrap_or(route.tokens) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Explain, TunedRow};
    use crate::cuda::variants;
    use crate::devices::known::Known;
    use crate::dtype::DType;

    #[test]
    fn every_table_is_read_and_names_variants_that_there_are() {
        assert_eq!(TABLES.len(), TEXTS.len());
        let variants = variants();
        for row in TABLES.iter().flat_map(|t| &t.rows) {
            assert!(variants.contains(&(&*row.op, &*row.variant)), "{row:?}");
        }
    }

    #[test]
    fn measured_rows_are_chosen_where_they_may_run() {
        let h200 = Known::named("h200").unwrap().info();
        let op = GroupedGemmSpec::linear(64, 5120, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
        let class = gemm_class(&op, Hint::default());
        assert_eq!((&*class.name, class.size), ("bf16 by bf16, 1 of 5120x2880", 64));
        let table = |variant: &str| {
            let (op, variant) = ("grouped_gemm".to_string(), variant.to_string());
            let row = TunedRow { op, class: class.name.clone(), size: class.size, variant };
            Tuned { device: h200.name.clone(), rows: vec![row] }
        };
        let explain = |tuned: &Tuned, op: &GroupedGemmSpec, hint| {
            crate::cuda::choose::explain_tuned(op, &h200, Some(tuned), hint).unwrap()
        };
        let told = explain(&table("simt"), &op, Hint::default());
        assert_eq!(told.chosen, Some("simt"));
        assert!(told.rejected.iter().any(|r| r.reason.contains("simt was measured to be faster")), "{told:?}");
        let chosen = |tuned: &Tuned, op: &GroupedGemmSpec, hint| explain(tuned, op, hint).chosen;
        let model = chosen(&Tuned::default(), &op, Hint::default());
        assert_ne!(model, Some("simt"));
        // A variant that may not run, another class, another size: as if there were no table.
        assert_eq!(chosen(&table("sm90_decode_16"), &op, Hint::default()), model);
        assert_eq!(chosen(&table("nothing"), &op, Hint::default()), model);
        let wide = GroupedGemmSpec { n: 5248, ..op };
        assert_ne!(chosen(&table("simt"), &wide, Hint::default()), Some("simt"));
        assert_ne!(chosen(&table("simt"), &GroupedGemmSpec { rows: 16, ..op }, Hint::default()), Some("simt"));
        let forced = Hint { variant: Some("sm80_16x128"), ..Hint::default() };
        assert_eq!(chosen(&table("simt"), &op, forced), Some("sm80_16x128"));
        assert_eq!(Cuda::explain(&op, &h200, forced).unwrap().chosen, Some("sm80_16x128"));
    }
}
