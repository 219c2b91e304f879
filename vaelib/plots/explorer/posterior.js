// The exact posterior of an image: at once from the table of the plane, then by the decoder where the mass is.
const STRETCH = 6; // points to a side of a table's cell: a step of a hundredth
const NEAR = 8, FAR = 11; // nats below the highest point: what counts as the posterior, and where refining ends
const FINEST = 1 / 4096, AREA = 100, MOST = 3000; // of a lattice's step, in points within NEAR nats, in points
const SAMPLED = 4; // places where a draft is held against the decoder
const SETTLED = 0.05; // nats between the sums over a lattice's black and white points; over both the error is far less
const HERMITE = [[-2.3344142183, 0.0458758548], [-0.7419637843, 0.4541241452], [0.7419637843, 0.4541241452],
  [2.3344142183, 0.0458758548]]; // nodes and weights of order 4

const logNormal = (x, y) => -(x * x + y * y) / 2 - Math.log(2 * Math.PI);
const dot = (a, b) => { let total = 0; for (let i = 0; i < a.length; i++) total += a[i] * b[i]; return total; };
function logSumExp(values) {
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return top + Math.log(sum(values, (value) => Math.exp(value - top)));
}

// A model as the page has it: posteriors by `draft` and `refine`, the encoder's q by `encode`, log p(x, z), E[x | z].
function openModel(header, arrays) {
  const decoder = withWeights(header.decoder, arrays), encoder = withWeights(header.encoder, arrays);
  const likelihood = LIKELIHOODS[header.likelihood], { side, reach } = header.table, step = 2 * reach / side;
  const basis = scaled(arrays["table.basis"], arrays["table.steps"]), centre = arrays["table.centre"];
  const coefficients = arrays["table.coefficients"], termStep = arrays["table.term_step"][0];
  const terms = basis.length / centre.length, cache = new Map();

  function decode(latents) {
    const outputs = run(decoder, Float32Array.from(latents.flat()), latents.length);
    const length = outputs.length / latents.length;
    return latents.map(([x, y], i) => {
      const own = outputs.subarray(i * length, (i + 1) * length);
      return { eta: likelihood.eta(own), offset: likelihood.logPartition(own) - logNormal(x, y) };
    });
  }

  function scores(x) { // log p(x, z) at every latent of the table
    const statistics = likelihood.statistics(x), values = new Float64Array(side * side).fill(dot(statistics, centre));
    for (let k = 0; k < terms; k++) {
      const own = termStep * dot(statistics, basis.subarray(k * centre.length, (k + 1) * centre.length));
      for (let i = 0, from = k * side * side; i < values.length; i++) values[i] += own * coefficients[from + i];
    }
    return values.map((value, i) => value - arrays["table.offset"][i]);
  }

  // The posterior by interpolation: log p(x), and the points within FAR nats of the highest on a lattice i, j.
  function draft(x) {
    const values = scores(x), top = values.reduce((a, b) => Math.max(a, b));
    const heavy = [...values.keys()].filter((i) => values[i] > top - 25);
    const stretch = heavy.length > 400 ? STRETCH / 2 : STRETCH, spline = splineOf(values, side);
    const weights = Array.from({ length: stretch }, (_, a) => weightsAt((a + 0.5) / stretch - 0.5)), points = [];
    for (const node of heavy) {
      const row = Math.floor(node / side), column = node % side;
      for (let b = 0; b < stretch; b++) for (let a = 0; a < stretch; a++)
        points.push([column * stretch + a, row * stretch + b, splineAt(spline, side, column, row, weights[a], weights[b])]);
    }
    const found = posterior(points, step / stretch, step / stretch / 2 - reach);
    found.logJoint = (latents) => latents.map((z) => {
      const [u, v] = z.map((value) => Math.min(side - 1, Math.max(0, (value + reach) / step - 0.5)));
      const column = Math.round(u), row = Math.round(v);
      return splineAt(spline, side, column, row, weightsAt(u - column), weightsAt(v - row));
    });
    const places = sampled(found), guessed = found.logJoint(places);
    const off = logJoint(x, places).map((value, n) => value - guessed[n]); // what the table is off by
    found.logPx += logSumExp(off) - Math.log(off.length);
    return found;
  }

  function posterior(points, size, origin) {
    const top = points.reduce((highest, point) => Math.max(highest, point[2]), -Infinity);
    const logPx = logSumExp(points.map((point) => point[2])) + 2 * Math.log(size);
    return { size, origin, top, logPx, points: points.filter((point) => point[2] > top - FAR) };
  }

  // The same by the decoder, on a lattice of a fitting step that grows from the draft's points to where there is no
  // mass, and that is halved until it is settled. `goesOn` is asked between any two portions of work.
  async function refine(x, first, goesOn) {
    const statistics = likelihood.statistics(x), near = first.points.filter((point) => point[2] > first.top - NEAR);
    let size = 2 ** Math.round(Math.log2(first.size * Math.sqrt(near.length / AREA))), found;
    size = Math.min(0.5, Math.max(size, FINEST));
    let seeds = near.map(([i, j]) => [i, j].map((k) => Math.round((first.origin + k * first.size) / size)));
    for (;; size /= 2) {
      const points = await grown(seeds, size, statistics, goesOn);
      if (!points) return null;
      found = posterior(points, size, 0);
      const half = (odd) => logSumExp(points.filter(([i, j]) => ((i + j) & 1) === odd).map((point) => point[2]));
      found.halves = Math.abs(half(0) - half(1));
      if (found.halves < SETTLED || size <= FINEST || points.length > MOST) return found;
      seeds = found.points.map(([i, j]) => [2 * i, 2 * j]);
    }
  }

  async function grown(seeds, size, statistics, goesOn) {
    const known = new Set(), points = [], far = 8 / size;
    let queue = [], top = -Infinity;
    const ask = (i, j) => {
      const key = (i + far) * 2 ** 20 + j + far;
      if (!known.has(key) && Math.max(Math.abs(i), Math.abs(j)) <= far) queue.push([i, j]);
      known.add(key);
    };
    for (const [i, j] of seeds) ask(i, j);
    while (queue.length) {
      const part = queue.splice(0, 12), missing = part.filter(([i, j]) => !cache.has(i * size + "," + j * size));
      decode(missing.map(([i, j]) => [i * size, j * size])).forEach((one, n) => {
        cache.set(missing[n][0] * size + "," + missing[n][1] * size, one);
      });
      for (const [i, j] of part) {
        const one = cache.get(i * size + "," + j * size), value = dot(one.eta, statistics) - one.offset;
        points.push([i, j, value]);
        top = Math.max(top, value);
        if (value < top - FAR || points.length > MOST) continue;
        ask(i - 1, j); ask(i + 1, j); ask(i, j - 1); ask(i, j + 1);
      }
      if (missing.length) await pause();
      if (!goesOn()) return null;
    }
    if (cache.size > 2 * MOST) cache.clear();
    return points;
  }

  function encode(x) {
    const [a, b, c, d] = run(encoder, x, 1);
    return { mean: [a, b], deviation: [Math.exp(c / 2), Math.exp(d / 2)] };
  }

  function logJoint(x, latents) { // log p(x, z), by the decoder
    const statistics = likelihood.statistics(x);
    return decode(latents).map((one) => dot(one.eta, statistics) - one.offset);
  }

  return { draft, refine, encode, logJoint, reach, image: (z) => likelihood.mean(decode([z])[0].eta) };
}

