for (const spec of document.querySelectorAll("script[data-chart]")) {
  const figure = spec.closest("figure");
  figure.hidden = false;
  vegaEmbed(`#${spec.dataset.chart}`, JSON.parse(spec.textContent), { actions: false, ast: true, renderer: "svg" });
}
