//! Segments as SRT, WebVTT and TSV.

use std::fmt::Write;

use percept::Segment;

/// The longest line of a subtitle, in characters.
const LINE_CHARS: usize = 42;

/// SubRip: numbered cues with times as `hh:mm:ss,mmm`.
pub(crate) fn srt(segments: &[Segment]) -> String {
    let mut out = String::new();
    for (number, cue) in cues(segments).enumerate() {
        let separator = if number == 0 { "" } else { "\n" };
        let (start, end) = (clock(cue.start_ms, ','), clock(cue.end_ms, ','));
        let lines = wrap(&cue.text.replace("-->", "->")).join("\n");
        writeln!(out, "{separator}{}\n{start} --> {end}\n{lines}", number + 1)
            .expect("a String takes everything");
    }
    out
}

/// WebVTT: the header, then cues with times as `hh:mm:ss.mmm` and `&`, `<` and `>` escaped.
pub(crate) fn vtt(segments: &[Segment]) -> String {
    let mut out = String::from("WEBVTT\n");
    for cue in cues(segments) {
        let (start, end) = (clock(cue.start_ms, '.'), clock(cue.end_ms, '.'));
        // Wrapped as it will be seen, escaped afterwards.
        let lines = wrap(&cue.text.replace("-->", "->")).join("\n");
        let lines = lines
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        writeln!(out, "\n{start} --> {end}\n{lines}").expect("a String takes everything");
    }
    out
}

/// Tab-separated start, end (both in milliseconds) and text of each segment, under a header.
pub(crate) fn tsv(segments: &[Segment]) -> String {
    let mut out = String::from("start\tend\ttext\n");
    for cue in cues(segments) {
        writeln!(out, "{}\t{}\t{}", cue.start_ms, cue.end_ms, cue.text)
            .expect("a String takes everything");
    }
    out
}

struct Cue {
    start_ms: u64,
    end_ms: u64,
    /// Without line breaks, tabs and doubled spaces; never empty.
    text: String,
}

/// The segments that say something, each lasting at least a millisecond, as WebVTT demands.
fn cues(segments: &[Segment]) -> impl Iterator<Item = Cue> + '_ {
    segments.iter().filter_map(|segment| {
        let text = segment
            .text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let start_ms = milliseconds(segment.start);
        let end_ms = milliseconds(segment.end).max(start_ms.saturating_add(1));
        (!text.is_empty()).then_some(Cue {
            start_ms,
            end_ms,
            text,
        })
    })
}

/// Rounded before it is split into hours, minutes and seconds, so that no part ever shows 60 or 1000.
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

fn clock(ms: u64, separator: char) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{hours:02}:{minutes:02}:{seconds:02}{separator}{:03}",
        ms % 1000
    )
}

/// Breaks text between words into as few lines of [`LINE_CHARS`] as possible, of similar length. A longer word gets a
/// line of its own.
fn wrap(text: &str) -> Vec<String> {
    let fewest = wrap_at(text, LINE_CHARS).len();
    (LINE_CHARS / 2..LINE_CHARS)
        .map(|width| wrap_at(text, width))
        .find(|lines| lines.len() == fewest)
        .unwrap_or_else(|| wrap_at(text, LINE_CHARS))
}

fn wrap_at(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line_chars = 0;
    for word in text.split_whitespace() {
        let word_chars = word.chars().count();
        match lines.last_mut() {
            Some(line) if line_chars + 1 + word_chars <= width => {
                line.push(' ');
                line.push_str(word);
                line_chars += 1 + word_chars;
            }
            _ => {
                lines.push(word.to_owned());
                line_chars = word_chars;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: f64, end: f64, text: &str) -> Segment {
        Segment {
            text: text.to_owned(),
            start,
            end,
        }
    }

    #[test]
    fn times_are_rounded_before_they_are_split() {
        for (seconds, shown) in [
            (0.0, "00:00:00,000"),
            (11.54, "00:00:11,540"),
            (0.9995, "00:00:01,000"),
            (59.9996, "00:01:00,000"),
            (3599.9996, "01:00:00,000"),
            (360_000.0, "100:00:00,000"),
            (-0.5, "00:00:00,000"),
            (f64::NAN, "00:00:00,000"),
        ] {
            assert_eq!(clock(milliseconds(seconds), ','), shown);
        }
    }

    #[test]
    fn srt_numbers_its_cues_and_parts_them_by_one_blank_line() {
        let segments = [
            segment(0.08, 1.2, " one --> two "),
            segment(1.2, 1.2, "\n"),
            segment(2.0, 1.5, "three\n\nfour"),
        ];
        assert_eq!(
            srt(&segments),
            "1\n00:00:00,080 --> 00:00:01,200\none -> two\n\n2\n00:00:02,000 --> 00:00:02,001\nthree four\n"
        );
        assert_eq!(srt(&[]), "");
    }

    #[test]
    fn vtt_has_a_header_and_escapes_markup() {
        assert_eq!(vtt(&[]), "WEBVTT\n");
        assert_eq!(
            vtt(&[segment(0.0, 1.0, "a <b> & --> c")]),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt;b&gt; &amp; -&gt; c\n"
        );
    }

    #[test]
    fn tsv_has_a_header_and_one_line_a_segment() {
        let segments = [
            segment(0.08, 1.2, "one\ttwo"),
            segment(1.5, 2.0, "three\nfour"),
        ];
        assert_eq!(
            tsv(&segments),
            "start\tend\ttext\n80\t1200\tone two\n1500\t2000\tthree four\n"
        );
    }

    #[test]
    fn lines_are_few_and_balanced() {
        assert_eq!(wrap("short"), ["short"]);
        let text = "the committee has decided that the new bridge will open on the first of may";
        assert_eq!(
            wrap(text),
            [
                "the committee has decided that the new",
                "bridge will open on the first of may"
            ]
        );
        let long = "x".repeat(60);
        assert_eq!(wrap(&format!("a {long} b")), ["a", &long, "b"]);
    }
}
