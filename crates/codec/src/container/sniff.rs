//! Which kind of token file bytes are.

use super::{ecdc, header};

/// A kind of token file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFileKind {
    /// `.nct`: [`NctReader`](super::NctReader).
    Nct,
    /// `.ecdc`: [`read_ecdc`](super::read_ecdc).
    Ecdc,
    /// JSON: [`JsonCodes`](super::JsonCodes).
    Json,
}

/// The kind of the file that begins with `bytes`, by content; 16 bytes are enough unless JSON begins with much space.
pub fn sniff(bytes: &[u8]) -> Option<TokenFileKind> {
    if bytes.starts_with(header::MAGIC) {
        return Some(TokenFileKind::Nct);
    }
    if bytes.starts_with(ecdc::MAGIC) {
        return Some(TokenFileKind::Ecdc);
    }
    let first = bytes
        .iter()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    (first == Some(&b'{')).then_some(TokenFileKind::Json)
}
