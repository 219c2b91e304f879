// From the page's data to arrays: `vaelib.measure.offline.Packed` wrote them.
async function inflated(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Whole numbers of 16 bits: first all low bytes, then all high ones, of each number plus 128. In rows of more than one
// they are differences from the number before.
function integers(bytes, count, row) {
  const numbers = new Int16Array(count);
  for (let i = 0; i < count; i++) {
    numbers[i] = (bytes[i] | bytes[count + i] << 8) - 128 + (i % row && numbers[i - 1]);
  }
  return numbers;
}

// The arrays by name, each flat, row after row.
async function unpack(data) {
  const bytes = await inflated(data.body), arrays = {};
  let at = 0;
  for (const [name, [kind, shape]] of Object.entries(data.arrays)) {
    const count = shape.reduce((product, length) => product * length, 1);
    const part = bytes.subarray(at, at + count * ({ bytes: 1, floats: 4 }[kind] || 2));
    at += part.length;
    if (kind === "bytes") arrays[name] = part;
    else if (kind === "floats") arrays[name] = new Float32Array(part.slice().buffer);
    else arrays[name] = integers(part, count, kind === "differences" ? count / shape[0] : 1);
  }
  return arrays;
}

// Rows of whole multiples of a step, a step a row, as the numbers that they stand for.
function scaled(numbers, steps) {
  const length = numbers.length / steps.length, values = new Float32Array(numbers.length);
  for (let i = 0; i < values.length; i++) values[i] = numbers[i] * steps[i / length | 0];
  return values;
}
