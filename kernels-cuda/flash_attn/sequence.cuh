// A sequence: its rows of q, its keys, and the slots they are in. `Sequence` and `Cache` in src/cpu/cache.rs.
#pragma once
#include "offsets.cuh"
#include "params.cuh"

struct Sequence {
    int id;
    int q_first, q_len;
    int k_first; // slot, or entry of kv_indices
    int k_len;
};

// `value` clamped, with the fault where that changes it.
__device__ __forceinline__ int limited(long long value, long long least, long long most, unsigned fault,
                                       unsigned* status) {
    const long long kept = max(min(value, most), least);
    if (kept != value && threadIdx.x % 32 == 0) report(status, fault);
    return int(kept);
}

// Offsets `index` and `index + 1` by one warp, in two steps: other loads can be on their way between them.
struct OffsetPair {
    int most = 0, next = 0; // of this lane

    __device__ __forceinline__ void fetch(const int* raw, int index, int upper) {
        const int lane = threadIdx.x % 32;
        next = clamped(raw[index + 1], upper);
        const int low = lane <= index ? raw[lane] : 0, high = lane + 32 <= index ? raw[lane + 32] : 0;
        most = max(clamped(low, upper), clamped(high, upper));
#pragma unroll 1
        for (int i = lane + 64; i <= index; i += 32) most = max(most, clamped(raw[i], upper));
    }
    __device__ __forceinline__ int first() const { return warp_max(most); }
    __device__ __forceinline__ int last(int first) const { return max(first, next); }
};

// Sequence `s`, by one warp. Faults go to `status`, which may be null.
__device__ __forceinline__ Sequence sequence(const FlashAttnParams& p, int s, unsigned* status) {
    Sequence out;
    out.id = s;
    const long long slots = p.store.slots, page_size = p.store.page_size;
    // Every load first.
    OffsetPair q, k;
    const int raw_len = p.index == CU_SEQLENS ? 0 : p.k_len[s], raw_first = p.index == START_LEN ? p.k_first[s] : 0;
    q.fetch(p.cu_seqlens_q, s, p.q_tokens);
    if (p.index == CU_SEQLENS || p.index == INDPTR) {
        k.fetch(p.k_first, s, p.index == CU_SEQLENS ? int(slots) : p.page_limit);
    }
    out.q_first = q.first();
    out.q_len = limited(q.last(out.q_first) - out.q_first, 0, p.max_q_len, FAULT_LENGTH, status);
    long long len = raw_len, most = p.max_k_len;
    switch (p.index) {
    case CU_SEQLENS:
        out.k_first = k.first();
        len = k.last(out.k_first) - out.k_first;
        break;
    case START_LEN:
        out.k_first = limited(raw_first, 0, slots, FAULT_OFFSETS, status);
        most = min(most, slots - out.k_first);
        break;
    case BLOCK_TABLE:
        out.k_first = 0;
        most = min(most, p.page_limit * page_size);
        break;
    default: {
        out.k_first = k.first();
        const long long pages = k.last(out.k_first) - out.k_first;
        len = pages == 0 ? 0 : (pages - 1) * page_size + limited(raw_len, 1, page_size, FAULT_LENGTH, status);
    }
    }
    out.k_len = limited(len, 0, most, FAULT_LENGTH, status);
    return out;
}

// Page `nth` of the sequence, -1 where it is not in the cache.
__device__ __forceinline__ int page_of(const FlashAttnParams& p, const Sequence& s, int nth) {
    const int page = p.index == BLOCK_TABLE ? p.pages[s.id * p.pages_stride + nth] : p.pages[s.k_first + nth];
    if (page >= 0 && page < p.page_count) return page;
    report(p.status, FAULT_PAGE);
    return -1;
}

// Slot of key j, -1 where its page is not in the cache.
__device__ __forceinline__ int slot_of(const FlashAttnParams& p, const Sequence& s, int j) {
    if (p.index == CU_SEQLENS || p.index == START_LEN) return s.k_first + j;
    const int page = page_of(p, s, j / p.store.page_size);
    return page < 0 ? -1 : page * p.store.page_size + j % p.store.page_size;
}

// What can be wrong with the offsets, looked at by one warp.
__device__ __forceinline__ void check_all_offsets(const FlashAttnParams& p) {
    check_offsets(p.cu_seqlens_q, p.sequences + 1, p.q_tokens, p.status);
    if (p.index == CU_SEQLENS) check_offsets(p.k_first, p.sequences + 1, int(p.store.slots), p.status);
    if (p.index == INDPTR) check_offsets(p.k_first, p.sequences + 1, p.page_limit, p.status);
}

// Everything that can be wrong with the sequences, each looked at by one block's first warp.
__device__ __forceinline__ void check_sequences(const FlashAttnParams& p) {
    if (blockIdx.x == 0) check_all_offsets(p);
    for (int s = blockIdx.x; s < p.sequences; s += gridDim.x) sequence(p, s, p.status);
}
