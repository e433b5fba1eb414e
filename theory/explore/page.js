// The page: parameters in the address and in controls, results in sentences, drawings and tables.

const START = {
  alpha: 0.6, beta: 0.3, gamma: 0.34, pairing: "block", samples_per_class: 100, classes: 10, difficult: 10, dim: 20,
  delta: 0.01, epsilon: 0.7,
};
const LEVELS = ["alpha", "beta", "gamma"], WHERES = ["within", "across"];

const PLACES = {within: "within a class", across: "across classes"};
const PAIRS = {ee: "easy–easy", ed: "easy–difficult", dd: "difficult–difficult"};

// name, symbol, words, lowest and highest of the slider, step; the number beside it takes more.
const CONTROLS = {
  levels: [
    ["alpha", "α", "within a class", 0, 0.99, 0.01],
    ["beta", "β", "across classes", 0, 0.99, 0.01],
    ["gamma", "γ", "across classes, of difficult pairs", 0, 0.99, 0.01],
    ...WHERES.flatMap((where) => SUFFIXES.map((suffix) => [
      `${where}.${suffix}`, suffix.toUpperCase(), `${PLACES[where]}, ${PAIRS[suffix]}`, -1, 1, 0.01,
    ])),
  ],
  sizes: [
    ["samples_per_class", "n", "samples per class", 3, 1000, 1],
    ["classes", "r + 1", "classes", 2, 100, 1],
    ["difficult", "n_d", "difficult samples per class", 0, 100, 1],
  ],
  probe: [
    ["dim", "k", "width of the features", 1, 200, 1],
    ["epsilon", "ε", "noise on a similarity, standard deviation", 0, 5, 0.05],
    ["labels_per_class", "m", "labelled samples per class; empty: half", 2, 99, 1],
    ["delta", "δ", "labelling error, for the bounds", 0, 1, 0.01],
  ],
};
const NAMES = ["pairing", ...Object.keys(START).filter((name) => name !== "pairing"), "labels_per_class", ...WHERES];
const element = (id) => document.getElementById(id);

// --- the address -----------------------------------------------------------------------------------

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

class Unreadable extends Error {}

/** The parameters of an address's fragment; what is missing is as at the start. */
function read(fragment) {
  const given = {};
  for (const part of fragment.replace(/^#/, "").split("&").filter(Boolean)) {
    const end = part.includes("=") ? part.indexOf("=") : part.length;
    const [name, text] = [part.slice(0, end), part.slice(end + 1)].map(decoded);
    if (!NAMES.includes(name)) throw new Unreadable(`there is no parameter ${shortened(name)}`);
    if (name in given) throw new Unreadable(`${name} is there twice`);
    given[name] = value(name, text);
  }
  const six = WHERES.filter((where) => where in given);
  if (six.length === 1) throw new Unreadable("within and across go together");
  if (!six.length) return {...START, ...given};
  for (const name of [...LEVELS, "pairing"]) {
    if (name in given) throw new Unreadable(`${name} and within exclude each other`);
  }
  const {alpha, beta, gamma, pairing, ...rest} = START;
  return {...rest, ...given};
}

function value(name, text) {
  if (name === "pairing") {
    demand(constants.pairings.includes(text), name, shortened(text), `one of ${constants.pairings.join(", ")}`);
    return text;
  }
  if (!WHERES.includes(name)) return number(name, text);
  const levels = text.split(",");
  demand(levels.length === 3, name, shortened(text), "three numbers: EE,ED,DD");
  return levels.map((level, i) => number(`${name}.${KINDS[i]}`, level));
}

function number(name, text) {
  const found = NUMBER.test(text) ? Number(text) : NaN;
  demand(Number.isFinite(found), name, shortened(text), "a finite number");
  return found;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Unreadable(`the address cannot be read at ${shortened(text)}`);
  }
}

const shortened = (text) => (text.length > 40 ? `${text.slice(0, 40)}…` : text);

/** The fragment that `read` reads. */
function written(input) {
  const given = NAMES.filter((name) => input[name] !== undefined);
  return `#${given.map((name) => `${name}=${[input[name]].flat().join(",")}`).join("&")}`;
}

