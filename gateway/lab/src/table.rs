//! Tables for people: columns that line up.

/// Lines up `rows` below `head`; a head that begins with `>` stands over numbers, set to the right.
pub fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let titles: Vec<&str> = head.iter().map(|title| title.trim_start_matches('>')).collect();
    let mut widths: Vec<usize> = titles.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let mut line = String::new();
        for ((cell, width), title) in cells.iter().zip(&widths).zip(head) {
            if title.starts_with('>') {
                line.push_str(&format!("{cell:>width$}  "));
            } else {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = line(titles);
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// A number with as many digits as a reader needs: `12,345`, `123`, `12.3`, `0.123`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    match value.abs() {
        size if size >= 100.0 => grouped(&format!("{value:.0}")),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The median; not a number where there is no value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in [
            (12345.6, "12,346"),
            (-1_234_567.0, "-1,234,567"),
            (123.4, "123"),
            (12.34, "12.3"),
            (1.236, "1.24"),
            (0.1234, "0.123"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn medians() {
        for (values, expected) in [(&[3.0, 1.0, 2.0][..], 2.0), (&[4.0, 1.0], 2.5), (&[7.0], 7.0)] {
            assert!((median(values) - expected).abs() < f64::EPSILON);
        }
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn columns() {
        let head = ["what".to_owned(), ">n".to_owned()];
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["longer".to_owned(), "9".to_owned()]];
        assert_eq!(table(&head, &rows), "what     n\na       10\nlonger   9\n");
    }
}
