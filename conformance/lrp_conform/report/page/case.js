/* The page of one case: formula, data, expected fractions, every answer with its evidence and its reproduction. */

const clone = (selector) => document.querySelector(`#formulas ${selector}`)?.cloneNode(true);
const section = (title, ...children) => el("section", {}, el("h2", {}, title), children);

/* A list of names and values. */
function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== undefined && value !== "");
  return el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const is_tensor = (value) => value !== null && typeof value === "object" && "d" in value;

function formula(each) {
  if (each.rule.rule === "gradient" || each.rule.rule === "pattern") return [clone(`[data-formula="${each.rule.rule}"]`)];
  const rule = each.rule;
  const stabilizer = clone(`[data-stabilizer="${rule.stabilizer.kind}"]`);
  const epsilon = rule.stabilizer.epsilon === "0" ? "" : `, ε = ${rule.stabilizer.epsilon}`;
  const sign = rule.stabilizer.sign_at_zero === "1" ? "" : `, sgn(0) = ${rule.stabilizer.sign_at_zero}`;
  const bias = clone(`[data-bias="${rule.bias}"]`);
  const own = Object.entries(rule).filter(([name, v]) => !["rule", "stabilizer", "bias"].includes(name) && !is_tensor(v));
  return [
    clone('[data-formula="sum"]'),
    clone(`[data-formula="${each.formula}"]`) ?? el("p", {}, `The rule ${rule.rule}, which states no formula.`),
    facts([
      ["stabiliser", el("span", {}, `${rule.stabilizer.kind}: `, stabilizer, epsilon, sign)],
      ["bias", el("span", {}, `${rule.bias}: `, bias)],
      ["parameters", own.map(([name, value]) => `${name} = ${plain(value)}`).join(", ")],
    ]),
    el("p", { class: "note" }, "z", el("sub", {}, "ji"), " = w", el("sub", {}, "ji"), " x", el("sub", {}, "i"),
      "; a⁺ = max(a, 0), a⁻ = min(a, 0); D is the stabilised d; a term with D = 0 is dropped."),
  ];
}

function data(each, exact) {
  const grid = (pairs) => el("div", { class: "tensors" }, pairs.flatMap(([name, t]) => tensor_tables(name, t, exact)));
  const attrs = Object.entries(each.attrs).map(([name, value]) => `${name} = ${plain(value)}`).join(", ");
  const bounds = Object.entries(each.rule).filter(([, value]) => is_tensor(value));
  return [facts([["layer", attrs ? `${each.op}: ${attrs}` : each.op]]),
    grid([...Object.entries(each.params), ...bounds, ...Object.entries(each.inputs)])];
}

/* A network: a row per node, and the tensors of all nodes behind a summary. */
function network(each, exact) {
  const heads = ["node", "layer", "reads", "rule"];
  const rows = each.network.map((node) => [node.name, node.layer, node.inputs.join(", "), node.rule]);
  const table = el("table", { class: "nodes" }, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map(([name, ...cells]) => el("tr", {}, el("th", { scope: "row" }, name), cells.map((cell) => el("td", {}, cell))))));
  const params = each.network.flatMap((node) => Object.entries(node.params).map(([name, t]) => [`${node.name}: ${name}`, t]));
  const grid = (pairs) => el("div", { class: "tensors" }, pairs.flatMap(([name, t]) => tensor_tables(name, t, exact)));
  return [el("div", { class: "scroll" }, table), grid(Object.entries(each.inputs)),
    el("details", {}, el("summary", {}, "Weights and biases"), grid(params))];
}

function expected(each, exact) {
  const pairs = Object.entries(each.expected.relevance).map(([name, t]) => [`relevance of ${name}`, t]);
  if (each.expected.y) pairs.push(["y", each.expected.y]);
  const nodes = Object.entries(each.expected.nodes || {}).reverse().map(([name, t]) => [`arriving at ${name}`, t]);
  const ledger = Object.entries(each.ledger || {}).map(([name, t]) => [`ledger: ${name}`, t]);
  const others = Object.entries(each.dialects || {}).flatMap(([library, answers]) =>
    Object.entries(answers).map(([name, t]) => [`${library}: ${name}`, t]));
  const grid = (found) => el("div", { class: "tensors" }, found.flatMap(([name, t]) => tensor_tables(name, t, exact)));
  const more = (title, found) => found.length > 0 && el("details", {}, el("summary", {}, title), grid(found));
  return [grid(pairs),
    more("The relevance of every node, from the output to the input", nodes),
    more("Where the rest of the relevance went: bias, stabiliser, dropped", ledger),
    more("What the recorded conventions of known libraries give here", others)];
}

function copyable(code) {
  const button = el("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", () => {
    const done = () => { button.textContent = "Copied"; };
    const failed = () => { button.textContent = "Select and copy"; };
    if (navigator.clipboard) navigator.clipboard.writeText(code).then(done, failed);
    else failed();
  });
  return el("div", { class: "code" }, el("h4", {}, "Reproduce"), button, el("pre", { tabindex: "0", role: "region", "aria-label": "Reproduction" }, el("code", {}, code)));
}

