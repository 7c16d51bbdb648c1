//! Whatever the words and numbers: well-formed XML with a title and only finite places.

use proptest::prelude::*;
use roxmltree::{Document, Node};

use crate::ReliabilityBar;
use crate::{
    IntervalRow, ScatterPoint, Series, interval_chart, line_chart, reliability_diagram, scatter_chart,
    setting_chart,
};

pub(super) const SVG: &str = "http://www.w3.org/2000/svg";

fn check(svg: &str, title: &str) {
    let document = Document::parse(svg).unwrap();
    let root = document.root_element();
    assert!(root.has_tag_name((SVG, "svg")));
    assert_eq!(root.attribute("role"), Some("img"));
    let corners: Vec<f64> = root
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    assert!(corners.len() == 4 && corners[2] > 0.0 && corners[3] > 0.0);
    // XML has no control characters and reads \r as \n.
    let plain = |text: &str| {
        text.replace(
            |character: char| character.is_control() || character > '\u{fffd}' && character < '\u{10000}',
            "",
        )
    };
    let first = root.first_element_child().unwrap();
    assert!(first.has_tag_name((SVG, "title")));
    assert_eq!(plain(first.text().unwrap_or_default()), plain(title));
    assert!(first.next_sibling_element().unwrap().has_tag_name((SVG, "desc")));
    for node in root.descendants().filter(Node::is_element) {
        for attribute in node
            .attributes()
            .filter(|attribute| ["d", "x", "y"].contains(&attribute.name()))
        {
            let value = attribute.value();
            assert!(
                !value.is_empty() && !value.contains("NaN") && !value.contains("inf"),
                "{value}"
            );
        }
    }
}

#[test]
fn charts_without_data_say_so() {
    for svg in [
        line_chart("t", "x", "y", &[]),
        setting_chart("t", "x", "y", &[]),
        interval_chart("t", "x", &["a"], &[IntervalRow::default()], None),
        scatter_chart("t", "x", "y", &[], [0.0, 0.0]),
    ] {
        check(&svg, "t");
        assert!(svg.contains("nothing to draw"));
    }
    let empty = reliability_diagram("t", &[], f64::NAN, "15 bins");
    check(&empty, "t");
    assert!(empty.contains("ECE n&#x2f;a") && empty.contains("0 examples"));
}

#[test]
fn markup_in_texts_is_shown_not_obeyed() {
    let evil = "</title><script>alert(1)</script>";
    let series = Series::new(evil, vec![[0.0, 1.0], [1.0, 0.5]]);
    let point = ScatterPoint::new(evil, [0.0, 1.0]);
    let row = IntervalRow {
        label: evil.to_owned(),
        estimates: vec![Some((0.5, [0.0, 1.0]))],
        is_total: true,
    };
    let bin = ReliabilityBar {
        lower: 0.5,
        upper: 1.0,
        count: 3,
        mean_confidence: 0.8,
        accuracy: 0.6,
    };
    for svg in [
        line_chart(evil, evil, evil, std::slice::from_ref(&series)),
        setting_chart(evil, evil, evil, &[series]),
        interval_chart(evil, evil, &[evil, evil], &[row], None),
        scatter_chart(evil, evil, evil, &[point], [0.0, 0.0]),
        reliability_diagram(evil, &[bin], 0.2, evil),
    ] {
        check(&svg, evil);
        assert!(!svg.contains("<script"));
    }
}

proptest! {
    #[test]
    fn any_lines_are_well_formed(
        title in ".*",
        name in ".*",
        points in proptest::collection::vec(any::<[f64; 2]>(), 0..40),
        band in proptest::collection::vec(any::<[f64; 2]>(), 0..40),
    ) {
        let svg = line_chart(&title, &name, &name, &[Series::new(&name, points.clone()).with_band(band), Series::new("b", points)]);
        check(&svg, &title);
    }

    #[test]
    fn any_curves_over_a_setting_are_well_formed(
        title in ".*",
        points in proptest::collection::vec(any::<[f64; 2]>(), 0..12),
        band in proptest::collection::vec(any::<[f64; 2]>(), 0..12),
    ) {
        let series = Series::new("a", points.clone()).with_band(band);
        check(&setting_chart(&title, "x", "y", &[series, Series::new("b", points)]), &title);
    }

    #[test]
    fn any_intervals_are_well_formed(
        title in ".*",
        rows in proptest::collection::vec((".*", proptest::option::of(any::<(f64, [f64; 2])>()), any::<bool>()), 0..8),
    ) {
        let row = |(label, estimate, is_total)| IntervalRow { label, estimates: vec![estimate, None, estimate], is_total };
        let rows: Vec<_> = rows.into_iter().map(row).collect();
        check(&interval_chart(&title, "x", &["a", "b", "c"], &rows, Some([-1.0, 1.0])), &title);
    }

    #[test]
    fn any_scatter_is_well_formed(
        title in ".*",
        points in proptest::collection::vec((".*", any::<[f64; 2]>(), any::<[f64; 2]>()), 0..12),
    ) {
        let points: Vec<_> = points
            .into_iter()
            .map(|(label, position, deviation)| ScatterPoint::new(label, position).with_deviation(deviation))
            .collect();
        check(&scatter_chart(&title, "x", "y", &points, [0.0, 0.1]), &title);
    }

    #[test]
    fn any_reliability_table_is_well_formed(
        title in ".*",
        rule in ".*",
        ece in any::<f64>(),
        bins in proptest::collection::vec((any::<[f64; 4]>(), any::<u32>()), 0..20),
    ) {
        let bin = |([lower, upper, mean_confidence, accuracy], count): ([f64; 4], u32)| {
            ReliabilityBar { lower, upper, count: u64::from(count), mean_confidence, accuracy }
        };
        let bins: Vec<_> = bins.into_iter().map(bin).collect();
        check(&reliability_diagram(&title, &bins, ece, &rule), &title);
    }
}
