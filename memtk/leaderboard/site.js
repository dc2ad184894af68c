
// Without this script every table is there, with all columns, in the order of the copy rate.
"use strict";
const form = document.querySelector(".filters");
const read = () => new URLSearchParams(location.hash.slice(1));
const off = (element, hidden) => element.toggleAttribute("data-off", hidden);

function change(values) {
  const state = read();
  for (const [key, value] of Object.entries(values)) {
    if (value) state.set(key, value); else state.delete(key);
  }
  location.hash = state.toString();
}

function sort(table, key, down) {
  const heads = [...table.tHead.rows[1].cells];
  const at = heads.findIndex(head => head.dataset.key === key);
  for (const head of heads) head.removeAttribute("aria-sort");
  const body = table.tBodies[0];
  let rows = [...body.rows];
  if (at < 0) {
    rows.sort((a, b) => a.dataset.at - b.dataset.at);
  } else {
    heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[at].dataset.value;
    const text = "text" in heads[at].dataset;
    rows.sort((a, b) => {
      const x = value(a), y = value(b);
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1;  // what is not known comes last
      const order = text ? x.localeCompare(y, "en") : x - y;
      return (down ? -order : order) || a.dataset.at - b.dataset.at;
    });
  }
  body.append(...rows);
}

function apply() {
  const state = read();
  const suite = state.get("suite") || "", dim = state.get("dim") || "";
  const protocol = state.get("protocol") || "verdict";
  for (const name of ["suite", "dim", "protocol"]) form.elements[name].value = state.get(name) || "";
  let count = 0;
  for (const section of document.querySelectorAll("section.board")) {
    const hidden = (suite && section.dataset.suite !== suite) || (dim && section.dataset.dim !== dim);
    off(section, Boolean(hidden));
    count += !hidden;
  }
  for (const cell of document.querySelectorAll("[data-group]")) {
    off(cell, protocol !== "all" && cell.dataset.group !== protocol);
  }
  for (const box of form.querySelectorAll("[type=checkbox]")) {
    box.checked = state.has(box.name);
    for (const cell of document.querySelectorAll(`[data-fold="${box.name}"]`)) {
      off(cell, !box.checked);
    }
  }
  const key = (state.get("sort") || "").replace(/^-/, "");
  const down = (state.get("sort") || "").startsWith("-");
  for (const table of document.querySelectorAll("table.board")) sort(table, key, down);
  form.querySelector("[role=status]").textContent = count === 1 ? "1 table" : count + " tables";
}

for (const table of document.querySelectorAll("table.board")) {
  [...table.tBodies[0].rows].forEach((row, at) => { row.dataset.at = at; });
  for (const head of table.tHead.rows[1].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      const up = read().get("sort") === head.dataset.key;
      change({sort: (up ? "-" : "") + head.dataset.key});
    });
    head.append(button);
  }
}
for (const input of form.elements) {
  const value = () => input.type === "checkbox" ? input.checked && "shown" : input.value;
  input.addEventListener("change", () => change({[input.name]: value()}));
}
form.hidden = false;
window.addEventListener("hashchange", apply);
apply();
