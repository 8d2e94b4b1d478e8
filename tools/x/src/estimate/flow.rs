//! The main loop of a kernel, and the way through it.

use super::facts;
use super::listing::Instruction;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What a way does: operations of matrix units; bytes loaded in sixteens, and in words, as what is not aligned is not; instructions.
type Score = (u64, [u64; 2], Reverse<u64>);

/// Code without branches but at its end.
struct Block<'a> {
    code: &'a [Instruction],
    next: Vec<usize>,
}

/// Instructions of a step of the main loop, in their order; `None` where there is no loop that loads or multiplies, or where
/// what it does depends on how often a loop within it runs.
pub fn main_loop(code: &[Instruction]) -> Option<Vec<Instruction>> {
    let blocks = blocks(code);
    let loops = loops(&blocks);
    let matrix = |body: &BTreeSet<usize>| body.iter().map(|b| score(blocks[*b].code).0).sum::<u64>();
    let bytes = |body: &BTreeSet<usize>| body.iter().map(|b| score(blocks[*b].code).1[1]).sum::<u64>();
    let work = |body: &BTreeSet<usize>| (matrix(body), if matrix(body) > 0 { 0 } else { bytes(body) });
    let mut best: Option<(Score, Vec<usize>)> = None;
    for (head, body) in &loops {
        let inner: Vec<&BTreeSet<usize>> =
            loops.iter().filter(|(h, _)| *h != head && body.contains(h)).map(|(_, b)| b).collect();
        // The work of a loop whose inner loop multiplies too is the inner one's.
        if work(body) == (0, 0) || inner.iter().any(|b| matrix(b) > 0) {
            continue;
        }
        let avoided: BTreeSet<usize> = inner.into_iter().flatten().copied().filter(|b| b != head).collect();
        let Some(way) = way(&blocks, *head, &body.difference(&avoided).copied().collect()) else { continue };
        if best.as_ref().is_none_or(|(score, _)| *score < way.0) {
            best = Some(way);
        }
    }
    let (_, way) = best?;
    Some(way.into_iter().flat_map(|b| blocks[b].code.iter().cloned()).collect())
}

fn score(code: &[Instruction]) -> Score {
    let matrix = code.iter().map(|i| facts::flops(&i.name)).sum();
    let loaded = [16, 4].map(|least| code.iter().map(|i| facts::loaded(&i.name)).filter(|n| *n >= 64 * least).sum());
    (matrix, loaded, Reverse(code.len() as u64))
}

fn add(a: Score, b: Score) -> Score {
    (a.0 + b.0, [0, 1].map(|i| a.1[i] + b.1[i]), Reverse(a.2.0 + b.2.0))
}

fn blocks(code: &[Instruction]) -> Vec<Block<'_>> {
    let mut starts: BTreeSet<u64> =
        code.iter().filter_map(|i| i.target).chain(code.first().map(|i| i.address)).collect();
    starts.extend(code.windows(2).filter(|p| ends(&p[0])).map(|p| p[1].address));
    let cuts: Vec<usize> =
        code.iter().enumerate().filter(|(_, i)| starts.contains(&i.address)).map(|(at, _)| at).collect();
    let index: BTreeMap<u64, usize> = cuts.iter().enumerate().map(|(block, at)| (code[*at].address, block)).collect();
    let last = cuts.iter().skip(1).copied().chain([code.len()]);
    let pieces = cuts.iter().zip(last).map(|(from, to)| &code[*from..to]);
    let count = cuts.len();
    let next = |(block, code): (usize, &[Instruction])| {
        let Some(end) = code.last() else { return Vec::new() };
        let falls = !matches!(end.name.as_str(), "s_branch" | "s_endpgm" | "s_setpc_b64") && block + 1 < count;
        let target = end.target.and_then(|t| index.get(&t).copied());
        target.into_iter().chain(falls.then_some(block + 1)).collect()
    };
    pieces.enumerate().map(|(block, code)| Block { code, next: next((block, code)) }).collect()
}

fn ends(i: &Instruction) -> bool {
    i.target.is_some() || i.name == "s_endpgm"
}

/// Natural loops: the blocks of each by its head, of all ways back to it.
fn loops(blocks: &[Block<'_>]) -> BTreeMap<usize, BTreeSet<usize>> {
    let dominators = dominators(blocks);
    let mut before = vec![Vec::new(); blocks.len()];
    for (from, block) in blocks.iter().enumerate() {
        block.next.iter().for_each(|to| before[*to].push(from));
    }
    let mut out = BTreeMap::<usize, BTreeSet<usize>>::new();
    for (from, block) in blocks.iter().enumerate() {
        for head in block.next.iter().filter(|head| dominators[from].contains(head)) {
            let body = out.entry(*head).or_insert_with(|| BTreeSet::from([*head]));
            let mut open = vec![from];
            while let Some(b) = open.pop() {
                if body.insert(b) {
                    open.extend(&before[b]);
                }
            }
        }
    }
    out
}

/// Blocks that every way from the start to a block passes; none for what is never reached.
fn dominators(blocks: &[Block<'_>]) -> Vec<BTreeSet<usize>> {
    let mut out: Vec<Option<BTreeSet<usize>>> = vec![None; blocks.len()];
    let mut open = BTreeSet::from([0]);
    if let Some(first) = out.first_mut() {
        *first = Some(BTreeSet::from([0]));
    }
    while let Some(b) = open.pop_first() {
        let Some(own) = out.get(b).cloned().flatten() else { continue };
        for &to in &blocks[b].next {
            let through = match &out[to] {
                Some(have) => have.iter().filter(|d| own.contains(d) || **d == to).copied().collect(),
                None => own.iter().copied().chain([to]).collect::<BTreeSet<_>>(),
            };
            if out[to].as_ref() != Some(&through) {
                out[to] = Some(through);
                open.insert(to);
            }
        }
    }
    out.into_iter().map(Option::unwrap_or_default).collect()
}

/// The best way from a loop's head back to it within `allowed`.
fn way(blocks: &[Block<'_>], head: usize, allowed: &BTreeSet<usize>) -> Option<(Score, Vec<usize>)> {
    let mut known = BTreeMap::new();
    from(blocks, head, head, allowed, &mut known)
}

type Known = BTreeMap<usize, Option<(Score, Vec<usize>)>>;

fn from(
    blocks: &[Block<'_>],
    at: usize,
    head: usize,
    allowed: &BTreeSet<usize>,
    known: &mut Known,
) -> Option<(Score, Vec<usize>)> {
    if let Some(found) = known.get(&at) {
        return found.clone();
    }
    // Should the code have a loop with two heads: no way through it.
    known.insert(at, None);
    let own = score(blocks[at].code);
    let mut best: Option<(Score, Vec<usize>)> = None;
    for &to in &blocks[at].next {
        let found = match to {
            _ if to == head => Some((own, vec![at])),
            _ if !allowed.contains(&to) => None,
            _ => from(blocks, to, head, allowed, known)
                .map(|(rest, way)| (add(own, rest), [at].into_iter().chain(way).collect())),
        };
        if let Some(found) = found.filter(|f| best.as_ref().is_none_or(|b| b.0 < f.0)) {
            best = Some(found);
        }
    }
    known.insert(at, best.clone());
    best
}
