//! Products of bf16 values by Intel's matrix unit, AMX-BF16.
//!
//! `tdpbf16ps` adds to a tile of 16 × 16 sums the product of 16 × 32 and 32 × 16 bf16 values. For each sum it adds the products of
//! the earlier values of all 16 pairs, and those of the later ones, and both to the sum, each rounded to the nearest f32 (Intel's manual,
//! volume 2). Subnormal numbers count as zero, whatever MXCSR says.

#![expect(unsafe_code, reason = "instructions that the compiler does not know")]
#![expect(
    clippy::unused_self,
    reason = "the value is the proof that the instructions may be used"
)]

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::marker::PhantomData;

use super::super::tiles::{LeftTile, RightTile, SumTile, Terms};

/// That the processor has AMX-BF16 and the system lets this process use it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Amx(());

/// That the tiles of this thread have their shape, until this is dropped. It stays on its thread.
#[derive(Debug)]
pub(in super::super) struct Configured(PhantomData<*const ()>);

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes of a row, of each tile.
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of 16 rows with 64 bytes each.
static SHAPES: Shapes = Shapes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

impl Amx {
    /// Asks the processor and then the system, which hands out the tiles once for the whole process.
    pub fn try_new() -> Option<Self> {
        (processor_has_it() && system_keeps_tiles() && system_permits()).then_some(Self(()))
    }

    /// The tiles of this thread, ready.
    pub fn configured(self) -> Configured {
        // SAFETY: only `try_new` makes a value of this type, so the instruction is there and permitted. It reads the 64 bytes of
        // the operand, which are a valid configuration, and changes nothing but the tiles.
        unsafe {
            asm!(
                "ldtilecfg [{shapes}]",
                shapes = in(reg) &raw const SHAPES,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, readonly),
            );
        }
        Configured(PhantomData)
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: a value of this type is only made where the tiles may be used; nobody reads them any more.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, nomem),
            );
        }
    }
}

impl Configured {
    /// See [`Ready::multiply`](super::Ready::multiply), which has checked the number of tiles.
    pub fn multiply(&self, sums: &mut SumTile, left: &[LeftTile], right: &[RightTile], terms: Terms) {
        let steps = right.len() / terms.count();
        assert_eq!(left.len(), 2 * steps * terms.count());
        if steps == 0 {
            return;
        }
        // SAFETY: the tiles are configured, 16 rows of 64 bytes each. Sums are four of them, two by two: rows 128 bytes apart, so
        // the second column of tiles begins 64 bytes and the second row 2,048 bytes further on. A step reads two left tiles of 1,024
        // bytes, rows 64 bytes apart, and a right one of 2,048 bytes, rows 128 bytes apart, which is two tiles side by side; with two
        // terms it reads as many again behind them. There are `steps` of them, at least one, and the pointers advance by what was read.
        unsafe {
            match terms {
                Terms::One => asm!(
                    "tileloadd tmm0, [{sums} + {wide}*1]",
                    "tileloadd tmm1, [{sums} + {wide}*1 + 64]",
                    "tileloadd tmm2, [{sums} + {wide}*1 + 2048]",
                    "tileloadd tmm3, [{sums} + {wide}*1 + 2112]",
                    "2:",
                    "tileloadd tmm6, [{right} + {wide}*1]",
                    "tileloadd tmm4, [{left} + {narrow}*1]",
                    "tileloadd tmm7, [{right} + {wide}*1 + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm5, [{left} + {narrow}*1 + 1024]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {left}, 2048",
                    "add {right}, 2048",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{sums} + {wide}*1], tmm0",
                    "tilestored [{sums} + {wide}*1 + 64], tmm1",
                    "tilestored [{sums} + {wide}*1 + 2048], tmm2",
                    "tilestored [{sums} + {wide}*1 + 2112], tmm3",
                    sums = in(reg) &raw mut sums.0,
                    left = inout(reg) left.as_ptr() => _,
                    right = inout(reg) right.as_ptr() => _,
                    steps = inout(reg) steps => _,
                    narrow = in(reg) 64_usize,
                    wide = in(reg) 128_usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                ),
                Terms::Two => asm!(
                    "tileloadd tmm0, [{sums} + {wide}*1]",
                    "tileloadd tmm1, [{sums} + {wide}*1 + 64]",
                    "tileloadd tmm2, [{sums} + {wide}*1 + 2048]",
                    "tileloadd tmm3, [{sums} + {wide}*1 + 2112]",
                    "2:",
                    // low · high
                    "tileloadd tmm6, [{right} + {wide}*1]",
                    "tileloadd tmm4, [{left} + {narrow}*1 + 2048]",
                    "tileloadd tmm7, [{right} + {wide}*1 + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm5, [{left} + {narrow}*1 + 3072]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    // high · high
                    "tileloadd tmm4, [{left} + {narrow}*1]",
                    "tileloadd tmm5, [{left} + {narrow}*1 + 1024]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    // high · low
                    "tileloadd tmm6, [{right} + {wide}*1 + 2048]",
                    "tileloadd tmm7, [{right} + {wide}*1 + 2112]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {left}, 4096",
                    "add {right}, 4096",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{sums} + {wide}*1], tmm0",
                    "tilestored [{sums} + {wide}*1 + 64], tmm1",
                    "tilestored [{sums} + {wide}*1 + 2048], tmm2",
                    "tilestored [{sums} + {wide}*1 + 2112], tmm3",
                    sums = in(reg) &raw mut sums.0,
                    left = inout(reg) left.as_ptr() => _,
                    right = inout(reg) right.as_ptr() => _,
                    steps = inout(reg) steps => _,
                    narrow = in(reg) 64_usize,
                    wide = in(reg) 128_usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                ),
            }
        }
    }
}

/// CPUID, leaf 7: AMX-BF16 and AMX-TILE.
fn processor_has_it() -> bool {
    const BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BF16_AND_TILE == BF16_AND_TILE
}

/// Whether the system saves tiles and their configuration when it changes threads (bits 17 and 18 of XCR0).
fn system_keeps_tiles() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const TILES: u32 = 1 << 17 | 1 << 18;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let low: u32;
    // SAFETY: the instruction is there where CPUID has OSXSAVE, and register 0 always is.
    unsafe {
        asm!(
            "xgetbv",
            in("ecx") 0,
            out("eax") low,
            out("edx") _,
            options(nostack, nomem, preserves_flags),
        );
    }
    low & TILES == TILES
}

/// Asks Linux for the tiles: a thread that uses them without is ended (`arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)`).
#[cfg(target_os = "linux")]
fn system_permits() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: the call takes two values and touches no memory of ours; the kernel changes rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn system_permits() -> bool {
    false
}
