//! Names, patterns and layers against paths of a small model.

use super::*;

fn paths() -> Vec<String> {
    [
        "bert.layer.0.query",
        "bert.layer.0.subquery",
        "bert.layer.1.query",
        "bert.layer.11.value",
        "classifier",
    ]
    .map(String::from)
    .to_vec()
}

fn resolve(targets: &TargetModules) -> Result<Vec<String>, ConfigError> {
    targets.resolve(&paths(), &["classifier".into()], &[])
}

#[test]
fn names_are_checked_against_a_checkpoint_before_it_is_loaded() {
    let check = |names: &[&str]| {
        let targets = TargetModules::names(names.iter().copied());
        targets
            .check_modules(&paths(), &["score"])
            .map_err(|error| error.to_string())
    };
    assert_eq!(check(&["query", "1.value", "score"]), Ok(()));
    assert!(check(&["qeury"]).is_err_and(|error| error.contains("[qeury] matches none")));
    assert!(check(&["query", "valeu"]).is_err_and(|error| error.contains("valeu")));
    let pattern = TargetModules::from(TargetNames::Pattern("nothing.*".to_owned()));
    assert!(
        pattern.check_modules(&paths(), &[]).is_ok(),
        "a pattern is for the model"
    );
}

#[test]
fn a_name_matches_whole_components_only() {
    assert_eq!(
        resolve(&TargetModules::names(["query"])).as_deref(),
        Ok(&paths()[..1]
            .iter()
            .chain(&paths()[2..3])
            .cloned()
            .collect::<Vec<_>>()[..])
    );
}

#[test]
fn a_pattern_must_match_the_whole_path() {
    let pattern = TargetModules::from(TargetNames::Pattern(r".*\.1\.query".into()));
    assert_eq!(resolve(&pattern), Ok(vec!["bert.layer.1.query".to_owned()]));
    let partial = TargetModules::from(TargetNames::Pattern("query".into()));
    assert!(matches!(resolve(&partial), Err(ConfigError::NoTarget { .. })));
}

#[test]
fn all_linear_leaves_out_the_head() {
    assert_eq!(resolve(&TargetModules::all_linear()), Ok(paths()[..4].to_vec()));
}

#[test]
fn layers_are_matched_as_numbers_not_as_text() {
    let targets = TargetModules {
        layers: Some(vec![1]),
        ..TargetModules::all_linear()
    };
    assert_eq!(resolve(&targets), Ok(vec!["bert.layer.1.query".to_owned()]));
}

#[test]
fn no_layer_number_is_no_limit() {
    let targets = TargetModules {
        layers: Some(Vec::new()),
        ..TargetModules::names(["query"])
    };
    assert_eq!(resolve(&targets), resolve(&TargetModules::names(["query"])));
}

#[test]
fn a_whole_path_is_adapted_in_any_layer() {
    let targets = TargetModules {
        layers: Some(vec![1]),
        ..TargetModules::names(["query", "bert.layer.11.value", "classifier"])
    };
    let expected = ["bert.layer.1.query", "bert.layer.11.value", "classifier"];
    assert_eq!(resolve(&targets), Ok(expected.map(String::from).to_vec()));
}

#[test]
fn the_layer_is_the_first_number_or_the_one_after_the_pattern() {
    let all = TargetModules::all_linear();
    let of = |targets: &TargetModules, path| targets.layer_of(path).expect("the pattern is valid");
    assert_eq!(of(&all, "model.layers.3.experts.7.up"), Some(3));
    assert_eq!(
        of(&all, "layers.3.up"),
        None,
        "PEFT wants a component around the layers"
    );
    assert_eq!(
        of(&all, "model.layers.3"),
        None,
        "the layer itself is not in a layer"
    );
    let experts = TargetModules {
        layers: Some(vec![7]),
        layers_pattern: vec!["blocks?".into(), "experts".into()],
        ..all
    };
    assert_eq!(of(&experts, "model.layers.3.experts.7.up"), Some(7));
    assert_eq!(of(&experts, "block.5.up"), Some(5));
    assert_eq!(of(&experts, "model.layers.3.up"), None);
}

#[test]
fn modules_trained_in_full_are_never_adapted() {
    let saved = ["bert.layer.0.query".to_owned()];
    let resolved = TargetModules::names(["query"]).resolve(&paths(), &[], &saved);
    assert_eq!(resolved, Ok(vec!["bert.layer.1.query".to_owned()]));
}

#[test]
fn a_misspelled_name_is_refused_and_the_choices_are_listed() {
    let targets = TargetModules::names(["query", "valeu"]);
    let error = targets.check_names(&paths()).expect_err("valeu is no linear");
    let sentence = error.to_string();
    assert!(
        sentence.contains("`valeu`") && sentence.contains("query, subquery, value, classifier"),
        "{sentence}"
    );
}

#[test]
fn a_broken_pattern_is_refused_by_name() {
    let error = TargetModules::from(TargetNames::Pattern("(".into()))
        .validate()
        .expect_err("unclosed group");
    assert!(
        error
            .to_string()
            .starts_with("target_modules holds the pattern `(`")
    );
}
