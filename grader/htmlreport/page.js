"use strict";

// Members of a row.
const INDEX = 0, VALUES = 1, PROBS = 2, LENGTH = 3, KIND = 4, FIELD = 5, STATUS = 6, REASON = 7, QUESTION = 8, INPUT = 9, RESPONSE = 10;
const perPage = 25;
const view = { place: placeOf(report.min), series: 0, page: 0, sort: "", down: false };
const several = report.criteria.length > 1;

// leastOf is the criterion with the least rating.
const leastOf = (row) => row[VALUES].reduce((least, v, i) => (v < row[VALUES][least] ? i : least), 0);
// criterionOf is the criterion whose rating counts for a row.
const criterionOf = (row) => (several ? (view.series ? view.series - 1 : leastOf(row)) : 0);
const ratingOf = (row) => (row[VALUES].length ? row[VALUES][criterionOf(row)] : null);

function verdict(row) {
  const v = ratingOf(row);
  return v === null ? "none" : v >= cutAt(view.place) ? "keep" : "drop";
}

const words = { keep: "kept", drop: "dropped", none: "no rating" };

function why(row) {
  const v = ratingOf(row), cut = cutAt(view.place);
  if (v === null) return row[REASON] ? `${row[STATUS]}: ${row[REASON]}` : row[STATUS];
  const name = several ? report.criteria[criterionOf(row)] + " " : "";
  return `${name}${v.toFixed(2)} ${v >= cut ? "reaches" : "is below"} ${cutText(cut)}`;
}

function drawReasons(series) {
  const cut = view.place, rows = [];
  const below = (pairs) => above(pairs, 0) - above(pairs, cut);
  const dropped = below(series.h), step = report.values.length > 1 ? report.values[1] - report.values[0] : 0;
  const near = above(series.h, placeOf(cutAt(cut) - step)) - above(series.h, cut);
  rows.push([`rated below ${cutText(cutAt(cut))}`, whole(dropped), percent(dropped, report.records), `${whole(near)} of them by no more than ${compact(step)}`]);
  if (several && view.series === 0) {
    series.lowest.forEach((pairs, i) => rows.push([`– rated lowest by ${report.criteria[i]}`, whole(below(pairs)), percent(below(pairs), report.records), ""]));
  }
  for (const u of report.unrated) rows.push([`no rating: ${u.status}`, whole(u.records), percent(u.records, report.records), u.reason ? `such as: ${u.reason}` : ""]);
  replace("reasons", scrolling("Why records are not kept", table("Of all records. Those without a rating are neither kept nor dropped.", ["Reason", "#Records", "#Share", ""], rows)));
}

const columns = [
  { name: "Index", of: (row) => row[INDEX], number: true },
  { name: "Rating", of: ratingOf, number: true },
  { name: "Distribution" },
  { name: "Verdict", of: verdict },
  { name: "Length", of: (row) => row[LENGTH], number: true },
  { name: "Reason" },
];
if (report.data) columns.push({ name: "Record" });
if (report.fields && report.fields.length) columns.splice(5, 0, { name: "Field", label: report.field, of: (row) => report.fields[row[FIELD]] || "" });

function found() {
  const text = byId("search").value.trim().toLowerCase(), show = byId("show").value;
  const list = report.rows.filter((row) => (!show || verdict(row) === show) &&
    (!text || [row[QUESTION], row[INPUT], row[RESPONSE], row[REASON], row[STATUS], String(row[INDEX]), report.fields && report.fields[row[FIELD]] || "", report.kinds && report.kinds[row[KIND]] || ""].some((s) => s.toLowerCase().includes(text))));
  const column = columns.find((c) => c.name === view.sort);
  if (column) {
    const sign = view.down ? -1 : 1;
    const last = (v) => v === null;
    list.sort((a, b) => {
      const x = column.of(a), y = column.of(b);
      if (last(x) || last(y)) return last(x) - last(y);
      return x < y ? -sign : x > y ? sign : a[INDEX] - b[INDEX];
    });
  }
  return list;
}

function head() {
  return put("thead", { role: "rowgroup" }, put("tr", { role: "row" }, columns.map((c) => {
    const attributes = { role: "columnheader", scope: "col", class: c.number ? "n" : "" };
    if (!c.of) return put("th", attributes, c.label || c.name);
    if (view.sort === c.name) attributes["aria-sort"] = view.down ? "descending" : "ascending";
    const mark = view.sort === c.name ? (view.down ? " ▼" : " ▲") : "";
    const button = put("button", { type: "button", "data-column": c.name }, (c.label || c.name) + mark);
    button.addEventListener("click", () => {
      view.down = view.sort === c.name ? !view.down : c.name === "Rating";
      view.sort = c.name;
      view.page = 0;
      drawRecords();
      for (const b of byId("table").querySelectorAll("thead button")) if (b.dataset.column === c.name) b.focus();
    });
    return put("th", attributes, button);
  })));
}

