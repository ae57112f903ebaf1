// Loads each variant's audio, piece by piece from its scripts, into one buffer, exact to the sample.
//
// Decoding happens in an offline context, which no browser holds back until somebody clicks, and
// which has the rate that the pieces are labelled with, so that nothing is resampled. What fits the
// memory set aside is loaded in advance; beyond that, a variant is loaded when it is asked for, and
// the one not heard for longest makes room.
"use strict";

(function () {
  const BUDGET_BYTES = Math.min(navigator.deviceMemory || 4, 8) * 192 * 2 ** 20;
  const LEAST_HELD = 3; // the variant that is heard, and two to compare
  const PEAK_FRAMES = 128; // frames that one entry of the overview stands for

  let arrived = null;
  listening.audio = function (number, place, scale, base64) {
    arrived = { number, place, scale, base64 };
  };

  class Loader extends EventTarget {
    constructor(comparison) {
      super();
      this.decoder = new OfflineAudioContext(1, 1, comparison.page.label_rate);
      this.rate = comparison.rate;
      this.channels = comparison.page.channels;
      this.frames = Math.max(1, comparison.frames);
      this.pieceFrames = comparison.page.piece_frames;
      this.pieces = Math.ceil(this.frames / this.pieceFrames);
      this.capacity = Math.max(
        LEAST_HELD,
        Math.floor(BUDGET_BYTES / (this.frames * this.channels * 4)),
      );
      this.tracks = comparison.variants.map(() => ({
        done: 0,
        buffer: null,
        overview: null,
        failed: null,
        heard: 0,
        waiting: [],
      }));
      this.inUse = () => [];
      this.asked = [];
      this.busy = false;
      this.ahead = true;
    }

    ready(number) {
      return this.tracks[number].done === this.pieces;
    }

    // What is ready of a variant, 0 to 1.
    share(number) {
      return this.tracks[number].done / this.pieces;
    }

    // Resolves once a variant can be played; what was asked for last comes first.
    load(number) {
      const track = this.tracks[number];
      track.heard = performance.now();
      if (this.ready(number)) return Promise.resolve();
      track.failed = null;
      this.asked = [number, ...this.asked.filter((other) => other !== number)];
      return new Promise((resolve, reject) => {
        track.waiting.push({ resolve, reject });
        this.pump();
      });
    }

    async pump() {
      if (this.busy) return;
      this.busy = true;
      for (let number = this.next(); number !== null; number = this.next()) {
        try {
          await this.loadPiece(number);
          if (this.ready(number)) this.settle(number, (waiting) => waiting.resolve());
        } catch (error) {
          this.tracks[number].failed = error;
          this.settle(number, (waiting) => waiting.reject(error));
        }
        this.dispatchEvent(new CustomEvent("progress", { detail: number }));
      }
      this.busy = false;
    }

    settle(number, how) {
      this.asked = this.asked.filter((other) => other !== number);
      this.tracks[number].waiting.splice(0).forEach(how);
    }

    next() {
      if (this.asked.length) return this.asked[0];
      const held = this.tracks.filter((track) => track.buffer).length;
      const begun = this.tracks.findIndex(
        (track, number) => track.buffer && !this.ready(number) && !track.failed,
      );
      if (begun >= 0) return begun;
      const fresh = this.tracks.findIndex((track) => !track.buffer && !track.failed);
      return this.ahead && fresh >= 0 && held < this.capacity ? fresh : null;
    }

    makeRoom(number) {
      const spare = this.tracks
        .map((track, other) => ({ track, other }))
        .filter(
          ({ track, other }) => track.buffer && other !== number && !this.inUse().includes(other),
        )
        .sort((a, b) => a.track.heard - b.track.heard);
      let held = this.tracks.filter((track) => track.buffer).length;
      for (; held >= this.capacity && spare.length; held -= 1) {
        const { track, other } = spare.shift();
        Object.assign(track, { done: 0, buffer: null, overview: null });
        this.dispatchEvent(new CustomEvent("dropped", { detail: other }));
        this.dispatchEvent(new CustomEvent("progress", { detail: other }));
      }
    }

    emptyBuffer() {
      try {
        return new AudioBuffer({
          numberOfChannels: this.channels,
          length: this.frames,
          sampleRate: this.rate,
        });
      } catch (error) {
        throw new Error(
          `This browser can't play ${this.rate}\u00a0Hz (${error.message}); the WAV files beside the page are whole`,
        );
      }
    }

    async loadPiece(number) {
      const track = this.tracks[number];
      if (!track.buffer) {
        this.makeRoom(number);
        track.buffer = this.emptyBuffer();
        track.overview = emptyOverview(Math.ceil(this.frames / PEAK_FRAMES));
      }
      const place = track.done;
      const { scale, base64 } = await fetchPiece(number, place);
      const piece = await this.decoder.decodeAudioData(bytesOf(base64));
      const start = place * this.pieceFrames;
      const data = [];
      for (let channel = 0; channel < this.channels; channel += 1) {
        const samples = piece.getChannelData(Math.min(channel, piece.numberOfChannels - 1));
        if (scale !== 1)
          samples.forEach((sample, i) => {
            samples[i] = sample * scale;
          });
        track.buffer.copyToChannel(
          samples.subarray(0, Math.max(0, this.frames - start)),
          channel,
          start,
        );
        data.push(samples);
      }
      addToOverview(track.overview, data, start);
      track.done += 1;
    }
  }

  function fetchPiece(number, place) {
    const address = `page/audio/${number}-${place}.js`;
    return new Promise((resolve, reject) => {
      const script = listening.make("script", { src: address });
      const failed = () => reject(new Error(`${address} can't be loaded; copy the whole folder`));
      script.onload = () => {
        const piece = arrived;
        arrived = null;
        script.remove();
        if (piece && piece.number === number && piece.place === place) resolve(piece);
        else failed();
      };
      script.onerror = failed;
      document.head.append(script);
    });
  }

  function bytesOf(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return bytes.buffer;
  }

  function emptyOverview(length) {
    return {
      frames: PEAK_FRAMES,
      low: new Float32Array(length),
      high: new Float32Array(length),
      power: new Float32Array(length),
    };
  }

  // Lowest, highest and mean square of every PEAK_FRAMES, over all channels.
  function addToOverview(overview, data, start) {
    for (const samples of data) {
      for (let from = 0; from < samples.length; from += PEAK_FRAMES) {
        const at = Math.floor((start + from) / PEAK_FRAMES);
        if (at >= overview.low.length) break;
        const to = Math.min(from + PEAK_FRAMES, samples.length);
        let low = overview.low[at];
        let high = overview.high[at];
        let sum = 0;
        for (let i = from; i < to; i += 1) {
          const sample = samples[i];
          if (sample < low) low = sample;
          if (sample > high) high = sample;
          sum += sample * sample;
        }
        overview.low[at] = low;
        overview.high[at] = high;
        overview.power[at] += sum / ((to - from) * data.length);
      }
    }
  }

  listening.Loader = Loader;
})();
