//! A Gaussian in an adapter folder: its members are those that were asked for, come back to the bit, and every lie is refused.

use std::fs;

use crate::support::{Tiny, config, fill_b};
use lora_core::Adapted;
use lora_core::gaussian::{Covariance, Gaussian, POSTERIOR_FILE, POSTERIOR_TENSOR_FILE, PosteriorMethod};
use lora_core::peft::{AdapterFolder, SaveOptions, TaskType, write_floats};
use lora_core::tensors::{FloatSlice, HostTensor, TensorFile};
use lora_core::trained::Role;
use lora_core::vector::{Posterior, VectorLayout};
use serde_json::json;
use tempfile::TempDir;

fn adapted() -> Adapted<Tiny> {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config(), 7).unwrap();
    fill_b(&mut adapted.model);
    adapted
}

/// Over the factors A, [2, 5] and [2, 7]: the first turned by 30 degrees between its rows, the second as it is; two columns.
fn gaussian(adapted: &Adapted<Tiny>) -> Gaussian {
    let layout = VectorLayout::of_chosen(adapted, |parameter| parameter.role == Role::A);
    let mean = layout.read(adapted);
    let (sine, cosine) = 30.0_f32.to_radians().sin_cos();
    let first = Covariance {
        deviations: [vec![0.5; 5], vec![2.0; 5]].concat(),
        output: Some(vec![cosine, -sine, sine, cosine]),
        input: None,
    };
    let second = Covariance::diagonal((0..14_u8).map(|number| f32::from(number) / 8.0).collect());
    let column = |at: usize, value: f32| {
        (0..24)
            .map(|number| if number == at { value } else { 0.0 })
            .collect()
    };
    Gaussian::new(
        PosteriorMethod::Swag,
        json!({"scale": 0.5}),
        layout,
        &mean,
        vec![first, second],
        vec![column(0, 1.5), column(20, 3.0)],
    )
}

