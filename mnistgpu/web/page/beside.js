// Two networks side by side, with the same images in the same order and one difference.
import { attempt } from "./notices.js";
import { get, post } from "./server.js";
import { curvesOf, differing, failure, stateOf } from "./trial.js";
import { $, element, say } from "./words.js";

let differences = [], waits = false, drawn = null;

export function begin(about) {
  differences = about.differences;
  $("difference").replaceChildren(...differences.map(({ name }) =>
    element("option", { value: name }, say(`beside.of_${name}`))));
  $("difference").onchange = chosen;
  $("beside-start").onclick = start;
  chosen();
}

function chosen() {
  const { name, names, value } = differences.find(each => each.name === $("difference").value);
  $("difference-help").textContent = say(`beside.help_${name}`);
  $("other-label").hidden = value === null;
  const old = $("other-value");
  const box = names
    ? element("select", { id: "other-value" }, ...names.map(each => element("option", { value: each }, each)))
    : element("input", { id: "other-value", type: "text", size: "9", inputmode: "decimal" });
  if (value !== null) box.value = value;
  old.replaceWith(box);
}

async function start() {
  const wanted = $("beside-start").dataset.stops ? ["trial/stop", {}]
    : ["trial/beside", { difference: $("difference").value, value: $("other-value").value }];
  await attempt(() => post(...wanted), error => { $("beside-note").textContent = error.message; });
  refresh();
}

export async function refresh() {
  if (waits) return;
  waits = true;
  try {
    const trial = await get("trial");
    const mine = trial.kind === "beside", runs = trial.running && mine;
    $("beside-start").textContent = say(runs ? "trial.stop" : "beside.start");
    if (runs) $("beside-start").dataset.stops = "yes"; else delete $("beside-start").dataset.stops;
    $("beside-start").disabled = trial.running && !mine;
    if (trial.running && !mine) $("beside-note").textContent = say("trial.other");
    if (!mine) return;
    $("beside-note").textContent = failure(trial) ?? (runs ? say("trial.running", trial) : say("trial.ended"));
    const state = stateOf(trial);
    if (state === drawn) return;
    drawn = state;
    for (const quantity of ["accuracy", "loss"])
      curvesOf($(`beside-${quantity}`), $(`beside-${quantity}-now`), trial.runs, quantity);
    if (trial.result?.beside) differing($("differ"), $("differ-count"), trial.result.beside);
    else { $("differ").replaceChildren(); $("differ-count").textContent = ""; }
  } catch (error) {
    $("beside-note").textContent = error.message;
  } finally {
    waits = false;
  }
}
