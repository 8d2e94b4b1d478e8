//! The front door: plan once, enqueue many times.

use crate::backend::{Backend, Hint, Provide, Scratch};
use crate::dtype::DType;
use crate::error::{Error, SpecError};
use crate::op::{
    ArgmaxSpec, EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvAppendSpec, Mxfp4PrepackSpec, RmsNormSpec, RopeSpec,
    SwigluSpec,
};
use crate::op::{Op, moe};
use crate::tensor::ViewMut;

/// An op, planned for one device.
pub struct Kernel<O: Op, B: Provide<O>> {
    op: O,
    plan: B::Plan,
}

impl<O: Op, B: Provide<O>> Kernel<O, B> {
    /// Checks the spec and chooses a variant. May load, compile and allocate: not while capturing a graph.
    ///
    /// # Errors
    /// [`Error::Spec`] where the spec makes no sense, [`Error::Unsupported`] where this device has no variant for it.
    pub fn plan(backend: &B, op: O, hint: Hint<'_>) -> Result<Self, Error> {
        op.check()?;
        Ok(Kernel { plan: backend.plan(&op, hint)?, op })
    }

    /// The spec.
    pub fn op(&self) -> &O {
        &self.op
    }

    /// Name of the chosen variant.
    pub fn variant(&self) -> &str {
        B::variant(&self.plan)
    }

    /// Working memory one call needs.
    pub fn scratch(&self) -> Scratch {
        B::scratch(&self.plan)
    }

    /// Validates the operands and records the launches.
    ///
    /// # Errors
    /// [`Error::Spec`] where an operand does not fit the spec, or scratch its alignment; [`Error::Input`] and [`Error::Unsupported`] where
    /// its address or strides are nothing that the variant takes. Nothing was recorded then. [`Error::Device`] from the driver.
    pub fn enqueue(
        &self,
        backend: &B,
        args: O::Args<'_, B>,
        scratch: ViewMut<'_, B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        self.op.bind::<B>(&args)?;
        let (need, have) = (self.scratch().bytes, scratch.info());
        if have.dtype != DType::U8 || have.shape.len() < need {
            return Err(Error::Spec(SpecError {
                op: O::NAME,
                operand: "scratch",
                want: format!("u8 of at least [{need}]"),
                got: format!("{} {:?}", have.dtype, have.shape),
            }));
        }
        backend.enqueue(&self.plan, args, scratch, queue)
    }
}

/// Backends with the grouped GEMM.
pub trait GroupedGemm: Provide<GroupedGemmSpec> {}
impl<B: Provide<GroupedGemmSpec>> GroupedGemm for B {}

/// Backends with the whole of dropless dispatch: routing, sorting, permuting, combining.
pub trait MoeDispatch:
    Provide<moe::RouteSpec>
    + Provide<moe::SortSpec>
    + Provide<moe::DispatchSpec>
    + Provide<moe::PermuteSpec>
    + Provide<moe::CombineSpec>
{
}
impl<B> MoeDispatch for B where
    B: Provide<moe::RouteSpec>
        + Provide<moe::SortSpec>
        + Provide<moe::DispatchSpec>
        + Provide<moe::PermuteSpec>
        + Provide<moe::CombineSpec>
{
}

/// Backends with flash attention.
pub trait FlashAttention: Provide<FlashAttnSpec> {}
impl<B: Provide<FlashAttnSpec>> FlashAttention for B {}

/// Backends with the small ops that a model needs around the three hard ones, when it is loaded too.
pub trait SmallOps:
    Provide<RmsNormSpec>
    + Provide<RopeSpec>
    + Provide<KvAppendSpec>
    + Provide<EmbeddingSpec>
    + Provide<SwigluSpec>
    + Provide<ArgmaxSpec>
    + Provide<Mxfp4PrepackSpec>
{
}
impl<B> SmallOps for B where
    B: Provide<RmsNormSpec>
        + Provide<RopeSpec>
        + Provide<KvAppendSpec>
        + Provide<EmbeddingSpec>
        + Provide<SwigluSpec>
        + Provide<ArgmaxSpec>
        + Provide<Mxfp4PrepackSpec>
{
}

/// Backends with every op.
pub trait AllOps: Backend + GroupedGemm + MoeDispatch + FlashAttention + SmallOps {}
impl<B: Backend + GroupedGemm + MoeDispatch + FlashAttention + SmallOps> AllOps for B {}
