//! Bad operands that only the device sees. No backend reads or writes outside the operands because of one; each does
//! what is written here and, where the caller gave a status word, adds the fault's bit to it.

use std::fmt;

/// A kind of bad device-side operand, as one bit of the status word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Fault {
    /// Row offsets or cumulative lengths negative, decreasing or past the end. Each is clamped to between the one before
    /// it and the upper bound.
    Offsets = 1 << 0,
    /// A gather row outside the input (its row reads as zeros), or a combine row outside the rows (it contributes zero).
    RowIndex = 1 << 1,
    /// An expert id outside 0..E. The assignment belongs to no expert and is sorted behind all others.
    ExpertId = 1 << 2,
    /// A page outside the cache where a visible key would be. Its keys are not visible.
    Page = 1 << 3,
    /// A length negative or past what its table, cache or spec holds. It is clamped.
    Length = 1 << 4,
    /// A token id outside the vocabulary. Its embedding is zero.
    TokenId = 1 << 5,
    /// A position outside the rope table. The rotated vector is zero.
    Position = 1 << 6,
    /// A cache slot outside the cache, other than -1 (skip). Nothing is written for it.
    Slot = 1 << 7,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Fault; 8] = [
        Fault::Offsets,
        Fault::RowIndex,
        Fault::ExpertId,
        Fault::Page,
        Fault::Length,
        Fault::TokenId,
        Fault::Position,
        Fault::Slot,
    ];

    /// The bit.
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// The kinds in a status word.
    pub fn in_word(word: u32) -> impl Iterator<Item = Fault> {
        Self::ALL.into_iter().filter(move |f| word & f.bit() != 0)
    }

    /// A status word in words; `None` where nothing was wrong.
    pub fn describe(word: u32) -> Option<String> {
        let words: Vec<String> = Self::in_word(word).map(|f| f.to_string()).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Offsets => "offsets decrease or leave the rows: clamped",
            Fault::RowIndex => "a row index is outside the rows: taken as zero",
            Fault::ExpertId => "an expert id is outside the experts: assigned to none",
            Fault::Page => "a page number is outside the cache: its keys were not seen",
            Fault::Length => "a length is outside what its cache or table holds: clamped",
            Fault::TokenId => "a token id is outside the vocabulary: embedded as zero",
            Fault::Position => "a position is outside the rope table: rotated to zero",
            Fault::Slot => "a cache slot is outside the cache: not written",
        })
    }
}
