// Offsets that live on the device and may be wrong: each counts as clamped to between the one before it and the upper
// bound, which is the running maximum of the ones clamped to 0 .. upper. A warp works on them together.
#pragma once
#include "faults.cuh"
#include "reduce.cuh"

__device__ __forceinline__ int clamped(int raw, int upper) { return min(max(raw, 0), upper); }

// Offset `index`.
__device__ __forceinline__ int offset_at(const int* raw, int index, int upper) {
    int most = 0;
    for (int i = threadIdx.x % 32; i <= index; i += 32) most = max(most, clamped(raw[i], upper));
#pragma unroll
    for (int step = 16; step > 0; step /= 2) most = max(most, __shfl_xor_sync(ALL_LANES, most, step));
    return most;
}

// Several of them, all loads under way at once: memory's latency is what this costs.
template <int COUNT>
__device__ __forceinline__ void offsets_at(const int* raw, const int (&index)[COUNT], int upper, int (&out)[COUNT]) {
    int last = 0;
#pragma unroll
    for (int c = 0; c < COUNT; c++) last = max(last, index[c]), out[c] = 0;
    for (int at = threadIdx.x % 32; at <= last; at += 128) {
        int values[4];
#pragma unroll
        for (int i = 0; i < 4; i++) values[i] = at + 32 * i <= last ? raw[at + 32 * i] : 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int c = 0; c < COUNT; c++) {
                if (at + 32 * i <= index[c]) out[c] = max(out[c], clamped(values[i], upper));
            }
        }
    }
#pragma unroll
    for (int c = 0; c < COUNT; c++) {
#pragma unroll
        for (int step = 16; step > 0; step /= 2) out[c] = max(out[c], __shfl_xor_sync(ALL_LANES, out[c], step));
    }
}

// Where each of `count` things begins that are side by side, of sizes `size(i)`, and where the last one ends. By a warp.
template <class Size>
__device__ __forceinline__ void begins(int count, int* out, Size size) {
    const int lane = threadIdx.x % 32;
    int before = 0;
    for (int at = 0; at < count; at += 32) {
        const int i = at + lane, own = i < count ? size(i) : 0, sum = running_sum(own);
        if (i < count) out[i] = before + sum - own;
        before += __shfl_sync(ALL_LANES, sum, 31);
    }
    if (lane == 0) out[count] = before;
}

// All `groups` + 1 of them into `out`; without `raw` there is one group of all rows.
__device__ __forceinline__ void read_offsets(const int* raw, int groups, int upper, int* out) {
    const int lane = threadIdx.x % 32;
    int before = 0;
    for (int at = 0; at <= groups; at += 32) {
        const int i = at + lane;
        int most = i > groups ? 0 : raw ? clamped(raw[i], upper) : i == 0 ? 0 : upper;
        most = max(running_max(most), before);
        if (i <= groups) out[i] = most;
        before = __shfl_sync(ALL_LANES, most, 31);
    }
}

// The group that owns `row`: the one in front of the first offset above it. -1 before the first and `groups` behind the
// last, whose rows belong to nobody.
__device__ __forceinline__ int owner_of(const int* raw, int groups, int row, int upper) {
    for (int at = 0; at <= groups; at += 32) {
        const int i = at + threadIdx.x % 32;
        const unsigned above = __ballot_sync(ALL_LANES, i <= groups && clamped(raw[min(i, groups)], upper) > row);
        if (above) return at + __ffs(above) - 2;
    }
    return groups;
}

// Is one of `count` offsets negative, past the end, or below its neighbour?
__device__ __forceinline__ void check_offsets(const int* raw, int count, int upper, unsigned* status) {
    for (int i = threadIdx.x % 32; i < count; i += 32) {
        const int before = i > 0 ? raw[i - 1] : 0;
        if (raw[i] < max(before, 0) || raw[i] > upper) report(status, FAULT_OFFSETS);
    }
}
