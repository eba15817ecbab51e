/* The list of results: filters, search, and the address that says both. */

const STEP = 100;
const FILTERS = ["kind", "candidate", "dtype", "device", "feature", "profile"];
const form = document.getElementById("filters");
const list = document.getElementById("list");
const field = (name) => form.elements.namedItem(name);
const START = { kind: "deviating" };

const GROUPS = {
  all: "every verdict",
  asked: "asked",
  passing: "passing",
  deviating: "not passing",
  lonely: "only this candidate deviates",
  nobody: "no candidate agrees",
};
const in_group = {
  all: () => true,
  asked: (r) => r.kind.name !== "unsupported",
  passing: (r) => r.kind.name in WITHIN,
  deviating: (r) => !(r.kind.name in WITHIN) && r.kind.name !== "unsupported",
  lonely: (r) => r.deviates && r.others.deviating.size === 1 && r.others.passing.size > 1,
  nobody: (r) => r.deviates && r.others.deviating.size > 1 && r.others.passing.size === 0,
};

/* Who passes and who deviates on the same question. Where nobody agrees, the golden answer itself is worth a look. */
function compare_candidates() {
  const questions = new Map();
  for (const result of RESULTS) {
    const key = `${result.case.id} ${result.system.dtype}`;
    if (!questions.has(key)) questions.set(key, { passing: new Set(), deviating: new Set() });
    result.others = questions.get(key);
    result.deviates = ["normwise", "dialect", "wrong"].includes(result.kind.name);
    if (result.kind.name in WITHIN) result.others.passing.add(result.system.candidate);
    if (result.deviates) result.others.deviating.add(result.system.candidate);
  }
}

function options(name, all, found) {
  const select = field(name);
  select.append(el("option", { value: "" }, all), ...found.map((value) => el("option", { value }, value)));
  select.closest("p").hidden = found.length < 2;
}

function prepare_filters() {
  const distinct = (pick) => [...new Set(DATA.systems.map(pick))];
  options("candidate", "all", distinct(label));
  options("dtype", "all", distinct((s) => s.dtype));
  options("device", "all", distinct((s) => s.device));
  options("feature", "all", [...new Set(DATA.cases.map((each) => each.feature))].sort());
  options("profile", "all", Object.keys(DATA.profiles));
  compare_candidates();
  const groups = Object.entries(GROUPS).filter(([name]) => RESULTS.some(in_group[name]) || name === START.kind);
  field("kind").append(...groups.map(([value, text]) => el("option", { value }, text)),
    ...DATA.kinds.map((kind) => el("option", { value: kind.name }, `${kind.symbol} ${kind.word}`)));
  for (const result of RESULTS) {
    result.text = `${result.case.id} ${result.case.feature} ${label(result.system)} ${result.system.dtype} ${result.verdict} ${named(result)} ${result.evidence} ${result.waiver} ${(result.case.flags || []).join(" ")}`.toLowerCase();
  }
  form.hidden = false;
}

/* The choice as an object, what is not chosen left out. */
function chosen() {
  const out = {};
  for (const name of FILTERS) if (field(name).value) out[name] = field(name).value;
  if (field("q").value.trim()) out.q = field("q").value.trim();
  return out;
}

function choose(wanted) {
  for (const name of FILTERS) {
    const value = wanted[name] ?? "";
    const known = [...field(name).options].some((option) => option.value === value);
    field(name).value = known ? value : name === "kind" ? START.kind : "";
  }
  field("q").value = wanted.q ?? "";
}

function matching(wanted) {
  const words = (wanted.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  const members = wanted.profile ? new Set(DATA.profiles[wanted.profile].map((k) => DATA.cases[k])) : null;
  const group = in_group[wanted.kind] || ((r) => r.kind.name === wanted.kind);
  return RESULTS.filter((r) =>
    group(r)
    && (!wanted.candidate || label(r.system) === wanted.candidate)
    && (!wanted.dtype || r.system.dtype === wanted.dtype)
    && (!wanted.device || r.system.device === wanted.device)
    && (!wanted.feature || r.case.feature === wanted.feature)
    && (!members || members.has(r.case))
    && words.every((word) => r.text.includes(word)));
}

function row(result) {
  const { system } = result;
  const quantity = result.tau === undefined ? "" : `tau ${brief_number(result.tau)}`;
  const notes = [result.waiver && `waived: ${result.waiver}`, result.unsteady && "nondeterministic"].filter(Boolean);
  return el("li", {},
    el("span", { class: "where" }, el("a", { href: `#case=${encodeURIComponent(result.case.id)}` }, result.case.id),
      el("span", { class: "meta" }, `${label(system)} ${system.dtype} · ${result.case.feature}`)),
    el("span", {}, verdict(result), quantity && el("span", { class: "meta" }, quantity)),
    el("span", { class: "proof" }, named(result) && el("span", { class: "named" }, named(result)), result.evidence,
      notes.length > 0 && el("span", { class: "meta" }, notes.join("; "))));
}

let found = [];
let visible = 0;

function show_more() {
  const before = visible;
  visible = Math.min(found.length, visible + STEP);
  list.append(...found.slice(before, visible).map(row));
  const more = document.getElementById("more");
  more.hidden = visible === found.length;
  more.textContent = `Show ${Math.min(STEP, found.length - visible)} more`;
  return list.children[before];
}

function show_list() {
  const wanted = chosen();
  found = matching(wanted);
  visible = 0;
  list.replaceChildren();
  show_more();
  const count = (n) => n.toLocaleString("en");
  document.getElementById("count").textContent = found.length
    ? `${count(found.length)} of ${count(RESULTS.length)} results`
    : `No result of ${count(RESULTS.length)} matches. Loosen a filter, or reset them.`;
}

/* The address of the list as it is filtered now. */
const list_address = () =>
  `#results?${Object.entries(chosen()).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;

/* The cases before and after one, in the order of the list. */
function neighbours(each) {
  const ids = [...new Set(found.map((r) => r.case.id))];
  const at = ids.indexOf(each.id);
  return at < 0 ? [undefined, undefined] : [ids[at - 1], ids[at + 1]];
}
