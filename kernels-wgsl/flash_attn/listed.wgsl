// Sequences as `attention_sequences` left them.

fn sequence(s: u32) -> Sequence {
    return Sequence(s, int_seqs(s * 8u), int_seqs(s * 8u + 1u), int_seqs(s * 8u + 2u), int_seqs(s * 8u + 3u));
}

