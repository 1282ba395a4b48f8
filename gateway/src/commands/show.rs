//! Problems, shown with the line of the file that they refer to.

use crate::json::Json;
use crate::settings::{Place, Problem};

/// Maximum width of a shown line, in characters; the column of the problem is in the middle.
const WIDTH: usize = 120;

/// A problem, with its line and a marker below the value. `text` is the content of the file.
pub fn with_line(problem: &Problem, text: &str) -> String {
    let line = |place: Place| text.lines().nth(place.line.checked_sub(1)?).map(|line| marked(line, place));
    let shown = problem.place.and_then(line).unwrap_or_default();
    format!("{problem}\n{shown}")
}

fn marked(line: &str, place: Place) -> String {
    let number = place.line.to_string();
    let column = place.column.saturating_sub(1);
    let first = if column + place.length.max(1) > WIDTH { column.saturating_sub(WIDTH / 4) } else { 0 };
    // The width of a tab varies.
    let shown: String =
        line.chars().map(|c| if c == '\t' { ' ' } else { c }).skip(first).take(WIDTH).collect();
    let before = column - first;
    let left = shown.chars().count().saturating_sub(before);
    let marks = "^".repeat(place.length.clamp(1, left.max(1)));
    let margin = " ".repeat(number.len());
    format!(" {number} | {shown}\n {margin} | {:before$}{marks}\n", "")
}

/// A problem as JSON, for editors.
pub fn json(problem: &Problem) -> Json {
    let severity = if problem.code.is_some() { "warning" } else { "error" };
    let number = |number: usize| Json::Number(number as u64);
    let mut object = Json::object([
        ("severity", Json::text(severity)),
        ("code", Json::from(problem.code.map(str::to_owned))),
        ("file", Json::text(&problem.file)),
    ]);
    if let Some(place) = problem.place {
        object.push("line", number(place.line));
        object.push("column", number(place.column));
        object.push("length", number(place.length));
    }
    object.push("message", Json::text(&problem.text));
    object
}

#[cfg(test)]
mod tests {
    use super::marked;
    use crate::settings::Place;

    #[test]
    fn values_are_marked_in_their_line() {
        let long = format!("a = '{}' # {}", "x".repeat(100), "y".repeat(100));
        let table = [
            ("key = 'é'", (3, 7, 3), " 3 | key = 'é'\n   |       ^^^\n"),
            ("\tkey = 1", (10, 2, 3), " 10 |  key = 1\n    |  ^^^\n"),
            ("a", (1, 1, 0), " 1 | a\n   | ^\n"),
            ("a", (1, 2, 5), " 1 | a\n   |  ^\n"),
            ("", (1, 1, 9), " 1 | \n   | ^\n"),
        ];
        for (line, (number, column, length), expected) in table {
            assert_eq!(marked(line, Place { line: number, column, length }), expected, "{line:?}");
        }
        let shown = marked(&long, Place { line: 1, column: 150, length: 3 });
        let (line, marks) = shown.split_once('\n').expect("two lines");
        assert!(line.chars().count() <= 125 && marks.trim_end().ends_with("^^^"), "{shown}");
    }
}
