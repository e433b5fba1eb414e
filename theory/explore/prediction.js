// theory.predict for least squares on graphs of easy and difficult samples, step by step under its names.
// Arrays have two entries: easy, difficult. `constants` are numbers of the Python modules.

/** theory.predict.structure.of_graph */
function structure(g, weights, epsilon) {
  const spaces = formulas.spaces({...g, ...weights});
  const counts = [g.n - g.n_d, g.n_d], copies = [1, g.r];
  const own = spaces.map((space) => space.own), levels = spaces.map((space) => space.levels);
  const found = degreesOf(own, levels, counts);
  return {counts, copies, own, levels, degrees: found, rowDegrees: found, variance: square(() => epsilon * epsilon)};
}

function degreesOf(own, levels, counts) {
  const found = both((t) => own[0][t] + levels[0][t][0] * counts[0] + levels[0][t][1] * counts[1]);
  const mean = (found[0] * counts[0] + found[1] * counts[1]) / Math.max(counts[0] + counts[1], 1);
  return both((t) => (counts[t] > 0 ? found[t] : mean));
}

function recounted(s, counts) {
  const found = degreesOf(s.own, s.levels, counts);
  return {...s, counts, degrees: found, rowDegrees: found};
}

const totalsOf = (s) => both((t) => s.counts[t] * (s.copies[0] + s.copies[1]));
const nodesOf = (s) => sum(totalsOf(s));
const blocksOf = (s) => s.levels.map((level) => square((t, u) => level[t][u] * Math.sqrt(s.counts[t] * s.counts[u])));

// --- remedies --------------------------------------------------------------------------------------

/** theory.predict.remedies.treated */
function treated(g, remedy, epsilon) {
  const now = structure(g, g.weights, epsilon);
  if (remedy === "nothing") return now;
  if (remedy === "removal") return recounted(now, [now.counts[0], 0]);
  if (remedy === "random_removal") {
    const left = now.counts[0] / sum(now.counts);
    return recounted(now, both((t) => now.counts[t] * left));
  }
  const weights = formulas[`weights_${g.pairing}`]({...g, gamma: g.beta});
  const clean = structure(g, weights, epsilon);
  if (remedy === "clean") return clean;
  if (remedy === "margin") {
    const scale = both((t) => Math.sqrt(now.degrees[t] / clean.degrees[t]));
    const levels = clean.levels.map((level) => square((t, u) => level[t][u] * scale[t] * scale[u]));
    return {...now, own: clean.own.map((own) => both((t) => own[t] * scale[t] ** 2)), levels};
  }
  const ratios = ratiosOf(g, weights);
  const variance = square((t, u) => clean.variance[t][u] * ratios[t][u]);
  return {...clean, rowDegrees: now.degrees, variance};
}

function ratiosOf(g, clean) {
  const squares = (kind) => (clean[kind] === g.weights[kind] ? 1 : (clean[kind] / g.weights[kind]) ** 2);
  const unpaired = squares("unpaired_both_difficult");
  const difficult = unpaired + (squares("paired") - unpaired) / Math.max(g.n_d, 1);
  const kinds = [squares("different_class_both_easy"), squares("different_class_one_difficult"), difficult];
  const means = kinds.map((kind) => (1 + g.r * kind) / (1 + g.r));
  return square((t, u) => means[t + u]);
}

// --- what the leading eigenvectors hold ------------------------------------------------------------

/**
 * theory.predict.resolvent.resolvent: Dyson's equation at points [re, im]. Numbers, real part and imaginary part beside
 * each other, are kept in flat arrays: this is where the time goes.
 */
function resolvent(s, points) {
  const totals = totalsOf(s), blocks = blocksOf(s);
  const start = both((t) => -Math.sqrt(s.variance[t][0] * totals[0] + s.variance[t][1] * totals[1]));
  const states = points.map((z) => ({
    z, h: Float64Array.of(0, start[0], 0, start[1]), next: new Float64Array(4), traces: new Float64Array(4),
    spaces: blocks.map(() => new Float64Array(6)), error: 0,
  }));
  for (let step = 0; step < constants.most_dyson; step++) {
    states.forEach((state) => advance(s, blocks, state));
    if (states.every(({error, h}) => error <= constants.dyson * largest(h[0], h[1], h[2], h[3]))) return states;
    states.forEach((state) => {
      [state.h, state.next] = [state.next, state.h];
    });
  }
  throw new Unsolved("Dyson's equation was not solved");
}

