//! A picture of how long tokens took to become final, as SVG: over the stream on the left, how often on the right.
//!
//! Colours follow the reader's light or dark theme; without that, the picture is a light one.

pub(crate) mod axes;

use std::fmt::Write;

use axes::{Axes, BOTTOM, LEFT, RIGHT, TOP};

/// A token, or a stretch of audio, that became final.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Finalised {
    /// When it was over, in seconds of its stream.
    pub(crate) time: f64,
    /// How much later it was final, in seconds.
    pub(crate) lag: f64,
}

/// What the picture says besides the tokens.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub(crate) title: String,
    /// Model, context and machine.
    pub(crate) facts: String,
    /// The latency that the context alone explains, in seconds.
    pub(crate) context: Option<f64>,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 430.0;
/// Where the histogram lies, beside the axes of the stream.
const HISTOGRAM: f64 = 724.0;
const HISTOGRAM_END: f64 = 932.0;
/// More dots than this are a cloud: a band from the least to the most says more.
const MOST_DOTS: usize = 3_000;
const BAND_COLUMNS: usize = 300;
const HISTOGRAM_BINS: usize = 48;

const STYLE: &str = "\
<style>
.back{fill:#ffffff}.text{fill:#1f2328}.soft{fill:#59636e}.grid{stroke:#d8dee4}.axis{stroke:#8c959f}
.dot,.bar{fill:#c93b50}.band{stroke:#c93b50}.p50{stroke:#0a6ebd}.p99{stroke:#9a5b00}.context{stroke:#59636e}
@media (prefers-color-scheme: dark){
.back{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9198a1}.grid{stroke:#262c36}.axis{stroke:#6e7681}
.dot,.bar{fill:#f0788a}.band{stroke:#f0788a}.p50{stroke:#58a6ff}.p99{stroke:#e3b341}.context{stroke:#9198a1}
}
</style>
";

/// The picture.
pub(crate) fn svg(labels: &Labels, tokens: &[Finalised]) -> String {
    let mut lags: Vec<f64> = tokens.iter().map(|token| token.lag).collect();
    lags.sort_by(f64::total_cmp);
    let highest = lags.last().copied().unwrap_or(0.0);
    let latest = tokens.iter().map(|token| token.time).fold(0.0, f64::max);
    let axes = Axes::up_to(latest, highest.max(labels.context.unwrap_or(0.0)));
    let mut picture = Picture::new(labels);
    picture.axes(&axes);
    if tokens.is_empty() {
        picture.text(
            (LEFT + RIGHT) / 2.0,
            (TOP + BOTTOM) / 2.0,
            "soft",
            "middle",
            "no token became final",
        );
        return picture.end();
    }
    if tokens.len() <= MOST_DOTS {
        picture.dots(&axes, tokens);
    } else {
        picture.band(&axes, tokens);
    }
    picture.histogram(&axes, &lags);
    picture.lines(&axes, &standouts(&lags, labels.context));
    picture.end()
}

/// The lags that stand out: the class of their line, what they mean, how long they are.
fn standouts(sorted: &[f64], context: Option<f64>) -> Vec<(&'static str, &'static str, f64)> {
    let mut standouts = vec![
        ("p50", "half of the tokens", quantile(sorted, 0.5)),
        ("p99", "99 of 100 tokens", quantile(sorted, 0.99)),
    ];
    standouts.extend(context.map(|lag| ("context", "chunk and right context", lag)));
    standouts
}

/// The value that `share` of the sorted values do not exceed.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

struct Picture {
    svg: String,
}

impl Picture {
    fn new(labels: &Labels) -> Self {
        let mut picture = Self { svg: String::new() };
        picture.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-family=\"system-ui, 'Helvetica Neue', Arial, sans-serif\" \
             font-size=\"13\">\n<title>{}</title>\n{STYLE}<rect class=\"back\" width=\"100%\" height=\"100%\" rx=\"8\"/>\n",
            escaped(&labels.title)
        ));
        picture.add(format_args!(
            "<text class=\"text\" x=\"{LEFT}\" y=\"34\" font-size=\"17\" font-weight=\"600\">{}</text>\n\
             <text class=\"soft\" x=\"{LEFT}\" y=\"56\">{}</text>\n",
            escaped(&labels.title),
            escaped(&labels.facts)
        ));
        picture
    }

    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        self.svg.write_fmt(part).expect("a String takes everything");
    }

    fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
            escaped(text)
        ));
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64), more: &str) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"{more}/>\n",
            from.0, from.1, to.0, to.1
        ));
    }

    fn axes(&mut self, axes: &Axes) {
        for lag in axes.lag.marks() {
            let (y, class) = (axes.y(lag), if lag == 0.0 { "axis" } else { "grid" });
            self.line(class, (LEFT, y), (RIGHT, y), "");
            self.line(class, (HISTOGRAM, y), (HISTOGRAM_END, y), "");
            self.text(
                LEFT - 8.0,
                y + 4.5,
                "soft",
                "end",
                &format!("{} s", axes.lag.label(lag)),
            );
        }
        for time in axes.time.marks() {
            let x = axes.x(time * axes.unit.seconds);
            self.line("axis", (x, BOTTOM), (x, BOTTOM + 5.0), "");
            self.text(x, BOTTOM + 20.0, "soft", "middle", &axes.time.label(time));
        }
        let middle = (LEFT + RIGHT) / 2.0;
        let meaning = format!(
            "when the token was over, {} into the stream",
            axes.unit.name
        );
        self.text(middle, BOTTOM + 42.0, "soft", "middle", &meaning);
        let middle = (HISTOGRAM + HISTOGRAM_END) / 2.0;
        self.text(middle, BOTTOM + 20.0, "soft", "middle", "how many tokens");
    }

    fn dots(&mut self, axes: &Axes, tokens: &[Finalised]) {
        self.add(format_args!("<g class=\"dot\" fill-opacity=\"0.6\">\n"));
        for token in tokens {
            let (x, y) = (axes.x(token.time), axes.y(token.lag));
            self.add(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\"/>\n"
            ));
        }
        self.add(format_args!("</g>\n"));
    }

    /// From the least to the most of each column of the picture.
    fn band(&mut self, axes: &Axes, tokens: &[Finalised]) {
        let mut columns = vec![None::<(f64, f64)>; BAND_COLUMNS];
        for token in tokens {
            let column =
                ((axes.share(token.time) * BAND_COLUMNS as f64) as usize).min(BAND_COLUMNS - 1);
            let (least, most) = columns[column].unwrap_or((token.lag, token.lag));
            columns[column] = Some((least.min(token.lag), most.max(token.lag)));
        }
        let width = (RIGHT - LEFT) / BAND_COLUMNS as f64;
        self.add(format_args!(
            "<g class=\"band\" stroke-width=\"{width:.2}\" stroke-opacity=\"0.6\">\n"
        ));
        for (column, range) in columns.iter().enumerate() {
            let Some((least, most)) = range else { continue };
            let x = LEFT + (column as f64 + 0.5) * width;
            let (top, bottom) = (axes.y(*most) - 1.0, axes.y(*least) + 1.0);
            self.add(format_args!("<path d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>\n"));
        }
        self.add(format_args!("</g>\n"));
    }

    fn histogram(&mut self, axes: &Axes, lags: &[f64]) {
        let mut counts = [0_usize; HISTOGRAM_BINS];
        for lag in lags {
            let share = (lag / axes.lag.end).clamp(0.0, 1.0);
            counts[((share * HISTOGRAM_BINS as f64) as usize).min(HISTOGRAM_BINS - 1)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        let height = (BOTTOM - TOP) / HISTOGRAM_BINS as f64;
        self.add(format_args!("<g class=\"bar\" fill-opacity=\"0.75\">\n"));
        for (bin, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let length = (HISTOGRAM_END - HISTOGRAM) * count as f64 / most as f64;
            let y = BOTTOM - (bin + 1) as f64 * height + 0.5;
            self.add(format_args!(
                "<rect x=\"{HISTOGRAM:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{:.1}\"/>\n",
                height - 1.0
            ));
        }
        self.add(format_args!("</g>\n"));
    }

    /// Lags that stand out, across both halves, with what they mean above.
    fn lines(&mut self, axes: &Axes, lines: &[(&str, &str, f64)]) {
        let mut x = LEFT;
        for &(class, meaning, lag) in lines {
            let dashes = match class {
                "context" => " stroke-width=\"1.6\" stroke-dasharray=\"2 4\"",
                _ => " stroke-width=\"1.6\"",
            };
            let y = axes.y(lag);
            self.line(class, (LEFT, y), (RIGHT, y), dashes);
            self.line(class, (HISTOGRAM, y), (HISTOGRAM_END, y), dashes);
            self.line(class, (x, 76.0), (x + 22.0, 76.0), dashes);
            let label = format!("{meaning}: {}", seconds(lag));
            self.text(x + 28.0, 80.5, "text", "start", &label);
            x += 52.0 + 7.0 * label.chars().count() as f64;
        }
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

fn seconds(value: f64) -> String {
    if value < 0.9995 {
        format!("{:.0} ms", value * 1e3)
    } else {
        format!("{value:.2} s")
    }
}

pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // No other control character may stand in XML.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels {
            title: "When tokens became final".to_owned(),
            facts: "a<b> & \"c\"".to_owned(),
            context: Some(4.0),
        }
    }

    fn tokens(count: usize) -> Vec<Finalised> {
        let token = |i: usize| Finalised {
            time: i as f64 * 0.25,
            lag: 2.0 + (i % 8) as f64 * 0.25 + (i * i % 97) as f64 * 1e-3,
        };
        (0..count).map(token).collect()
    }

    #[test]
    fn few_tokens_are_dots_and_many_a_band() {
        let few = svg(&labels(), &tokens(40));
        assert_eq!(few.matches("<circle").count(), 40);
        let many = svg(&labels(), &tokens(400_000));
        assert_eq!(many.matches("<circle").count(), 0);
        assert!(many.len() < 100_000, "{} bytes", many.len());
    }

    #[test]
    fn names_are_text_and_no_markup() {
        let picture = svg(&labels(), &[]);
        assert!(picture.contains("a&lt;b&gt; &amp; &quot;c&quot;"));
        assert!(picture.contains("no token became final"));
    }

    #[test]
    fn lines_say_what_share_of_the_tokens_they_cover() {
        let lags: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&lags, 0.5), 100.0);
        assert_eq!(quantile(&lags, 0.99), 198.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }
}
