"use strict";
(() => {
  const { make, choose } = invsync;
  let kinds = {}, rank = [];  // of the page: how a run can end, from well to worst
  const DAY = 86400000, at = day => Date.parse(`${day}T00:00:00Z`), named = t => new Date(t).toISOString().slice(0, 10);
  const long = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", weekday: "long", day: "numeric", month: "long", year: "numeric" });
  const short = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" });
  const number = value => value.toLocaleString(document.documentElement.dataset.locale).replace("-", "−");
  const tip = make("div", { className: "iv-tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");

  const totals = (data, by) => {
    const byDay = new Map();
    data.days.day.forEach((day, n) => {
      const one = name => data.days[name][n];
      if ((by.shop !== "" && one("shop") !== +by.shop) || (by.job !== "" && one("job") !== +by.job)) return;
      const counted = [...rank, "raised", "lowered"];
      const sum = byDay.get(day) || Object.fromEntries([...counted, "flight"].map(name => [name, 0]));
      for (const name of counted) sum[name] += one(name) || 0;
      sum.flight = Math.max(sum.flight, one("in_flight") || 0);
      byDay.set(day, sum);
    });
    return byDay;
  };
  const worst = sum => rank.findLast(kind => sum[kind]) || rank[0];

  const calendar = (byDay, by, data) => {
    const box = document.getElementById("calendar"), days = [...byDay.keys()].sort();
    const status = by.status === "" ? null : data.statuses[+by.status];
    const last = at(days.at(-1) || named(Date.now())), end = last + (6 - (new Date(last).getUTCDay() + 6) % 7) * DAY;
    const room = Math.floor((box.clientWidth - 40) / 24), needed = Math.ceil((end - at(days[0] || named(end)) + DAY) / DAY / 7);
    const weeks = Math.max(1, Math.min(53, room, needed));
    const grid = make("div", { className: "iv-calendar" });
    grid.style.gridTemplateColumns = `2rem repeat(${weeks}, 1.35rem)`;
    grid.append(make("span", {}), ...Array.from({ length: weeks }, (_, week) => {
      const monday = new Date(end - ((weeks - week) * 7 - 1) * DAY);
      return make("span", { className: "iv-month", textContent: monday.getUTCDate() <= 7 || (!week && monday.getUTCDate() <= 21) ? short.format(monday).split(" ")[1] : "" });
    }));
    for (let weekday = 0; weekday < 7; weekday += 1) {
      grid.append(make("span", { className: "iv-weekday", textContent: ["Mon", "", "Wed", "", "Fri", "", "Sun"][weekday] }));
      for (let week = 0; week < weeks; week += 1) {
        const day = named(end - ((weeks - week) * 7 - 1 - weekday) * DAY), sum = byDay.get(day);
        grid.append(sum && (!status || sum[status]) ? cell(day, sum, status, by) : make("span", { className: "iv-day none" }));
      }
    }
    grid.addEventListener("keydown", move);
    box.replaceChildren(grid);
    for (const entry of document.querySelectorAll("#key [data-kind]")) entry.hidden = !grid.querySelector(`button.${entry.dataset.kind}`);
    const all = [...grid.querySelectorAll("button")];
    (all.find(one => one.classList.contains("on")) || all.toSorted((a, b) => a.dataset.day < b.dataset.day ? -1 : 1).at(-1))?.setAttribute("tabindex", "0");
  };
  const cell = (day, sum, status, by) => {
    const kind = status || worst(sum), on = by.day === day, total = rank.reduce((n, one) => n + sum[one], 0);
    const made = make("button", { type: "button", className: `iv-day ${kind}${on ? " on" : ""}`, textContent: kinds[kind].mark, tabIndex: -1 });
    made.dataset.day = day;
    const counts = rank.toReversed().filter(one => sum[one]).map(one => `${number(sum[one])} ${kinds[one].words}`).join(", ");
    made.setAttribute("aria-label", `${long.format(at(day))}: ${number(total)} ${total === 1 ? "run" : "runs"}, ${counts}`);
    made.setAttribute("aria-pressed", on);
    made.addEventListener("click", () => choose("day", on ? "" : day).then(() => document.querySelector(`[data-day="${day}"]`)?.focus()));
    return made;
  };
  const move = event => {
    const step = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -7, ArrowRight: 7 }[event.key];
    if (!step || !event.target.dataset.day) return;
    event.preventDefault();
    for (let day = at(event.target.dataset.day) + step * DAY, n = 0; n < 60; n += 1, day += step * DAY) {
      const next = document.querySelector(`[data-day="${named(day)}"]`);
      if (next) return next.focus();
    }
  };

  const svg = (tag, given, ...inside) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };
  const nice = value => {
    const power = 10 ** Math.floor(Math.log10(value || 1)), step = value / power;
    return Math.max(1, [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find(round => step <= round) * power);
  };
  const bars = (id, days, byDay, series) => {
    const box = document.getElementById(id), width = Math.max(280, Math.min(720, box.clientWidth)), height = 170, left = 46, foot = 22;
    const reach = ({ name }) => { const most = Math.max(...days.map(day => byDay.get(day)?.[name] || 0)); return most ? nice(most) : 0; };
    const down = series[1] ? reach(series[1]) : 0, up = reach(series[0]) || (down ? 0 : 1);
    const y = value => 8 + (up - value) / (up + down) * (height - foot - 8), step = (width - left) / days.length;
    const wide = Math.max(1.5, Math.min(step * 0.76, 48)), ticks = [...new Set([up, up / 2, 0, up ? 0 : -down / 2, -down])];
    const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": box.nextElementSibling.textContent });
    for (const tick of ticks) {
      drawn.append(svg("line", { x1: left, x2: width, y1: y(tick), y2: y(tick), class: tick ? "iv-grid" : "iv-zero" }), svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, number(Math.abs(tick))));
    }
    const every = Math.ceil(days.length / Math.max(2, Math.floor((width - left) / 70)));
    days.forEach((day, n) => {
      const x = left + n * step, sum = byDay.get(day) || {};
      if (n % every === 0) drawn.append(svg("text", step > 60 ? { x: x + step / 2, y: height - 5, "text-anchor": "middle" } : { x: x + 1, y: height - 5 }, short.format(at(day))));
      series.forEach(({ name, words }, side) => {
        const value = sum[name] || 0;
        if (!value) return;
        const rise = Math.max(1.5, y(0) - y(value));
        drawn.append(svg("rect", { x: x + (step - wide) / 2, y: side ? y(0) : y(0) - rise, width: wide, height: rise, class: `iv-bar ${name}`, role: "graphics-symbol", "aria-roledescription": "bar", "aria-label": `${long.format(at(day))}; ${number(value)} units ${words}`, "data-day": day }));
      });
    });
    box.replaceChildren(drawn);
  };
  const trend = (byDay, by) => {
    const days = [...byDay.keys()].sort(), first = days.length ? Math.max(at(days[0]), at(days.at(-1)) - 89 * DAY) : 0;
    const span = [];
    for (let t = first; days.length && t <= at(days.at(-1)); t += DAY) span.push(named(t));
    const sum = name => span.reduce((n, day) => n + (byDay.get(day)?.[name] || 0), 0);
    const most = span.reduce((best, day) => (byDay.get(day)?.flight || 0) > (byDay.get(best)?.flight || 0) ? day : best, span[0]);
    const over = span.length ? `Over ${number(span.length)} ${span.length === 1 ? "day" : "days"}` : "No day";
    document.querySelector("#drift + figcaption").textContent = `${over}: ${number(sum("raised"))} units raised, ${number(sum("lowered"))} lowered.`;
    document.querySelector("#flight + figcaption").textContent = most ? `${over}; the most was ${number(byDay.get(most)?.flight || 0)} units on ${long.format(at(most))}.` : "No day.";
    if (!span.length) return ["drift", "flight"].forEach(id => document.getElementById(id).replaceChildren());
    bars("drift", span, byDay, [{ name: "raised", words: "raised" }, { name: "lowered", words: "lowered" }]);
    bars("flight", span, byDay, [{ name: "flight", words: "in flight at most" }]);
  };
  let again = null;
  invsync.days = (data, by) => {
    kinds = data.kinds;
    rank = Object.keys(kinds).sort((a, b) => kinds[a].rank - kinds[b].rank);
    const byDay = totals(data, by);
    again = () => { calendar(byDay, by, data); trend(byDay, by); };
    again();
  };
  const point = event => {
    const mark = event.target.closest?.(".iv-bar, button.iv-day");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute("aria-label").replace(/[;:] /, "\n");
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = event.clientY + 14 + "px";
  };
  document.body.append(tip);
  document.addEventListener("pointermove", point);
  document.addEventListener("click", event => { const bar = event.target.closest?.(".iv-bar"); if (bar) choose("day", bar.dataset.day); });
  let width = innerWidth;
  addEventListener("resize", () => { if (again && innerWidth !== width) { width = innerWidth; again(); } });
})();