const largest = (re, im, otherRe, otherIm) => (
  Math.sqrt(Math.max(re * re + im * im, otherRe * otherRe + otherIm * otherIm))
);

/**
 * The traces g for a given h, how much it misses, and the next h: Newton's where that is safe. With x = zD − h − own,
 * a space's inverse is [[i, j], [j, k]] = (diag(x) − block)⁻¹, and u, v, w are the derivatives of g by h, v across.
 */
function advance(s, blocks, state) {
  const {h, next, traces, spaces, z: [zRe, zIm]} = state;
  let uRe = 0, uIm = 0, vRe = 0, vIm = 0, wRe = 0, wIm = 0;
  traces.fill(0);
  for (let space = 0; space < 2; space++) {
    const own = s.own[space], copies = s.copies[space], block = blocks[space], inverted = spaces[space];
    const xRe = zRe * s.degrees[0] - h[0] - own[0], xIm = zIm * s.degrees[0] - h[1];
    const yRe = zRe * s.degrees[1] - h[2] - own[1], yIm = zIm * s.degrees[1] - h[3];
    const aRe = xRe - block[0][0], dRe = yRe - block[1][1], b = block[0][1];
    const detRe = aRe * dRe - xIm * yIm - b * b, detIm = aRe * yIm + xIm * dRe, det = detRe * detRe + detIm * detIm;
    const qRe = detRe / det, qIm = -detIm / det;
    const iRe = dRe * qRe - yIm * qIm, iIm = dRe * qIm + yIm * qRe, jRe = b * qRe, jIm = b * qIm;
    const kRe = aRe * qRe - xIm * qIm, kIm = aRe * qIm + xIm * qRe;
    inverted[0] = iRe; inverted[1] = iIm; inverted[2] = jRe; inverted[3] = jIm; inverted[4] = kRe; inverted[5] = kIm;
    const x = xRe * xRe + xIm * xIm, y = yRe * yRe + yIm * yIm; // of 1/x and 1/y, inside the groups
    const pRe = xRe / x, pIm = -xIm / x, rRe = yRe / y, rIm = -yIm / y;
    const easy = copies * (s.counts[0] - 1), difficult = copies * (s.counts[1] - 1);
    traces[0] += easy * pRe + copies * iRe;
    traces[1] += easy * pIm + copies * iIm;
    traces[2] += difficult * rRe + copies * kRe;
    traces[3] += difficult * rIm + copies * kIm;
    uRe += easy * (pRe * pRe - pIm * pIm) + copies * (iRe * iRe - iIm * iIm);
    uIm += 2 * (easy * pRe * pIm + copies * iRe * iIm);
    vRe += copies * (jRe * jRe - jIm * jIm);
    vIm += 2 * copies * jRe * jIm;
    wRe += difficult * (rRe * rRe - rIm * rIm) + copies * (kRe * kRe - kIm * kIm);
    wIm += 2 * (difficult * rRe * rIm + copies * kRe * kIm);
  }
  const [[ee, ed], [de, dd]] = s.variance;
  const mRe = ee * traces[0] + ed * traces[2] - h[0], mIm = ee * traces[1] + ed * traces[3] - h[1];
  const nRe = de * traces[0] + dd * traces[2] - h[2], nIm = de * traces[1] + dd * traces[3] - h[3];
  const aRe = 1 - ee * uRe - ed * vRe, aIm = -ee * uIm - ed * vIm;
  const bRe = -ee * vRe - ed * wRe, bIm = -ee * vIm - ed * wIm;
  const cRe = -de * uRe - dd * vRe, cIm = -de * uIm - dd * vIm;
  const dRe = 1 - de * vRe - dd * wRe, dIm = -de * vIm - dd * wIm;
  const detRe = aRe * dRe - aIm * dIm - (bRe * cRe - bIm * cIm);
  const detIm = aRe * dIm + aIm * dRe - (bRe * cIm + bIm * cRe);
  const det = detRe * detRe + detIm * detIm, qRe = detRe / det, qIm = -detIm / det;
  const eRe = dRe * mRe - dIm * mIm - (bRe * nRe - bIm * nIm), eIm = dRe * mIm + dIm * mRe - (bRe * nIm + bIm * nRe);
  const fRe = aRe * nRe - aIm * nIm - (cRe * mRe - cIm * mIm), fIm = aRe * nIm + aIm * nRe - (cRe * mIm + cIm * mRe);
  const sRe = eRe * qRe - eIm * qIm, sIm = eRe * qIm + eIm * qRe;
  const tRe = fRe * qRe - fIm * qIm, tIm = fRe * qIm + fIm * qRe;
  const safe = largest(sRe, sIm, tRe, tIm) < largest(h[0], h[1], h[2], h[3]) / 2 && h[1] + sIm < 0 && h[3] + tIm < 0;
  state.error = largest(mRe, mIm, nRe, nIm);
  next[0] = h[0] + (safe ? sRe : mRe / 2);
  next[1] = h[1] + (safe ? sIm : mIm / 2);
  next[2] = h[2] + (safe ? tRe : nRe / 2);
  next[3] = h[3] + (safe ? tIm : nIm / 2);
}

