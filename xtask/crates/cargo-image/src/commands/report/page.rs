//! The report as a page and as Markdown.

use anyhow::Result;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::data::{CrateRow, PlatformSizes, Report, TargetRow};
use super::treemap::{Rectangle, layout};
use cli_support::ui::Table;
use rust_workspace::settings::Bytes;

const TEMPLATE: &str = include_str!("page.html");

/// The canvas of a treemap, in units of the SVG.
const CANVAS: Rectangle = Rectangle { x: 0.0, y: 0.0, width: 1000.0, height: 520.0 };
/// The width of a letter, the height of a line, the gap around text and the head of a rectangle with others in it.
const LETTER: f64 = 7.5;
const LINE: f64 = 20.0;
const GAP: f64 = 4.0;
const HEAD: f64 = 24.0;
/// The most rectangles of a treemap; the smaller ones are one rectangle.
const MAX_RECTANGLES: usize = 60;
/// The most crates that are shown as grown or shrunk.
const MAX_CHANGES: usize = 30;

/// A rectangle of a treemap.
#[derive(Debug, Serialize)]
struct Tile {
    name: String,
    size: String,
    share: String,
    /// The label that fits into the rectangle.
    text: String,
    /// The second line, if it fits.
    below: String,
    /// The class of the style sheet: `file`, or for code `own`, `std`, `other` and `crate`.
    class: &'static str,
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

/// A line of the table of crates.
#[derive(Debug, Serialize)]
struct CrateLine {
    name: String,
    version: String,
    licence: String,
    path: String,
    /// The bytes of its code in the binary.
    code: Option<u64>,
    /// The share of that in percent.
    share: f64,
    /// Identifiers of findings.
    findings: Vec<String>,
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
    let maps: Vec<Map> = report.platforms.iter().map(map).collect();
    let crates: Vec<_> = report.platforms.iter().map(|one| crates(one, report)).collect();
    let points = sparkline(&report.history.iter().map(|run| run.seconds).collect::<Vec<_>>());
    let sizes = report.history.iter().filter_map(|run| run.compressed_bytes);
    #[allow(clippy::cast_precision_loss)] // Only drawn.
    let sizes = sparkline(&sizes.map(|bytes| bytes as f64).collect::<Vec<_>>());
    let runs = report.github.iter().flat_map(|github| github.runs.iter().rev());
    #[allow(clippy::cast_precision_loss)] // Only drawn.
    let runs = sparkline(&runs.filter_map(|run| Some(run.seconds? as f64)).collect::<Vec<_>>());
    let changes = report.changes.iter().flat_map(|changes| &changes.code).take(MAX_CHANGES);
    let grown: Vec<_> = changes.map(|change| (change, change.difference())).collect();
    let context = context! { report, maps, crates, points, sizes, runs, grown };
    Ok(environment.get_template("page")?.render(context)?)
}

/// The treemap of a platform: its files by layer, and in the program its crates, where their sizes are known.
fn map(platform: &PlatformSizes) -> Map {
    let files = platform.layers.iter().enumerate().flat_map(|(number, layer)| {
        let layer_number = number + 1;
        layer.files.iter().map(move |file| (format!("layer {layer_number}: {}", file.path), file.bytes))
    });
    let mut tiles = Vec::new();
    for mut file in placed(files.collect(), CANVAS, |_| "file") {
        let is_program = platform.program.iter().any(|path| file.name.ends_with(&format!(": {path}")));
        let code = platform.code.as_ref().filter(|_| is_program && file.height > 2.0 * HEAD);
        file.below = if code.is_some() { String::new() } else { file.below };
        let inside = Rectangle {
            x: file.x + GAP,
            y: file.y + HEAD,
            width: (file.width - 2.0 * GAP).max(0.0),
            height: (file.height - HEAD - GAP).max(0.0),
        };
        tiles.push(file);
        let values = code.into_iter().flatten().map(|one| (one.name.clone(), one.bytes));
        tiles.extend(placed(values.collect(), inside, |name| class(platform, name)));
    }
    Map { title: platform.platform.clone(), tiles }
}

/// The class of a crate's rectangle.
fn class(platform: &PlatformSizes, name: &str) -> &'static str {
    let mut own = platform.crates.iter().filter(|one| one.path.len() < 2);
    match name {
        "std" | "core" | "alloc" | "compiler_builtins" | "libc" => "std",
        "other" => "other",
        _ if own.any(|one| one.name.replace('-', "_") == name) => "own",
        _ => "crate",
    }
}

/// The rectangles of values in an area, the largest first.
fn placed(
    mut values: Vec<(String, u64)>,
    area: Rectangle,
    class: impl Fn(&str) -> &'static str,
) -> Vec<Tile> {
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
    let tiles = values.into_iter().zip(layout(&areas, area)).zip(&areas);
    let tiles = tiles.map(|(((name, bytes), place), area)| {
        let short = name.rsplit('/').next().unwrap_or(&name);
        let size = Bytes(bytes).to_string();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Some hundred units.
        let letters = ((place.width - 2.0 * GAP) / LETTER).max(0.0) as usize;
        let fits = place.height >= LINE && letters >= 3;
        let text: String = if fits { short.chars().take(letters).collect() } else { String::new() };
        let below = place.height >= 2.0 * LINE && letters >= size.len();
        Tile {
            below: if below { size.clone() } else { String::new() },
            class: class(&name),
            text,
            size,
            share: format!("{:.1} %", area / total * 100.0),
            name,
            x: place.x,
            y: place.y,
            width: place.width,
            height: place.height,
        }
    });
    tiles.collect()
}

/// The crates of a platform with what is known of each, the largest first.
fn crates(platform: &PlatformSizes, report: &Report) -> Vec<CrateLine> {
    let code = platform.code.as_deref().unwrap_or_default();
    #[allow(clippy::cast_precision_loss)] // Only shown.
    let total = code.iter().map(|one| one.bytes).sum::<u64>().max(1) as f64;
    let line = |one: &CrateRow| {
        let known = code.iter().find(|size| size.name == one.name.replace('-', "_"));
        let subject = format!("{} {}", one.name, one.version);
        let findings = report.scan.iter().flat_map(|scan| &scan.findings);
        CrateLine {
            name: one.name.clone(),
            version: one.version.clone(),
            licence: one.licence.clone().unwrap_or_else(|| "unknown".to_owned()),
            path: one.path.join(" → "),
            code: known.map(|size| size.bytes),
            #[allow(clippy::cast_precision_loss)] // Only shown.
            share: known.map_or(0.0, |size| size.bytes as f64 / total * 100.0),
            findings: findings.filter(|one| one.subject == subject).map(|one| one.id.clone()).collect(),
        }
    };
    let mut lines: Vec<_> = platform.crates.iter().map(line).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.code));
    lines
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
        let tiles = placed(values, CANVAS, |_| "file");
        assert_eq!(tiles.len(), MAX_RECTANGLES);
        let rest = tiles.iter().find(|tile| tile.name == "41 smaller").expect("the rest");
        assert_eq!(rest.size, Bytes((1..=41).sum()).to_string());
    }

    #[test]
    fn a_line_needs_two_points() {
        assert_eq!(sparkline(&[1.0]), "");
        assert_eq!(sparkline(&[0.0, 0.0]), "");
        assert_eq!(sparkline(&[1.0, 2.0, 0.0]), "0.0,20.0 150.0,2.0 300.0,38.0");
    }
}
