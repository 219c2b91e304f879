// Networks, layer by layer as `vaelib.measure.portable.run` computes them, and the likelihoods around a decoder.
// Y[r] = W X[r] + bias for rows r of X: two outputs of four rows at a time, so that what was read is used more than once.
function multiply(W, X, bias, outputs, inputs, rows) {
  const Y = new Float32Array(rows * outputs), even = outputs - outputs % 2;
  let r = 0;
  for (; r + 4 <= rows; r += 4) {
    const a = r * inputs, b = a + inputs, c = b + inputs, d = c + inputs;
    for (let o = 0; o < even; o += 2) {
      const u = o * inputs, v = u + inputs;
      let a0 = 0, a1 = 0, b0 = 0, b1 = 0, c0 = 0, c1 = 0, d0 = 0, d1 = 0;
      for (let i = 0; i < inputs; i++) {
        const p = W[u + i], q = W[v + i], e = X[a + i], f = X[b + i], g = X[c + i], h = X[d + i];
        a0 += p * e; a1 += q * e; b0 += p * f; b1 += q * f; c0 += p * g; c1 += q * g; d0 += p * h; d1 += q * h;
      }
      const y = r * outputs + o, s = bias[o], t = bias[o + 1];
      Y[y] = a0 + s; Y[y + 1] = a1 + t;
      Y[y + outputs] = b0 + s; Y[y + outputs + 1] = b1 + t;
      Y[y + 2 * outputs] = c0 + s; Y[y + 2 * outputs + 1] = c1 + t;
      Y[y + 3 * outputs] = d0 + s; Y[y + 3 * outputs + 1] = d1 + t;
    }
  }
  for (let row = 0; row < rows; row++) { // what four rows and two outputs leave over
    for (let o = row < r ? even : 0; o < outputs; o++) {
      let sum = bias[o], other = 0, i = 0; // two sums, neither of which waits for the other
      const w = o * inputs, x = row * inputs;
      for (; i + 1 < inputs; i += 2) { sum += W[w + i] * X[x + i]; other += W[w + i + 1] * X[x + i + 1]; }
      Y[row * outputs + o] = sum + other + (i < inputs ? W[w + i] * X[x + i] : 0);
    }
  }
  return Y;
}

// The error function to 1.5e-7: Abramowitz and Stegun, 7.1.26.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x)), softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const POINTWISE = {
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)), relu: (x) => Math.max(x, 0), tanh: Math.tanh,
  sigmoid, silu: (x) => x * sigmoid(x),
};

function normalised(X, rows, weight, bias, eps) {
  const width = X.length / rows, Y = new Float32Array(X.length);
  for (let start = 0; start < X.length; start += width) {
    let sum = 0, squares = 0;
    for (let i = 0; i < width; i++) sum += X[start + i];
    for (let i = 0; i < width; i++) squares += (X[start + i] - sum / width) ** 2;
    const scale = 1 / Math.sqrt(squares / width + eps);
    for (let i = 0; i < width; i++) Y[start + i] = (X[start + i] - sum / width) * scale * weight[i] + bias[i];
  }
  return Y;
}

// A convolution of one row's maps: the patches under the kernel as rows, times the weights, and back to maps.
function convolved(X, layer) {
  const { side, kernel, stride, padding, inputs, outputs } = layer;
  const wide = Math.floor((side + 2 * padding - kernel) / stride) + 1, patches = new Float32Array(wide * wide * inputs);
  for (let place = 0, at = 0; place < wide * wide; place++) {
    const top = Math.floor(place / wide) * stride - padding, left = place % wide * stride - padding;
    for (let i = 0; i < inputs; i++, at++) {
      const y = top + Math.floor(i / kernel) % kernel, x = left + i % kernel;
      const inside = y >= 0 && x >= 0 && y < side && x < side;
      if (inside) patches[at] = X[(Math.floor(i / kernel ** 2) * side + y) * side + x];
    }
  }
  const Y = multiply(layer.weight, patches, layer.bias, outputs, inputs, wide * wide);
  return Y.map((_, i) => Y[i % (wide * wide) * outputs + Math.floor(i / (wide * wide))]);
}

