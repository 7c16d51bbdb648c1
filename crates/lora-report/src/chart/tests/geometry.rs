//! Charts are to scale. Places are worked out by hand from the sizes at the top of each chart's file.

use proptest::prelude::*;
use roxmltree::Document;

use crate::ReliabilityBar;
use crate::chart::drawing::{Area, fit, marker, text_width};
use crate::chart::labels::place_labels;
use crate::chart::lines::{short, thin};
use crate::chart::reliability::{hatch, wilson_interval};
use crate::chart::scale::Scale;
use crate::{
    IntervalRow, ScatterPoint, Series, interval_chart, line_chart, reliability_diagram, scatter_chart,
    setting_chart,
};

/// Path data of all paths with this class, in drawing order.
fn paths(svg: &str, class: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let found = document
        .descendants()
        .filter(|node| node.attribute("class") == Some(class));
    found
        .map(|node| node.attribute("d").unwrap().to_owned())
        .collect()
}

fn bin(lower: f64, upper: f64, count: u64, mean_confidence: f64, accuracy: f64) -> ReliabilityBar {
    ReliabilityBar {
        lower,
        upper,
        count,
        mean_confidence,
        accuracy,
    }
}

#[test]
fn bars_reach_the_accuracy_and_gaps_the_confidence() {
    // The plot spans 34..292 and 86..344: a unit is 258 both ways. Half of it is at y = 215, 0.75 at 150.5.
    let svg = reliability_diagram("t", &[bin(0.5, 1.0, 4, 0.75, 0.5)], 0.25, "2 bins");
    // 0.5 is at x = 163; half a unit of air at both sides.
    assert_eq!(paths(&svg, "bar")[0], "M163.5 215H291.5V344H163.5Z");
    assert_eq!(paths(&svg, "gap")[0], "M163.5 150.5H291.5V215H163.5Z");
}

#[test]
fn the_fullest_bin_fills_the_histogram_and_the_others_in_proportion() {
    let bins = [bin(0.0, 0.5, 10, 0.4, 0.4), bin(0.5, 1.0, 40, 0.9, 0.9)];
    let counts = paths(&reliability_diagram("t", &bins, 0.0, "2 bins"), "count");
    // The histogram spans 384..428: a quarter of 44 is 11.
    assert_eq!(
        counts,
        ["M34.5 417H162.5V428H34.5Z", "M163.5 384H291.5V428H163.5Z"]
    );
}

#[test]
fn an_empty_bin_is_not_drawn_and_a_bin_without_width_is_visible() {
    let svg = reliability_diagram(
        "t",
        &[bin(0.0, 0.5, 0, 0.0, 0.0), bin(1.0, 1.0, 2, 1.0, 1.0)],
        0.0,
        "2 bins",
    );
    let counts = paths(&svg, "count");
    assert_eq!(counts, ["M290.5 384H293.5V428H290.5Z"]);
}

#[test]
fn the_wilson_interval_ends_where_its_defining_equation_holds() {
    // Its ends are the p with (accuracy − p)² = z² p (1 − p) / n.
    for (accuracy, count) in [(0.8, 10), (0.5, 3), (0.99, 1000)] {
        for p in wilson_interval(accuracy, count) {
            let z2 = 1.959_964_f64.powi(2);
            assert!(((accuracy - p).powi(2) - z2 * p * (1.0 - p) / count as f64).abs() < 1e-6);
        }
    }
    assert!((wilson_interval(1.0, 5)[1] - 1.0).abs() < 1e-12);
    assert!(wilson_interval(0.0, 5)[0].abs() < 1e-12);
}

#[test]
fn a_line_breaks_where_a_value_is_missing() {
    let points = vec![[0.0, 1.0], [1.0, 0.5], [2.0, f64::NAN], [3.0, 0.25], [4.0, 0.125]];
    let svg = line_chart("t", "x", "y", &[Series::new("a", points)]);
    // One sample in the legend and two stretches.
    assert_eq!(paths(&svg, "line series-1").len(), 3);
    assert_eq!(paths(&svg, "marker series-1").len(), 1 + 4);
}

