// The network in the page itself: what the server of `mnistgpu draw` does, without a server.
// A drawing is prepared as mnistgpu/pictures/preparing.py does it, number for number: resized as
// OpenCV's INTER_AREA, in float32, and summed in the order of NumPy.
"use strict";
window.networkInPage = (() => {
  const { facts, members } = JSON.parse(document.getElementById("network").textContent);
  const f32 = Math.fround;
  const ACTIVATIONS = {
    "relu": z => z > 0 ? z : 0,
    "leaky-relu": z => z > 0 ? z : .01 * z,
    "tanh": Math.tanh,
    "scaled-tanh": z => 1.7159 * Math.tanh(2 / 3 * z),
    "sigmoid": z => .5 * Math.tanh(.5 * z) + .5,
    "gelu": z => .5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + .044715 * z * z * z))),
  };
  const BOX = 20 / 28, FINE = 4, THIN = 1.7, WANTED = 2.2;   // as in preparing.py

  function decoded(text, kind) {
    const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0));
    return kind === "float64" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
  }
  for (const member of members)
    for (const layer of member.layers) {
      layer.W = decoded(layer.W, member.dtype);
      layer.b = decoded(layer.b, member.dtype);
    }

  // A picture is { rows, columns, values }.
  function round(value) {             // halves to the even neighbour, as Python and NumPy do
    const low = Math.floor(value), rest = value - low;
    return rest < .5 || (rest === .5 && low % 2 === 0) ? low : low + 1;
  }

  function cropped({ rows, columns, values }) {
    let top = rows, left = columns, below = 0, right = 0;
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        if (values[i * columns + j]) {
          top = Math.min(top, i); below = Math.max(below, i + 1);
          left = Math.min(left, j); right = Math.max(right, j + 1);
        }
    const found = { rows: below - top, columns: right - left };
    found.values = new Float32Array(found.rows * found.columns);
    for (let i = 0; i < found.rows; i++)
      for (let j = 0; j < found.columns; j++)
        found.values[i * found.columns + j] = values[(i + top) * columns + j + left];
    return found;
  }

  // Which pixels of a line become pixel i of the resized one, with which weights.
  function areas(from, to) {
    const scale = 1 / (to / from), found = [];
    for (let i = 0; i < to; i++) {
      const begin = i * scale, end = begin + scale, width = Math.min(scale, from - begin);
      let first = Math.ceil(begin), last = Math.min(Math.floor(end), from - 1);
      first = Math.min(first, last);
      const parts = [];
      if (first - begin > 1e-3) parts.push([first - 1, f32((first - begin) / width)]);
      for (let j = first; j < last; j++) parts.push([j, f32(1 / width)]);
      if (end - last > 1e-3)
        parts.push([last, f32(Math.min(Math.min(end - last, 1), width) / width)]);
      found.push(parts);
    }
    return found;
  }
  function neighbours(from, to) {       // where a line becomes longer
    const inverse = to / from, scale = 1 / inverse, found = [];
    for (let i = 0; i < to; i++) {
      let place = Math.floor(i * scale), share = f32((i + 1) - (place + 1) * inverse);
      share = share <= 0 ? 0 : f32(share - Math.floor(share));
      if (place >= from - 1) { share = 0; place = from - 1; }
      found.push([[place, f32(1 - share)], [Math.min(place + 1, from - 1), share]]);
    }
    return found;
  }

  function resized(picture, rows, columns) {
    const shrinks = picture.rows >= rows && picture.columns >= columns;
    const high = picture.rows / rows, wide = picture.columns / columns;
    const values = new Float32Array(rows * columns), own = picture.values;
    if (shrinks && Number.isInteger(high) && Number.isInteger(wide)) {
      const share = f32(1 / (high * wide));
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          let sum = 0;
          for (let y = 0; y < high; y++)
            for (let x = 0; x < wide; x++)
              sum = f32(sum + own[(i * high + y) * picture.columns + j * wide + x]);
          values[i * columns + j] = f32(sum * share);
        }
      return { rows, columns, values };
    }
    const weights = shrinks ? areas : neighbours;
    const across = weights(picture.columns, columns), line = new Float32Array(columns);
    weights(picture.rows, rows).forEach((parts, i) => {
      for (const [y, share] of parts) {
        across.forEach((some, j) => {
          let sum = 0;
          for (const [x, part] of some)
            sum = f32(sum + f32(own[y * picture.columns + x] * part));
          line[j] = sum;
        });
        for (let j = 0; j < columns; j++)
          values[i * columns + j] = f32(values[i * columns + j] + f32(share * line[j]));
      }
    });
    return { rows, columns, values };
  }

  function fitted(picture, longest) {
    const scale = longest / Math.max(picture.rows, picture.columns);
    const rows = Math.max(1, round(picture.rows * scale));
    const columns = Math.max(1, round(picture.columns * scale));
    if (rows === picture.rows && columns === picture.columns)
      return { rows, columns, values: picture.values.slice() };
    return resized(picture, rows, columns);
  }

  function thickened(picture, box) {
    const { rows, columns, values } = picture, most = values.reduce((a, b) => Math.max(a, b));
    const ink = values.map(value => f32(value / most)), limit = f32(.35);
    const at = (i, j) => i >= 0 && i < rows && j >= 0 && j < columns && ink[i * columns + j] > limit;
    let area = 0, edges = 0;
    for (let i = 0; i <= rows; i++)
      for (let j = 0; j <= columns; j++) {
        area += at(i, j);
        edges += (at(i, j) !== at(i - 1, j)) + (at(i, j) !== at(i, j - 1));
      }
    const width = 2 * (4 / Math.PI) * area / Math.max(edges, 1), longest = Math.max(rows, columns);
    if (width * box / longest >= THIN) return { rows, columns, values: ink };
    const grow = Math.max(1, round((WANTED * longest / box - width) / 2));
    const thick = { rows: rows + 2 * grow, columns: columns + 2 * grow };
    thick.values = new Float32Array(thick.rows * thick.columns);
    for (let i = 0; i < thick.rows; i++)
      for (let j = 0; j < thick.columns; j++) {
        let largest = 0;
        for (let y = Math.max(0, i - 2 * grow); y <= Math.min(rows - 1, i); y++)
          for (let x = Math.max(0, j - 2 * grow); x <= Math.min(columns - 1, j); x++)
            largest = Math.max(largest, ink[y * columns + x]);
        thick.values[i * thick.columns + j] = largest;
      }
    return thick;
  }

  // The sum of float32 numbers in the order of NumPy: pairwise, in eight parts.
  function sum(values, start = 0, count = values.length) {
    if (count < 8) {
      let total = 0;
      for (let i = 0; i < count; i++) total = f32(total + values[start + i]);
      return total;
    }
    if (count > 128) {
      let half = count >> 1;
      half -= half % 8;
      return f32(sum(values, start, half) + sum(values, start + half, count - half));
    }
    const parts = Array.from(values.slice(start, start + 8)), whole = count - count % 8;
    for (let i = 8; i < whole; i++) parts[i % 8] = f32(parts[i % 8] + values[start + i]);
    const [a, b, c, d, e, f, g, h] = parts;
    let total = f32(f32(f32(a + b) + f32(c + d)) + f32(f32(e + f) + f32(g + h)));
    for (let i = whole; i < count; i++) total = f32(total + values[start + i]);
    return total;
  }
  function sumsOfColumns({ rows, columns, values }) {
    if (columns === 1) return [sum(values)];
    const sums = new Float32Array(columns);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) sums[j] = f32(sums[j] + values[i * columns + j]);
    return sums;
  }
  function sumsOfRows({ rows, columns, values }) {
    return Array.from({ length: rows }, (_, i) => sum(values, i * columns, columns));
  }

  // Ink (0 for paper) as the network's input, levels from 0 to 255; null if there is no ink.
  function prepared(picture) {
    if (!picture.values.some(value => value)) return null;
    const [height, width] = facts.image_shape, box = round(BOX * Math.min(height, width));
    let ink = cropped(picture);
    if (Math.max(ink.rows, ink.columns) > FINE * box)
      ink = thickened(fitted(ink, FINE * box), box);
    const digit = fitted(ink, box), factor = f32(255 / digit.values.reduce((a, b) => Math.max(a, b)));
    digit.values = digit.values.map(value => f32(value * factor));
    const weight = sum(digit.values);
    const start = (length, size, along) => {
      const middle = along.reduce((total, value, i) => total + i * value, 0) / weight;
      return Math.min(Math.max(round(length / 2 - middle), 0), length - size);
    };
    const top = start(height, digit.rows, sumsOfRows(digit));
    const left = start(width, digit.columns, sumsOfColumns(digit));
    const image = new Array(height * width).fill(0);
    digit.values.forEach((value, i) => {
      const row = top + Math.floor(i / digit.columns), column = left + i % digit.columns;
      image[row * width + column] = round(value);
    });
    return image;
  }

  function forward(member, image) {     // the activations of every layer, the last ones softmax
    let A = image.map(level => level / 255);
    const found = [], value = ACTIVATIONS[member.activation];
    member.layers.forEach(({ W, b }, l) => {
      const Z = Array.from(b, (bias, i) => {
        let total = 0;
        for (let j = 0, at = i * A.length; j < A.length; j++) total += W[at + j] * A[j];
        return total + bias;
      });
      if (l < member.layers.length - 1) A = Z.map(value);
      else {
        const most = Math.max(...Z), shares = Z.map(z => Math.exp(z - most));
        const total = shares.reduce((a, b) => a + b);
        A = shares.map(share => share / total);
      }
      found.push(A);
    });
    return found;
  }

  function activity(units) {
    const strengths = units.map(Math.abs), most = Math.max(...strengths);
    return {
      units: units.length,
      active: strengths.filter(strength => strength > .01 * most).length,
      strengths: strengths.slice(0, facts.most_units).map(s => round(s * 255 / Math.max(most, 1e-9))),
    };
  }

  return {
    about: () => facts,
    predict(side, pixels) {
      const image = prepared({ rows: side, columns: side, values: pixels });
      if (image === null) return { digit: null };
      const found = members.map(member => forward(member, image));
      const last = found.map(layers => layers[layers.length - 1]);
      const shares = last[0].map((_, k) =>
        last.reduce((total, each) => total + each[k], 0) / members.length);
      return {
        digit: shares.indexOf(Math.max(...shares)),
        probabilities: shares,
        image,
        hidden: found[0].slice(0, -1).map(activity),
      };
    },
  };
})();
