// The drawing page: strokes on a canvas, the network's answer to them, and drawings that are kept.
"use strict";
const $ = id => document.getElementById(id);
const SENT = 64;                 // side, in pixels, of the drawing sent to the server
const canvas = $("canvas"), pen = canvas.getContext("2d");
const small = document.createElement("canvas");
small.width = small.height = SENT;
const smallPen = small.getContext("2d", { willReadFrequently: true });

// A stroke is a list of [x, y, width], each a fraction of the sheet's side.
let strokes = [], stroke = null;
let about = { classes: 10, names: [], keep: null, image_shape: [28, 28], silent: [] };
let invitation = "";             // shown below the labels when there is no other message
let keeping = false;             // whether a drawing is being sent to the folder
const cursor = { x: .5, y: .5, shown: false, down: false };

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name); }

function drawStroke(context, side, points) {
  context.lineCap = context.lineJoin = "round";
  const [x, y, width] = points[0];
  if (points.length === 1) {
    context.beginPath();
    context.arc(x * side, y * side, width * side / 2, 0, 2 * Math.PI);
    context.fill();
  }
  let from = [x, y];
  for (let i = 1; i < points.length; i++) {   // through the midpoints, so that corners are round
    const [px, py] = points[i - 1], [qx, qy, w] = points[i];
    const to = i === points.length - 1 ? [qx, qy] : [(px + qx) / 2, (py + qy) / 2];
    context.lineWidth = w * side;
    context.beginPath();
    context.moveTo(from[0] * side, from[1] * side);
    context.quadraticCurveTo(px * side, py * side, to[0] * side, to[1] * side);
    context.stroke();
    from = to;
  }
}

function redraw() {
  const side = Math.round(canvas.clientWidth * devicePixelRatio);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  pen.clearRect(0, 0, side, side);
  pen.strokeStyle = pen.fillStyle = colour("--ink");
  for (const points of strokes) drawStroke(pen, side, points);
  if (cursor.shown && document.activeElement === canvas) {
    pen.beginPath();
    pen.arc(cursor.x * side, cursor.y * side, brush() * side / 2, 0, 2 * Math.PI);
    pen.strokeStyle = colour("--accent");
    pen.lineWidth = 3;
    pen.stroke();
  }
  $("sheet").classList.toggle("drawn", strokes.length > 0);
  $("undo").disabled = $("clear").disabled = strokes.length === 0;
  for (const button of $("labels").children)
    button.disabled = strokes.length === 0 || keeping || about.keep === null;
}

function brush() { return $("brush").value / 100; }

function pixels() {
  smallPen.fillStyle = "#000";
  smallPen.fillRect(0, 0, SENT, SENT);
  smallPen.strokeStyle = smallPen.fillStyle = "#fff";
  for (const points of strokes) drawStroke(smallPen, SENT, points);
  const data = smallPen.getImageData(0, 0, SENT, SENT).data;
  return Array.from({ length: SENT * SENT }, (_, i) => data[4 * i]);
}

// The token of the page's own address, which the server asks for where other machines reach it.
const TOKEN = { "X-Mnistgpu-Token": new URLSearchParams(location.search).get("token") ?? "" };

// Who answers: the server of `mnistgpu draw`, or `alone.js` in a page of `mnistgpu export`.
const network = window.networkInPage ?? {
  predict: () => post("predict"),
  async about() {
    const response = await fetch("about", { headers: TOKEN }), facts = await response.json();
    if (!response.ok) throw new Error(facts.error);
    return facts;
  },
};

