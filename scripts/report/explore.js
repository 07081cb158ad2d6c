"use strict";
// The curves of the chosen b0, start and methods, from the data in the page next to them; uPlot draws them. A bound is
// a staircase: its points are where a step begins.

const DASHES = { run: [[], [9, 4], [3, 3], [11, 4, 2, 4]], bound: [[2, 5]] };
const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = (exponent) => "10" + [...String(exponent)].map((sign) => SUPERSCRIPT[sign]).join("");
const shown = (value) => (value == null ? "–" : value.toPrecision(3).replace(/\.?0+($|e)/, "$1"));
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// A scale and an axis: with log, over [min, max] with a line at whole powers of ten; else over what is drawn.
function scaleOf(log, { min, max }) {
  return log ? { time: false, distr: 3, range: () => [min, max] } : { time: false };
}

function axisOf(log, label, size) {
  const plain = { label, size, stroke: color("ink"), grid: { stroke: color("line"), width: 1 }, font: "13px system-ui",
    labelFont: "14px system-ui", labelGap: 4, ticks: { show: false } };
  if (!log) return plain;
  const splits = (plot, axis, min, max) => {
    const low = Math.ceil(Math.log10(min) - 1e-9), high = Math.floor(Math.log10(max) + 1e-9);
    const every = Math.max(1, Math.ceil((high - low) / 7)), powers = [];
    for (let k = Math.ceil(low / every) * every; k <= high; k += every) powers.push(10 ** k);
    return powers;
  };
  return { ...plain, splits, filter: (plot, found) => found,
    values: (plot, found) => found.map((value) => power(Math.round(Math.log10(value)))) };
}

function explore(root) {
  const data = JSON.parse(root.querySelector(".data").textContent);
  const slider = root.querySelector("input[type=range]"), output = root.querySelector("output");
  const choice = root.querySelector("select"), body = root.querySelector("tbody");
  const [logX, logY] = ["x", "y"].map((name) => root.querySelector(`input[name=${name}]`));
  const first = data.variants[0].frames[0], methods = [...new Set(first.series.map((one) => one.method))];
  const names = Object.fromEntries(methods.map((name, k) => [name, first.rows[k][0]]));
  const dash = (one) => DASHES[one.kind][methods.indexOf(one.method) % DASHES[one.kind].length];

  for (const method of methods) {
    const label = document.createElement("label");
    label.innerHTML = `<input type="checkbox" checked value="${method}"><span class="swatch"></span>`;
    label.querySelector("span").style.background = `var(--${method})`;
    label.append(names[method]);
    root.querySelector(".methods").append(label);
  }
  const chosen = () => new Set([...root.querySelectorAll(".methods :checked")].map((box) => box.value));
  root.plots = {};

  function draw() {
    const frame = data.variants[choice ? choice.value : 0].frames[slider.value], visible = chosen();
    output.textContent = String(data.b0[slider.value]);
    slider.setAttribute("aria-valuetext", `b0 = ${data.b0[slider.value]}`);
    for (const panel of data.panels) {
      const at = root.querySelector(`[data-panel="${panel.name}"]`);
      const series = frame.series.filter((one) => one.panel === panel.name && visible.has(one.method));
      const positive = (values, log) => values.map((value) => (log && value <= 0 ? null : value));
      const tables = series.map((one) => [one.x, positive(one.y, logY.checked)]);
      at.replaceChildren();
      root.plots[panel.name] = new uPlot({
        width: Math.max(280, at.clientWidth), height: 300,
        scales: { x: scaleOf(logX.checked, data.x), y: scaleOf(logY.checked, panel) },
        axes: [axisOf(logX.checked, data.x.label, 34), axisOf(logY.checked, panel.label, 58)],
        cursor: { sync: { key: root.id }, drag: { x: false, y: false } },
        series: [{ label: data.x.label, value: (plot, value) => shown(value) }, ...series.map((one) => ({
          label: names[one.method] + (one.kind === "bound" ? ", proved bound" : ""), stroke: color(one.method),
          width: one.kind === "bound" ? 1.5 : 2.2, dash: dash(one), spanGaps: false, points: { show: false },
          paths: one.kind === "bound" ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
          value: (plot, value) => shown(value),
        }))],
      }, tables.length ? uPlot.join(tables) : [[data.x.min, data.x.max]], at);
    }
    body.replaceChildren(...frame.rows.filter((row, k) => visible.has(methods[k])).map((row) => {
      const line = document.createElement("tr");
      row.forEach((value, k) => {
        const cell = line.appendChild(document.createElement(k ? "td" : "th"));
        if (!k) cell.scope = "row";
        cell.textContent = value;
      });
      return line;
    }));
  }
  for (const kind of ["input", "change"]) root.addEventListener(kind, draw);
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", draw);
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width !== width) { width = contentRect.width; draw(); }
  }).observe(root);
}

document.querySelectorAll(".explorer").forEach(explore);
