"use strict";

// ramp are the colours of a scale's ratings, from low to high; lightness rises, so that
// they differ without colour, too.
const stops = [[46, 38, 110], [36, 92, 150], [44, 146, 142], [124, 190, 104], [245, 214, 80]];
function ramp(i, n) {
  const at = n < 2 ? 0 : i / (n - 1) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2);
  return "rgb(" + stops[k].map((c, j) => Math.round(c + (stops[k + 1][j] - c) * (at - k))).join(",") + ")";
}

function cutLine(p, cut, upright) {
  const at = upright ? { x1: p.x(cut), x2: p.x(cut), y1: p.top - 8, y2: p.bottom } : { x1: p.left, x2: p.right, y1: p.y(cut), y2: p.y(cut) };
  p.svg.append(draw("line", Object.assign({ class: "cut" }, at)));
}

function drawHistogram(series, place) {
  const bars = [];
  for (let i = 0; i < report.steps; i += report.bar) {
    const end = Math.min(i + report.bar, report.steps);
    bars.push({ from: i, to: end, stop: end === report.steps ? end + 1 : end, n: 0, kept: 0 });
  }
  for (let k = 0; k < series.h.length; k += 2) {
    const bar = bars[Math.min(Math.floor(series.h[k] / report.bar), bars.length - 1)];
    bar.n += series.h[k + 1];
    if (series.h[k] >= place) bar.kept += series.h[k + 1];
  }
  const most = Math.max(1, ...bars.map((b) => b.n)), cut = cutAt(place);
  const p = plot(`Histogram of ${whole(report.rated)} ratings; ${whole(above(series.h, place))} reach the cut of ${cutText(cut)}`, 260, lowest, highest, 0, most);
  ticksUp(p, niceTicks(most), compact);
  for (const b of bars) {
    const x = p.x(cutAt(b.from)), width = Math.max(p.x(cutAt(b.to)) - x - 1, 0.5), dropped = b.n - b.kept;
    if (dropped) p.svg.append(draw("rect", { class: "drop", x, width, y: p.y(dropped), height: p.bottom - p.y(dropped) }));
    if (b.kept) p.svg.append(draw("rect", { class: "keep", x, width, y: p.y(b.n), height: p.y(dropped) - p.y(b.n) }));
  }
  ticksAcross(p, report.values, (v) => shortText(report.ratings[report.values.indexOf(v)], 8));
  names(p, "rating", "records");
  cutLine(p, cut, true);
  replace("histogram", p.svg);
}

