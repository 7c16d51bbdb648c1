//! Advice on temperatures and methods: seldom worse than plain LoRA, and found where there is something to gain.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod simulation;

use simulation::{KINDS, summarize};

/// A small version of `examples/advice.rs`, whose numbers the book has.
#[test]
fn advice_does_no_harm_and_finds_what_is_worth_finding() {
    let all: Vec<_> = KINDS
        .iter()
        .filter(|kind| kind.classes <= 10)
        .map(|kind| (kind.name, summarize(kind, 16, 250, 3).unwrap()))
        .collect();
    let trials: usize = all.iter().map(|(_, of)| of.trials).sum();
    let harmed: f64 = all.iter().map(|(_, of)| of.harmed * of.trials as f64).sum();
    let naive: f64 = all.iter().map(|(_, of)| of.naive_harmed * of.trials as f64).sum();
    let worthwhile: usize = all.iter().map(|(_, of)| of.worthwhile).sum();
    let found: f64 = all.iter().map(|(_, of)| of.found * of.worthwhile as f64).sum();
    for (name, of) in &all {
        assert!(of.mean_change < 0.0, "{name}: {of:?}");
        assert!(
            of.worthwhile == 0 || of.power > 0.0 && of.power <= 1.0,
            "{name}: {of:?}"
        );
        assert!(of.plain < 1.0, "{name}: never any advice but plain LoRA");
    }
    assert!(harmed <= 0.05 * trials as f64, "{harmed} of {trials}: {all:?}");
    assert!(harmed < naive, "the rules spare nothing: {harmed} and {naive}");
    assert!(
        worthwhile > 15 && found >= 0.8 * worthwhile as f64,
        "{found} of {worthwhile}: {all:?}"
    );
}
