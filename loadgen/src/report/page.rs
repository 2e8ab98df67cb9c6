//! Summaries and charts as one page that loads nothing.

use anyhow::{Context as _, Result};
use askama::Template;

use super::chart::Chart;
use super::summary::Summary;

/// A chart as it stands on the page.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    title: String,
    /// Colours and names; empty where the title says all.
    legend: Vec<(usize, String)>,
    svg: String,
}

impl Figure {
    /// Of that chart.
    pub(super) fn of(chart: &Chart) -> Result<Self> {
        let shown = chart.series.iter().filter(|one| !one.points.is_empty());
        let legend = shown.map(|one| (one.color, one.name.clone())).collect();
        Ok(Self {
            title: chart.title.clone(),
            legend: if chart.series.len() > 1 {
                legend
            } else {
                Vec::new()
            },
            svg: chart.svg()?,
        })
    }
}

/// A run or a search.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) summary: Summary,
    pub(super) figures: Vec<Figure>,
}

/// The page, as HTML; the first part's heading is its title.
pub(super) fn html(parts: &[Part]) -> Result<String> {
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        parts,
    };
    page.render().context("can not write the report")
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    version: &'static str,
    parts: &'a [Part],
}