#[test]
fn an_axis_of_a_scatter_spans_at_least_what_was_asked_for() {
    let points = [0.51, 0.52].map(|accuracy| ScatterPoint::new("m", [0.1, accuracy]));
    let chart = |least: f64| scatter_chart("t", "x", "y", &points, [0.0, least]);
    // Two values 0.01 apart fill the chart, or lie in the middle of 0.465 to 0.565.
    assert!(chart(0.0).contains(">0.512<") && !chart(0.0).contains(">0.46<"));
    assert!(chart(0.1).contains(">0.46<") && chart(0.1).contains(">0.58<"));
    assert!(!chart(0.1).contains(">0.512<"));
}

#[test]
fn ticks_are_round_and_cover_the_values() {
    let labels = |values: [f64; 2], ticks: f64| -> Vec<String> {
        let scale = Scale::around(values.into_iter(), [0.0, 100.0], ticks).unwrap();
        scale.ticks().into_iter().map(|tick| tick.label).collect()
    };
    assert_eq!(labels([0.04, 0.69], 5.0), ["0.0", "0.2", "0.4", "0.6", "0.8"]);
    assert_eq!(
        labels([0.842, 0.879], 5.0),
        ["0.84", "0.85", "0.86", "0.87", "0.88"]
    );
    assert_eq!(labels([-3.0, 8.0], 5.0), ["-5", "0", "5", "10"]);
    assert_eq!(
        labels([0.0, 2.5e-7], 5.0),
        ["0", "5.0e-8", "1.0e-7", "1.5e-7", "2.0e-7", "2.5e-7"]
    );
    assert!(
        labels([3.0, 3.0], 5.0).len() > 2,
        "equal values lie in a small range around them"
    );
}

#[test]
fn numbers_in_words_have_four_digits() {
    let cases = [
        (0.123_456, "0.1235"),
        (12.0, "12"),
        (1234.56, "1235"),
        (0.5, "0.5"),
        (-0.002, "-0.002"),
        (1e-9, "1.000e-9"),
        (f64::NAN, "n/a"),
    ];
    for (value, text) in cases {
        assert_eq!(short(value), text);
    }
}

#[test]
fn markers_of_different_series_have_different_shapes() {
    let shapes: Vec<_> = (0..6).map(|series| marker(series, [10.0, 10.0], 4.0)).collect();
    for (index, shape) in shapes.iter().enumerate() {
        assert!(!shapes[..index].contains(shape));
    }
}

#[test]
fn labels_of_near_points_do_not_cover_each_other() {
    let points = [
        ("alpha", [100.0, 100.0]),
        ("beta", [104.0, 103.0]),
        ("gamma", [98.0, 96.0]),
    ];
    let room = Area {
        left: 0.0,
        top: 0.0,
        right: 300.0,
        bottom: 200.0,
    };
    let labels = place_labels(&points, &[], room, 5.0, 12.0);
    let areas: Vec<_> = labels.iter().map(|label| label.area).collect();
    for (index, area) in areas.iter().enumerate() {
        assert!(room.contains(area));
        assert!(
            !areas[..index].iter().any(|other| other.overlaps(area)),
            "{areas:?}"
        );
    }
}

#[test]
fn ticks_of_a_narrow_range_of_large_values_have_labels_of_their_own() {
    let values = [516_580_021_394.700_5, 516_388_646_692.786_1];
    let ticks = Scale::around(values.into_iter(), [0.0, 100.0], 5.0)
        .unwrap()
        .ticks();
    let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
    assert_eq!(labels[..2], ["5.1635e11", "5.1640e11"]);
    assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
}

