//! How the tokens of a batch are cut into calls of the layers.

use std::ops::Range;

/// A part of the tokens of one sequence of a batch.
pub(super) struct Span {
    /// Which sequence.
    pub of: usize,
    pub tokens: Range<usize>,
}

/// Sequences of these lengths one after the other, cut into pieces of at most `most` tokens.
pub(super) fn chunks(lengths: &[usize], most: usize) -> Vec<Vec<Span>> {
    let (mut chunks, mut left) = (vec![Vec::new()], most);
    for (of, length) in lengths.iter().enumerate() {
        let mut at = 0;
        while at < *length {
            if left == 0 {
                chunks.push(Vec::new());
                left = most;
            }
            let end = (at + left).min(*length);
            if let Some(chunk) = chunks.last_mut() {
                chunk.push(Span { of, tokens: at..end });
            }
            left -= end - at;
            at = end;
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_keep_the_order_and_the_bound() {
        let cut = |lengths: &[usize], most| {
            let spans = |chunk: Vec<Span>| chunk.into_iter().map(|s| (s.of, s.tokens.start, s.tokens.end)).collect();
            chunks(lengths, most).into_iter().map(spans).collect::<Vec<Vec<_>>>()
        };
        assert_eq!(cut(&[3], 4), [vec![(0, 0, 3)]]);
        assert_eq!(cut(&[4, 1], 4), [vec![(0, 0, 4)], vec![(1, 0, 1)]]);
        assert_eq!(cut(&[3, 7, 1], 5), [vec![(0, 0, 3), (1, 0, 2)], vec![(1, 2, 7)], vec![(2, 0, 1)]]);
    }
}
