// The controls: start, pause and steps; settings that change while it learns or start it anew.
import { attempt, notice } from "./notices.js";
import { get, post } from "./server.js";
import { $, decimal, element, nameOf, say, short, valueOf, whole, write } from "./words.js";

let newest = null, shown = "";
const boxes = new Map();         // of each setting: its control and the sentence below it

const act = (action, more = {}) => attempt(() => post("do", { action, ...more }));

export function begin(about) {
  $("start").onclick = () => act(newest?.running === "running" ? "pause" : "start");
  $("step").onclick = () => act("step");
  $("epoch").onclick = () => act("epoch");
  $("pace").onchange = () => act("pace", { pace: $("pace").value });
  $("again").onclick = () => act("again", { other_seed: false });
  $("again-other").onclick = () => act("again", { other_seed: true });
  $("undo").onclick = () => act("undo");
  $("go-back").onclick = () => act("back", { step: +$("back").value });
  $("closed").onchange = () => act("closed", { closed: $("closed").value });
  $("save").onclick = () => attempt(async () =>
    notice(say("link.saved", await post("do", { action: "save" }))));
  $("copy").onclick = copy;
  $("sharing").ontoggle = address;
  $("opening-leave").onclick = () => { $("opening").hidden = true; };
  for (const group of about.groups) {
    const fields = element("div", { class: "fields" }, ...group.controls.map(field));
    $("controls").append(element("details", { id: `group-${group.name}`, open: group.open },
      element("summary", {}, say(`group.${group.name}`)),
      element("p", { class: "help" }, say(group.live ? "train.live" : "train.anew")), fields));
  }
  $("controls").append(recipes(about));
  opened();
}

function recipes(about) {
  const choice = element("select", { id: "recipe", "aria-describedby": "recipe-help" },
    ...about.recipes.map(name => element("option", { value: name }, name)));
  const button = element("button", { onclick: () => act("recipe", { recipe: choice.value }) },
    say("train.recipe_start"));
  return element("details", { id: "group-recipe" }, element("summary", {}, say("group.recipe")),
    element("div", { class: "tools" }, element("label", { for: "recipe" }, say("train.recipe")),
      choice, button),
    element("p", { class: "help", id: "recipe-help" }, say("train.recipe_help")));
}

// A control of a setting: what it is, what it does, and the range that it must keep to.
function field(control) {
  const { name, kind } = control, id = `set-${name}`;
  const described = { id, "aria-describedby": `${id}-help ${id}-range` };
  let box;
  if (kind === "choice")
    box = element("select", described, ...control.names.map(each => element("option", { value: each }, each)));
  else if (kind === "switch") box = element("input", { ...described, type: "checkbox" });
  else box = element("input", { ...described, type: "text", autocomplete: "off",
    inputmode: kind === "text" ? "text" : "decimal" });
  const range = element("p", { class: "range", id: `${id}-range`, role: "alert" });
  boxes.set(name, { control, box, range });
  box.onchange = () => change(name);
  return element("div", { class: "field" }, element("label", { for: id }, nameOf(name), box),
    element("p", { class: "help", id: `${id}-help` }, say(`help.${name}`)), range);
}

function shownValue({ kind }, value) {
  if (value === null) return "";
  if (kind === "text" || kind === "choice") return value;
  return typeof value === "number" ? String(value).replace(".", decimal) : String(value);
}

// What a control says: [value] if it may be that, else nothing.
function given({ kind, none, low, high, above }, box) {
  if (kind === "switch") return [box.checked];
  if (kind === "choice" || kind === "text") return [box.value.trim()];
  const text = box.value.trim().replace(",", ".");
  if (text === "") return none ? [null] : [];
  const value = Number(text);
  const inRange = Number.isFinite(value) && (above ? value > low : value >= low) &&
    (high === null || value < high) && (kind !== "whole" || Number.isInteger(value));
  return inRange ? [value] : [];
}

function rangeOf(control) {
  const below = control.high === null ? "" : say("train.range_below", { high: short(control.high) });
  const kind = control.kind === "whole" ? "whole" : control.above ? "above" : "from";
  return say(`train.range_${kind}`, { low: short(control.low) }) + below;
}

