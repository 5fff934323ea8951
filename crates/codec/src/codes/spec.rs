//! What the books of a codec look like, and the segments of those that scale their input.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::CodesError;

/// One codebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BookSpec {
    /// Entries, 1 to 65536; a code is below it.
    pub size: u32,
    /// Latent frames that one code covers.
    pub stride: u32,
}

impl BookSpec {
    /// `count` books of `size` entries, one code each per latent frame.
    pub fn uniform(count: usize, size: u32) -> Vec<BookSpec> {
        vec![BookSpec { size, stride: 1 }; count]
    }

    /// Checks that `specs` are the books of a codec and returns the latent frames of a super-frame: the least common
    /// multiple of the strides.
    pub fn check(specs: &[BookSpec]) -> Result<u32, CodesError> {
        if specs.is_empty() {
            return Err(CodesError::NoBooks);
        }
        let mut align = 1u64;
        for (book, spec) in specs.iter().enumerate() {
            match *spec {
                BookSpec { size: 0, .. } => return Err(CodesError::ZeroSize { book }),
                BookSpec { stride: 0, .. } => return Err(CodesError::ZeroStride { book }),
                BookSpec { size, .. } if size > 1 << 16 => {
                    return Err(CodesError::TooLarge { book, size });
                }
                BookSpec { stride, .. } => align = lcm(align, u64::from(stride)),
            }
            if align > u64::from(u32::MAX) {
                let strides = specs.iter().map(|spec| spec.stride).collect();
                return Err(CodesError::StridesTooLarge { strides });
            }
        }
        Ok(align as u32)
    }
}

/// The greatest common divisor; `gcd(0, n)` is `n`.
pub(crate) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The least common multiple, saturating; 0 if either is 0.
pub(crate) fn lcm(a: u64, b: u64) -> u64 {
    match gcd(a, b) {
        0 => 0,
        divisor => (a / divisor).saturating_mul(b),
    }
}

/// A stretch of frames that the codec scaled as one (EnCodec 48 kHz: a second of sound).
///
/// Equality is that of the bits, so that codes can be compared exactly.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Segment {
    /// Latent frames.
    pub frames: u32,
    /// What the decoded sound is multiplied with; finite and above 0.
    pub scale: f32,
}

impl Segment {
    /// Checks length and scale of segment number `segment`.
    pub(crate) fn check(self, segment: usize) -> Result<(), CodesError> {
        if self.frames == 0 {
            return Err(CodesError::EmptySegment { segment });
        }
        match self.scale.is_finite() && self.scale > 0.0 {
            true => Ok(()),
            false => Err(CodesError::Scale {
                segment,
                bits: self.scale.to_bits(),
            }),
        }
    }
}

impl PartialEq for Segment {
    fn eq(&self, other: &Segment) -> bool {
        (self.frames, self.scale.to_bits()) == (other.frames, other.scale.to_bits())
    }
}

impl Eq for Segment {}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames * {:?}", self.frames, self.scale)
    }
}
