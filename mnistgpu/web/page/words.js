// The words of the page, numbers in the form of its language, and small helpers for elements.

const words = JSON.parse(document.getElementById("words").textContent);
export const language = document.documentElement.lang;
export const decimal = (1.5).toLocaleString(language)[1];
export const $ = id => document.getElementById(id);

// A sentence by its name, with values in the places of {name}.
export function say(name, values = {}) {
  const text = words[name];
  if (text === undefined) throw new Error(`no words for ${name}`);
  return text.replace(/\{([a-z_]+)\}/g, (_, key) => values[key]);
}
function knows(name) { return name in words; }

export function whole(value) { return value.toLocaleString(language); }
export function fixed(value, digits) {
  return value.toLocaleString(language,
    { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}
// A number as short as it can be, with up to so many significant digits.
export function short(value, digits = 4) {
  if (value === null || value === undefined) return say("page.none");
  if (typeof value !== "number") return String(value);
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e7))
    return value.toExponential(2).replace("-", "−");
  return value.toLocaleString(language, { maximumSignificantDigits: digits }).replace("-", "−");
}
export function percent(share, digits = 2) {
  return share.toLocaleString(language,
    { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}
export function clock(seconds) {
  if (seconds < 90) return `${fixed(seconds, seconds < 10 ? 1 : 0)}\u00a0s`;
  return `${Math.floor(seconds / 60)}\u00a0min ${Math.round(seconds % 60)}\u00a0s`;
}

// Let an element say something. One that says it already is left alone: it would be laid out anew.
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// An element with attributes, handlers (onclick: ...) and children, which are elements or text.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made[key] = value;
    else if (key === "value") made.value = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// The name of a setting in this language, or its own name where there is none.
export function nameOf(setting) {
  return knows(`setting.${setting}`) ? say(`setting.${setting}`) : setting;
}

// The value of a setting, as it is said.
export function valueOf(value) {
  return typeof value === "number" ? short(value, 6) : value === null ? say("page.none") : String(value);
}
