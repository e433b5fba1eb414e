// What theory.bounds, theory.plan and theory.predict say of a graph, from the generated `formulas`.
// Input that they refuse is refused here with the same line.

class Refused extends Error {
  constructor(name, value, condition) {
    super(`${name} = ${shown(value)} violates ${condition}`);
  }
}

const shown = (value) => (Array.isArray(value) ? `(${value.join(", ")})` : String(value));

function demand(holds, name, value, condition) {
  if (!holds) throw new Refused(name, value, condition);
}

function demandInteger(name, value, low, high, limit = "") {
  const condition = `an integer in [${low}, ${high}]${limit}`;
  demand(Number.isInteger(value) && low <= value && value <= high, name, value, condition);
}

const demandShare = (name, value) => demand(value >= 0 && value <= 1, name, value, `0 <= ${name} <= 1`);

// --- the graph -------------------------------------------------------------------------------------

const KINDS = ["easy", "mixed", "difficult"], SUFFIXES = ["ee", "ed", "dd"];

/** A checked graph: levels, sizes, weights by kind of pair, degrees. */
function graphOf(input) {
  const n = input.samples_per_class, n_d = input.difficult, six = input.within !== undefined;
  if (!six) demandLevels(input);
  else {
    for (const where of ["within", "across"]) {
      KINDS.forEach((kind, i) => {
        const value = input[where][i];
        demand(value >= -1 && value <= 1, `${where}.${kind}`, value, "a number in [-1, 1]");
      });
    }
  }
  demandSize("samples_per_class", n, 1, 2, constants.most_samples);
  demandSize("classes", input.classes, 2, 2, constants.most_classes);
  demandInteger("difficult", n_d, 0, n, ", the samples per class");
  const g = {n, n_d, r: input.classes - 1, nodes: n * input.classes, six, pairing: six ? "block" : input.pairing};
  if (!six) Object.assign(g, {alpha: input.alpha, beta: input.beta, gamma: input.gamma});
  else {
    SUFFIXES.forEach((suffix, i) => {
      g[`within_${suffix}`] = input.within[i];
      g[`across_${suffix}`] = input.across[i];
    });
    const kind = n_d === 0 ? "easy" : n_d === n ? "difficult" : "mixed";
    Object.assign(g, formulas[`levels_${kind}`]({...g, n_e: n - n_d}));
  }
  const {neighbours = n_d, ...weights} = formulas[six ? "weights_six" : `weights_${g.pairing}`](g);
  Object.assign(g, weights, {weights, neighbours});
  Object.assign(g, formulas.facts(g));
  if (six) {
    demand(g.degrees.easy > 0 || n === n_d, "degree of easy samples", g.degrees.easy, "degree > 0");
    demand(g.degrees.difficult > 0 || n_d === 0, "degree of difficult samples", g.degrees.difficult, "degree > 0");
  }
  g.clean = n_d === 0 || (!six && g.gamma === g.beta);
  return g;
}

/** A size that the theory takes, and that this page can show. */
function demandSize(name, value, least, low, high) {
  demandInteger(name, value, least, constants.largest_size);
  demand(low <= value && value <= high, name, value, `the limits of this page, ${low} to ${high}`);
}

function demandLevels({alpha, beta, gamma}) {
  Object.entries({alpha, beta, gamma}).forEach(([name, value]) => {
    demand(Number.isFinite(value), name, value, "a finite number");
  });
  demand(alpha < 1, "alpha", alpha, "alpha < 1");
  demand(beta >= 0, "beta", beta, "beta >= 0");
  demand(beta <= gamma, "gamma", gamma, `gamma >= beta = ${beta}`);
  demand(gamma < alpha, "gamma", gamma, `gamma < alpha = ${alpha}`);
}

/** The modes that there are, the largest eigenvalue first. */
function spectrumOf(g) {
  const found = g.pairing === "matched" ? formulas.spectrum_matched(g) : formulas.spectrum(g);
  return found.filter((mode) => mode.multiplicity > 0).sort((a, b) => b.eigenvalue - a.eigenvalue);
}

function nthLargest(spectrum, j) {
  let left = j;
  return spectrum.find((mode) => (left -= mode.multiplicity) <= 0).eigenvalue;
}

// --- bounds and plan -------------------------------------------------------------------------------

/** The report of python -m theory.bounds --json, without what the page does not show. */
function boundsReport(input) {
  const g = graphOf(input), spectrum = spectrumOf(g), reasons = {};
  demandInteger("dim", input.dim, 1, g.nodes - 1, ", fewer than the N samples");
  demandShare("delta", input.delta);
  const clean = formulas.clean(g).lambda;
  demand(clean < 1, "alpha", g.alpha, "a clean eigenvalue below 1: n(alpha + r beta) vanishes beside 1 - alpha");
  const of = g.n_d === 0 || g.gamma === g.beta ? formulas.bounds_clean : formulas.bounds;
  const given = {...g, dim: input.dim, delta: input.delta, exact: nthLargest(spectrum, input.dim + 1)};
  const bounds = {};
  for (const [name, found] of Object.entries(of(given))) {
    bounds[name] = boundOf(name, found);
    if (bounds[name].lambda === null) reasons[`${name} bound`] = reasonOf(name, g, input.dim);
  }
  const realisable = g.positive_semidefinite && !g.negative;
  const largest = g.six ? null : g.n_d ? Math.min(formulas[`largest_gamma_${g.pairing}`](g).gamma, g.alpha) : g.alpha;
  const {degrees, cross_mass} = g, limit = g.r / (g.r + 1);
  const least = cross_mass >= 0 && cross_mass <= limit ? formulas.labelling({phi: cross_mass, r: g.r}).least : null;
  return {
    graph: g, degrees, cross_mass, least, realisable, largest_gamma: largest, spectrum, bounds,
    plan: planOf(g, reasons), reasons,
  };
}

