"use strict";
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const PAGE = 50, NAMES = ["text", "shop", "kind", "snoozed"];
  const rows = [...document.querySelectorAll("#list tbody tr")], more = document.getElementById("more"), count = document.getElementById("count");
  const number = value => value.toLocaleString(document.documentElement.dataset.locale);
  let shown = PAGE;
  const value = name => form.elements[name].value;
  const fits = row => {
    const words = value("text").trim().toLowerCase().split(/\s+/);
    return (value("snoozed") || !row.dataset.snoozed) && (!value("shop") || row.dataset.shop === value("shop")) &&
      (!value("kind") || row.dataset.kind === value("kind")) && words.every(word => row.dataset.text.includes(word));
  };
  const draw = () => {
    const matching = rows.filter(fits), first = new Set(matching.slice(0, shown));
    for (const row of rows) row.hidden = !first.has(row);
    more.hidden = matching.length <= shown;
    count.textContent = `${number(matching.length)} ${matching.length === 1 ? "fault" : "faults"}`;
  };
  const remember = () => {
    const chosen = new URLSearchParams(NAMES.filter(name => value(name)).map(name => [name, value(name)]));
    history.replaceState(null, "", chosen.size ? `#${chosen}` : location.pathname + location.search);
  };
  const filter = () => { shown = PAGE; remember(); draw(); };
  const copy = async button => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  addEventListener("DOMContentLoaded", () => {
    const given = new URLSearchParams(location.hash.slice(1)), one = document.getElementById(location.hash.slice(1));
    NAMES.forEach(name => { if (given.has(name)) form.elements[name].value = given.get(name); });
    if (one?.dataset.snoozed) form.elements.snoozed.value = "1";
    if (rows.indexOf(one) >= shown) shown = rows.indexOf(one) + 1;
    form.hidden = false;
    form.querySelector(".iv-fold").open = matchMedia("(min-width: 44.01rem)").matches || NAMES.some(value);
    document.querySelectorAll(".iv-copy").forEach(button => {
      button.hidden = false;
      button.addEventListener("click", () => copy(button));
    });
    form.addEventListener("input", filter);
    form.addEventListener("submit", event => event.preventDefault());
    more.addEventListener("click", () => { shown += PAGE; draw(); });
    draw();
    one?.scrollIntoView();
  });
})();