async function post(path, extra) {
  const body = JSON.stringify({ rows: SENT, columns: SENT, pixels: pixels(), ...extra });
  const response = await fetch(path,
    { method: "POST", headers: { "Content-Type": "application/json", ...TOKEN }, body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// One request at a time: what is drawn before its answer arrives is sent with the next request.
let asking = false, changed = false;
async function ask() {
  changed = true;
  if (asking) return;
  asking = true;
  while (changed) {
    changed = false;
    try {
      show(strokes.length ? await network.predict(SENT, pixels()) : { digit: null });
    } catch (error) {
      showError(error);
    }
  }
  asking = false;
}

function percent(share) { return (100 * share).toFixed(share > .9995 || share < .1 ? 0 : 1) + "%"; }

function show(answer) {
  const none = answer.digit === null;
  const name = none ? "?" : about.names[answer.digit];
  $("digit").textContent = name;
  $("digit").classList.toggle("word", name.length > 2);
  $("digit").classList.toggle("none", none);
  const shares = none ? Array(about.classes).fill(0) : answer.probabilities;
  const order = shares.map((_, i) => i).sort((a, b) => shares[b] - shares[a]);
  $("spoken").textContent = none ? "" : `${name}, `;   // the large digit is hidden from screen readers
  $("words").textContent = none ? "Nothing drawn yet" : sentence(shares, order);
  shares.forEach((share, i) => {
    const bar = $("bars").children[i], best = !none && i === order[0];
    bar.classList.toggle("best", best);
    bar.querySelector(".fill").style.height = 100 * share + "%";
    bar.querySelector("small").textContent = share >= .01 ? percent(share) : "";
    $("labels").children[i].classList.toggle("best", best);
  });
  paint($("image"), none ? Array(about.image_shape[0] * about.image_shape[1]).fill(0) : answer.image,
    about.image_shape[1], v => [v, v, v, 255]);
  (none ? about.silent : answer.hidden).forEach(showLayer);
}

function sentence(shares, order) {
  const sure = shares[order[0]], words = `${percent(sure)} sure`;
  return shares[order[1]] > .1 ? `${words}, or is it ${about.names[order[1]]}?` : words;
}

function paint(target, values, columns, rgba) {
  const rows = Math.ceil(values.length / columns);
  target.width = columns;
  target.height = rows;
  const context = target.getContext("2d"), picture = context.createImageData(columns, rows);
  values.forEach((value, i) => picture.data.set(rgba(value), 4 * i));
  context.putImageData(picture, 0, 0);
}

function showLayer(layer, i) {
  const row = $("hidden").children[i];
  const part = layer.strengths.length < layer.units ? `first ${layer.strengths.length} of ` : "";
  row.querySelector("span").textContent = `Layer ${i + 1}: ${part}${layer.units} units`;
  row.querySelector("i").textContent = layer.active ? `${layer.active} active` : "";
  const [r, g, b] = colour("--accent").match(/[0-9a-f]{2}/gi).map(hex => parseInt(hex, 16));
  const columns = Math.min(layer.strengths.length, layer.strengths.length > 300 ? 64 : 32);
  paint(row.querySelector("canvas"), layer.strengths, columns, v => [r, g, b, v]);
}

function say(text, bad = false) {
  $("note").textContent = text;
  $("note").classList.toggle("bad", bad);
}

function showError(error) {
  say(error instanceof TypeError ? "The server has stopped: start mnistgpu draw again." : error.message, true);
}

// The sheet is cleared when the drawing is sent: a second click then finds nothing to keep, and new
// strokes are the next drawing. If the drawing cannot be kept, its strokes come back.
async function keep(label) {
  if (keeping || strokes.length === 0 || about.keep === null) return;
  keeping = true;
  const sent = strokes, request = post("keep", { label });
  clear();
  try {
    const answer = await request;
    const many = answer.kept === 1 ? "1 drawing" : `${answer.kept} drawings`;
    say(`Kept as a ${about.names[label]}; ${many} in ${answer.path}`);
  } catch (error) {
    strokes = sent.concat(strokes);
    changedDrawing();
    showError(error);
  }
  keeping = false;
  redraw();
}

function changedDrawing() { redraw(); ask(); }
function undo() { cursor.down = false; stroke = null; strokes.pop(); changedDrawing(); }
function clear() { cursor.down = false; stroke = null; strokes = []; changedDrawing(); }

function place(event) {
  const box = canvas.getBoundingClientRect();
  // with a pen that reports its pressure, strokes are 0.6 to 1.4 times as wide as the brush
  const pressed = event.pointerType === "pen" && event.pressure ? .6 + .8 * event.pressure : 1;
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height,
    brush() * pressed];
}

canvas.addEventListener("pointerdown", event => {
  if (event.button !== 0 || stroke) return;
  try { canvas.setPointerCapture(event.pointerId); } catch { /* the pointer is already gone */ }
  cursor.shown = cursor.down = false;
  stroke = [place(event)];
  stroke.pointer = event.pointerId;
  strokes.push(stroke);
  say(invitation);
  changedDrawing();
});
canvas.addEventListener("pointermove", event => {
  if (!stroke || stroke.pointer !== event.pointerId) return;
  const events = event.getCoalescedEvents?.() ?? [];
  for (const each of events.length ? events : [event]) stroke.push(place(each));
  changedDrawing();
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, event => {
    if (stroke && stroke.pointer === event.pointerId) stroke = null;
  });

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", event => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey, key = event.key;
  if (event.repeat && !ARROWS[key]) {      // a key held down moves the pen; any other key acts once
    if (key === " ") event.preventDefault();
    return;
  }
  if (ARROWS[key]) {
    const step = event.shiftKey ? .01 : .04;
    cursor.x = Math.min(1, Math.max(0, cursor.x + step * ARROWS[key][0]));
    cursor.y = Math.min(1, Math.max(0, cursor.y + step * ARROWS[key][1]));
    cursor.shown = true;
    if (cursor.down) strokes[strokes.length - 1].push([cursor.x, cursor.y, brush()]);
    cursor.down ? changedDrawing() : redraw();
  } else if (key === " ") {
    cursor.shown = true;
    cursor.down = !cursor.down;
    if (cursor.down) { strokes.push([[cursor.x, cursor.y, brush()]]); changedDrawing(); }
  } else if (key === "z" || key === "Z") undo();
  else if (plain && (key === "c" || key === "C" || key === "Escape")) clear();
  else if (plain && (key === "[" || key === "]")) { $("brush").value -= key === "[" ? 1 : -1; redraw(); }
  else if (plain && /^[0-9]$/.test(key) && +key < about.classes) keep(+key);
  else return;
  event.preventDefault();
});
canvas.addEventListener("focus", redraw);
canvas.addEventListener("blur", redraw);
$("undo").onclick = undo;
$("clear").onclick = clear;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changedDrawing);
new ResizeObserver(redraw).observe(canvas);

