// Puts the page together: what is chosen, heard and shown, and what the buttons do.
//
// For scripts: #page carries data-state (paused, loading, playing), data-position (seconds) and
// data-current (the number of the variant that is heard, from 1; A, B or X in a blind test), and
// listening.page has the player, whose `output` is the node in front of the loudspeaker.
"use strict";

(function () {
  const { byId, make, clock, figure, comparison } = listening;
  const { variants } = comparison;
  const QUIET = -12; // dBFS; where even the loudest peak is lower, all are played louder
  const LOUDEST = -1; // dBFS, up to there
  const MOST = 60; // dB, so that mere noise is not blown up

  // The one gain in dB that all are played with: none where they neither clip nor are very quiet.
  function playbackGain(peak) {
    if (peak === null || (peak >= QUIET && peak <= 0)) return 0;
    return peak > 0 ? -peak : Math.min(LOUDEST - peak, MOST);
  }

  class Page {
    constructor() {
      this.variants = variants;
      this.loader = new listening.Loader(comparison);
      const peak = comparison.page.peak_db;
      this.top = peak === null ? 1 : 10 ** (peak / 20); // the loudest sample of all variants
      this.gain = playbackGain(peak); // dB
      this.player = new listening.Player(this.loader, 10 ** (this.gain / 20));
      this.before = Math.min(1, variants.length - 1);
      this.blind = false;
      this.writeFacts();
      this.addVariants();
      listening.drawFigures(variants);
      listening.drawTables(comparison);
      this.timeline = new listening.Timeline(this.player);
      this.spectrogram = new listening.Spectrogram(this.timeline, this.loader);
      this.abx = new listening.Abx(this, variants);
      this.loader.inUse = () => [
        this.player.current,
        this.player.chosen,
        ...Object.values(this.abx.pair || {}),
      ];
      this.takeButtons();
      listening.takeKeys(this);
      this.listen();
      this.show();
      variants.forEach((_, number) => this.showLoading(number));
      this.loader.pump();
    }

    listen() {
      this.player.addEventListener("change", () => this.show());
      this.loader.addEventListener("progress", ({ detail }) => this.showLoading(detail));
      this.timeline.addEventListener("draw", () => {
        this.showZoom();
        this.drawPictures();
      });
      for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
        matchMedia(query).addEventListener("change", () => {
          this.spectrogram.forget();
          this.timeline.draw();
        });
      }
    }

    writeFacts() {
      const name = comparison.source.split(/[\\/]/).pop();
      const { channels, rate, seconds } = comparison;
      document.title = `${name} \u00b7 chowtape listening page`;
      byId("source").textContent = name;
      byId("facts").textContent = [
        clock(seconds, 1),
        `${rate / 1000}\u00a0kHz`,
        channels === 1 ? "mono" : channels === 2 ? "stereo" : `${channels}\u00a0channels`,
        comparison.target_lufs === null
          ? comparison.variants.some(({ gain_db: gain }) => gain)
            ? "matched in RMS"
            : "levels as rendered"
          : `matched to ${figure(comparison.target_lufs, 1, "LUFS")}`,
      ].join(" \u00b7 ");
      const notes = [];
      if (comparison.lowered_db)
        notes.push(
          `All files are ${figure(comparison.lowered_db, 1, "dB")} below the quietest render, so that none of them clips.`,
        );
      if (this.gain < -0.05)
        notes.push(
          `All are played ${figure(-this.gain, 1, "dB")} lower, so that none of them clips.`,
        );
      if (this.gain > 0)
        notes.push(
          `The files are very quiet: this page plays all of them ${figure(this.gain, 1, "dB")} louder.`,
        );
      if (channels > 2)
        notes.push(
          `This page plays the mean of the ${channels} channels; the WAV files hold them all.`,
        );
      byId("loudness-note").textContent = notes.join(" ");
      byId("made").textContent =
        `Made by chowtape ${comparison.version}. The audio lies beside this page as WAV files.`;
      byId("length").textContent = clock(seconds, 3);
      byId("position").setAttribute("aria-valuemax", seconds.toFixed(3));
    }

    addVariants() {
      this.buttons = variants.map(({ name }, number) => {
        const button = make(
          "button",
          {
            type: "button",
            role: "radio",
            "aria-checked": "false",
            tabindex: "-1",
            class: `variant ${listening.colourClass(number)}`,
            "aria-keyshortcuts": number < 9 ? number + 1 : null,
            "aria-label": name,
            "aria-describedby": `state-${number}`,
          },
          make("kbd", { "aria-hidden": "true" }, number < 9 ? String(number + 1) : "\u00b7"),
          make(
            "span",
            { class: "words" },
            make(
              "span",
              { class: "name", id: `name-${number}`, title: name },
              listening.shortName(number),
            ),
            make("span", { class: "state", id: `state-${number}` }),
          ),
          make("i", { class: "bar", "aria-hidden": "true" }),
        );
        button.addEventListener("click", () => this.choose(number));
        button.addEventListener("keydown", (event) => this.moveAmongVariants(event, number));
        return button;
      });
      byId("variants").append(...this.buttons);
    }

    moveAmongVariants(event, number) {
      const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const next = (number + way + variants.length) % variants.length;
      this.choose(next);
      this.buttons[next].focus();
    }

    takeButtons() {
      const { player, timeline } = this;
      const clicks = {
        play: () => this.toggle(),
        loop: () => this.toggleLoop(),
        "loop-in": () => timeline.setIn(),
        "loop-out": () => timeline.setOut(),
        "loop-clear": () => timeline.clear(),
        zoom: () => this.toggleZoom(),
        "help-button": () => this.help(),
      };
      for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
      const volume = byId("volume");
      const setVolume = () => {
        const silent = Number(volume.value) <= Number(volume.min);
        volume.setAttribute("aria-valuetext", silent ? "silent" : `${volume.value} dB`);
        player.setVolume(silent ? 0 : 10 ** (volume.value / 20));
      };
      volume.addEventListener("input", setVolume);
      setVolume();
    }

    toggle() {
      if (this.player.wanted) this.player.pause();
      else this.player.play();
    }

    toggleLoop() {
      this.player.setLoop(this.player.region, !this.player.looping);
      listening.say(this.player.looping ? "Loop on" : "Loop off");
    }

    toggleZoom() {
      if (!this.player.region) return;
      this.timeline.zoom(!this.timeline.zoomed);
      listening.say(this.timeline.zoomed ? "Zoomed to the loop" : "The whole recording");
    }

    help() {
      byId("help").showModal();
    }

    choose(number) {
      if (this.blind) return;
      if (number !== this.player.chosen) this.before = this.player.chosen;
      this.player.choose(number);
      listening.say(`${variants[number].name}${this.loader.ready(number) ? "" : ", loading"}`);
    }

    // In a blind test nothing may be seen that differs between the variants.
    goBlind(blind) {
      this.blind = blind;
      document.body.classList.toggle("blind", blind);
      for (const part of document.querySelectorAll(
        ".sighted, #variants-part, #spectrogram, #scale",
      ))
        part.hidden = blind;
      this.timeline.draw();
      this.show();
    }

    drawPictures() {
      const { current } = this.player;
      const colour = listening.colour(`--v${current}`);
      listening.drawWaveform(
        this.timeline,
        this.blind ? null : this.loader.tracks[current],
        colour,
        this.top * 1.05,
      );
      if (!this.blind) this.spectrogram.show(current);
    }

    show() {
      const { player } = this;
      const state = !player.wanted ? "paused" : player.playing ? "playing" : "loading";
      byId("page").dataset.state = document.body.dataset.state = state;
      byId("play").setAttribute("aria-label", state === "paused" ? "Play" : "Pause");
      byId("loop").setAttribute("aria-pressed", String(player.looping));
      byId("loop-clear").disabled = !player.region;
      this.showZoom();
      if (!this.blind) this.showCurrent();
      if (!this.ticking) this.tick();
    }

    showZoom() {
      byId("zoom").disabled = !this.player.region;
      byId("zoom").setAttribute("aria-pressed", String(this.timeline.zoomed));
    }

    showCurrent() {
      const { current, chosen } = this.player;
      byId("page").dataset.current = current + 1;
      this.buttons.forEach((button, number) => {
        button.setAttribute("aria-checked", String(number === chosen));
        button.tabIndex = number === chosen ? 0 : -1;
      });
      this.bringIntoView(this.buttons[chosen]);
      if (this.shown !== current) {
        this.shown = current;
        listening.highlight(current);
        this.drawPictures();
      }
    }

    // Scrolls the list where it is too long to show every variant, and never the page.
    bringIntoView(button) {
      const list = byId("variants");
      const top = button.offsetTop;
      const bottom = top + button.offsetHeight - list.clientHeight;
      if (list.scrollTop > top || list.scrollTop < bottom)
        list.scrollTop = list.scrollTop > top ? top : bottom;
    }

    showLoading(number) {
      const { loader, buttons } = this;
      const share = loader.share(number);
      const { failed, buffer } = loader.tracks[number];
      buttons[number].style.setProperty("--share", share);
      buttons[number].toggleAttribute("data-ready", share === 1);
      const text = failed
        ? "can\u2019t be loaded"
        : share === 1
          ? ""
          : buffer
            ? `${Math.round(share * 100)}\u00a0%`
            : "not loaded";
      byId(`state-${number}`).textContent = text;
      if (failed) listening.complain(failed.message);
      const ready = variants.filter((_, other) => loader.ready(other)).length;
      byId("loading").textContent =
        ready === variants.length ? "" : `${ready} of ${variants.length} loaded`;
      if (number === this.player.current || share === 1) this.drawPictures();
    }

    tick() {
      const { player } = this;
      const seconds = player.position() / player.rate;
      const now = clock(seconds, 3);
      byId("now").textContent = now;
      byId("page").dataset.position = seconds.toFixed(4);
      const slider = byId("position");
      if (
        Math.abs(seconds - Number(slider.getAttribute("aria-valuenow"))) >= 1 ||
        !player.playing
      ) {
        slider.setAttribute("aria-valuenow", seconds.toFixed(3));
        slider.setAttribute("aria-valuetext", now);
      }
      this.timeline.movePlayhead();
      this.ticking = player.playing;
      if (this.ticking) requestAnimationFrame(() => this.tick());
    }
  }

  listening.page = new Page();
})();
