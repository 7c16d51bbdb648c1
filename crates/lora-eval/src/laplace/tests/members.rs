//! Members, probit, and what is refused.

use super::*;
use crate::posterior::predict_posterior;

#[test]
fn the_covariance_of_members_is_the_inverse_of_the_curvature_with_the_prior() {
    const MEMBERS: u64 = 4000;
    let labels = labels();
    let adapted = head_alone(3, true);
    let observed = Observed::Classes(&labels);
    for structure in [Structure::Diagonal, Structure::Kronecker, Structure::Full] {
        let laplace = fit(&adapted, &batches(), &observed, Part::Trained, structure).unwrap();
        let direction: Vec<f64> = (0..laplace.mean.len())
            .map(|place| (place as f64 * 0.7).sin())
            .collect();
        let along = |values: &[f64]| -> f64 {
            let moved = values.iter().zip(&laplace.mean).zip(&direction);
            moved
                .map(|((value, mean), direction)| (value - mean) * direction)
                .sum()
        };
        let squares = (0..MEMBERS).map(|member| along(&laplace.member(member)).powi(2));
        let found = squares.sum::<f64>() / MEMBERS as f64;
        let expected = laplace.variance(&direction);
        // A variance estimated from N normals has a relative error of √(2/N) = 0.022.
        assert!(
            (found / expected - 1.0).abs() < 5.0 * 0.0224,
            "{found}, expected {expected}"
        );
        assert_eq!(laplace.member(7), laplace.clone().member(7));
        assert_ne!(laplace.member(7), laplace.with_seed(6).member(7));
    }
}

#[test]
fn drawn_columns_have_the_softmax_curvature_on_average() {
    const COLUMNS: usize = 20_000;
    let labels = labels();
    let observed = Observed::Classes(&labels);
    let outputs = [0.3, -0.9, 1.2];
    let judged = observed.judge(2, &outputs);
    let expected = softmax_curvature(&outputs);
    let mut found = DMatrix::zeros(3, 3);
    for column in 0..COLUMNS {
        let root = RootColumns::Sampled(COLUMNS).column(&observed, &judged, column, 3, 2);
        let root = DVector::from_iterator(3, root.into_iter().map(f64::from));
        found += &root * root.transpose();
    }
    // An entry of (e − p)(e − p)ᵀ is at most 1, so its deviation is at most 1/2: 5 standard errors.
    assert!((found - expected).amax() < 5.0 * 0.5 / (COLUMNS as f64).sqrt());
    // And exact ones just so.
    let exact: DMatrix<f64> = (0..3)
        .map(|column| DVector::from_vec(observed.root(&judged, column)))
        .map(|root| &root * root.transpose())
        .sum();
    assert!((exact - softmax_curvature(&outputs)).amax() < 1e-12);
}

#[test]
fn probit_divides_each_logit_by_its_deviation_in_every_structure() {
    let labels = labels();
    let adapted = with_adapter(Form::LowRank);
    let features = features(&adapted);
    for structure in [Structure::Diagonal, Structure::Kronecker, Structure::Full] {
        let laplace =
            Laplace::of_last_layer(&adapted, &features, &Observed::Classes(&labels), structure).unwrap();
        let probit = laplace.probit(&features).unwrap();
        for row in 0..EXAMPLES {
            let (input, outputs) = features.row(row);
            for (class, logit) in outputs.into_iter().enumerate() {
                let mut direction = vec![0.0; 18]; // 3 classes of 5 features, 3 biases
                direction[class * 5..class * 5 + 5].copy_from_slice(&input);
                direction[15 + class] = 1.0;
                let variance = laplace.variance(&direction);
                let expected = logit / (1.0 + std::f64::consts::PI / 8.0 * variance).sqrt();
                let found = f64::from(probit.logits()[row * 3 + class]);
                assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0));
                assert!((found - logit).abs() > 1e-4 * logit.abs(), "it softens");
            }
        }
    }
}

#[test]
fn members_of_the_last_layer_are_those_of_the_whole_model() {
    let labels = labels();
    let adapted = with_adapter(Form::LowRank).map(|model| model.valid());
    let features = features(&adapted);
    let observed = Observed::Classes(&labels);
    let laplace = Laplace::of_last_layer(&adapted, &features, &observed, Structure::Kronecker).unwrap();
    let quick = laplace.last_layer_members(&features, 2..5).unwrap();
    let batches = batches();
    let batches = batches.iter().map(|rows| (rows, rows.as_slice()));
    let slow = predict_posterior(&adapted, &batches, EXAMPLES, &laplace, 2..5, &mut |_| ()).unwrap();
    assert_eq!((quick.members, quick.examples, quick.outputs), (3, EXAMPLES, 3));
    for (quick, slow) in quick.values.iter().zip(&slow.values) {
        assert!((quick - slow).abs() < 1e-5);
    }
    let first = features.row(0).1[0] as f32;
    assert!(
        (quick.values[0] - first).abs() > 1e-3,
        "members differ from the mean"
    );
}

#[test]
fn the_best_prior_is_the_one_with_the_lowest_score() {
    let labels = labels();
    let adapted = head_alone(3, true);
    let observed = Observed::Classes(&labels);
    let laplace = fit(
        &adapted,
        &batches(),
        &observed,
        Part::Trained,
        Structure::Diagonal,
    )
    .unwrap();
    let mut score = |candidate: &Laplace| -> Result<f64, EvalError> {
        let precision = candidate.prior_precision();
        Ok(if precision < 1.0 {
            f64::NAN
        } else {
            (precision - 30.0).abs()
        })
    };
    let best = laplace
        .clone()
        .with_best_prior(&[0.5, 1.0, 10.0, 40.0, 100.0], &mut score);
    assert_eq!(best.unwrap().prior_precision(), 40.0);
    let none = laplace.with_best_prior(&[], &mut score);
    assert!(matches!(
        none,
        Err(EvalError::AxisTooShort {
            axis: "prior precisions",
            ..
        })
    ));
}

#[test]
fn what_has_no_posterior_is_refused_by_name() {
    let labels = labels();
    let observed = Observed::Classes(&labels);
    let dora = with_adapter(Form::WeightDecomposed);
    let refused = fit(&dora, &batches(), &observed, Part::Adapters, Structure::Kronecker);
    let name = "inner.lora_A.weight".to_owned();
    assert_eq!(refused, Err(LaplaceError::Parameter { name }));
    let adapted = head_alone(3, true);
    let refused = fit(&adapted, &batches(), &observed, Part::Adapters, Structure::Full);
    assert_eq!(refused, Err(LaplaceError::NothingTrained));
    let wrong_label = [7; EXAMPLES];
    let refused = fit(
        &adapted,
        &batches(),
        &Observed::Classes(&wrong_label),
        Part::Trained,
        Structure::Full,
    );
    assert!(matches!(
        refused,
        Err(LaplaceError::Eval(EvalError::OutOfRange { what: "a label", .. }))
    ));
    let few = [0; 3];
    let refused = Laplace::of_last_layer(
        &adapted,
        &features(&adapted),
        &Observed::Classes(&few),
        Structure::Full,
    );
    assert!(matches!(
        refused,
        Err(LaplaceError::Eval(EvalError::ValueCount { .. }))
    ));
    let laplace = fit(
        &adapted,
        &batches(),
        &observed,
        Part::Trained,
        Structure::Diagonal,
    )
    .unwrap();
    assert!(laplace.with_prior(0.0).is_err());
}
