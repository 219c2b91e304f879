// From pen strokes to an image as MNIST has them: 20 pixels high or wide, soft at the edges, its mass in the middle.
const BOX = 20, FIELD = 28, MIDDLE = 14; // MIDDLE: where the mean of the ink's pixel indices lies in MNIST
const PEN = 2.4, SOFT = 1.1; // pixels: the width of a stroke, as MNIST's have it, and over how much its edge fades
const SMALLEST = 0.12; // of the pad: what is drawn smaller is not blown up to the whole box

// The ink, 0 to 1, of segments [x, y, x, y] in pixels: by the distance of each pixel's centre from the nearest one.
function inked(segments) {
  const image = new Float32Array(FIELD * FIELD), far = PEN / 2 + SOFT / 2;
  for (const [x, y, u, v] of segments) {
    const dx = u - x, dy = v - y, length = dx * dx + dy * dy;
    const bottom = Math.min(FIELD - 1, Math.max(y, v) + far), right = Math.min(FIELD - 1, Math.max(x, u) + far);
    for (let row = Math.max(0, Math.ceil(Math.min(y, v) - far)); row <= bottom; row++) {
      for (let column = Math.max(0, Math.ceil(Math.min(x, u) - far)); column <= right; column++) {
        const along = length ? Math.min(1, Math.max(0, ((column - x) * dx + (row - y) * dy) / length)) : 0;
        const distance = Math.hypot(column - x - along * dx, row - y - along * dy);
        const ink = Math.min(1, Math.max(0, (far - distance) / SOFT)), at = row * FIELD + column;
        if (ink > image[at]) image[at] = ink;
      }
    }
  }
  return image;
}

// The image of strokes, each a list of points [x, y] on a pad of side 1; null when there are none.
function centred(strokes) {
  const points = strokes.flat();
  if (!points.length) return null;
  const [left, top] = [0, 1].map((k) => Math.min(...points.map((point) => point[k])));
  const [right, bottom] = [0, 1].map((k) => Math.max(...points.map((point) => point[k])));
  const scale = (BOX - PEN) / Math.max(right - left, bottom - top, SMALLEST);
  const placed = (across, down) => strokes.flatMap((stroke) => stroke.map(([x, y], i) => {
    const [u, v] = stroke[Math.max(0, i - 1)];
    return [x, y, u, v].map((value, k) => (k % 2 ? (value - (top + bottom) / 2) * scale + down
      : (value - (left + right) / 2) * scale + across));
  }));
  const middle = (FIELD - 1) / 2, first = inked(placed(middle, middle)); // the box in the middle, then the mass
  let mass = 0, across = 0, down = 0;
  first.forEach((ink, i) => { mass += ink; across += ink * (i % FIELD); down += ink * Math.floor(i / FIELD); });
  return inked(placed(middle + MIDDLE - across / mass, middle + MIDDLE - down / mass));
}

// One binary sample of an image, as protocol A takes it: with the same thresholds at every call, so it does not flicker.
const THRESHOLDS = (() => {
  let state = 1;
  return Float32Array.from({ length: FIELD * FIELD }, () => (state = state * 48271 % 2147483647) / 2147483647);
})();
const binarised = (image) => image.map((ink, i) => ink > THRESHOLDS[i] ? 1 : 0);