function drawRibbons(series) {
  const n = report.ratings.length, bins = series.ribbon, tenth = (highest - lowest) / bins.length;
  const p = plot("Mean distribution over the scale, by tenths of the expected rating", 280, lowest, highest, 0, 1);
  ticksUp(p, [0, 0.25, 0.5, 0.75, 1], (v) => v * 100 + " %");
  const at = bins.map((_, i) => lowest + (i + 0.5) * tenth);
  const runs = [];
  bins.forEach((b, i) => {
    if (!b.n) return;
    if (i && bins[i - 1].n) runs[runs.length - 1].push(i);
    else runs.push([i]);
  });
  for (const run of runs) {
    const floor = run.map(() => 0);
    for (let k = 0; k <= n; k++) {
      const over = [], under = [];
      run.forEach((i, j) => {
        const low = floor[j], high = floor[j] += bins[i].p[k];
        const xs = [];
        if (j === 0) xs.push(at[i] - tenth / 2);
        xs.push(at[i]);
        if (j === run.length - 1) xs.push(at[i] + tenth / 2);
        for (const x of xs) {
          over.push(`${p.x(x).toFixed(1)},${p.y(high).toFixed(1)}`);
          under.unshift(`${p.x(x).toFixed(1)},${p.y(low).toFixed(1)}`);
        }
      });
      p.svg.append(draw("polygon", k === n ? { class: "off", points: over.concat(under).join(" ") } : { class: "slice", fill: ramp(k, n), points: over.concat(under).join(" ") }));
    }
  }
  ticksAcross(p, report.values, (v) => shortText(report.ratings[report.values.indexOf(v)], 8));
  names(p, "expected rating", "probability");
  const legend = put("div", { class: "legend" },
    report.ratings.map((r, i) => put("span", {}, draw("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, draw("rect", { width: 10, height: 10, fill: ramp(i, n) })), r)),
    put("span", {}, draw("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, draw("rect", { class: "off", width: 10, height: 10 })), "off the scale"));
  replace("ribbons", legend, p.svg);
  behind("ribbons-table", "Mean probabilities by tenths of the expected rating", ["Rating", "#Records"].concat(report.ratings.map((r) => "#" + r), ["#Off the scale"]),
    bins.filter((b) => b.n).map((b) => { const i = bins.indexOf(b); return [`${(lowest + i * tenth).toFixed(2)} to ${(lowest + (i + 1) * tenth).toFixed(2)}`, whole(b.n)].concat(b.p.map((x) => x.toFixed(3))); }));
}

const log = (n) => Math.log10(Math.max(n, 1));

function drawLengths(series, place, ratingOf) {
  const bins = series.length, cut = cutAt(place);
  if (!bins.length) return replace("lengths", put("p", {}, "No record has a rating."));
  const from = log(bins[0].from), to = Math.max(log(bins[bins.length - 1].to), from + 0.1);
  const p = plot("Rating over length: sampled records, and quartiles of all", 300, from, to, lowest, highest);
  ticksUp(p, fewTicks(report.values, 6), compact);
  const round = [];
  for (let d = 0; d < 8; d++) for (const m of [1, 2, 5]) round.push(m * 10 ** d);
  ticksAcross({ ...p, x: (v) => p.x(log(v)) }, round.filter((v) => log(v) >= from && log(v) <= to), compact);
  for (const row of report.rows) {
    const v = ratingOf(row);
    if (v === null || log(row[3]) < from) continue;
    p.svg.append(draw("circle", { class: v >= cut ? "dot in" : "dot", cx: p.x(Math.min(log(row[3]), to)).toFixed(1), cy: p.y(v).toFixed(1), r: 2 }));
  }
  const middle = (b) => p.x((log(b.from) + log(b.to)) / 2).toFixed(1);
  const line = (k) => bins.map((b) => `${middle(b)},${p.y(b.q[k]).toFixed(1)}`);
  p.svg.append(
    draw("polygon", { class: "band", points: line(3).concat(line(1).reverse()).join(" ") }),
    draw("polyline", { class: "median", points: line(2).join(" ") }));
  names(p, report.length + ", on a logarithmic axis", "rating");
  cutLine(p, cut, false);
  replace("lengths", p.svg);
  behind("lengths-table", "Quantiles of the rating by length", ["Length", "#Records", "#10 %", "#25 %", "#Median", "#75 %", "#90 %"],
    bins.map((b) => [`${whole(b.from)} to ${whole(b.to)}`, whole(b.n)].concat(b.q.map(figure))));
}

// drawGroups draws a box for each group of records.
function drawGroups(id, title, labels, groups, place) {
  if (!byId(id)) return;
  const cut = cutAt(place), each = 26, height = 54 + each * groups.length, margin = narrow.matches ? 96 : 150, share = narrow.matches ? 90 : 150;
  const p = plot(title, height, lowest, highest, 0, 1);
  p.left = margin; p.right = frame.width - share;
  p.x = (v) => p.left + (v - lowest) / (highest - lowest) * (p.right - p.left);
  p.svg.append(draw("text", { x: p.right + 12, y: 10 }, "kept"));
  const rows = [];
  groups.forEach((g, i) => {
    const y = frame.top + each * (i + 0.5), kept = above(g.h, place);
    rows.push([labels[i], whole(g.n), figure(g.mean), figure(g.q[2]), whole(kept), percent(kept, g.n)]);
    p.svg.append(draw("text", { class: "strong", x: p.left - 8, y: y + 4, "text-anchor": "end" }, shortText(labels[i], narrow.matches ? 12 : 20)));
    p.svg.append(draw("line", { class: "grid", x1: p.left, x2: p.right, y1: y, y2: y }));
    if (!g.n) return;
    p.svg.append(
      draw("line", { class: "axis", x1: p.x(g.q[0]), x2: p.x(g.q[4]), y1: y, y2: y }),
      draw("rect", { class: "band", x: p.x(g.q[1]), y: y - 8, width: Math.max(p.x(g.q[3]) - p.x(g.q[1]), 1), height: 16 }),
      draw("line", { class: "median", x1: p.x(g.q[2]), x2: p.x(g.q[2]), y1: y - 8, y2: y + 8 }),
      draw("rect", { class: "keep", x: p.right + 12, y: y - 6, width: (share - 76) * kept / g.n, height: 12 }),
      draw("text", { class: "strong", x: p.right + 16 + (share - 76) * kept / g.n, y: y + 4 }, percent(kept, g.n)));
  });
  p.svg.append(draw("line", { class: "axis", x1: p.left, x2: p.right, y1: p.bottom, y2: p.bottom }));
  ticksAcross(p, report.values, (v) => shortText(report.ratings[report.values.indexOf(v)], 8));
  p.svg.append(draw("text", { x: (p.left + p.right) / 2, y: p.height - 6, "text-anchor": "middle" }, "rating"));
  cutLine(p, cut, true);
  replace(id, p.svg);
  behind(id + "-table", title, ["Group", "#Records", "#Mean", "#Median", "#Kept", "#Share"], rows);
}

// spark is a small picture of a distribution; its highest bar is as high as the picture.
function spark(probs) {
  const n = probs.length, most = Math.max(...probs), top = probs.indexOf(most), mode = report.ratings[top];
  return draw("svg", { viewBox: `0 0 ${6 * n} 24`, preserveAspectRatio: "none", role: "img", "aria-label": `most probable ${mode}, ${most} %` },
    draw("title", {}, report.ratings.map((r, i) => `${r}: ${probs[i]} %`).join("\n")),
    draw("line", { class: "grid", x1: 0, x2: 6 * n, y1: 23.5, y2: 23.5 }),
    probs.map((q, i) => draw("rect", { class: i === top ? "keep" : "drop", x: 6 * i, width: 5, y: 23 - 22 * q / (most || 1), height: 22 * q / (most || 1) })));
}
