//! The report as a page and as Markdown.

use anyhow::Result;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::data::{PlatformSizes, Report, TargetRow};
use super::treemap::{Rectangle, layout};
use cli_support::ui::Table;
use rust_workspace::settings::Bytes;

const TEMPLATE: &str = include_str!("page.html");

/// The canvas of a treemap, and the smallest rectangle that has its name in it, in units of the SVG.
const CANVAS: Rectangle = Rectangle { x: 0.0, y: 0.0, width: 1000.0, height: 420.0 };
const NAMED: (f64, f64) = (60.0, 22.0);
/// The width of a letter in these units.
const LETTER: f64 = 8.0;
/// The most rectangles of a treemap; the smaller ones are one rectangle.
const MAX_RECTANGLES: usize = 60;

/// A rectangle of a treemap.
#[derive(Debug, Serialize)]
struct Tile {
    name: String,
    size: String,
    share: String,
    /// What fits into the rectangle.
    text: String,
    hue: u32,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A treemap with its title.
#[derive(Debug, Serialize)]
struct Map {
    title: String,
    tiles: Vec<Tile>,
}

/// The page.
pub fn html(report: &Report) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("size", |bytes: u64| Bytes(bytes).to_string());
    environment.add_filter("change", |bytes: i64| {
        let sign = if bytes < 0 { "-" } else { "+" };
        format!("{sign}{}", Bytes(bytes.unsigned_abs()))
    });
    environment.add_template("page", TEMPLATE)?;
    let maps: Vec<Map> = report.platforms.iter().flat_map(maps).collect();
    let points = sparkline(&report.history.iter().map(|run| run.seconds).collect::<Vec<_>>());
    let sizes = report.history.iter().filter_map(|run| run.compressed_bytes);
    #[allow(clippy::cast_precision_loss)] // Only drawn.
    let sizes = sparkline(&sizes.map(|bytes| bytes as f64).collect::<Vec<_>>());
    Ok(environment.get_template("page")?.render(context! { report, maps, points, sizes })?)
}

/// The treemaps of a platform: its files by layer, and the crates of its binary.
fn maps(platform: &PlatformSizes) -> Vec<Map> {
    let files = platform.layers.iter().enumerate().flat_map(|(number, layer)| {
        let layer_number = number + 1;
        layer.files.iter().map(move |file| (format!("layer {layer_number}: {}", file.path), file.bytes))
    });
    let mut maps = vec![map(format!("{}: files by layer", platform.platform), files.collect())];
    if let Some(code) = &platform.code {
        let crates = code.iter().map(|one| (one.name.clone(), one.bytes)).collect();
        maps.push(map(format!("{}: crates in the binary", platform.platform), crates));
    }
    maps
}

fn map(title: String, mut values: Vec<(String, u64)>) -> Map {
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values.retain(|(_, bytes)| *bytes > 0);
    if values.len() > MAX_RECTANGLES {
        let rest = values.split_off(MAX_RECTANGLES - 1);
        values.push((format!("{} smaller", rest.len()), rest.iter().map(|(_, bytes)| bytes).sum()));
        values.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    }
    #[allow(clippy::cast_precision_loss)] // Only drawn.
    let areas: Vec<f64> = values.iter().map(|(_, bytes)| *bytes as f64).collect();
    let total: f64 = areas.iter().sum();
    let tiles = values.into_iter().zip(layout(&areas, CANVAS)).zip(&areas).enumerate();
    let tiles = tiles.map(|(number, (((name, bytes), place), area))| {
        let short = name.rsplit('/').next().unwrap_or(&name);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Some hundred units.
        let letters = (place.width / LETTER) as usize;
        let fits = place.width >= NAMED.0 && place.height >= NAMED.1;
        Tile {
            text: if fits { short.chars().take(letters).collect() } else { String::new() },
            size: Bytes(bytes).to_string(),
            share: format!("{:.1} %", area / total * 100.0),
            // The golden angle keeps neighbours apart.
            hue: u32::try_from(number * 137 % 360).unwrap_or_default(),
            name,
            x: place.x,
            y: place.y,
            width: place.width,
            height: place.height,
        }
    });
    Map { title, tiles: tiles.collect() }
}

/// The points of a line in a box of 300 by 40; empty for fewer than two values.
fn sparkline(values: &[f64]) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    if values.len() < 2 || most <= 0.0 {
        return String::new();
    }
    #[allow(clippy::cast_precision_loss)] // At most some hundred.
    let step = 300.0 / (values.len() - 1) as f64;
    let mut x = 0.0;
    let points = values.iter().map(|value| {
        let point = format!("{x:.1},{:.1}", 38.0 - value / most * 36.0);
        x += step;
        point
    });
    points.collect::<Vec<_>>().join(" ")
}

fn state(row: &TargetRow) -> &'static str {
    match row.met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "not measured",
    }
}

/// The targets as a table.
pub fn targets(report: &Report) -> Table {
    let mut table = Table::new(&["target", "measured", "", "where"]);
    for row in &report.targets {
        let measured = row.measured.clone().unwrap_or_else(|| "-".to_owned());
        table.row([row.target.clone(), measured, state(row).to_owned(), row.source.clone()]);
    }
    table
}

/// The report for GitHub's step summary.
pub fn markdown(report: &Report) -> String {
    let version = report.version.as_deref().unwrap_or_default();
    let mut sizes = Table::new(&["platform", ">compressed", ">files", ">crates"]);
    for one in &report.platforms {
        let crates = one.crates.len().to_string();
        let (compressed, unpacked) = (Bytes(one.compressed_bytes), Bytes(one.unpacked_bytes));
        sizes.row([one.platform.clone(), compressed.to_string(), unpacked.to_string(), crates]);
    }
    let title = &report.title;
    let (targets, sizes) = (targets(report).markdown(), sizes.markdown());
    format!("### {title} {version}\n\n`{}`\n\n{targets}\n{sizes}\n", report.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_become_one_tile_of_the_rest() {
        let values = (1..=100).map(|number| (format!("/usr/{number}"), number)).collect();
        let map = map("all".to_owned(), values);
        assert_eq!(map.tiles.len(), MAX_RECTANGLES);
        let rest = map.tiles.iter().find(|tile| tile.name == "41 smaller").expect("the rest");
        assert_eq!(rest.size, Bytes((1..=41).sum()).to_string());
    }

    #[test]
    fn a_line_needs_two_points() {
        assert_eq!(sparkline(&[1.0]), "");
        assert_eq!(sparkline(&[0.0, 0.0]), "");
        assert_eq!(sparkline(&[1.0, 2.0, 0.0]), "0.0,20.0 150.0,2.0 300.0,38.0");
    }
}
