// Edits of the network: what they are, and the accuracy on the test images that is left.
import { attempt, notice } from "./notices.js";
import { get, post } from "./server.js";
import { $, element, percent, say, short, whole, write } from "./words.js";

let changed = () => {}, opened = () => null, going = false;

const KINDS = {                  // value: what it begins with; low, high: its range
  off: { unit: true }, scale: { unit: true, value: .5, low: -1000, high: 1000 },
  shift: { unit: true, value: .5, low: -1000, high: 1000 },
  prune: { unit: false, value: 50, low: 0, high: 100 },
};

// after: called when the network was edited. unit: says which unit is opened, null if none is.
export function begin(after, unit) {
  changed = after;
  opened = unit;
  $("edit-controls").replaceChildren(
    element("p", { id: "edit-of", class: "soft" }, say("edit.of_none")),
    element("div", { class: "fields" }, ...Object.keys(KINDS).map(control)),
    element("div", { class: "tools" },
      ...["undo", "reset"].map(what => element("button", { id: `edit-${what}`, onclick: () => edit({ what }) }, say(`edit.${what}`))),
      element("button", { id: "edit-save", "aria-describedby": "edit-save-help", onclick: save }, say("edit.save"))),
    element("p", { class: "help", id: "edit-save-help" }, say("edit.save_help")));
}

function control(what) {
  const { unit, value, low, high } = KINDS[what], id = `edit-${what}`;
  const range = element("p", { class: "range", role: "alert" });
  const box = value === undefined ? null : element("input", { id: `${id}-value`, type: "number",
    step: "any", value: String(value), "aria-describedby": `${id}-help` });
  const layer = unit ? null : element("select", { id: "prune-layer" });
  const button = element("button", { id, "aria-describedby": `${id}-help`, disabled: unit, onclick: () => {
    const by = box === null ? undefined : Number(box.value);
    if (box !== null && (box.value.trim() === "" || !(by >= low && by <= high))) {
      range.textContent = say("edit.out_of_range", { low, high });
      box.value = String(value);
      return;
    }
    range.textContent = "";
    const where = unit ? opened() : { layer: +layer.value };
    edit({ what, ...where, value: what === "prune" ? by / 100 : by });
  } }, say(`edit.${what}`));
  const tools = element("div", { class: "tools" });
  if (layer) tools.append(element("label", { for: "prune-layer" }, say("edit.layer")), layer);
  if (box) tools.append(element("label", { for: `${id}-value` }, say(`edit.${what}_value`)), box);
  tools.append(button);
  return element("div", { class: "field" }, tools,
    element("p", { class: "help", id: `${id}-help` }, say(`edit.${what}_help`)), range);
}

// A unit was opened: from now on edits are of it. layers: those of the network.
export function edited(unit, layers) {
  $("edit-of").textContent = say("edit.of", unit);
  for (const what of ["off", "scale", "shift"]) $(`edit-${what}`).disabled = false;
  fill(layers.length);
}

function fill(layers) {
  const box = $("prune-layer");
  if (box.options.length === layers) return;
  box.replaceChildren(...Array.from({ length: layers }, (_, i) => element("option", { value: String(i + 1) }, String(i + 1))));
}

export function areEdits() { return $("edits").querySelector("li") !== null; }

async function edit(body) {
  await attempt(async () => {
    const found = await post("edit", body);
    show(found);
    changed();
    await judgeOthers(found);
  });
}

// At once the accuracy is of the first test images, and then of more and more of them.
async function judgeOthers(found) {
  if (going) return;
  going = true;
  try {
    while (found.judged < found.images) show(found = await post("edit/rest"));
  } finally {
    going = false;
  }
}

async function save() {
  await attempt(async () => notice(say("edit.saved", await post("edit/save"))));
}

export async function refresh() {
  const found = await get("edits");
  show(found);
  await judgeOthers(found);
}

function show(found) {
  fill(found.layers);
  const none = found.edits.length === 0;
  $("edit-undo").disabled = $("edit-reset").disabled = $("edit-save").disabled = none;
  const all = found.judged === found.images;
  write($("edit-accuracy"), found.accuracy === null ? "" : say(all ? "edit.accuracy" : "edit.accuracy_first",
    { now: percent(found.accuracy), before: percent(found.before), count: whole(found.judged) }));
  const slow = Math.max(0, ...found.seconds);
  $("edits").replaceChildren(
    ...(slow > .2 ? [element("p", { class: "soft" }, say("edit.slow", { seconds: short(slow, 2) }))] : []),
    element("ol", { id: "edit-list" }, ...found.edits.map(each => element("li", {}, sentence(each)))));
}

function sentence({ what, layer, unit, by, share }) {
  const name = { "switch off": "off" }[what] ?? what;
  return say(`edit.did_${name}`, { layer, unit, by: by === undefined ? "" : short(by),
    share: share === undefined ? "" : percent(share, 0) });
}
