// What the page costs: the time of its own thread, which training could have where cores are few.

const KEPT = 7, LONGEST = 100;   // costs whose median counts; milliseconds to wait for a frame
let spent = 0, costs = Array(KEPT).fill(0);   // the first picture of all takes long, and is no measure

// Call a function, and count the time that it takes.
export function counted(work) {
  const begun = performance.now();
  try {
    return work();
  } finally {
    spent += performance.now() - begun;
  }
}

// Wait until the browser has laid out and painted what was changed, and count the time of that.
export function painted() {
  return new Promise(go => {
    setTimeout(go, LONGEST);     // a window that is covered may have no frames
    requestAnimationFrame(() => {
      const begun = performance.now(), { port1, port2 } = new MessageChannel();
      port1.onmessage = () => { spent += performance.now() - begun; go(); };
      port2.postMessage(null);
    });
  });
}

// Milliseconds of a picture: of the newest ones the median, as some are interrupted by training.
export function ofPicture() {
  costs = [...costs.slice(1), spent];
  spent = 0;
  return [...costs].sort((a, b) => a - b)[KEPT >> 1];
}
