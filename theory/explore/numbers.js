// 2×2 matrices, the normal distribution and roots: what JavaScript has not.

const sum = (values) => values.reduce((total, value) => total + value, 0);
const clip = (value, low, high) => Math.min(Math.max(value, low), high);
const both = (make) => [make(0), make(1)]; // one value a type: easy, difficult
const square = (make) => both((row) => both((column) => make(row, column)));

const product = (a, b) => square((i, j) => a[i][0] * b[0][j] + a[i][1] * b[1][j]);

function inverse([[a, b], [c, d]]) {
  const determinant = a * d - b * c;
  return [[d / determinant, -b / determinant], [-c / determinant, a / determinant]];
}

/** Eigenvalues and, in columns, eigenvectors of a symmetric matrix. */
function eigen([[a, b], [, d]]) {
  const angle = Math.atan2(2 * b, a - d) / 2, cos = Math.cos(angle), sin = Math.sin(angle);
  const spread = Math.hypot((a - d) / 2, b), middle = (a + d) / 2;
  return {values: [middle + spread, middle - spread], vectors: [[cos, -sin], [sin, cos]]};
}

/** Φ: a series of positive terms inside, a continued fraction in the tails. */
function normal(x) {
  const t = Math.abs(x), density = Math.exp(-t * t / 2) / Math.sqrt(2 * Math.PI);
  if (t < 3) {
    let term = t, total = t;
    for (let odd = 3; term > total * 1e-17; odd += 2) {
      term *= t * t / odd;
      total += term;
    }
    return 0.5 + Math.sign(x) * density * total;
  }
  let fraction = t;
  for (let step = 60; step > 0; step--) fraction = t + step / fraction;
  const tail = t > 40 ? 0 : density / fraction;
  return x > 0 ? 1 - tail : tail;
}

/**
 * Roots of functions on a bracket each by Chandrupatla's method, stopped as scipy.optimize.elementwise.find_root is:
 * where a value is small or a bracket narrow. `values` is called with [index, x] of all that are still sought.
 */
function roots(values, brackets, narrow, small) {
  const at = (points) => values(points);
  const lows = at(brackets.map(([low], index) => [index, low]));
  const highs = at(brackets.map(([, high], index) => [index, high]));
  const states = brackets.map(([x1, x2], index) => ({index, x1, x2, f1: lows[index], f2: highs[index], t: 0.5}));
  const found = new Array(brackets.length);
  let active = states.filter((state) => !ended(state, narrow, small, found));
  for (let step = 0; active.length && step < 2048; step++) {
    const points = active.map((s) => [s.index, s.x1 + s.t * (s.x2 - s.x1)]);
    at(points).forEach((value, i) => moved(active[i], points[i][1], value));
    active = active.filter((state) => !ended(state, narrow, small, found));
    active.forEach(aimed);
  }
  return found;
}

function moved(s, x, value) {
  const same = Math.sign(value) === Math.sign(s.f1);
  [s.x3, s.f3] = same ? [s.x1, s.f1] : [s.x2, s.f2];
  if (!same) [s.x2, s.f2] = [s.x1, s.f1];
  [s.x1, s.f1] = [x, value];
}

function ended(s, narrow, small, found) {
  const nearer = Math.abs(s.f1) < Math.abs(s.f2);
  const best = nearer ? s.x1 : s.x2, value = nearer ? s.f1 : s.f2;
  s.width = Math.abs(s.x2 - s.x1);
  s.tolerance = Math.abs(best) * 4 * Number.EPSILON + narrow;
  if (Math.abs(value) > small) {
    if (!(Math.sign(s.f1) !== Math.sign(s.f2))) throw new Unsolved("no root in the bracket");
    if (s.width >= s.tolerance) return false;
  }
  found[s.index] = best;
  return true;
}

/** The next share of the bracket: by inverse quadratic interpolation where that is safe, else the middle. */
function aimed(s) {
  const xi = (s.x1 - s.x2) / (s.x3 - s.x2), phi = (s.f1 - s.f2) / (s.f3 - s.f2);
  const alpha = (s.x3 - s.x1) / (s.x2 - s.x1);
  let t = 0.5;
  if (1 - Math.sqrt(1 - xi) < phi && phi < Math.sqrt(xi)) {
    t = s.f1 / (s.f1 - s.f2) * s.f3 / (s.f3 - s.f2) - alpha * s.f1 / (s.f3 - s.f1) * s.f2 / (s.f2 - s.f3);
  }
  const edge = 0.5 * s.tolerance / s.width;
  s.t = clip(t, edge, 1 - edge);
}

class Unsolved extends Error {}
