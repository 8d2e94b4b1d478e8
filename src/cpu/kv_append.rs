//! Rope and cache write of new tokens.

use super::Arithmetic;
use super::cache::runs;
use super::faults::Faults;
use super::provide::provide;
use super::real::Real;
use super::rope::Rotation;
use super::rows::{Rows, RowsMut, ints};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::op::{Fault, KvAppendArgs, KvAppendSpec};
use crate::tensor::View;

provide!(KvAppendSpec, run);

/// Token after token: should two of them share a slot after all, the later one wins.
fn run<R: Real>(op: &KvAppendSpec, mut args: KvAppendArgs<'_, Cpu>, _: Arithmetic) -> Result<(), Error> {
    let (k, v, q) = (Rows::new(&args.k), Rows::new(&args.v), args.q.as_ref().map(Rows::new));
    let rotation = Rotation::new(&args.cos, &args.sin, op.pairing, op.head_dim);
    let faults = Faults::none();
    let (mut k_cache, mut v_cache) = (RowsMut::new(&mut args.k_cache), RowsMut::new(&mut args.v_cache));
    let mut q_out = args.q_out.as_mut().map(RowsMut::new);
    let scales = |view: &Option<View<'_, Cpu>>| match view {
        Some(view) => Rows::new(view).row::<R>(0),
        None => vec![R::one(); op.kv_heads],
    };
    let (k_scale, v_scale) = (scales(&args.k_scale), scales(&args.v_scale));
    let (key_run, value_run) = runs(op.store, op.head_dim);
    for (t, (position, slot)) in ints(&args.positions).into_iter().zip(ints(&args.slots)).enumerate() {
        if let (Some(q), Some(q_out)) = (&q, &mut q_out) {
            let mut heads: Vec<R> = q.row(t);
            rotation.apply(&mut heads, position, &faults);
            q_out.piece(t, 0, heads.len()).write(&heads);
        }
        if slot == -1 {
            continue;
        }
        let Some(slot) = faults.index(slot, op.store.slots(), Fault::Slot) else { continue };
        let (mut keys, mut values): (Vec<R>, Vec<R>) = (k.row(t), v.row(t));
        rotation.apply(&mut keys, position, &faults);
        divide(&mut keys, &k_scale, op.head_dim);
        divide(&mut values, &v_scale, op.head_dim);
        for head in 0..op.kv_heads {
            for d in (0..op.head_dim).step_by(key_run) {
                let (row, at) = op.store.key_at(slot, head, d, op.kv_heads, op.head_dim);
                k_cache.piece(row, at, key_run).write(&keys[head * op.head_dim + d..][..key_run]);
            }
            for d in (0..op.head_dim).step_by(value_run) {
                let (row, at) = op.store.value_at(slot, head, d, op.kv_heads, op.head_dim);
                v_cache.piece(row, at, value_run).write(&values[head * op.head_dim + d..][..value_run]);
            }
        }
    }
    faults.report(&mut args.status);
    Ok(())
}

/// Each head's elements by its scale.
fn divide<R: Real>(x: &mut [R], scales: &[R], dim: usize) {
    for (head, scale) in x.chunks_exact_mut(dim).zip(scales) {
        head.iter_mut().for_each(|x| *x = *x / *scale);
    }
}
