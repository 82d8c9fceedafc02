// Sentences about what happened, shown below the title and read by screen readers.
import { $, element } from "./words.js";

const MOST = 4, SHOWN = 20000;   // at once; milliseconds

export function notice(text, bad = false) {
  const line = element("p", { class: bad ? "notice bad" : "notice" }, text);
  $("notices").append(line);
  while ($("notices").children.length > MOST) $("notices").firstChild.remove();
  setTimeout(() => line.remove(), SHOWN);
}

// Do what a control asks for, and say why not if it is refused. Returns whether it was done.
export async function attempt(action, otherwise = error => notice(error.message, true)) {
  try {
    await action();
    return true;
  } catch (error) {
    otherwise(error);
    return false;
  }
}
