// The pictures beside the player: hysteresis loops, and the harmonics they make.
"use strict";

(function () {
  const { make, byId, figure } = listening;
  const WIDTH = 340;
  const HEIGHT = 230;
  const MARGIN = { left: 50, right: 8, top: 8, bottom: 38 };
  const DEEPEST = -120; // dB
  const ROUND = [1, 1.2, 1.5, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10]; // ends of an axis whose half is round
  const ALIKE = 1; // pixels that curves which look the same may be apart
  const TURN = 11; // pixels

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

  // Both ends of an axis around zero that holds all values, their halves, and zero.
  function evenTicks(highest) {
    const power = 10 ** Math.floor(Math.log10(highest));
    const end = ROUND.map((round) => round * power).find((round) => round >= highest * 0.999);
    const digits = [0, 1, 2, 3].find((count) => Number((end / 2).toFixed(count)) === end / 2) ?? 4;
    return [-1, -0.5, 0, 0.5, 1].map((part) => [part * end, figure(part * end, digits)]);
  }

  function curve({ number, points, dash, offset }) {
    return make("polyline", {
      points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "),
      class: `curve ${listening.colourClass(number)}`,
      "stroke-dasharray": dash,
      "stroke-dashoffset": offset,
      "data-variant": number,
    });
  }

  const alike = (one, other) =>
    one.length === other.length &&
    one.every(([x, y], i) => Math.hypot(x - other[i][0], y - other[i][1]) < ALIKE);

  // Curves that lie on each other take turns along the way, so that every colour is seen.
  function withDashes(curves) {
    const groups = [];
    for (const one of curves) {
      const group = groups.find(([first]) => alike(first.points, one.points));
      if (group) group.push(one);
      else groups.push([one]);
    }
    return groups.flatMap((group) =>
      group.map((one, place) =>
        group.length > 1
          ? { ...one, dash: `${TURN} ${TURN * (group.length - 1)}`, offset: -TURN * place }
          : { ...one, dash: listening.dash(one.number) },
      ),
    );
  }

  const hasLoop = ({ loop }) => loop && loop.h.length > 0;
  const hasHarmonics = ({ harmonics_db: levels }) =>
    levels && levels.some((level) => level !== null);
  const closed = (points) => [...points, points[0]];
  const most = (values) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

  function drawLoops(variants) {
    const shown = variants.map((variant, number) => ({ ...variant, number })).filter(hasLoop);
    if (!shown.length) return null;
    const h = evenTicks(Math.max(...shown.map(({ loop }) => most(loop.h))) || 1);
    const m = evenTicks(Math.max(...shown.map(({ loop }) => most(loop.m))) || 1);
    const names = shown.map(({ name }) => name).join(", ");
    const { drawing, x, y } = axes(
      `Magnetisation M against field H, of ${names}`,
      [h[0][0], h.at(-1)[0]],
      [m[0][0], m.at(-1)[0]],
      {
        x: h,
        y: m,
        xName: "field H (full scale of the input = 1)",
        yName: "magnetisation M (full scale = 1)",
      },
    );
    const curves = shown.map(({ loop, number }) => ({
      number,
      points: closed(loop.h.map((field, i) => [x(field), y(loop.m[i])])),
    }));
    drawing.append(...withDashes(curves).map(curve));
    return drawing;
  }

  function drawHarmonics(variants) {
    const shown = variants.map((variant, number) => ({ ...variant, number })).filter(hasHarmonics);
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
    const curves = shown.map(({ harmonics_db: levels, number }) => ({
      number,
      points: levels
        .map((level, i) => [i + 2, level])
        .filter(([, level]) => level !== null && level >= lowest)
        .map(([harmonic, level]) => [x(harmonic), y(level)]),
    }));
    for (const one of withDashes(curves)) {
      const group = make(
        "g",
        { "data-variant": one.number, class: `dots ${listening.colourClass(one.number)}` },
        ...one.points.map(([cx, cy]) => make("circle", { cx, cy, r: 2.6 })),
      );
      drawing.append(curve(one), group);
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
      .filter((variant) => hasLoop(variant) || hasHarmonics(variant));
    byId("legend").replaceChildren(
      ...measured.map(({ name, number }) =>
        make(
          "li",
          { "data-variant": number, title: name },
          make("i", { class: `swatch ${listening.colourClass(number)}`, "aria-hidden": "true" }),
          listening.shortName(number),
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
