// Bits of the device status word: `Fault` in src/op/fault.rs.
#pragma once

constexpr unsigned FAULT_OFFSETS = 1 << 0, FAULT_ROW_INDEX = 1 << 1, FAULT_EXPERT_ID = 1 << 2, FAULT_PAGE = 1 << 3,
                   FAULT_LENGTH = 1 << 4, FAULT_TOKEN_ID = 1 << 5, FAULT_POSITION = 1 << 6, FAULT_SLOT = 1 << 7;

// `status` is null where the caller gave none.
__device__ __forceinline__ void report(unsigned* status, unsigned fault) {
    if (status) atomicOr(status, fault);
}
