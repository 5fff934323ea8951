//! Files of derived weights with headers that fit them.

use sha2::{Digest, Sha256};

/// Where the table begins, as the header says.
pub(crate) fn table_offset(file: &[u8]) -> usize {
    u64::from_le_bytes(file[16..24].try_into().unwrap()) as usize
}

/// Makes the lengths and the checksum in the header right for a file whose table begins at `table_offset`.
pub(crate) fn seal(file: &mut [u8], table_offset: usize) {
    if file.len() < 64 || table_offset > file.len() {
        return;
    }
    let table_bytes = (file.len() - table_offset) as u64;
    file[16..24].copy_from_slice(&(table_offset as u64).to_le_bytes());
    file[24..32].copy_from_slice(&table_bytes.to_le_bytes());
    let mut hash = Sha256::new();
    hash.update(&file[..32]);
    hash.update(&file[table_offset..]);
    file[32..64].copy_from_slice(&hash.finalize());
}

/// A file with this table behind `blobs`, whose header and checksum are right.
pub(crate) fn file(blobs: &[u8], count: u32, table: &str) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..8].copy_from_slice(b"PERCEPTW");
    file[8..12].copy_from_slice(&1u32.to_le_bytes());
    file[12..16].copy_from_slice(&count.to_le_bytes());
    file.extend(blobs);
    let offset = file.len();
    file.extend(table.as_bytes());
    seal(&mut file, offset);
    file
}
