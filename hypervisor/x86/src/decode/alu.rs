//! The arithmetic and the flags of the instructions that can have a device as an operand.

use x86defs::rflags::Rflags;

const CF: u64 = Rflags::CF.bits();
const PF: u64 = Rflags::PF.bits();
const AF: u64 = Rflags::AF.bits();
const ZF: u64 = Rflags::ZF.bits();
const SF: u64 = Rflags::SF.bits();
const OF: u64 = Rflags::OF.bits();
const ALL: u64 = CF | PF | AF | ZF | SF | OF;

/// An operation with two operands (INC, DEC and NEG are additions and subtractions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
}

/// All ones of an operand of `bytes` bytes.
pub(super) const fn mask(bytes: u8) -> u64 {
    match 1u64.checked_shl((bytes as u32).wrapping_mul(8)) {
        Some(above) => above.wrapping_sub(1),
        None => u64::MAX,
    }
}

/// Extends the sign of a value of `bytes` bytes.
pub(super) const fn sign_extend(value: u64, bytes: u8) -> u64 {
    let shift = 64u32.wrapping_sub((bytes as u32).wrapping_mul(8)) & 63;
    ((value << shift).cast_signed() >> shift).cast_unsigned()
}

/// Computes `a op b` on operands of `bytes` bytes. Gives the result and the new flags.
pub(super) const fn compute(op: Op, a: u64, b: u64, bytes: u8, rflags: u64) -> (u64, u64) {
    let mask = mask(bytes);
    let (a, b) = (a & mask, b & mask);
    let sign = mask ^ mask >> 1;
    let carry_in = match op {
        Op::Adc | Op::Sbb => rflags & CF,
        _ => 0,
    };
    let (result, carry, overflow) = match op {
        Op::Add | Op::Adc => {
            let result = a.wrapping_add(b).wrapping_add(carry_in) & mask;
            // A carry out of the highest bit: from both operands, or from one and the sum below.
            let carry = (a & b | (a | b) & !result) & sign != 0;
            (result, carry, (a ^ result) & (b ^ result) & sign != 0)
        }
        Op::Sub | Op::Sbb => {
            let result = a.wrapping_sub(b).wrapping_sub(carry_in) & mask;
            let borrow = (!a & b | (!a | b) & result) & sign != 0;
            (result, borrow, (a ^ b) & (a ^ result) & sign != 0)
        }
        Op::And => (a & b, false, false),
        Op::Or => (a | b, false, false),
        Op::Xor => (a ^ b, false, false),
    };
    let auxiliary = match op {
        Op::And | Op::Or | Op::Xor => false,
        _ => (a ^ b ^ result) & 0x10 != 0,
    };
    let mut flags = rflags & !ALL;
    if carry {
        flags |= CF;
    }
    if (result as u8).count_ones() & 1 == 0 {
        flags |= PF;
    }
    if auxiliary {
        flags |= AF;
    }
    if result == 0 {
        flags |= ZF;
    }
    if result & sign != 0 {
        flags |= SF;
    }
    if overflow {
        flags |= OF;
    }
    (result, flags)
}

/// `flags` with the carry of `before`: INC and DEC leave it alone.
pub(super) const fn keep_carry(flags: u64, before: u64) -> u64 {
    flags & !CF | before & CF
}

/// `flags` with the carry set to `carry`: the bit tests.
pub(super) const fn set_carry(flags: u64, carry: bool) -> u64 {
    if carry { flags | CF } else { flags & !CF }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The flags by the manual's words, in wide arithmetic.
    fn model(op: Op, a: u64, b: u64, bytes: u8, rflags: u64) -> (u64, u64) {
        let bits = u32::from(bytes) * 8;
        let mask = mask(bytes);
        let (a, b) = (u128::from(a & mask), u128::from(b & mask));
        let signed = |v: u128| (v as i128) << (128 - bits) >> (128 - bits);
        let c = if matches!(op, Op::Adc | Op::Sbb) { rflags as u128 & 1 } else { 0 };
        let (wide, exact, low) = match op {
            Op::Add | Op::Adc => {
                (a + b + c, signed(a) + signed(b) + c as i128, (a & 15) + (b & 15) + c > 15)
            }
            Op::Sub | Op::Sbb => {
                (a.wrapping_sub(b + c), signed(a) - signed(b) - c as i128, (a & 15) < (b & 15) + c)
            }
            Op::And => (a & b, signed(a & b), false),
            Op::Or => (a | b, signed(a | b), false),
            Op::Xor => (a ^ b, signed(a ^ b), false),
        };
        let result = wide & u128::from(mask);
        let mut flags = rflags & !ALL;
        flags |= if wide >> bits != 0 { CF } else { 0 };
        flags |= if (result as u8).count_ones().is_multiple_of(2) { PF } else { 0 };
        flags |= if low { AF } else { 0 };
        flags |= if result == 0 { ZF } else { 0 };
        flags |= if signed(result) < 0 { SF } else { 0 };
        flags |= if exact != signed(result) { OF } else { 0 };
        (result as u64, flags)
    }

    proptest! {
        #[test]
        fn flags_match_wide_arithmetic(op in 0usize..7, a: u64, b: u64, size in 0u32..4, flags: u64) {
            let op = [Op::Add, Op::Adc, Op::Sub, Op::Sbb, Op::And, Op::Or, Op::Xor][op];
            let bytes = 1u8 << size;
            prop_assert_eq!(compute(op, a, b, bytes, flags), model(op, a, b, bytes, flags));
        }
    }

    #[test]
    fn extremes() {
        assert_eq!(compute(Op::Sub, 0, 1, 1, 0), (0xff, CF | PF | AF | SF));
        assert_eq!(compute(Op::Add, 0x7f, 1, 1, 0), (0x80, AF | SF | OF));
        assert_eq!(sign_extend(0x80, 1), 0xffff_ffff_ffff_ff80);
        assert_eq!(sign_extend(0x8000_0000_0000_0000, 8), 0x8000_0000_0000_0000);
        assert_eq!(mask(8), u64::MAX);
    }
}
