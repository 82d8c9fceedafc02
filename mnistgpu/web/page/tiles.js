// Small pictures on canvases: images, weights and activations, in the page's colours.

export const dark = matchMedia("(prefers-color-scheme: dark)");
export function onScheme(redraw) { dark.addEventListener("change", redraw); }

// Numbers from the server: bytes, from 0 to 255, in base64.
export function bytes(text) { return Uint8Array.from(atob(text), c => c.charCodeAt(0)); }

export function paint(target, levels, columns, rgba) {
  const rows = Math.ceil(levels.length / columns);
  if (target.width !== columns) target.width = columns;
  if (target.height !== rows) target.height = rows;
  const context = target.getContext("2d"), picture = context.createImageData(columns, rows);
  for (let i = 0; i < levels.length; i++) picture.data.set(rgba(levels[i]), 4 * i);
  context.putImageData(picture, 0, 0);
}

export const grey = v => [v, v, v, 255];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).split(",").map(Number);
}

// Levels around 127.5: below in the colour of "less", above in that of "more".
export function signed() {
  const less = colour("--less"), more = colour("--more");
  const power = dark.matches ? .55 : .8;   // a weak colour is harder to see on a dark card
  return v => [...(v < 127.5 ? less : more), 255 * (Math.abs(v - 127.5) / 127.5) ** power];
}

export function canvas(list, i) {
  return list.children[i] ?? list.appendChild(document.createElement("canvas"));
}
