//! Curvature and evidence against closed forms.

use burn::optim::GradientsParams;

use super::*;

#[test]
fn for_a_softmax_regression_the_curvature_is_the_hessian_in_closed_form() {
    let labels = labels();
    let observed = Observed::Classes(&labels);
    for has_bias in [true, false] {
        let adapted = head_alone(3, has_bias);
        let all: Vec<usize> = (0..EXAMPLES).collect();
        let hessian = hessian_of_softmax_regression(&adapted, has_bias, &all);
        let full = fit(&adapted, &batches(), &observed, Part::Trained, Structure::Full).unwrap();
        assert_covariance(&full, &hessian);
        let diagonal = fit(
            &adapted,
            &batches(),
            &observed,
            Part::Trained,
            Structure::Diagonal,
        )
        .unwrap();
        assert_covariance(&diagonal, &DMatrix::from_diagonal(&hessian.diagonal()));
        let likelihood: f64 = (0..EXAMPLES)
            .map(|row| softmax(&logits(&adapted, row))[labels[row]].ln())
            .sum();
        assert!((full.log_likelihood() - likelihood).abs() < 1e-6);
        // The same without gradients, from the inputs of the head.
        let features = features(&adapted);
        for (structure, expected) in [(Structure::Full, full), (Structure::Diagonal, diagonal)] {
            let last = Laplace::of_last_layer(&adapted, &features, &observed, structure).unwrap();
            let last = last.with_prior(0.8).unwrap();
            let direction: Vec<f64> = (0..last.mean.len()).map(|place| (place as f64).cos()).collect();
            let (found, expected) = (last.variance(&direction), expected.variance(&direction));
            assert!(
                (found - expected).abs() < 1e-5 * expected,
                "{found}, expected {expected}"
            );
        }
    }
}

#[test]
fn a_class_that_no_row_can_have_changes_nothing_in_the_curvature() {
    let labels = labels();
    let observed = Observed::Classes(&labels);
    let adapted = head_alone(3, true);
    let batches = batches();
    let settings = LaplaceSettings {
        structure: Structure::Full,
        ..LaplaceSettings::default()
    };
    // As for questions of which some have fewer choices: letters of a larger vocabulary, and one that is left out.
    let outputs: Outputs<'_, Net> = &|model, input, _, pass| {
        let known = model.forward(input, pass);
        let absent = known.zeros_like().narrow(1, 0, 1).sub_scalar(1e4);
        Tensor::cat(vec![known, absent], 1)
    };
    let rows = batches.iter().map(|batch| (batch, batch.as_slice()));
    let with = Laplace::fit_outputs(&adapted, rows, &observed, &settings, outputs, &mut |_| ()).unwrap();
    let without = fit(&adapted, &batches, &observed, Part::Trained, Structure::Full).unwrap();
    assert_eq!(with.log_likelihood(), without.log_likelihood());
    let with = with.with_prior(0.8).unwrap();
    let direction: Vec<f64> = (0..with.mean.len()).map(|place| (place as f64).cos()).collect();
    let (found, expected) = (with.variance(&direction), without.variance(&direction));
    assert!(
        (found - expected).abs() < 1e-9 * expected,
        "{found}, expected {expected}"
    );
}

#[test]
fn the_kronecker_curvature_of_one_example_is_the_full_one() {
    let labels = labels();
    let adapted = head_alone(3, false);
    let hessian = hessian_of_softmax_regression(&adapted, false, &[4]);
    let one = [vec![4]];
    let kronecker = fit(
        &adapted,
        &one,
        &Observed::Classes(&labels),
        Part::Trained,
        Structure::Kronecker,
    );
    assert_covariance(&kronecker.unwrap(), &hessian);
}

#[test]
fn the_kronecker_curvature_is_the_product_of_the_mean_of_inputs_and_the_sum_of_gradients() {
    let labels = labels();
    let adapted = head_alone(3, true);
    let (mut inputs, mut gradients) = (DMatrix::zeros(D_INPUT, D_INPUT), DMatrix::zeros(3, 3));
    for row in 0..EXAMPLES {
        let x = extended(row, false);
        inputs += &x * x.transpose() / EXAMPLES as f64;
        gradients += softmax_curvature(&logits(&adapted, row));
    }
    let mut expected = DMatrix::zeros(15, 15);
    expected
        .view_mut((0, 0), (12, 12))
        .copy_from(&gradients.kronecker(&inputs));
    expected.view_mut((12, 12), (3, 3)).copy_from(&gradients);
    let kronecker = fit(
        &adapted,
        &batches(),
        &Observed::Classes(&labels),
        Part::Trained,
        Structure::Kronecker,
    );
    assert_covariance(&kronecker.unwrap(), &expected);
}

