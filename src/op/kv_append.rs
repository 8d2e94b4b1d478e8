//! Rotates the keys of new tokens and writes keys and values into the cache; rotates their queries too if asked.
//!
//! `k_cache[slot[t]] = rope(k[t], positions[t]) / k_scale`, `v_cache[slot[t]] = v[t] / v_scale` with a scale for each head, 1 where
//! the spec has none; `q_out[t] = rope(q[t], positions[t])`. Slot -1:
//! nothing is written to the cache for the token; its query is rotated all the same. A slot outside the cache is not
//! written ([`Fault::Slot`](super::Fault::Slot)); a position outside the table rotates to zero
//! ([`Fault::Position`](super::Fault::Position)). Two tokens must not share a slot.

#[cfg(feature = "testing")]
mod cases;

use super::rope::{Pairing, check_table};
use super::{KvStore, Op, Operand, Operands, Work, args, check_sizes, need_cache, need_count, need_float, product};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;

/// Rope and cache write of T new tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KvAppendSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Query heads to rotate in the same launch; 0: keys and values only.
    pub q_heads: usize,
    /// Elements of a head D.
    pub head_dim: usize,
    /// Type of `k`, `v`, `q`. Wider than the cache, keys and queries are rounded once, behind the rotation.
    pub x: DType,
    /// Type of `q_out`.
    pub q_out: DType,
    /// Type of the cache.
    pub cache: DType,
    /// Are keys and values divided by a scale of their head, `k_scale` and `v_scale`, before they are rounded?
    pub scales: bool,
    /// Where the cache keeps a slot.
    pub store: KvStore,
    /// Rows of the rope table.
    pub positions: usize,
    /// Type of the rope table: f32 (f64 in the oracle).
    pub table: DType,
    /// Which elements form a pair.
    pub pairing: Pairing,
}

args! {
    /// Operands of [`KvAppendSpec`].
    KvAppendArgs {
        /// \[T, kv_heads, D\], tokens may be strided.
        k: input,
        /// \[T, kv_heads, D\], tokens may be strided.
        v: input,
        /// \[T, q_heads, D\], tokens may be strided; with q_heads > 0 only.
        q: optional_input,
        /// i32 \[T\].
        positions: input,
        /// \[positions, D/2\].
        cos: input,
        /// \[positions, D/2\].
        sin: input,
        /// i32 \[T\]: slot of each token, -1 to write none.
        slots: input,
        /// f32 \[kv_heads\], with [`KvAppendSpec::scales`].
        k_scale: optional_input,
        /// f32 \[kv_heads\], likewise.
        v_scale: optional_input,
        /// As [`KvStore::shapes`]; rows (pages) may be strided.
        k_cache: output,
        /// As [`KvStore::shapes`]; rows (pages) may be strided.
        v_cache: output,
        /// \[T, q_heads, D\], tokens may be strided. May be exactly the memory of `q` if their types agree.
        q_out: optional_output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

impl Op for KvAppendSpec {
    const NAME: &'static str = "kv_append";
    type Args<'a, B: Backend> = KvAppendArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        check_table(Self::NAME, self.head_dim, self.positions, self.table)?;
        need_count(Self::NAME, "kv_heads", self.kv_heads, 1)?;
        need_float(Self::NAME, "k", self.x)?;
        need_float(Self::NAME, "q_out", self.q_out)?;
        need_cache(Self::NAME, "k_cache", self.cache)?;
        self.store.check(Self::NAME, self.head_dim)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let (kv, table) = ([self.tokens, self.kv_heads, self.head_dim], [self.positions, self.head_dim / 2]);
        let (k_cache, v_cache) = self.store.shapes(self.kv_heads, self.head_dim);
        let mut out = Operands::from_iter([
            Operand::input("k", self.x, &kv).strided(),
            Operand::input("v", self.x, &kv).strided(),
            Operand::input("positions", DType::I32, &[self.tokens]),
            Operand::input("cos", self.table, &table),
            Operand::input("sin", self.table, &table),
            Operand::input("slots", DType::I32, &[self.tokens]),
            Operand::output("k_cache", self.cache, &k_cache).strided(),
            Operand::output("v_cache", self.cache, &v_cache).strided(),
            Operand::status(),
        ]);
        if self.scales {
            out.extend(["k_scale", "v_scale"].map(|name| Operand::input(name, DType::F32, &[self.kv_heads])));
        }
        if self.q_heads > 0 {
            let q = [self.tokens, self.q_heads, self.head_dim];
            out.push(Operand::input("q", self.x, &q).strided());
            out.push(Operand::output("q_out", self.q_out, &q).strided());
        }
        out
    }

    fn work(&self) -> Work {
        let all = |heads: usize, each: usize| product(&[self.tokens, heads, self.head_dim, each]);
        let kv = all(self.kv_heads, 2 * (self.x.bytes() + self.cache.bytes()));
        let rest = all(self.q_heads, self.x.bytes() + self.q_out.bytes()).saturating_add(all(1, self.table.bytes()));
        Work { flops: all(self.kv_heads.saturating_add(self.q_heads), 3), bytes: kv.saturating_add(rest) }
    }
}
