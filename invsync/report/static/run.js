(() => {
  "use strict";
  const tip = Object.assign(document.createElement("div"), { className: "iv-tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const barAt = event => event.target.closest?.(".iv-chart [aria-roledescription='bar'][aria-label]");
  const point = event => {
    const bar = barAt(event);
    tip.hidden = !bar;
    if (!bar) return;
    tip.textContent = bar.getAttribute("aria-label").split("; ").join("\n");
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, room)) + "px";
    tip.style.top = event.clientY + 14 + "px";
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("scroll", () => { tip.hidden = true; }, true);

  const place = document.querySelector(".iv-find");
  if (!place || !window.DecompressionStream) return;
  const heads = [["item", "Item"], ["label", "Location"], ["available", "Shopify had"], ["oms", "HotWax"],
    ["in_flight", "In flight"], ["set_aside", "Set aside"], ["buffer", "Buffer"], ["target", "Should be"], ["delta", "Change"],
    ["after", "Shopify shows"], ["what", "Outcome"]];
  const form = place.querySelector("form"), body = place.querySelector("tbody"), more = place.querySelector(".iv-more");
  const told = place.querySelector("[role=status]");
  const locale = document.documentElement.dataset.locale || "en";
  const number = new Intl.NumberFormat(locale), signed = new Intl.NumberFormat(locale, { signDisplay: "exceptZero" });
  let data, texts, order, found = [], shown = 10, sorted = { by: "", down: false };

  const unpack = async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("pairs").textContent.trim()), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const value = (name, row) => name === "what" ? data.kinds[data.rows.what[row]][0] : data.rows[name][row];
  const text = (name, row) => {
    const one = value(name, row);
    if (one === null) return "–";
    return typeof one === "number" ? (name === "delta" ? signed : number).format(one) : one;
  };
  const cell = (name, row) => {
    const made = document.createElement("td"), remedy = name === "what" ? data.kinds[data.rows.what[row]][1] : "";
    made.textContent = text(name, row);
    if (name === "what") made.className = "wide";
    else if (name !== "item" && name !== "label") made.className = "n";
    if (remedy) made.append(Object.assign(document.createElement("small"), { textContent: remedy }));
    return made;
  };
  const draw = () => {
    body.replaceChildren(...found.slice(0, shown).map(row => {
      const line = document.createElement("tr");
      line.append(...heads.map(([name]) => cell(name, row)));
      return line;
    }));
    more.hidden = found.length <= shown;
    const none = "No pair here matches. A pair that this run did not look at was not touched in HotWax since the run before.";
    told.textContent = found.length ? number.format(found.length) + (found.length === 1 ? " pair" : " pairs") : none;
  };
  const compare = (a, b) => {
    const x = value(sorted.by, a), y = value(sorted.by, b);
    if (x === y) return a - b;
    if (x === null || y === null) return x === null ? 1 : -1;
    return (x < y ? -1 : 1) * (sorted.down ? -1 : 1);
  };
  const search = () => {
    const wanted = form.text.value.trim().toLowerCase(), kind = form.kind.value;
    found = order.filter(row => texts[row].includes(wanted) && (kind === "" || data.rows.what[row] === +kind));
    if (sorted.by) found.sort(compare);
    shown = 10;
    draw();
  };
  const headed = () => {
    const line = document.createElement("tr");
    line.append(...heads.map(([name, words]) => {
      const head = Object.assign(document.createElement("th"), { scope: "col" });
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: words });
      if (name !== "item" && name !== "label" && name !== "what") head.className = "n";
      button.addEventListener("click", () => {
        sorted = { by: name, down: sorted.by === name && !sorted.down };
        line.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
        search();
      });
      head.append(button);
      return head;
    }));
    place.querySelector("thead").append(line);
  };
  const look = words => {
    form.text.value = words;
    form.kind.value = "";
    search();
    place.scrollIntoView();
    form.text.focus({ preventScroll: true });
  };
  const asked = () => {
    const found = /^#find=(.*)$/.exec(location.hash);
    if (found) look(decodeURIComponent(found[1]));
  };
  unpack().then(read => {
    data = read;
    order = data.rows.item.map((_, row) => row);
    texts = order.map(row => [value("item", row), value("label", row), value("what", row)].join("\n").toLowerCase());
    data.kinds.forEach(([words], place) => form.kind.append(new Option(words, place)));
    headed();
    place.hidden = false;
    search();
    form.addEventListener("input", search);
    form.addEventListener("submit", event => event.preventDefault());
    more.addEventListener("click", () => { shown += 100; draw(); });
    document.addEventListener("click", event => {
      const bar = barAt(event);
      if (bar) look(bar.getAttribute("aria-label").split("; ")[0]);
    });
    addEventListener("hashchange", asked);
    asked();
  });
})();
