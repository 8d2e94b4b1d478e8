//! What gfx11 and gfx12 do otherwise than gfx9, held to AMD's instruction set guides for RDNA3 and RDNA4.

use crate::launch::alone;
use crate::wave::{EXEC, POISON, VCC, Wave};

fn after(code: &[&str], prepare: impl FnOnce(&mut Wave)) -> Wave {
    alone("gfx1100", code, prepare).unwrap()
}

fn fault(arch: &str, code: &[&str]) -> String {
    alone(arch, code, |_| {}).err().unwrap_or_default()
}

/// "The read gets the old value" (RDNA3, dual issue).
#[test]
fn both_of_two_read_before_either_writes() {
    let w = after(&["v_dual_mov_b32 v0, v1 :: v_dual_mov_b32 v1, v0"], |w| {
        (w.vector[0], w.vector[1]) = ([7; 64], [8; 64]);
    });
    assert_eq!((w.vector[0][31], w.vector[1][31]), (8, 7));
    let w = after(&["v_dual_cndmask_b32 v0, v1, v2 :: v_dual_fmac_f32 v3, v1, v4"], |w| {
        w.scalar[VCC] = 1 << 4;
        (w.vector[1], w.vector[2]) = ([2f32.to_bits(); 64], [9; 64]);
        (w.vector[3], w.vector[4]) = ([1f32.to_bits(); 64], [3f32.to_bits(); 64]);
    });
    assert_eq!((w.vector[0][3], w.vector[0][4]), (2f32.to_bits(), 9));
    assert_eq!(f32::from_bits(w.vector[3][0]), 7.0);
    // One result must be even and the other odd.
    assert!(fault("gfx1100", &["v_dual_mov_b32 v0, v1 :: v_dual_mov_b32 v2, v0"]).contains("even"));
    assert!(fault("gfx1100", &["v_dual_mov_b32 v0, v1 :: v_mov_b32_e32 v1, v0"]).contains("one of two"));
}

#[test]
fn masks_of_32_lanes_are_one_register() {
    let numbered = |w: &mut Wave| w.vector[0] = std::array::from_fn(|l| l as u32);
    let w = after(&["v_cmp_gt_u32_e32 vcc_lo, 3, v0"], numbered);
    assert_eq!((w.scalar[VCC], w.scalar[VCC + 1]), (7, POISON));
    // Only exec: the mask of comparisons stays.
    let w = after(&["v_cmpx_gt_u32_e64 3, v0", "s_or_saveexec_b32 s4, 0x80000000"], numbered);
    assert_eq!((w.scalar[VCC], w.scalar[4], w.exec()), (POISON, 7, 0x8000_0007));
    let w = after(&["s_and_not1_saveexec_b32 s4, exec_lo"], numbered);
    assert_eq!((w.scalar[4], w.scalar[EXEC], w.condition), (u32::MAX, 0, false));
    assert!(fault("gfx1100", &["v_cmp_gt_u32_e32 vcc, 3, v0"]).contains("two registers"));
    assert!(fault("gfx942", &["v_cmpx_gt_u32_e64 3, v0"]).contains("gfx11"));
    assert!(
        fault("gfx1100", &["v_mbcnt_lo_u32_b32 v0, -1, 0", "v_readlane_b32 s0, v0, 33", "s_cmp_eq_u32 s0, 1"])
            .is_empty()
    );
}

#[test]
fn results_of_16_bits_keep_the_other_half() {
    let two = |w: &mut Wave| (w.vector[1], w.vector[2]) = ([0x1111_2222; 64], [0x3333_4444; 64]);
    assert_eq!(after(&["v_mov_b16_e32 v1.h, v2.l"], two).vector[1][0], 0x4444_2222);
    assert_eq!(after(&["v_and_b16 v1.l, 0xff, v2.h op_sel:[0,1,0]"], two).vector[1][0], 0x1111_0033);
    assert_eq!(after(&["v_cvt_f32_f16_e32 v1, v2.h"], two).vector[1][0], 0.22497559f32.to_bits());
    let w = alone("gfx1201", &["v_add_nc_u16 v1, v2, v2"], two).unwrap();
    assert_eq!(w.vector[1][0], 0x1111_8888);
    assert_eq!(alone("gfx942", &["v_add_u16_e32 v1, v2, v2"], two).unwrap().vector[1][0], 0x8888);
    assert!(fault("gfx1100", &["v_mov_b32_e32 v1.h, v2.l"]).contains("half"));
}

