//! The page of `lora report` in a real browser: it sorts, it complains about nothing, and nothing is wider than its window.

use std::process::Command;

use serde_json::{Value, json};

use crate::reporting::{cell, write};
use crate::workspace::Workspace;

/// Set where a browser must be there, as in continuous integration: a skipped test is then a failed one.
const REQUIRED: &str = "LORA_REQUIRE_BROWSER";
/// Widths of a window: a phone's and a screen's. A browser makes no window as narrow as a phone's, but frames of any width.
const WIDTHS: [u32; 2] = [400, 1200];

/// Shows the page in frames, clicks a heading of its first table of scores, and writes what it saw into its own document.
const DRIVER: &str = r#"<!doctype html><meta charset="utf-8"><script type="application/json" id="seen"></script><script>
const page = PAGE, widths = WIDTHS, seen = widths.map(() => null);
const texts = (cells) => [...cells].map((cell) => cell.textContent.trim());
// Frames load in any order; what was seen stands in the order of the widths.
const look = (frame, width, place) => {
  const inside = frame.contentDocument, root = inside.documentElement;
  const tables = [...inside.querySelectorAll("figure.table table")];
  const table = tables.find((table) => table.caption.textContent.endsWith(": test rows"));
  const column = texts(table.tHead.rows[0].cells).findIndex((text) => text.startsWith("NLL"));
  const methods = () => texts([...table.tBodies[0].rows].map((row) => row.cells[0]));
  const orders = [methods()];
  for (let click = 0; click < 3; click++) {
    table.tHead.rows[0].cells[column].querySelector("button").click();
    orders.push(methods());
  }
  for (const details of inside.querySelectorAll("details")) details.open = true;
  // What scrolls inside of its own box is not too wide.
  const scrolls = (element) => element && (/auto|scroll|hidden/.test(frame.contentWindow.getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  const wide = [...inside.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > width + 1 && !scrolls(element.parentElement));
  seen[place] = { width: frame.contentWindow.innerWidth, beyond: root.scrollWidth - root.clientWidth, wide: wide.slice(0, 5).map((element) => element.outerHTML.slice(0, 120)), orders, pictures: inside.querySelectorAll("svg").length };
  if (seen.every((of) => of)) document.getElementById("seen").textContent = JSON.stringify(seen);
};
for (const [place, width] of widths.entries()) {
  const frame = document.createElement("iframe");
  frame.style = `border:0;height:900px;width:${width}px`;
  frame.addEventListener("load", () => look(frame, width, place));
  frame.srcdoc = page;
  document.documentElement.append(frame);
}
</script>"#;

/// A browser without window, if this machine has one.
fn browser() -> Option<&'static str> {
    let works = |name: &&str| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(works)
}

/// What the driver saw of a page, for each of the widths; and what the browser complained about.
fn seen(browser: &str, workspace: &Workspace, page: &str) -> (Vec<Value>, Vec<String>) {
    // In a script no tag may end.
    let page = json!(page).to_string().replace("</", "<\\/");
    let driver = DRIVER
        .replace("WIDTHS", &json!(WIDTHS).to_string())
        .replacen("PAGE", &page, 1);
    workspace.write("driver.html", driver);
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([
            "--window-size=1300,1000",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", workspace.path("profile").display()))
        .arg(format!("file://{}", workspace.path("driver.html").display()))
        .output()
        .unwrap();
    let document = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints = complaints.lines().filter(|line| line.contains(":CONSOLE"));
    let from = "id=\"seen\">";
    let told = document
        .find(from)
        .map(|at| &document[at + from.len()..])
        .and_then(|rest| rest.split("</script>").next())
        .unwrap_or_default();
    let complaints: Vec<String> = complaints.map(str::to_owned).collect();
    let seen = serde_json::from_str(told).unwrap_or_else(|error| panic!("{error}: {told:?}, {complaints:?}"));
    (seen, complaints)
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn the_page_sorts_by_a_click_fits_phone_and_screen_and_nothing_complains() {
    let Some(browser) = browser() else {
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "{REQUIRED} is set, but there is no chromium, chromium-browser or google-chrome"
        );
        eprintln!("skipped: there is no chromium here");
        return;
    };
    let workspace = Workspace::new();
    let mut cells = Vec::new();
    for seed in [1, 2, 3] {
        cells.push(cell("lora", &json!({}), seed, 0.9, [700, 900]));
        for (p, loss) in [(0.1, 500), (0.3, 300), (0.5, 400)] {
            let settings = json!({"mask_probability": p});
            let validation = f64::from(loss) / 1000.0;
            cells.push(cell(
                "a method with a long name, as people give them",
                &settings,
                seed,
                validation,
                [loss, 700],
            ));
        }
        cells.push(cell("other", &json!({"r": 4}), seed, 0.9, [900, 900]));
    }
    write(&workspace, &cells);
    workspace.lora_works(&["report", "planted.jsonl"]);
    let page = String::from_utf8(workspace.read("planted.html")).unwrap();
    let (seen, complaints) = seen(browser, &workspace, &page);
    assert_eq!(complaints, [""; 0]);
    let long = "a method with a long name, as people give them";
    for (seen, width) in seen.iter().zip(WIDTHS) {
        assert_eq!(seen["width"], width);
        assert_eq!(seen["wide"], json!([]), "at {width}");
        assert_eq!(seen["beyond"], 0, "at {width}");
        assert!(seen["pictures"].as_u64() > Some(5), "{}", seen["pictures"]);
        // As in the file, by rising loss (0.5, 0.8, 0.9), by falling loss, as in the file again.
        let orders = json!([
            ["lora", long, "other"],
            [long, "lora", "other"],
            ["other", "lora", long],
            ["lora", long, "other"],
        ]);
        assert_eq!(seen["orders"], orders, "at {width}");
    }
    assert_eq!(seen.len(), WIDTHS.len());
}
