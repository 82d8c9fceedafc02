// A unit's sum written out: maps, the largest contributions, the equations with these numbers.
import { bytes, paint, signed } from "./tiles.js";
import { element, fixed, percent, say, short, whole } from "./words.js";

const MOST_CLASSES = 12;         // terms of a softmax's sum that are written out

function map(levels, { height, width }, limit, words) {
  const canvas = element("canvas", { class: "map", role: "img", "aria-label": say(words) });
  paint(canvas, bytes(levels), width, signed());
  canvas.dataset.rows = height;
  return element("figure", {}, canvas, element("figcaption", {}, say(words), " ",
    say("train.limit", { less: `−${short(limit, 3)}`, more: `+${short(limit, 3)}` })));
}

function place(unit, { index }, width) {
  return unit.layer === 1
    ? say("unit.pixel", { row: Math.floor(index / width), column: index % width })
    : say("unit.before", { unit: index });
}

function contributions(unit, width) {
  const row = (name, weight, input, product) => element("tr", {}, element("td", {}, name),
    ...[weight, input, product].map(text => element("td", { class: "number" }, text)));
  const heads = ["from", "weight", "input", "product"].map((name, i) =>
    element("th", { class: i ? "number" : null }, say(`unit.${name}`)));
  return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": say("unit.largest") },
    element("table", { id: "contributions" }, element("thead", {}, element("tr", {}, ...heads)),
      element("tbody", {},
        ...unit.largest.map(each => row(place(unit, each, width), short(each.weight), short(each.input), short(each.product))),
        row(say("unit.rest", { count: whole(unit.inputs - unit.largest.length) }), "", "", short(unit.rest)),
        row(say("unit.products"), "", "", short(unit.products)),
        row(say("unit.bias"), "", "", short(unit.bias)),
        row(say("unit.sum"), "", "", short(unit.sum)))));
}

function equation(id, text) { return element("code", { class: "equation", id }, text); }

function line(unit, name) {
  const [number, text] = unit.lines[name];
  return element("p", { class: "help" }, say("unit.line", { number }), " ", element("code", {}, text.trim()));
}

const LETTERS = { relu: "ReLU" };

export function explained(target, unit, { last, width, step }) {
  const { layer } = unit, l = layer, k = layer - 1, before = layer === 1 ? "X" : `A_${k}`;
  const parts = [element("p", { class: "soft" }, say("unit.at_step", { step: whole(step) }))];
  if (unit.map) parts.push(element("div", { class: "pair" },
    map(unit.map.products, unit.map, unit.map.products_limit, "unit.map_products"),
    map(unit.map.weights, unit.map, unit.map.weights_limit, "unit.map_weights")));
  parts.push(element("h3", {}, say("unit.largest")), contributions(unit, width),
    element("h3", {}, say("unit.equations")),
    equation("equation-sum", `Z_${l} = W_${l} ${before} + b_${l}\n` +
      `z = ${short(unit.products)} + ${signedText(unit.bias)} = ${short(unit.sum)}`),
    line(unit, "sum"));
  if (last) parts.push(...softmax(unit));
  else {
    const name = LETTERS[unit.activation] ?? unit.activation;
    parts.push(equation("equation-activation", `A_${l} = ${name}(Z_${l})\n` +
      `a = ${name}(${short(unit.sum)}) = ${short(unit.value)}`), line(unit, "activation"));
    if (unit.slope !== null)
      parts.push(element("p", { class: "help" }, say(unit.slope === 0 ? "unit.slope_zero" : "unit.slope", { slope: short(unit.slope) })));
  }
  parts.push(element("h3", {}, say("unit.responds")), element("p", { class: "help" }, say("unit.responds_help")),
    element("div", { class: "few", id: "responds" }, ...(document.getElementById("responds")?.childNodes ?? [])));
  target.replaceChildren(...parts);
}

function signedText(value) { return value < 0 ? `(${short(value)})` : short(value); }

function softmax({ unit, sum, last, lines }) {
  const terms = last.exponentials.slice(0, MOST_CLASSES).map(value => short(value, 3));
  const more = last.exponentials.length > MOST_CLASSES ? " + …" : "";
  return [
    equation("equation-softmax", `A_L = softmax(Z_L)\n` +
      `p = exp(${short(sum)} − ${short(last.shift)}) / (${terms.join(" + ")}${more})\n` +
      `  = ${short(last.exponentials[unit])} / ${short(last.total)} = ${fixed(last.probability, 5)} = ${percent(last.probability)}`),
    element("p", { class: "help" }, say("unit.softmax", { shift: short(last.shift) })),
    line({ lines }, "softmax"),
  ];
}
