"use strict";
/* The data of the page as objects, and the few helpers that everything else is built with. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const KIND = Object.fromEntries(DATA.kinds.flatMap((kind) => kind.verdicts.map((verdict) => [verdict, kind])));
const CASE = Object.fromEntries(DATA.cases.map((each, number) => [each.id, number]));
const WITHIN = { exact: 1, conformant: 1 };

/* Every result: what payload.py wrote in short, with its system and its case. */
const RESULTS = DATA.systems.flatMap((system) => {
  const text = (number) => (number === undefined ? "" : DATA.texts[number]);
  return system.results.map((r) => ({
    system,
    case: DATA.cases[r.c],
    verdict: DATA.verdicts[r.v],
    kind: KIND[DATA.verdicts[r.v]],
    tau: r.t,
    total: r.o,
    bits: r.b,
    dialect: text(r.n),
    hint: text(r.h),
    evidence: text(r.e),
    waiver: text(r.w),
    unsteady: Boolean(r.u),
    answer: r.a,
    code: text(r.p),
  }));
});

const label = (system) => `${system.candidate} ${system.version}`;

/* An element: attributes that are undefined are left out, texts become text nodes and never markup. */
function el(tag, attributes, ...children) {
  const svg = tag.startsWith("svg:");
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

function verdict(result) {
  const symbol = el("i", { "aria-hidden": "true" }, result.kind.symbol);
  const word = result.kind.word === result.verdict || result.verdict === "unsupported" ? result.kind.word : result.verdict;
  return el("span", { class: `verdict ${result.kind.name}` }, symbol, word);
}

/* What an answer is called: its dialect, the nearest mistake, or why there is none. */
function named(result) {
  if (result.dialect) return result.hint ? `${result.dialect}: ${result.hint}` : result.dialect;
  return result.hint;
}

/* The double nearest to a number of the golden files: integer, rational, hexadecimal float, word. */
function number(text) {
  if (text.includes("/")) {
    const [above, below] = text.split("/");
    const surplus = Math.max(0, above.length - 300, below.length - 300); // digits beyond what a double can count
    return Number(above.slice(0, above.length - surplus)) / Number(below.slice(0, below.length - surplus));
  }
  const hex = /^(-?)0x([01])(?:\.([0-9a-f]+))?p([+-]\d+)$/.exec(text);
  if (hex) {
    const digits = hex[3] || "";
    const significand = parseInt(hex[2] + digits, 16) / 16 ** digits.length;
    return (hex[1] ? -1 : 1) * significand * 2 ** Number(hex[4]);
  }
  return { nan: NaN, inf: Infinity, "-inf": -Infinity }[text] ?? Number(text);
}

/* A number to read: exact text where it is short, else seven digits; `exact` keeps the text. */
function shown(text, exact) {
  if (exact || text.length <= 9) return text;
  const value = number(text);
  return Number.isFinite(value) ? String(Number(value.toPrecision(7))) : text;
}

/* A quantity in three digits. */
function brief_number(value) {
  const size = Math.abs(Number(value));
  return size >= 1e6 && Number.isFinite(size) ? Number(value).toExponential(1) : String(value);
}

const values = (tensor) => (tensor.d === "" ? [] : tensor.d.split(" "));

/* The index of element k of a row-major shape. */
function index(k, shape) {
  const out = [];
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    out.unshift(k % shape[axis]);
    k = Math.floor(k / shape[axis]);
  }
  return out;
}

/* The matrices of a tensor, its last two axes, each with the index of the others. */
function slices(tensor) {
  const shape = tensor.s;
  const columns = shape.length ? shape[shape.length - 1] : 1;
  const rows = shape.length > 1 ? shape[shape.length - 2] : 1;
  const outer = shape.slice(0, -2);
  const all = values(tensor);
  const count = rows * columns ? all.length / (rows * columns) : 0;
  return Array.from({ length: count }, (_, k) => ({
    at: index(k, outer),
    rows,
    columns,
    start: k * rows * columns,
    data: all.slice(k * rows * columns, (k + 1) * rows * columns),
  }));
}
