// Interpolation on a square grid by cubic B-splines (Unser 1999): they pass through the values, and bend smoothly.
const POLE = Math.sqrt(3) - 2;

// The coefficients whose spline passes through the values: a recursive filter along rows, then along columns.
function splineOf(values, side) {
  const c = Float64Array.from(values, (value) => 36 * value);
  for (const [along, across] of [[1, side], [side, 1]]) {
    for (let start = 0; start < side * across; start += across) {
      const last = start + (side - 1) * along;
      let first = 0;
      for (let k = 0, power = 1; k < Math.min(side, 20); k++, power *= POLE) first += power * c[start + k * along];
      c[start] = first;
      for (let i = start + along; i <= last; i += along) c[i] += POLE * c[i - along];
      c[last] = POLE / (POLE * POLE - 1) * (c[last] + POLE * c[last - along]);
      for (let i = last - along; i >= start; i -= along) c[i] = POLE * (c[i + along] - c[i]);
    }
  }
  return c;
}

const bump = (t) => t < 1 ? 2 / 3 - t * t * (1 - t / 2) : t < 2 ? (2 - t) ** 3 / 6 : 0;

// The weights of the coefficients from two before a grid point to two behind it, at t cells from it, t in [-1/2, 1/2].
const weightsAt = (t) => [-2, -1, 0, 1, 2].map((tap) => bump(Math.abs(tap - t)));

// The spline near a grid point, by the weights along its row and its column; beyond the edge the grid's last value goes on.
function splineAt(spline, side, column, row, across, up) {
  let total = 0;
  for (let q = 0; q < 5; q++) {
    if (!up[q]) continue;
    const line = Math.min(side - 1, Math.max(0, row + q - 2)) * side;
    let part = 0;
    for (let p = 0; p < 5; p++) part += across[p] * spline[line + Math.min(side - 1, Math.max(0, column + p - 2))];
    total += up[q] * part;
  }
  return total;
}