/// Numbers to predict, and the design matrix with a column of ones.
fn regression() -> (Vec<f64>, DMatrix<f64>) {
    let values = (0..EXAMPLES).map(|row| (row as f64 * 1.3).sin() * 2.0).collect();
    let design = DMatrix::from_fn(EXAMPLES, D_INPUT + 1, |row, column| extended(row, true)[column]);
    (values, design)
}

#[test]
fn for_a_linear_gaussian_model_posterior_and_evidence_are_the_exact_ones() {
    let (values, design) = regression();
    let (deviation, precision) = (0.6, 0.8);
    let noise = deviation * deviation;
    let curvature = design.transpose() * &design / noise;
    let size = D_INPUT + 1;
    let target = DVector::from_vec(values.clone());
    // The mean of the exact posterior.
    let posterior = &curvature + DMatrix::identity(size, size) * precision;
    let mean = posterior.try_inverse().unwrap() * design.transpose() * &target / noise;
    let start = head_alone(1, true);
    let layout = VectorLayout::of(&start, Part::Trained);
    let adapted = layout.write(&start, mean.as_slice());

    let observed = Observed::Values {
        values: &values,
        deviation,
    };
    let laplace = fit(&adapted, &batches(), &observed, Part::Trained, Structure::Full).unwrap();
    assert_covariance(&laplace, &curvature);

    // y ~ N(0, σ² I + X Xᵀ/λ).
    let marginal = DMatrix::identity(EXAMPLES, EXAMPLES) * noise + &design * design.transpose() / precision;
    let fitted = marginal.clone().cholesky().unwrap();
    let quadratic = target.dot(&fitted.solve(&target));
    let constant = EXAMPLES as f64 * (2.0 * std::f64::consts::PI).ln();
    let expected = -0.5 * (constant + marginal.determinant().ln() + quadratic);
    let found = laplace.log_evidence();
    assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
}

#[test]
fn the_evidence_prior_is_where_the_evidence_is_largest() {
    let labels = labels();
    let adapted = with_adapter(Form::LowRank);
    for structure in [Structure::Diagonal, Structure::Kronecker, Structure::Full] {
        let observed = Observed::Classes(&labels);
        let laplace = fit(&adapted, &batches(), &observed, Part::Trained, structure).unwrap();
        let best = laplace.clone().with_evidence_prior();
        let evidence = |factor: f64| {
            let precision = best.prior_precision() * factor;
            laplace.clone().with_prior(precision).unwrap().log_evidence()
        };
        for factor in [0.01, 0.9, 0.99, 1.01, 1.1, 100.0] {
            assert!(evidence(factor) < best.log_evidence(), "{structure:?}, {factor}");
        }
    }
}

/// `∂ logit_class / ∂ θ` of one example by a backward pass of its own, without taps.
fn gradient(adapted: &Adapted<Net>, layout: &VectorLayout, row: usize, class: usize) -> DVector<f64> {
    let training = adapted.clone().map(Module::train);
    let logit = training
        .model
        .forward(&vec![row], &Pass::Mean)
        .narrow(1, class, 1);
    let gradients = GradientsParams::from_grads(logit.sum().backward(), &training.model);
    let mut vector = DVector::zeros(layout.len());
    training.visit_trained(&mut |parameter| {
        let Some(slot) = layout.slots().iter().find(|slot| slot.name == parameter.name) else {
            return;
        };
        let values = match parameter.param {
            ParamRef::Matrix(param) => {
                let gradient = gradients.get::<2>(param.id).unwrap();
                lora_core::tensors::HostTensor::of(gradient).transposed().values
            }
            ParamRef::Vector(param) => {
                lora_core::tensors::HostTensor::of(gradients.get::<1>(param.id).unwrap()).values
            }
            ParamRef::Table(_) | ParamRef::Kernel(_) => unreachable!("the model has none"),
        };
        for (place, value) in slot.range.clone().zip(values) {
            vector[place] = f64::from(value);
        }
    });
    vector
}

#[test]
fn with_an_adapter_the_curvature_is_that_of_gradients_taken_one_by_one() {
    let labels = labels();
    let observed = Observed::Classes(&labels);
    let adapted = with_adapter(Form::LowRank);
    for part in [Part::Trained, Part::Adapters, Part::Head] {
        let layout = VectorLayout::of(&adapted, part);
        let mut curvature = DMatrix::zeros(layout.len(), layout.len());
        for row in 0..EXAMPLES {
            let of_classes: Vec<_> = (0..3)
                .map(|class| gradient(&adapted, &layout, row, class))
                .collect();
            let jacobian = DMatrix::from_columns(&of_classes);
            curvature += &jacobian * softmax_curvature(&logits(&adapted, row)) * jacobian.transpose();
        }
        let full = fit(&adapted, &batches(), &observed, part, Structure::Full).unwrap();
        assert_covariance(&full, &curvature);
        let diagonal = fit(&adapted, &batches(), &observed, part, Structure::Diagonal).unwrap();
        assert_covariance(&diagonal, &DMatrix::from_diagonal(&curvature.diagonal()));
    }
}
