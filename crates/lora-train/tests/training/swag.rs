//! SWAG: what is collected on the way, and what is drawn from it.

use lora_core::Adapted;
use lora_core::vector::{Part, Posterior, VectorLayout};
use lora_train::swag::{SWAG_SCALE, Swag, SwagCollector, SwagError, SwagMoments, SwagSettings};
use lora_train::{Event, FitData, Flow, Observer, Trainer, fit};

use crate::fitting::{go_on, settings};
use crate::toy::{Toy, adapted, config, dataset, padding};

/// Remembers the parameters after each step.
struct Remember {
    layout: VectorLayout,
    after_steps: Vec<Vec<f64>>,
}

impl Observer<Toy> for Remember {
    fn on_event(&mut self, _event: &Event) -> Flow {
        Flow::Continue
    }

    fn after_step(&mut self, trainer: &Trainer<Toy>) -> Flow {
        self.after_steps.push(self.layout.read(&trainer.adapted()));
        Flow::Continue
    }
}

/// A training of 21 steps, the parameters after each, and the Gaussian.
fn collected(swag: SwagSettings) -> (Adapted<Toy>, Vec<Vec<f64>>, Result<Swag, SwagError>) {
    let model = adapted(config());
    let mut remember = Remember {
        layout: VectorLayout::of(&model, swag.part),
        after_steps: Vec::new(),
    };
    let train = dataset(50, 1);
    let data = FitData {
        train: &train,
        validation: None,
        padding: padding(),
    };
    let mut collecting = SwagCollector::new(swag, &mut remember).unwrap();
    let fitted = fit(model, &settings(), &data, &mut collecting).unwrap();
    let swag = collecting.finish(3, SWAG_SCALE);
    (fitted.last, remember.after_steps, swag)
}

#[test]
fn mean_and_variance_are_those_of_the_parameters_after_the_chosen_steps() {
    let settings = SwagSettings {
        start: 0.5,
        every: Some(3),
        columns: 2,
        part: Part::Adapters,
    };
    let (last, after_steps, swag) = collected(settings);
    // 50 rows are 7 batches of 8; half of 21 steps are 10, so it is collected after steps 13, 16 and 19.
    assert_eq!(after_steps.len(), 21);
    let chosen = [13, 16, 19].map(|step| &after_steps[step - 1]);
    let swag = swag.unwrap();
    assert_eq!(swag.moments().count(), chosen.len() as u64);
    let count = chosen.len() as f64;
    for (place, variance) in swag.moments().variances().enumerate() {
        let values = || chosen.iter().map(|values| values[place]);
        let mean = values().sum::<f64>() / count;
        let expected = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        assert!((swag.moments().mean()[place] - mean).abs() < 1e-12);
        assert!(
            (variance - expected).abs() < 1e-12 * expected.max(1e-3),
            "{variance}, {expected}"
        );
    }
    // The mean is put in place, in f32, and what is no adapter stays as the last step left it.
    let mean = swag.mean_model(&last);
    for (value, expected) in swag.layout().read(&mean).iter().zip(swag.moments().mean()) {
        assert!((value - expected).abs() <= 1e-7 * expected.abs());
    }
    let head = VectorLayout::of(&last, Part::Head);
    assert_eq!(head.read(&mean), head.read(&last));
    assert_ne!(swag.layout().read(&mean), swag.layout().read(&last));
}

#[test]
fn the_covariance_of_members_is_the_stated_one() {
    const MEMBERS: usize = 4000;
    let layout = VectorLayout::of(&adapted(config()), Part::Head);
    let length = layout.len();
    let mut moments = SwagMoments::new(length, 3);
    for step in 0..6 {
        let values =
            (0..length).map(|place| ((step * 31 + place * 7) as f64 * 0.37).sin() + place as f64 * 0.1);
        moments.add(&values.collect::<Vec<_>>());
    }
    for scale in [SWAG_SCALE, 2.0] {
        let swag = Swag::new(layout.clone(), moments.clone(), 9, scale).unwrap();
        let members: Vec<Vec<f64>> = (0..MEMBERS as u64).map(|member| swag.member(member)).collect();
        assert_eq!(members[17], swag.member(17));
        let covariance = |row: usize, column: usize| {
            let diagonal = if row == column {
                moments.variances().nth(row).unwrap()
            } else {
                0.0
            };
            let columns = moments.columns().iter();
            let products = columns.map(|deviation| f64::from(deviation[row]) * f64::from(deviation[column]));
            // Three columns: divided by two.
            scale * (diagonal + products.sum::<f64>() / 2.0)
        };
        let mean = moments.mean();
        for row in 0..length {
            for column in 0..=row {
                let products = members
                    .iter()
                    .map(|member| (member[row] - mean[row]) * (member[column] - mean[column]));
                let found = products.sum::<f64>() / MEMBERS as f64;
                let expected = covariance(row, column);
                // Isserlis: the variance of a product of two normals is Σ_ii Σ_jj + Σ_ij².
                let spread = covariance(row, row) * covariance(column, column) + expected.powi(2);
                let error = (spread / MEMBERS as f64).sqrt();
                // 171 places and two scales: 5 standard errors come by chance once in 5,000 seeds.
                assert!(
                    (found - expected).abs() < 5.0 * error,
                    "{row}, {column}: {found}, expected {expected} ± {error}"
                );
            }
        }
    }
}

#[test]
fn a_scale_of_zero_gives_the_mean_alone() {
    let layout = VectorLayout::of(&adapted(config()), Part::Head);
    let mut moments = SwagMoments::new(layout.len(), 2);
    moments.add(&vec![1.0; layout.len()]);
    moments.add(&vec![2.0; layout.len()]);
    let swag = Swag::new(layout.clone(), moments, 1, 0.0).unwrap();
    assert_eq!(swag.member(5), vec![1.5; layout.len()]);
}

#[test]
fn settings_that_collect_nothing_or_make_no_sense_are_refused() {
    let default = SwagSettings::default();
    for (wrong, key) in [
        (
            SwagSettings {
                start: 1.0,
                ..default
            },
            "start",
        ),
        (
            SwagSettings {
                start: f64::NAN,
                ..default
            },
            "start",
        ),
        (
            SwagSettings {
                every: Some(0),
                ..default
            },
            "every",
        ),
        (
            SwagSettings {
                columns: 1,
                ..default
            },
            "columns",
        ),
    ] {
        assert!(matches!(wrong.validate(), Err(SwagError::Setting { key: found, .. }) if found == key));
    }
    let late = SwagSettings {
        start: 0.99,
        ..default
    };
    assert_eq!(collected(late).2, Err(SwagError::TooFewCollections { found: 0 }));
    let mut listener = go_on;
    assert!(
        SwagCollector::<Toy>::new(
            SwagSettings {
                columns: 0,
                ..default
            },
            &mut listener
        )
        .is_err()
    );
}
