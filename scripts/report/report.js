"use strict";
// The table of claims (sort, filter, search, permanent links) and the contents (the section in view is marked).

const form = document.getElementById("claim-filter");

function filterClaims() {
  const { verdict, section, words } = Object.fromEntries(new FormData(form));
  const rows = [...document.querySelectorAll("#claim-table tbody tr")], wanted = words.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = Boolean((verdict && row.dataset.verdict !== verdict) || (section && row.dataset.section !== section)
      || wanted.some((word) => !text.includes(word)));
  }
  form.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
}

function sortClaims(heading) {
  const column = [...heading.parentNode.children].indexOf(heading);
  const direction = heading.ariaSort === "ascending" ? -1 : 1;
  for (const other of heading.parentNode.children) other.ariaSort = "none";
  heading.ariaSort = direction === 1 ? "ascending" : "descending";
  const body = document.querySelector("#claim-table tbody"), text = (row) => row.children[column].textContent.trim();
  body.append(...[...body.children].sort((a, b) => direction * text(a).localeCompare(text(b), "en", { numeric: true })));
}

function showLinked() {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!row?.matches("#claim-table tr")) return;
  form.reset();
  filterClaims();
  row.querySelector("details").open = true;
  row.scrollIntoView({ block: "center" });
}

if (form) {
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"]) form.addEventListener(kind, filterClaims);
  for (const heading of document.querySelectorAll("#claim-table th")) {
    heading.querySelector("button").addEventListener("click", () => sortClaims(heading));
  }
  for (const link of document.querySelectorAll("a[data-verdict]")) {
    link.addEventListener("click", () => {
      form.reset();
      form.verdict.value = link.dataset.verdict;
      filterClaims();
    });
  }
  addEventListener("hashchange", showLinked);
  filterClaims();
  showLinked();
}

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const inView = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) inView[isIntersecting ? "add" : "delete"](target.id);
  const current = [...links.keys()].find((id) => inView.has(id));
  for (const [id, link] of links) link.setAttribute("aria-current", String(id === current));
}, { rootMargin: "-15% 0px -80% 0px" });
for (const id of links.keys()) observer.observe(document.getElementById(id));
document.querySelector("nav details").open = matchMedia("(min-width: 64rem)").matches;
