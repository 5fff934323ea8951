//! Codes to bits and back.

/// The bits a code of a book of `size` entries takes: `ceil(log2(size))`, at least 1 so that the bytes of a
/// file bound the codes that come out of it.
pub(crate) fn bits_per_code(size: u32) -> u32 {
    (32 - size.saturating_sub(1).leading_zeros()).max(1)
}

/// Appends numbers, highest bit first; the last byte is completed with zeros.
pub(crate) struct MsbWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u32,
    count: u32,
}

impl<'a> MsbWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> MsbWriter<'a> {
        MsbWriter {
            out,
            pending: 0,
            count: 0,
        }
    }

    /// Appends the low `bits` bits of `value`, at most 16.
    pub(crate) fn put(&mut self, value: u16, bits: u32) {
        self.pending = self.pending << bits | u32::from(value);
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            self.out.push((self.pending >> self.count) as u8);
        }
    }

    pub(crate) fn finish(self) {
        if self.count > 0 {
            self.out.push((self.pending << (8 - self.count)) as u8);
        }
    }
}

/// Takes numbers, highest bit first.
pub(crate) struct MsbReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: u64,
}

impl<'a> MsbReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> MsbReader<'a> {
        MsbReader { bytes, at: 0 }
    }

    /// The next `bits` bits, at most 16; bits past the end are 0.
    pub(crate) fn get(&mut self, bits: u32) -> u16 {
        let first = (self.at / 8) as usize;
        let byte = |i: usize| u32::from(self.bytes.get(first + i).copied().unwrap_or(0));
        let window = byte(0) << 16 | byte(1) << 8 | byte(2);
        let below = 24 - (self.at % 8) as u32 - bits;
        self.at += u64::from(bits);
        (window >> below & ((1 << bits) - 1)) as u16
    }
}

/// The number `index` of `bits` bits each, lowest bit first; bits past the end are 0.
pub(crate) fn lsb_number(bytes: &[u8], index: usize, bits: u32) -> u16 {
    let at = index as u64 * u64::from(bits);
    let first = (at / 8) as usize;
    let byte = |i: usize| u32::from(bytes.get(first + i).copied().unwrap_or(0));
    let window = byte(0) | byte(1) << 8 | byte(2) << 16;
    (window >> (at % 8) & ((1 << bits) - 1)) as u16
}
