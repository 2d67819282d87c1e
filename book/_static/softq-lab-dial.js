/* softq's lab of the dial: DDSQ's sampler on a trained critic at every lambda_0, beside the exact softmax.
 *
 * The class `DialLab` of softq/lab/dial.py in the page. A change of a control draws anew with the same random numbers,
 * so that the moves shift with the temperature and are not thrown back.
 */
(function () {
  "use strict";

  const { ParticleLab, register, fixed, numeral } = window.softqLab;
  const { floats, generator, reflect } = window.softqKit;

  class DialLab extends ParticleLab {
    prepare() {
      this.useStates(this.data);
      this.steps = floats(this.data.schedules);
      this.spreads = new Map();
    }

    q() {
      return this.qs[this.settings.state];
    }

    get qName() {
      return String(this.settings.state);
    }

    get above() {
      return ["state", "sampler"];
    }

    get length() {
      return this.settings.sampler === "exact" ? 0 : this.data.lengths[1];
    }

    /** The standard deviation of Q over the box. */
    spread() {
      const { state } = this.settings;
      if (!this.spreads.has(state)) {
        const { values } = this.table(), mean = values.reduce((sum, v) => sum + v, 0) / values.length;
        const square = values.reduce((sum, v) => sum + (v - mean) * (v - mean), 0) / values.length;
        this.spreads.set(state, Math.sqrt(square));
      }
      return this.spreads.get(state);
    }

    solve() {
      this.settings.temperature = this.settings.lambda0 * this.spread(); // lambda(s), which the base reads
      super.solve();
    }

    start() {
      this.restart();
      this.settings.steps = this.data.lengths[1]; // of a run, which the base reads
      this.refresh();
      this.run(this.length, true);
    }

    changed(name) {
      if (name === "show") return;
      this.halt();
      this.restart();
      this.run(this.length, true);
    }

    restart() {
      const s = this.settings, count = s.particles, dim = this.dim, rng = (this.rng = generator(s.seed));
      this.taken = 0;
      this.solve();
      this.particles = new Float64Array(count * dim);
      if (s.sampler === "exact") this.exact(rng);
      else this.candidates(rng);
    }

    exact(rng) {
      const { p } = this.law, n = this.cells, sums = new Float64Array(p.length);
      let sum = 0;
      for (let i = 0; i < p.length; i++) sums[i] = sum += p[i];
      for (let k = 0; k < this.settings.particles; k++) {
        const u = rng.uniform() * sum;
        let [low, high] = [0, p.length - 1];
        while (low < high) {
          const middle = (low + high) >> 1;
          if (sums[middle] < u) low = middle + 1;
          else high = middle;
        }
        this.particles[2 * k] = ((Math.floor(low / n) + rng.uniform()) * 2) / n - 1;
        this.particles[2 * k + 1] = (((low % n) + rng.uniform()) * 2) / n - 1;
      }
    }

    /** Lines 1 and 2 of DDSQ's Algorithm 1 for each move: candidates, their spread, one of them by its weight. */
    candidates(rng) {
      const s = this.settings, { dim } = this, q = this.q(), count = this.data.lengths[0], m = this.data.candidates;
      this.divisors = new Float64Array(s.particles);
      this.pick = new Int32Array(s.particles);
      this.ends = new Float64Array(s.particles * count * dim);
      for (let k = 0; k < s.particles; k++) {
        const drawn = Array.from({ length: m }, () => Float64Array.from({ length: dim }, () => 2 * rng.uniform() - 1));
        const values = drawn.map((a) => q(a, null)), mean = values.reduce((sum, v) => sum + v, 0) / m;
        const divisor = s.lambda0 * Math.max(1e-6, Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / m));
        let best = 0, top = -Infinity;
        values.forEach((v, i) => {
          const score = v / divisor - Math.log(-Math.log(rng.uniform()));
          if (score > top) [top, best] = [score, i];
        });
        this.divisors[k] = divisor;
        this.pick[k] = Math.floor(count * rng.uniform());
        for (let c = 0; c < count; c++) this.ends.set(drawn[best], (k * count + c) * dim);
      }
      this.show();
    }

    /** Lines 3 to 6: one step of all schedules of each move, with the same noise. */
    move() {
      if (this.taken >= this.length) return;
      const { dim, ends, rng } = this, q = this.q(), [count, length] = this.data.lengths, grad = new Float64Array(dim);
      for (let k = 0; k < this.settings.particles; k++) {
        const noise = [rng.normal(), rng.normal()];
        for (let c = 0; c < count; c++) {
          const a = ends.subarray((k * count + c) * dim, (k * count + c + 1) * dim), step = this.steps[c * length + this.taken];
          q(a, grad);
          const pull = step / (2 * this.divisors[k]), size = Math.sqrt(step);
          for (let i = 0; i < dim; i++) a[i] = reflect(a[i] + pull * grad[i] + size * noise[i]);
        }
      }
      this.taken += 1;
      if (this.taken >= this.length) this.show();
    }

    /** Line 7: the best of the points, or the one that was chosen by chance. */
    show() {
      const { dim, ends } = this, q = this.q(), [count] = this.data.lengths, best = this.settings.sampler === "best";
      for (let k = 0; k < this.settings.particles; k++) {
        let chosen = this.pick[k], top = -Infinity;
        for (let c = 0; c < (best ? count : 0); c++) {
          const at = (k * count + c) * dim, value = q(ends.subarray(at, at + dim), null);
          if (value > top) [top, chosen] = [value, c];
        }
        const at = (k * count + chosen) * dim;
        this.particles.set(ends.subarray(at, at + dim), k * dim);
      }
    }

    actions() {
      return [["run", "Draw again", () => this.set("seed", (this.settings.seed + 1) % 10000)],
        ["reset", "Reset", () => this.restore()]];
    }

    /** All steps are taken: the moves are complete. */
    pause() {
      this.halt();
      this.computing = false;
      this.buttons.run.textContent = "Draw again";
      this.refresh();
    }

    statusText() {
      if (this.taken < this.length) return "Computing\u2026";
      return this.settings.sampler === "exact" ? "Exact draws." : "Moves after " + this.length + " steps.";
    }

    readouts() {
      const { law, seen, settings } = this;
      return [
        ["\u03bb(s)", numeral(settings.temperature)],
        ["mean value", fixed(seen.mean, 3) + " (exact " + fixed(law.mean, 3) + ")"],
        ["total variation", fixed(seen.tv, 2) + " (exact draws " + fixed(seen.floor, 2) + ")"],
      ];
    }
  }

  register("dial", DialLab);
})();
