// What is drawn: digits, the plane with its posterior and the two Gaussians, the pad.
const minus = (text) => String(text).replace("-", "\u2212");

function drawDigit(canvas, values, colour) {
  const pen = canvas.getContext("2d"), ink = pen.createImageData(28, 28), [r, g, b] = colour;
  for (let i = 0; i < 784; i++) ink.data.set([r, g, b, 255 * values[i]], 4 * i);
  pen.putImageData(ink, 0, 0);
}

// A canvas made as large as its box, in the screen's own pixels; its pen draws in the page's.
function fitted(canvas) {
  const size = canvas.clientWidth, ratio = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
  if (canvas.width !== Math.round(size * ratio)) canvas.width = canvas.height = Math.round(size * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, size, size);
  return [pen, size];
}

// A part of the plane, the square of half side `half` around `centre`: dots, posterior, ellipses of q, names, mark, axes.
function drawPlane(canvas, { centre, half }, { dots, names, posterior, gaussians, mark, colours, ink }) {
  const [pen, size] = fitted(canvas), scale = size / 2 / half;
  if (!size) return;
  const place = (x, y) => [(x - centre[0] + half) * scale, (centre[1] + half - y) * scale];
  const round = (x, y, a, b) => { pen.beginPath(); pen.ellipse(...place(x, y), a, b, 0, 0, 7); };
  pen.globalAlpha = posterior ? 0.4 : 0.65;
  for (const [x, y, label] of dots) {
    pen.fillStyle = colours[label];
    round(x, y, Math.max(1.4, size / 260), Math.max(1.4, size / 260));
    pen.fill();
  }
  pen.globalAlpha = 1;
  if (posterior) drawDensity(pen, posterior, place, scale, ink);
  for (const { q, colour } of gaussians) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: 1.5 });
    for (const sigmas of [1, 2]) {
      round(...q.mean, ...q.deviation.map((deviation) => Math.max(2, sigmas * deviation * scale)));
      pen.stroke();
    }
  }
  const outline = `rgb(${ink.map((part) => 255 - part)})`, fillStyle = `rgb(${ink})`;
  Object.assign(pen, { font: "bold 13px sans-serif", textAlign: "center", lineWidth: 3, strokeStyle: outline, fillStyle });
  for (const [x, y, name] of names) {
    for (const write of ["strokeText", "fillText"]) pen[write](name, place(x, y)[0], place(x, y)[1] + 4);
  }
  for (const [radius, colour, width] of [[7, "#fff", 4], [6, "#000", 2]]) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: width });
    round(...mark, radius, radius);
    pen.stroke();
  }
  pen.font = "11px sans-serif";
  drawTicks(pen, centre, half, size, place);
}

// The density on a logarithmic scale: a pixel for each point of the lattice, drawn large and smooth.
function drawDensity(pen, { points, size, origin, top }, place, scale, ink) {
  const near = points.filter((point) => point[2] > top - NEAR), sheet = document.createElement("canvas");
  const [left, low] = [0, 1].map((k) => near.reduce((least, point) => Math.min(least, point[k]), Infinity) - 1);
  const [right, high] = [0, 1].map((k) => near.reduce((most, point) => Math.max(most, point[k]), -Infinity) + 1);
  [sheet.width, sheet.height] = [right - left + 1, high - low + 1];
  const sheetPen = sheet.getContext("2d"), data = sheetPen.createImageData(sheet.width, sheet.height);
  for (const [i, j, value] of near)
    data.data.set([...ink, 255 * (1 - (top - value) / NEAR)], 4 * ((high - j) * sheet.width + i - left));
  sheetPen.putImageData(data, 0, 0);
  const [x, y] = place(origin + (left - 0.5) * size, origin + (high + 0.5) * size);
  const width = sheet.width * size * scale, height = sheet.height * size * scale, least = 6;
  const wider = Math.max(0, least - width), higher = Math.max(0, least - height); // too small to be seen otherwise
  pen.drawImage(sheet, x - wider / 2, y - higher / 2, width + wider, height + higher);
}

// Ticks along the lower and the left edge; no number stands where the letters of the axes do.
function drawTicks(pen, centre, half, size, place) {
  const rough = half / 2.5, power = 10 ** Math.floor(Math.log10(rough)), room = 28;
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.99);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (const axis of [0, 1]) {
    pen.textAlign = axis ? "left" : "center";
    for (let k = Math.ceil((centre[axis] - half) / step); k * step < centre[axis] + half; k++) {
      const at = place(k * step, k * step)[axis], label = minus((k * step).toFixed(digits));
      pen.fillRect(...(axis ? [0, at, 5, 1] : [at, size - 5, 1, 5]));
      if (at > room && at < size - room) pen.fillText(label, ...(axis ? [8, at + 4] : [at, size - 8]));
    }
  }
  pen.fillText("z\u2082", 8, 14);
  pen.fillText("z\u2081", size - 18, size - 8);
}

function drawStrokes(canvas, strokes, pointer, ink) {
  const [pen, size] = fitted(canvas);
  pen.strokeStyle = pen.fillStyle = `rgb(${ink})`;
  pen.lineWidth = size / 13;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) {
    pen.beginPath();
    for (const [x, y] of [stroke[0], ...stroke]) pen.lineTo(x * size, y * size);
    pen.stroke();
  }
  if (pointer) pen.fillRect(pointer[0] * size - 3, pointer[1] * size - 3, 6, 6);
}