/** The commands that print the same. */
function commands(input) {
  const options = (...names) => names.filter((name) => input[name] !== undefined)
    .map((name) => ` --${name.replaceAll("_", "-")} ${[input[name]].flat().join(" ")}`).join("");
  const graph = options(...LEVELS, ...WHERES, "pairing", "samples_per_class", "classes", "difficult", "dim");
  return [
    `python -m theory.bounds${graph}${options("delta")}`,
    `python -m theory.predict${graph}${options("epsilon", "labels_per_class")}`,
  ];
}

// --- sentences -------------------------------------------------------------------------------------

const LABELS = {
  nothing: "nothing", clean: "without difficult pairs", margin: "margin", temperature_unweighted: "lower temperature",
  removal: "removal", random_removal: "random removal",
};
const BEST = {
  margin: "the margin", temperature_unweighted: "a lower temperature", removal: "removing difficult samples",
};
const WORTH = 0.005; // points, that two decimals show
const points = (value) => `${Math.abs(value).toFixed(2)} points`;
const signed = (value, digits = 2) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
const percent = (value) => `${(100 * value).toFixed(2)} %`;

/** What these parameters mean, in one sentence. */
function answer(report, found) {
  return `${capital(accuracyPart(report.graph, found))}; ${realisablePart(report)}.`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function accuracyPart(g, {remedies, reasons}) {
  if (!remedies.nothing) return `there is no accuracy to predict (${reasons.nothing})`;
  const now = remedies.nothing.accuracy, expected = `an accuracy of ${percent(now)} is to be expected`;
  if (g.clean) return `without difficult pairs, ${expected}`;
  const tried = Object.keys(BEST).filter((name) => remedies[name]);
  const gains = tried.map((name) => [100 * (remedies[name].accuracy - now), name]);
  const [gain, best] = gains.length ? gains.reduce((a, b) => (b[0] > a[0] ? b : a)) : [0, ""];
  if (g.six) {
    const change = remedies.removal ? `, and removing the difficult samples changes it by ${signed(gain)} points` : "";
    return `with these levels ${expected}${change}`;
  }
  const cost = remedies.clean ? 100 * (remedies.clean.accuracy - now) : 0;
  const instead = remedies.clean ? ` (${percent(now)} instead of ${percent(remedies.clean.accuracy)})` : "";
  const some = `${cost > 0 ? "cost" : "gain"} ${points(cost)} of accuracy`;
  const costs = Math.abs(cost) < WORTH ? "cost nothing" : some;
  const remedy = gain < WORTH ? "no remedy helps" : `the best remedy is ${BEST[best]} (${signed(gain)} points)`;
  return `with these levels difficult pairs ${costs}${instead}; ${remedy}`;
}

function realisablePart(report) {
  const largest = report.largest_gamma === null ? "" : ` (γ is at most ${general(report.largest_gamma, 4)})`;
  if (!report.realisable) return `these levels are not realisable: no augmentation produces them${largest}`;
  const known = report.graph.six || report.graph.pairing === "any" ? ", as far as is known" : "";
  return `these levels are realisable by an augmentation${known}`;
}

function realisableLine(report) {
  const {graph: g, degrees} = report;
  const why = g.positive_semidefinite ? "it has negative weights" : "it is not positive semidefinite";
  const largest = report.largest_gamma === null ? "" : ` The largest γ is ${general(report.largest_gamma)}.`;
  const not = `Not realisable: ${why}, so no augmentation produces the graph.`;
  const said = report.realisable ? `${capital(realisablePart(report))}.` : not;
  return `${said}${largest} Degrees: easy ${general(degrees.easy, 8)}, difficult ${general(degrees.difficult, 8)}.`;
}

// --- tables and drawings ---------------------------------------------------------------------------

const shownNumber = (value, digits = 6) => (value === null ? "—" : general(value, digits).replace("-", "−"));

/** Fill a table; a cell is a text or a node, the first of a row its header. */
function table(id, caption, header, rows) {
  const filled = element(id);
  filled.replaceChildren();
  filled.setAttribute("aria-label", caption);
  const line = (cells, scope) => {
    const row = document.createElement("tr");
    cells.forEach((content, i) => {
      const cell = document.createElement(scope === "col" || i === 0 ? "th" : "td");
      if (cell.tagName === "TH") cell.scope = scope === "col" ? "col" : "row";
      cell.append(...[content].flat());
      row.append(cell);
    });
    return row;
  };
  const head = document.createElement("thead"), body = document.createElement("tbody");
  head.append(line(header, "col"));
  body.append(...rows.map((cells) => line(cells, "row")));
  filled.append(head, body);
}

function notes(id, lines) {
  element(id).replaceChildren(...lines.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

function swatch(colour) {
  const dot = document.createElement("span");
  dot.className = "swatch";
  dot.style.background = colour;
  return dot;
}

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, given]) => made.setAttribute(name, given));
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * Rows of a name and a dot each on one axis.
 * rows: {name, value, colour}; axis: {place: value → 0 to 1, ticks: [[value, text]], the important first}; lines: {value, dash, name}
 */
