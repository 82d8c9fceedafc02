// A sheet to draw a digit on, with mouse, finger, pen or keys; each stroke is sent when it ends.
import { $ } from "./words.js";

const SIDE = 64, BRUSH = 5;      // pixels
const ARROWS = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, -2], ArrowDown: [0, 2] };

export function begin(drawn) {
  const sheet = $("sheet"), ink = document.createElement("canvas");
  ink.width = ink.height = SIDE;
  const pen = ink.getContext("2d", { willReadFrequently: true });
  let last = null, at = [SIDE / 2, SIDE / 4], down = false;
  pen.lineWidth = BRUSH;
  pen.lineCap = "round";

  function show() {
    const context = sheet.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    context.drawImage(ink, 0, 0);
    if (document.activeElement !== sheet) return;
    context.beginPath();
    context.arc(at[0], at[1], BRUSH, 0, 2 * Math.PI);
    context.strokeStyle = down ? "#b93b0a" : "#0068a3";
    context.stroke();
  }
  function line(to) {
    pen.beginPath();
    pen.moveTo(...(last ?? to));
    pen.lineTo(...to);
    pen.stroke();
    last = to;
    show();
  }
  function finish() {
    last = null;
    const data = pen.getImageData(0, 0, SIDE, SIDE).data;
    const pixels = Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i + 3]);
    if (pixels.some(value => value)) drawn({ rows: SIDE, columns: SIDE, pixels });
  }
  function place(event) {
    const area = sheet.getBoundingClientRect();
    return [(event.clientX - area.left) / area.width * SIDE, (event.clientY - area.top) / area.height * SIDE];
  }

  sheet.onpointerdown = event => { sheet.setPointerCapture(event.pointerId); line(place(event)); };
  sheet.onpointermove = event => { if (last && event.buttons) line(place(event)); };
  sheet.onpointerup = finish;
  sheet.onkeydown = event => {
    const step = ARROWS[event.key];
    if (step) {
      at = at.map((value, i) => Math.min(SIDE, Math.max(0, value + step[i])));
      if (down) line(at); else show();
    } else if (event.key === " ") {
      down = !down;
      if (down) line(at); else finish();
      show();
    } else return;
    event.preventDefault();
  };
  sheet.onfocus = sheet.onblur = show;
  $("draw-clear").onclick = () => { pen.clearRect(0, 0, SIDE, SIDE); last = null; down = false; show(); };
  show();
}
