//! Line charts in letters, for a terminal.

use super::lines::{Series, short};

/// Letters that mark the lines, in their order.
const MARKS: [char; 8] = ['o', 'x', '+', '*', '#', '@', '%', '&'];

/// Lines over a common x in `width` columns and `height` rows, with the scale of y at the left and the names below. A later line is
/// drawn over an earlier one. Points that are not finite are left out; without any finite point the chart is empty.
pub fn text_chart(y_label: &str, x_label: &str, series: &[Series], width: usize, height: usize) -> String {
    let finite = |point: &&[f64; 2]| point.iter().all(|value| value.is_finite());
    let points = || series.iter().flat_map(|series| &series.points).filter(finite);
    let ends = |axis: usize| {
        points()
            .map(|point| point[axis])
            .fold(None, |ends: Option<[f64; 2]>, value| {
                let [low, high] = ends.unwrap_or([value, value]);
                Some([low.min(value), high.max(value)])
            })
    };
    let (Some(x), Some([lowest, highest])) = (ends(0), ends(1)) else {
        return String::new();
    };
    // Losses begin at zero.
    let y = [lowest.min(0.0), highest];
    let mut grid = vec![vec![' '; width]; height];
    for (place, series) in series.iter().enumerate() {
        let mark = MARKS[place % MARKS.len()];
        let places: Vec<[usize; 2]> = series
            .points
            .iter()
            .filter(finite)
            .map(|point| [step(point[0], x, width), height - 1 - step(point[1], y, height)])
            .collect();
        for pair in places.windows(2) {
            let [[from, above], [to, below]] = [pair[0], pair[1]];
            for step in 0..=to - from {
                let share = step as f64 / (to - from).max(1) as f64;
                let row = above as f64 + share * (below as f64 - above as f64);
                grid[nearest(row)][from + step] = mark;
            }
        }
        if let [[column, row]] = places[..] {
            grid[row][column] = mark;
        }
    }
    let scale = [short(y[1]), short(f64::midpoint(y[0], y[1])), short(y[0])];
    let margin = scale.iter().map(String::len).max().unwrap_or(0);
    let mut lines = vec![y_label.to_owned()];
    for (place, row) in grid.iter().enumerate() {
        let label = match place {
            0 => &scale[0],
            _ if place == height / 2 => &scale[1],
            _ if place + 1 == height => &scale[2],
            _ => "",
        };
        let row: String = row.iter().collect();
        lines.push(format!("{label:>margin$} │{}", row.trim_end()));
    }
    let axis = format!("{:>margin$} └{}", "", "─".repeat(width));
    let (first, last) = (short(x[0]), short(x[1]));
    let room = width.saturating_sub(first.len() + last.len());
    lines.push(axis);
    lines.push(format!("{:>margin$}  {first}{x_label:^room$}{last}", ""));
    let names = series.iter().enumerate();
    let names = names.map(|(place, series)| format!("{} {}", MARKS[place % MARKS.len()], series.name));
    lines.push(names.collect::<Vec<_>>().join("   "));
    lines.join("\n")
}

/// Which of so many steps a value between the ends is nearest to.
fn step(value: f64, [low, high]: [f64; 2], steps: usize) -> usize {
    let share = if high > low {
        (value - low) / (high - low)
    } else {
        0.0
    };
    nearest(share * (steps - 1) as f64)
}

#[expect(clippy::cast_sign_loss, reason = "places are not negative")]
fn nearest(value: f64) -> usize {
    value.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_where_they_are() {
        let rising = Series::new("test", vec![[1.0, 0.0], [5.0, 2.0]]);
        let level = Series::new("train", vec![[1.0, 0.0], [5.0, 0.0]]);
        let chart = text_chart("loss", "epoch", &[rising, level], 5, 3);
        // By hand: the rows are of 2, 1 and 0; the rising line has 0, 0.5, 1, 1.5 and 2 in its columns, and halves go down.
        let expected = [
            "loss",
            "2 │    o",
            "1 │  oo",
            "0 │xxxxx",
            "  └─────",
            "   1epoch5",
            "o test   x train",
        ];
        assert_eq!(chart.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_finite_is_an_empty_chart() {
        let line = Series::new("a", vec![[0.0, f64::NAN]]);
        assert_eq!(text_chart("loss", "epoch", &[line], 5, 3), "");
        assert_eq!(text_chart("loss", "epoch", &[], 5, 3), "");
    }
}
