// Plays all variants at once, in step to the sample, and lets one of them be heard.
//
// A deck is one run of the tape: every loaded variant starts at the same time of the audio clock
// from the same frame, each through a gain of its own. To switch is to crossfade two gains, so the
// position can't differ. To seek, or to change the loop, is to fade over to a new deck. No two
// ramps ever overlap: the next begins when the last has ended, which needs no cancelling.
"use strict";

(function () {
  const FADE = 0.008; // seconds; short enough to feel instant, long enough not to click
  const SEAM = 0.004; // seconds of fade on either side of where a loop closes
  const AHEAD = 5; // seconds for which the seams of a loop are planned

  function ramp(gain, from, to, at) {
    gain.setValueAtTime(from, at);
    gain.linearRampToValueAtTime(to, at + FADE);
  }

  class Deck {
    constructor(player, from, loop, at) {
      const { context } = player;
      Object.assign(this, { player, from, loop, at, context, voices: new Map(), ended: false });
      this.seam = context.createGain();
      this.gain = context.createGain();
      this.seam.connect(this.gain).connect(player.veil);
      this.gain.gain.value = 0;
      ramp(this.gain.gain, 0, 1, at);
      player.loader.tracks.forEach((_, number) => this.join(number));
      if (loop) {
        this.nextSeam = at + (loop.end - from) / player.rate;
        this.planSeams();
        this.timer = setInterval(() => this.planSeams(), 1000);
      }
    }

    // The frame that is played at a time of the audio clock.
    frameAt(time) {
      const frame = this.from + Math.max(0, time - this.at) * this.player.rate;
      const { loop } = this;
      if (!loop || frame < loop.end) return Math.min(frame, this.player.frames);
      return loop.start + ((frame - loop.start) % (loop.end - loop.start));
    }

    // Starts a variant in step with the others; one that has just been loaded joins them.
    join(number) {
      const { player, context, loop } = this;
      if (this.voices.has(number) || !player.loader.ready(number)) return;
      const at = Math.max(this.at, player.onGrid(player.soon()));
      const source = context.createBufferSource();
      source.buffer = player.loader.tracks[number].buffer;
      if (loop) {
        Object.assign(source, {
          loop: true,
          loopStart: loop.start / player.rate,
          loopEnd: loop.end / player.rate,
        });
      }
      const gain = context.createGain();
      gain.gain.value = number === player.current ? 1 : 0;
      source.connect(gain).connect(this.seam);
      source.onended = () => this.finished();
      source.start(at, Math.round(this.frameAt(at)) / player.rate);
      this.voices.set(number, { source, gain });
    }

    leave(number) {
      const voice = this.voices.get(number);
      if (!voice) return;
      voice.source.onended = null;
      voice.source.stop();
      voice.gain.disconnect();
      this.voices.delete(number);
    }

    // A loop jumps where it closes; a short dip there keeps the jump from clicking.
    planSeams() {
      const length = (this.loop.end - this.loop.start) / this.player.rate;
      const { gain } = this.seam;
      for (; this.nextSeam < this.context.currentTime + AHEAD; this.nextSeam += length) {
        gain.setValueAtTime(1, Math.max(this.at, this.nextSeam - SEAM));
        gain.linearRampToValueAtTime(0, this.nextSeam);
        gain.linearRampToValueAtTime(1, this.nextSeam + SEAM);
      }
    }

    turn(from, to, at) {
      ramp(this.voices.get(from).gain.gain, 1, 0, at);
      ramp(this.voices.get(to).gain.gain, 0, 1, at);
    }

    end(at) {
      this.ended = true;
      clearInterval(this.timer);
      ramp(this.gain.gain, 1, 0, at);
      for (const { source } of this.voices.values()) {
        source.onended = () => this.gain.disconnect();
        source.stop(at + 2 * FADE);
      }
    }

    finished() {
      if (this.ended) return;
      this.ended = true;
      this.player.finished(this);
    }
  }

  class Player extends EventTarget {
    constructor(loader, headroom) {
      super();
      Object.assign(this, { loader, headroom, rate: loader.rate, frames: loader.frames });
      this.context = null;
      this.deck = null;
      this.current = 0; // the variant that is heard
      this.chosen = 0; // the one that was asked for; it may still be loading
      this.rest = 0; // the frame to start from
      this.wanted = false; // whether it should be playing
      this.region = null;
      this.looping = false;
      this.volume = 1;
      this.busyUntil = 0;
      loader.addEventListener("progress", ({ detail }) => this.deck && this.deck.join(detail));
      loader.addEventListener("dropped", ({ detail }) => this.deck && this.deck.leave(detail));
    }

    changed() {
      this.dispatchEvent(new Event("change"));
    }

    // The audio context waits for the first click, as browsers demand.
    open() {
      if (this.context) return;
      try {
        this.context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
      } catch (error) {
        this.context = new AudioContext();
      }
      if (navigator.audioSession) navigator.audioSession.type = "playback"; // not muted with the bell
      this.output = this.context.createGain();
      this.veil = this.context.createGain();
      this.veil.connect(this.output).connect(this.context.destination);
      this.setVolume(this.volume);
    }

    setVolume(volume) {
      this.volume = volume;
      if (this.output) {
        this.output.gain.setTargetAtTime(volume * this.headroom, this.context.currentTime, 0.01);
      }
    }

    // A time that the audio thread has not reached yet, after the last ramp.
    soon() {
      const lead = Math.min(0.15, 0.01 + 1.5 * (this.context.baseLatency || 0));
      return Math.max(this.context.currentTime + lead, this.busyUntil);
    }

    onGrid(time) {
      return Math.ceil(time * this.context.sampleRate - 1e-6) / this.context.sampleRate;
    }

    get playing() {
      return this.deck !== null;
    }

    get loop() {
      return this.looping ? this.region || { start: 0, end: this.frames } : null;
    }

    // The frame that is heard now.
    position() {
      return this.deck ? this.deck.frameAt(this.context.currentTime) : this.rest;
    }

    async play() {
      if (this.wanted) return;
      this.wanted = true;
      this.open();
      this.changed();
      try {
        const running = this.context.resume();
        while (!this.loader.ready(this.chosen)) await this.loader.load(this.chosen);
        await running;
        if (!this.wanted || this.deck) return;
        this.current = this.chosen;
        this.restart(this.rest);
      } catch (error) {
        this.wanted = false;
        listening.complain(error.message);
        this.changed();
      }
    }

    pause() {
      this.wanted = false;
      this.rest = Math.round(this.position());
      if (this.deck) this.endDeck();
      this.changed();
    }

    endDeck() {
      const at = this.soon();
      this.deck.end(at);
      this.deck = null;
      this.busyUntil = at + FADE;
    }

    finished(deck) {
      if (deck !== this.deck) return;
      this.deck = null;
      this.wanted = false;
      this.rest = 0;
      this.changed();
    }

    seek(frame) {
      this.restart(Math.round(Math.min(Math.max(frame, 0), this.frames)));
    }

    // Plays on a new deck from a frame; where none is given, from the one it has come to.
    restart(frame) {
      const loop = this.loop;
      if (!this.wanted || !this.context || !this.loader.ready(this.current)) {
        if (frame !== undefined) this.rest = frame;
        this.changed();
        return;
      }
      const old = this.deck;
      const at = this.onGrid(this.soon());
      let from = frame === undefined ? Math.round(old ? old.frameAt(at) : this.rest) : frame;
      if (loop && from >= loop.end) from = loop.start;
      if (from >= this.frames) from = 0;
      this.deck = new Deck(this, from, loop, at);
      if (old) old.end(at);
      this.busyUntil = at + FADE;
      this.changed();
    }

    setLoop(region, looping) {
      this.region = region;
      this.looping = looping;
      this.restart();
    }

    // Lets another variant be heard. Veiled, every switch goes through the same short dip, so that
    // the join does not tell whether anything changed.
    async choose(number, veiled) {
      this.chosen = number;
      this.changed();
      try {
        await this.loader.load(number);
      } catch (error) {
        listening.complain(error.message);
        return;
      }
      if (this.chosen !== number) return;
      if (this.deck) this.turn(number, veiled);
      this.current = number;
      this.changed();
    }

    turn(number, veiled) {
      this.deck.join(number);
      let at = this.soon();
      if (veiled) {
        ramp(this.veil.gain, 1, 0, at);
        at += FADE;
      }
      if (number !== this.current) this.deck.turn(this.current, number, at);
      this.busyUntil = at + FADE;
      if (veiled) {
        ramp(this.veil.gain, 0, 1, this.busyUntil);
        this.busyUntil += FADE;
      }
    }
  }

  listening.Player = Player;
})();