proptest! {
    #[test]
    fn a_scale_covers_any_finite_values_with_rising_ticks(values in proptest::collection::vec(-1e12f64..1e12, 1..9)) {
        let scale = Scale::around(values.iter().copied(), [0.0, 100.0], 5.0).unwrap();
        let ticks = scale.ticks();
        prop_assert!((2..=13).contains(&ticks.len()));
        prop_assert!(ticks.windows(2).all(|pair| pair[0].place < pair[1].place && pair[0].label != pair[1].label));
        for value in values {
            prop_assert!((-1e-6..=100.0 + 1e-6).contains(&scale.place(value)));
        }
    }

    #[test]
    fn hatching_stays_inside_its_box(left in 0.0f64..50.0, top in 0.0f64..50.0, width in 0.0f64..90.0, height in 0.0f64..90.0) {
        let area = Area { left, top, right: left + width, bottom: top + height };
        let data = hatch(area);
        let numbers: Vec<f64> = data.split(['M', 'L', ' ']).filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect();
        for point in numbers.chunks(2) {
            prop_assert!(left - 0.051 <= point[0] && point[0] <= left + width + 0.051);
            prop_assert!(top - 0.051 <= point[1] && point[1] <= top + height + 0.051);
        }
    }

    #[test]
    fn thinning_keeps_the_ends_and_the_extremes(heights in proptest::collection::vec(0.0f64..200.0, 1..900)) {
        let places: Vec<[f64; 2]> = heights.iter().enumerate().map(|(index, y)| [index as f64 * 0.01, *y]).collect();
        let kept = thin(&places);
        prop_assert_eq!((kept.first(), kept.last()), (places.first(), places.last()));
        let range = |places: &[[f64; 2]]| places.iter().fold([f64::MAX, f64::MIN], |[low, high], [_, y]| [low.min(*y), high.max(*y)]);
        prop_assert_eq!(range(&kept).map(f64::to_bits), range(&places).map(f64::to_bits));
        prop_assert!(kept.windows(2).all(|pair| pair[0][0] <= pair[1][0]));
    }

    #[test]
    fn a_fitted_text_is_no_wider_than_asked(text in ".*", width in 20.0f64..300.0) {
        prop_assert!(text_width(&fit(&text, width, 12.0), 12.0) <= width);
    }
}

/// The x at which each path begins.
fn starts(paths: &[String]) -> Vec<f64> {
    let start = |path: &String| {
        let word = path[1..].split([' ', 'a', 'H', 'V']).next().unwrap();
        word.parse().unwrap()
    };
    paths.iter().map(start).collect()
}

#[test]
fn numbers_of_members_stand_at_equal_distances_and_probabilities_to_scale() {
    let of = |values: &[f64]| {
        let points = values.iter().map(|value| [*value, 0.5]).collect();
        starts(&paths(
            &setting_chart("t", "x", "y", &[Series::new("a", points)]),
            "marker series-1",
        ))
    };
    // The sample of the legend comes first.
    let members = of(&[1.0, 4.0, 16.0]);
    assert!(
        (members[2] - members[1] - (members[3] - members[2])).abs() < 0.2,
        "{members:?}"
    );
    let probabilities = of(&[0.1, 0.3, 0.7]);
    let (short, long) = (
        probabilities[2] - probabilities[1],
        probabilities[3] - probabilities[2],
    );
    assert!((long - 2.0 * short).abs() < 0.3, "{probabilities:?}");
}

#[test]
fn whiskers_of_neighbours_do_not_cover_each_other() {
    let series =
        |name: &str| Series::new(name, vec![[1.0, 0.5], [2.0, 0.4]]).with_band(vec![[0.4, 0.6], [0.3, 0.5]]);
    let svg = setting_chart("t", "x", "y", &[series("a"), series("b")]);
    let (first, second) = (
        starts(&paths(&svg, "whisker series-1")),
        starts(&paths(&svg, "whisker series-2")),
    );
    assert_eq!((first.len(), second.len()), (2, 2));
    for (left, right) in first.iter().zip(&second) {
        assert!((right - left - 5.0).abs() < 0.2, "{left} {right}");
    }
}

#[test]
fn an_interval_around_zero_lies_on_both_sides_of_the_line_at_zero() {
    let row = |label: &str, estimate: f64| IntervalRow {
        label: label.to_owned(),
        estimates: vec![Some((estimate, [estimate - 1.0, estimate + 1.0]))],
        is_total: false,
    };
    let svg = interval_chart("t", "x", &["a"], &[row("ties", 0.0), row("wins", -3.0)], None);
    let zero = starts(&paths(&svg, "axis"))[0];
    let ends = |path: &String| {
        let (from, to) = path[1..].split_once('L').unwrap();
        [from, to].map(|end| end.split(' ').next().unwrap().parse::<f64>().unwrap())
    };
    let whiskers: Vec<[f64; 2]> = paths(&svg, "whisker series-1").iter().map(ends).collect();
    assert!(
        whiskers[0][0] < zero && zero < whiskers[0][1],
        "{whiskers:?} {zero}"
    );
    assert!((whiskers[0][0] + whiskers[0][1] - 2.0 * zero).abs() < 0.3);
    assert!(whiskers[1][1] < zero, "{whiskers:?} {zero}");
    // The same axis for charts that are compared, whatever is in them.
    let narrow = interval_chart("t", "x", &["a"], &[row("ties", 0.0)], Some([-4.0, 1.0]));
    assert!((starts(&paths(&narrow, "axis"))[0] - zero).abs() < 0.2);
}
