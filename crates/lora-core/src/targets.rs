//! Which linears are adapted, by Hugging Face path.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;

/// The choice of linears, with PEFT's rules (`target_modules` and the fields that narrow it).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetModules {
    /// PEFT's `target_modules`.
    pub modules: TargetNames,
    /// PEFT's `exclude_modules`: names or one regular expression.
    pub exclude: Option<TargetNames>,
    /// PEFT's `layers_to_transform`: only these layer numbers; all if there is none. A linear whose whole path is a name of
    /// [`TargetModules::modules`] is adapted in any layer.
    pub layers: Option<Vec<usize>>,
    /// PEFT's `layers_pattern`: regular expressions for the component before the layer number; any component if empty.
    pub layers_pattern: Vec<String>,
}

/// Names of modules: PEFT's three forms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetNames {
    /// Exact paths, or last components of paths.
    Names(Vec<String>),
    /// A regular expression on the whole path.
    Pattern(String),
    /// Every linear but the output head.
    AllLinear,
}

impl TargetModules {
    /// Linears whose path is, or ends in, one of the names.
    pub fn names(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::from(TargetNames::Names(names.into_iter().map(Into::into).collect()))
    }

    /// Every linear but the output head.
    pub fn all_linear() -> Self {
        Self::from(TargetNames::AllLinear)
    }

    /// Checks that every pattern is a regular expression.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pattern`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.modules.matches("target_modules", "")?;
        if let Some(exclude) = &self.exclude {
            exclude.matches("exclude_modules", "")?;
        }
        self.layer_of("")?;
        if self.layers.is_some() && !matches!(self.modules, TargetNames::Names(_) | TargetNames::AllLinear) {
            return Err(ConfigError::Conflict {
                one: "layers_to_transform",
                other: "a pattern as target_modules",
                reason: "the pattern already says which layers; give target_modules as a list of names",
            });
        }
        if self.layers.is_none() && !self.layers_pattern.is_empty() {
            return Err(ConfigError::Conflict {
                one: "layers_pattern",
                other: "no layers_to_transform",
                reason: "the pattern says where the number stands, but not which numbers; give layers_to_transform",
            });
        }
        Ok(())
    }

    /// The paths that are adapted, in the order given.
    ///
    /// `heads` are the paths of the output head, which "all linear" leaves out; `saved` are the paths trained in
    /// full, which are never adapted.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoTarget`] if nothing is left, [`ConfigError::Pattern`].
    pub fn resolve(
        &self,
        paths: &[String],
        heads: &[String],
        saved: &[String],
    ) -> Result<Vec<String>, ConfigError> {
        let mut resolved = Vec::new();
        for path in paths {
            let excluded = match &self.exclude {
                Some(exclude) => exclude.matches("exclude_modules", path)?,
                None => false,
            };
            let is_head = self.modules == TargetNames::AllLinear && heads.contains(path);
            let in_layers = match self.layers.as_deref() {
                None | Some([]) => true,
                Some(_) if self.modules.names_whole(path) => true,
                Some(layers) => self.layer_of(path)?.is_some_and(|layer| layers.contains(&layer)),
            };
            if !excluded
                && !is_head
                && in_layers
                && !saved.contains(path)
                && self.modules.matches("target_modules", path)?
            {
                resolved.push(path.clone());
            }
        }
        if resolved.is_empty() {
            return Err(ConfigError::NoTarget {
                targets: self.to_string(),
                available: paths.to_vec(),
            });
        }
        Ok(resolved)
    }

    /// Checks that each of several names matches a path, as one that a user gave should.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnusedTarget`].
    pub fn check_names(&self, paths: &[String]) -> Result<(), ConfigError> {
        let TargetNames::Names(names) = &self.modules else {
            return Ok(());
        };
        let (used, unused): (Vec<_>, Vec<_>) = names
            .iter()
            .partition(|name| paths.iter().any(|path| ends_in(path, name)));
        match unused.first() {
            // Where nothing matches at all, `resolve` says more.
            Some(name) if !used.is_empty() => Err(ConfigError::UnusedTarget {
                name: (*name).clone(),
                available: last_components(paths),
            }),
            _ => Ok(()),
        }
    }

    /// The number of the layer a path lies in: the first component that is a number and has two before it, or stands
    /// after a component that the layers' pattern matches.
    fn layer_of(&self, path: &str) -> Result<Option<usize>, ConfigError> {
        const KEY: &str = "layers_pattern";
        let any = [String::from(r"[^.]*")];
        let (start, patterns) = if self.layers_pattern.is_empty() {
            (r"^.*?\.", &any[..])
        } else {
            (r"^(?:.*?\.)?", &self.layers_pattern[..])
        };
        for pattern in patterns {
            let whole = compile(KEY, pattern, &format!(r"{start}(?:{pattern})\.(?<layer>\d+)\."))?;
            if let Some(found) = whole.captures(path) {
                return Ok(found["layer"].parse().ok());
            }
        }
        Ok(None)
    }
}