function answer(result, each, exact) {
  const { system } = result;
  const quantities = [
    result.tau !== undefined && `largest error: ${brief_number(result.tau)} of its bound (tau)`,
    result.total !== undefined && `of the total: ${brief_number(result.total)}`,
    result.bits !== undefined && `behaves like ${Math.max(0, result.bits)} bits`,
  ].filter(Boolean);
  const body = [];
  const name = named(result);
  if (name) body.push(el("p", {}, name));
  if (result.evidence) body.push(el("p", { class: "proof" }, result.evidence));
  if (result.verdict === "exact") body.push(el("p", {}, "Bit for bit the reference."));
  if (result.unsteady) body.push(el("p", { class: "wrong" }, "Nondeterministic: a second call answered differently."));
  if (result.waiver) body.push(el("p", {}, `Waived: ${result.waiver}`));
  if (quantities.length) body.push(el("p", { class: "note" }, quantities.join(" · ")));
  for (const [input, got] of Object.entries(result.answer || {})) {
    const want = input === "y" ? each.expected?.y : each.expected?.relevance[input];
    if (!want) continue;
    body.push(pictures(want, got));
    body.push(el("details", {}, el("summary", {}, `${input}: the numbers`), el("div", { class: "scroll" }, element_table(input, want, got, exact))));
  }
  if (result.code) body.push(copyable(result.code));
  const device = DATA.systems.some((s) => s.device !== system.device) ? ` ${system.device}` : "";
  const title = el("h3", {}, `${label(system)}, ${system.dtype}${device} `, verdict(result));
  return el("article", { class: "answer" }, title, body);
}

/* What is the same at every dtype is said once: the systems that were not asked, or are bit for bit right. */
function answers(each, exact) {
  const found = RESULTS.filter((r) => r.case === each);
  const brief = (kind) => {
    const members = found.filter((r) => r.kind.name === kind);
    if (!members.length) return undefined;
    const who = members.map((r) => `${label(r.system)} ${r.system.dtype}${kind === "unsupported" ? ` (${r.evidence})` : ""}`);
    return el("p", { class: "brief" }, verdict(members[0]), ` ${who.join("; ")}`);
  };
  const long = found.filter((r) => r.kind.name !== "unsupported" && (r.kind.name !== "exact" || r.unsteady));
  return [brief("exact"), el("div", { class: "answers" }, long.map((r) => answer(r, each, exact))), brief("unsupported")];
}

function flags(each) {
  return each.flags.map((flag) => {
    const note = DATA.notes[flag] || { description: "", effect: "", links: [] };
    const links = note.links.map((link) => el("a", { href: link, rel: "noreferrer" }, link.replace(/^https:\/\/(github\.com\/)?/, "")));
    return [flag, el("span", {}, `${note.description} ${note.effect} `, links.flatMap((a) => [a, " "]))];
  });
}

function references(each) {
  return each.references.map((text) => {
    const doi = /doi:(10\.[^\s,;]+)/.exec(text);
    if (!doi) return el("span", {}, text, " ");
    const link = el("a", { href: `https://doi.org/${doi[1]}`, rel: "noreferrer" }, doi[0]);
    return el("span", {}, text.slice(0, doi.index), link, text.slice(doi.index + doi[0].length), " ");
  });
}

/* The way back to the list as it was, and to the cases before and after this one. */
function crumbs(around) {
  const step = (id, text) => id !== undefined && el("a", { href: `#case=${encodeURIComponent(id)}` }, text);
  const back = el("a", { href: list_address() }, "← All results");
  return el("nav", { class: "crumbs", "aria-label": "Cases" }, back, step(around[0], "Previous"), step(around[1], "Next"));
}

/* The whole page; `around` are the cases before and after it in the list. */
function case_page(each, around, exact, toggle) {
  const head = [
    crumbs(around),
    el("h1", { id: "case-title", tabindex: "-1" }, each.id.split(".").flatMap((part, k) => (k ? [".", el("wbr"), part] : [part]))),
    el("p", { class: "lead" }, `${each.feature}${each.status ? `, ${each.status}` : ""}`),
  ];
  if (!each.op && !each.network) {
    return [...head, el("p", { class: "warning" }, "The golden set of this report does not hold this case as it was asked; only the verdicts are known."),
      section("Answers", answers(each, exact))];
  }
  const button = el("button", { type: "button", "aria-pressed": String(exact) }, "Exact numbers");
  button.addEventListener("click", toggle);
  return [
    ...head,
    each.comment && el("p", { class: "comment" }, each.comment),
    facts([...flags(each), ["references", each.references.length ? el("span", {}, references(each)) : undefined],
      ["exact in", each.exact_in.join(", ") || "no format: the bound decides"]]),
    el("p", {}, button),
    each.network ? section("Network", network(each, exact)) : section("Rule", formula(each)),
    !each.network && section("Layer and data", data(each, exact)),
    section("Expected", expected(each, exact)),
    section("Answers", answers(each, exact)),
  ];
}