function plot(id, description, rows, axis, lines = []) {
  drawn[id] = () => draw(id, description, rows, axis, lines);
  drawn[id]();
}

const drawn = {}; // again, when the window has another width

function draw(id, description, rows, axis, lines) {
  const holder = element(id), width = Math.max(holder.clientWidth || 640, 280), step = 26;
  const left = Math.min(200, width * 0.44), right = 18, bottom = rows.length * step + 6;
  const height = bottom + 24 + lines.length * 20;
  const x = (value) => left + (width - left - right) * Math.min(Math.max(axis.place(value), 0), 1);
  const drawing = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description});
  const taken = []; // where a text is, so that no other is written over it
  for (const [value, text] of axis.ticks) {
    const half = 3.5 * text.length + 3, middle = Math.min(x(value), width - half);
    drawing.append(svg("line", {x1: x(value), x2: x(value), y1: 0, y2: bottom, stroke: "var(--line)"}));
    if (taken.some(([other, room]) => Math.abs(other - middle) < room + half)) continue;
    taken.push([middle, half]);
    drawing.append(svg("text", {x: middle, y: bottom + 15, "text-anchor": "middle", class: "tick"}, text));
  }
  lines.forEach(({value, dash, name}, i) => {
    const stroke = {stroke: "var(--ink)", "stroke-dasharray": dash, "stroke-width": 1.5}, y = bottom + 36 + 20 * i;
    drawing.append(svg("line", {x1: x(value), x2: x(value), y1: 0, y2: bottom, ...stroke}));
    drawing.append(svg("line", {x1: 0, x2: 24, y1: y - 4, y2: y - 4, ...stroke}));
    drawing.append(svg("text", {x: 32, y}, name));
  });
  rows.forEach(({name, value, colour}, i) => {
    const y = i * step + 17;
    drawing.append(svg("text", {x: 0, y: y + 4}, name));
    const dots = {stroke: "var(--line)", "stroke-dasharray": "1 4"};
    drawing.append(svg("line", {x1: left, x2: width - right, y1: y, y2: y, ...dots}));
    drawing.append(svg("circle", {cx: x(value), cy: y, r: 5.5, fill: colour, stroke: "var(--ground)"}));
  });
  holder.replaceChildren(drawing);
}

/** An axis that is linear around 0 and logarithmic beyond: eigenvalues lie decades apart and may be negative. */
function decades(values) {
  const least = Math.min(...values.map(Math.abs).filter((v) => v > 1e-9), 1);
  const lowest = Math.floor(Math.log10(least)), unit = 10 ** lowest;
  const turn = (value) => Math.asinh(5 * value / unit);
  const smallest = Math.min(...values), low = turn(smallest < -1e-12 ? smallest : 0), high = turn(1);
  const every = Math.ceil(-lowest / 5) || 1, ticks = [[0, "0"], [1, "1"]];
  for (let power = -every; power >= lowest; power -= every) ticks.push([10 ** power, tenth(power)]);
  if (low < 0) {
    const power = Math.floor(Math.log10(-smallest));
    if (power >= lowest) ticks.push([-(10 ** power), `−${tenth(power)}`]);
  }
  return {place: (value) => 0.02 + 0.96 * (turn(value) - low) / (high - low), ticks};
}

const raised = (power) => [...String(power)].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
const tenth = (power) => (power > -3 ? String(10 ** power).replace(/^0/, "") : `10${raised(power)}`);