function boundOf(name, found) {
  const source = constants.sources[name];
  if (!found.exists || !Number.isFinite(found.added)) {
    const none = {lambda: null, lambda_exact: null, bound: null, bound_exact: null, excess_over_clean: null};
    return {source, ...none, applies: false, vacuous: false};
  }
  return {
    source, lambda: found.eigenvalue, lambda_exact: found.exact, bound: found.bound,
    bound_exact: found.exact < 1 ? found.bound_exact : null, excess_over_clean: found.excess, applies: found.applies,
    vacuous: found.bound > 1,
  };
}

function reasonOf(name, g, dim) {
  if (name === "removal") {
    if (g.n_d === g.n) return "every sample is difficult: removal would leave none";
    return `removal leaves ${g.nodes - (g.r + 1) * g.n_d} samples, too few for k = ${dim}`;
  }
  if (g.beta === 0) return "beta = 0 < gamma: no positive temperature turns gamma into beta";
  return `gamma/beta = ${g.gamma / g.beta} is too large for the bound`;
}

/** theory.plan: the theorems' sizes, the selector's band, the share to remove. */
function planOf(g, reasons) {
  const plan = {margin_sigma: 0, temperature_rho: 1, combined_sigma: null, combined_rho: null};
  const sizes = formulas.sizes(g);
  if (g.n_d > 0) plan.margin_sigma = sizes.margin_sigma;
  if (g.n_d > 0 && g.gamma !== g.beta) {
    plan.temperature_rho = g.beta > 0 && g.gamma > 0 ? sizes.temperature_rho : null;
  }
  if (plan.temperature_rho === null) {
    const [less, more] = g.beta === 0 ? ["beta", "gamma"] : ["gamma", "beta"];
    const why = `${less} = 0 < ${more}: no positive temperature turns gamma into beta`;
    for (const name of ["temperature_rho", "combined_sigma", "combined_rho"]) reasons[`theorem.${name}`] = why;
  } else Object.assign(plan, formulas.joint({sigma: plan.margin_sigma, rho: plan.temperature_rho}));
  if (g.n_d === g.n) reasons.removal_fraction = "every sample is difficult: removal would leave none";
  const removal_fraction = g.n_d === g.n ? null : g.n_d / g.n;
  return {theorem: plan, ...formulas[`shares_${g.pairing}`](g), removal_fraction};
}

// --- predicted accuracy ----------------------------------------------------------------------------

const REMEDIES = ["nothing", "clean", "margin", "temperature_unweighted", "removal", "random_removal"];
const OF_SIX = ["nothing", "removal", "random_removal"];

/** theory.predict.predict of every remedy, or why there is none. */
function predictions(input) {
  const g = graphOf(input), found = {}, reasons = {};
  for (const remedy of g.six ? OF_SIX : REMEDIES) {
    try {
      found[remedy] = predicted(g, input, remedy);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      found[remedy] = null;
      reasons[remedy] = error.message;
    }
  }
  return {remedies: found, reasons};
}

function predicted(g, {epsilon, dim, labels_per_class}, remedy) {
  demand(epsilon >= 0 && epsilon <= constants.most_noise, "epsilon", epsilon, "0 <= epsilon <= 1e+50");
  const labels = labels_per_class ?? g.n / 2, {n} = g;
  const removes = remedy.endsWith("removal");
  if (removes) demand(g.n_d < n, "difficult", g.n_d, `difficult < ${general(n)}: all would go`);
  const s = treated(g, remedy, epsilon);
  ["easy", "difficult"].forEach((kind, t) => {
    const holds = s.degrees[t] > 0 || s.counts[t] === 0;
    demand(holds, `degree of ${kind} samples`, s.degrees[t], `degree > 0${removes ? " after the removal" : ""}`);
  });
  const left = sum(s.counts), before = left < n ? `, of ${general(n)} before the removal` : "";
  const fewest = `at least 2 labels in each class of ${general(left)} samples${before}`;
  demand(labels * left / n >= 2, "labels_per_class", labels, fewest);
  demand(labels < n, "labels_per_class", labels, `labels_per_class < ${general(n)}: others are to be predicted`);
  demand(Number.isInteger(dim), "dim", dim, "an integer");
  demand(dim >= g.r + 1, "dim", dim, `dim >= ${general(g.r + 1)}, the classes: fewer modes miss some of them`);
  const total = labels / n * nodesOf(s);
  demand(dim < total - 1, "dim", dim, `dim < ${general(total)} - 1, one less than the labels`);
  try {
    return accuracyOf(s, dim, totalsOf(s).map((count) => count * labels / n));
  } catch (error) {
    if (!(error instanceof Unsolved)) throw error;
    throw new Refused("dim", dim, constants.open);
  }
}

/** A number to some significant digits, as Python's format "g" has it. */
function general(value, digits = 6) {
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent), short = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power < -4 || power >= digits) {
    return `${short(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return short(value.toFixed(digits - 1 - power));
}
