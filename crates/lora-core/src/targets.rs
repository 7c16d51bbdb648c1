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

    /// The same before a model is loaded: `modules` are those that have tensors in the checkpoint's files, `made` the last components of
    /// those that a model may make itself. Patterns are left to [`TargetModules::resolve`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoTarget`] if no name is one of these, [`ConfigError::UnusedTarget`] if one of several is not.
    pub fn check_modules(&self, modules: &[String], made: &[&str]) -> Result<(), ConfigError> {
        let TargetNames::Names(names) = &self.modules else {
            return Ok(());
        };
        let is_known = |name: &&String| {
            let last = name.rsplit('.').next().unwrap_or(name);
            made.contains(&last) || modules.iter().any(|module| ends_in(module, last))
        };
        let (known, unknown): (Vec<_>, Vec<_>) = names.iter().partition(is_known);
        match unknown.first() {
            None => Ok(()),
            Some(_) if known.is_empty() => Err(ConfigError::NoTarget {
                targets: self.to_string(),
                available: modules.to_vec(),
            }),
            Some(name) => Err(ConfigError::UnusedTarget {
                name: (*name).clone(),
                available: last_components(modules),
            }),
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
mod tests;