#[test]
fn the_null_register_reads_as_zero_and_keeps_nothing() {
    let w = after(&["v_add_co_u32 v1, null, v2, v2", "s_mov_b32 s3, null", "s_mov_b32 null, 5"], |w| {
        w.vector[2] = [1 << 31; 64];
    });
    assert_eq!((w.vector[1][0], w.scalar[3]), (0, 0));
}

#[test]
fn barriers_of_two_instructions() {
    let lds = "ds_load_b32 v1, v0";
    let zero = |w: &mut Wave| w.vector[0] = [0; 64];
    let run = |code: &[&str]| alone("gfx1201", code, zero).err().unwrap_or_default();
    assert_eq!(run(&["s_barrier_signal -1", "s_mov_b32 s0, 0", "s_barrier_wait 0xffff", lds]), "");
    assert!(run(&["s_barrier_wait 0xffff"]).contains("has not signalled"));
    assert!(run(&["s_barrier_signal -1", lds, "s_barrier_wait 0xffff"]).contains("between the signal"));
    assert!(run(&["s_barrier_signal 1"]).contains("not known"));
    assert!(run(&["s_barrier_signal -1", "s_barrier_wait 0xffff", lds, "v_mov_b32_e32 v2, v1"]).contains("dscnt"));
    assert!(run(&[lds, "s_wait_kmcnt 0x0", "v_mov_b32_e32 v2, v1"]).contains("dscnt"));
    assert_eq!(run(&[lds, "s_wait_loadcnt_dscnt 0x3f00", "v_mov_b32_e32 v2, v1"]), "");
}

#[test]
fn numbers_in_scalar_registers() {
    let code = [
        "s_mul_f32 s0, 2.0, 0x40400000",
        "s_fmac_f32 s0, s0, 4.0",
        "s_cmp_nlt_f32 s0, 0x7fc00000",
        "s_cselect_b32 s1, 1, 0",
        "v_s_rcp_f32 s2, s0",
        "s_mov_b64 s[4:5], -1",
        "s_mul_u64 s[6:7], s[4:5], s[4:5]",
        "s_sub_nc_u64 s[8:9], s[4:5], s[6:7]",
    ];
    let w = alone("gfx1201", &code, |_| {}).unwrap();
    assert_eq!((f32::from_bits(w.scalar[0]), w.scalar[1], f32::from_bits(w.scalar[2])), (30.0, 1, 1.0 / 30.0));
    assert_eq!((w.pair(6), w.pair(8)), (1, u64::MAX - 1));
    let code = ["v_maxmin_i32 v0, -1, 5, 3", "v_minmax_i32 v1, -1, 5, 3"];
    let w = after(&code, |_| {});
    assert_eq!((w.vector[0][0], w.vector[1][0]), (3, 3));
}

/// Four bits a lane say which of the other row's 16 it takes, those of the first eight lanes in the first scalar.
#[test]
fn rows_of_16_lanes_change_places() {
    let code = ["s_mov_b32 s0, 0x76543210", "s_mov_b32 s1, 0xfedcba90", "v_permlanex16_b32 v1, v0, s0, s1"];
    let w = after(&code, |w| w.vector[0] = std::array::from_fn(|l| l as u32));
    // Lane 8 of a row is told to take lane 0.
    assert_eq!([0, 7, 8, 15, 16, 24, 31].map(|l: usize| w.vector[1][l]), [16, 23, 16, 31, 0, 0, 15]);
    let code = [code[0], code[1], "s_mov_b32 exec_lo, 1", code[2]];
    assert!(fault("gfx1100", &code).contains("take no part"));
}