function shares(values) {
  const low = Math.min(...values), high = Math.max(...values), room = Math.max((high - low) * 0.1, 0.003);
  const from = Math.max(low - room, 0), to = Math.min(high + room, 1);
  const rough = (to - from) / 7, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough), ticks = [];
  for (let i = Math.ceil(from / step); i * step <= to; i++) {
    ticks.push([i * step, `${(100 * i * step).toFixed(Math.max(0, -Math.floor(Math.log10(100 * step))))} %`]);
  }
  return {place: (value) => (value - from) / (to - from), ticks};
}

// --- results ---------------------------------------------------------------------------------------

const words = (name) => name.replaceAll("_", " ");

function showBounds(input, report) {
  const {bounds, plan, reasons, spectrum} = report;
  element("realisable").textContent = realisableLine(report);
  const lines = [[bounds.difficult.lambda, "5 4", "printed"], [nthLargest(spectrum, input.dim + 1), "", "exact"]]
    .map(([value, dash, name]) => ({value, dash, name: `${name} λ of the (k+1)-th mode: ${shownNumber(value)}`}));
  const modes = spectrum.map(({mode, eigenvalue}) => ({name: words(mode), value: eigenvalue, colour: "var(--ink)"}));
  const said = spectrum.map(({mode, eigenvalue}) => `${words(mode)} ${general(eigenvalue, 3)}`).join(", ");
  const values = [...modes, ...lines].map((one) => one.value);
  plot("spectrum-plot", `Eigenvalues: ${said}`, modes, decades(values), lines);
  table("spectrum", "Eigenvalues by mode", ["mode", "eigenvalue", "multiplicity"],
    spectrum.map(({mode, eigenvalue, multiplicity}) => [words(mode), shownNumber(eigenvalue), String(multiplicity)]));

  const header = ["bound", "printed", "λ printed", "value", "λ exact", "value", "over clean", "k in range"];
  const more = (value) => (value === null || value < 0 ? "" : "+") + shownNumber(value, 3);
  table("bounds", "Error bounds", header, Object.entries(bounds).map(([name, b]) => [
    name, b.source, shownNumber(b.lambda), shownNumber(b.bound) + (b.vacuous ? " (>1)" : ""),
    shownNumber(b.lambda_exact), shownNumber(b.bound_exact), more(b.excess_over_clean), b.applies ? "yes" : "no",
  ]));
  notes("bounds-notes", [...labellingLines(input, report), ...reasonsOf(reasons, (name) => name.endsWith(" bound"))]);

  const {theorem} = plan;
  table("plan", "Plan", ["what", "value"], [
    ["margin σ alone", theorem.margin_sigma], ["temperature factor ρ alone", theorem.temperature_rho],
    ["both: σ", theorem.combined_sigma], ["both: ρ", theorem.combined_rho],
    ["difficult pairs from the top share", plan.pos_high], ["to the top share", plan.pos_low],
    ["share of each class to remove", plan.removal_fraction],
  ].map(([name, value]) => [name, shownNumber(value)]));
  notes("plan-notes", reasonsOf(reasons, (name) => !name.endsWith(" bound")));
}

/** Where δ can lie. */
function labellingLines({delta}, {least, cross_mass}) {
  if (least === null) return [];
  const range = `An augmentation with these weights has δ between ${general(least)} and φ = ${general(cross_mass)}.`;
  if (least <= delta && delta <= cross_mass) return [range];
  const unproved = cross_mass <= 2 * delta ? "" : ", and the bounds need φ ≤ 2δ";
  return [range, `δ = ${delta} lies outside: no augmentation has it${unproved}.`];
}

/** Each reason once, after the names of what it is about. */
function reasonsOf(reasons, chosen) {
  const named = {};
  Object.entries(reasons).filter(([name]) => chosen(name)).forEach(([name, why]) => {
    named[why] = [...(named[why] ?? []), words(name).replace(".", " ")];
  });
  return Object.entries(named).map(([why, names]) => `${names.join(", ")}: ${why}`);
}

