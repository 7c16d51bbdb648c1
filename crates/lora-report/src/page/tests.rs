//! The page: structure, safety and independence, read back by a browser's parser.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::HashSet;

use scraper::{ElementRef, Html, Selector};
use serde_json::json;

use super::{Block, Figure, Page, Provenance, Section, flatten_settings};
use crate::ReliabilityBar;
use crate::{
    Better, Cell, Column, ScatterPoint, Series, Table, line_chart, reliability_diagram, scatter_chart,
};

/// A page with `text` in every place that takes text.
fn page_of(text: &str) -> Page {
    let column = Column::new(text, Better::Higher, 2).with_unit(text);
    let mut table = Table::new(text, text, vec![column.clone(), column]).with_note(text);
    table.push(text, vec![Cell::text(text), Cell::value(0.5)]);
    table.push(text, vec![Cell::Empty, Cell::with_deviation(0.25, 0.125)]);
    let bin = ReliabilityBar {
        lower: 0.5,
        upper: 1.0,
        count: 3,
        mean_confidence: 0.8,
        accuracy: 0.6,
    };
    let series = Series::new(text, vec![[0.0, 1.0], [1.0, 0.5]]);
    let figures = vec![
        Figure::new(reliability_diagram(text, &[bin], 0.2, text), text).named(text),
        Figure::new(line_chart(text, text, text, &[series]), text),
        Figure::new(
            scatter_chart(
                text,
                text,
                text,
                &[ScatterPoint::new(text, [0.0, 1.0])],
                [0.0, 0.0],
            ),
            text,
        ),
    ];
    let section = Section::new(text)
        .with_text(text)
        .with_block(Block::Table(table))
        .with_block(Block::Figures(figures.clone()))
        .with_block(Block::Heading(text.into()))
        .with_block(Block::Code(text.into()))
        .with_block(Block::Details {
            summary: text.into(),
            blocks: vec![Block::Text(text.into()), Block::Figures(figures)],
        })
        .with_block(Block::Settings(vec![(text.into(), text.into())]))
        .with_block(Block::Text(text.into()));
    Page {
        title: text.into(),
        subtitle: text.into(),
        summary: vec![text.into()],
        sections: vec![section.clone(), section.clone(), section],
        settings: json!({ text: { text: [text, 1, null] } }),
        provenance: Provenance {
            versions: vec![(text.into(), text.into())],
            command: text.into(),
            date: Some(text.into()),
        },
        results: json!({ text: [text] }),
    }
}

fn all<'page>(page: &'page Html, selector: &str) -> Vec<ElementRef<'page>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text_of(element: ElementRef) -> String {
    element.text().collect::<String>().trim().to_owned()
}

#[test]
fn markup_in_any_text_is_shown_not_obeyed() {
    for evil in [
        "<script>alert(1)</script>",
        "</script><!--<script>alert(1)",
        "</title></style></textarea><img src=x onerror=alert(1)>",
        "\" onclick=\"alert(1)\" x='",
        "{{ page_css }}{% raw %}&lt;",
        "]]></svg><iframe>",
    ] {
        let page = Html::parse_document(&page_of(evil).to_html());
        assert_eq!(page.errors, Vec::<String>::new(), "{evil}");
        assert_eq!(
            all(&page, "script").len(),
            2,
            "the results and our own script: {evil}"
        );
        assert!(
            all(&page, "img, iframe, textarea, object, embed, base, form").is_empty(),
            "{evil}"
        );
        for element in all(&page, "*") {
            let handler = element.value().attrs().find(|(name, _)| name.starts_with("on"));
            assert_eq!(handler, None, "{evil}");
        }
        for place in [
            "title",
            "h1",
            ".subtitle",
            ".summary p",
            "h2",
            "h3",
            "pre",
            "summary",
            "caption",
            "figcaption",
            "dt",
            "dd",
            ".command",
        ] {
            assert_eq!(text_of(all(&page, place)[0]), evil, "{place}");
        }
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let html = page_of("text").to_html();
    let page = Html::parse_document(&html);
    for element in all(&page, "*") {
        for (name, value) in element.value().attrs() {
            assert!(
                !["src", "srcset", "action", "xlink:href"].contains(&name),
                "{name}={value}"
            );
            assert!(
                name != "href" || value.starts_with('#') || value == "data:,",
                "{name}={value}"
            );
        }
    }
    let without_names = html.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["http:", "https:", "url(", "@import", "@font-face"] {
        assert!(!without_names.contains(foreign), "{foreign}");
    }
    let policy = all(&page, "meta[http-equiv=Content-Security-Policy]")[0]
        .attr("content")
        .unwrap();
    assert!(policy.starts_with("default-src 'none'"));
}

#[test]
fn the_page_can_be_heard_and_read_on_a_phone() {
    let page = Html::parse_document(&page_of("text").to_html());
    assert_eq!(all(&page, "html[lang]").len(), 1);
    assert_eq!(
        all(&page, "meta[name=viewport][content*='width=device-width']").len(),
        1
    );
    assert_eq!((all(&page, "h1").len(), all(&page, "main").len()), (1, 1));
    for table in all(&page, "table") {
        assert_eq!(table.select(&Selector::parse("caption").unwrap()).count(), 1);
    }
    for heading in all(&page, "th") {
        assert!(["col", "row"].contains(&heading.attr("scope").unwrap()));
    }
    for picture in all(&page, "svg") {
        assert_eq!(
            (picture.attr("role"), picture.attr("aria-label")),
            (Some("img"), Some("text"))
        );
        assert!(picture.attr("viewBox").is_some());
    }
    // A file of a picture has a width of its own; in a page it has that of its place.
    let style = all(&page, "head style")
        .into_iter()
        .map(text_of)
        .collect::<String>();
    assert!(style.contains(".chart{display:block;width:100%;height:auto}"));
    // The best value is told in words, not only by weight and colour.
    for best in all(&page, "td strong") {
        assert!(text_of(ElementRef::wrap(best.parent().unwrap()).unwrap()).contains("(best)"));
    }
}

#[test]
fn ids_are_unique_and_references_lead_somewhere() {
    let page = Html::parse_document(&page_of("text").to_html());
    let ids: Vec<_> = all(&page, "[id]")
        .into_iter()
        .map(|element| element.attr("id").unwrap())
        .collect();
    let distinct: HashSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len());
    for link in all(&page, "a[href^='#']") {
        assert!(distinct.contains(&link.attr("href").unwrap()[1..]));
    }
    for element in all(&page, "[aria-labelledby]") {
        assert!(distinct.contains(element.attr("aria-labelledby").unwrap()));
    }
}

