// How the blocks for short windows on sm_90a are laid out: a tile's keys are few enough to be in shared memory together.
#pragma once
#include "job_sm90.cuh"

// Registers of a thread that copies and of one that multiplies.
constexpr int GIVEN = 80, TAKEN = 144;
// A warpgroup multiplies with BLOCK_N of a tile's KEYS keys, from a multiple of 8 on; those of the groups of gpt-oss, with 8
// queries each, lie 8 apart.
constexpr int KEYS = BLOCK_N + 8 * (GROUPS - 1), KV_BYTES = KEYS * 128, STAGE_BYTES = Q_BYTES + 2 * KV_BYTES;
static_assert(DIM == 64 && STAGES == 3, "one part; a warp for each stage and one that checks sequences");

// A tile and its keys first_key .. first_key + KEYS.
struct WindowJob : Job {
    unsigned missing;  // a bit for each eight whose page is not in the cache
    int begin[GROUPS]; // row of shared memory, a multiple of 8, from which on BLOCK_N hold what a warpgroup sees
};

struct Shared {
    unsigned long long k_full[STAGES], v_full[STAGES], empty[STAGES]; // k_full: of the job and its queries too; v_full: of its sinks
    WindowJob jobs[STAGES];
};
constexpr int BARRIER_BYTES = 512, SHARED_BYTES = 1024 + STAGES * (STAGE_BYTES + SINK_BYTES) + OUT_BYTES + BARRIER_BYTES;
static_assert(sizeof(Shared) <= BARRIER_BYTES, "mirrored in Rust");

// Where everything lies.
struct Memory {
    unsigned base, out;
    float* sinks; // of the rows of every stage
    Shared* s;

    __device__ __forceinline__ Memory(unsigned char* raw) {
        const unsigned slack = -shared_address(raw) & 1023;
        base = shared_address(raw) + slack, out = base + STAGES * STAGE_BYTES;
        sinks = (float*)(raw + slack + STAGES * STAGE_BYTES + OUT_BYTES), s = (Shared*)(sinks + STAGES * BLOCK_M);
    }
    __device__ __forceinline__ unsigned q(unsigned stage) const { return base + stage * STAGE_BYTES; }
    __device__ __forceinline__ unsigned k(unsigned stage) const { return q(stage) + Q_BYTES; }
    __device__ __forceinline__ unsigned v(unsigned stage) const { return k(stage) + KV_BYTES; }
};
