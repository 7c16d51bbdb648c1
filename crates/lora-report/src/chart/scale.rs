//! From values to places: linear scales with round ticks.

/// A linear map from a range of values to a range of places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    domain: [f64; 2],
    places: [f64; 2],
    step: f64,
}

/// A place on an axis and the text beside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub place: f64,
    pub label: String,
}

impl Scale {
    /// From zero to one, with a tick every `step`.
    pub fn unit(places: [f64; 2], step: f64) -> Self {
        Self {
            domain: [0.0, 1.0],
            places,
            step,
        }
    }

    /// Around the finite ones of `values`, widened to whole steps so that both ends carry a tick. About `ticks`
    /// steps of 1, 2 or 5 times a power of ten. Starts at zero where the values are positive and zero is near.
    /// `None` without a finite value.
    pub fn around(values: impl Iterator<Item = f64>, places: [f64; 2], ticks: f64) -> Option<Self> {
        // Beyond this a difference of two values is not finite; nothing measured is.
        const LARGEST: f64 = 1e300;
        let finite = values
            .filter(|value| value.is_finite())
            .map(|value| value.clamp(-LARGEST, LARGEST));
        let [mut low, mut high] = finite.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
            [low.min(value), high.max(value)]
        });
        if low > high {
            return None;
        }
        if low > 0.0 && low < 0.5 * high {
            low = 0.0;
        }
        // Values that differ only by rounding, or not at all, lie in the middle of a small range.
        let smallest_span = (high.abs().max(low.abs()) * 1e-6).max(1e-300);
        if high - low < smallest_span {
            let margin = if high == 0.0 {
                1.0
            } else {
                (high.abs() * 0.05).max(smallest_span)
            };
            (low, high) = (low - margin, high + margin);
        }
        let step = round_step((high - low) / ticks);
        let domain = [(low / step).floor() * step, (high / step).ceil() * step];
        Some(Self { domain, places, step })
    }

    /// The place of a value.
    pub fn place(&self, value: f64) -> f64 {
        let [low, high] = self.domain;
        let [from, to] = self.places;
        from + (value - low) / (high - low) * (to - from)
    }

    /// Ticks at whole steps over the whole domain.
    pub fn ticks(&self) -> Vec<Tick> {
        let [low, high] = self.domain;
        let count = whole((high - low) / self.step + 0.5);
        let value = |index: usize| low + index as f64 * self.step;
        (0..=count)
            .map(|index| Tick {
                place: self.place(value(index)),
                label: self.label(value(index)),
            })
            .collect()
    }

    /// A value with as many digits as the steps need.
    fn label(&self, value: f64) -> String {
        // A rounding error beside zero is zero.
        let value = if value.abs() < self.step * 1e-6 {
            0.0
        } else {
            value
        };
        let exponent = self.step.log10().floor();
        let largest = self.domain[0].abs().max(self.domain[1].abs());
        if exponent < -5.0 || largest >= 1e6 {
            if value == 0.0 {
                return "0".to_owned();
            }
            // As many as tell neighbours apart: a range is never narrower than a millionth of its largest value.
            let digits = whole(largest.log10().floor() - exponent).min(8);
            return format!("{value:.digits$e}");
        }
        let decimals = whole(-exponent);
        format!("{value:.decimals$}")
    }
}

/// The whole part of a number; 0 for a negative one.
#[expect(
    clippy::cast_sign_loss,
    reason = "a cast from float saturates: negative becomes 0"
)]
pub(super) fn whole(value: f64) -> usize {
    value as usize
}

/// The smallest of 1, 2, 5 and 10 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = step / power;
    power
        * [1.0, 2.0, 5.0]
            .into_iter()
            .find(|round| factor <= *round * 1.001)
            .unwrap_or(10.0)
}
