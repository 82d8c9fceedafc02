// Small pictures on canvases: images, weights and activations, in the page's colours.

export const dark = matchMedia("(prefers-color-scheme: dark)");
export function onScheme(redraw) { dark.addEventListener("change", redraw); }

// Numbers from the server: bytes, from 0 to 255, in base64.
export function bytes(text) {
  const letters = atob(text), found = new Uint8Array(letters.length);
  for (let i = 0; i < found.length; i++) found[i] = letters.charCodeAt(i);
  return found;
}

const pictures = new WeakMap();  // of each canvas, its size and its pixels

// colours: of each level, as `table` makes them.
export function paint(target, levels, columns, colours) {
  const size = `${levels.length} ${columns}`;
  let kept = pictures.get(target);
  if (kept?.size !== size) {
    target.width = columns;
    target.height = Math.ceil(levels.length / columns);
    const context = target.getContext("2d");
    const picture = context.createImageData(target.width, target.height);
    kept = { size, context, picture, pixels: new Uint32Array(picture.data.buffer) };
    pictures.set(target, kept);
  }
  for (let i = 0; i < levels.length; i++) kept.pixels[i] = colours[levels[i]];
  kept.context.putImageData(kept.picture, 0, 0);
}

// The colours of the levels 0 to 255, each a pixel as a canvas has it in memory.
function table(rgba) {
  return new Uint32Array(Uint8ClampedArray.from({ length: 1024 }, (_, i) => rgba(i >> 2)[i & 3]).buffer);
}

export const grey = table(v => [v, v, v, 255]);

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).split(",").map(Number);
}

// Levels around 127.5: below in the colour of "less", above in that of "more".
let made = null;                 // once for each scheme: a style that is asked for is computed anew
export function signed() {
  if (made?.dark === dark.matches) return made.colours;
  const less = colour("--less"), more = colour("--more");
  const power = dark.matches ? .55 : .8;   // a weak colour is harder to see on a dark card
  made = { dark: dark.matches, colours: table(v =>
    [...(v < 127.5 ? less : more), 255 * (Math.abs(v - 127.5) / 127.5) ** power]) };
  return made.colours;
}

export function canvas(list, i) {
  return list.children[i] ?? list.appendChild(document.createElement("canvas"));
}