#[test]
fn the_page_carries_the_results_unchanged() {
    let mut page = Page::new("t");
    page.results = json!({"</script>": "<!-- <script> & \u{2028} \" \\", "loss": [0.5, null]});
    let html = Html::parse_document(&page.to_html());
    let carried = text_of(all(&html, "script#results")[0]);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&carried).unwrap(),
        page.results
    );
}

#[test]
fn a_bare_page_has_no_empty_parts() {
    let html = Html::parse_document(&Page::new("t").to_html());
    assert!(html.errors.is_empty());
    assert!(
        all(
            &html,
            "nav, section, details, .summary, .subtitle, footer p, #results"
        )
        .is_empty()
    );
}

#[test]
fn the_same_page_gives_the_same_bytes_also_after_json() {
    let page = page_of("é ✓ text");
    let copy: Page = serde_json::from_str(&serde_json::to_string(&page).unwrap()).unwrap();
    assert_eq!(copy, page);
    assert_eq!(copy.to_html(), page.to_html());
}

#[test]
fn settings_are_listed_by_dotted_names_in_order() {
    let settings = json!({"b": {"rank": 8, "targets": ["query", "value"]}, "a": null, "runs": [{"seed": 1}, {"seed": 2}], "empty": {}, "none": []});
    let listed: Vec<_> = flatten_settings(&settings)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        listed,
        [
            "b.rank=8",
            "b.targets=query, value",
            "a=none",
            "runs[0].seed=1",
            "runs[1].seed=2",
            "empty={}",
            "none="
        ]
    );
}

#[test]
fn pictures_have_their_style_once_in_the_page_and_each_in_its_file() {
    let page = page_of("text");
    let style = "<style>.chart{--ink";
    assert_eq!(page.to_html().matches(style).count(), 1);
    let files = page.figures();
    assert_eq!(files.len(), 3 * 6);
    assert!(
        files
            .iter()
            .all(|(_, figure)| figure.svg.matches(style).count() == 1)
    );
    let names: HashSet<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), files.len());
    assert_eq!(
        (files[0].0.as_str(), files[1].0.as_str()),
        ("text-text", "text-figure")
    );
}

#[test]
fn markdown_has_the_command_on_top_every_table_and_a_link_to_every_picture() {
    let page = page_of("a_b <i>");
    let markdown = page.to_markdown(Some("pictures/"));
    let start = "# a\\_b &lt;i>\n\nMade by\n\n~~~text\na_b <i>\n~~~";
    assert!(markdown.starts_with(start), "{}", &markdown[..80]);
    assert_eq!(markdown.matches("| :--- |").count(), 3);
    let links: Vec<&str> = markdown
        .lines()
        .filter_map(|line| {
            line.strip_prefix("![")?
                .split_once("](pictures/")?
                .1
                .strip_suffix(".svg)")
        })
        .collect();
    let names: Vec<String> = page.figures().into_iter().map(|(name, _)| name).collect();
    assert_eq!(links, names);
    assert_eq!(
        markdown.matches("<details>").count(),
        markdown.matches("</details>").count()
    );
    assert!(!page.to_markdown(None).contains("!["));
}
