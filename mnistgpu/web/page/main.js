// The page: it asks for the state of the run, shows its parts, and says what happened.
import { begin as beginBeside, refresh as refreshBeside } from "./beside.js";
import { counted, ofPicture, painted } from "./cost.js";
import { begin as beginExperiments, refresh as refreshExperiments } from "./experiments.js";
import { begin as beginLayers, refresh as refreshLayers } from "./layers.js";
import { begin as beginNeuron, refresh as refreshNeuron } from "./neuron.js";
import { notice } from "./notices.js";
import { get, me, post } from "./server.js";
import { begin as beginSteering, steered } from "./steer.js";
import { begin as beginRun, header, run, take, wantsPictures } from "./train.js";
import { $, nameOf, say, valueOf, write } from "./words.js";

// Milliseconds from one request to the next, where pictures are seen and where only words change,
// and at least between an answer and the next request.
const MOVING = 200, RUNNING = 500, RESTING = 600, HIDDEN = 2000, SHORTEST = 50;
// Where this thread would work for more than this share of the time, it asks less often.
const SHARE = .02, SLOWEST = 2000;
const steers = document.documentElement.dataset.mode === "lab";
let wake = () => {}, done = false;   // whether this browser has done something since it asked
const pause = time => new Promise(go => { wake = go; setTimeout(go, time); });
for (const each of ["done", "seen"]) addEventListener(each, () => { done = true; wake(); });
const REFRESH = { train: () => {}, neuron: refreshNeuron, layers: refreshLayers,
  beside: refreshBeside, experiments: refreshExperiments };

// The parts of the page, as tabs: arrow keys go from one to the next.
const tabs = [...document.querySelectorAll("[role=tab]")];
let shown = "train", newest = null;
function show(name, focus = false) {
  shown = name;
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  REFRESH[name](true, newest);
}
tabs.forEach((tab, i) => {
  tab.onclick = () => show(tab.getAttribute("aria-controls"));
  tab.onkeydown = event => {
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(tabs[(to + tabs.length) % tabs.length].getAttribute("aria-controls"), true);
  };
});

function large(on) {
  document.documentElement.classList.toggle("large", on);
  $("large").setAttribute("aria-pressed", on);
}
$("large").onclick = () => large($("large").getAttribute("aria-pressed") !== "true");
large(new URLSearchParams(location.search).has("large"));

// Several browsers may steer: what another one did is said here.
let told = null;
function said({ words, values }) {
  const { name, from, to } = values;
  return say(words, { ...values, ...(name && { name: nameOf(name) }),
    ...(to !== undefined && { from: valueOf(from), to: valueOf(to) }) });
}
function tell(notices) {
  for (const each of notices) {
    if (told !== null && each.number > told && each.browser !== me)
      notice(said(each), each.bad);
    told = Math.max(told ?? -1, each.number);
  }
  told ??= -1;
}

// Milliseconds from this request to the next. pictures: whether they are seen; cost: of the newest.
function distance(state, pictures, cost) {
  if (document.hidden) return HIDDEN;
  if (state?.running === "paused") return RESTING;
  const least = steers && pictures ? MOVING : RUNNING;
  return Math.max(least, Math.min(SLOWEST, cost / SHARE));
}

async function watch() {
  while (true) {
    const begun = performance.now(), pictures = !document.hidden && wantsPictures();
    done = false;
    try {
      const brief = pictures ? "" : "&brief=1";
      const state = await get(`state?after=${run.seen}&run=${run.id ?? ""}&browser=${me}&view=${run.view}${brief}`);
      if (state.starting) { tell(state.notices); await pause(RUNNING); continue; }
      newest = state;
      counted(() => {
        take(state);
        header(state);
        if (steers) { tell(state.notices); steered(state); }
      });
      if (steers) REFRESH[shown](false, state);
      else if (state.finished) return;
      await painted();
    } catch (error) {
      if (error.status) { write($("where"), error.message); return; }
      header(newest ?? {}, true);
      if (!steers) return;
      await pause(RESTING);
    }
    const cost = ofPicture();
    const every = done ? 0 : distance(newest, pictures, cost);
    await pause(Math.max(SHORTEST, every - (performance.now() - begun)));
  }
}

addEventListener("pagehide", () => steers && post("leave", {}, { keepalive: true }).catch(() => {}));

beginRun();
if (steers) {
  $("train").setAttribute("role", "tabpanel");
  $("train").setAttribute("aria-labelledby", "tab-train");
  const about = await get("about");
  beginSteering(about);
  beginNeuron(about);
  beginLayers();
  beginBeside(about);
  beginExperiments(about);
} else {
  document.querySelectorAll(".steer").forEach(part => { part.hidden = true; });
}
watch();