async function change(name) {
  const { control, box, range } = boxes.get(name);
  const now = newest.settings[name];
  const refuse = sentence => {
    range.textContent = sentence;
    box.setAttribute("aria-invalid", "true");
    put(control, box, now);
  };
  const values = given(control, box);
  if (!values.length) {
    const stays = now === null ? say("train.stays_none") : short(now, 6);
    return refuse(say("train.out_of_range", { name: nameOf(name), range: rangeOf(control), value: stays }));
  }
  const [value] = values;
  if (value === now) return;
  range.textContent = "";
  box.removeAttribute("aria-invalid");
  const changes = newest.changeable.includes(name) ? "change" : "anew";
  await attempt(() => post("do", { action: changes, name, value, seen: newest.revision }),
    error => refuse(error.message));
}

function put(control, box, value) {
  if (control.kind === "switch") box.checked = value;
  else box.value = shownValue(control, value);
}

// What the newest state says of the controls.
export function steered(state) {
  const before = newest;
  newest = state;
  const runs = state.running === "running";
  write($("start"), say(runs ? "train.pause" : "train.start"));
  $("start").disabled = $("step").disabled = state.running === "finished";
  write($("running"), say(`train.is_${state.running}`, { step: whole(state.step) }));
  if (document.activeElement !== $("pace")) $("pace").value = state.pace;
  if (document.activeElement !== $("closed")) $("closed").value = state.closed;
  $("undo").disabled = state.points.length === 0;
  const now = JSON.stringify([state.run, state.settings, state.events, state.points]);
  if (now === shown) return;
  shown = now;
  for (const [name, { control, box }] of boxes)
    if (document.activeElement !== box || before?.settings[name] !== state.settings[name])
      put(control, box, state.settings[name]);
  events(state);
  address();
}

function events(state) {
  $("events").replaceChildren(...state.events.map(each => element("tr", {},
    element("td", { class: "number" }, String(each.number)),
    element("td", { class: "number" }, whole(each.step)),
    element("td", {}, say("train.event", { name: nameOf(each.name), from: valueOf(each.old),
      to: valueOf(each.new) })))));
  $("points").textContent = say("train.points", { count: state.points.length });
  const chosen = $("back").value;
  $("back").replaceChildren(...state.points.map(step =>
    element("option", { value: String(step) }, whole(step))));
  if (chosen !== "" && state.points.includes(+chosen)) $("back").value = chosen;
  $("go-back").disabled = $("back").disabled = state.points.length === 0;
}

// The state in the address: settings, seed, data and events, as the server wrote them down.
// Where it cannot be written down, the place of the address says why.
async function address() {
  if (!$("sharing").open) return;
  await attempt(async () => {
    const own = new URL(location.href);
    own.searchParams.delete("token");
    own.hash = `run=${(await get("link")).link}`;
    $("address").value = own.href;
  }, error => {
    $("address").value = "";
    $("address").placeholder = error.message;
  });
}

async function copy() {
  await address();
  if (!$("address").value) return notice($("address").placeholder, true);
  $("address").select();
  try {
    await navigator.clipboard.writeText($("address").value);
    notice(say("link.copied"));
  } catch {
    notice(say("link.copy_by_hand"));
  }
}

// An address that holds a run: what it would train is shown where the page is opened. Any page of the
// web can lead a browser to such an address, so a button must be pressed before it is trained.
async function opened() {
  const link = new URLSearchParams(location.hash.slice(1)).get("run");
  if (!link) return;
  history.replaceState(null, "", location.pathname + location.search);
  $("opening").hidden = true;
  await attempt(async () => {
    const { settings, events, taken } = await post("address", { link });
    $("opening-says").textContent = say("link.opening_says", { events: whole(events), step: whole(taken) });
    $("opening-settings").replaceChildren(...settings.map(([name, value]) => element("tr", {},
      element("th", { scope: "row" }, nameOf(name)), element("td", {}, valueOf(value)))));
    $("opening-train").onclick = () => trainOpened(link);
    $("opening").hidden = false;
    $("opening-title").focus();
  });
}

async function trainOpened(link) {
  $("opening").hidden = true;
  await attempt(async () => {
    const answer = await post("do", { action: "open", link });
    notice(say("link.opened"));
    if (answer.version) notice(say("link.other_version", answer), true);
  });
}
addEventListener("hashchange", opened);
