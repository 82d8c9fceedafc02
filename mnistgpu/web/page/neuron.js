// The image at hand, what every layer makes of it, and a unit opened: its sum with the numbers.
import { counted } from "./cost.js";
import { areEdits, begin as beginEdits, edited, refresh as refreshEdits } from "./edits.js";
import { attempt } from "./notices.js";
import { begin as beginDrawing } from "./sheet.js";
import { post, send } from "./server.js";
import { bytes, grey, onScheme, paint, signed } from "./tiles.js";
import { explained } from "./unit.js";
import { $, element, percent, say, short, whole } from "./words.js";

const COLUMNS = 40;              // of a layer's units, drawn as small squares
let at = null, found = null, open = null, step = null, run = null, waits = false, count = 1;

export function begin(about) {
  count = about.images;
  $("image-number").max = count - 1;
  $("image-number").onchange = () => number(+$("image-number").value);
  $("image-next").onclick = () => number(((at?.number ?? -1) + 1) % count);
  $("image-mistake").onclick = () => take(post("mistake", { after: at?.number ?? -1 }));
  $("photo").onchange = () => $("photo").files[0] && take(send("photo", $("photo").files[0]));
  beginDrawing(drawn => take(post("image", drawn)));
  beginEdits(() => refresh(true), () => open);
}

function number(wanted) {
  if (!Number.isInteger(wanted) || wanted < 0 || wanted >= count) {
    $("image-note").textContent = say("neuron.number_range", { most: count - 1, number: at?.number ?? 0 });
    $("image-number").value = at?.number ?? 0;
    return;
  }
  take(post("image", { number: wanted }));
}

async function take(asked) {
  await attempt(async () => {
    at = await asked;
    $("image-note").textContent = "";
    if (at.number !== undefined) $("image-number").value = at.number;
    paint($("image"), bytes(at.pixels), at.width, grey);
    await look();
  }, error => { $("image-note").textContent = error.message; });
}

async function look() {
  found = await post("activations", { image: at.pixels });
  step = found.step;
  const shares = found.probabilities, label = at.label === undefined || at.label === null ? "" :
    say("neuron.label", { label: at.label });
  $("image-says").textContent = say("neuron.answer",
    { answer: found.answer, share: percent(shares[found.answer], 1) }) + label;
  counted(layers);
  if (open && open.layer <= found.layers.length && open.unit < found.layers[open.layer - 1].units)
    await openUnit(open.layer, open.unit);
}

function layers() {
  const list = $("activations"), colours = signed();
  while (list.children.length > found.layers.length) list.lastChild.remove();
  found.layers.forEach(({ units, most, levels }, i) => {
    const box = list.children[i] ?? list.appendChild(layerBox(i + 1));
    const last = i === found.layers.length - 1;
    box.querySelector("h3").textContent = say(last ? "neuron.last_layer" : "neuron.layer",
      { layer: i + 1, units: whole(units), most: short(most, 3) });
    box.querySelector("input").max = units - 1;
    const canvas = box.querySelector("canvas"), columns = Math.min(units, COLUMNS);
    paint(canvas, bytes(levels), columns, colours);
    canvas.onclick = event => {
      const rows = Math.ceil(units / columns), area = canvas.getBoundingClientRect();
      const unit = Math.floor((event.clientY - area.top) / area.height * rows) * columns +
        Math.floor((event.clientX - area.left) / area.width * columns);
      if (unit >= 0 && unit < units) attempt(() => openUnit(i + 1, unit, true));
    };
  });
}

function layerBox(layer) {
  const id = `unit-of-${layer}`, note = element("p", { class: "range", role: "alert" });
  const box = element("input", { id, type: "number", min: "0", value: "0" });
  const opens = () => {
    const unit = +box.value, { units } = found.layers[layer - 1];
    if (!Number.isInteger(unit) || unit < 0 || unit >= units) {
      note.textContent = say("neuron.unit_range", { most: units - 1 });
      return;
    }
    note.textContent = "";
    attempt(() => openUnit(layer, unit, true));
  };
  return element("div", { class: "layer" }, element("h3"), element("canvas", { "aria-hidden": "true" }),
    element("div", { class: "tools" }, element("label", { for: id }, say("neuron.unit")), box,
      element("button", { id: `open-${layer}`, onclick: opens }, say("neuron.open"))), note);
}

async function openUnit(layer, unit, focus = false) {
  const asked = { image: at.pixels, layer, unit };
  const shown = await post("unit", asked);
  open = { layer, unit };
  $("opened").hidden = false;
  $("unit-title").textContent = say("neuron.unit_title", { layer, unit });
  counted(() => explained($("unit"), shown, { last: layer === found.layers.length, width: at.width, step }));
  edited(open, found.layers);
  if (!focus) return;
  $("unit-title").focus();
  const { images } = await post("responds", asked);
  $("responds").replaceChildren(...images.map(each => {
    const canvas = element("canvas", { role: "img", "aria-label": say("neuron.test_image", each) });
    paint(canvas, bytes(each.pixels), each.width, grey);
    return element("figure", {}, canvas, element("figcaption", {},
      say("neuron.responds_one", { label: each.label, value: short(each.value, 3) })));
  }));
}

// Asked for while this part is shown: what the run has changed meanwhile.
export async function refresh(first, state) {
  if (waits) return;
  waits = true;
  try {
    if (at === null) await take(post("image", { number: 0 }));
    else if (first || state?.step !== step || state?.run !== run) await attempt(look, () => {});
    run = state?.run;
    // while it learns there are none, unless the last ones have not been taken off the page yet
    if (first || areEdits() || state?.running !== "running") await attempt(refreshEdits, () => {});
  } finally {
    waits = false;
  }
}

onScheme(() => found && attempt(look, () => {}));
