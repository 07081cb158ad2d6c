"use strict";
// Draws an explorer's curves for the chosen b0 from the data in the page next to it.

const AREA = { left: 62, right: 460, top: 12, bottom: 262 };
const DASHES = { run: ["none", "9 4", "3 3", "11 4 2 4"], bound: ["2 5", "2 5", "2 5", "2 5"] };
const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

function element(name, attributes, parent, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

// A logarithmic axis: from [least, most] to [start, end].
function axis(least, most, start, end) {
  const low = Math.log10(least), high = Math.log10(most);
  const place = (value) => start + ((Math.log10(value) - low) / (high - low)) * (end - start);
  const every = Math.max(1, Math.ceil((high - low) / 7));
  const ticks = [];
  for (let power = Math.ceil(low / every - 1e-9) * every; power <= high + 1e-9; power += every) ticks.push(power);
  return { place, ticks };
}

const power = (exponent) => "10" + [...String(exponent)].map((sign) => SUPERSCRIPT[sign]).join("");

function frameOf(svg, x, panel) {
  const across = axis(x.min, x.max, AREA.left, AREA.right), up = axis(panel.min, panel.max, AREA.bottom, AREA.top);
  for (const tick of across.ticks) {
    const at = across.place(10 ** tick);
    element("line", { class: "grid", x1: at, x2: at, y1: AREA.top, y2: AREA.bottom }, svg);
    element("text", { x: at, y: AREA.bottom + 20, "text-anchor": "middle" }, svg, power(tick));
  }
  for (const tick of up.ticks) {
    const at = up.place(10 ** tick);
    element("line", { class: "grid", x1: AREA.left, x2: AREA.right, y1: at, y2: at }, svg);
    element("text", { x: AREA.left - 6, y: at + 5, "text-anchor": "end" }, svg, power(tick));
  }
  const middle = (AREA.left + AREA.right) / 2, height = (AREA.top + AREA.bottom) / 2;
  element("text", { x: middle, y: AREA.bottom + 46, "text-anchor": "middle" }, svg, x.label);
  element("text", { transform: `translate(15 ${height}) rotate(-90)`, "text-anchor": "middle" }, svg, panel.label);
  const clip = element("clipPath", { id: `clip-${svg.id}` }, svg);
  element("rect", { x: AREA.left, y: AREA.top, width: AREA.right - AREA.left, height: AREA.bottom - AREA.top }, clip);
  return { curves: element("g", { "clip-path": `url(#clip-${svg.id})` }, svg), across, up };
}

// A path through the points; a value that is null or 0 (none on a logarithmic axis) breaks it.
function path(series, across, up) {
  let line = "", pen = "M";
  series.y.forEach((value, k) => {
    if (!value) { pen = "M"; return; }
    line += `${pen}${across.place(series.x[k]).toFixed(2)} ${up.place(value).toFixed(2)}`;
    pen = "L";
  });
  return line;
}

function explore(root) {
  const data = JSON.parse(root.querySelector(".data").textContent);
  const slider = root.querySelector("input"), output = root.querySelector("output");
  const choice = root.querySelector("select"), body = root.querySelector("tbody");
  const panels = {}, all = data.variants[0].frames[0].series;
  const methods = [...new Set(all.map((one) => one.method))], kinds = [...new Set(all.map((one) => one.kind))];
  const names = Object.fromEntries(methods.map((name, k) => [name, data.variants[0].frames[0].rows[k][0]]));
  const dash = (one) => DASHES[one.kind][methods.indexOf(one.method) % 4];
  for (const panel of data.panels) {
    const svg = root.querySelector(`svg[data-panel="${panel.name}"]`);
    svg.id = `${data.name}-${panel.name}`;
    panels[panel.name] = frameOf(svg, data.x, panel);
  }
  for (const method of methods) for (const kind of kinds) {
    const item = document.createElement("span");
    const svg = element("svg", { viewBox: "0 0 38 12" }, item);
    element("path", { class: `curve ${kind}`, d: "M0 6L38 6", stroke: `var(--${method})`, "stroke-dasharray": dash({ method, kind }) }, svg);
    item.append(` ${names[method]}${kind === "bound" ? ", proved bound" : ""}`);
    root.querySelector(".legend").append(item);
  }
  function draw() {
    const frame = data.variants[choice ? choice.value : 0].frames[slider.value];
    output.textContent = String(data.b0[slider.value]);
    slider.setAttribute("aria-valuetext", `b0 = ${data.b0[slider.value]}`);
    for (const panel of Object.values(panels)) panel.curves.replaceChildren();
    for (const one of frame.series) {
      const { curves, across, up } = panels[one.panel];
      element("path", {
        class: `curve ${one.kind}`, d: path(one, across, up), stroke: `var(--${one.method})`, "stroke-dasharray": dash(one),
        "data-method": one.method, "data-kind": one.kind,
      }, curves);
    }
    body.replaceChildren(...frame.rows.map((row) => {
      const line = document.createElement("tr");
      row.forEach((value, k) => {
        const cell = document.createElement(k ? "td" : "th");
        if (!k) cell.scope = "row";
        cell.textContent = value;
        line.append(cell);
      });
      return line;
    }));
  }
  slider.addEventListener("input", draw);
  if (choice) choice.addEventListener("change", draw);
  draw();
}

document.querySelectorAll(".explorer").forEach(explore);
