//! Recognises a format by its first bytes. The decoders' own search accepts a stray marker anywhere in the first
//! megabyte, so that text and noise would pass as MP3; this check is strict and comes first.

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// RIFF, RF64 or BW64 with a WAVE form, or Sony Wave64.
    Wave,
    /// MPEG audio layers I to III.
    Mpeg,
    Adts,
    Flac,
    Ogg,
    Mp4,
    Matroska,
    Aiff,
    Caf,
    /// An ID3v2 tag that is longer than the bytes looked at; MPEG audio in all likelihood.
    Id3,
    /// Known, and known not to be supported.
    Unsupported(&'static str),
    Unknown,
}

impl Content {
    /// How messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wave => "wav",
            Self::Mpeg | Self::Id3 => "mp3",
            Self::Adts => "aac",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
            Self::Aiff => "aiff",
            Self::Caf => "caf",
            Self::Unsupported(name) => name,
            Self::Unknown => "unknown",
        }
    }
}

/// The first GUID of a Wave64 file; its first four bytes spell `riff`.
pub(crate) const WAVE64_RIFF: [u8; 16] = [
    0x72, 0x69, 0x66, 0x66, 0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 0x04, 0xc1, 0x00, 0x00,
];

/// Formats that people do have and that are not read here, by the bytes they start with.
const UNSUPPORTED: [(&[u8], &str); 12] = [
    (b"RIFX", "big-endian WAV (RIFX)"),
    (
        &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11],
        "Windows Media (ASF, WMA)",
    ),
    (b"#!AMR", "AMR"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"TTA1", "True Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"DSD ", "DSD"),
    (b"MThd", "MIDI"),
    (b".snd", "Sun AU"),
    (&[0x0b, 0x77], "AC-3"),
];

/// Recognises `head`, the first [`HEAD_BYTES`](crate::source::HEAD_BYTES) bytes of the source.
pub(crate) fn sniff(head: &[u8]) -> Content {
    let head = match id3_bytes(head) {
        0 => head,
        tag if tag >= head.len() => return Content::Id3,
        tag => &head[tag..],
    };
    let form = head.get(8..12).unwrap_or_default();
    match head {
        [b'R', b'I', b'F', b'F', ..]
        | [b'R', b'F', b'6', b'4', ..]
        | [b'B', b'W', b'6', b'4', ..] => match form {
            b"WAVE" => Content::Wave,
            b"AVI " => Content::Unsupported("AVI video"),
            _ => Content::Unsupported("this kind of RIFF file"),
        },
        _ if head.starts_with(&WAVE64_RIFF) => Content::Wave,
        [b'f', b'L', b'a', b'C', ..] => Content::Flac,
        [b'O', b'g', b'g', b'S', ..] if head.get(28..36) == Some(b"Speex   ") => {
            Content::Unsupported("Speex")
        }
        [b'O', b'g', b'g', b'S', ..] => Content::Ogg,
        [b'c', b'a', b'f', b'f', ..] => Content::Caf,
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Content::Matroska,
        [b'F', b'O', b'R', b'M', ..] if form.starts_with(b"AIF") => Content::Aiff,
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Content::Mp4,
        [_, _, _, _, b'm', b'o', b'o', b'v', ..] | [_, _, _, _, b'm', b'd', b'a', b't', ..] => {
            Content::Mp4
        }
        _ => match UNSUPPORTED
            .iter()
            .find(|(magic, _)| head.starts_with(magic))
        {
            Some(&(_, name)) => Content::Unsupported(name),
            None => frames(head),
        },
    }
}

/// What an unknown head looks like, for the message.
pub(crate) fn looks(head: &[u8]) -> &'static str {
    let is_text = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    match std::str::from_utf8(&head[..head.len().min(512)]) {
        Ok(_) if head.iter().take(512).all(is_text) => "text",
        Err(e) if e.error_len().is_none() && head.iter().take(512).all(is_text) => "text",
        _ => "binary data",
    }
}

/// Length of the ID3v2 tags that `head` starts with.
fn id3_bytes(head: &[u8]) -> usize {
    let mut end = 0;
    while let Some([b'I', b'D', b'3', _, _, flags, a, b, c, d]) = head.get(end..end + 10) {
        let size = [a, b, c, d]
            .iter()
            .fold(0, |size, &&byte| size << 7 | usize::from(byte & 0x7f));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        end += 10 + size + footer;
    }
    end
}

/// Frames that must follow one another before MPEG audio or ADTS is believed.
const FRAMES: usize = 3;

