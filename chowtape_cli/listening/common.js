// What every part of the page uses: elements, figures, and the variants' colours.
"use strict";

(function () {
  const MINUS = "\u2212";
  const COLOURS = 9;
  const MANY = 12; // variants, from which on lists and tables scroll within the page

  listening.byId = (id) => document.getElementById(id);

  // An element with attributes and children; text is always text, whatever is in it.
  listening.make = function (tag, attributes, ...children) {
    const svg = ["svg", "path", "g", "line", "text", "circle", "polyline"].includes(tag);
    const element = svg
      ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  listening.figure = function (value, digits, unit) {
    if (value === null || value === undefined) return "\u2013";
    const rounded = value.toFixed(digits);
    const text = Number(rounded) < 0 ? rounded.replace("-", MINUS) : rounded.replace("-", "");
    return unit ? `${text}\u00a0${unit}` : text;
  };

  // Seconds as 1:02:03.456.
  listening.clock = function (seconds, digits) {
    const unit = 10 ** digits;
    const whole = Math.round(seconds * unit) / unit;
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor((whole % 3600) / 60);
    const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };

  // A name that fits a button or a column; the whole one is its title.
  listening.shortName = (number) => listening.comparison.page.names[number];

  // The style sheet has colours for the first variants; more get hues far from the one before, and
  // every ninth another dash.
  const { length } = listening.comparison.variants;
  const more = new CSSStyleSheet();
  for (let number = COLOURS; number < length; number += 1) {
    const hue = (number * 137.5) % 360;
    more.insertRule(`:root { --v${number}: oklch(var(--lightness) 0.13 ${hue}) }`);
    more.insertRule(`.v${number} { --v: var(--v${number}) }`);
  }
  document.adoptedStyleSheets = [more];
  document.body.classList.toggle("many", length > MANY);
  listening.colourClass = (number) => `v${number}`;
  listening.dash = (number) => ["none", "5 3", "2 2", "8 2 2 2"][Math.floor(number / COLOURS) % 4];
  listening.colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  listening.say = function (text) {
    listening.byId("said").textContent = text;
  };

  listening.complain = function (text) {
    const notice = listening.byId("notice");
    notice.textContent = text;
    notice.hidden = false;
  };

  // A canvas as sharp as the screen; the context draws in CSS pixels.
  listening.sharp = function (canvas) {
    const { width, height } = canvas.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    return { context, width, height, scale };
  };
})();
