"use strict";
// What records say goes into the document through textContent and attributes that
// nothing acts on, never as markup.

const report = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

// put makes an element with attributes and children, which are nodes or texts.
function put(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, String(value));
  for (const child of children.flat()) node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  return node;
}

function replace(id, ...children) {
  const node = byId(id);
  if (node) node.replaceChildren(...children.flat());
}

const whole = (n) => n.toLocaleString("en-US");
const percent = (n, all) => (all ? (100 * n / all).toFixed(1) + " %" : "–");
const figure = (x) => (x === null ? "–" : x.toFixed(2));

// Cuts are on a grid: whole numbers over a power of ten.
const power = 10 ** Math.abs(report.digits);
const cutAt = (i) => (report.digits < 0 ? (report.first + i) * power : (report.first + i) / power);
const placeOf = (cut) => Math.min(Math.max(Math.round(report.digits < 0 ? cut / power : cut * power) - report.first, 0), report.steps);
const cutText = (cut) => cut.toFixed(Math.max(report.digits, 0));
const lowest = cutAt(0), highest = cutAt(report.steps);

// above counts, in pairs of places and counts, those from a place on.
function above(pairs, place) {
  let n = 0;
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] >= place) n += pairs[i + 1];
  return n;
}

// table makes a table; a column whose name begins with # holds numbers.
function table(caption, columns, rows) {
  const number = columns.map((c) => c.startsWith("#"));
  return put("table", {},
    put("caption", {}, caption),
    put("thead", {}, put("tr", {}, columns.map((c, i) => put("th", number[i] ? { scope: "col", class: "n" } : { scope: "col" }, c.replace(/^#/, ""))))),
    put("tbody", {}, rows.map((row) => put("tr", {}, row.map((cell, i) =>
      put(i ? "td" : "th", Object.assign(i ? {} : { scope: "row" }, number[i] ? { class: "n" } : {}), cell))))));
}

// scrolling keeps a wide table from widening the page.
function scrolling(label, node) {
  return put("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, node);
}

// behind is the table behind a chart. It stays open while it is drawn again.
function behind(id, caption, columns, rows) {
  const node = byId(id);
  if (!node) return;
  const open = node.querySelector("details[open]") !== null;
  const details = put("details", open ? { open: "" } : {}, put("summary", {}, "The chart as a table"), scrolling(caption, table(caption, columns, rows)));
  node.replaceChildren(details);
}

// On a narrow screen charts are drawn narrow, so that their words keep their size.
const narrow = matchMedia("(max-width: 40rem)");
const frame = { width: 720, left: 56, right: 12, top: 14, bottom: 40 };
const fit = () => { frame.width = narrow.matches ? 380 : 720; };

// plot is a chart's ground: an SVG with a horizontal and a vertical scale.
function plot(label, height, from, to, low, high) {
  const right = frame.width - frame.right, bottom = height - frame.bottom;
  return {
    svg: draw("svg", { viewBox: `0 0 ${frame.width} ${height}`, role: "img", "aria-label": label }),
    x: (v) => frame.left + (v - from) / (to - from || 1) * (right - frame.left),
    y: (v) => bottom - (v - low) / (high - low || 1) * (bottom - frame.top),
    left: frame.left, right, top: frame.top, bottom, height,
  };
}

function names(p, below, beside) {
  p.svg.append(
    draw("line", { class: "axis", x1: p.left, x2: p.right, y1: p.bottom, y2: p.bottom }),
    draw("text", { x: (p.left + p.right) / 2, y: p.height - 6, "text-anchor": "middle" }, below),
    draw("text", { transform: `translate(13 ${(p.top + p.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, beside));
}

function ticksUp(p, values, text) {
  for (const v of values) {
    p.svg.append(
      draw("line", { class: "grid", x1: p.left, x2: p.right, y1: p.y(v), y2: p.y(v) }),
      draw("text", { x: p.left - 6, y: p.y(v) + 4, "text-anchor": "end" }, text(v)));
  }
}

function ticksAcross(p, values, text) {
  // Every nth, n as small as the room allows.
  const labels = values.map((v) => ({ x: p.x(v), text: text(v) }));
  const roomy = (list) => list.every((l, i) => !i || l.x - list[i - 1].x > 10 + 3.5 * (l.text.length + list[i - 1].text.length));
  let shown = labels;
  for (let n = 2; n <= labels.length && !roomy(shown); n++) shown = labels.filter((_, i) => i % n === 0);
  for (const l of shown) p.svg.append(draw("text", { x: l.x, y: p.bottom + 16, "text-anchor": "middle" }, l.text));
}

// niceTicks are round numbers from 0 up to most.
function niceTicks(most) {
  const rough = most / 4, size = 10 ** Math.floor(Math.log10(rough)), step = Math.max(1, [1, 2, 5, 10].find((m) => m * size >= rough) * size);
  return Array.from({ length: Math.floor(most / step) }, (_, i) => (i + 1) * step);
}

// fewTicks are up to n of a list, first and last among them.
function fewTicks(list, n) {
  const step = Math.max(1, Math.ceil((list.length - 1) / (n - 1)));
  return list.filter((_, i) => (list.length - 1 - i) % step === 0);
}

const shortText = (text, n) => (text.length > n ? Array.from(text).slice(0, n - 1).join("") + "…" : text);
const compact = (n) => (n >= 10000 ? (n / 1000).toFixed(n < 100000 ? 1 : 0) + "k" : String(Math.round(n * 100) / 100));
