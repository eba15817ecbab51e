// A dense layer and its LRP rules behind the wire protocol (docs/protocol.md): a harness to start your own from.
//
//     lrp-conform run --command "node harness.mjs"                    (Node 18 or later, no packages)
//
// To judge a library, let `propagate` call it, and let `INFO` say what it can be asked; the rest is the protocol.
// Rules, stabilisers and bias modes are those of golden/README.md, section 3. Numbers of JavaScript are doubles: for
// float32 every single operation is rounded by Math.fround, which gives what float32 hardware gives.

import { createInterface } from "node:readline";

const INFO = {
  name: "harness.mjs", version: "1.0", dtypes: ["float64", "float32"],
  features: [
    "op.dense", "rule.zero", "rule.epsilon", "rule.alpha-beta", "rule.alpha1-beta0", "rule.z-plus", "rule.z-plus-fast",
    "rule.gamma", "rule.generalized-gamma", "rule.w-square", "rule.flat", "rule.z-box", "rule.alpha-beta-x", "rule.abs-z",
    "rule.norm", "rule.gradient", "quadrants.several", "bounds.scalar", "bounds.channel", "bounds.array", "bias.absorb",
    "bias.split", "bias.ignore", "bias.square", "bias.raw", "bias.full_in_both", "bias.share", "bias.redistribute",
    "stabilizer.none", "stabilizer.signed_add", "stabilizer.unsigned_add", "stabilizer.clip", "stabilizer.replace_zero",
    "sign_at_zero.0", "sign_at_zero.-1",
  ],
};

class Unsupported extends Error {}
const HEXADECIMAL = /^(-?)0x([0-9a-f]+)\.?([0-9a-f]*)p([+-]?\d+)$/i;
const WORDS = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** The double that a text stands for. Number() reads decimals, and neither hexadecimal floats nor these words. */
function number(text) {
  const match = HEXADECIMAL.exec(text);
  if (!match) return Object.hasOwn(WORDS, text) ? WORDS[text] : Number(text);
  const [, sign, whole, fraction, exponent] = match;
  const digits = parseInt(whole + fraction, 16); // exact: 53 bits, and zeros
  const power = Number(exponent) - 4 * fraction.length;
  const half = Math.trunc(power / 2); // 2 ** power alone may be too small for a double
  return (sign ? -1 : 1) * digits * 2 ** half * 2 ** (power - half);
}

const DOUBLE = new Float64Array(1);
const BITS = new BigUint64Array(DOUBLE.buffer);

/** A double as a hexadecimal float, from its bits: sign, 11 of the exponent, 13 hexadecimal digits. */
function hex(value) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  DOUBLE[0] = value;
  const sign = BITS[0] >> 63n ? "-" : "";
  const exponent = Number((BITS[0] >> 52n) & 0x7ffn);
  const digits = BITS[0].toString(16).padStart(16, "0").slice(3);
  return exponent ? `${sign}0x1.${digits}p${exponent - 1023}` : `${sign}0x0.${digits}p-1022`; // 0 is subnormal, too
}

/** Arithmetic in a dtype: every operation is rounded to it. */
const arithmetic = (dtype, round) => ({
  dtype,
  round,
  add: (a, b) => round(a + b),
  sub: (a, b) => round(a - b),
  mul: (a, b) => round(a * b),
  div: (a, b) => round(a / b),
  read: (texts) => Float64Array.from(texts, (text) => round(number(text))),
});
const ARITHMETIC = { float64: arithmetic("float64", (a) => a), float32: arithmetic("float32", Math.fround) };

const pos = (a) => Math.max(a, 0);
const neg = (a) => Math.min(a, 0);

/** A rule is a list of parts: what an input contributes (n), what belongs to the bias (c), a factor (f), the outputs served. */
function parts(rule, { round, add, sub, mul }) {
  const parameter = (name) => round(number(rule[name]));
  const same = (b) => b;
  const nothing = () => 0;
  const gamma = rule.gamma === undefined ? 0 : parameter("gamma");
  const more = (a) => add(a, mul(gamma, pos(a)));
  const less = (a) => add(a, mul(gamma, neg(a)));
  switch (rule.rule) {
    case "zero": case "epsilon": return [{ n: mul, c: same }];
    case "norm": return [{ n: mul, c: nothing }];
    case "flat": return [{ n: () => 1, c: nothing }];
    case "gradient": return [{ n: (w) => w, c: nothing }];
    case "w-square": return [{ n: (w) => mul(w, w), c: (b) => mul(b, b) }];
    case "abs-z": return [{ n: (w, x) => Math.abs(mul(w, x)), c: Math.abs }];
    case "z-plus": return [{ n: (w, x) => pos(mul(w, x)), c: pos }];
    case "z-plus-fast": return [{ n: (w, x) => mul(pos(w), x), c: pos }];
    case "z-box": return [{ n: (w, x, low, high) => sub(sub(mul(w, x), mul(pos(w), low)), mul(neg(w), high)), c: nothing }];
    case "alpha-beta": return [
      { n: (w, x) => pos(mul(w, x)), c: pos, f: parameter("alpha") },
      { n: (w, x) => neg(mul(w, x)), c: neg, f: -parameter("beta") },
    ];
    case "alpha-beta-x": return [
      { n: (w, x) => mul(pos(w), pos(x)), c: pos, f: parameter("alpha0") },
      { n: (w, x) => mul(neg(w), neg(x)), c: neg, f: parameter("alpha1") },
      { n: (w, x) => mul(neg(w), pos(x)), c: neg, f: -parameter("beta0") },
      { n: (w, x) => mul(pos(w), neg(x)), c: pos, f: -parameter("beta1") },
    ];
    case "gamma": return [{ n: (w, x) => mul(more(w), x), c: more }];
    case "generalized-gamma": return [
      { n: (w, x) => more(mul(w, x)), c: more, serves: (y) => y > 0 },
      { n: (w, x) => less(mul(w, x)), c: less, serves: (y) => y < 0 },
    ];
    default: throw new Unsupported(`rule ${rule.rule}`);
  }
}

