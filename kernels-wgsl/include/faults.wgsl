// Bits of the device status word: `Fault` in src/op/fault.rs.
const FAULT_OFFSETS: u32 = 1u;
const FAULT_ROW_INDEX: u32 = 2u;
const FAULT_EXPERT_ID: u32 = 4u;
const FAULT_PAGE: u32 = 8u;
const FAULT_LENGTH: u32 = 16u;
const FAULT_TOKEN_ID: u32 = 32u;
const FAULT_POSITION: u32 = 64u;
const FAULT_SLOT: u32 = 128u;
