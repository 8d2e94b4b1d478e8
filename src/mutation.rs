//! Wrong rules that a test can inject into the reference, one at a time, to prove that the suite notices.
//!
//! `wrong(rule)` stands in the reference where the rule is decided. Without the `testing` feature it is the constant
//! `false`. The rule in force is global to the process: the mutation test runs alone in its own.

/// A wrong rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Rule {
    NibbleHighFirst = 1,
    E8m0Bias128,
    Scale0IsZero,
    Scale255Is2p128,
    GgufNibblesAsOpenai,
    QuantOtherRule,
    QuantTiesAway,
    QuantDropsNegativeZero,
    QuantNoSaturation,
    BiasDropped,
    GroupOffByOne,
    GatherIgnored,
    ScatterUnweighted,
    ScatterOverwrites,
    GateUpSwapped,
    GateUpHalves,
    NoClamp,
    UpNotClamped,
    GateClampedBelow,
    NoPlusOne,
    Alpha1,
    Alpha1_7,
    TieHighestIndex,
    SoftmaxOtherSide,
    RenormalizeFlipped,
    TopkAscending,
    PermuteUnstable,
    WindowPlus1,
    WindowMinus1,
    WindowIgnored,
    SinkIgnored,
    SinkScaled,
    GqaModulo,
    CausalIgnored,
    CausalTopLeft,
    BlockTableIgnored,
    UnusedSlotsRead,
    PageAxesSwapped,
    LseBase2,
    LseSinkFlipped,
    TruncateFlipped,
    NoConcentration,
    NoYarn,
    PairingSwapped,
    BetasSwapped,
    Eps1e6,
    EpsOutsideMean,
    NormWeightIgnored,
    DownBiasOutside,
    LayerParity,
    SpecialsAsText,
}

#[cfg(feature = "testing")]
mod active {
    use super::Rule;
    use std::sync::atomic::{AtomicU8, Ordering};

    static RULE: AtomicU8 = AtomicU8::new(0);

    /// Is this wrong rule in force?
    #[inline]
    pub fn wrong(rule: Rule) -> bool {
        RULE.load(Ordering::Relaxed) == rule as u8
    }

    /// Puts one wrong rule in force for the whole process, or none.
    pub fn inject(rule: Option<Rule>) {
        RULE.store(rule.map_or(0, |r| r as u8), Ordering::SeqCst);
    }
}

#[cfg(feature = "testing")]
pub use active::{inject, wrong};

/// Is this wrong rule in force? Never, outside tests.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn wrong(_: Rule) -> bool {
    false
}

impl Rule {
    /// All of them, with the names that the golden vectors use.
    pub const ALL: [(Rule, &'static str); 51] = [
        (Rule::NibbleHighFirst, "nibble_high_first"),
        (Rule::E8m0Bias128, "e8m0_bias_128"),
        (Rule::Scale0IsZero, "scale_0_is_zero"),
        (Rule::Scale255Is2p128, "scale_255_is_2p128"),
        (Rule::GgufNibblesAsOpenai, "gguf_nibbles_as_openai"),
        (Rule::QuantOtherRule, "quant_other_rule"),
        (Rule::QuantTiesAway, "quant_ties_away"),
        (Rule::QuantDropsNegativeZero, "quant_drops_negative_zero"),
        (Rule::QuantNoSaturation, "quant_no_saturation"),
        (Rule::BiasDropped, "bias_dropped"),
        (Rule::GroupOffByOne, "group_off_by_one"),
        (Rule::GatherIgnored, "gather_ignored"),
        (Rule::ScatterUnweighted, "scatter_unweighted"),
        (Rule::ScatterOverwrites, "scatter_overwrites"),
        (Rule::GateUpSwapped, "gate_up_swapped"),
        (Rule::GateUpHalves, "gate_up_halves"),
        (Rule::NoClamp, "no_clamp"),
        (Rule::UpNotClamped, "up_not_clamped"),
        (Rule::GateClampedBelow, "gate_clamped_below"),
        (Rule::NoPlusOne, "no_plus_one"),
        (Rule::Alpha1, "alpha_1"),
        (Rule::Alpha1_7, "alpha_1_7"),
        (Rule::TieHighestIndex, "tie_highest_index"),
        (Rule::SoftmaxOtherSide, "softmax_other_side"),
        (Rule::RenormalizeFlipped, "renormalize_flipped"),
        (Rule::TopkAscending, "topk_ascending"),
        (Rule::PermuteUnstable, "permute_unstable"),
        (Rule::WindowPlus1, "window_plus_1"),
        (Rule::WindowMinus1, "window_minus_1"),
        (Rule::WindowIgnored, "window_ignored"),
        (Rule::SinkIgnored, "sink_ignored"),
        (Rule::SinkScaled, "sink_scaled"),
        (Rule::GqaModulo, "gqa_modulo"),
        (Rule::CausalIgnored, "causal_ignored"),
        (Rule::CausalTopLeft, "causal_top_left"),
        (Rule::BlockTableIgnored, "block_table_ignored"),
        (Rule::UnusedSlotsRead, "unused_slots_read"),
        (Rule::PageAxesSwapped, "page_axes_swapped"),
        (Rule::LseBase2, "lse_base_2"),
        (Rule::LseSinkFlipped, "lse_sink_flipped"),
        (Rule::TruncateFlipped, "truncate_flipped"),
        (Rule::NoConcentration, "no_concentration"),
        (Rule::NoYarn, "no_yarn"),
        (Rule::PairingSwapped, "pairing_swapped"),
        (Rule::BetasSwapped, "betas_swapped"),
        (Rule::Eps1e6, "eps_1e_6"),
        (Rule::EpsOutsideMean, "eps_outside_mean"),
        (Rule::NormWeightIgnored, "norm_weight_ignored"),
        (Rule::DownBiasOutside, "down_bias_outside"),
        (Rule::LayerParity, "layer_parity"),
        (Rule::SpecialsAsText, "specials_as_text"),
    ];

    /// The rule of this name.
    pub fn named(name: &str) -> Option<Rule> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(r, _)| *r)
    }
}