const normalised = (s, matrix) => square((t, u) => matrix[t][u] / Math.sqrt(s.degrees[t] * s.degrees[u]));
const withDiagonal = (matrix, diagonal) => square((t, u) => matrix[t][u] + (t === u ? diagonal[t] : 0));

/** theory.predict.resolvent.modes */
function modesOf(s) {
  const spaces = blocksOf(s).map((block, space) => eigen(normalised(s, withDiagonal(block, s.own[space]))));
  const inside = s.own.map((own) => both((t) => own[t] / s.degrees[t]));
  return {spaces, inside};
}

/** Half the semicircle's radius, at most. */
function noiseOf(s) {
  const totals = totalsOf(s);
  const rows = both((t) => sum(both((u) => s.variance[t][u] * totals[u] / (s.degrees[t] * s.degrees[u]))));
  return Math.sqrt(Math.max(...rows));
}

function edges(s) {
  const {spaces, inside} = modesOf(s);
  const values = [...spaces.flatMap((space) => space.values), ...inside.flat()];
  const noise = constants.edge * noiseOf(s);
  const low = Math.min(...values) - noise, high = Math.max(...values) + noise;
  return [low, high + constants.clearance * (high - low)];
}

/** Trace by type and spaces of the projectors on the eigenvectors between some cuts and the spectrum's end. */
function above(s, cuts, high) {
  const each = constants.angles.length;
  const turns = cuts.map((cut) => constants.angles.map((angle) => {
    const radius = (high - cut) / 2;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  }));
  const found = resolvent(s, turns.flatMap((contour, i) => contour.map(([re, im]) => [re + (high + cuts[i]) / 2, im])));
  const across = Math.sqrt(s.degrees[0]) * Math.sqrt(s.degrees[1]);
  return turns.map((contour, i) => {
    const held = [0, 0], spaces = s.levels.map(() => square(() => 0));
    contour.forEach(([re, im], j) => {
      const {traces, spaces: inverted} = found[i * each + j], step = constants.steps[j] / Math.PI;
      const part = (value, at) => step * (re * value[at] - im * value[at + 1]); // Im of i·turn·value
      held[0] += part(traces, 0) * s.degrees[0];
      held[1] += part(traces, 2) * s.degrees[1];
      spaces.forEach((space, k) => {
        space[0][0] += part(inverted[k], 0) * s.degrees[0];
        space[0][1] += part(inverted[k], 2) * across;
        space[1][1] += part(inverted[k], 4) * s.degrees[1];
        space[1][0] = space[0][1];
      });
    });
    return {held, spaces};
  });
}

/** theory.predict.resolvent.capture */
function capture(s, dim) {
  const [low, high] = edges(s);
  if (noiseOf(s) <= constants.negligible * (high - low)) return captureExact(s, dim);
  const spread = high - low, wanted = [dim - constants.near, dim + constants.near];
  const surplus = (points) => above(s, points.map(([, x]) => low + x * spread), high)
    .map(({held}, i) => held[0] + held[1] - wanted[points[i][0]]);
  const [first, second] = roots(surplus, [[0, 1 - 1e-9], [0, 1 - 1e-9]], 1e-8, 1e-6);
  return above(s, [low + (first + second) / 2 * spread], high)[0];
}

