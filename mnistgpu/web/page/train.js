// What a run has reached: curves with the events on them, weights, and answers to some digits.
import { curves } from "./charts.js";
import { bytes, canvas, grey, onScheme, paint, signed } from "./tiles.js";
import { seen, watch } from "./visible.js";
import { $, clock, element, fixed, percent, say, short, whole, write } from "./words.js";

const MOST_ROWS = 800;           // kept here; of more, every second one of the whole run is dropped
const CURVES = ["accuracy", "loss"], PICTURES = ["units", "digits"];
let rows = [], stride = 1;       // of the rows of a run one of `stride` is kept, and the newest
let pictured = null, had = -1, changed = "";
const late = new Set();          // what has changed while it was not seen
export const run = { id: null, seen: 0, events: [], steps: 1, view: 0 };

export function begin() {
  for (const name of [...CURVES, ...PICTURES]) watch($(name), () => {
    if (late.delete(name)) DRAWN[name]();
    if (PICTURES.includes(name)) dispatchEvent(new Event("seen"));   // newer ones are asked for
  });
}

// Whether the pictures of the run would be seen; the first ones are drawn in any case.
export function wantsPictures() {
  return pictured === null || [...PICTURES, "all-units"].some(name => seen($(name)));
}

// Draw these now if they are seen, or if `every` says so, and else once they are.
function draw(names, every) {
  for (const name of names) {
    if (every || seen($(name))) { late.delete(name); DRAWN[name](); } else late.add(name);
  }
}

// Take what the server sent. Rows of another run, or of one that went back, replace the old ones.
export function take(state) {
  if (state.run !== run.id) { rows = []; stride = 1; run.seen = 0; }
  run.id = state.run;
  run.steps = state.steps;
  run.events = state.events ?? [];
  rows = rows.concat(state.rows.map((row, i) => ({ ...row, place: run.seen + i })));
  run.seen += state.rows.length;
  do rows = rows.filter((row, i) => row.place % stride === 0 || i === rows.length - 1);
  while (rows.length > MOST_ROWS && (stride *= 2));
  const doing = JSON.stringify([run.id, run.steps, run.events]);
  if (doing !== changed || run.seen !== had) draw(CURVES, doing !== changed);
  [changed, had] = [doing, run.seen];
  if (!state.units) return;
  const first = pictured === null;
  pictured = { digits: pictured?.digits, ...state };   // the digits do not change, and come once
  run.view = state.view ?? 0;
  draw(PICTURES, first);
}

export function newestPictures() { return pictured; }

const values = name => rows.flatMap(row => [row[`train_${name}`], row[`validation_${name}`]])
  .filter(v => v !== null);

function accuracy() {
  const learnt = rows.length > 2 ? values("accuracy").slice(4).reduce((a, b) => Math.min(a, b), 1) : 0;
  const lowest = learnt > .9 ? .9 : learnt > .5 ? .5 : 0;
  chart("accuracy", lowest, 1, v => percent(v, v * 100 % 1 ? 1 : 0));
}

function loss() { chart("loss", 0, Math.max(1e-3, ...values("loss")), v => short(v, 3)); }

function chart(quantity, low, high, written) {
  const lines = [], now = [];
  for (const part of ["train", "validation"]) {
    const points = rows.filter(row => row[`${part}_${quantity}`] !== null)
      .map(row => [row.iteration, row[`${part}_${quantity}`]]);
    if (!points.length) continue;
    lines.push({ name: part, points });
    const newest = points[points.length - 1][1];
    now.push(element("b", { class: part }, say(`train.part_${part}`)),
      ` ${quantity === "loss" ? fixed(newest, 4) : percent(newest)}  `);
  }
  curves($(quantity), lines,
    { end: run.steps, low, high, written, unit: say("train.iteration"), events: run.events });
  $(`${quantity}-now`).replaceChildren(...now);
}

function units() {
  const { units, width, limit } = pictured, weights = signed();
  units.forEach((text, i) => paint(canvas($("units"), i), bytes(text), width, weights));
  while ($("units").children.length > units.length) $("units").lastChild.remove();
  const most = fixed(limit, 2);
  write($("limit"), say("train.limit", { less: `−${most}`, more: `+${most}` }));
}

function digits() {
  const { digits, labels, probabilities, width } = pictured;
  while ($("digits").children.length > digits.length) $("digits").lastChild.remove();
  let right = 0;
  digits.forEach((text, i) => {
    const box = $("digits").children[i] ?? newDigit(probabilities[i].length);
    if (box.dataset.pixels !== text) {
      box.dataset.pixels = text;
      paint(box.querySelector("canvas"), bytes(text), width, grey);
    }
    const shares = probabilities[i], best = shares.indexOf(Math.max(...shares));
    right += best === labels[i];
    box.classList.toggle("wrong", best !== labels[i]);
    const bars = box.querySelector(".bars").children;
    shares.forEach((share, digit) => {
      const height = `${Math.round(100 * share)}%`;
      if (bars[digit].style.height !== height) bars[digit].style.height = height;
      bars[digit].classList.toggle("best", digit === best);
    });
    write(box.querySelector(".said"), `${best}, ${percent(shares[best], 0)}`);
  });
  write($("right"), say("train.right", { right, count: digits.length }));
}

const DRAWN = { accuracy, loss, units, digits };

function newDigit(classes) {
  const bars = Array.from({ length: classes }, () => element("i"));
  return $("digits").appendChild(element("div", {}, element("canvas"),
    element("div", { class: "bars" }, ...bars), element("div", { class: "said" })));
}

// The line below the title: how far the run is. lost: the server does not answer any more.
export function header(state, lost = false) {
  const row = rows[rows.length - 1];
  if (!row) {
    write($("where"), say(lost ? "page.ended_before" : "page.waiting"));
    return;
  }
  const share = Math.min(1, row.iteration / state.steps);
  const how = state.finished ? "where_finished" : lost ? "where_lost" : "where_at";
  const where = say(`train.${how}`, { iteration: whole(row.iteration), steps: whole(state.steps),
    epoch: fixed(row.epoch, 1), time: clock(row.seconds) });
  const goes = !state.finished && !lost && share < 1 && state.running !== "paused";
  const left = goes ? say("train.to_go", { time: clock(row.seconds * (1 / share - 1)) }) : "";
  write($("where"), where + left);
  write($("title"), state.title);
  const width = `${(100 * (state.finished ? 1 : share)).toFixed(1)}%`;
  if ($("done").style.width !== width) $("done").style.width = width;
  const title = `${(100 * share).toFixed(0)}% ${state.title}`;
  if (document.title !== title) document.title = title;   // which the browser shows elsewhere too
}

onScheme(() => pictured && draw(PICTURES, true));
addEventListener("beforeprint", () => draw([...late], true));
