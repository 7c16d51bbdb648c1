//! The rated sentences that the project carries: counts, classes, and the reason for the cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::path::Path;

use lora_data::{
    Domain, NEUTRAL_BAND, RatedText, grouped_split, read_snippets, sentiment_labels, snippet_dataset,
};

fn texts(domain: Domain) -> Vec<RatedText> {
    let name = format!("../lora-experiments/snippets/{}.tsv", domain.name());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    read_snippets(&std::fs::read_to_string(&path).unwrap(), &path).unwrap()
}

#[test]
fn every_domain_has_the_rows_that_its_source_announces() {
    // The README of the source: 10,605 and 3,708 and 5,190 and 4,200. (`wc -l` of the source files says one less each:
    // their last line has no line end.) It also says 309 reviews and 500 articles; the ids name 300 and 498.
    for (domain, rows, groups) in [
        (Domain::Movies, 10_605, 10_605),
        (Domain::Products, 3_708, 300),
        (Domain::Editorials, 5_190, 498),
        (Domain::Tweets, 4_200, 4_200),
    ] {
        let texts = texts(domain);
        assert_eq!(texts.len(), rows, "{domain:?}");
        assert_eq!(
            texts.iter().map(RatedText::group).collect::<HashSet<_>>().len(),
            groups,
            "{domain:?}"
        );
        assert_eq!(
            texts
                .iter()
                .map(|text| text.id.as_str())
                .collect::<HashSet<_>>()
                .len(),
            rows,
            "{domain:?}"
        );
    }
}

#[test]
fn every_text_was_rated_by_at_least_fifteen_people() {
    for domain in Domain::ALL {
        assert!(
            texts(domain)
                .iter()
                .all(|text| (15..=99).contains(&text.ratings.len())),
            "{domain:?}"
        );
    }
}

#[test]
fn the_cut_gives_the_counted_classes() {
    // Counted with Python's csv-free `line.split("\t")` from the mean column: below -0.5, between, above 0.5.
    for (domain, counts) in [
        (Domain::Movies, [5_061, 562, 4_982]),
        (Domain::Products, [1_218, 765, 1_725]),
        (Domain::Editorials, [1_688, 2_402, 1_100]),
        (Domain::Tweets, [1_062, 838, 2_300]),
    ] {
        let mut found = [0; 3];
        for class in snippet_dataset(&texts(domain)).strata() {
            found[class] += 1;
        }
        assert_eq!(found, counts, "{domain:?}");
    }
}

/// The share of texts whose class, with this cut, is the most frequent class of their single ratings.
fn agreement(texts: &[RatedText], cut: f64) -> f64 {
    let agrees = |text: &&RatedText| {
        let class = if text.mean < -cut {
            0
        } else {
            1 + usize::from(text.mean > cut)
        };
        let shares = text.human_distribution();
        shares[class] >= shares.into_iter().fold(0.0, f64::max) - 1e-9
    };
    texts.iter().filter(agrees).count() as f64 / texts.len() as f64
}

#[test]
fn the_cut_is_where_the_mean_agrees_most_with_the_people() {
    for domain in [Domain::Products, Domain::Editorials, Domain::Tweets] {
        let texts = texts(domain);
        let best = agreement(&texts, NEUTRAL_BAND);
        assert!(best > 0.9, "{domain:?}: {best}");
        for cut in (0..=20).map(|twentieth| f64::from(twentieth) / 20.0) {
            assert!(agreement(&texts, cut) <= best, "{domain:?} agrees more at {cut}");
        }
    }
}

#[test]
fn the_share_of_each_class_among_people_sums_to_one() {
    for text in texts(Domain::Tweets) {
        let shares = text.human_distribution();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let positive = text.ratings.iter().filter(|&&rating| rating > 0).count() as f64;
        assert!((shares[2] - positive / text.ratings.len() as f64).abs() < 1e-12);
    }
    assert_eq!(sentiment_labels().names(), ["negative", "neutral", "positive"]);
}

#[test]
fn no_review_is_split_between_training_and_test() {
    let texts = texts(Domain::Products);
    let strata = snippet_dataset(&texts).strata();
    let groups: Vec<&str> = texts.iter().map(RatedText::group).collect();
    let parts = grouped_split(&strata, &groups, &[300, 200, 1000], 5).unwrap();
    let groups_of: Vec<HashSet<&str>> = parts
        .iter()
        .map(|part| part.iter().map(|&row| groups[row]).collect())
        .collect();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [300, 200, 1000]);
    assert!(groups_of[0].is_disjoint(&groups_of[1]));
    assert!(groups_of[0].is_disjoint(&groups_of[2]));
    assert!(groups_of[1].is_disjoint(&groups_of[2]));
}
