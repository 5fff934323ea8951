//! Element types as files store them, and their conversion to the two types that models compute with.

use std::fmt;

use half::slice::HalfFloatSliceExt;

/// The element type of a tensor as stored in its file.
///
/// All are listed that safetensors and torch write; only those with a conversion can be read
/// ([`Tensors::f32`](crate::Tensors::f32), [`Tensors::i64`](crate::Tensors::i64)).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation
pub enum Dtype {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F8E4M3,
    F8E5M2,
    F8E8M0,
    F16,
    BF16,
    F32,
    F64,
    C64,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Dtype::Bool | Dtype::U8 | Dtype::I8 | Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::F8E8M0 => {
                1
            }
            Dtype::U16 | Dtype::I16 | Dtype::F16 | Dtype::BF16 => 2,
            Dtype::U32 | Dtype::I32 | Dtype::F32 => 4,
            Dtype::U64 | Dtype::I64 | Dtype::F64 | Dtype::C64 => 8,
        }
    }

    /// The name that safetensors headers use.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::Bool => "BOOL",
            Dtype::U8 => "U8",
            Dtype::I8 => "I8",
            Dtype::U16 => "U16",
            Dtype::I16 => "I16",
            Dtype::U32 => "U32",
            Dtype::I32 => "I32",
            Dtype::U64 => "U64",
            Dtype::I64 => "I64",
            Dtype::F8E4M3 => "F8_E4M3",
            Dtype::F8E5M2 => "F8_E5M2",
            Dtype::F8E8M0 => "F8_E8M0",
            Dtype::F16 => "F16",
            Dtype::BF16 => "BF16",
            Dtype::F32 => "F32",
            Dtype::F64 => "F64",
            Dtype::C64 => "C64",
        }
    }

    /// Every type, for looking one up by name.
    const ALL: [Dtype; 17] = [
        Dtype::Bool,
        Dtype::U8,
        Dtype::I8,
        Dtype::U16,
        Dtype::I16,
        Dtype::U32,
        Dtype::I32,
        Dtype::U64,
        Dtype::I64,
        Dtype::F8E4M3,
        Dtype::F8E5M2,
        Dtype::F8E8M0,
        Dtype::F16,
        Dtype::BF16,
        Dtype::F32,
        Dtype::F64,
        Dtype::C64,
    ];

    /// The type with this safetensors name.
    pub(crate) fn from_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Little-endian `bytes` of a floating-point type as `f32`; `None` where the type is not one.
///
/// f64 is rounded to nearest; f16 and bf16 are exact.
pub(crate) fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        Dtype::F32 => Some(elements(bytes, f32::from_le_bytes)),
        Dtype::F64 => Some(elements(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F16 => Some(from_half::<half::f16>(bytes, half::f16::from_le_bytes)),
        Dtype::BF16 => Some(from_half::<half::bf16>(bytes, half::bf16::from_le_bytes)),
        _ => None,
    }
}

/// Little-endian `bytes` of a signed integer type of 32 or 64 bits as `i64`; `None` where the type is not one.
pub(crate) fn to_i64(dtype: Dtype, bytes: &[u8]) -> Option<Vec<i64>> {
    match dtype {
        Dtype::I64 => Some(elements(bytes, i64::from_le_bytes)),
        Dtype::I32 => Some(elements(bytes, |b| i32::from_le_bytes(b).into())),
        _ => None,
    }
}

fn elements<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}

/// Widens block by block, so that the copy which gives the halves their alignment stays in the cache.
fn from_half<H: Copy + Default>(bytes: &[u8], read: impl Fn([u8; 2]) -> H) -> Vec<f32>
where
    [H]: HalfFloatSliceExt,
{
    const BLOCK: usize = 1024;
    let (halves, _) = bytes.as_chunks::<2>();
    let mut wide = vec![0.0; halves.len()];
    let mut block = [H::default(); BLOCK];
    for (halves, wide) in halves.chunks(BLOCK).zip(wide.chunks_mut(BLOCK)) {
        for (half, bytes) in block.iter_mut().zip(halves) {
            *half = read(*bytes);
        }
        block[..halves.len()].convert_to_f32_slice(wide);
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_name("F4"), None);
    }

    #[test]
    fn every_half_widens_exactly() {
        // More than one block, and not a multiple of it: all 65,536 bit patterns and a tail.
        let bits: Vec<u16> = (0..=u16::MAX).chain(0..7).collect();
        let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        let f16 = to_f32(Dtype::F16, &bytes).unwrap();
        let bf16 = to_f32(Dtype::BF16, &bytes).unwrap();
        for (i, &bits) in bits.iter().enumerate() {
            let want = half::f16::from_bits(bits).to_f32();
            assert!(f16[i] == want || f16[i].is_nan() && want.is_nan(), "{i}");
            let want = f32::from_bits(u32::from(bits) << 16);
            assert!(bf16[i] == want || bf16[i].is_nan() && want.is_nan(), "{i}");
        }
    }

    #[test]
    fn integers_and_floats_do_not_mix() {
        assert_eq!(to_i64(Dtype::I64, &(-5i64).to_le_bytes()), Some(vec![-5]));
        assert_eq!(to_i64(Dtype::I32, &(-5i32).to_le_bytes()), Some(vec![-5]));
        assert_eq!(to_f32(Dtype::F64, &0.5f64.to_le_bytes()), Some(vec![0.5]));
        assert_eq!(to_i64(Dtype::F32, &[0; 4]), None);
        assert_eq!(to_f32(Dtype::I64, &[0; 8]), None);
    }
}
