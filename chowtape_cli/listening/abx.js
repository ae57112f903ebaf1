// The blind test: X is A or B, drawn anew for each trial; and how easily luck would do as well.
"use strict";

(function () {
  const { byId, make } = listening;

  // How probable it is that somebody who guesses has at least so many hits: the upper tail of the
  // binomial distribution with one half.
  listening.chance = function (hits, trials) {
    let term = 0.5 ** trials; // C(trials, 0) / 2^trials
    let below = 0;
    let above = 0;
    for (let k = 0; k <= trials; k += 1) {
      if (k < hits) below += term;
      else above += term;
      term *= (trials - k) / (k + 1);
    }
    return hits <= 0 ? 1 : Math.min(1, above);
  };

  function percent(p) {
    if (p >= 0.1) return `${(100 * p).toFixed(0)}\u00a0%`;
    if (p >= 0.001) return `${(100 * p).toFixed(1)}\u00a0%`;
    return "less than 0.1\u00a0%";
  }

  const decimal = (p) => (p < 1e-4 ? p.toExponential(1) : p.toFixed(4));
  const drawn = () => (crypto.getRandomValues(new Uint8Array(1))[0] & 1 ? "b" : "a");

  class Abx {
    constructor(page, variants) {
      Object.assign(this, { page, variants, running: false });
      for (const [id, chosen] of [
        ["abx-a", 0],
        ["abx-b", 1],
      ]) {
        byId(id).append(
          ...variants.map(({ name }, number) => make("option", { value: number }, name)),
        );
        byId(id).value = Math.min(chosen, variants.length - 1);
      }
      byId("abx-start").disabled = variants.length < 2;
      if (variants.length < 2) byId("abx-problem").textContent = "A blind test needs two variants.";
      byId("abx-setup").addEventListener("submit", (event) => {
        event.preventDefault();
        this.start();
      });
      for (const which of ["a", "x", "b"])
        byId(`hear-${which}`).addEventListener("click", () => this.hear(which));
      for (const which of ["a", "b"])
        byId(`say-${which}`).addEventListener("click", () => this.answer(which));
      byId("abx-stop").addEventListener("click", () => this.finish());
      byId("abx-again").addEventListener("click", () => this.phase("setup", "abx-a"));
      byId("abx-copy").addEventListener("click", () => this.copy());
    }

    phase(name, focus) {
      byId("abx").dataset.phase = name;
      for (const part of ["setup", "run", "result"]) byId(`abx-${part}`).hidden = part !== name;
      if (focus) byId(focus).focus();
    }

    async start() {
      const [a, b] = ["abx-a", "abx-b"].map((id) => Number(byId(id).value));
      const problem = byId("abx-problem");
      if (a === b) {
        problem.textContent = "A and B are the same variant; choose two.";
        return;
      }
      problem.textContent = "Loading A and B.";
      byId("abx-start").disabled = true;
      try {
        this.pair = { a, b };
        await Promise.all([this.page.loader.load(a), this.page.loader.load(b)]);
        problem.textContent = "";
        this.begin();
      } catch (error) {
        this.pair = null;
        problem.textContent = error.message;
      }
      byId("abx-start").disabled = false;
    }

    begin() {
      this.planned = byId("abx-trials").valueAsNumber;
      this.live = byId("abx-live").checked;
      this.trials = [];
      this.running = true;
      this.page.goBlind(true);
      this.phase("run", "abx-progress");
      this.next();
      this.page.player.play();
    }

    next() {
      this.x = drawn();
      const number = this.trials.length + 1;
      byId("abx-progress").textContent = `Trial ${number} of ${this.planned}`;
      const score = byId("abx-score");
      score.hidden = !this.live;
      score.textContent = this.live ? `${this.hits()} of ${this.trials.length} right so far` : "";
      this.hear("x", true);
      listening.say(
        `Trial ${number} of ${this.planned}.${this.live && number > 1 ? ` ${score.textContent}.` : ""} You hear X.`,
      );
    }

    hits() {
      return this.trials.filter(({ x, said }) => x === said).length;
    }

    hear(which, silently) {
      if (!this.running) return;
      this.page.player.choose(this.pair[which === "x" ? this.x : which], true);
      for (const one of ["a", "x", "b"])
        byId(`hear-${one}`).setAttribute("aria-pressed", String(one === which));
      byId("page").dataset.current = which.toUpperCase();
      if (!silently) listening.say(`You hear ${which.toUpperCase()}.`);
    }

    answer(said) {
      if (!this.running) return;
      this.trials.push({ x: this.x, said });
      if (this.trials.length < this.planned) this.next();
      else this.finish();
    }

    finish() {
      this.running = false;
      this.page.player.pause();
      this.page.goBlind(false);
      this.report();
      this.pair = null;
      this.phase("result", "abx-verdict");
    }

    report() {
      const [n, hits] = [this.trials.length, this.hits()];
      const p = listening.chance(hits, n);
      const early = n < this.planned ? `, stopped early (${this.planned} were planned)` : "";
      const verdict = n ? `${hits} of ${n} right${early}` : "No trial was answered";
      byId("abx-verdict").textContent = verdict;
      byId("abx-meaning").textContent = n
        ? `Guessing would do as well or better with probability ${percent(p)}. ${this.judged(p, n)}`
        : "";
      byId("abx-n").textContent = n;
      byId("abx-hits").textContent = hits;
      byId("abx-p").textContent = decimal(p);
      listening.say(`${verdict}. ${byId("abx-meaning").textContent}`);
      this.tabulate();
      const names = this.named();
      this.text = [
        `ABX test: A = ${names.a}, B = ${names.b}`,
        `${verdict}; p = ${decimal(p)} (one-sided exact binomial test)`,
        ...this.trials.map(
          ({ x, said }, i) =>
            `${i + 1}. X was ${x.toUpperCase()}, said ${said.toUpperCase()}: ${x === said ? "right" : "wrong"}`,
        ),
        "",
      ].join("\n");
    }

    named() {
      return { a: this.variants[this.pair.a].name, b: this.variants[this.pair.b].name };
    }

    judged(p, n) {
      if (0.5 ** n > 0.05) return "So few trials can't tell hearing from luck.";
      return p <= 0.05 ? "You most likely hear a difference." : "This could well be luck.";
    }

    tabulate() {
      const names = this.named();
      const head = ["Trial", "X was", "You said", ""].map((text) =>
        make("th", { scope: "col" }, text),
      );
      const rows = this.trials.map(({ x, said }, i) =>
        make(
          "tr",
          { "data-right": x === said },
          make("th", { scope: "row" }, String(i + 1)),
          make("td", { class: "text", "data-x": x }, `${x.toUpperCase()}, ${names[x]}`),
          make("td", { class: "text", "data-said": said }, said.toUpperCase()),
          make("td", { class: "text" }, x === said ? "right" : "wrong"),
        ),
      );
      byId("abx-table").replaceChildren(
        make("thead", {}, make("tr", {}, ...head)),
        make("tbody", {}, ...rows),
      );
    }

    async copy() {
      let done = true;
      try {
        await navigator.clipboard.writeText(this.text);
      } catch (error) {
        // not every browser lets a page from disk use the clipboard
        const area = make("textarea", { "aria-hidden": "true", class: "unseen" }, this.text);
        document.body.append(area);
        area.select();
        done = document.execCommand("copy");
        area.remove();
      }
      byId("abx-copy").focus();
      listening.say(done ? "Results copied." : "The browser does not let this page copy.");
      byId("abx-copy").textContent = done ? "Copied" : "Can\u2019t copy";
      setTimeout(() => {
        byId("abx-copy").textContent = "Copy results";
      }, 2000);
    }
  }

  listening.Abx = Abx;
})();
