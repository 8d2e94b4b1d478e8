#pragma once
#include "kv_store.cuh"

constexpr unsigned CU_SEQLENS = 0, START_LEN = 1, BLOCK_TABLE = 2, INDPTR = 3;
constexpr unsigned LSE_NONE = 0, LSE_WITH_SINK = 1, LSE_WITHOUT_SINK = 2;

// Mirrors `Params` in src/backend/params/flash_attn.rs.
struct FlashAttnParams {
    Rows q, k, v, out;
    Rows sinks; // base 0: none
    KvStore store;
    const int* cu_seqlens_q;
    const int* k_first;     // cu_seqlens_k, k_start or kv_indptr
    const int* k_len;       // k_len or kv_last_page_len
    const int* pages;       // block_table or kv_indices
    long long pages_stride; // of block_table
    float* lse;
    unsigned* status;
    long long window;       // keys seen in all, up to 2^31 - 1; 0: no window
    int sequences, q_tokens, max_q_len, max_k_len;
    int q_heads, page_limit; // page_limit: columns of block_table, entries of kv_indices
    int page_count;          // pages of the cache
    unsigned index, causal, lse_kind;
    float sm_scale;
    float scale_log2;   // sm_scale * log2(e)
    float* partial;     // scratch: what splits leave to be combined
    int splits, tiles;  // shares of a sequence's keys; tiles of query rows in the longest sequence
    // Of the 16-bit caches that tensor cores read by eights of neighbouring keys: bytes from a key to the next, from a page
    // to the next (packed: from an eight to the next) and of a head; log2 of eights in a page.
    long long k_page, v_page;
    unsigned k_token, v_token;
    unsigned head_bytes, page_shift;
    unsigned q_aligned, kv_aligned, out_aligned; // to 16 bytes, everywhere
    int group;          // q_heads of a key head
};
static_assert(sizeof(FlashAttnParams) == 328, "mirrored in Rust");
