"use strict";
// All rows are in the page for those who have no JavaScript. With it only so many are shown at a
// time, and the rest is held outside the page: a browser is quick with ten thousand of them then.
(() => {
  const STEP = 200;
  const body = document.getElementById("rows");
  const more = document.getElementById("more");
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");
  const boxes = [...document.querySelectorAll("input[name=verdict]")];
  const heads = [...document.querySelectorAll("th[data-key]")];
  const COLUMN = { id: 0, verdict: 1, outcome: 2, code: 3, time: 4, error: 5 };
  const rows = [...body.rows].map((row, place) => ({ row, place, text: null }));
  const order = new Intl.Collator(undefined, { numeric: true });
  let sorting = { key: null, down: false };
  let found = rows;
  let count = 0;

  const value = (entry, key) => {
    if (key === "time") return Number(entry.row.dataset.time);
    const cell = entry.row.cells[COLUMN[key]];
    const text = (key === "id" ? cell.querySelector("summary") : cell).textContent;
    return key === "code" ? (text === "" ? -1 : Number(text)) : text;
  };
  const textOf = (entry) => (entry.text ??= entry.row.textContent.toLowerCase());
  const compare = (a, b) => (typeof a === "number" ? a - b : order.compare(a, b));

  const show = (until) => {
    const piece = document.createDocumentFragment();
    for (const entry of found.slice(count, until)) piece.append(entry.row);
    body.append(piece);
    count = Math.min(until, found.length);
    more.hidden = count >= found.length;
    shown.textContent = `${found.length} of ${rows.length} cases, ${count} shown`;
  };
  const update = () => {
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = rows.filter((entry) => wanted.has(entry.row.dataset.verdict)
      && words.every((word) => textOf(entry).includes(word)));
    if (sorting.key !== null) {
      const keyed = found.map((entry) => [value(entry, sorting.key), entry]);
      const turn = sorting.down ? -1 : 1;
      keyed.sort((a, b) => turn * compare(a[0], b[0]) || a[1].place - b[1].place);
      found = keyed.map((pair) => pair[1]);
    }
    body.replaceChildren();
    count = 0;
    show(STEP);
  };
  const sort = (key) => {
    sorting = { key, down: sorting.key === key && !sorting.down };
    for (const head of heads) {
      if (head.dataset.key === key) {
        head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      } else {
        head.removeAttribute("aria-sort");
      }
    }
    update();
  };

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head.dataset.key));
    head.replaceChildren(button);
  }
  let waiting = 0;
  find.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 120); });
  for (const box of boxes) box.addEventListener("change", update);
  more.addEventListener("click", () => { show(count + STEP); });
  document.getElementById("tools").hidden = false;
  update();
  document.documentElement.className = "";
})();
