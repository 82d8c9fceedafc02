// What is on the screen. What nobody sees is drawn when it is seen: training could have the time.
const parts = new Map();         // of each element that is watched: whether it is seen, who is told

const observer = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const part = parts.get(target), before = part.seen;
    part.seen = isIntersecting;
    if (isIntersecting && !before) part.comes();
  }
}, { rootMargin: "200px" });     // of what is scrolled to next

// comes: called when the element comes onto the screen.
export function watch(element, comes) {
  parts.set(element, { seen: false, comes });
  observer.observe(element);
}

export function seen(element) { return parts.get(element)?.seen ?? false; }
