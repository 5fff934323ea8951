//! A picture of what a codec keeps, as SVG: the spectrogram of the recording, of what is decoded, and the codes between.
//!
//! Frame and text follow the reader's light or dark theme; without that, the picture is a light one.

mod columns;
mod heatmap;
mod palette;

use std::fmt::Write;

use crate::stream::plot::axes::{Axis, TimeUnit};
use crate::stream::plot::escaped;

use columns::BANDS;
pub(crate) use columns::{CodeRow, Spectrogram};
use heatmap::Heatmap;

/// What the picture says besides the data.
pub(crate) struct Labels {
    pub(crate) title: String,
    /// Model, rates, length.
    pub(crate) facts: String,
}

/// What is drawn.
pub(crate) struct Panels<'a> {
    /// The recording, where it is at hand.
    pub(crate) source: Option<&'a Spectrogram>,
    pub(crate) decoded: &'a Spectrogram,
    /// The coarsest book first.
    pub(crate) books: Vec<Book<'a>>,
}

/// One row of the map of codes.
pub(crate) struct Book<'a> {
    pub(crate) row: &'a CodeRow,
    /// Entries.
    pub(crate) size: u32,
    /// How long a code lasts.
    pub(crate) seconds: f64,
}

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 86.0;
const RIGHT: f64 = 906.0;
const TOP: f64 = 96.0;
const SPECTROGRAM: f64 = 150.0;
const GAP: f64 = 36.0;
/// Of the scale beside a panel.
const SCALE: f64 = 14.0;
/// Pixels of a row of codes, at the least.
const CODE_PIXELS: usize = 4_096;
/// How far below the loudest the scale of energies begins, in dB.
const RANGE_DB: f32 = 80.0;

