/* Tensors as tables and as pictures. Blue is negative, white is zero, red is positive, in both themes. */

const RED = [[255, 255, 255], [246, 178, 147], [214, 96, 77], [150, 12, 32]];
const BLUE = [[255, 255, 255], [154, 201, 224], [67, 147, 195], [12, 62, 122]];

const BEYOND = 1.001; // parts of the scale; rounding alone does not leave it

function colour(part) {
  const stops = part < 0 ? BLUE : RED;
  const at = Math.min(Math.abs(part), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const mixed = stops[low].map((v, k) => Math.round(v + (stops[low + 1][k] - v) * (at - low)));
  return `rgb(${mixed.join(" ")})`;
}

/* One matrix as squares. What lies beyond the scale carries a dot, what is no number a cross: colour never stands alone. */
function squares(slice, size, scale, say) {
  const svg = el("svg:svg", {
    viewBox: `0 0 ${slice.columns * size} ${slice.rows * size}`,
    width: slice.columns * size,
    height: slice.rows * size,
    "aria-hidden": "true",
    focusable: "false",
  });
  slice.data.forEach((text, k) => {
    const value = number(text);
    const [x, y] = [(k % slice.columns) * size, Math.floor(k / slice.columns) * size];
    const part = Number.isNaN(value) ? 0 : scale > 0 ? value / scale : 0;
    const fill = Number.isNaN(value) ? "#b9bdc4" : colour(part);
    const rect = el("svg:rect", { x: x + 0.5, y: y + 0.5, width: size - 1, height: size - 1, fill });
    rect.append(el("svg:title", {}, say(slice, k, text)));
    svg.append(rect);
    if (Number.isNaN(value)) svg.append(el("svg:path", { d: `M${x + size / 4} ${y + size / 4}l${size / 2} ${size / 2}m0-${size / 2}l-${size / 2} ${size / 2}`, stroke: "#1b1e23" }));
    else if (Math.abs(part) > BEYOND) svg.append(el("svg:circle", { cx: x + size / 2, cy: y + size / 2, r: size / 7, fill: "#fff", stroke: "#1b1e23" }));
  });
  return svg;
}

/* A picture of a whole tensor with its caption; `told` says in words what is to be seen. */
function picture(tensor, scale, title, told) {
  const say = (slice, k, text) => `[${index(slice.start + k, tensor.s).join(", ")}] = ${text}`;
  const all = slices(tensor);
  const across = all.length ? all[0].columns * Math.min(all.length, 4) : 1;
  const size = Math.max(11, Math.min(24, Math.floor(144 / across)));
  const panels = all.map((slice) => squares(slice, size, scale, say));
  const plate = el("div", { class: "plate", role: "img", "aria-label": `${title}: ${told}` }, panels);
  return el("figure", {}, plate, el("figcaption", {}, el("b", {}, title), ` ${told}`));
}

const largest = (tensor) =>
  values(tensor).reduce((most, text) => (Number.isFinite(number(text)) ? Math.max(most, Math.abs(number(text))) : most), 0);

/* The three pictures of an answer: reference, answer, error in units of its bound. */
function pictures(expected, answer) {
  const scale = largest(expected) || largest(answer) || 1;
  const words = `full colour at ±${Number(scale.toPrecision(3))}`;
  const same = expected.s.join() === answer.s.join();
  const beyond = values(answer).filter((text) => !(Math.abs(number(text)) <= BEYOND * scale)).length;
  const out = [
    picture(expected, scale, "Reference", words),
    picture(answer, scale, "Answer", beyond ? `${words}; ${beyond} beyond, dotted` : words),
  ];
  if (same && answer.e !== undefined) {
    const error = { s: answer.s, d: answer.e };
    const outside = values(error).filter((text) => !(Math.abs(number(text)) <= 1)).length;
    out.push(picture(error, 1, "Error", `in units of its bound, full colour at ±1; ${outside} of ${values(error).length} outside${outside ? ", dotted" : ""}`));
  }
  return el("div", { class: "pictures" }, out);
}

/* A tensor as a table per matrix: the last axis across. */
function tensor_tables(name, tensor, exact) {
  const all = slices(tensor);
  const shape = tensor.s.join(" × ") || "scalar";
  if (!all.length) return [el("p", { class: "note" }, `${name}: empty (${shape})`)];
  const limit = 64;
  const tables = all.slice(0, limit).map((slice, k) => {
    const at = slice.at.length ? `[${slice.at.join(", ")}]` : "";
    const rows = Array.from({ length: slice.rows }, (_, r) =>
      el("tr", {}, slice.data.slice(r * slice.columns, (r + 1) * slice.columns).map((v) => el("td", {}, shown(v, exact)))));
    const caption = el("figcaption", {}, el("b", {}, `${name}${at}`), k === 0 ? ` ${shape}` : "");
    return el("figure", {}, caption, el("table", { class: "tensor", "aria-label": `${name}${at}` }, el("tbody", {}, rows)));
  });
  if (all.length > limit) tables.push(el("p", { class: "note" }, `${all.length - limit} more matrices, see the golden file`));
  return tables;
}

/* Element by element: expected, answered, off by how many bounds. */
function element_table(name, expected, answer, exact) {
  const want = values(expected);
  const got = values(answer);
  const errors = answer.e === undefined ? [] : answer.e.split(" ");
  const rows = got.map((text, k) => {
    const outside = errors[k] !== undefined && !(Math.abs(number(errors[k])) <= 1);
    return el("tr", { class: outside ? "outside" : undefined },
      el("th", { scope: "row" }, `${name}[${index(k, answer.s).join(", ")}]`),
      el("td", {}, want[k] === undefined ? "" : exact ? want[k] : String(number(want[k]))),
      el("td", {}, text),
      el("td", {}, errors[k] ?? "", outside && el("span", { class: "wrong" }, " outside")));
  });
  const head = ["element", "expected", "answer", "error / bound"].map((title) => el("th", { scope: "col" }, title));
  return el("table", { class: "elements" }, el("caption", {}, `${name}, ${got.length} elements`),
    el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
