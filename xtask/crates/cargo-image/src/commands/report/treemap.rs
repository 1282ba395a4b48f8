//! A squarified treemap (Bruls, Huizing, van Wijk 2000): rectangles with the areas of their values, near squares.

/// A rectangle in the units of the canvas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectangle {
    /// The left edge.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// The width.
    pub width: f64,
    /// The height.
    pub height: f64,
}

/// The rectangle of each value, in the order of the values. Values must be in descending order; those of 0 get no area.
pub fn layout(values: &[f64], canvas: Rectangle) -> Vec<Rectangle> {
    let total: f64 = values.iter().sum();
    let mut rectangles = Vec::with_capacity(values.len());
    if total <= 0.0 {
        return vec![Rectangle { width: 0.0, height: 0.0, ..canvas }; values.len()];
    }
    let scale = canvas.width * canvas.height / total;
    let areas: Vec<f64> = values.iter().map(|value| value * scale).collect();
    let (mut rest, mut free) = (&areas[..], canvas);
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let mut count = 1;
        while count < rest.len() && worst(&rest[..=count], side) <= worst(&rest[..count], side) {
            count += 1;
        }
        let (row, below) = rest.split_at(count);
        free = place(row, free, &mut rectangles);
        rest = below;
    }
    rectangles
}

/// The worst ratio of sides in a row along a side of this length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let ratio = |area: f64| {
        let ratio = side * side * area / (sum * sum);
        ratio.max(1.0 / ratio)
    };
    row.iter().copied().map(ratio).fold(0.0, f64::max)
}

/// Places a row along the shorter side, and gives the free rest.
fn place(row: &[f64], free: Rectangle, rectangles: &mut Vec<Rectangle>) -> Rectangle {
    let sum: f64 = row.iter().sum();
    let Rectangle { mut x, mut y, width, height } = free;
    if width >= height {
        let depth = if height > 0.0 { sum / height } else { 0.0 };
        for area in row {
            let length = if depth > 0.0 { area / depth } else { 0.0 };
            rectangles.push(Rectangle { x, y, width: depth, height: length });
            y += length;
        }
        Rectangle { x: x + depth, width: (width - depth).max(0.0), ..free }
    } else {
        let depth = if width > 0.0 { sum / width } else { 0.0 };
        for area in row {
            let length = if depth > 0.0 { area / depth } else { 0.0 };
            rectangles.push(Rectangle { x, y, width: length, height: depth });
            x += length;
        }
        Rectangle { y: y + depth, height: (height - depth).max(0.0), ..free }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANVAS: Rectangle = Rectangle { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };

    #[test]
    fn areas_are_the_values_and_nothing_overlaps() {
        // The example of the paper.
        let values = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0];
        let rectangles = layout(&values, CANVAS);
        for (value, one) in values.iter().zip(&rectangles) {
            assert!((one.width * one.height - value).abs() < 1e-9, "{one:?}");
            assert!(one.x >= 0.0 && one.x + one.width < 6.0 + 1e-9 && one.y + one.height < 4.0 + 1e-9);
        }
        assert_eq!(rectangles[0], Rectangle { x: 0.0, y: 0.0, width: 3.0, height: 2.0 });
        for (number, one) in rectangles.iter().enumerate() {
            for other in &rectangles[number + 1..] {
                let apart = |a: f64, length: f64, b: f64| b + 1e-9 >= a + length;
                assert!(
                    apart(one.x, one.width, other.x)
                        || apart(other.x, other.width, one.x)
                        || apart(one.y, one.height, other.y)
                        || apart(other.y, other.height, one.y),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn values_of_nothing_have_no_area() {
        assert!(layout(&[], CANVAS).is_empty());
        assert!(layout(&[0.0, 0.0], CANVAS).iter().all(|one| one.width * one.height == 0.0));
        let some = layout(&[1.0, 0.0], CANVAS);
        assert!(some[1].width * some[1].height < 1e-9 && some.iter().all(|one| one.width.is_finite()));
    }
}
