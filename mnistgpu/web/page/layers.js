// What the layers see: their outputs in the plane, histograms, dead units, first-layer weights.
import { histogram } from "./charts.js";
import { counted } from "./cost.js";
import { attempt } from "./notices.js";
import { post } from "./server.js";
import { bytes, canvas, dark, onScheme, paint, signed } from "./tiles.js";
import { newestPictures } from "./train.js";
import { seen, watch } from "./visible.js";
import { $, element, fixed, percent, say, whole, write } from "./words.js";

const KINDS = ["weights", "gradients", "activations"];
let waits = false, newest = null, asked = "", drawn = null;

// One colour for each class, told apart by lightness too; the digits themselves are drawn, so that
// no colour alone says which class a point is of.
function colours(count) {
  return Array.from({ length: count }, (_, i) =>
    `hsl(${Math.round(360 * i / count)} 75% ${(dark.matches ? 66 : 30) + (i % 2 ? 6 : -4)}%)`);
}

export function begin() { watch($("all-units"), () => dispatchEvent(new Event("seen"))); }

// Asked for while this part is shown: what the run has changed meanwhile.
export async function refresh(first, state) {
  if (waits) return;
  const wanted = { layer: +($("plane-layer").value || 1), method: $("plane-method").value || "pca" };
  const now = JSON.stringify([state?.run, state?.step, wanted]);
  waits = true;
  try {
    if (first || now !== asked) await attempt(async () => {
      const known = newest?.layer === wanted.layer && newest.method === wanted.method;
      const found = await post("layers", { ...wanted, ...(known && { known: newest.number }) });
      if (found.step === null) { write($("plane-says"), say("layers.waiting")); return; }
      asked = found.step === state?.step ? now : "";
      if (known && found.number === newest.number) return;   // nothing new was looked at
      newest = found;
      counted(draw);
    }, error => { write($("plane-says"), error.message); });
    const pictures = newestPictures();
    if (pictures && pictures !== drawn && (drawn === null || seen($("all-units")))) {
      drawn = pictures;
      counted(() => weights(pictures));
    }
  } finally {
    waits = false;
  }
}

function choices(box, values, words) {
  if (box.options.length === values.length) return;
  const chosen = box.value;
  box.replaceChildren(...values.map(value => element("option", { value }, words(value))));
  if (values.includes(chosen)) box.value = chosen;
  box.onchange = () => refresh(true);
}

function draw() {
  const { layer, points, labels, units, dead } = newest;
  choices($("plane-layer"), units.map((_, i) => String(i + 1)), i => say("layers.one", { layer: i, units: whole(units[i - 1]) }));
  choices($("plane-method"), newest.methods, name => say(`layers.method_${name}`));
  plane(points, labels);
  const tsne = newest.method === "tsne";
  write($("plane-says"), say(tsne ? "layers.says_tsne" : "layers.says", { step: whole(newest.step), layer,
    first: percent(newest.explained?.[0] ?? 0, 0), second: percent(newest.explained?.[1] ?? 0, 0) }));
  const count = dead.reduce((a, b) => a + b, 0);
  write($("dead"), say("layers.dead", { count: whole(count),
    each: dead.map((n, i) => say("layers.dead_of", { layer: i + 1, dead: whole(n), units: whole(units[i]) })).join(", ") }));
  $("dead").className = count ? "bad" : "soft";
  histograms();
}

function plane(points, labels) {
  const target = $("plane"), context = target.getContext("2d"), { width, height } = target;
  const names = [...new Set(labels)].sort((a, b) => a - b);
  const ink = colours(names.length);
  const [x, y] = [0, 1].map(axis => {
    const all = points.map(point => point[axis]), low = Math.min(...all), high = Math.max(...all);
    const side = axis ? height : width, span = high - low || 1;
    return value => 14 + (value - low) / span * (side - 28);
  });
  context.clearRect(0, 0, width, height);
  context.font = "600 15px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  points.forEach((point, i) => {
    context.fillStyle = ink[names.indexOf(labels[i])];
    context.fillText(labels[i], x(point[0]), height - y(point[1]));
  });
}

function histograms() {
  const list = $("histograms");
  const kinds = KINDS.filter(kind => newest.histograms.some(each => each[kind]));
  newest.histograms.forEach((each, i) => {
    let row = list.children[i];
    if (!row || row.dataset.kinds !== kinds.join()) {
      const made = element("div", { "data-kinds": kinds.join() }, element("h3", {}, say("layers.layer_title", { layer: each.layer })),
        element("div", { class: "fields" }, ...kinds.map(kind => element("figure", { "data-kind": kind }, element("figcaption", {}, say(`layers.${kind}`))))));
      for (const figure of made.querySelectorAll("figure")) {
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        svg.setAttribute("role", "img");
        svg.setAttribute("aria-label", say("layers.histogram_label", { kind: say(`layers.${figure.dataset.kind}`), layer: each.layer }));
        figure.prepend(svg);
      }
      if (row) row.replaceWith(made); else list.append(made);
      row = made;
    }
    for (const kind of kinds) if (each[kind]) {
      const { edges, counts } = each[kind];
      histogram(row.querySelector(`[data-kind=${kind}] svg`), { counts, low: edges[0], high: edges[edges.length - 1] });
    }
  });
  while (list.children.length > newest.histograms.length) list.lastChild.remove();
}

function weights(state) {
  const look = signed();
  state.units.forEach((text, i) => {
    const target = canvas($("all-units"), i);
    target.setAttribute("role", "img");
    target.setAttribute("aria-label", say("layers.unit", { unit: i }));
    paint(target, bytes(text), state.width, look);
  });
  while ($("all-units").children.length > state.units.length) $("all-units").lastChild.remove();
  const limit = fixed(state.limit, 2);
  write($("all-limit"), say("train.limit", { less: `−${limit}`, more: `+${limit}` }));
}

onScheme(() => newest && draw());
