// Guided experiments: a question, a guess to make first, a run, and what happened explained.
import { curves } from "./charts.js";
import { attempt } from "./notices.js";
import { get, post } from "./server.js";
import { curvesOf, differing, failure, picture, stateOf } from "./trial.js";
import { $, element, percent, say, short } from "./words.js";

let experiments = [], open = null, guess = null, waits = false, drawn = null;

export function begin(about) {
  experiments = about.experiments;
  $("experiment-list").replaceChildren(...experiments.map((each, i) => element("li", {},
    element("button", { id: `experiment-${each.name}`, onclick: () => choose(i) },
      `${i + 1}. ${each.title}`))));
  for (const sentence of about.experiments_left_out)
    $("experiment-list").after(element("p", { class: "bad" }, sentence));
}

function choose(i) {
  open = i;
  guess = drawn = null;
  const each = experiments[i];
  $("experiment-title").textContent = each.title;
  const choices = each.guesses.map((text, k) => element("label", {},
    element("input", { type: "radio", name: "guess", id: `guess-${k + 1}`, onchange: () => {
      guess = k + 1;
      $("experiment-run").disabled = false;
    } }), text));
  $("experiment-body").replaceChildren(
    element("p", { lang: each.language }, each.question),
    element("fieldset", { lang: each.language }, element("legend", {}, say("experiments.guess")),
      element("div", { class: "choices" }, ...choices)),
    element("div", { class: "tools" },
      element("button", { class: "main", id: "experiment-run", disabled: true, "aria-describedby": "run-help", onclick: start },
        say("experiments.run")),
      element("label", {}, say("experiments.seed"), " ", element("input",
        { id: "experiment-seed", type: "number", min: "0", value: "0", "aria-describedby": "run-help" }))),
    element("p", { class: "help", id: "run-help" }, say("experiments.run_help")),
    element("p", { id: "experiment-note", role: "status" }),
    element("div", { id: "experiment-curves" }), element("div", { id: "experiment-result" }));
  $("experiment-title").focus();
}

async function start() {
  const stops = $("experiment-run").dataset.stops;
  const seed = Number($("experiment-seed").value);
  $("experiment-result").replaceChildren();
  drawn = null;
  await attempt(() => stops ? post("trial/stop") :
    post("trial/experiment", { name: experiments[open].name, seed }),
    error => { $("experiment-note").textContent = error.message; });
  refresh();
}

export async function refresh() {
  if (waits || open === null) return;
  waits = true;
  try {
    show(await get("trial"));
  } catch (error) {
    $("experiment-note").textContent = error.message;
  } finally {
    waits = false;
  }
}

function show(trial) {
  const mine = trial.kind === "experiment" && trial.name === experiments[open].name;
  const runs = trial.running && mine, button = $("experiment-run");
  button.textContent = say(runs ? "trial.stop" : "experiments.run");
  if (runs) button.dataset.stops = "yes"; else delete button.dataset.stops;
  button.disabled = (trial.running && !mine) || (!runs && guess === null);
  if (trial.running && !mine) $("experiment-note").textContent = say("trial.other");
  if (!mine || guess === null) return;      // the guess comes first
  const state = stateOf(trial);
  if (state === drawn) return;
  drawn = state;
  $("experiment-note").textContent = failure(trial) ?? (runs ? say("trial.running", trial) : say("trial.ended"));
  if (!$("experiment-accuracy")) $("experiment-curves").replaceChildren(
    element("p", { class: "soft", id: "experiment-accuracy-now" }), svg("experiment-accuracy"));
  curvesOf($("experiment-accuracy"), $("experiment-accuracy-now"), trial.runs, "accuracy");
  if (trial.result) explained(experiments[open], trial.result);
}

function svg(id) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 460 230");
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", say("train.accuracy_label"));
  if (id) made.id = id;
  return made;
}

function explained(experiment, result) {
  const right = guess === experiment.right;
  const parts = [
    element("p", { class: right ? "good" : "bad", id: "guess-says" }, say(right ? "experiments.right" : "experiments.wrong",
      { guess: experiment.guesses[guess - 1], right: experiment.guesses[experiment.right - 1] })),
    element("h3", {}, say("experiments.explained")),
    ...result.explanation.map(text => element("p", { lang: experiment.language }, text)),
  ];
  if (result.pictures.length)
    parts.push(element("div", { class: "few" }, ...result.pictures.map(picture)));
  for (const each of result.curves) parts.push(line(each));
  if (result.beside) {
    const list = element("div", { class: "few" }), count = element("p", { class: "soft" });
    differing(list, count, result.beside);
    parts.push(element("details", {}, element("summary", {}, say("beside.differ")), count, list));
  }
  parts.push(element("h3", {}, say("experiments.claims")),
    element("ul", { id: "claims" }, ...result.claims.map(claim => element("li", { class: claim.holds ? "good" : "bad" },
      say(claim.holds ? "experiments.holds" : "experiments.fails", claim)))),
    element("p", { class: "soft" }, say("experiments.took", { seconds: short(result.seconds, 2), seed: result.seed })));
  for (const run of result.runs)
    for (const sentence of run.warnings) parts.push(element("p", { class: "soft", lang: "en" }, `${run.says}: ${sentence}`));
  if (open + 1 < experiments.length)
    parts.push(element("button", { id: "experiment-next", onclick: () => choose(open + 1) },
      say("experiments.next", { title: experiments[open + 1].title })));
  $("experiment-result").replaceChildren(...parts);
}

function line({ says, x, y }) {
  const drawing = svg();
  drawing.setAttribute("aria-label", says);
  const points = x.map((value, i) => [value, y[i]]).filter(([, value]) => value !== null);
  curves(drawing, [{ name: "first", points }], { end: Math.max(...x), low: 0, high: Math.max(1e-3, ...points.map(p => p[1])),
    written: v => Math.max(...y) <= 1 ? percent(v, 0) : short(v, 3), unit: "" });
  return element("figure", {}, drawing, element("figcaption", {}, says));
}