/** From a denominator d to the stabilised D. */
function stabilised(stabilizer, d, { round, add, mul }) {
  const epsilon = round(number(stabilizer.epsilon));
  const sign = Math.sign(d) || stabilizer.sign_at_zero;
  switch (stabilizer.kind) {
    case "none": return d;
    case "signed_add": return add(d, mul(epsilon, sign));
    case "unsigned_add": return add(d, epsilon);
    case "replace_zero": return d === 0 ? epsilon : d;
    case "clip": return sign * Math.max(Math.abs(d), epsilon);
    default: throw new Unsupported(`stabilizer ${stabilizer.kind}`);
  }
}

/** The bounds of z-box as a function of the element of x: a number, one per channel, or an array of the shape of x. */
function bound(given = "0x0p+0", { read }) {
  const values = read(given.data ?? [given]);
  return (k) => values[k % values.length];
}

// ==== YOUR LIBRARY: replace the body of this function by a call of it ================================================
/** weight (out, in), bias (out), x (N, in), arriving relevance R (N, out) -> y (N, out), relevance at the inputs (N, in). */
function propagate({ weight, bias }, rule, x, R, real) {
  const { add, sub, mul, div } = real;
  const outs = bias.length;
  const ins = weight.length / outs;
  const sum = (values) => values.reduce((a, b) => add(a, b), 0);
  const [low, high] = [bound(rule.low, real), bound(rule.high, real)];
  const y = new Float64Array(R.length);
  const relevance = new Float64Array(x.length);
  for (let k = 0; k < y.length; k++) { // output j of a sample
    const [first, j] = [Math.floor(k / outs) * ins, k % outs];
    const [w, b] = [weight.subarray(j * ins, (j + 1) * ins), bias[j]];
    const z = sum(w.map((v, i) => mul(v, x[first + i])));
    const size = add(Math.abs(z), Math.abs(b));
    const arrived = rule.bias === "share" && size !== 0 ? mul(div(Math.abs(z), size), R[k]) : R[k];
    const handed = new Float64Array(ins);
    y[k] = add(z, b);
    for (const { n, c, f = 1, serves = () => true } of parts(rule, real)) {
      const own = w.map((v, i) => n(v, x[first + i], low(first + i), high(first + i)));
      const constant = { ignore: 0, share: 0, raw: b, full_in_both: b }[rule.bias] ?? c(b);
      const d = add(sum(own), constant);
      const D = rule.rule === "gradient" ? 1 : stabilised(rule.stabilizer, d, real);
      if (D === 0 || !serves(y[k])) continue; // dropped
      const share = div(mul(f, arrived), D);
      const spread = rule.bias === "redistribute" ? div(mul(add(constant, sub(D, d)), share), ins) : 0;
      own.forEach((value, i) => { handed[i] = add(handed[i], add(mul(value, share), spread)); });
    }
    handed.forEach((value, i) => { relevance[first + i] = add(relevance[first + i], value); });
  }
  return { y, relevance };
}

/** A prepared layer with its rule: a function of the tensors x and relevance. */
function prepare([node, ...others], rules, real) {
  if (others.length || node.op !== "dense") throw new Unsupported("one dense layer at a time");
  const { weight: { shape: [outs], data: weight }, bias = { data: Array(outs).fill("0") } } = node.params;
  const layer = { weight: real.read(weight), bias: real.read(bias.data) };
  return (x, R) => {
    const { y, relevance } = propagate(layer, rules[node.name], real.read(x.data), real.read(R.data), real);
    const tensor = (values, shape) => ({ dtype: real.dtype, shape, data: Array.from(values, hex) });
    return { y: tensor(y, R.shape), relevance: tensor(relevance, x.shape) };
  };
}

let configured = ARITHMETIC.float64;
const prepared = [];

function answer(request) {
  switch (request.op) {
    case "hello": return { info: INFO };
    case "configure":
      if (!INFO.dtypes.includes(request.dtype)) throw new Unsupported(`dtype ${request.dtype}`);
      configured = ARITHMETIC[request.dtype];
      return { ok: true, effective: { threads: 1 } };
    case "prepare": return { handle: prepared.push(prepare(request.nodes, request.rules, configured)) - 1 };
    case "run": return prepared[request.handle](request.x, request.relevance);
    case "release": return { ok: delete prepared[request.handle] };
    case "bye": return { ok: true };
    default: throw new Error(`unknown op ${request.op}`);
  }
}

createInterface({ input: process.stdin }).on("line", (line) => {
  let request = null;
  let reply;
  try {
    request = JSON.parse(line);
    reply = answer(request);
  } catch (error) {
    const { name, message, stack } = error;
    reply = error instanceof Unsupported ? { unsupported: message } : { error: { type: name, message, traceback: stack } };
  }
  process.stdout.write(`${JSON.stringify({ seq: request?.seq ?? null, ...reply })}\n`);
  if (request?.op === "bye") process.stdin.destroy(); // so that the program ends
});
