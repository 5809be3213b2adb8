(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("iv-vega").textContent.trim()), c => c.charCodeAt(0));
  const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  await new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  const specs = JSON.parse(document.getElementById("iv-specs").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const figures = [...document.querySelectorAll("figure.iv-chart")];
  for (const [place, figure] of figures.entries()) {
    if (!specs[place]) continue;
    const live = document.createElement("div");
    live.className = "iv-view iv-only iv-live";
    live.setAttribute("role", "group");
    live.setAttribute("aria-label", figure.querySelector("figcaption").textContent);
    const drawn = document.createElement("div");
    await vegaEmbed(drawn, specs[place], { actions: false, ast: true, renderer: "svg", tooltip: { theme: dark } });
    live.append(drawn);
    figure.querySelectorAll(".iv-view").forEach(view => view.remove());
    figure.prepend(live);
    figure.dataset.live = "1";
  }
})();
