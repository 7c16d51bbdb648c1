"use strict";
// Without this script the page is complete; with it, columns sort and results can be taken away.
for (const table of document.querySelectorAll("figure.table table")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  // Empty cells and words come after numbers, whichever way the numbers go.
  const compare = (a, b, sign) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if (typeof a === "number") return sign * (a - b);
    if (a === "–" || b === "–") return (a === "–") - (b === "–");
    return sign * a.localeCompare(b, undefined, { numeric: true });
  };
  const orders = ["ascending", "descending", null];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const order = orders[(orders.indexOf(heading.getAttribute("aria-sort")) + 1) % orders.length];
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) heading.setAttribute("aria-sort", order);
      const sign = order === "descending" ? -1 : 1;
      const rows = order ? [...original].sort((a, b) => compare(key(a, column), key(b, column), sign)) : original;
      body.append(...rows);
    });
  });
}
const tool = (label, place, action) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "tool";
  button.textContent = label;
  button.addEventListener("click", () => action(button));
  place.append(button);
};
if (navigator.clipboard) {
  for (const figure of document.querySelectorAll("figure.table")) {
    tool("Copy as Markdown", figure, async (button) => {
      await navigator.clipboard.writeText(figure.dataset.markdown);
      button.textContent = "Copied";
    });
  }
}
const results = document.getElementById("results");
if (results) {
  tool("Save the results as JSON", document.querySelector("footer"), () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([results.textContent], { type: "application/json" }));
    link.download = "results.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
