//! Each posterior, written into an adapter folder and read back: its members have the mean and the covariance that are known.

use lora_core::gaussian::Gaussian;
use lora_core::peft::{AdapterFolder, SaveOptions, TaskType, trained_tensors};
use lora_core::vector::{Part, Posterior, VectorLayout};
use lora_core::{Adapted, MaskSampler};
use lora_data::Targets;
use lora_eval::laplace::{Laplace, LaplaceSettings, Observed, Structure};
use lora_eval::tfb::{TfbSettings, largest_noise, low_rank_noise};
use lora_eval::{EvalError, Passes, predict, predict_posterior};
use lora_train::swag::{SWAG_SCALE, Swag, SwagMoments};
use lora_train::variational::{VariationalA, VariationalSettings};

use crate::toy::{CLASSES, Toy, adapted, config, dataset, padding};

const MEMBERS: u64 = 3000;

/// The loss with a posterior.
type Loss<'a> = dyn Fn(&Gaussian) -> Result<f64, EvalError> + 'a;

fn through_a_folder(adapted: &Adapted<Toy>, gaussian: &Gaussian) -> Gaussian {
    let folder = tempfile::tempdir().unwrap();
    let carrying = adapted.clone().with_posterior(gaussian.clone());
    carrying
        .save(folder.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    let read = AdapterFolder::read(folder.path())
        .unwrap()
        .attach_to(Toy::new(CLASSES))
        .unwrap();
    assert_eq!(read.posterior(), Some(gaussian));
    read.posterior().unwrap().clone().with_seed(5)
}

/// Compares the mean and the variance of members along directions with what is known, within five standard errors.
fn assert_along(
    gaussian: &Gaussian,
    mean: &[f64],
    directions: &[Vec<f64>],
    variance: &dyn Fn(&[f64]) -> f64,
) {
    let members: Vec<Vec<f64>> = (0..MEMBERS).map(|member| gaussian.member(member)).collect();
    for direction in directions {
        let along = |member: &Vec<f64>| -> f64 {
            let terms = member.iter().zip(mean).zip(direction);
            terms
                .map(|((number, mean), factor)| (number - mean) * factor)
                .sum()
        };
        let expected = variance(direction);
        let average = members.iter().map(along).sum::<f64>() / MEMBERS as f64;
        let found = members.iter().map(|member| along(member).powi(2)).sum::<f64>() / MEMBERS as f64;
        assert!(
            average.abs() < 5.0 * (expected / MEMBERS as f64).sqrt(),
            "mean {average}, variance {expected}"
        );
        let error = expected * (2.0 / MEMBERS as f64).sqrt();
        assert!(
            (found - expected).abs() < 5.0 * error,
            "{found}, not {expected} ± {error}"
        );
    }
}

/// One number, and a few of mixed sizes.
fn directions(length: usize) -> Vec<Vec<f64>> {
    let unit = |at: usize| {
        (0..length)
            .map(|place| f64::from(u8::from(place == at)))
            .collect()
    };
    let mixed = |phase: f64| {
        (0..length)
            .map(|place| (place as f64 * 0.7 + phase).sin())
            .collect()
    };
    vec![unit(0), unit(length - 1), mixed(0.3), mixed(1.9)]
}

#[test]
fn swag_has_the_moments_of_the_trajectory() {
    let model = adapted(config());
    let layout = VectorLayout::of(&model, Part::Head);
    let mut moments = SwagMoments::new(layout.len(), 3);
    for step in 0..5 {
        let values = (0..layout.len()).map(|place| ((step * 31 + place * 7) as f64 * 0.37).sin());
        moments.add(&values.collect::<Vec<_>>());
    }
    let swag = Swag::new(layout, moments.clone(), 0, SWAG_SCALE).unwrap();
    let read = through_a_folder(&model, &swag.gaussian());
    let mean = moments.mean().to_vec();
    // ½ (Σ + D Dᵀ / 2)
    let variance = |direction: &[f64]| {
        let diagonal: f64 = moments
            .variances()
            .zip(direction)
            .map(|(variance, factor)| variance * factor.powi(2))
            .sum();
        let along = |column: &Vec<f32>| -> f64 {
            column
                .iter()
                .zip(direction)
                .map(|(number, factor)| f64::from(*number) * factor)
                .sum()
        };
        0.5 * (diagonal
            + moments
                .columns()
                .iter()
                .map(|column| along(column).powi(2))
                .sum::<f64>()
                / 2.0)
    };
    assert_along(&read, &mean, &directions(mean.len()), &variance);
}

#[test]
fn a_variational_factor_has_its_deviations() {
    let model = adapted(config());
    let factors = VariationalA::new(&model, VariationalSettings::default(), 3).unwrap();
    let posterior = factors.posterior(&model, 0);
    let read = through_a_folder(&model, &posterior.gaussian());
    let variance = |direction: &[f64]| {
        posterior
            .deviations()
            .iter()
            .zip(direction)
            .map(|(deviation, factor)| (deviation * factor).powi(2))
            .sum()
    };
    assert_along(
        &read,
        posterior.mean(),
        &directions(posterior.mean().len()),
        &variance,
    );
}

#[test]
fn a_laplace_approximation_has_the_inverse_curvature() {
    let model = adapted(config());
    let rows = dataset(40, 1);
    let Targets::Classes(labels) = &rows.targets else {
        unreachable!()
    };
    let numbers: Vec<usize> = (0..40).collect();
    let batches = [rows.batch(&numbers, padding())];
    for structure in [Structure::Diagonal, Structure::Kronecker] {
        let settings = LaplaceSettings {
            part: Part::Adapters,
            structure,
            ..LaplaceSettings::default()
        };
        let inputs = batches.iter().map(|batch| (batch, batch.rows.as_slice()));
        let valid = model.clone().map(|toy| burn::module::Module::valid(&toy));
        let laplace =
            Laplace::fit(&valid, inputs, &Observed::Classes(labels), &settings, &mut |_| ()).unwrap();
        let laplace = laplace.with_prior(0.8).unwrap();
        let gaussian = laplace.gaussian().unwrap();
        let mean = gaussian.layout().read(&model);
        let read = through_a_folder(&model, &gaussian);
        assert_along(&read, &mean, &directions(mean.len()), &|direction| {
            laplace.variance(direction)
        });
    }
    let settings = LaplaceSettings {
        part: Part::Adapters,
        structure: Structure::Full,
        ..LaplaceSettings::default()
    };
    let inputs = batches.iter().map(|batch| (batch, batch.rows.as_slice()));
    let valid = model.map(|toy| burn::module::Module::valid(&toy));
    let full = Laplace::fit(&valid, inputs, &Observed::Classes(labels), &settings, &mut |_| ()).unwrap();
    assert!(full.gaussian().is_none(), "a full curvature mixes parameters");
}

#[test]
fn noise_of_tfb_is_equal_in_all_directions_of_the_update() {
    const SIGMA: f64 = 0.3;
    let model = adapted(config());
    let noise = low_rank_noise(&model).unwrap();
    let read = through_a_folder(&model, &noise.scaled(SIGMA));
    let tensors = trained_tensors(&model);
    for slot in read.layout().slots() {
        let b = &tensors[&slot.name.replace("lora_A", "lora_B")];
        let [outputs, rank] = [b.shape[0], b.shape[1]];
        assert_eq!(rank, 2);
        let width = slot.range.len() / rank;
        let column = |at: usize| (0..outputs).map(move |row| f64::from(b.values[row * rank + at]));
        let dot = |one: usize, other: usize| {
            column(one)
                .zip(column(other))
                .map(|(one, other)| one * other)
                .sum::<f64>()
        };
        // B (BᵀB)⁻¹ Bᵀ, the projection onto the columns of B.
        let (p, q, r) = (dot(0, 0), dot(0, 1), dot(1, 1));
        let determinant = p * r - q * q;
        let entry = |row: usize, at: usize| f64::from(b.values[row * rank + at]);
        let projection = |i: usize, j: usize| {
            (r * entry(i, 0) * entry(j, 0) - q * (entry(i, 0) * entry(j, 1) + entry(i, 1) * entry(j, 0))
                + p * entry(i, 1) * entry(j, 1))
                / determinant
        };
        let mean = read.layout().read(&model);
        let places = [(0, 0), (3, 3), (0, 3), (1, 4)];
        let mut sums = [0.0; 4];
        let mut across = 0.0;
        for member in 0..MEMBERS {
            let drawn = read.member(member);
            let moved = |row: usize, at: usize| -> f64 {
                let place = |inner: usize| slot.range.start + inner * width + at;
                (0..rank)
                    .map(|inner| entry(row, inner) * (drawn[place(inner)] - mean[place(inner)]))
                    .sum()
            };
            for (sum, (i, j)) in sums.iter_mut().zip(places) {
                *sum += (0..width).map(|at| moved(i, at) * moved(j, at)).sum::<f64>() / width as f64;
            }
            across += moved(0, 0) * moved(0, 1);
        }
        for (sum, (i, j)) in sums.into_iter().zip(places) {
            let (found, expected) = (sum / MEMBERS as f64, SIGMA * SIGMA * projection(i, j));
            // Of entries below σ², from members · width draws: five standard errors of at most √2 σ².
            let error = SIGMA * SIGMA * (2.0 / (MEMBERS as f64 * width as f64)).sqrt();
            assert!(
                (found - expected).abs() < 5.0 * error,
                "{i}, {j}: {found}, not {expected}"
            );
        }
        let error = SIGMA * SIGMA / (MEMBERS as f64).sqrt();
        assert!(
            (across / MEMBERS as f64).abs() < 5.0 * error,
            "columns of the update are independent"
        );
    }
}

#[test]
fn the_largest_noise_within_the_tolerance_is_found() {
    let noise = low_rank_noise(&adapted(config())).unwrap();
    let sigma = |posterior: &Gaussian| posterior.settings()["sigma"].as_f64().unwrap();
    let settings = TfbSettings::default();
    // A loss of 2 + 5 σ² rises by one per cent at σ = √(0.02 / 5); one that falls first, 2 − σ + 10 σ², at the root of 10 σ² − σ = 0.02.
    let rising =
        |posterior: &Gaussian| -> Result<f64, EvalError> { Ok(2.0 + 5.0 * sigma(posterior).powi(2)) };
    let falling = |posterior: &Gaussian| -> Result<f64, EvalError> {
        Ok(2.0 - sigma(posterior) + 10.0 * sigma(posterior).powi(2))
    };
    let root = (1.0 + (1.0_f64 + 0.8).sqrt()) / 20.0;
    let losses: [(&Loss<'_>, f64); 2] = [(&rising, 0.004_f64.sqrt()), (&falling, root)];
    for (loss, expected) in losses {
        let found = largest_noise(&noise, &settings, 2.0, &mut |posterior| loss(posterior)).unwrap();
        // The last interval is a factor of 10000^(1/1024) = 1.0090 wide, and its lower end is taken.
        assert!(
            found.sigma <= expected && found.sigma > expected / 1.0091,
            "{}, not {expected}",
            found.sigma
        );
        assert!(!found.is_largest && found.loss <= 2.02);
        assert_eq!(
            found.posterior.covariances(),
            noise.scaled(found.sigma).covariances()
        );
    }
    let flat = largest_noise(&noise, &settings, 2.0, &mut |_| Ok::<_, EvalError>(2.0)).unwrap();
    assert!(flat.is_largest && (flat.sigma - settings.largest).abs() < f64::EPSILON);
    let steep = largest_noise(&noise, &settings, 2.0, &mut |_| Ok::<_, EvalError>(3.0));
    assert!(matches!(steep, Err(EvalError::NoNoiseAllowed { .. })));
    let diverged = largest_noise(&noise, &settings, 2.0, &mut |_| Ok::<_, EvalError>(f64::NAN));
    assert!(
        matches!(diverged, Err(EvalError::NoNoiseAllowed { .. })),
        "NaN is no loss within the tolerance"
    );
    let settings = TfbSettings {
        tolerance: 0.0,
        ..settings
    };
    assert!(largest_noise(&noise, &settings, 2.0, &mut |_| Ok::<_, EvalError>(2.0)).is_err());
}

#[test]
fn members_of_a_model_that_carries_a_gaussian_are_its_draws() {
    let model = adapted(config());
    let gaussian = low_rank_noise(&model).unwrap().scaled(0.2);
    let rows = dataset(12, 1);
    let numbers: Vec<usize> = (0..12).collect();
    let batches = [
        rows.batch(&numbers[..5], padding()),
        rows.batch(&numbers[5..], padding()),
    ];
    let inputs = batches.iter().map(|batch| (batch, batch.rows.as_slice()));
    let sampler = MaskSampler {
        seed: 5,
        dropout: None,
        input_dropout: 0.0,
    };
    let passes = |members| Passes::Members {
        sampler: &sampler,
        members,
    };
    let carrying = model.clone().with_posterior(gaussian.clone());
    let found = predict(&carrying, inputs.clone(), 12, &passes(0..4), &mut |_| ());
    let drawn = gaussian.with_seed(5);
    let expected = predict_posterior(&model, &inputs, 12, &drawn, 0..4, &mut |_| ()).unwrap();
    assert_eq!(found, expected);
    // Members are what they are, whichever others are drawn; the mean pass is that of the adapter.
    let later = predict(&carrying, inputs.clone(), 12, &passes(2..4), &mut |_| ());
    assert_eq!(later.values, found.values[found.values.len() / 2..]);
    let mean = |model: &Adapted<Toy>| predict(model, inputs.clone(), 12, &Passes::Mean, &mut |_| ());
    assert_eq!(mean(&carrying), mean(&model));
}

#[test]
fn an_adapter_that_was_never_trained_has_nothing_to_vary() {
    let (fresh, _) = Adapted::attach(Toy::new(CLASSES), config(), 5).unwrap();
    assert_eq!(low_rank_noise(&fresh).unwrap_err(), EvalError::NothingToVary);
}