function line(row) {
  const state = verdict(row), v = ratingOf(row), probs = row[PROBS][criterionOf(row)];
  const cells = [
    put("th", { role: "rowheader", scope: "row", class: "n index" }, row[INDEX]),
    put("td", { class: "n" }, v === null ? "–" : v.toFixed(2)),
    put("td", {}, probs ? spark(probs) : "–"),
    put("td", {}, put("span", { class: "badge " + state }, words[state])),
    put("td", { class: "n length" }, whole(row[LENGTH])),
    put("td", { class: "why", dir: "auto" }, why(row)),
  ];
  if (report.fields && report.fields.length) cells.splice(5, 0, put("td", { dir: "auto" }, report.fields[row[FIELD]] || "–"));
  if (report.data) {
    const texts = put("td", { class: "texts" }, put("div", { dir: "auto" }, row[QUESTION]));
    if (row[INPUT]) texts.append(put("div", { dir: "auto" }, row[INPUT]));
    texts.append(put("div", { class: "answer", dir: "auto" }, row[RESPONSE]));
    cells.push(texts);
  }
  for (const cell of cells.slice(1)) cell.setAttribute("role", "cell");
  return put("tr", { role: "row" }, cells);
}

function drawRecords() {
  if (!byId("table")) return;
  const list = found(), pages = Math.max(1, Math.ceil(list.length / perPage));
  view.page = Math.min(view.page, pages - 1);
  replace("table", put("caption", {}, "Records, with their ratings"), head(),
    put("tbody", { role: "rowgroup" }, list.slice(view.page * perPage, (view.page + 1) * perPage).map(line)));
  replace("found", document.createTextNode(`${whole(list.length)} of ${whole(report.rows.length)}`));
  replace("page", document.createTextNode(`page ${view.page + 1} of ${pages}`));
  byId("previous").disabled = view.page === 0;
  byId("next").disabled = view.page >= pages - 1;
}

function drawCut() {
  const series = report.series[view.series], cut = cutAt(view.place), kept = above(series.h, view.place);
  byId("cut").value = cutText(cut);
  if (document.activeElement !== byId("cut-number")) byId("cut-number").value = cutText(cut);
  replace("kept", document.createTextNode(`${whole(kept)} of ${whole(report.rated)} kept, ${percent(kept, report.rated)}`));
  drawHistogram(series, view.place);
  drawLengths(series, view.place, ratingOf);
  if (series.kinds) drawGroups("kinds", "Rating by the first word of the instruction", report.kinds, series.kinds, view.place);
  if (series.fields) drawGroups("fields", `Rating by ${report.field}`, report.fields, series.fields, view.place);
  drawReasons(series);
  drawRecords();
}

// soon draws once a frame, however often the cut moves.
let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawCut(); });
}

function move(cut) {
  if (!Number.isFinite(cut)) return;
  view.place = placeOf(cut);
  view.page = 0;
  soon();
}

for (const node of document.querySelectorAll(".live[hidden]")) node.hidden = false;
byId("cut").addEventListener("input", () => move(Number(byId("cut").value)));
byId("cut-number").addEventListener("input", () => byId("cut-number").value !== "" && move(Number(byId("cut-number").value)));
byId("cut-number").addEventListener("blur", () => { byId("cut-number").value = cutText(cutAt(view.place)); });
byId("criterion").addEventListener("change", () => {
  view.series = Number(byId("criterion").value);
  drawAll();
});
byId("theme").addEventListener("change", () => { document.documentElement.dataset.theme = byId("theme").value; });
if (byId("table")) {
  byId("search").addEventListener("input", () => { view.page = 0; drawRecords(); });
  byId("show").addEventListener("change", () => { view.page = 0; drawRecords(); });
  byId("previous").addEventListener("click", () => { view.page--; drawRecords(); });
  byId("next").addEventListener("click", () => { view.page++; drawRecords(); });
}

function drawAll() {
  fit();
  drawRibbons(report.series[view.series]);
  drawCut();
}
narrow.addEventListener("change", drawAll);
drawAll();