function showPredictions(input, report, found) {
  const {remedies, reasons} = found, there = Object.entries(remedies).filter(([, one]) => one !== null);
  const now = remedies.nothing?.accuracy ?? null;
  const cell = (value) => (value === null ? "—" : percent(value).replace(" %", ""));
  const change = (name, value) => (now === null || name === "nothing" ? "—" : signed(100 * (value - now)));
  const cells = (name, one) => [cell(one.accuracy), change(name, one.accuracy), cell(one.easy), cell(one.difficult)];
  table("accuracy", "Predicted accuracy by remedy", ["remedy", "all, %", "change", "easy, %", "difficult, %"],
    Object.entries(remedies).map(([name, one]) => [
      [swatch(`var(--${name})`), LABELS[name]], ...(one ? cells(name, one) : ["—", "—", "—", "—"]),
    ]));
  const rows = there.map(([name, one]) => ({
    name: LABELS[name], value: one.accuracy, colour: `var(--${name})`,
  }));
  if (rows.length) {
    const said = there.map(([name, one]) => `${LABELS[name]} ${percent(one.accuracy)}`).join(", ");
    plot("accuracy-plot", `Predicted accuracy: ${said}`, rows, shares(rows.map((row) => row.value)));
  } else {
    delete drawn["accuracy-plot"];
    element("accuracy-plot").replaceChildren();
  }
  const removals = "Removal takes the difficult samples away, random removal as many of all.";
  const said = [`Chance is ${percent(1 / input.classes)}. ${removals}`], least = constants.fewest_nodes;
  if (report.graph.nodes < least) said.push(`Fewer than ${least} samples, for which nothing was tested.`);
  if (report.graph.six) said.push("Six levels have no clean graph: margin and temperature have no prediction.");
  notes("accuracy-notes", [...said, ...reasonsOf(reasons, () => true)]);
  element("answer").textContent = answer(report, found);
}

// --- controls --------------------------------------------------------------------------------------

let current = {...START};
let waiting = null; // the prediction that is due