const STYLE: &str = "\
<style>
.back{fill:#ffffff}.text{fill:#1f2328}.soft{fill:#59636e}.axis{stroke:#8c959f}.frame{stroke:#8c959f;fill:none}
image{image-rendering:pixelated}
@media (prefers-color-scheme: dark){
.back{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9198a1}.axis{stroke:#6e7681}.frame{stroke:#6e7681}
}
</style>
";

/// The picture.
pub(crate) fn svg(labels: &Labels, panels: &Panels<'_>) -> String {
    let spectrograms: Vec<(&str, &Spectrogram)> = panels
        .source
        .map(|source| ("recording", source))
        .into_iter()
        .chain([("decoded", panels.decoded)])
        .collect();
    let latest = spectrograms
        .iter()
        .map(|(_, s)| s.seconds())
        .fold(0.0, f64::max);
    let loudest = spectrograms
        .iter()
        .flat_map(|(_, s)| s.columns())
        .fold(1e-10_f32, |most, &energy| most.max(energy));
    let map = Panel {
        top: TOP + spectrograms.len() as f64 * (SPECTROGRAM + GAP),
        height: map_height(panels.books.len()),
    };
    let mut picture = Picture::new(labels, latest, map.bottom() + 58.0);
    for (index, (name, spectrogram)) in spectrograms.into_iter().enumerate() {
        let panel = Panel {
            top: TOP + index as f64 * (SPECTROGRAM + GAP),
            height: SPECTROGRAM,
        };
        picture.spectrogram(panel, name, spectrogram, loudest);
    }
    picture.codes(map, &panels.books);
    picture.time(map.bottom());
    picture.end()
}

/// Rows that can be told apart, within reason.
fn map_height(books: usize) -> f64 {
    (books as f64 * 30.0).clamp(60.0, 260.0)
}

#[derive(Clone, Copy)]
struct Panel {
    top: f64,
    height: f64,
}

impl Panel {
    fn bottom(self) -> f64 {
        self.top + self.height
    }
}

struct Picture {
    svg: String,
    unit: TimeUnit,
    time: Axis,
    /// Of the whole axis.
    seconds: f64,
}

impl Picture {
    fn new(labels: &Labels, latest: f64, height: f64) -> Self {
        let seconds = latest.max(0.01);
        let unit = TimeUnit::for_up_to(seconds);
        let mut picture = Self {
            svg: String::new(),
            time: Axis {
                end: seconds / unit.seconds,
                ..Axis::up_to(seconds / unit.seconds, 8)
            },
            unit,
            seconds,
        };
        let (title, facts) = (escaped(&labels.title), escaped(&labels.facts));
        picture.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"system-ui, 'Helvetica Neue', Arial, sans-serif\" \
             font-size=\"13\">\n<title>{title}</title>\n{STYLE}<rect class=\"back\" width=\"100%\" height=\"100%\" rx=\"8\"/>\n\
             <text class=\"text\" x=\"{LEFT}\" y=\"34\" font-size=\"17\" font-weight=\"600\">{title}</text>\n\
             <text class=\"soft\" x=\"{LEFT}\" y=\"56\">{facts}</text>\n",
        ));
        picture
    }

    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        self.svg.write_fmt(part).expect("a String takes everything");
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
            escaped(text)
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.add(format_args!(
            "<line class=\"axis\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
            from.0, from.1, to.0, to.1
        ));
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * seconds / self.seconds
    }

    /// A heatmap from the beginning on, for so long; what is beyond the axis is cut off.
    fn heatmap(&mut self, panel: Panel, seconds: f64, address: &str) {
        let (width, height, end) = (RIGHT - LEFT, panel.height, self.x(seconds) - LEFT);
        self.add(format_args!(
            "<svg x=\"{LEFT}\" y=\"{:.1}\" width=\"{width}\" height=\"{height:.1}\">\
             <image width=\"{end:.2}\" height=\"{height:.1}\" preserveAspectRatio=\"none\" href=\"{address}\"/></svg>\n",
            panel.top
        ));
    }

    fn frame(&mut self, panel: Panel, caption: &str) {
        self.add(format_args!(
            "<rect class=\"frame\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{}\" height=\"{:.1}\"/>\n",
            panel.top,
            RIGHT - LEFT,
            panel.height
        ));
        self.text((LEFT, panel.top - 8.0), "text", "start", caption);
    }

    fn spectrogram(&mut self, panel: Panel, name: &str, data: &Spectrogram, loudest: f32) {
        let columns = data.columns().len() / BANDS;
        if columns > 0 {
            let cells = (0..BANDS).rev().flat_map(|band| {
                let row = data.columns().iter().skip(band).step_by(BANDS);
                row.map(|&energy| shade(energy, loudest))
            });
            let map = Heatmap {
                columns,
                cells: cells.collect(),
            };
            // A window shorter than the recording, at its end, has no column.
            let seconds = (columns as f64 * data.column_seconds()).max(data.seconds());
            self.heatmap(panel, seconds, &map.address(&palette::energy()));
        }
        self.frame(panel, name);
        for hertz in marks(data.nyquist()) {
            let y = panel.bottom() - panel.height * height_of(hertz, data.nyquist());
            self.line((LEFT - 5.0, y), (LEFT, y));
            self.text((LEFT - 9.0, y + 4.5), "soft", "end", &frequency(hertz));
        }
        let ends = ["0 dB".to_owned(), format!("−{RANGE_DB} dB")];
        self.scale(panel, &palette::energy(), &ends);
    }

    fn codes(&mut self, panel: Panel, books: &[Book<'_>]) {
        let height = panel.height / books.len().max(1) as f64;
        for (index, book) in books.iter().enumerate() {
            let row = Panel {
                top: panel.top + index as f64 * height,
                height,
            };
            let shade = |&code: &u16| {
                (u64::from(code) * 255 / u64::from(book.size.max(2) - 1)).min(255) as u8
            };
            let codes = book.row.codes();
            // Several pixels each, so that a reader who smooths pictures smooths no code away.
            let pixels = CODE_PIXELS.div_ceil(codes.len().max(1));
            let cells = codes
                .iter()
                .flat_map(|code| std::iter::repeat_n(shade(code), pixels));
            let map = Heatmap {
                columns: codes.len() * pixels,
                cells: cells.collect(),
            };
            if map.columns > 0 {
                let seconds = (codes.len() as u64 * book.row.step()) as f64 * book.seconds;
                self.heatmap(row, seconds, &map.address(&palette::codes()));
            }
            if books.len() <= 16 || index % 4 == 0 {
                let label = (LEFT - 9.0, row.top + height / 2.0 + 4.5);
                self.text(label, "soft", "end", &format!("book {}", index + 1));
            }
            if index > 0 {
                self.line((LEFT, row.top), (RIGHT, row.top));
            }
        }
        self.frame(panel, "codes");
        let largest = books.iter().map(|book| book.size).max().unwrap_or(1);
        self.scale(
            panel,
            &palette::codes(),
            &[(largest.max(1) - 1).to_string(), "0".to_owned()],
        );
    }

    /// What the colours mean, beside a panel, with words at its top and bottom.
    fn scale(&mut self, panel: Panel, palette: &palette::Palette, ends: &[String; 2]) {
        let map = Heatmap {
            columns: 1,
            cells: (0..=255).rev().collect(),
        };
        let x = RIGHT + 12.0;
        self.add(format_args!(
            "<image x=\"{x}\" y=\"{:.1}\" width=\"{SCALE}\" height=\"{:.1}\" preserveAspectRatio=\"none\" href=\"{}\"/>\n",
            panel.top,
            panel.height,
            map.address(palette)
        ));
        let beside = x + SCALE + 6.0;
        self.text((beside, panel.top + 10.0), "soft", "start", &ends[0]);
        self.text((beside, panel.bottom()), "soft", "start", &ends[1]);
    }

    fn time(&mut self, bottom: f64) {
        let marks: Vec<f64> = self.time.marks().collect();
        for mark in marks {
            let x = self.x(mark * self.unit.seconds);
            self.line((x, bottom), (x, bottom + 5.0));
            let label = self.time.label(mark);
            self.text((x, bottom + 20.0), "soft", "middle", &label);
        }
        let name = self.unit.name;
        self.text(
            ((LEFT + RIGHT) / 2.0, bottom + 42.0),
            "soft",
            "middle",
            name,
        );
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

/// Where an energy lies on its scale, of 255.
fn shade(energy: f32, loudest: f32) -> u8 {
    let db = 10.0 * (energy.max(1e-20) / loudest).log10();
    (255.0 * (1.0 + db / RANGE_DB)).clamp(0.0, 255.0) as u8
}

/// Frequencies to be named, up to the highest.
fn marks(nyquist: f64) -> impl Iterator<Item = f64> {
    let all = [0.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0];
    all.into_iter().filter(move |&hertz| hertz <= nyquist)
}

fn frequency(hertz: f64) -> String {
    match hertz {
        1_000.0.. => format!("{} kHz", hertz / 1_000.0),
        _ => format!("{hertz} Hz"),
    }
}

/// Where a frequency lies in a spectrogram, from 0 at its bottom to 1.
fn height_of(hertz: f64, nyquist: f64) -> f64 {
    let bands = BANDS as f64;
    let band = mel(hertz) / mel(nyquist) * (bands + 1.0) - 0.5;
    (band / bands).clamp(0.0, 1.0)
}

/// The mel scale of Slaney's Auditory Toolbox: linear up to 1000 Hz, then logarithmic, as the bands are spaced.
fn mel(hertz: f64) -> f64 {
    let step = 6.4_f64.ln() / 27.0;
    match hertz >= 1_000.0 {
        true => 15.0 + (hertz / 1_000.0).ln() / step,
        false => hertz * 3.0 / 200.0,
    }
}

/// The frequency that lies so far up the scale.
#[cfg(test)]
fn hertz(share: f64, nyquist: f64) -> f64 {
    let wanted = share * mel(nyquist);
    let (mut low, mut high) = (0.0, nyquist);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match mel(middle) < wanted {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_names_its_axes_and_stays_small_for_long_recordings() {
        let mut spectrogram = Spectrogram::new(8_000, 1);
        let mut row = CodeRow::default();
        for _ in 0..2_000 {
            spectrogram.push(&[0.25; 4_000]);
            row.push(&[7, 4_095, 0, 99]);
        }
        let panels = Panels {
            source: Some(&spectrogram),
            decoded: &spectrogram,
            books: vec![Book {
                row: &row,
                size: 4_096,
                seconds: 0.125,
            }],
        };
        let labels = Labels {
            title: "a<b>.wav".to_owned(),
            facts: String::new(),
        };
        let picture = svg(&labels, &panels);
        for part in [
            "a&lt;b&gt;.wav",
            "minutes",
            "4 kHz",
            "book 1",
            "4095",
            "recording",
            "decoded",
        ] {
            assert!(picture.contains(part), "{part}");
        }
        assert!(picture.len() < 600_000, "{} bytes", picture.len());
    }

    #[test]
    fn nothing_at_all_is_a_picture_too() {
        let panels = Panels {
            source: None,
            decoded: &Spectrogram::new(24_000, 1),
            books: Vec::new(),
        };
        let labels = Labels {
            title: String::new(),
            facts: String::new(),
        };
        let picture = svg(&labels, &panels);
        assert!(
            picture.ends_with("</svg>\n")
                && !picture.contains("recording")
                && !picture.contains("NaN")
        );
    }
}