/** The limit of little noise. */
function captureExact(s, dim) {
  const {spaces, inside} = modesOf(s);
  const modes = [];
  spaces.forEach(({values, vectors}, space) => values.forEach((value, i) => {
    const weight = sum(both((t) => (s.counts[t] > 0 ? vectors[t][i] ** 2 : 0)));
    modes.push({value, many: weight > 0.5 ? s.copies[space] : 0, space, vector: both((t) => vectors[t][i])});
  }));
  inside.forEach((values, space) => values.forEach((value, type) => {
    modes.push({value, many: s.counts[type] > 0 ? s.copies[space] * (s.counts[type] - 1) : 0, type});
  }));
  const level = constants.level * Math.max(...modes.map((mode) => Math.abs(mode.value)));
  const held = [0, 0], found = s.levels.map(() => square(() => 0));
  for (const mode of modes) {
    const higher = sum(modes.map((other) => (other.value > mode.value + level ? other.many : 0)));
    const equal = sum(modes.map((other) => (Math.abs(other.value - mode.value) <= level ? other.many : 0)));
    const share = clip((dim - higher) / (equal > 0 ? equal : 1), 0, 1);
    if (mode.vector) {
      const part = square((t, u) => mode.vector[t] * mode.vector[u] * share);
      found[mode.space] = square((t, u) => found[mode.space][t][u] + part[t][u]);
      for (const t of [0, 1]) held[t] += s.counts[t] > 0 ? s.copies[mode.space] * part[t][t] : 0;
    } else {
      held[mode.type] += mode.many * share;
    }
  }
  return {held, spaces: found};
}

// --- the rows behind them, the probe and its answers -----------------------------------------------

/** theory.predict.rows.rows */
function rowsOf(s, captured) {
  const totals = totalsOf(s), nodes = nodesOf(s), groups = sum(s.copies), copies = s.copies[1];
  const shares = both((t) => totals[t] / nodes);
  const inside = both((t) => captured.held[t] - sum(s.copies.map((many, k) => many * captured.spaces[k][t][t])));
  const dimensions = both((t) => Math.max(totals[t] - groups, 0));
  const ofAll = sum(inside) / sum(dimensions);
  const each = both((t) => (totals[t] <= 2 * groups ? ofAll : inside[t] / Math.max(dimensions[t], 1)));
  const leverage = each.map((value) => clip(value, 0, constants.fullest));
  const odds = leverage.map((value) => value / (1 - value));
  const delta = shares[0] * odds[0] + shares[1] * odds[1];
  const spread = odds.map((value) => (delta > 0 ? value / delta : 1));
  const projector = captured.spaces[1];
  const between = both((t) => (totals[t] > 0 ? copies * (1 - projector[t][t]) : 0));
  const left = both((t) => Math.max(totals[t] - copies, 0) * (1 - leverage[t]) + between[t]);
  const tau = spread[0] * left[0] + spread[1] * left[1];
  const odd = inverse(square((t, u) => (t === u ? 1 : 0) - constants.fullest * projector[t][u]));
  const mean = sum(both((t) => totals[t] * s.rowDegrees[t])) / nodes;
  const relative = s.rowDegrees.map((degree) => degree / mean);
  const means = square((t, u) => (totals[t] > 0 && totals[u] > 0
    ? (odd[t][u] - (t === u ? 1 / (1 - leverage[t]) : 0)) * tau
      / Math.sqrt(totals[t] * totals[u]) / Math.sqrt(relative[t] * relative[u])
    : 0));
  return {shares, spread: both((t) => spread[t] / relative[t]), means, copies};
}

function residualOf(sample, tau, delta) {
  const slack = both((t) => 1 + sample.spread[t] * delta);
  const root = sample.counts.map(Math.sqrt);
  const residual = inverse(square((t, u) => sample.means[t][u] * root[t] * root[u] / tau + (t === u ? slack[t] : 0)));
  return {slack, residual};
}

/** theory.predict.probe.fit, where no ridge weighs the rows. */
function fit(sample) {
  const {counts, spread, copies: r, dim} = sample, present = counts.map((count) => count > 0);
  const over2 = (make) => sum(both((t) => (present[t] ? make(t) : 0)));
  const rows = sum(both((t) => (spread[t] > 0 ? counts[t] : 0)));
  let tau = Math.max(rows - dim, 1) * (spread[0] * counts[0] + spread[1] * counts[1]) / rows, delta = dim / tau;
  for (let step = 0; step < constants.most_steps && Number.isFinite(delta) && tau > constants.smallest; step++) {
    const {slack, residual} = residualOf(sample, tau, delta);
    let nextTau = over2((t) => spread[t] * ((counts[t] - r) / slack[t] + r * residual[t][t]));
    nextTau = Math.max(nextTau, tau / 2);
    const used = over2((t) => r * (1 - slack[t] * residual[t][t]));
    const nextDelta = Math.max((dim - used) / nextTau, delta / 2);
    const change = Math.max(Math.abs(nextTau / tau - 1), Math.abs(nextDelta / delta - 1));
    [tau, delta] = [(tau + nextTau) / 2, (delta + nextDelta) / 2];
    if (change <= constants.tolerance) return {tau, delta, ...residualOf(sample, tau, delta)};
  }
  throw new Unsolved("the equivalents of least squares were not found");
}