async function start() {
  about = await network.about();
  document.body.classList.toggle("alone", !!window.networkInPage);
  const members = about.members > 1 ? `, the mean of ${about.members} networks` : "";
  $("about").textContent =
    `${about.name}: ${about.layers}, ${about.parameters.toLocaleString("en")} parameters${members}`;
  about.silent = about.layers.split("-").slice(1, -1).map(units =>
    ({ units: +units, active: 0, strengths: Array(Math.min(+units, about.most_units)).fill(0) }));
  for (const _ of about.silent) {
    const row = document.createElement("div");
    row.className = "layer";
    row.innerHTML = "<div><span></span><i></i></div><canvas></canvas>";
    $("hidden").append(row);
  }
  for (let i = 0; i < about.classes; i++) {
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.innerHTML = `<small></small><div class="track"><div class="fill"></div></div><b></b>`;
    bar.querySelector("b").textContent = about.names[i];
    $("bars").append(bar);
    const button = document.createElement("button");
    button.textContent = about.names[i];
    button.setAttribute("aria-label", `Keep as ${about.names[i]}`);
    button.onclick = () => keep(i);
    $("labels").append(button);
  }
  invitation = about.keep === null
    ? "Start the page with --keep FOLDER to keep drawings with their labels and train on them."
    : `Click the digit that you drew to keep the drawing for training (${about.kept} so far).`;
  say(invitation);
  changedDrawing();
}
start().catch(showError);
