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
        matrix: 0, vector: 1200, lds: 200, l2: 1546, chain: [2952, 7672],
    },
    Estimate {
        op: "moe_route", variant: "portable", arch: "gfx950", entry: c"moe_route",
        waves: 20, flops: 0, bytes: 81920,
        matrix: 0, vector: 1200, lds: 200, l2: 1280, chain: [2952, 7672],
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
        matrix: 0, vector: 5568, lds: 2560, l2: 3543, chain: [5272, 8812],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx942", entry: c"moe_count",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 960, lds: 160, l2: 1237, chain: [2532, 6072],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx942", entry: c"moe_place",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 4032, lds: 2560, l2: 2474, chain: [4952, 8492],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx950", entry: c"moe_count",
        waves: 16, flops: 0, bytes: 65536,
        matrix: 0, vector: 960, lds: 160, l2: 1024, chain: [2532, 6072],
    },
    Estimate {
        op: "moe_sort", variant: "two_launches", arch: "gfx950", entry: c"moe_place",
        waves: 32, flops: 0, bytes: 131072,
        matrix: 0, vector: 4032, lds: 2560, l2: 2048, chain: [4952, 8492],
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
        waves: 8, flops: 4194304, bytes: 24576,
        matrix: 10240, vector: 2048, lds: 656, l2: 665, chain: [5856, 5856],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 4194304, bytes: 18944,
        matrix: 10240, vector: 2568, lds: 768, l2: 512, chain: [6088, 6088],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 4194304, bytes: 28672,
        matrix: 10240, vector: 3168, lds: 768, l2: 775, chain: [7500, 9860],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_f16_dense",
        waves: 8, flops: 4194304, bytes: 24576,
        matrix: 10240, vector: 2048, lds: 656, l2: 665, chain: [5868, 5868],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 4194304, bytes: 18944,
        matrix: 10240, vector: 2552, lds: 768, l2: 512, chain: [6084, 6084],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 4194304, bytes: 28672,
        matrix: 10240, vector: 3152, lds: 768, l2: 775, chain: [7496, 9856],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx90a", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 1136, lds: 0, l2: 4429, chain: [4552, 13992],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_bf16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 1024, vector: 240, lds: 704, l2: 464, chain: [1156, 2336],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 1024, vector: 832, lds: 752, l2: 358, chain: [1420, 2600],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 1024, vector: 1368, lds: 752, l2: 541, chain: [2408, 4768],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_f16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 1024, vector: 240, lds: 704, l2: 464, chain: [1156, 2336],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 1024, vector: 816, lds: 752, l2: 358, chain: [1412, 2592],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 1024, vector: 1352, lds: 752, l2: 541, chain: [2400, 4760],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx942", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 3092, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_bf16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 512, vector: 176, lds: 704, l2: 384, chain: [900, 2080],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 512, vector: 768, lds: 752, l2: 296, chain: [1176, 2356],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 512, vector: 1304, lds: 752, l2: 448, chain: [2164, 4524],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_f16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 512, vector: 176, lds: 704, l2: 384, chain: [900, 2080],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 2097152, bytes: 18944,
        matrix: 512, vector: 752, lds: 752, l2: 296, chain: [1168, 2348],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 2097152, bytes: 28672,
        matrix: 512, vector: 1288, lds: 752, l2: 448, chain: [2156, 4516],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma_prefill", arch: "gfx950", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 2560, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_bf16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 5120, vector: 1328, lds: 528, l2: 665, chain: [3164, 3164],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 2097152, bytes: 13312,
        matrix: 5120, vector: 1784, lds: 656, l2: 360, chain: [3348, 3348],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 2097152, bytes: 32768,
        matrix: 5120, vector: 2784, lds: 656, l2: 886, chain: [6128, 10848],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_f16_dense",
        waves: 8, flops: 2097152, bytes: 24576,
        matrix: 5120, vector: 1328, lds: 528, l2: 665, chain: [3176, 3176],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 2097152, bytes: 13312,
        matrix: 5120, vector: 1752, lds: 656, l2: 360, chain: [3344, 3344],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 2097152, bytes: 32768,
        matrix: 5120, vector: 2752, lds: 656, l2: 886, chain: [6124, 10844],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx90a", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 1136, lds: 0, l2: 4429, chain: [4552, 13992],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_bf16_dense",
        waves: 8, flops: 1048576, bytes: 24576,
        matrix: 512, vector: 160, lds: 576, l2: 464, chain: [836, 2016],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_bf16_mxfp4",
        waves: 8, flops: 1048576, bytes: 13312,
        matrix: 512, vector: 752, lds: 640, l2: 252, chain: [1208, 2388],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_bf16_prepacked",
        waves: 8, flops: 1048576, bytes: 32768,
        matrix: 512, vector: 1760, lds: 640, l2: 619, chain: [3500, 8220],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_f16_dense",
        waves: 8, flops: 1048576, bytes: 24576,
        matrix: 512, vector: 160, lds: 576, l2: 464, chain: [836, 2016],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_f16_mxfp4",
        waves: 8, flops: 1048576, bytes: 13312,
        matrix: 512, vector: 720, lds: 640, l2: 252, chain: [1192, 2372],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"mfma_f16_prepacked",
        waves: 8, flops: 1048576, bytes: 32768,
        matrix: 512, vector: 1728, lds: 640, l2: 619, chain: [3484, 8204],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx942", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 3092, chain: [4456, 13896],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_bf16_dense",
        waves: 16, flops: 2097152, bytes: 49152,
        matrix: 512, vector: 256, lds: 1152, l2: 768, chain: [708, 1888],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_bf16_mxfp4",
        waves: 16, flops: 2097152, bytes: 26624,
        matrix: 512, vector: 1440, lds: 1280, l2: 416, chain: [1084, 2264],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_bf16_prepacked",
        waves: 12, flops: 1572864, bytes: 49152,
        matrix: 384, vector: 2592, lds: 960, l2: 768, chain: [3376, 8096],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_f16_dense",
        waves: 16, flops: 2097152, bytes: 49152,
        matrix: 512, vector: 256, lds: 1152, l2: 768, chain: [708, 1888],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_f16_mxfp4",
        waves: 12, flops: 1572864, bytes: 19968,
        matrix: 384, vector: 1032, lds: 960, l2: 312, chain: [1068, 2248],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"mfma_f16_prepacked",
        waves: 12, flops: 1572864, bytes: 49152,
        matrix: 384, vector: 2544, lds: 960, l2: 768, chain: [3360, 8080],
    },
    Estimate {
        op: "grouped_gemm", variant: "mfma", arch: "gfx950", entry: c"grouped_finish",
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
        matrix: 0, vector: 7216, lds: 8832, l2: 1920, chain: [6180, 12080],
    },
    Estimate {
        op: "grouped_gemm", variant: "fma", arch: "gfx950", entry: c"grouped_finish",
        waves: 16, flops: 0, bytes: 163840,
        matrix: 0, vector: 944, lds: 0, l2: 2560, chain: [4456, 13896],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_bf16_64",
        waves: 12, flops: 1572864, bytes: 101376,
        matrix: 6144, vector: 4440, lds: 192, l2: 2740, chain: [4656, 9784],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_bf16_128",
        waves: 8, flops: 2097152, bytes: 133120,
        matrix: 8192, vector: 4240, lds: 128, l2: 3598, chain: [6640, 10180],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_f16_64",
        waves: 12, flops: 1572864, bytes: 101376,
        matrix: 6144, vector: 4392, lds: 192, l2: 2740, chain: [4876, 9660],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx90a", entry: c"mfma_decode_f16_128",
        waves: 8, flops: 2097152, bytes: 133120,
        matrix: 8192, vector: 4200, lds: 128, l2: 3598, chain: [7120, 10660],
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
        matrix: 768, vector: 2808, lds: 192, l2: 1913, chain: [2708, 7428],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_decode_bf16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 1536, vector: 3336, lds: 192, l2: 3768, chain: [2680, 6220],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_decode_f16_64",
        waves: 12, flops: 1572864, bytes: 101376,
        matrix: 768, vector: 2808, lds: 192, l2: 1913, chain: [2700, 7420],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx942", entry: c"mfma_decode_f16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 1536, vector: 3336, lds: 192, l2: 3768, chain: [2684, 6224],
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
        matrix: 512, vector: 3712, lds: 256, l2: 2112, chain: [2664, 7384],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_decode_bf16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 768, vector: 3216, lds: 192, l2: 3120, chain: [2656, 6196],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_decode_f16_64",
        waves: 16, flops: 2097152, bytes: 135168,
        matrix: 512, vector: 3648, lds: 256, l2: 2112, chain: [2664, 7384],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_decode", arch: "gfx950", entry: c"mfma_decode_f16_128",
        waves: 12, flops: 3145728, bytes: 199680,
        matrix: 768, vector: 3168, lds: 192, l2: 3120, chain: [2640, 6180],
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
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_bf16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 4096, vector: 5504, lds: 1376, l2: 657, chain: [4916, 7276],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_bf16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 2048, vector: 2376, lds: 1376, l2: 657, chain: [3244, 5604],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_f16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 4096, vector: 5568, lds: 1376, l2: 657, chain: [4900, 7260],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx942", entry: c"mfma_prefill_f16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 2048, vector: 2320, lds: 1376, l2: 657, chain: [3320, 5680],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_bf16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 2048, vector: 5416, lds: 1376, l2: 544, chain: [4368, 6728],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_bf16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 1024, vector: 2256, lds: 1376, l2: 544, chain: [2856, 5216],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_f16_64",
        waves: 8, flops: 8388608, bytes: 34816,
        matrix: 2048, vector: 5160, lds: 1376, l2: 544, chain: [4256, 6616],
    },
    Estimate {
        op: "flash_attn", variant: "mfma_prefill", arch: "gfx950", entry: c"mfma_prefill_f16_128",
        waves: 8, flops: 4194304, bytes: 34816,
        matrix: 1024, vector: 2192, lds: 1376, l2: 544, chain: [2848, 5208],
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
        matrix: 0, vector: 752, lds: 256, l2: 768, chain: [1320, 3680],
    },
    Estimate {
        op: "flash_attn", variant: "fma_scaled", arch: "gfx90a", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 36864,
        matrix: 0, vector: 3632, lds: 768, l2: 997, chain: [5928, 14188],
    },
    Estimate {
        op: "flash_attn", variant: "fma_scaled", arch: "gfx942", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 36864,
        matrix: 0, vector: 4864, lds: 768, l2: 696, chain: [6184, 14444],
    },
    Estimate {
        op: "flash_attn", variant: "fma_scaled", arch: "gfx950", entry: c"flash_attn",
        waves: 16, flops: 0, bytes: 36864,
        matrix: 0, vector: 4800, lds: 768, l2: 576, chain: [6152, 14412],
    },
];
