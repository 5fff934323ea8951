//! Writes zip archives with stored entries.

/// How an archive is written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Style {
    /// Sizes and places in zip64 fields, as for files beyond 4 GB.
    pub(crate) zip64: bool,
    /// The compression method that entries claim.
    pub(crate) method: u16,
    /// The flags that entries claim.
    pub(crate) flags: u16,
}

pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    archive_of(entries, Style::default())
}

pub(crate) fn archive_of(entries: &[(&str, &[u8])], style: Style) -> Vec<u8> {
    let mut zip = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in entries {
        let local = zip.len() as u64;
        let size = data.len() as u32;
        zip.extend(b"PK\x03\x04");
        words(&mut zip, &[45, style.flags, style.method, 0, 0]);
        longs(&mut zip, &[0, size, size]);
        // torch pads with an extra field so that storages begin at multiples of 64.
        words(&mut zip, &[name.len() as u16, 6]);
        zip.extend(name.as_bytes());
        zip.extend(b"FB\x02\x00ZZ");
        zip.extend(*data);

        directory.extend(b"PK\x01\x02");
        words(&mut directory, &[45, 45, style.flags, style.method, 0, 0]);
        longs(&mut directory, &[0]);
        let (sizes, place) = if style.zip64 {
            ([u32::MAX; 2], u32::MAX)
        } else {
            ([size; 2], local as u32)
        };
        longs(&mut directory, &sizes);
        let extra: u16 = if style.zip64 { 28 } else { 0 };
        words(&mut directory, &[name.len() as u16, extra, 0, 0, 0]);
        longs(&mut directory, &[0, place]);
        directory.extend(name.as_bytes());
        if style.zip64 {
            words(&mut directory, &[1, 24]);
            for value in [u64::from(size), u64::from(size), local] {
                directory.extend(value.to_le_bytes());
            }
        }
    }
    let start = zip.len() as u64;
    zip.extend(&directory);
    let count = entries.len() as u64;
    if style.zip64 {
        let record = zip.len() as u64;
        zip.extend(b"PK\x06\x06");
        zip.extend(44u64.to_le_bytes());
        words(&mut zip, &[45, 45]);
        longs(&mut zip, &[0, 0]);
        for value in [count, count, directory.len() as u64, start] {
            zip.extend(value.to_le_bytes());
        }
        zip.extend(b"PK\x06\x07");
        longs(&mut zip, &[0]);
        zip.extend(record.to_le_bytes());
        longs(&mut zip, &[1]);
    }
    let (count, start) = if style.zip64 {
        (u16::MAX, u32::MAX)
    } else {
        (count as u16, start as u32)
    };
    zip.extend(b"PK\x05\x06");
    words(&mut zip, &[0, 0, count, count]);
    longs(&mut zip, &[directory.len() as u32, start]);
    words(&mut zip, &[0]);
    zip
}

fn words(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

fn longs(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}
