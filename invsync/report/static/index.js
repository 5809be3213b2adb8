"use strict";
const invsync = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = id => document.getElementById(id);
  const filters = $("filters"), heads = ["shop", "job", "status", "day"];
  const make = (tag, given = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), given);
    made.append(...inside.filter(one => one !== null));
    return made;
  };
  const calm = job => (job[0].toUpperCase() + job.slice(1)).replaceAll("-", " ");
  const forms = data.shops.map(({ zone, locale }) => ({
    time: new Intl.DateTimeFormat(locale, { timeZone: zone, dateStyle: "medium", timeStyle: "short" }),
    day: new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short" }),
    number: new Intl.NumberFormat(locale), signed: new Intl.NumberFormat(locale, { signDisplay: "exceptZero" }),
  }));
  const form = shop => forms[shop] || forms[0];
  const shown = (shop, value, kind = "number") => value === null || value === undefined ? "–" : form(shop)[kind].format(value).replace("-", "−");
  const when = (shop, t) => form(shop).time.format(t * 1000);
  const loaded = {};
  const load = name => loaded[name] ||= new Promise((done, failed) => {
    const script = make("script", { src: `_site/${name}.js`, onload: done, onerror: failed });
    document.head.append(script);
  });

  // Runs: those of the page, and older ones month by month.
  let runs = [], seen = new Set(), listed = 50;
  const add = columns => {
    columns.run_id.forEach((id, n) => {
      const run = Object.fromEntries(Object.keys(columns).map(name => [name, columns[name][n]]));
      run.path = `${data.shops[run.shop].name}/${data.jobs[run.job]}/${id}`;
      if (seen.has(run.path)) return;
      seen.add(run.path);
      run.day = form(run.shop).day.format(run.t * 1000);
      runs.push(run);
    });
    runs.sort((a, b) => b.t - a.t || (a.path < b.path ? 1 : -1));
  };
  const chosen = () => Object.fromEntries(heads.map(name => [name, filters[name].value]));
  const fits = (row, by) => heads.every(name => by[name] === "" || row[name] === undefined || String(row[name]) === by[name]);
  const link = (path, words, item) => make("a", { href: path.split("/").map(encodeURIComponent).join("/") + "/report.html" + (item ? `#find=${encodeURIComponent(item)}` : ""), textContent: words });
  const badge = status => make("span", { className: `iv-kind ${status}`, textContent: `${data.kinds[status].mark} ${status}` });
  const line = run => {
    const cells = [link(run.path, when(run.shop, run.t)), data.shops[run.shop].name, calm(data.jobs[run.job]), badge(data.statuses[run.status])];
    const numbers = ["selected", "changed", "raised", "lowered", "in_flight", "needs"].map(name => make("td", { className: "n", textContent: shown(run.shop, run[name]) }));
    return make("tr", {}, ...cells.map(cell => make("td", {}, cell)), ...numbers);
  };
  const list = () => {
    const by = chosen(), matching = runs.filter(run => fits(run, by));
    $("list").tBodies[0].replaceChildren(...matching.slice(0, listed).map(line));
    $("more").hidden = matching.length <= listed;
    $("older").hidden = !data.months.length;
    const rest = data.total - runs.length;
    $("count").textContent = `${matching.length.toLocaleString()} ${matching.length === 1 ? "run" : "runs"}` + (rest ? `; ${rest.toLocaleString()} older ones are not loaded` : "");
  };
  const draw = () => {
    listed = 50;
    const by = chosen(), parameters = new URLSearchParams(Object.entries(by).filter(([, value]) => value !== ""));
    history.replaceState(null, "", parameters.size ? `#${parameters}` : location.pathname + location.search);
    list();
    invsync.days(data, by);
  };
  const choose = (name, value) => {
    const select = filters[name];
    if (![...select.options].some(option => option.value === value)) select.append(new Option(value, value));
    select.value = value;
    const month = value.slice(0, 7);
    const ready = name === "day" && data.months.includes(month) ? load(`runs-${month}`) : Promise.resolve();
    return ready.then(draw);
  };

  const ago = place => {
    const minutes = Math.round((Date.now() / 1000 - place.dataset.t) / 60), form = new Intl.RelativeTimeFormat("en");
    if (!place.dataset.t || minutes < 0) return;
    const [size, unit] = minutes < 90 ? [1, "minute"] : minutes < 2880 ? [60, "hour"] : [1440, "day"];
    place.textContent = `(${form.format(-Math.round(minutes / size), unit)})`;
    if (minutes > 1560) place.className = "iv-kind partial";
  };

  // The worst fact of all: that a shop has not been synced, which only the reader's own clock can tell.
  const LATE = 26 * 60;
  const late = () => {
    const since = data.shops.filter(({ synced }) => synced).map(({ name, synced }) => [name, Math.floor((Date.now() / 1000 - synced) / 60)]);
    const waiting = since.filter(([, minutes]) => minutes > LATE).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    if (!waiting.length) return;
    const names = waiting.map(([name]) => name), least = waiting.at(-1)[1], days = Math.round(least / 1440);
    const span = least < 2880 ? `${Math.round(least / 60)} hours` : `${days} days`;
    const joined = names.length > 3 ? `${names.length} shops` : names.join(", ").replace(/, ([^,]*)$/, " and $1");
    const verdict = $("verdict"), heading = verdict.querySelector("h1");
    const before = make("p", { className: "iv-about", textContent: `By the last runs: ${heading.textContent.trim()}` });
    verdict.className = "iv-verdict failed";
    heading.replaceChildren($("late").content.cloneNode(true), make("span", { textContent: `${joined} ${names.length === 1 ? "has" : "have"} not synced for ${span}.` }));
    heading.after(before);
    document.title = heading.textContent.trim();
  };

  // From a run's page: the run after it of the same shop and job, by `#next=shop/job/run_id`.
  const monthOf = id => `${id.slice(0, 4)}-${id.slice(4, 6)}`;
  const next = async path => {
    const own = path.split("/").at(-1), beside = path.slice(0, path.length - own.length);
    for (const month of data.months.filter(one => one >= monthOf(own))) await load(`runs-${month}`).catch(() => null);
    const later = runs.filter(run => run.path.startsWith(beside) && run.run_id > own);
    if (later.length) return location.replace(link(later.at(-1).path, "").href);
    $("newest").hidden = false;
    $("newest").replaceChildren("No later run of this shop and job is known here: ", link(path, own), " is the newest.");
  };

  // One item's story.
  const crc = words => {
    let sum = -1;
    for (const byte of new TextEncoder().encode(words)) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (0xEDB88320 & -(sum & 1));
    }
    return (sum ^ -1) >>> 0;
  };
  const shards = {};
  let names = [], titles = [];
  const place = (shop, id) => id === null ? "no location" : data.shops[shop]?.places[id] || String(id);
  const read = (shard, row) => {
    const [run, location, available, flight, target, delta, after, kind] = row, [path, t] = shard.runs[run];
    const shop = data.shops.findIndex(one => one.name === path.split("/")[0]);
    const [words, said, remedy] = shard.kinds[kind];
    return { path, t, shop, where: place(shop, location), available, flight, target, delta, after, words, said, remedy };
  };
  const event = (item, one) => make("tr", {},
    make("td", {}, one.path ? link(one.path, when(one.shop, one.t), item) : when(one.shop, one.t)),
    make("td", { textContent: `${data.shops[one.shop]?.name ?? ""} · ${one.where}` }),
    make("td", { className: "wide" }, one.words, one.said ? make("small", { textContent: one.said }) : null, one.remedy ? make("small", { textContent: one.remedy }) : null),
    ...[["available"], ["flight"], ["target"], ["delta", "signed"], ["after"]].map(([name, kind]) => make("td", { className: "n", textContent: shown(one.shop, one[name], kind) })));
  const look = one => {
    const now = one.after === null ? "" : ` Shopify showed ${shown(one.shop, one.after)}${one.target === null ? "" : `, the target was ${shown(one.shop, one.target)}`}.`;
    return make("li", {}, make("strong", { textContent: `${data.shops[one.shop]?.name ?? ""} · ${one.where}: ` }), `${one.words}, `, one.path ? link(one.path, when(one.shop, one.t), null) : when(one.shop, one.t), `.${now}`, one.remedy ? ` ${one.remedy}` : "");
  };
  const tell = (shard, story) => {
    const columns = ["When", "Where", "What happened", "Shopify had", "In flight", "Should be", "Change", "Shopify shows"];
    const head = make("tr", {}, ...columns.map((words, n) => make("th", { scope: "col", className: n > 2 ? "n" : "", textContent: words })));
    const looks = story.looks.map(row => read(shard, row)).sort((a, b) => b.t - a.t);
    const events = story.events.map(row => read(shard, row));
    const table = make("table", {}, make("caption", { textContent: "What runs did to it, the newest first" }), make("thead", {}, head), make("tbody", {}, ...events.map(one => event(story.name, one))));
    const box = make("div", { className: "iv-table", tabIndex: 0 }, table);
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "What runs did to it");
    $("story").replaceChildren(make("h3", { textContent: story.name }), make("p", { textContent: "When a run last looked at it:" }), make("ul", {}, ...looks.map(look)),
      events.length ? box : make("p", { className: "iv-none", textContent: "No run has ever had to change or hold it: Shopify was right each time." }));
  };
  const HITS = 20;
  const open = async name => {
    const number = crc(name) % data.shards;
    await load(`items-${number}`).catch(() => null);
    const story = shards[number]?.items[name];
    if (story) tell(shards[number], story);
    return Boolean(story);
  };
  const fitting = words => names.flatMap((name, n) => words.every(word => `${name} ${titles[n] ?? ""}`.toLowerCase().includes(word)) ? [n] : []);
  const hit = n => {
    const button = make("button", { type: "button", className: "iv-button", textContent: titles[n] ?? names[n] });
    button.addEventListener("click", () => open(names[n].toLowerCase()));
    return make("li", {}, button, titles[n] ? make("small", { textContent: names[n] }) : null);
  };
  const search = async item => {
    const name = item.trim().toLowerCase();
    if (!name) return $("story").replaceChildren();
    if (await open(name)) return;
    await load("names").catch(() => null);
    const matching = fitting(name.split(/\s+/));
    if (matching.length === 1) return open(names[matching[0]].toLowerCase());
    if (matching.length) {
      const more = matching.length > HITS ? `, of which ${HITS} are listed; type more of the title or SKU` : "";
      return $("story").replaceChildren(make("p", { textContent: `${matching.length.toLocaleString()} products fit${more}:` }), make("ul", { className: "iv-hits" }, ...matching.slice(0, HITS).map(hit)));
    }
    $("story").replaceChildren(make("p", { className: "iv-none", textContent: `No run has looked at “${item.trim()}”. Either it is spelt otherwise, or it is not linked to a Shopify item in HotWax, so that no run can see it.` }));
  };

  addEventListener("DOMContentLoaded", () => {
    document.querySelector(".iv-live").hidden = !data.total;
    document.querySelectorAll("[data-t]").forEach(ago);
    late();
    if (!data.total) return;
    data.shops.forEach(({ name }, n) => filters.shop.append(new Option(name, n)));
    data.jobs.forEach((name, n) => filters.job.append(new Option(calm(name), n)));
    data.statuses.forEach((name, n) => filters.status.append(new Option(name, n)));
    [...new Set(data.days.day)].reverse().forEach(day => filters.day.append(new Option(day, day)));
    add(data.runs);
    const parameters = new URLSearchParams(location.hash.slice(1));
    heads.forEach(name => { if (parameters.has(name)) filters[name].value = parameters.get(name); });
    filters.addEventListener("input", event => choose(event.target.name, event.target.value));
    filters.addEventListener("reset", () => setTimeout(draw));
    filters.addEventListener("submit", event => event.preventDefault());
    $("more").addEventListener("click", () => { listed += 200; list(); });
    $("older").addEventListener("click", () => load(`runs-${data.months[0]}`).then(draw));
    $("item").addEventListener("submit", event => { event.preventDefault(); search($("item").item.value); });
    $("item").item.addEventListener("input", () => load("names").catch(() => null));
    $("item").item.addEventListener("change", event => search(event.target.value));
    if (parameters.has("next")) next(parameters.get("next"));
    if (parameters.has("item")) { $("item").item.value = parameters.get("item"); search(parameters.get("item")); }
    draw();
  });
  const suggest = () => {
    const wanted = $("item").item.value.trim().toLowerCase();
    const matching = wanted ? fitting(wanted.split(/\s+/)).slice(0, HITS) : [];
    $("names").replaceChildren(...matching.map(n => new Option(titles[n] ? `${titles[n]} (${names[n]})` : names[n], names[n])));
  };
  return {
    choose, make, shown,
    runs: (month, columns) => { add(columns); data.months = data.months.filter(one => one !== month); },
    items: (number, shard) => { shards[number] = shard; },
    names: (all, named) => { names = all; titles = named; $("item").item.addEventListener("input", suggest); suggest(); },
    days: () => {},
  };
})();
