/* softq's lab of Stein particles: the class `SwarmLab` of softq/lab/swarm.py in the page.
 *
 * In the page few particles can also be dragged, at the left edge of their paths.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { landscape, grid, softmax, geometric } = window.softqKit;

  const CELLS = 2000, STEP = { box: 0.05, tanh: 0.1 }, FEW = 12;

  function beginning(num, share) {
    const right = Math.floor(share * num + 0.5), left = num - right;
    return Float64Array.from({ length: num }, (_, i) => (
      i < left ? (i + 0.5) / left - 1 : (i - left + 0.5) / right));
  }

  function median(sorted) {
    const n = sorted.length;
    return (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2;
  }

  /** The width h of the kernel by one of the rules; 1 for one particle. */
  function bandwidth(places, rule) {
    const num = places.length;
    if (rule === "fixed") return 0.1;
    if (num === 1) return 1;
    const pairs = new Float64Array((num * (num - 1)) / 2);
    for (let i = 0, k = 0; i < num; i++) {
      for (let j = i + 1; j < num; j++, k++) pairs[k] = (places[i] - places[j]) ** 2;
    }
    pairs.sort();
    if (rule === "official") {
      // the lower median of all squared distances: `num` zeros, and each pair twice
      const rank = (num * num - 1) >> 1;
      return Math.max((rank < num ? 0 : pairs[(rank - num) >> 1]) / Math.log(num), 1e-3);
    }
    if (rule === "squared") return Math.max(median(pairs), 1e-6) / Math.log(num + 1);
    return Math.max(median(pairs.map(Math.sqrt)), 1e-3) / (2 * Math.log(num + 1));
  }

  /** Delta f at each particle of a line. */
  function direction(places, scores, h) {
    const num = places.length, out = new Float64Array(num);
    for (let j = 0; j < num; j++) {
      let sum = 0;
      for (let i = 0; i < num; i++) {
        const apart = places[j] - places[i], kernel = Math.exp((-apart * apart) / h);
        sum += kernel * (scores[i] + (2 / h) * apart);
      }
      out[j] = sum / num;
    }
    return out;
  }

  /** Folded back at the walls. */
  function fold(x) {
    const turn = ((((x - 1) % 4) + 4) % 4) - 2;
    return Math.abs(turn) - 1;
  }

  class SwarmLab extends CurveLab {
    prepare() {
      this.values = {};
      this.grids = {};
      for (const [name, spec] of Object.entries(this.data.landscapes)) {
        this.values[name] = landscape(spec);
        this.grids[name] = grid(this.values[name], 1, CELLS);
      }
      this.starts = null; // where the reader put them; else by the settings
    }

    changed(name) {
      if (["particles", "share", "landscape"].includes(name)) this.starts = null;
    }

    actions() {
      return [["play", "Play", () => this.play()], ...super.actions()];
    }

    /** The paths grow from the start to the end; where motion is unwelcome nothing moves. */
    play() {
      if (this.still) return;
      const last = this.settings.steps;
      let now = 1;
      const next = this.loop(() => {
        now = Math.min(last, Math.ceil(now * 1.04));
        this.until = now < last ? now : null;
        this.refresh();
        return now < last;
      });
      requestAnimationFrame(next);
    }

    law(s) {
      const { p } = softmax(this.grids[s.landscape], s.temperature);
      const below = new Float64Array(CELLS), middles = Float64Array.from(p, (_, i) => ((i + 0.5) * 2) / CELLS - 1);
      let sum = 0, mean = 0, square = 0, right = 0;
      for (let i = 0; i < CELLS; i++) {
        below[i] = sum + p[i] / 2;
        sum += p[i];
        mean += p[i] * middles[i];
        square += p[i] * middles[i] ** 2;
        if (i >= CELLS / 2) right += p[i];
      }
      return { middles: middles, below: below, variance: square - mean * mean, right: right };
    }

    /** W1 of equal point masses at sorted places from the law. */
    transport(law, sorted) {
      let sum = 0, reached = 0;
      for (let i = 0; i < CELLS; i++) {
        while (reached < sorted.length && sorted[reached] < law.middles[i]) reached++;
        sum += Math.abs(law.below[i] - reached / sorted.length);
      }
      return (sum * 2) / CELLS;
    }

    /** The places whose point masses are nearest to the law. */
    spaced(law, num) {
      let i = 0;
      return Float64Array.from({ length: num }, (_, k) => {
        const level = (k + 0.5) / num;
        while (i < CELLS - 1 && law.below[i] < level) i++;
        if (i === 0) return law.middles[0];
        const share = (level - law.below[i - 1]) / (law.below[i] - law.below[i - 1]);
        return law.middles[i - 1] + Math.min(1, share) * (law.middles[i] - law.middles[i - 1]);
      });
    }

    particles(s, steps) {
      const tanh = s.space === "tanh", q = this.values[s.landscape], a = new Float64Array(1), grad = new Float64Array(1);
      const start = this.starts || beginning(s.particles, s.share);
      const marks = new Set(Array.from(geometric(1, s.steps + 1, 60), (v) => Math.round(v) - 1));
      const at = [], paths = [], shown = (x) => (tanh ? x.map(Math.tanh) : x.slice());
      let x = tanh ? start.map((v) => Math.atanh(Math.min(0.9999, Math.max(-0.9999, v)))) : start.slice();
      let h = bandwidth(x, s.rule);
      for (let i = 0; i <= steps; i++) {
        if (marks.has(i) || i === steps) {
          at.push(i);
          paths.push(shown(x));
        }
        if (i === steps) break;
        const scores = x.map((v) => {
          a[0] = tanh ? Math.tanh(v) : v;
          q(a, grad);
          return tanh ? (grad[0] / s.temperature) * (1 - a[0] * a[0]) - 2 * a[0] : grad[0] / s.temperature;
        });
        h = bandwidth(x, s.rule);
        const move = direction(x, scores, h), size = STEP[s.space] * s.temperature;
        x = x.map((v, j) => (tanh ? v + size * move[j] : fold(v + size * move[j])));
      }
      return { at: at, paths: paths, bandwidth: h };
    }

    view(s) {
      const law = this.law(s), run = this.particles(s, this.until || s.steps);
      const last = run.paths[run.paths.length - 1].slice().sort(), num = last.length;
      const stairs = { x: [-1], y: [0], label: "particles", look: "samples" };
      last.forEach((v, i) => {
        stairs.x.push(v, v);
        stairs.y.push(i / num, (i + 1) / num);
      });
      stairs.x.push(1);
      stairs.y.push(1);
      const every = (values) => Array.from(values).filter((_, i) => i % 10 === 0);
      const mean = last.reduce((sum, v) => sum + v, 0) / num;
      const variance = last.reduce((sum, v) => sum + (v - mean) ** 2, 0) / num;
      const { dims, counts, spreads } = this.data, until = geometric(2, 18, 20);
      const formula = Array.from(until, (m) => (((m - 1) / m) * Math.log(m + 1)) / 17);
      return {
        panels: [
          {
            xlabel: "action", ylabel: "share of actions below", xlim: [-1, 1], ylim: [0, 1],
            curves: [{ x: every(law.middles), y: every(law.below), label: "softmax", look: "exact" }, stairs],
          },
          {
            xlabel: "step", ylabel: "action", log: [true, false], xlim: [1, s.steps + 1], ylim: [-1, 1],
            curves: Array.from(last, (_, j) => ({
              x: run.at.map((i) => i + 1), y: run.paths.map((path) => path[j]), label: "", look: "samples",
            })),
          },
          {
            xlabel: "particles M", ylabel: "variance over the exact one", log: [true, false], xlim: [2, 64], ylim: [0, 1],
            bands: [[num, 1.05 * num]],
            curves: [
              ...dims.map((d, i) => ({ x: counts, y: spreads[i], label: "d = " + d, look: "dim " + d })),
              { x: until, y: formula, label: "simplex, d = 17", look: "formula" },
            ],
          },
        ],
        numbers: {
          "W\u2081 to the softmax": this.transport(law, last),
          "W\u2081 of well-placed particles": this.transport(law, this.spaced(law, num)),
          "share on the right": last.filter((v) => v > 0).length / num,
          "exact share on the right": law.right,
          "variance over the exact one": variance / law.variance,
          "bandwidth h": run.bandwidth,
        },
      };
    }

    handles() {
      const { particles, share } = this.settings;
      if (particles > FEW) return [];
      const starts = this.starts || beginning(particles, share);
      return Array.from(starts, (y, i) => ({
        name: String(i), label: "start of particle " + (i + 1), frame: "1", x: 1, y: y, text: y.toFixed(2),
      }));
    }

    onHandle(name, _x, y) {
      const { particles, share } = this.settings;
      this.starts = (this.starts || beginning(particles, share)).slice();
      this.starts[Number(name)] = Math.min(0.99, Math.max(-0.99, y));
      this.refresh();
    }
  }

  register("swarm", SwarmLab);
})();
