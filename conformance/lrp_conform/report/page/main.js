/* Routes: #results?filters, #case=id, and the sections of the overview. The address is the state. */

const overview = document.getElementById("overview");
const page = document.getElementById("case");
const TITLE = document.title;
let exact_numbers = false;

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/* The filters that an address holds. */
function filters_of(hash) {
  const pairs = hash.split("?")[1].split("&").filter(Boolean).map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([name, ...value]) => [name, decoded(value.join("="))]));
}

function show_overview() {
  page.hidden = true;
  page.replaceChildren();
  overview.hidden = false;
  document.title = TITLE;
}

function show_case(id) {
  const number_of = CASE[id];
  overview.hidden = true;
  page.hidden = false;
  document.title = `${id}, LRP conformance`;
  if (number_of === undefined) {
    page.replaceChildren(crumbs([undefined, undefined]),
      el("h1", { id: "case-title", tabindex: "-1" }, "No such case"), el("p", {}, `This report holds no result for ${id}.`));
    return;
  }
  const each = DATA.cases[number_of];
  const toggle = () => {
    exact_numbers = !exact_numbers;
    show_case(id);
    page.querySelector("button[aria-pressed]").focus();
  };
  page.replaceChildren(...case_page(each, neighbours(each), exact_numbers, toggle).flat(Infinity).filter(Boolean));
}

function route() {
  const hash = location.hash;
  if (hash.startsWith("#case=")) {
    show_case(decoded(hash.slice(6)));
    window.scrollTo(0, 0);
    document.getElementById("case-title").focus({ preventScroll: true });
    return;
  }
  const back = !page.hidden;
  show_overview();
  if (hash.startsWith("#results?")) {
    choose(filters_of(hash));
    show_list();
  }
  const target = document.getElementById(hash.slice(1).split("?")[0] || "top");
  if (target && (hash.includes("?") || back)) {
    target.scrollIntoView();
    document.getElementById("results-title").focus({ preventScroll: true });
  }
}

/* The address follows the filters without a new entry in the history for every key. */
function filtered() {
  show_list();
  history.replaceState(null, "", list_address());
}

function prepare_theme() {
  const button = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  let theme = "system";
  try {
    theme = localStorage.getItem("lrp-theme") || theme;
  } catch { /* a browser may forbid storage to files; the choice then lasts as long as the page */ }
  const apply = () => {
    if (theme === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", theme);
    button.textContent = `Theme: ${theme}`;
  };
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    apply();
    try {
      localStorage.setItem("lrp-theme", theme);
    } catch { /* as above */ }
  });
  button.hidden = false;
  apply();
}

prepare_theme();
prepare_filters();
choose(START);
show_list();
form.addEventListener("input", filtered);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", (event) => {
  event.preventDefault();
  choose(START);
  filtered();
});
document.getElementById("more").addEventListener("click", () => show_more()?.querySelector("a").focus());
window.addEventListener("hashchange", route);
route();
