//! The colours of `chart.css`: apart for readers with colour-vision deficiencies, and visible on their paper.

const STYLE: &str = include_str!("../../templates/chart.css");

/// Smallest distance in CIE L*a*b* at which two areas are told apart at a glance rather than by comparing.
const APART: f64 = 20.0;
/// WCAG 2.2, success criterion 1.4.11: graphical objects.
const CONTRAST: f64 = 3.0;

/// Machado, Oliveira and Fernandes 2009, severity 1: what is left of linear RGB.
const VISIONS: [(&str, [[f64; 3]; 3]); 4] = [
    ("usual", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];

#[test]
fn colours_of_series_stay_apart_in_every_vision_and_stand_out_from_the_paper() {
    let (light, dark) = STYLE.split_once("@media").unwrap();
    for style in [light, dark] {
        let paper = luminance(linear(style, "--paper"));
        let series: Vec<_> = (1..=6)
            .map(|index| linear(style, &format!("--series-{index}")))
            .collect();
        for (index, colour) in series.iter().enumerate() {
            let (bright, dim) = (luminance(*colour).max(paper), luminance(*colour).min(paper));
            assert!(
                (bright + 0.05) / (dim + 0.05) >= CONTRAST - 0.005,
                "series {} on its paper",
                index + 1
            );
            for (name, vision) in VISIONS {
                for (other_index, other) in series[..index].iter().enumerate() {
                    let difference = distance(lab(seen(vision, *colour)), lab(seen(vision, *other)));
                    assert!(
                        difference > APART,
                        "series {} and {}, {name}: {difference}",
                        other_index + 1,
                        index + 1
                    );
                }
            }
        }
    }
}

/// The linear RGB value of a variable of the style: its first `#rrggbb` or `#rgb`.
fn linear(style: &str, variable: &str) -> [f64; 3] {
    let hex = style.split_once(&format!("{variable}:#")).unwrap().1;
    let hex: String = hex.chars().take_while(char::is_ascii_hexdigit).collect();
    let digits = if hex.len() == 3 {
        hex.chars().flat_map(|digit| [digit, digit]).collect()
    } else {
        hex
    };
    [0, 2, 4].map(|at| {
        let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    })
}

fn luminance([red, green, blue]: [f64; 3]) -> f64 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn seen(vision: [[f64; 3]; 3], colour: [f64; 3]) -> [f64; 3] {
    vision.map(|row| {
        row.iter()
            .zip(colour)
            .map(|(weight, part)| weight * part)
            .sum::<f64>()
            .clamp(0.0, 1.0)
    })
}

/// CIE 1976 L*a*b* under D65.
fn lab([red, green, blue]: [f64; 3]) -> [f64; 3] {
    let x = 0.4124 * red + 0.3576 * green + 0.1805 * blue;
    let z = 0.0193 * red + 0.1192 * green + 0.9505 * blue;
    let curve = |value: f64| {
        if value > 0.008_856 {
            value.cbrt()
        } else {
            7.787 * value + 16.0 / 116.0
        }
    };
    let (x, y, z) = (
        curve(x / 0.9505),
        curve(luminance([red, green, blue])),
        curve(z / 1.089),
    );
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}
