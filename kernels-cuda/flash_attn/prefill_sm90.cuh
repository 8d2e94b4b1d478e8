// How the blocks of the prefill for sm_90a are laid out: BLOCK_M / 64 warpgroups multiply, one more finds tiles and copies.
#pragma once
#include "find_tile.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "ptx/warpgroup.cuh"

constexpr int DIM = BLOCK_K, GROUPS = BLOCK_M / 64, THREADS = 32 * WARPS;
static_assert(WARPS == 4 * GROUPS + 4 && BLOCK_M % 64 == 0 && BLOCK_N % 16 == 0 && (DIM == 64 || DIM == 128), "as above");
// Registers of a thread that copies and of one that multiplies, of the 512 that four warps have a lane.
constexpr int GIVEN = 56, TAKEN = GROUPS == 3 ? 152 : 224;
// Parts of 64 elements, rows of 128 bytes that are swizzled by eights: what the copy engine writes and wgmma reads.
constexpr int PARTS = DIM / 64, Q_PART = BLOCK_M * 128, KV_PART = BLOCK_N * 128;
constexpr int Q_BYTES = PARTS * Q_PART, KV_BYTES = PARTS * KV_PART;

// Maps of q: {elements, heads of a key head, key heads, tokens}; of k and v: {elements, heads, tokens of a page, pages}, packed:
// {elements, heads, tokens, 1}.
struct PrefillParams {
    TensorMap q, k, v;
    FlashAttnParams p;
    int q_mapped; // a tile's queries are one box
};
static_assert(sizeof(PrefillParams) == 768, "mirrored in Rust");

// Rows of a tile by their number in it, found with one division a tile.
struct TileRows {
    int query, rest;     // of row t.first
    unsigned reciprocal; // of the group; exact for the few rows of a tile, 0 for 1

    __device__ __forceinline__ void find(const Tile& t) {
        query = t.first / t.group, rest = t.first - query * t.group, reciprocal = 0xffffffffu / unsigned(t.group) + 1; // wraps to 0
    }
    // Queries of the tile in front of the one that row i belongs to.
    __device__ __forceinline__ int before(int i) const {
        return reciprocal == 0 ? rest + i : int(__umulhi(unsigned(rest + i), reciprocal));
    }
    __device__ __forceinline__ int head(const Tile& t, int i) const {
        return t.kv_head * t.group + rest + i - before(i) * t.group;
    }
    __device__ __forceinline__ int token(const Tile& t, int i) const { return t.s.q_first + query + before(i); }
};

// A tile on its way through the block.
struct Job {
    Tile t;
    TileRows rows;
    int first_key, blocks; // keys first_key .. first_key + blocks * BLOCK_N hold all that a row sees
    int careful; // its row maxima must follow the scores
    int over;    // there is none: the block is through
};

struct Shared {
    unsigned long long q_full[2], q_empty[2], job_full[2];
    unsigned long long k_full[STAGES], k_empty[STAGES], v_full[STAGES], v_empty[STAGES];
    Job jobs[2];
    int again[2];                  // set where a tile's fixed maxima overflowed
    unsigned missing[STAGES];      // of a stage's eights of keys, a bit for each whose page is not in the cache
};
constexpr int BARRIER_BYTES = 512, SHARED_BYTES = 1024 + 2 * Q_BYTES + STAGES * 2 * KV_BYTES + BARRIER_BYTES;
static_assert(sizeof(Shared) <= BARRIER_BYTES, "mirrored in Rust");

// Where everything lies.
struct Memory {
    unsigned q, k, v;
    Shared* s;

    __device__ __forceinline__ Memory(unsigned char* raw) {
        const unsigned slack = -shared_address(raw) & 1023;
        q = shared_address(raw) + slack, k = q + 2 * Q_BYTES, v = k + STAGES * KV_BYTES;
        s = (Shared*)(raw + slack + 2 * Q_BYTES + STAGES * 2 * KV_BYTES);
    }
};

// Byte of 16-byte piece `piece` of a row of a part.
__device__ __forceinline__ unsigned swizzled(int row, int piece) { return row * 128 + (piece ^ (row & 7)) * 16; }