/** theory.predict.probe.slopes */
function slopesOf(sample, found) {
  const {counts, spread, copies: r} = sample, {tau, delta, slack, residual} = found;
  const over2 = (make) => sum(both((t) => (counts[t] > 0 ? make(t) : 0)));
  const weighted = (weights) => product(square((t, u) => residual[t][u] * weights[u]), residual);
  const byDelta = square((t, u) => -weighted(spread)[t][u]);
  const byTau = square((t, u) => (residual[t][u] - weighted(slack)[t][u]) / tau);
  const a = 1 - over2((t) => spread[t] * r * byTau[t][t]);
  const b = over2((t) => spread[t] * ((counts[t] - r) * spread[t] / slack[t] ** 2 - r * byDelta[t][t]));
  const c = delta - over2((t) => r * slack[t] * byTau[t][t]);
  const d = tau - over2((t) => r * (spread[t] * residual[t][t] + slack[t] * byDelta[t][t]));
  const ofTau = d / (a * d - b * c), ofDelta = -c / (a * d - b * c);
  return {tau: ofTau, delta: ofDelta, residual: square((t, u) => byTau[t][u] * ofTau + byDelta[t][u] * ofDelta)};
}

/** theory.predict.probe.scores and theory.predict.answers.alike */
function answers(rows, labelled, dim) {
  const total = sum(labelled), counts = labelled.map((count) => count * (total - 1) / total), r = rows.copies;
  const sample = {counts, spread: rows.spread, means: rows.means, copies: r, dim};
  const found = fit(sample), byRidge = slopesOf(sample, found), {spread} = rows;
  const mass = both((t) => counts[t] / found.slack[t]);
  const inner = inverse(square((t, u) => (t === u ? found.tau : 0) + rows.means[t][u] * mass[u]));
  const influence = product(inner, rows.means), curvature = product(inner, influence);
  const length = sum(square((t, u) => byRidge.residual[t][u] * Math.sqrt(counts[t]) * Math.sqrt(counts[u])).flat());
  const signal = both((t) => influence[t][0] * mass[0] + influence[t][1] * mass[1]);
  const single = both((t) => spread[t] * mass[t] ** 2 / Math.max(counts[t], 1e-300)), trace = -byRidge.delta;
  const along = both((t) => curvature[t][0] * mass[0] + curvature[t][1] * mass[1]);
  const curved = mass[0] * along[0] + mass[1] * along[1];
  const centre = sum(both((t) => counts[t] * spread[t])) / sum(counts) ** 2;
  const missing = both((u) => 1 - signal[u]);
  return both((t) => {
    const curves = both((u) => curvature[t][t] * (missing[u] ** 2 + spread[u] * curved));
    const scatter = both((u) => curves[u] + influence[t][u] ** 2 * curved);
    const common = both((u) => along[t] * (2 * influence[t][u] * missing[u] - spread[u] * along[t]));
    const weigh = (values) => sum(both((u) => single[u] * values[u]));
    const pairs = trace * weigh(both((u) => influence[t][u] ** 2)) * weigh(missing.map((value) => value ** 2));
    const crossing = trace * weigh(both((u) => influence[t][u] * missing[u])) ** 2;
    const noise = length * (spread[t] + centre) + r * (weigh(scatter) * byRidge.tau + pairs);
    const own = (r + 1) * (weigh(common) * byRidge.tau - crossing);
    return clip(exchangeable(Math.sqrt(r + 1) * signal[t], noise, own, r), 0, 1);
  });
}

/** theory.predict.orthant.exchangeable */
function exchangeable(signal, noise, own, others) {
  if (!(noise > 0)) return signal > 0 ? 1 : signal < 0 ? 0 : 1 / (others + 1);
  const left = Math.sqrt(Math.max(noise - own, 0)), scale = Math.sqrt(noise);
  return sum(constants.points.map((u, i) => constants.weights[i] * normal((signal + left * u) / scale) ** others));
}

/** theory.predict.chain.accuracy, by type and over all nodes. */
function accuracyOf(s, dim, labelled) {
  const rows = rowsOf(s, capture(s, dim));
  const byType = answers(rows, labelled, dim);
  const there = (t) => (s.counts[t] > 0 ? byType[t] : null);
  return {accuracy: byType[0] * rows.shares[0] + byType[1] * rows.shares[1], easy: there(0), difficult: there(1)};
}
