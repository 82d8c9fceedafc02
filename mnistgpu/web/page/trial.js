// A run of its own beside the lab's: an experiment, or two networks side by side.
import { curves } from "./charts.js";
import { bytes, grey, paint } from "./tiles.js";
import { $, element, percent, say, short } from "./words.js";

const COLOURS = ["first", "second", "third", "fourth"];

// Why a trial ended before its end; null if it did not.
export function failure(trial) {
  return trial.error === "stopped" ? say("trial.stopped") : trial.error ?? null;
}

// What is drawn of a trial changes with this. The result comes after the last row of the curves.
export function stateOf({ number, rows, running }) {
  return JSON.stringify([number, rows, running]);
}

// Curves of all runs of a trial. runs: [{ name, says, history: { iteration, train_loss, ... } }]
export function curvesOf(svg, now, runs, quantity) {
  const measured = history => history[`validation_${quantity}`]?.some(v => v !== null)
    ? history[`validation_${quantity}`] : history[`train_${quantity}`] ?? [];
  const lines = runs.map(({ history }, i) => ({
    name: COLOURS[i % COLOURS.length],
    points: measured(history).map((value, k) => [history.iteration[k], value])
      .filter(([, value]) => value !== null),
  }));
  const values = lines.flatMap(line => line.points.map(point => point[1]));
  const end = Math.max(1, ...lines.flatMap(line => line.points.map(point => point[0])));
  const accuracy = quantity === "accuracy";
  const high = accuracy ? 1 : Math.max(1e-3, Math.min(10, Math.max(...values, 0)));
  curves(svg, lines, { end, low: 0, high, unit: say("train.iteration"),
    written: accuracy ? v => percent(v, 0) : v => short(v, 3) });
  now?.replaceChildren(...runs.flatMap(({ says }, i) => {
    const last = lines[i].points.at(-1);
    return [element("b", { class: COLOURS[i % COLOURS.length] }, says),
      last ? ` ${accuracy ? percent(last[1], 1) : short(last[1], 3)}  ` : "  "];
  }));
}

export function picture({ pixels, width, says }) {
  const caption = element("figcaption", {}, says);
  if (pixels === null) return element("figure", {}, caption);
  const drawn = element("canvas", { role: "img", "aria-label": says });
  paint(drawn, bytes(pixels), width, grey);
  return element("figure", {}, drawn, caption);
}

// Where two networks answer differently, with the images.
export function differing(list, count, beside) {
  count.textContent = say("beside.count", { different: beside.different, images: beside.images,
    first: beside.counts.first, second: beside.counts.second, neither: beside.counts.neither });
  list.replaceChildren(...beside.shown.map(each => picture({ ...each, says: say("beside.answers",
    { index: each.index, label: each.label, first: each.answers[0], second: each.answers[1] }) })));
}
