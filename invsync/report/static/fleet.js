"use strict";
(() => {
  const form = document.getElementById("fleet");
  if (!form) return;
  const PAGE = 50, FEW = 10;
  const rows = [...document.querySelectorAll(".iv-shops tbody tr")], rest = document.getElementById("rest");
  let shown = PAGE;
  const value = name => form.elements[name].value.trim().toLowerCase();
  const fits = row => row.dataset.name.includes(value("name")) && (!value("health") || row.dataset.health === value("health"));
  const draw = () => {
    const matching = rows.filter(fits), first = new Set(matching.slice(0, shown));
    for (const row of rows) row.hidden = !first.has(row);
    rest.hidden = matching.length <= shown;
    document.getElementById("shown").textContent = `${matching.length.toLocaleString()} ${matching.length === 1 ? "shop" : "shops"}`;
  };
  const runsOf = event => {
    const link = event.target.closest('a[href^="#shop="]');
    if (!link) return;
    event.preventDefault();
    invsync.choose("shop", link.getAttribute("href").slice("#shop=".length));
    document.getElementById("runs").scrollIntoView();
  };
  addEventListener("DOMContentLoaded", () => {
    document.querySelector(".iv-shops").addEventListener("click", runsOf);
    form.hidden = rows.length <= FEW;
    form.addEventListener("input", () => { shown = PAGE; draw(); });
    form.addEventListener("submit", event => event.preventDefault());
    rest.addEventListener("click", () => { shown += PAGE; draw(); });
    draw();
  });
})();