/// Looks for a run of MPEG audio or ADTS frames, which have no header of their own.
fn frames(head: &[u8]) -> Content {
    let is_run = |start: usize, frame: fn(&[u8]) -> Option<(usize, u32)>| {
        let (mut at, mut kind) = (start, None);
        for seen in 0..FRAMES {
            match head.get(at..).and_then(frame) {
                Some((len, this)) if kind.is_none_or(|kind| kind == this) => {
                    (at, kind) = (at + len, Some(this))
                }
                // A short file may end before the third frame, if it starts with the first.
                _ => return seen > 0 && start == 0 && at + 4 > head.len(),
            }
        }
        true
    };
    let starts = head.iter().enumerate().filter(|&(_, &byte)| byte == 0xff);
    for (start, _) in starts {
        if is_run(start, adts_frame) {
            return Content::Adts;
        }
        if is_run(start, mpeg_frame) {
            return Content::Mpeg;
        }
    }
    Content::Unknown
}

/// Length of the MPEG audio frame at the start of `bytes`, and what must be the same in all frames.
fn mpeg_frame(bytes: &[u8]) -> Option<(usize, u32)> {
    const RATES: [usize; 3] = [44_100, 48_000, 32_000];
    // In kbit/s, by version 1 or 2, layer I, II, III, and index from 1.
    const BIT_RATES: [[[usize; 14]; 3]; 2] = [
        [
            [
                32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
            ],
            [
                32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
            ],
            [
                32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
            ],
        ],
        [
            [
                32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
            ],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ],
    ];
    let header = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let (version, layer) = (header >> 19 & 3, 4 - (header >> 17 & 3) as usize);
    let (bit_rate, rate) = ((header >> 12 & 15) as usize, (header >> 10 & 3) as usize);
    let is_header = header >> 21 == 0x7ff && version != 1 && layer != 4;
    if !is_header || bit_rate == 0 || bit_rate == 15 || rate == 3 {
        return None;
    }
    let is_low = version != 3;
    let rate = RATES[rate] >> [2, 0, 1, 0][version as usize];
    let bits = 1000 * BIT_RATES[usize::from(is_low)][layer - 1][bit_rate - 1];
    let padding = (header >> 9 & 1) as usize;
    let len = match layer {
        1 => 4 * (12 * bits / rate + padding),
        3 if is_low => 72 * bits / rate + padding,
        _ => 144 * bits / rate + padding,
    };
    Some((len, header & 0xfffe_0c00))
}

/// Length of the ADTS frame at the start of `bytes`, and what must be the same in all frames.
fn adts_frame(bytes: &[u8]) -> Option<(usize, u32)> {
    let header = bytes.get(..6)?;
    let len = usize::from(header[3] & 3) << 11
        | usize::from(header[4]) << 3
        | usize::from(header[5] >> 5);
    let is_header =
        header[0] == 0xff && header[1] & 0xf6 == 0xf0 && (header[2] >> 2 & 15) < 13 && len > 7;
    let kind = u32::from_be_bytes([0, header[1], header[2] & 0xfd, header[3] & 0xc0]);
    is_header.then_some((len, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_and_text_are_never_audio() {
        let mut state = 1u64;
        for round in 0..64 {
            let noise: Vec<u8> = (0..crate::source::HEAD_BYTES)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            assert_eq!(sniff(&noise), Content::Unknown, "round {round}");
        }
        assert_eq!(
            sniff(b"RIFF is how a wav file starts"),
            Content::Unsupported("this kind of RIFF file")
        );
        assert_eq!(
            sniff(b"Dear diary,\nnothing happened today."),
            Content::Unknown
        );
        assert_eq!(looks(b"Dear diary"), "text");
        assert_eq!(looks("d\u{e9}j\u{e0} vu".as_bytes()), "text");
        assert_eq!(looks(&[0, 1, 2, 3]), "binary data");
    }

    #[test]
    fn every_prefix_of_a_head_is_looked_at_without_panic() {
        let heads: [&[u8]; 5] = [
            b"ID3\x04\0\0\0\0\0\x05abcdefLaC",
            b"RIFF\0\0\0\0WAVE",
            b"\xff\xfb\x90\x64",
            b"\xff\xf1\x50\x80",
            b"FORM\0\0\0\0AIFF",
        ];
        for head in heads {
            for len in 0..=head.len() {
                let _ = (sniff(&head[..len]), looks(&head[..len]));
            }
        }
        assert_eq!(sniff(b"ID3\x04\0\0\0\0\0\x02abfLaC"), Content::Flac);
        assert_eq!(sniff(b"ID3\x04\0\0\x7f\x7f\x7f\x7fab"), Content::Id3);
    }
}
