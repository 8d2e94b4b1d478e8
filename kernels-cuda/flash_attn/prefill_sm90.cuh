// How the blocks of the prefill for sm_90a are laid out.
#pragma once
#include "job_sm90.cuh"

// Registers of a thread that copies and of one that multiplies, of the 512 that four warps have a lane.
constexpr int GIVEN = GROUPS == 3 ? 56 : 72, TAKEN = GROUPS == 3 ? 152 : 216;
constexpr int KV_PART = BLOCK_N * 128, KV_BYTES = PARTS * KV_PART;

struct Shared {
    unsigned long long q_full[2], q_empty[2], job_full[2];
    unsigned long long k_full[STAGES], k_empty[STAGES], v_full[STAGES], v_empty[STAGES];
    Job jobs[2];
    int again[2];                  // set where a tile's fixed maxima overflowed
    unsigned missing[STAGES];      // of a stage's eights of keys, a bit for each whose page is not in the cache
};
constexpr int BARRIER_BYTES = 512, SHARED_BYTES = 1024 + 2 * Q_BYTES + STAGES * 2 * KV_BYTES + OUT_BYTES + 2 * SINK_BYTES + BARRIER_BYTES;
static_assert(sizeof(Shared) <= BARRIER_BYTES, "mirrored in Rust");

// Where everything lies.
struct Memory {
    unsigned q, k, v, out;
    float* sinks; // of the rows of two tiles
    Shared* s;

    __device__ __forceinline__ Memory(unsigned char* raw) {
        const unsigned slack = -shared_address(raw) & 1023;
        q = shared_address(raw) + slack, k = q + 2 * Q_BYTES, v = k + STAGES * KV_BYTES, out = v + STAGES * KV_BYTES;
        sinks = (float*)(raw + slack + 2 * Q_BYTES + STAGES * 2 * KV_BYTES + OUT_BYTES), s = (Shared*)(sinks + 2 * BLOCK_M);
    }
};
