// One query a sequence and up to 8 heads a key head, many keys: decode_sm90.cu for what most decodes are. Short calls are
// chains of latencies, which this keeps short: lengths, offsets, sinks, first pages and the query of the row where it most likely
// is are asked for together (decode_asked_sm90.cuh), keys as soon as the length is here; little code, for it is fetched too. Long calls want two units a warp
// under way at every time (STAGES 2) and plain addresses.
#pragma once
#include "decode_asked_sm90.cuh"
#include "decode_share_sm90.cuh"
#include "ptx/overlap.cuh"

// Slot or entry of a sequence's first key, and how many there are.
struct Keys16 {
    int first, count;
};

__device__ __forceinline__ Keys16 keys_of(const FlashAttnParams& p, int s, const Asked& asked) {
    if (p.index == BLOCK_TABLE) {
        const long long most = min((long long)p.max_k_len, (long long)p.page_limit * p.store.page_size);
        return {0, clamped(asked.len, int(most))};
    }
    if (p.index == START_LEN) {
        const int slots = int(p.store.slots), first = clamped(asked.first, slots);
        return {first, clamped(asked.len, min(p.max_k_len, slots - first))};
    }
    const Sequence found = sequence(p, s, nullptr);
    return {found.k_first, found.k_len};
}

template <bool MASKED, class Warp>
__device__ __forceinline__ void take(const FlashAttnParams& p, const typename Warp::Pieces& x, const There& keys, Warp& mine) {
    float s[4] = {}, high[2] = {-INFINITY, -INFINITY};
    mine.multiply_keys(x, 0, s);
    if constexpr (MASKED) {
#pragma unroll
        for (int i = 0; i < 4; i++) s[i] = keys.has(Warp::g() + 8 * (i >> 1)) ? s[i] : -INFINITY;
    }
    mine.high(s, high);
    mine.raise(p, 0, high);
    mine.soften(p, 0, s);
    mine.multiply_values(x, 0, s);
}

// The first key head's bytes of this block, and of them this lane's pieces.
template <class Warp> __device__ __forceinline__ void find(const FlashAttnParams& p, const Keys16& keys, Place& place) {
    const long long first = place.packed(p) ? keys.first : 0, head = (long long)blockIdx.y * p.head_bytes;
    place.k = (const char*)p.k.base + first * p.k_token + head + 16 * Warp::c();
    place.v = (const char*)p.v.base + first * p.v_token + head + Warp::VALUE_BYTES * Warp::g();
}

// Units first, first + step .. of a warp, which calls `ready` when it needs the query.
template <bool ALIGNED, class Warp, class Ready>
__device__ __forceinline__ void attend(const FlashAttnParams& p, int s, int first, int step, const Asked& asked, Warp& mine,
                                       const Ready& ready) {
    constexpr int AHEAD = Warp::STAGES_OF == 1 ? 1 : 3; // pages known when the keys' length is
    AlignedUnits<Warp, ALIGNED> units(p);
    int u = first, pages[AHEAD];
    const bool table = p.index == BLOCK_TABLE;
    units.pages = p.pages + s * p.pages_stride, units.entries = table ? p.page_limit : 0;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) pages[i] = units.ask_page(u + i * step);
    const Keys16 keys = keys_of(p, s, asked);
    if (!table) units.pages = p.pages + keys.first, units.entries = (keys.count + p.store.page_size - 1) / p.store.page_size;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        if (!table) pages[i] = units.look_up(u + i * step);
        else if (!units.is_entry(u + i * step)) pages[i] = -1;
    }
    int page = pages[0];
    find<Warp>(p, keys, units);
    const int whole = keys.count / 16;
    typename Warp::Pieces x;
    if constexpr (Warp::STAGES_OF == 1) {
        ready();
        for (; u < whole && units.there(page); u += step) {
            units.fetch(u, page, x);
            page = units.look_up(u + step);
            take<false>(p, x, There{}, mine);
        }
    } else {
        // x is unit u, y the next one of this warp.
        typename Warp::Pieces y;
        int next = pages[1], third = pages[2];
        bool is = u < whole && units.there(page), follows = is && u + step < whole && units.there(next);
        if (is) units.fetch(u, page, x);
        if (follows) units.fetch(u + step, next, y);
        ready();
        while (is) {
            const int fourth = units.look_up(u + 3 * step);
            take<false>(p, x, There{}, mine);
            u += step, page = next, is = follows;
            follows = is && u + step < whole && units.there(third);
            if (follows) units.fetch(u + step, third, x);
            if (!is) break;
            next = third, third = fourth;
            const int fifth = units.look_up(u + 3 * step);
            take<false>(p, y, There{}, mine);
            u += step, page = next, is = follows;
            follows = is && u + step < whole && units.there(third);
            if (follows) units.fetch(u + step, third, y);
            next = third, third = fifth;
        }
    }
    // The last keys, and what follows a page that is not there.
    for (; u <= whole; u += step, page = units.look_up(u)) {
        const There some = {0, min(16, keys.count - 16 * u)};
        if (!some.any()) break;
        if (!units.there(page)) {
            report(p.status, FAULT_PAGE);
            continue;
        }
        units.fetch_part(u, page, some, x);
        take<true>(p, x, some, mine);
    }
}

