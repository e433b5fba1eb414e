"use strict";
(function () {
  const PAGE = 25;
  const data = JSON.parse(document.getElementById("items-data").textContent);
  const body = document.querySelector("#items tbody");
  const heads = Array.from(document.querySelectorAll("#items thead th"));
  const search = document.getElementById("search");
  const kind = document.getElementById("kind");
  const counter = document.getElementById("counter");
  const more = document.getElementById("more");
  const texts = data.rows.map(function (row) {
    return row.filter(function (value, i) { return data.columns[i].kind !== "flag" && value !== null; })
      .join("\n").toLowerCase();
  });
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  const order = data.rows.map(function (row, i) { return i; });
  let shown = PAGE;

  function cell(column, value, link) {
    const found = document.createElement("td");
    if (column.kind === "text") found.className = "text";
    const text = column.kind === "flag" ? (value ? "yes" : "") : value === null ? "" : String(value);
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link;
      anchor.textContent = text;
      found.append(anchor);
    } else {
      found.textContent = text;
    }
    return found;
  }

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const flag = data.columns.findIndex(function (column) { return column.name === kind.value; });
    const kept = order.filter(function (i) {
      return (flag < 0 || data.rows[i][flag]) && words.every(function (word) { return texts[i].includes(word); });
    });
    const linked = data.links ? Math.max(0, data.columns.findIndex(function (c) { return c.name === "id"; })) : -1;
    body.replaceChildren.apply(body, kept.slice(0, shown).map(function (i) {
      const line = document.createElement("tr");
      data.columns.forEach(function (column, place) {
        line.append(cell(column, data.rows[i][place], place === linked ? data.links[i] : null));
      });
      return line;
    }));
    counter.textContent = Math.min(shown, kept.length).toLocaleString("en") + " of " + kept.length.toLocaleString("en") + " shown";
    more.hidden = shown >= kept.length;
  }

  function sort(place) {
    const head = heads[place], number = data.columns[place].kind !== "text";
    const before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : data.columns[place].kind !== "flag";
    heads.forEach(function (one) { one.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    order.sort(function (i, j) {
      const a = data.rows[i][place], b = data.rows[j][place];
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      const found = number ? a - b : compare(a, b);
      return (up ? found : -found) || i - j;
    });
    draw();
  }

  heads.forEach(function (head, place) {
    head.querySelector("button").addEventListener("click", function () { sort(place); });
  });
  [search, kind].forEach(function (one) {
    one.addEventListener("input", function () { shown = PAGE; draw(); });
  });
  more.addEventListener("click", function () { shown += 8 * PAGE; draw(); });
  draw();
})();
