// The pictures beside the player: hysteresis loops, and the harmonics they make.
"use strict";

(function () {
  const { make, byId, figure } = listening;
  const WIDTH = 340;
  const HEIGHT = 230;
  const MARGIN = { left: 50, right: 8, top: 8, bottom: 38 };
  const DEEPEST = -120; // dB

  function niceStep(span, most) {
    const rough = span / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  }

  // A drawing with axes; x and y turn values into places.
  function axes(name, xs, ys, labels) {
    const x = (value) =>
      MARGIN.left + ((value - xs[0]) / (xs[1] - xs[0])) * (WIDTH - MARGIN.left - MARGIN.right);
    const y = (value) =>
      HEIGHT -
      MARGIN.bottom -
      ((value - ys[0]) / (ys[1] - ys[0])) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    const drawing = make("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": name,
      class: "drawing",
    });
    const text = (at, content, anchor) =>
      drawing.append(make("text", { x: at[0], y: at[1], "text-anchor": anchor }, content));
    const bottom = HEIGHT - MARGIN.bottom;
    for (const [value, shown] of labels.x) {
      drawing.append(
        make("line", {
          x1: x(value),
          x2: x(value),
          y1: MARGIN.top,
          y2: bottom,
          class: value === 0 ? "axis" : "grid",
        }),
      );
      text([x(value), bottom + 15], shown, "middle");
    }
    for (const [value, shown] of labels.y) {
      drawing.append(
        make("line", {
          x1: MARGIN.left,
          x2: WIDTH - MARGIN.right,
          y1: y(value),
          y2: y(value),
          class: value === 0 ? "axis" : "grid",
        }),
      );
      text([MARGIN.left - 6, y(value) + 4], shown, "end");
    }
    text([(WIDTH + MARGIN.left) / 2, HEIGHT - 4], labels.xName, "middle");
    const side = make(
      "text",
      { transform: `translate(11 ${bottom / 2}) rotate(-90)`, "text-anchor": "middle" },
      labels.yName,
    );
    drawing.append(side);
    return { drawing, x, y };
  }

  function ticks(low, high) {
    const step = niceStep(high - low, 5);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-9); i += 1) {
      found.push([i * step, figure(i * step, step < 1 ? Math.ceil(-Math.log10(step)) : 0)]);
    }
    return found;
  }

  function curve(number, points) {
    return make("polyline", {
      points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "),
      class: `curve ${listening.colourClass(number)}`,
      "stroke-dasharray": listening.dash(number),
      "data-variant": number,
    });
  }

  const closed = (points) => [...points, points[0]];
  const most = (values) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

  function drawLoops(variants) {
    const shown = variants
      .map((variant, number) => ({ ...variant, number }))
      .filter((variant) => variant.loop && variant.loop.h.length);
    if (!shown.length) return null;
    const h = 1.04 * (Math.max(...shown.map(({ loop }) => most(loop.h))) || 1);
    const m = 1.08 * (Math.max(...shown.map(({ loop }) => most(loop.m))) || 1);
    const names = shown.map(({ name }) => name).join(", ");
    const { drawing, x, y } = axes(
      `Magnetisation M against field H, of ${names}`,
      [-h, h],
      [-m, m],
      {
        x: ticks(-h, h),
        y: ticks(-m, m),
        xName: "field H",
        yName: "magnetisation M",
      },
    );
    for (const { loop, number } of shown)
      drawing.append(
        curve(
          number,
          closed(loop.h.map((field, i) => [x(field), y(loop.m[i])])),
        ),
      );
    return drawing;
  }

  function drawHarmonics(variants) {
    const shown = variants
      .map((variant, number) => ({ ...variant, number }))
      .filter(({ harmonics_db: levels }) => levels && levels.some((level) => level !== null));
    if (!shown.length) return null;
    const count = Math.max(...shown.map(({ harmonics_db: levels }) => levels.length));
    const all = shown.flatMap(({ harmonics_db: levels }) =>
      levels.filter((level) => level !== null && level >= DEEPEST),
    );
    const lowest = Math.floor(Math.min(-60, ...all) / 20) * 20;
    const highest = Math.ceil(Math.max(0, ...all) / 20) * 20;
    const names = Array.from({ length: count }, (_, i) => [i + 2, String(i + 2)]);
    const { drawing, x, y } = axes(
      `Level of each harmonic below the fundamental, of ${shown.map(({ name }) => name).join(", ")}`,
      [1.6, count + 1.4],
      [lowest, highest],
      { x: names, y: ticks(lowest, highest), xName: "harmonic", yName: "level (dB)" },
    );
    for (const { harmonics_db: levels, number } of shown) {
      const points = levels
        .map((level, i) => [i + 2, level])
        .filter(([, level]) => level !== null && level >= lowest)
        .map(([harmonic, level]) => [x(harmonic), y(level)]);
      const group = make(
        "g",
        { "data-variant": number, class: `dots ${listening.colourClass(number)}` },
        ...points.map(([cx, cy]) => make("circle", { cx, cy, r: 2.6 })),
      );
      drawing.append(curve(number, points), group);
    }
    return drawing;
  }

  listening.drawFigures = function (variants) {
    const loops = drawLoops(variants);
    const harmonics = drawHarmonics(variants);
    for (const [name, drawing] of [
      ["loops", loops],
      ["harmonics", harmonics],
    ]) {
      byId(name).replaceChildren(...(drawing ? [drawing] : []));
      byId(`${name}-heading`).hidden = !drawing;
    }
    byId("loops-part").toggleAttribute("data-empty", !loops && !harmonics);
    const measured = variants
      .map((variant, number) => ({ ...variant, number }))
      .filter(({ loop, harmonics_db: levels }) => loop || levels);
    byId("legend").replaceChildren(
      ...measured.map(({ name, number }) =>
        make(
          "li",
          { "data-variant": number },
          make("i", { class: `swatch ${listening.colourClass(number)}`, "aria-hidden": "true" }),
          name,
        ),
      ),
    );
  };

  // Brings the variant that is heard to the front of every picture and table.
  listening.highlight = function (number) {
    for (const element of document.querySelectorAll("[data-variant]")) {
      const current = Number(element.dataset.variant) === number;
      element.classList.toggle("current", current);
      if (current && element.closest("svg")) element.parentNode.append(element);
    }
  };
})();
