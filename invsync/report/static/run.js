(() => {
  "use strict";
  const tip = Object.assign(document.createElement("div"), { className: "iv-tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const barAt = event => event.target.closest?.(".iv-chart :is([aria-roledescription='bar'], [aria-roledescription='point'])[aria-label]");
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
  const { first, rule, currency, admin, hotwax } = place.dataset;
  const form = place.querySelector("form"), fold = place.querySelector(".iv-fold"), body = place.querySelector("tbody");
  const more = place.querySelector(".iv-more"), status = place.querySelector("[role=status]");
  const locale = document.documentElement.dataset.locale || "en";
  const format = options => {
    const made = new Intl.NumberFormat(locale, options);
    return value => made.format(value).replace("-", "−");
  };
  const number = format({}), signed = format({ signDisplay: "exceptZero" });
  const price = currency ? format({ style: "currency", currency }) : number;
  const PAGE = 10;
  let data, texts, order, most, heads, matching = [], shown = PAGE, sorted = { by: "", down: false };

  const unpack = async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("pairs").textContent.trim()), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const raw = (name, row) => data.rows[name]?.[row] ?? null;
  const kind = row => data.kinds[data.rows.what[row]];
  const isChanged = row => kind(row)[2] === "changed" && (raw("delta", row) || 0) !== 0;
  const values = {
    product: row => raw("name", row) ?? raw("item", row),
    label: row => raw("label", row),
    before: row => raw("available", row),
    after: row => raw("after", row) ?? (isChanged(row) ? raw("target", row) : raw("available", row)),
    delta: row => raw("delta", row),
    why: row => why(row).map(part => part.textContent ?? part).join(""),
    what: row => kind(row)[0],
  };
  const make = (tag, given, ...parts) => {
    const made = Object.assign(document.createElement(tag), given);
    made.append(...parts);
    return made;
  };
  const link = (address, words) => address ? make("a", { href: address, rel: "noreferrer" }, words) : words;
  const orderLink = ([id, name]) => link(admin && id !== null ? `${admin}/orders/${id}` : "", name);
  const ordersOf = row => (raw("orders", row) || []).map(place => data.orders[place]);
  const why = row => {
    const units = name => raw(name, row);
    if (rule === "undo") return ["turns back what the run had added"];
    if (rule === "counts" && !units("in_flight")) return units("delta") === null ? [] : ["HotWax's own stock events"];
    if (units("oms") === null) return [];
    const parts = [`HotWax has ${number(units("oms"))}`];
    if (units("in_flight")) {
      const named = ordersOf(row).flatMap((one, place) => [place ? ", " : " (", orderLink(one)]);
      parts.push(`, less ${number(units("in_flight"))} sold`, ...named, named.length ? ")" : "");
    }
    if (units("set_aside")) parts.push(`, less ${number(units("set_aside"))} set aside`);
    if (units("buffer")) parts.push(`, less ${number(units("buffer"))} buffer`);
    return parts;
  };
  const product = row => {
    const name = values.product(row), sku = raw("item", row), variant = raw("shopify_variant_id", row);
    const at = raw("shopify_product_id", row), own = raw("product_id", row);
    const address = admin && at !== null ? `${admin}/products/${at}` + (variant === null ? "" : `/variants/${variant}`) : "";
    const small = [name === sku ? "" : sku, raw("price", row) ? price(raw("price", row)) : ""].filter(Boolean).join(" · ");
    const parts = hotwax && own !== null ? [small ? " · " : "", link(hotwax.replace("{product_id}", encodeURIComponent(own)), "HotWax")] : [];
    return [link(address, name), make("small", {}, small, ...parts)];
  };
  const change = row => {
    const delta = raw("delta", row);
    const bar = make("i", { className: delta < 0 ? "lowered" : "raised" });
    bar.style.width = `${Math.max(2, 50 * Math.abs(delta || 0) / most)}%`;
    const drawn = make("span", { className: "iv-change" }, ...(delta ? [bar] : []));
    drawn.setAttribute("aria-hidden", "true");
    return [drawn, make("span", {}, delta === null ? "–" : signed(delta))];
  };
  const count = name => row => [values[name](row) === null ? "–" : number(values[name](row))];
  const outcome = row => [values.what(row), ...(kind(row)[1] ? [make("small", { className: "iv-todo" }, kind(row)[1])] : [])];
  const where = row => [link(admin && raw("location_id", row) !== null ? `${admin}/settings/locations/${raw("location_id", row)}` : "", raw("label", row))];
  const columns = [["product", "Product", "", product], ["label", "Location", "", where], ["before", "Before", "n", count("before")],
    ["after", "After", "n", count("after")], ["delta", "Change", "n", change], ["why", "Why", "wide", why], ["what", "Outcome", "wide", outcome]];

  const draw = () => {
    body.replaceChildren(...matching.slice(0, shown).map(row => {
      const cells = heads.map(([name, words, type, parts]) => {
        const cell = make("td", { className: `${type} ${name}` }, ...parts(row));
        cell.dataset.head = words;
        cell.setAttribute("role", "cell");
        return cell;
      });
      const line = make("tr", {}, ...cells);
      line.setAttribute("role", "row");
      return line;
    }));
    more.hidden = matching.length <= shown;
    const none = "No pair here matches. A pair that this run did not look at was not touched in HotWax since the run before.";
    status.textContent = matching.length ? number(matching.length) + (matching.length === 1 ? " pair" : " pairs") : none;
  };
  const compare = (a, b) => {
    const x = values[sorted.by](a), y = values[sorted.by](b);
    if (x === y) return a - b;
    if (x === null || y === null) return x === null ? 1 : -1;
    return (x < y ? -1 : 1) * (sorted.down ? -1 : 1);
  };
  const groups = { changed: isChanged, needs: row => kind(row)[2] === "needs", all: () => true };
  const search = () => {
    const wanted = form.text.value.trim().toLowerCase(), outcome = form.kind.value;
    if (wanted || outcome) form.group.value = "all";
    const inGroup = groups[form.group.value];
    matching = order.filter(row => inGroup(row) && texts[row].includes(wanted) && (outcome === "" || data.rows.what[row] === +outcome));
    if (sorted.by) matching.sort(compare);
    shown = PAGE;
    draw();
  };
  const headed = () => {
    const line = make("tr", {});
    line.append(...heads.map(([name, words, type]) => {
      const head = make("th", { scope: "col", className: type });
      const button = make("button", { type: "button" }, words);
      button.addEventListener("click", () => {
        sorted = { by: name, down: sorted.by === name && !sorted.down };
        line.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
        search();
      });
      head.append(button);
      head.setAttribute("role", "columnheader");
      return head;
    }));
    line.setAttribute("role", "row");
    place.querySelector("thead").append(line);
  };
  const look = words => {
    fold.open = true;
    form.text.value = words;
    form.kind.value = "";
    search();
    place.scrollIntoView();
    form.text.focus({ preventScroll: true });
  };
  const asked = () => {
    const link = /^#find=(.*)$/.exec(location.hash);
    if (link) look(decodeURIComponent(link[1]));
  };
  unpack().then(read => {
    data = read;
    order = data.rows.item.map((_, row) => row);
    texts = order.map(row => [values.product(row), raw("item", row), raw("label", row), values.what(row)].join("\n").toLowerCase());
    most = order.reduce((top, row) => isChanged(row) ? Math.max(top, Math.abs(raw("delta", row))) : top, 1);
    heads = columns.filter(([name]) => name !== "label" || new Set(data.rows.label).size > 1);
    data.kinds.forEach(([words], place) => form.kind.append(new Option(words, place)));
    const phone = matchMedia("(max-width: 44rem)");
    fold.open = !phone.matches;
    form.group.value = first;
    headed();
    place.hidden = false;
    search();
    form.addEventListener("input", event => {
      if (event.target.name === "group") form.text.value = form.kind.value = "";
      search();
    });
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
