// Curves and histograms, drawn as SVG.
import { whole, short } from "./words.js";

const SIDES = { left: 46, right: 450, top: 16, bottom: 196 };
const MOST_POINTS = 400;         // of a curve, so that a long run costs no more than a short one

// Ticks of an axis from low to high: about `count` round numbers.
function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(n => n * power).find(s => s >= raw);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step + 0; v <= high + step * 1e-6; v += step)
    found.push(v === 0 ? 0 : v);   // not -0
  return found;
}

function thinned(points) {
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

// lines: [{ name, points: [[step, value], ...] }]; events: [{ step, number }] on the curves.
export function curves(svg, lines, { end, low, high, written, unit, events = [] }) {
  const { left, right, top, bottom } = SIDES;
  const x = v => left + v / Math.max(end, 1) * (right - left);
  const y = v => bottom - (Math.min(high, Math.max(low, v)) - low) / (high - low) * (bottom - top);
  let drawn = "";
  for (const v of ticks(low, high, 4))
    drawn += `<line class="grid" x1="${left}" x2="${right}" y1="${y(v)}" y2="${y(v)}"/>` +
      `<text x="${left - 6}" y="${y(v) + 4}" text-anchor="end">${written(v)}</text>`;
  for (const v of ticks(0, Math.max(end, 1), 4).filter(Number.isInteger))
    drawn += `<text x="${x(v)}" y="${bottom + 16}" text-anchor="${x(v) > right - 12 ? "end" : "middle"}">${whole(v)}</text>`;
  drawn += `<text x="${(left + right) / 2}" y="${bottom + 31}" text-anchor="middle">${unit}</text>`;
  let last = -99;
  for (const { step, number } of events) {
    const place = x(step);
    drawn += `<line class="event" x1="${place}" x2="${place}" y1="${top}" y2="${bottom}"/>`;
    if (place - last < 12) continue;   // numbers on top of each other cannot be read
    drawn += `<text class="event-name" x="${place}" y="${top - 4}" text-anchor="middle">${number}</text>`;
    last = place;
  }
  for (const { name, points } of lines) {
    if (!points.length) continue;
    const places = thinned(points).map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`);
    drawn += `<polyline class="${name}" points="${places.join(" ")}"/>`;
  }
  svg.innerHTML = drawn;
}

// counts of numbers between `low` and `high`, in as many bars.
export function histogram(svg, { counts, low, high }) {
  const left = 6, right = 214, bottom = 76, most = Math.max(...counts, 1);
  const width = (right - left) / counts.length;
  let drawn = `<line class="grid" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`;
  counts.forEach((count, i) => {
    const height = count === 0 ? 0 : Math.max(1, 70 * Math.sqrt(count / most));
    drawn += `<rect class="bar" x="${(left + i * width).toFixed(2)}" y="${(bottom - height).toFixed(2)}" ` +
      `width="${(.9 * width).toFixed(2)}" height="${height.toFixed(2)}"/>`;
  });
  drawn += `<text x="${left}" y="${bottom + 13}">${short(low, 3)}</text>` +
    `<text x="${right}" y="${bottom + 13}" text-anchor="end">${short(high, 3)}</text>`;
  svg.setAttribute("viewBox", "0 0 220 94");
  svg.innerHTML = drawn;
}
