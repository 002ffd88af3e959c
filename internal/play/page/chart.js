// The chart: pi's error by the number of terms, both logarithmic. The law is a
// line of slope −1: the error is very nearly 1/(π (n+1)).

import { svg } from "./dom.js";

const width = 420, height = 260, left = 52, right = 10, top = 10, bottom = 34;
const decadesX = [0, 7], decadesY = [-8, 0];

const x = (n) => left + ((Math.log10(n) - decadesX[0]) / (decadesX[1] - decadesX[0])) * (width - left - right);
const y = (e) => top + ((decadesY[1] - Math.log10(e)) / (decadesY[1] - decadesY[0])) * (height - top - bottom);

const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");

// newChart draws the axes and the law, and returns a function that draws
// points.
export function newChart(parent) {
  const title = svg("title", {}, "");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, title);
  for (let d = decadesX[0]; d <= decadesX[1]; d++) {
    const at = x(10 ** d);
    picture.append(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: height - bottom }));
    picture.append(svg("text", { x: at, y: height - bottom + 14, "text-anchor": "middle" }, "10" + superscript(d)));
  }
  for (let d = decadesY[0]; d <= decadesY[1]; d += 2) {
    const at = y(10 ** d);
    picture.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
    picture.append(svg("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, "10" + superscript(d)));
  }
  picture.append(svg("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, "n, the number of terms"));
  picture.append(svg("text", { x: left + 8, y: height - bottom - 10 }, "dashed: 1/(π(n+1))"));
  const law = [1, 1.5, 2, 3, 5, 8, 15, 30, 100, 1e7].map((n) => `${x(n)},${y(1 / (Math.PI * (n + 1)))}`).join(" ");
  picture.append(svg("polyline", { class: "law", points: law }));
  const dots = svg("g");
  picture.append(dots);
  parent.append(picture);

  const drawn = new Map();
  return (points) => {
    for (const { n, error } of points) {
      if (n < 1 || n > 1e7 || error <= 1e-8 || error > 1) continue;
      let dot = drawn.get(n);
      if (!dot) {
        dot = svg("circle", { r: 3 });
        drawn.set(n, dot);
        dots.append(dot);
      }
      dot.setAttribute("cx", x(n));
      dot.setAttribute("cy", y(error));
    }
    const last = points[points.length - 1];
    title.textContent = last ? `${drawn.size} results; for n = ${last.n} the error is ${last.error.toExponential(1)}` : "no result yet";
    picture.dataset.points = drawn.size;
  };
}
