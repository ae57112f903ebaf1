// The numbers: levels, distortion, render time, settings, and what is left of one minus another.
"use strict";

(function () {
  const { make, byId, figure } = listening;

  const UNITS = {
    oversampling: "\u00d7",
    input_gain: "\u00a0dB",
    output_gain: "\u00a0dB",
    mix: "\u00a0%",
    dc_block: "\u00a0Hz",
    rate: "\u00a0Hz",
  };

  const swatch = (number) =>
    make("i", { class: `swatch ${listening.colourClass(number)}`, "aria-hidden": "true" });

  function fill(table, headings, rows) {
    const head = make(
      "tr",
      {},
      ...headings.map((heading) => make("th", { scope: "col" }, ...[].concat(heading))),
    );
    table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }

  function row(variant, number, cells) {
    const name = make(
      "th",
      { scope: "row", title: variant.name },
      swatch(number),
      listening.shortName(number),
    );
    return make(
      "tr",
      { "data-variant": number },
      name,
      ...cells.map((cell) => (cell instanceof Element ? cell : make("td", {}, cell))),
    );
  }

  function setting(name, value) {
    if (typeof value === "number")
      return String(Number(value.toPrecision(6))).replace("-", "\u2212") + (UNITS[name] || "");
    if (value === null) return "\u2013";
    return { true: "on", false: "off" }[value] || String(value);
  }

  const spoken = (name) => name.replace(/_/g, " ");

  // Settings that the renders do not share, and those that they do.
  function splitSettings(variants) {
    const all = variants.map(({ settings }) => settings).filter(Boolean);
    const names = [...new Set(all.flatMap((settings) => Object.keys(settings)))];
    const differs = (name) =>
      new Set(all.map((settings) => JSON.stringify(settings[name]))).size > 1;
    return {
      differing: names.filter(differs),
      shared: names.filter((name) => !differs(name)),
      first: all[0],
    };
  }

  function settingsCell(settings, differing) {
    if (!settings) return make("td", { class: "text" }, "the dry source");
    const chips = differing
      .filter((name) => settings[name] !== undefined)
      .map((name) =>
        make(
          "span",
          { class: "chip" },
          `${spoken(name)}\u00a0`,
          make("b", {}, setting(name, settings[name])),
        ),
      );
    return make(
      "td",
      { class: "text" },
      ...(chips.length ? chips.flatMap((chip) => [chip, " "]) : ["as the others"]),
    );
  }

  listening.drawTables = function ({ variants, nulls, target_lufs: target }) {
    const { differing, shared, first } = splitSettings(variants);
    const matched = target === null ? "LUFS" : "LUFS matched";
    fill(
      byId("numbers"),
      [
        "Variant",
        "LUFS as rendered",
        "Gain, dB",
        matched,
        "True peak, dBTP",
        "Crest, dB",
        "THD, dB",
        "Render, s",
        "Settings that differ",
      ],
      variants.map((variant, number) =>
        row(variant, number, [
          figure(variant.lufs_before, 1),
          figure(variant.gain_db, 2),
          figure(variant.lufs, 1),
          figure(variant.true_peak_dbtp, 2),
          figure(variant.crest_db, 1),
          figure(variant.thd_db, 1),
          figure(variant.wall_seconds, 2),
          settingsCell(variant.settings, differing),
        ]),
      ),
    );
    const told = shared.filter((name) => first[name] !== null);
    byId("shared").textContent = told.length
      ? `All renders: ${told.map((name) => `${spoken(name)}\u00a0${setting(name, first[name])}`).join(", ")}.`
      : "";
    drawHarmonics(variants);
    drawNulls(variants, nulls || []);
  };

  function drawHarmonics(variants) {
    const measured = variants
      .map((variant, number) => ({ variant, number }))
      .filter(({ variant }) => variant.harmonics_db);
    byId("harmonics-part").hidden = !measured.length;
    if (!measured.length) return;
    const count = Math.max(...measured.map(({ variant }) => variant.harmonics_db.length));
    const names = Array.from({ length: count }, (_, i) => `H${i + 2}, dB`);
    fill(
      byId("harmonics-table"),
      ["Variant", ...names],
      measured.map(({ variant, number }) =>
        row(
          variant,
          number,
          Array.from({ length: count }, (_, i) => figure(variant.harmonics_db[i], 1)),
        ),
      ),
    );
  }

  function drawNulls(variants, nulls) {
    byId("nulls-part").hidden = !nulls.length;
    if (!nulls.length) return;
    const left = new Map(
      nulls.flatMap(({ a, b, residual_db: residual }) => [
        [JSON.stringify([a, b]), residual],
        [JSON.stringify([b, a]), residual],
      ]),
    );
    const levels = nulls
      .map(({ residual_db: residual }) => residual)
      .filter((residual) => residual !== null);
    const [lowest, highest] = [Math.min(...levels, -60), Math.max(...levels, -20)];
    const cell = (a, b) => {
      if (a === b)
        return make("td", { class: "same" }, make("span", { class: "unseen" }, "itself"));
      const residual = left.get(JSON.stringify([a, b]));
      if (residual === undefined) return "\u2013";
      if (residual === null) return make("td", { class: "heat" }, "silence");
      const heat = (residual - lowest) / (highest - lowest);
      return make(
        "td",
        { class: "heat", style: `--heat:${(heat * 100).toFixed(0)}%` },
        figure(residual, 1, "dB"),
      );
    };
    fill(
      byId("nulls"),
      [
        "minus",
        ...variants.map(({ name }, number) => [
          swatch(number),
          make("span", { title: name }, listening.shortName(number)),
        ]),
      ],
      variants.map((variant, number) =>
        row(
          variant,
          number,
          variants.map((other) => cell(variant.name, other.name)),
        ),
      ),
    );
  }
})();
