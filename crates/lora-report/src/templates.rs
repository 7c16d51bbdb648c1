//! The templates of the page, its tables and its charts, compiled into the library.
//!
//! Every text is escaped for HTML and XML; control characters, which XML forbids even escaped, are left out.
//! Only markup made by this module is marked `safe` in a template.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Value, escape_formatter};

/// The style that each chart carries, as it stands in its markup.
pub(crate) const CHART_STYLE: &str = concat!("<style>", include_str!("templates/chart.css"), "</style>");

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.expect("the delimiters are the default ones"));
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text)
            if value.kind() == ValueKind::String && !value.is_safe() && text.contains(is_forbidden) =>
        {
            escape_formatter(out, state, &Value::from(text.replace(is_forbidden, "")))
        }
        _ => escape_formatter(out, state, value),
    });
    for (name, source) in [
        ("block.html", include_str!("templates/block.html")),
        ("chart.svg", include_str!("templates/chart.svg")),
        ("page.html", include_str!("templates/page.html")),
        ("settings.html", include_str!("templates/settings.html")),
        ("table.html", include_str!("templates/table.html")),
    ] {
        environment
            .add_template(name, source)
            .expect("the embedded templates are checked by the tests");
    }
    for (name, source) in [
        ("chart_style", CHART_STYLE),
        ("page_css", include_str!("templates/page.css")),
        ("page_js", include_str!("templates/page.js")),
    ] {
        environment.add_global(name, Value::from_safe_string(source.into()));
    }
    environment
});

/// Fills the template `name`; the keys of `context` are its variables.
///
/// # Panics
/// For a name that is not a template, or a context that a template cannot read: errors of this module.
pub(crate) fn render(name: &str, context: Value) -> String {
    let template = ENVIRONMENT
        .get_template(name)
        .expect("templates have literal names");
    template
        .render(context)
        .expect("templates read only what their contexts define")
}

/// Text as it may stand in a `<script type="application/json">`: no tag can begin inside it.
pub(crate) fn json_for_script(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// Characters that XML 1.0 excludes (section 2.2, production `Char`).
fn is_forbidden(character: char) -> bool {
    matches!(character, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}
