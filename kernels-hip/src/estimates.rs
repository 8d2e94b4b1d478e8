//! Made from the code objects by `cargo x kernels hip`. Do not edit.

use crate::Estimate;

/// A step of the main loop of every kernel that has one, on the targets with matrix units. Estimated, not measured.
#[rustfmt::skip]
pub const ESTIMATES: &[Estimate] = &[
    Estimate {
        op: "rms_norm", variant: "portable", arch: "gfx90a", entry: c"rms_norm",
        waves: 18, flops: 0, bytes: 165888,
        matrix: 0, vector: 2574, lds: 0, l2: 4484, chain: [2944, 7664],
    },
    Estimate {
        op: "rms_norm", variant: "portable", arch: "gfx942", entry: c"rms_norm",
        waves: 18, flops: 0, bytes: 165888,
        matrix: 0, vector: 2250, lds: 0, l2: 3130, chain: [2788, 7508],
    },
    Estimate {
        op: "rms_norm", variant: "portable", arch: "gfx950", entry: c"rms_norm",
        waves: 18, flops: 0, bytes: 165888,
        matrix: 0, vector: 2214, lds: 0, l2: 2592, chain: [2776, 7496],
    },
    Estimate {
        op: "embedding", variant: "portable", arch: "gfx90a", entry: c"embedding",
        waves: 24, flops: 0, bytes: 73728,
        matrix: 0, vector: 1488, lds: 0, l2: 1993, chain: [1260, 3620],
    },
    Estimate {
        op: "embedding", variant: "portable", arch: "gfx942", entry: c"embedding",
        waves: 24, flops: 0, bytes: 73728,
        matrix: 0, vector: 1224, lds: 0, l2: 1392, chain: [1232, 3592],
    },
    Estimate {
        op: "embedding", variant: "portable", arch: "gfx950", entry: c"embedding",
        waves: 24, flops: 0, bytes: 73728,
        matrix: 0, vector: 1224, lds: 0, l2: 1152, chain: [1232, 3592],
    },
    Estimate {
        op: "argmax", variant: "portable", arch: "gfx90a", entry: c"argmax_parts",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 2048, lds: 0, l2: 2657, chain: [1452, 3812],
    },
    Estimate {
        op: "argmax", variant: "portable", arch: "gfx90a", entry: c"argmax_rows",
        waves: 32, flops: 0, bytes: 16384,
        matrix: 0, vector: 256, lds: 0, l2: 443, chain: [524, 1704],
    },
    Estimate {
        op: "argmax", variant: "portable", arch: "gfx942", entry: c"argmax_parts",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1888, lds: 0, l2: 1855, chain: [1404, 3764],
    },
    Estimate {
        op: "argmax", variant: "portable", arch: "gfx942", entry: c"argmax_rows",
        waves: 32, flops: 0, bytes: 16384,
        matrix: 0, vector: 192, lds: 0, l2: 310, chain: [532, 1712],
    },
    Estimate {
        op: "argmax", variant: "portable", arch: "gfx950", entry: c"argmax_parts",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1888, lds: 0, l2: 1536, chain: [1404, 3764],
    },
    Estimate {
        op: "argmax", variant: "portable", arch: "gfx950", entry: c"argmax_rows",
        waves: 32, flops: 0, bytes: 16384,
        matrix: 0, vector: 192, lds: 0, l2: 256, chain: [532, 1712],
    },
    Estimate {
        op: "mxfp4_prepack", variant: "portable", arch: "gfx90a", entry: c"mxfp4_prepack",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 9760, lds: 0, l2: 3543, chain: [2332, 3512],
    },
    Estimate {
        op: "mxfp4_prepack", variant: "portable", arch: "gfx942", entry: c"mxfp4_prepack",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 9344, lds: 0, l2: 2474, chain: [2244, 3424],
    },
    Estimate {
        op: "mxfp4_prepack", variant: "portable", arch: "gfx950", entry: c"mxfp4_prepack",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 9344, lds: 0, l2: 2048, chain: [2244, 3424],
    },
    Estimate {
        op: "swiglu", variant: "portable", arch: "gfx90a", entry: c"swiglu_rows",
        waves: 18, flops: 0, bytes: 110592,
        matrix: 0, vector: 7236, lds: 0, l2: 2989, chain: [3224, 6764],
    },
    Estimate {
        op: "swiglu", variant: "portable", arch: "gfx942", entry: c"swiglu_rows",
        waves: 18, flops: 0, bytes: 110592,
        matrix: 0, vector: 6930, lds: 0, l2: 2087, chain: [3320, 6860],
    },
    Estimate {
        op: "swiglu", variant: "portable", arch: "gfx950", entry: c"swiglu_rows",
        waves: 18, flops: 0, bytes: 110592,
        matrix: 0, vector: 6930, lds: 0, l2: 1728, chain: [3320, 6860],
    },
    Estimate {
        op: "rope", variant: "portable", arch: "gfx90a", entry: c"rope",
        waves: 24, flops: 0, bytes: 245760,
        matrix: 0, vector: 5016, lds: 0, l2: 6643, chain: [2820, 6360],
    },
    Estimate {
        op: "rope", variant: "portable", arch: "gfx942", entry: c"rope",
        waves: 24, flops: 0, bytes: 245760,
        matrix: 0, vector: 4680, lds: 0, l2: 4637, chain: [2724, 6264],
    },
    Estimate {
        op: "rope", variant: "portable", arch: "gfx950", entry: c"rope",
        waves: 24, flops: 0, bytes: 245760,
        matrix: 0, vector: 4680, lds: 0, l2: 3840, chain: [2724, 6264],
    },
    Estimate {
        op: "kv_append", variant: "portable", arch: "gfx90a", entry: c"kv_append",
        waves: 10, flops: 0, bytes: 128000,
        matrix: 0, vector: 2510, lds: 0, l2: 3460, chain: [4988, 13248],
    },
    Estimate {
        op: "kv_append", variant: "portable", arch: "gfx942", entry: c"kv_append",
        waves: 10, flops: 0, bytes: 128000,
        matrix: 0, vector: 2390, lds: 0, l2: 2416, chain: [4484, 11564],
    },
    Estimate {
        op: "kv_append", variant: "portable", arch: "gfx950", entry: c"kv_append",
        waves: 10, flops: 0, bytes: 128000,
        matrix: 0, vector: 2390, lds: 0, l2: 2000, chain: [4484, 11564],
    },
    Estimate {
        op: "kv_append", variant: "scaled", arch: "gfx90a", entry: c"kv_append",
        waves: 10, flops: 0, bytes: 102400,
        matrix: 0, vector: 2940, lds: 0, l2: 2768, chain: [3216, 6756],
    },
    Estimate {
        op: "kv_append", variant: "scaled", arch: "gfx942", entry: c"kv_append",
        waves: 10, flops: 0, bytes: 102400,
        matrix: 0, vector: 2780, lds: 0, l2: 1933, chain: [3132, 6672],
    },
    Estimate {
        op: "kv_append", variant: "scaled", arch: "gfx950", entry: c"kv_append",
        waves: 10, flops: 0, bytes: 102400,
        matrix: 0, vector: 2790, lds: 0, l2: 1600, chain: [3132, 6672],
    },
    Estimate {
        op: "moe_route", variant: "portable", arch: "gfx90a", entry: c"moe_route",
        waves: 20, flops: 0, bytes: 81920,
        matrix: 0, vector: 1920, lds: 200, l2: 2215, chain: [2784, 6324],
    },
    Estimate {
        op: "moe_route", variant: "portable", arch: "gfx942", entry: c"moe_route",
        waves: 20, flops: 0, bytes: 81920,
        matrix: 0, vector: 1200, lds: 200, l2: 1546, chain: [2468, 6008],
    },
    Estimate {
        op: "moe_route", variant: "portable", arch: "gfx950", entry: c"moe_route",
        waves: 20, flops: 0, bytes: 81920,
        matrix: 0, vector: 1200, lds: 200, l2: 1280, chain: [2468, 6008],
    },
    Estimate {
        op: "moe_sort", variant: "one_block", arch: "gfx90a", entry: c"moe_dispatch",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 1536, lds: 160, l2: 1772, chain: [2784, 6324],
    },
    Estimate {
        op: "moe_sort", variant: "one_block", arch: "gfx942", entry: c"moe_dispatch",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 960, lds: 160, l2: 1237, chain: [2040, 4400],
    },
    Estimate {
        op: "moe_sort", variant: "one_block", arch: "gfx950", entry: c"moe_dispatch",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 960, lds: 160, l2: 1024, chain: [2040, 4400],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx90a", entry: c"moe_count",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 1536, lds: 160, l2: 1772, chain: [2784, 6324],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx90a", entry: c"moe_place",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 5568, lds: 2560, l2: 3543, chain: [4300, 5480],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx942", entry: c"moe_count",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 960, lds: 160, l2: 1237, chain: [2532, 6072],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx942", entry: c"moe_place",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 4032, lds: 2560, l2: 2474, chain: [3980, 5160],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx950", entry: c"moe_count",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 960, lds: 160, l2: 1024, chain: [2532, 6072],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx950", entry: c"moe_place",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 4032, lds: 2560, l2: 2048, chain: [3980, 5160],
    },
    Estimate {
        op: "moe_permute", variant: "portable", arch: "gfx90a", entry: c"moe_permute",
        waves: 30, flops: 0, bytes: 30720,
        matrix: 0, vector: 330, lds: 0, l2: 831, chain: [564, 1744],
    },
    Estimate {
        op: "moe_permute", variant: "portable", arch: "gfx942", entry: c"moe_permute",
        waves: 30, flops: 0, bytes: 30720,
        matrix: 0, vector: 240, lds: 0, l2: 580, chain: [552, 1732],
    },
    Estimate {
        op: "moe_permute", variant: "portable", arch: "gfx950", entry: c"moe_permute",
        waves: 30, flops: 0, bytes: 30720,
        matrix: 0, vector: 240, lds: 0, l2: 480, chain: [552, 1732],
    },
    Estimate {
        op: "moe_combine", variant: "portable", arch: "gfx90a", entry: c"moe_combine",
        waves: 24, flops: 0, bytes: 344064,
        matrix: 0, vector: 3936, lds: 0, l2: 9300, chain: [7156, 21316],
    },
    Estimate {
        op: "moe_combine", variant: "portable", arch: "gfx942", entry: c"moe_combine",
        waves: 24, flops: 0, bytes: 344064,
        matrix: 0, vector: 3744, lds: 0, l2: 6492, chain: [7108, 21268],
    },
    Estimate {
        op: "moe_combine", variant: "portable", arch: "gfx950", entry: c"moe_combine",
        waves: 24, flops: 0, bytes: 344064,
        matrix: 0, vector: 3744, lds: 0, l2: 5376, chain: [7108, 21268],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_bf16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 2048, vector: 640, lds: 784, l2: 665, chain: [2492, 2492],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 2048, vector: 1048, lds: 784, l2: 512, chain: [1748, 1992],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 2048, vector: 1656, lds: 784, l2: 775, chain: [3260, 5620],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_f16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 2048, vector: 640, lds: 784, l2: 665, chain: [2492, 2492],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 2048, vector: 1032, lds: 784, l2: 512, chain: [1748, 1992],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 2048, vector: 1640, lds: 784, l2: 775, chain: [3252, 5612],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 1136, lds: 0, l2: 4429, chain: [4552, 13992],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_bf16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 1024, vector: 240, lds: 704, l2: 464, chain: [712, 1716],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 1024, vector: 568, lds: 704, l2: 358, chain: [760, 1736],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 1024, vector: 1176, lds: 704, l2: 541, chain: [2220, 4580],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_f16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 1024, vector: 240, lds: 704, l2: 464, chain: [712, 1716],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 1024, vector: 792, lds: 752, l2: 358, chain: [920, 1776],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 1024, vector: 1392, lds: 752, l2: 541, chain: [2372, 4732],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 3092, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_bf16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 512, vector: 176, lds: 448, l2: 384, chain: [536, 1716],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 512, vector: 504, lds: 448, l2: 296, chain: [552, 1732],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 512, vector: 1112, lds: 448, l2: 448, chain: [1964, 4324],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_f16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 512, vector: 176, lds: 448, l2: 384, chain: [536, 1716],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 512, vector: 696, lds: 480, l2: 296, chain: [676, 1780],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 512, vector: 1352, lds: 480, l2: 448, chain: [2100, 4460],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 2560, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_bf16_mxfp4",
        waves: 20, flops: 5242880, bytes: 87040,
        matrix: 20480, vector: 13960, lds: 0, l2: 6781, chain: [7052, 12952],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_decode", arch: "gfx90a", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 1136, lds: 0, l2: 4429, chain: [4552, 13992],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_bf16_mxfp4",
        waves: 16, flops: 4194304, bytes: 69632,
        matrix: 2048, vector: 6336, lds: 0, l2: 3787, chain: [2316, 3496],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_decode", arch: "gfx942", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 3092, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_bf16_mxfp4",
        waves: 16, flops: 4194304, bytes: 69632,
        matrix: 1024, vector: 6112, lds: 0, l2: 3136, chain: [2192, 3372],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_decode", arch: "gfx950", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 2560, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_bf16_dense",
        waves: 8, flops: 1048576, bytes: 24576,
        matrix: 1024, vector: 496, lds: 592, l2: 665, chain: [1356, 2000],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 1048576, bytes: 13312,
        matrix: 1024, vector: 1064, lds: 672, l2: 360, chain: [1168, 1980],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 1048576, bytes: 32768,
        matrix: 1024, vector: 2088, lds: 672, l2: 886, chain: [4032, 8752],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_f16_dense",
        waves: 8, flops: 1048576, bytes: 24576,
        matrix: 1024, vector: 496, lds: 592, l2: 665, chain: [1356, 2000],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 1048576, bytes: 13312,
        matrix: 1024, vector: 1032, lds: 672, l2: 360, chain: [1168, 1980],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 1048576, bytes: 32768,
        matrix: 1024, vector: 2056, lds: 672, l2: 886, chain: [4024, 8744],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 1136, lds: 0, l2: 4429, chain: [4552, 13992],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_bf16_dense",
        waves: 8, flops: 1048576, bytes: 24576,
        matrix: 512, vector: 160, lds: 576, l2: 464, chain: [536, 1716],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 1048576, bytes: 13312,
        matrix: 512, vector: 816, lds: 576, l2: 252, chain: [684, 1796],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 1048576, bytes: 32768,
        matrix: 512, vector: 1832, lds: 576, l2: 619, chain: [3352, 8072],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_f16_dense",
        waves: 8, flops: 1048576, bytes: 24576,
        matrix: 512, vector: 160, lds: 576, l2: 464, chain: [536, 1716],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 1048576, bytes: 13312,
        matrix: 512, vector: 760, lds: 640, l2: 252, chain: [588, 1744],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 1048576, bytes: 32768,
        matrix: 512, vector: 1792, lds: 640, l2: 619, chain: [3400, 8120],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 3092, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_bf16_dense",
        waves: 16, flops: 2097152, bytes: 49152,
        matrix: 512, vector: 256, lds: 768, l2: 768, chain: [524, 1704],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_bf16_mxfp4",
        waves: 16, flops: 2097152, bytes: 26624,
        matrix: 512, vector: 1568, lds: 768, l2: 416, chain: [604, 1784],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_bf16_prepacked",
        waves: 12, flops: 1572864, bytes: 49152,
        matrix: 384, vector: 2700, lds: 576, l2: 768, chain: [3316, 8036],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_f16_dense",
        waves: 16, flops: 2097152, bytes: 49152,
        matrix: 512, vector: 256, lds: 768, l2: 768, chain: [524, 1704],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_f16_mxfp4",
        waves: 12, flops: 1572864, bytes: 19968,
        matrix: 384, vector: 1092, lds: 648, l2: 312, chain: [624, 1804],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_f16_prepacked",
        waves: 12, flops: 1572864, bytes: 49152,
        matrix: 384, vector: 2628, lds: 648, l2: 768, chain: [3328, 8048],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 2560, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_f8", arch: "gfx950", entry: c"mfma_bf16_mxfp4",
        waves: 12, flops: 6291456, bytes: 98304,
        matrix: 384, vector: 2820, lds: 48, l2: 1536, chain: [1988, 4348],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_f8", arch: "gfx950", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 2560, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "fma", arch: "gfx90a", entry: c"grouped_gemm",
        waves: 8, flops: 0, bytes: 61440,
        matrix: 0, vector: 3680, lds: 4416, l2: 1661, chain: [7484, 13384],
    },
    Estimate {
        op: "grouped_gemm", variant: "fma", arch: "gfx90a", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 1136, lds: 0, l2: 4429, chain: [4552, 13992],
    },
    Estimate {
        op: "grouped_gemm", variant: "fma", arch: "gfx942", entry: c"grouped_gemm",
        waves: 8, flops: 0, bytes: 61440,
        matrix: 0, vector: 3608, lds: 4416, l2: 1160, chain: [7404, 13304],
    },
    Estimate {
        op: "grouped_gemm", variant: "fma", arch: "gfx942", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 3092, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "fma", arch: "gfx950", entry: c"grouped_gemm",
        waves: 16, flops: 0, bytes: 122880,
        matrix: 0, vector: 7216, lds: 4672, l2: 1920, chain: [6180, 12080],
    },
    Estimate {
        op: "grouped_gemm", variant: "fma", arch: "gfx950", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 2560, chain: [4456, 13896],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_bf16_64",
        waves: 12, flops: 1572864, bytes: 101376,
        matrix: 6144, vector: 4440, lds: 192, l2: 2740, chain: [3500, 5088],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_bf16_128",
        waves: 8, flops: 2097152, bytes: 133120,
        matrix: 8192, vector: 4240, lds: 128, l2: 3598, chain: [5624, 6228],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_f16_64",
        waves: 12, flops: 1572864, bytes: 101376,
        matrix: 6144, vector: 4392, lds: 192, l2: 2740, chain: [3720, 4964],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_f16_128",
        waves: 8, flops: 2097152, bytes: 133120,
        matrix: 8192, vector: 4200, lds: 128, l2: 3598, chain: [6104, 6712],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"combine_64",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1536, lds: 0, l2: 2657, chain: [1124, 3484],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"combine_128",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1536, lds: 0, l2: 2657, chain: [1124, 3484],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_decode_bf16_64",
        waves: 12, flops: 1572864, bytes: 101376,
        matrix: 768, vector: 2808, lds: 192, l2: 1913, chain: [1624, 2804],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_decode_bf16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 1536, vector: 3336, lds: 192, l2: 3768, chain: [1976, 3156],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_decode_f16_64",
        waves: 12, flops: 1572864, bytes: 101376,
        matrix: 768, vector: 2808, lds: 192, l2: 1913, chain: [1616, 2796],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_decode_f16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 1536, vector: 3336, lds: 192, l2: 3768, chain: [1980, 3160],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"combine_64",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1344, lds: 0, l2: 1855, chain: [1148, 3508],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"combine_128",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1344, lds: 0, l2: 1855, chain: [1148, 3508],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_decode_bf16_64",
        waves: 16, flops: 2097152, bytes: 135168,
        matrix: 512, vector: 3520, lds: 256, l2: 2112, chain: [1600, 3600],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_decode_bf16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 768, vector: 3072, lds: 192, l2: 3120, chain: [1908, 3088],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_decode_f16_64",
        waves: 16, flops: 2097152, bytes: 135168,
        matrix: 512, vector: 3520, lds: 256, l2: 2112, chain: [1600, 3600],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_decode_f16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 768, vector: 3072, lds: 192, l2: 3120, chain: [1908, 3088],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"combine_64",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1344, lds: 0, l2: 1536, chain: [1148, 3508],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"combine_128",
        waves: 32, flops: 0, bytes: 98304,
        matrix: 0, vector: 1344, lds: 0, l2: 1536, chain: [1148, 3508],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_prefill_bf16_64",
        waves: 4, flops: 8388608, bytes: 17408,
        matrix: 20480, vector: 7976, lds: 1240, l2: 471, chain: [25048, 25048],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_prefill_bf16_128",
        waves: 4, flops: 4194304, bytes: 17408,
        matrix: 10240, vector: 3840, lds: 1240, l2: 471, chain: [13164, 13164],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_prefill_f16_64",
        waves: 4, flops: 4194304, bytes: 17408,
        matrix: 4096, vector: 3240, lds: 696, l2: 471, chain: [6980, 6980],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_prefill_f16_128",
        waves: 4, flops: 4194304, bytes: 17408,
        matrix: 10240, vector: 3860, lds: 1208, l2: 471, chain: [13072, 13072],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_bf16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 4096, vector: 5504, lds: 1376, l2: 657, chain: [4040, 4040],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_bf16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 2048, vector: 2376, lds: 1376, l2: 657, chain: [2368, 2368],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_f16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 4096, vector: 5568, lds: 1376, l2: 657, chain: [4024, 4024],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_f16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 2048, vector: 2320, lds: 1376, l2: 657, chain: [2444, 2444],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_bf16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 2048, vector: 4840, lds: 864, l2: 544, chain: [3060, 3060],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_bf16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 1024, vector: 2104, lds: 864, l2: 544, chain: [1840, 2316],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_f16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 2048, vector: 4840, lds: 864, l2: 544, chain: [3060, 3060],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_f16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 1024, vector: 2104, lds: 864, l2: 544, chain: [1840, 2316],
    },
    Estimate {
        op: "flash_attn", variant: "fma", arch: "gfx90a", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 49152,
        matrix: 0, vector: 816, lds: 256, l2: 1329, chain: [1356, 3716],
    },
    Estimate {
        op: "flash_attn", variant: "fma", arch: "gfx942", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 49152,
        matrix: 0, vector: 752, lds: 256, l2: 928, chain: [1320, 3680],
    },
    Estimate {
        op: "flash_attn", variant: "fma", arch: "gfx950", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 49152,
        matrix: 0, vector: 752, lds: 128, l2: 768, chain: [1320, 3680],
    },
    Estimate {
        op: "flash_attn", variant: "fma_scaled", arch: "gfx90a", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 36864,
        matrix: 0, vector: 3632, lds: 768, l2: 997, chain: [5484, 13684],
    },
    Estimate {
        op: "flash_attn", variant: "fma_scaled", arch: "gfx942", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 36864,
        matrix: 0, vector: 4864, lds: 768, l2: 696, chain: [5748, 13884],
    },
    Estimate {
        op: "flash_attn", variant: "fma_scaled", arch: "gfx950", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 36864,
        matrix: 0, vector: 4800, lds: 592, l2: 576, chain: [5708, 13864],
    },
];
