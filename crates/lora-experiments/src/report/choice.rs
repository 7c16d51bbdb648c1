//! Which settings stand for a method: those with the smallest loss on validation rows. Test rows have no say.

use std::collections::BTreeSet;

use super::measure::Measure;
use super::results::{Results, Study, Variant};
use crate::sweep::prediction::Prediction;

/// A method with a kind of prediction: what is compared once its settings are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Family {
    /// Name of the method.
    pub method: String,
    /// Kind of the prediction.
    pub kind: &'static str,
}

impl Family {
    /// The family of a variant.
    pub fn of(variant: &Variant<'_>) -> Self {
        Self {
            method: variant.method.to_owned(),
            kind: variant.prediction.kind(),
        }
    }

    /// In words.
    pub fn name(&self) -> String {
        if self.kind == Prediction::Mean.kind() {
            self.method.clone()
        } else {
            format!("{}, {}", self.method, self.kind)
        }
    }
}

/// A family on one task, with the settings that the validation rows chose.
#[derive(Clone, Debug)]
pub struct Contender<'a> {
    /// Which family.
    pub family: Family,
    /// The choice where no temperature is used, and where it is; the latter is none for a regression, and where the validation
    /// rows of a seed determine no temperature.
    pub chosen: [Option<Variant<'a>>; 2],
    /// Settings that there were to choose from.
    pub candidates: usize,
}

impl<'a> Contender<'a> {
    /// The choice without or with temperature.
    pub fn variant(&self, is_scaled: bool) -> Option<&Variant<'a>> {
        self.chosen[usize::from(is_scaled)].as_ref()
    }
}

/// The families of all studies, in the order of the files.
pub fn families(results: &Results) -> Vec<Family> {
    let mut families = Vec::new();
    for study in results.studies() {
        for variant in &study.variants {
            let family = Family::of(variant);
            if !families.contains(&family) {
                families.push(family);
            }
        }
    }
    families
}

/// The families of a study, each with its choice.
pub fn contenders<'a>(study: &Study<'a>) -> Vec<Contender<'a>> {
    let mut contenders: Vec<Contender<'a>> = Vec::new();
    for variant in &study.variants {
        let family = Family::of(variant);
        if contenders.iter().any(|known| known.family == family) {
            continue;
        }
        let candidates: Vec<&Variant<'a>> = study
            .variants
            .iter()
            .filter(|other| Family::of(other) == family)
            .collect();
        contenders.push(Contender {
            chosen: [false, true].map(|is_scaled| choose(&candidates, is_scaled).cloned()),
            candidates: candidates.len(),
            family,
        });
    }
    contenders
}

/// The variant with the smallest mean loss on validation rows, among those that have all seeds; the first one of equals.
pub fn choose<'v, 'a>(candidates: &[&'v Variant<'a>], is_scaled: bool) -> Option<&'v Variant<'a>> {
    let most = candidates.iter().map(|variant| variant.cells.len()).max()?;
    let complete = candidates.iter().filter(|variant| variant.cells.len() == most);
    let with_loss =
        complete.filter_map(|variant| Some((*variant, Measure::ValidationLoss.mean(variant, is_scaled)?)));
    let best = with_loss.min_by(|left, right| left.1.total_cmp(&right.1))?;
    Some(best.0)
}

/// Settings in which variants of a study differ: what a reader must be told about a choice.
pub fn varied(variants: &[Variant<'_>]) -> BTreeSet<String> {
    let keys = variants
        .iter()
        .flat_map(|variant| variant.settings.keys().cloned());
    let all: BTreeSet<String> = keys.collect();
    let differs = |key: &String| {
        let mut values = variants.iter().map(|variant| variant.settings.get(key));
        let first = values.next().flatten();
        variants.iter().any(|variant| variant.settings.get(key) != first)
    };
    all.into_iter().filter(differs).collect()
}
