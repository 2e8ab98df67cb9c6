//! Charts as SVG, to stand within a page.
//!
//! Drawn by `plotters`. The colours are names: the page's style sheet gives each its value for
//! light and for dark, by the `fill` and `stroke` they have here.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::axis::Axis;

/// Width and height; the page scales it.
const SIZE: (u32, u32) = (600, 320);
const FONT_SIZE: u32 = 17;

const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
/// `--s0` to `--s5` of the page.
const SERIES: [RGBColor; 6] = [
    RGBColor(3, 0, 0),
    RGBColor(3, 0, 1),
    RGBColor(3, 0, 2),
    RGBColor(3, 0, 3),
    RGBColor(3, 0, 4),
    RGBColor(3, 0, 5),
];

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    /// Joined by a line.
    Line,
    /// As points.
    Dots,
    /// As bars from 0, one wide.
    Bars,
}

/// Values of one kind.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// For the legend.
    pub(super) name: String,
    /// Which of the page's colours, below [`Chart::MAX_SERIES`].
    pub(super) color: usize,
    pub(super) drawn: Drawn,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

impl Chart {
    /// How many series can be told apart by colour.
    pub(super) const MAX_SERIES: usize = SERIES.len();

    /// An `svg` element.
    pub(super) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.draw(&root)
                .map_err(|error| anyhow!("can not draw {}: {error}", self.title))?;
        }
        // The page says how large it is; the title is for those who hear it.
        let element = format!(r#"<svg role="img" aria-label="{}""#, escaped(&self.title));
        Ok(svg.replacen("<svg", &element, 1))
    }

    fn draw(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), DrawError> {
        let label = ("sans-serif", FONT_SIZE).into_font().color(&INK);
        let mut chart = ChartBuilder::on(root)
            .margin_top(12)
            .margin_right(28)
            .margin_bottom(4)
            .x_label_area_size(52)
            .y_label_area_size(72)
            .build_cartesian_2d(Marked(&self.x), Marked(&self.y))?;
        chart
            .configure_mesh()
            .x_labels(self.x.marks().len().max(1))
            .y_labels(self.y.marks().len().max(1))
            .max_light_lines(0)
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(label.clone())
            .axis_desc_style(label)
            .x_desc(self.x.label.as_str())
            .y_desc(self.y.label.as_str())
            .draw()?;
        for series in &self.series {
            let color = SERIES[series.color % SERIES.len()];
            let points = series
                .points
                .iter()
                .filter_map(|&(x, y)| Some((self.x.position(x)?, self.y.position(y)?)));
            match series.drawn {
                Drawn::Line => {
                    chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
                }
                Drawn::Dots => {
                    let dots = points.map(|at| Circle::new(at, 5, color.filled()));
                    chart.draw_series(dots)?;
                }
                Drawn::Bars => {
                    let bars = points.map(|(x, y)| {
                        Rectangle::new([(x - 0.4, 0.0), (x + 0.4, y)], color.filled())
                    });
                    chart.draw_series(bars)?;
                }
            }
        }
        root.present()
    }
}

/// An axis as `plotters` wants it: values are positions, and only ours are marked.
struct Marked<'a>(&'a Axis);

impl Ranged for Marked<'_> {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let range = self.0.range();
        let part = (value - range.start) / (range.end - range.start);
        limit.0 + (f64::from(limit.1 - limit.0) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.0.marks().iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.range()
    }
}

impl ValueFormatter<f64> for Marked<'_> {
    fn format_ext(&self, value: &f64) -> String {
        let found = self.0.marks().iter().find(|(at, _)| at == value);
        found.map_or_else(String::new, |(_, text)| text.clone())
    }
}

type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// Text for an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
