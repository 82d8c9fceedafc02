// What a run has reached: curves with the events on them, weights, and answers to some digits.
import { curves } from "./charts.js";
import { bytes, canvas, grey, onScheme, paint, signed } from "./tiles.js";
import { $, clock, element, fixed, percent, say, short, whole } from "./words.js";

const MOST_ROWS = 4000;          // kept here; of more, every second one is dropped
let rows = [], pictured = null, drawn = "";
export const run = { id: null, seen: 0, events: [], steps: 1, view: 0 };

// Take what the server sent. Rows of another run, or of one that went back, replace the old ones.
export function take(state) {
  if (state.run !== run.id) { rows = []; run.seen = 0; }
  run.id = state.run;
  run.steps = state.steps;
  run.events = state.events ?? [];
  run.seen += state.rows.length;
  rows = rows.concat(state.rows);
  if (rows.length > MOST_ROWS) rows = rows.filter((_, i) => i % 2 === 0 || i === rows.length - 1);
  const now = JSON.stringify([run.id, run.seen, run.steps, run.events]);
  if (now !== drawn) draw();       // drawing takes time that training could have
  drawn = now;
  if (!state.units) return;
  pictured = { digits: pictured?.digits, ...state };   // the digits do not change, and come once
  run.view = state.view ?? 0;
  pictures(pictured);
}

export function newestPictures() { return pictured; }

function draw() {
  const values = name => rows.flatMap(row => [row[`train_${name}`], row[`validation_${name}`]])
    .filter(v => v !== null);
  const learnt = rows.length > 2 ? values("accuracy").slice(4).reduce((a, b) => Math.min(a, b), 1) : 0;
  const lowest = learnt > .9 ? .9 : learnt > .5 ? .5 : 0;
  chart("accuracy", lowest, 1, v => percent(v, v * 100 % 1 ? 1 : 0));
  chart("loss", 0, Math.max(1e-3, ...values("loss")), v => short(v, 3));
}

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

function pictures(state) {
  const weights = signed();
  state.units.forEach((text, i) => paint(canvas($("units"), i), bytes(text), state.width, weights));
  while ($("units").children.length > state.units.length) $("units").lastChild.remove();
  const limit = fixed(state.limit, 2);
  $("limit").textContent = say("train.limit", { less: `−${limit}`, more: `+${limit}` });
  while ($("digits").children.length > state.digits.length) $("digits").lastChild.remove();
  let right = 0;
  state.digits.forEach((text, i) => {
    const box = $("digits").children[i] ?? newDigit(state.probabilities[i].length);
    paint(box.querySelector("canvas"), bytes(text), state.width, grey);
    const shares = state.probabilities[i], best = shares.indexOf(Math.max(...shares));
    right += best === state.labels[i];
    box.classList.toggle("wrong", best !== state.labels[i]);
    shares.forEach((share, digit) => {
      const bar = box.querySelector(".bars").children[digit];
      bar.style.height = 100 * share + "%";
      bar.classList.toggle("best", digit === best);
    });
    box.querySelector(".said").textContent = `${best}, ${percent(shares[best], 0)}`;
  });
  $("right").textContent = say("train.right", { right, count: state.digits.length });
}

function newDigit(classes) {
  const bars = Array.from({ length: classes }, () => element("i"));
  return $("digits").appendChild(element("div", {}, element("canvas"),
    element("div", { class: "bars" }, ...bars), element("div", { class: "said" })));
}

// The line below the title: how far the run is. lost: the server does not answer any more.
export function header(state, lost = false) {
  const row = rows[rows.length - 1];
  if (!row) {
    $("where").textContent = lost ? say("page.ended_before") : say("page.waiting");
    return;
  }
  const share = Math.min(1, row.iteration / state.steps);
  const how = state.finished ? "where_finished" : lost ? "where_lost" : "where_at";
  const where = say(`train.${how}`, { iteration: whole(row.iteration), steps: whole(state.steps),
    epoch: fixed(row.epoch, 1), time: clock(row.seconds) });
  const goes = !state.finished && !lost && share < 1 && state.running !== "paused";
  const left = goes ? say("train.to_go", { time: clock(row.seconds * (1 / share - 1)) }) : "";
  $("where").textContent = where + left;
  $("title").textContent = state.title;
  $("done").style.width = 100 * (state.finished ? 1 : share) + "%";
  document.title = `${(100 * share).toFixed(0)}% ${state.title}`;
}

onScheme(() => pictured && pictures(pictured));