/** Show what follows from the parameters; predictions at once or, while somebody slides, when they pause. */
function show(input, wait = 0) {
  clearTimeout(waiting);
  current = input;
  try {
    const report = boundsReport(input);
    refuse("");
    showBounds(input, report);
    element("commands").textContent = commands(input).join("\n");
    const predict = () => {
      showPredictions(input, report, predictions(input));
      ["answer", "accuracy-plot", "accuracy"].forEach((id) => element(id).classList.remove("waiting"));
    };
    if (!wait) predict();
    else {
      ["answer", "accuracy-plot", "accuracy"].forEach((id) => element(id).classList.add("waiting"));
      waiting = setTimeout(predict, wait);
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(error.message);
  }
}

/** Say in one line what is wrong, and show no results; an empty text takes it back. */
function refuse(line) {
  element("refused").textContent = line && `Refused: ${line}.`;
  element("refused").hidden = !line;
  element("answer").hidden = Boolean(line);
  element("results").hidden = Boolean(line);
  const name = line.split(" ")[0];
  document.querySelectorAll("#controls input").forEach((input) => {
    const own = input.dataset.name === name || (name in SHORT && input.dataset.name === SHORT[name]);
    if (own) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  });
}

/** Controls of levels by the names that errors have for these. */
const SHORT = Object.fromEntries(WHERES.flatMap((where) => KINDS.map((kind, i) => [
  `${where}.${kind}`, `${where}.${SUFFIXES[i]}`,
])));

function build() {
  for (const [id, controls] of Object.entries(CONTROLS)) {
    for (const [name, symbol, text, low, high, step] of controls) {
      const row = document.createElement("div"), label = document.createElement("label");
      row.className = "control";
      const strong = document.createElement("b");
      const [letter, index] = symbol.split("_");
      strong.textContent = letter;
      if (index) strong.append(Object.assign(document.createElement("sub"), {textContent: index}));
      label.append(strong, ` ${text}`);
      label.htmlFor = `number-${name}`;
      label.id = `label-${name}`;
      const control = (given) => Object.assign(document.createElement("input"), given);
      const slider = control({type: "range", min: low, max: high, step, id: `slider-${name}`});
      const exact = control({type: "number", step: "any", id: `number-${name}`});
      slider.setAttribute("aria-label", `${text}, slider`);
      for (const input of [slider, exact]) {
        input.dataset.name = name;
        input.addEventListener("input", () => changed(name, input));
      }
      row.append(label, slider, exact);
      element(id).append(row);
    }
  }
  element("six").addEventListener("change", () => choose(element("six").checked ? sixOf(current) : threeOf(current)));
  element("pairing").addEventListener("change", () => choose({...current, pairing: element("pairing").value}));
  element("again").addEventListener("click", () => choose({...START}));
  element("copy").addEventListener("click", copy);
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", open);
}

/** A control was moved or typed into. */
function changed(name, input) {
  const given = input.type === "number" && input.value === "" ? NaN : Number(input.value);
  const next = {...current, [name]: given}, [where, suffix] = name.split(".");
  if (suffix) {
    delete next[name];
    next[where] = current[where].map((level, i) => (SUFFIXES[i] === suffix ? given : level));
  }
  if (name === "labels_per_class" && Number.isNaN(given)) delete next[name];
  choose(next, 200, input);
}

/** Take new parameters: into the address, the controls and the results. */
function choose(next, wait = 0, typed = null) {
  const numbers = Object.values(next).flat().filter((entry) => typeof entry === "number");
  if (numbers.every(Number.isFinite)) {
    address(written(next));
    link(next);
  }
  fill(next, typed);
  show(next, wait);
}

function address(fragment) {
  try {
    history.replaceState(null, "", fragment);
  } catch {
    // some viewers of local files forbid it: the link below has the parameters
  }
}

function link(input) {
  element("link").value = location.href.replace(/#.*$/, "") + written(input);
}

/** Controls as the parameters; not the one that somebody is typing into. */
function fill(input, typed) {
  const six = input.within !== undefined;
  element("six").checked = six;
  element("pairings").hidden = six;
  if (!six) element("pairing").value = input.pairing;
  element("slider-difficult").max = Math.max(input.samples_per_class || 0, 1);
  element("slider-labels_per_class").max = Math.max((input.samples_per_class || 0) - 1, 2);
  element("number-labels_per_class").placeholder = String(input.samples_per_class / 2);
  for (const [name] of Object.values(CONTROLS).flat()) {
    const [where, suffix] = name.split(".");
    const value = suffix ? input[where]?.[SUFFIXES.indexOf(suffix)] : input[name];
    const slider = element(`slider-${name}`), exact = element(`number-${name}`);
    slider.parentElement.hidden = (suffix !== undefined || LEVELS.includes(name)) && value === undefined;
    const shownValue = value ?? (name === "labels_per_class" ? input.samples_per_class / 2 : "");
    if (slider !== typed) slider.value = shownValue;
    if (exact !== typed) exact.value = value === undefined || Number.isNaN(value) ? "" : value;
    slider.setAttribute("aria-valuetext", `${shownValue}`);
  }
}

/** The six levels of the paper's three, and back. */
function sixOf({alpha, beta, gamma, pairing, ...rest}) {
  const same = pairing === "matched" ? "block" : pairing; // six levels do not tell paired samples apart
  const w = formulas[`weights_${same}`]({alpha, beta, gamma, n_d: rest.difficult});
  return {
    ...rest, within: [w.same_class_both_easy, w.same_class_one_difficult, w.same_class_both_difficult],
    across: [w.different_class_both_easy, w.different_class_one_difficult, w.unpaired_both_difficult],
  };
}

function threeOf({within, across, ...rest}) {
  return {...rest, alpha: within[0], beta: across[0], gamma: across[2], pairing: "block"};
}

async function copy() {
  const shared = element("link");
  shared.select();
  try {
    await navigator.clipboard.writeText(shared.value);
    element("copied").textContent = "copied";
  } catch {
    element("copied").textContent = "the link is selected: copy it with your keyboard";
  }
}

/** Begin from the address; a bad one is refused, and the controls keep what they had. */
function open() {
  try {
    const input = read(location.hash);
    fill(input, null);
    link(input);
    show(input);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreadable)) throw error;
    fill(current, null);
    link(current);
    refuse(error.message);
  }
}

build();
open();
window.addEventListener("resize", () => Object.values(drawn).forEach((draw) => draw()));