template <bool ALIGNED, class Warp, class Ready>
__device__ __forceinline__ void attend_window(const FlashAttnParams& p, int s, int first, int step, const Asked& asked, Warp& mine,
                                              const Ready& ready) {
    WindowUnits<Warp, ALIGNED> units(p);
    const Keys16 keys = keys_of(p, s, asked);
    find<Warp>(p, keys, units);
    units.pages = p.pages + (p.index == BLOCK_TABLE ? s * p.pages_stride : keys.first);
    units.end = keys.count, units.begin = p.window == 0 || p.window >= keys.count ? 0 : keys.count - int(p.window);
    TwoPages pages = units.look_up(first);
    const int count = units.count();
    typename Warp::Pieces x;
    for (int u = first;; u += step) {
        There some = {};
        if (u < count) {
            some = units.there(u, pages);
            if (!units.Place::there(p, pages.first) || !units.Place::there(p, pages.last)) report(p.status, FAULT_PAGE);
            if (some.any()) units.fetch(u, pages, some, x);
            pages = units.look_up(u + step);
        }
        if (u == first) ready();
        if (u >= count) break;
        if (!some.any()) continue;
        if (some.all()) take<false>(p, x, some, mine);
        else take<true>(p, x, some, mine);
    }
}

// What a block leaves for the threads that finish rows.
struct Rest {
    float sinks[8];
    int row; // of q; -1: none
};

template <bool ALIGNED, bool WINDOW, int DIM, class Warp>
__device__ __forceinline__ void run(const FlashAttnParams& p, int s, const float* k_scale, Warp& mine, Rest& rest) {
    const Asked asked(p, s);
    // Lanes behind the group's last head work on that one too: nobody asks for what they find.
    const int head = blockIdx.y * p.group + min(Warp::g(), p.group - 1);
    typename Warp::Query query;
    // The type is 16 bits: no branch on it.
    auto ask_query = [&](int row) {
        Warp::template ask_query<ALIGNED>((const char*)p.q.base + 2 * (row * p.q.stride + (long long)head * DIM), query);
    };
    // One query a sequence: most likely sequence s has row s.
    const int guess = min(s, p.q_tokens - 1);
    ask_query(guess);
    auto ready = [&] {
        const int row = asked.row(p, s);
        if (row >= 0 && row != guess) ask_query(row);
        mine.take_query(query, k_scale);
        if (threadIdx.x < 8) rest.sinks[threadIdx.x] = asked.sink.value(p);
        if (threadIdx.x == 0) rest.row = row;
    };
    const int first = threadIdx.x / 32 * gridDim.x + blockIdx.x, step = WARPS * gridDim.x;
    if constexpr (WINDOW) attend_window<ALIGNED>(p, s, first, step, asked, mine, ready);
    else attend<ALIGNED>(p, s, first, step, asked, mine, ready);
}

// Views of any alignment are rare: a kernel of their own, so that the others stay small, and one for windows and without.
enum Which { ONE, WINDOW, ANY };

// Scales of key heads, null: 1.
template <class Warp, int DIM, Which WHICH>
__device__ __forceinline__ void decode(const FlashAttnParams& p, const float* k_scale, const float* v_scale) {
    extern __shared__ __align__(16) unsigned char shared[];
    __shared__ Rest rest;
    const int s = blockIdx.z, head = blockIdx.y * p.group;
    if (gridDim.x > 1) cluster_arrive_relaxed(); // "I run": waited for before the first store to another block
    wait_for_predecessor();
    if (s == p.sequences) { // there to look for faults
        if (blockIdx.x == 0 && blockIdx.y == 0) check_by_warps(p);
        return;
    }
    if (p.q_tokens == 0) return;
    Warp mine;
    run<WHICH != ANY, WHICH != ONE, DIM>(p, s, k_scale, mine, rest);
    allow_successor();
    const Shared<DIM, 1> at(shared);
    put_together(at, mine, [&](int row, int d, float m, float l, float o) {
        if (row >= p.group || rest.row < 0) return;
        // l = 0: no visible key, or only scores of -infinity.
        const float out = l == 0.0f ? 0.0f : o / (l + exp2f(rest.sinks[row] * LOG2_E - m));
        store1(p.out, rest.row, (long long)(head + row) * DIM + d, v_scale ? out * v_scale[blockIdx.y] : out);
        if (d == 0) store_lse(p, rest.row, head + row, m, l);
    });
}

// Registers are cut for 16 warps a multiprocessor, 8 where heads are wide.
#define BLOCKS(DIM) (DIM == 64 ? 16 / WARPS : 8 / WARPS)