function shuffled(X, { side, factor }) { // as PixelShuffle does: [c * f * f, s, s] to [c, s * f, s * f]
  return X.map((_, i) => {
    const wide = side * factor, x = i % wide, y = Math.floor(i / wide) % wide, map = Math.floor(i / wide ** 2);
    const from = (map * factor + y % factor) * factor + x % factor;
    return X[(from * side + Math.floor(y / factor)) * side + Math.floor(x / factor)];
  });
}

// What a network makes of `rows` rows.
function run(network, X, rows) {
  for (const layer of network) {
    if (layer.kind === "linear") X = multiply(layer.weight, X, layer.bias, layer.outputs, layer.inputs, rows);
    else if (layer.kind === "norm") X = normalised(X, rows, layer.weight, layer.bias, layer.eps);
    else if (layer.kind === "residual") { const added = run(layer.inner, X, rows); X = X.map((x, i) => x + added[i]); }
    else if (layer.kind in POINTWISE) X = X.map(POINTWISE[layer.kind]);
    else X = Float32Array.from([].concat(...Array.from({ length: rows }, (_, r) => {
      const one = X.subarray(r * X.length / rows, (r + 1) * X.length / rows);
      return Array.from(layer.kind === "conv" ? convolved(one, layer) : shuffled(one, layer));
    })));
  }
  return X;
}

function withWeights(network, arrays) {
  for (const layer of network) {
    if (layer.inner) withWeights(layer.inner, arrays);
    const weight = arrays[layer.name + ".weight"], steps = arrays[layer.name + ".steps"];
    if (weight) [layer.weight, layer.bias] = [steps ? scaled(weight, steps) : weight, arrays[layer.name + ".bias"]];
  }
  return network;
}

// Exponential families in the decoder's outputs, log p(x | z) = T(x) . eta - A, as `vaelib.models.likelihoods` has them.
const half = (l) => Math.abs(l) < 0.1 ? l * l / 24 - l ** 4 / 2880 // log(sinh(l/2) / (l/2)): the series where l is small
  : Math.abs(l) / 2 + Math.log1p(-Math.exp(-Math.abs(l))) - Math.log(Math.abs(l));
const sum = (values, of) => values.reduce((total, value, i) => total + of(value, i), 0);
const LIKELIHOODS = {
  bernoulli: { statistics: (x) => x, eta: (l) => l, logPartition: (l) => sum(l, softplus), mean: (eta) => eta.map(sigmoid) },
  continuous_bernoulli: {
    statistics: (x) => x, eta: (l) => l.map((one) => 20 * Math.tanh(one / 20)), // the soft limit of likelihoods.py
    logPartition: (l) => sum(LIKELIHOODS.continuous_bernoulli.eta(l), (one) => one / 2 + half(one)),
    mean: (eta) => eta.map((l) => Math.abs(l) < 0.1 ? 0.5 + l / 12 - l ** 3 / 720 : 1 / -Math.expm1(-l) - 1 / l),
  },
  gaussian: { // the decoder's outputs are means m and, behind a softplus, log-variances v: eta = (m / e^v, -1 / (2 e^v))
    statistics: (x) => Float32Array.from([...x, ...x.map((value) => value ** 2)]),
    eta: (l) => l.map((_, i) => i < 784 ? l[i] * Math.exp(6 - softplus(l[i + 784] + 6)) : -Math.exp(6 - softplus(l[i] + 6)) / 2),
    logPartition: (l) => sum(l.subarray(0, 784), (m, i) => {
      const v = softplus(l[i + 784] + 6) - 6;
      return (m * m * Math.exp(-v) + v + Math.log(2 * Math.PI)) / 2;
    }),
    mean: (eta) => eta.subarray(0, 784).map((one, i) => one / (-2 * eta[i + 784])),
  },
};