fn written(adapted: &Adapted<Tiny>) -> TempDir {
    let folder = TempDir::new().unwrap();
    adapted
        .save(folder.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    folder
}

/// What is done to the tensors of a file.
type Change<'a> = dyn Fn(&mut Vec<(String, HostTensor)>) + 'a;

#[test]
fn members_have_the_covariance_by_hand() {
    let plain = adapted();
    let posterior = gaussian(&plain).with_seed(4);
    let mean = posterior.layout().read(&plain);
    let members: Vec<Vec<f64>> = (0..4000).map(|member| posterior.member(member)).collect();
    let moment = |a: usize, b: usize| {
        members
            .iter()
            .map(|member| (member[a] - mean[a]) * (member[b] - mean[b]))
            .sum::<f64>()
            / 4000.0
    };
    // Rows of the first factor have variances ¼ and 4 along axes turned by 30°: ¼ cos² + 4 sin² = 1.1875, and with sine and cosine
    // exchanged 3.0625; their covariance is (¼ − 4) sin cos = −1.6238. The first number has 1.5² more, that of the first column.
    let expected = [
        ((1, 1), 1.1875),
        ((6, 6), 3.0625),
        ((1, 6), -1.623_80),
        ((1, 2), 0.0),
        ((0, 0), 1.1875 + 2.25),
        // The second factor begins at 10: number 6 of it has the deviation 6/8, number 10 has 10/8 and the second column.
        ((16, 16), 0.5625),
        ((20, 20), 1.5625 + 9.0),
        ((16, 20), 0.0),
        ((10, 10), 0.0),
    ];
    for ((a, b), expected) in expected {
        let found = moment(a, b);
        // Five standard errors of a variance: 5 · v · √(2/4000) = 0.11 v; of a covariance of variances below 11 less than 0.9.
        let tolerance = if a == b { 0.112 * expected } else { 0.2 };
        assert!(
            (found - expected).abs() <= tolerance,
            "{a}, {b}: {found}, not {expected}"
        );
    }
}

#[test]
fn a_gaussian_comes_back_with_the_same_members_and_goes_when_it_is_taken_away() {
    let plain = adapted();
    let posterior = gaussian(&plain);
    let folder = written(&plain.clone().with_posterior(posterior.clone()));
    let read = AdapterFolder::read(folder.path())
        .unwrap()
        .attach_to(Tiny::new())
        .unwrap();
    let found = read.posterior().unwrap();
    assert_eq!(found, &posterior);
    assert_eq!(
        found.clone().with_seed(9).member(3),
        posterior.clone().with_seed(9).member(3)
    );
    assert_ne!(found.clone().with_seed(9).member(3), posterior.member(3));
    // PEFT's own files are those of the plain adapter.
    let others = written(&plain);
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        assert_eq!(
            fs::read(folder.path().join(file)).unwrap(),
            fs::read(others.path().join(file)).unwrap()
        );
    }
    // The means are the adapter's own.
    let tensors = TensorFile::open(&folder.path().join(POSTERIOR_TENSOR_FILE)).unwrap();
    assert!(
        tensors
            .names()
            .all(|name| name.rsplit('.').next() != Some("mean"))
    );
    plain
        .save(folder.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    assert!(
        !folder.path().join(POSTERIOR_FILE).exists() && !folder.path().join(POSTERIOR_TENSOR_FILE).exists()
    );
}

#[test]
fn a_mean_of_its_own_comes_back() {
    let plain = adapted();
    let other = gaussian(&plain);
    let moved: Vec<f64> = other
        .layout()
        .read(&plain)
        .iter()
        .map(|number| number + 0.25)
        .collect();
    let covariances = other.covariances().to_vec();
    let posterior = Gaussian::new(
        PosteriorMethod::Swag,
        json!({}),
        other.layout().clone(),
        &moved,
        covariances,
        Vec::new(),
    );
    let folder = written(&plain.with_posterior(posterior.clone()));
    let read = AdapterFolder::read(folder.path())
        .unwrap()
        .attach_to(Tiny::new())
        .unwrap();
    assert_eq!(read.posterior(), Some(&posterior));
}

#[test]
fn every_lie_is_refused_by_name() {
    let plain = adapted();
    let folder = written(&plain.clone().with_posterior(gaussian(&plain)));
    let path = folder.path().join(POSTERIOR_TENSOR_FILE);
    let whole = TensorFile::open(&path).unwrap();
    let names: Vec<String> = whole.names().map(str::to_owned).collect();
    let tensors: Vec<(String, HostTensor)> = names
        .iter()
        .map(|name| (name.clone(), whole.read(name).unwrap().unwrap()))
        .collect();
    drop(whole);
    let first = "net.layer.0.query.lora_A.weight.deviations";
    assert!(names.iter().any(|name| name == first), "{names:?}");
    let refusal = |change: &Change<'_>| {
        let mut changed = tensors.clone();
        change(&mut changed);
        let floats = changed.iter().map(|(name, tensor)| {
            let values = FloatSlice::Single(&tensor.values);
            (name.clone(), (tensor.shape.clone(), values))
        });
        write_floats(&path, &floats.collect()).unwrap();
        let read = AdapterFolder::read(folder.path()).unwrap().attach_to(Tiny::new());
        read.unwrap_err().to_string()
    };
    let at = |changed: &mut Vec<(String, HostTensor)>, name: &str| {
        changed.iter().position(|(known, _)| known == name).unwrap()
    };
    for (number, expected) in [(f32::NAN, "finite"), (-1.0, "at least 0")] {
        let said = refusal(&|changed| {
            let place = at(changed, first);
            changed[place].1.values[2] = number;
        });
        assert!(said.contains(first) && said.contains(expected), "{said}");
    }
    let said = refusal(&|changed| {
        let place = at(changed, first);
        changed[place].0 = first.replace("query", "quarry");
    });
    assert!(said.contains("quarry"), "{said}");
    let columns = first.replace("deviations", "columns");
    let said = refusal(&|changed| {
        let place = at(changed, &columns);
        changed.remove(place);
    });
    assert!(said.contains(&columns), "{said}");
    let said = refusal(&|changed| {
        let place = at(changed, &first.replace("deviations", "output"));
        changed[place].1 = HostTensor {
            shape: vec![3, 3],
            values: vec![0.0; 9],
        };
    });
    assert!(said.contains("[2, 2]"), "{said}");
    fs::write(folder.path().join(POSTERIOR_FILE), "{}").unwrap();
    assert!(refusal(&|_| ()).contains(POSTERIOR_FILE));
}