impl From<TargetNames> for TargetModules {
    fn from(modules: TargetNames) -> Self {
        Self {
            modules,
            exclude: None,
            layers: None,
            layers_pattern: Vec::new(),
        }
    }
}

impl TargetNames {
    /// Whether one of the names is this path, and not only its end.
    fn names_whole(&self, path: &str) -> bool {
        matches!(self, Self::Names(names) if names.iter().any(|name| name == path))
    }

    fn matches(&self, key: &'static str, path: &str) -> Result<bool, ConfigError> {
        match self {
            Self::Names(names) => Ok(names.iter().any(|name| ends_in(path, name))),
            Self::Pattern(pattern) => Ok(compile(key, pattern, &format!("^(?:{pattern})$"))?.is_match(path)),
            Self::AllLinear => Ok(true),
        }
    }
}

impl fmt::Display for TargetModules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.modules {
            TargetNames::Names(names) => write!(formatter, "[{}]", names.join(", "))?,
            TargetNames::Pattern(pattern) => write!(formatter, "`{pattern}`")?,
            TargetNames::AllLinear => write!(formatter, "all-linear")?,
        }
        if let Some(layers) = &self.layers {
            write!(formatter, " in layers {layers:?}")?;
        }
        Ok(())
    }
}

/// Whether a path is `name` or ends in `.name`: whole components, never a substring.
pub(crate) fn ends_in(path: &str, name: &str) -> bool {
    path.strip_suffix(name)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// PEFT's rule for `rank_pattern` and `alpha_pattern`: `(.*\.)?(pattern)$` from the start of the path.
pub(crate) fn pattern_matches(key: &'static str, pattern: &str, path: &str) -> Result<bool, ConfigError> {
    Ok(compile(key, pattern, &format!(r"^(?:.*\.)?(?:{pattern})$"))?.is_match(path))
}

/// The regular expression `whole`, made of a user's pattern. Each is compiled once in a thread: every linear of a model is held
/// against the same few.
fn compile(key: &'static str, pattern: &str, whole: &str) -> Result<Rc<Regex>, ConfigError> {
    const MOST: usize = 256;
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Rc<Regex>>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(known) = compiled.get(whole) {
            return Ok(known.clone());
        }
        let regex = Regex::new(whole).map_err(|error| ConfigError::Pattern {
            key,
            pattern: pattern.to_owned(),
            reason: error.to_string(),
        })?;
        if compiled.len() == MOST {
            compiled.clear();
        }
        let regex = Rc::new(regex);
        compiled.insert(whole.to_owned(), regex.clone());
        Ok(regex)
    })
}

/// The last components of paths, each once.
pub(crate) fn last_components(paths: &[String]) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for path in paths {
        let part = path.rsplit('.').next().unwrap_or(path).to_owned();
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
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
}