const pause = () => new Promise((resolve) => { // as setTimeout, which waits for four milliseconds, does not
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { port1.close(); resolve(); };
  port2.postMessage(0);
});

// Places that stand for equal shares of a posterior, in the order of its lattice.
function sampled({ points, size, origin, top }) {
  const weights = points.map((point) => Math.exp(point[2] - top)), share = sum(weights, (weight) => weight) / SAMPLED;
  let before = 0;
  return points.filter((_, n) => {
    const passed = Math.floor(before / share + 0.5);
    return Math.floor((before += weights[n]) / share + 0.5) > passed;
  }).map((point) => [0, 1].map((axis) => origin + point[axis] * size));
}

// Mean and standard deviation of a posterior along both axes, which make a Gaussian of the same moments.
function moments({ points, size, origin, top }) {
  const place = (k) => origin + k * size, weights = points.map((point) => Math.exp(point[2] - top));
  const total = sum(weights, (weight) => weight);
  const mean = [0, 1].map((axis) => sum(points, (point, n) => weights[n] * place(point[axis])) / total);
  const deviation = mean.map((centre, axis) =>
    Math.sqrt(sum(points, (point, n) => weights[n] * (place(point[axis]) - centre) ** 2) / total));
  return { mean, deviation };
}

// The ELBO of q, E_q[log p(x, z)] + entropy, by Gauss-Hermite quadrature as in `vaelib.exact.inference.gaussian_elbo`.
function elbo({ mean, deviation }, logJoint) {
  const nodes = HERMITE.flatMap(([u, p]) => HERMITE.map(([v, w]) => [u, v, p * w]));
  const values = logJoint(nodes.map(([u, v]) => [mean[0] + u * deviation[0], mean[1] + v * deviation[1]]));
  return sum(values, (value, i) => nodes[i][2] * value) + sum(deviation, Math.log) + 1 + Math.log(2 * Math.PI);
}
