/* softq's lab of one critic, one sampler and one backup: the class `CriticLab` of softq/lab/critic.py in the page.
 *
 * The state has one value V, and its critic is Q(a) = left(a) + (pay + discount * V) * right(a): two hills, of which the
 * right one grows with V. The random numbers are hashes of counters and actions are rounded after each step, as in
 * Python, so that both compute the same actions.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { reflect, geometric } = window.softqKit;
  const ROUND = 1048576, STEPS = 20, SCHEDULES = 10;
  const QGLG = ["argmax", "random", "gentle"];

  /** `count` numbers in (0, 1), hashes of a counter; another stream has others. */
  function uniforms(stream, count) {
    const out = new Float64Array(count), first = Math.imul(stream, 0x01000193);
    for (let i = 0; i < count; i++) {
      let x = (i + first) >>> 0;
      x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0;
      x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0;
      out[i] = (((x ^ (x >>> 16)) >>> 0) + 0.5) / 4294967296;
    }
    return out;
  }

  function normals(stream, count) {
    const one = uniforms(stream, count), two = uniforms(stream + 1, count);
    return one.map((u, i) => Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * two[i]));
  }

  /** Numbers at equal distances. */
  function even(from, to, count) {
    return Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
  }

  class CriticLab extends CurveLab {
    prepare() {
      const { counts, hills } = this.data, { draws, candidates, cells } = counts;
      this.hills = hills;
      this.inverse = hills.widths.map((w) => 1 / (w * w));
      this.candidates = uniforms(1, draws * candidates).map((u) => 2 * u - 1);
      this.picks = uniforms(2, draws);
      this.noise = normals(3, draws * STEPS);
      this.chainStarts = uniforms(5, draws).map((u) => 2 * u - 1);
      this.chainNoise = normals(6, draws * STEPS);
      this.quantiles = uniforms(7, draws);
      this.chosen = uniforms(8, draws).map((u) => Math.floor(u * SCHEDULES));
      const starts = geometric(1, 1e-4, SCHEDULES);
      this.schedules = starts.map((first) => even(first, 1e-4, STEPS));
      this.gentle = starts.map((first) => even(0.2 * first, 2e-5, STEPS));
      this.sigmas = geometric(this.data.chain.first, this.data.chain.last, 10);
      this.grid = Float64Array.from({ length: cells }, (_, i) => (i + 0.5) / (cells / 2) - 1);
      this.bumps = [0, 1].map((k) => this.grid.map((a) => this.bump(a, k)));
      this.candidateBumps = [0, 1].map((k) => this.candidates.map((a) => this.bump(a, k)));
      this.maps = new Map();
      this.fixed = new Map();
    }

    // The critic

    bump(a, k) {
      const t = (a - this.hills.centres[k]) / this.hills.widths[k];
      return Math.exp(-(t * t) / 2);
    }

    right(value) {
      return this.hills.pay + this.hills.discount * value;
    }

    q(a, value) {
      return this.hills.height * this.bump(a, 0) + this.right(value) * this.bump(a, 1);
    }

    /** The derivative of the critic, blurred by noise of size sigma. */
    slope(a, height, sigma) {
      const { centres, widths } = this.hills;
      let total = 0;
      for (let k = 0; k < 2; k++) {
        const w = widths[k], wide = w * w + sigma * sigma, d = a - centres[k];
        const top = k ? height : this.hills.height;
        total -= ((top * w) / Math.sqrt(wide)) * (d / wide) * Math.exp(-(d * d) / wide / 2);
      }
      return total;
    }

    /** The masses of the cells under the softmax. */
    softmax(value, temperature) {
      const height = this.right(value), p = new Float64Array(this.grid.length), q = new Float64Array(p.length);
      let top = -Infinity, sum = 0;
      for (let i = 0; i < p.length; i++) {
        q[i] = this.hills.height * this.bumps[0][i] + height * this.bumps[1][i];
        if (q[i] > top) top = q[i];
      }
      for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp((q[i] - top) / temperature);
      let mean = 0;
      for (let i = 0; i < p.length; i++) mean += (p[i] /= sum) * q[i];
      return { p: p, mean: mean, logMean: top + temperature * Math.log(sum / p.length) };
    }

    /** The next value by an exact backup. */
    backedUp(backup, value, temperature) {
      const law = this.softmax(value, temperature);
      if (backup === "boltzmann") return law.mean;
      return law.logMean + (backup === "soft" ? temperature * Math.log(2) : 0);
    }

    // The samplers

    /** One of a hundred candidates, drawn by weight. */
    startOf(i, height, temperature, weights) {
      const m = this.data.counts.candidates, from = i * m, [left, right] = this.candidateBumps;
      let top = -Infinity, sum = 0, j = 0;
      for (let k = 0; k < m; k++) {
        weights[k] = this.hills.height * left[from + k] + height * right[from + k];
        if (weights[k] > top) top = weights[k];
      }
      for (let k = 0; k < m; k++) weights[k] = sum += Math.exp((weights[k] - top) / temperature);
      const bound = this.picks[i] * sum;
      while (j < m - 1 && weights[j] < bound) j++;
      return this.candidates[from + j];
    }

    /** The end of one schedule of Langevin steps from `a`. */
    endOf(a, i, steps, scale, height, temperature) {
      for (let k = 0; k < STEPS; k++) {
        const step = scale * steps[k];
        const drift = ((step / 2) * this.slope(a, height, 0)) / temperature;
        a = Math.round(reflect(a + drift + Math.sqrt(step) * this.noise[i * STEPS + k]) * ROUND) / ROUND;
      }
      return a;
    }

    /** The largest stable step. */
    stable(height, temperature) {
      const { widths } = this.hills;
      return (4 * temperature) / Math.max(this.hills.height / widths[0] ** 2, height / widths[1] ** 2);
    }

    /** The ten ends of one action of QGLG. */
    ends(i, value, temperature, gentle) {
      const height = this.right(value), scale = gentle ? this.stable(height, temperature) : 1;
      const start = this.startOf(i, height, temperature, new Float64Array(this.data.counts.candidates));
      return (gentle ? this.gentle : this.schedules).map((steps) => this.endOf(start, i, steps, scale, height, temperature));
    }

    /** One action of NC-LQL's chain. */
    annealed(i, height) {
      const { step, temperature } = this.data.chain;
      let a = this.chainStarts[i];
      for (let k = 0; k < STEPS; k++) {
        const sigma = this.sigmas[Math.floor(k / 2)], size = step * (sigma / this.sigmas[9]) ** 2;
        const moved = a + ((size / 2) * Math.sign(this.slope(a, height, sigma))) / temperature +
          Math.sqrt(size) * this.chainNoise[i * STEPS + k];
        a = Math.round(Math.min(1, Math.max(-1, moved)) * ROUND) / ROUND;
      }
      return a;
    }

    actionsOf(sampler, value, temperature, count) {
      const out = new Float64Array(count), height = this.right(value);
      if (sampler === "nclql") return out.map((_, i) => this.annealed(i, height));
      if (sampler === "exact") {
        const { p } = this.softmax(value, temperature), mass = new Float64Array(p.length);
        let sum = 0;
        for (let k = 0; k < p.length; k++) mass[k] = sum += p[k];
        return out.map((_, i) => {
          let low = 0, high = p.length - 1;
          while (low < high) {
            const middle = (low + high) >> 1;
            if (mass[middle] < this.quantiles[i]) low = middle + 1;
            else high = middle;
          }
          return this.grid[low];
        });
      }
      const weights = new Float64Array(this.data.counts.candidates), gentle = sampler === "gentle";
      const scale = gentle ? this.stable(height, temperature) : 1;
      return out.map((_, i) => {
        const start = this.startOf(i, height, temperature, weights);
        if (sampler !== "argmax") {
          const steps = (gentle ? this.gentle : this.schedules)[this.chosen[i]];
          return this.endOf(start, i, steps, scale, height, temperature);
        }
        let best = start, top = -Infinity;
        for (const steps of this.schedules) {
          const end = this.endOf(start, i, steps, 1, height, temperature), q = this.q(end, value);
          if (q > top) [best, top] = [end, q];
        }
        return best;
      });
    }

    // The map of the value

    /** The mean of Q over a sampler's actions at each of the tabulated values. */
    mapOf(sampler, temperature) {
      const key = sampler + " " + temperature;
      if (!this.maps.has(key)) {
        this.maps.set(key, this.data.values.map((value) => {
          if (sampler === "exact") return this.backedUp("boltzmann", value, temperature);
          const actions = this.actionsOf(sampler, value, temperature, this.data.counts.few);
          return actions.reduce((sum, a) => sum + this.q(a, value), 0) / actions.length;
        }));
      }
      return this.maps.get(key);
    }

    /** A line between the tabulated values. */
    between(map, value) {
      const xs = this.data.values, last = xs.length - 1, unit = xs[last] / last;
      const i = Math.min(last - 1, Math.max(0, Math.floor(value / unit)));
      const share = Math.min(1, Math.max(0, (value - xs[i]) / unit));
      return map[i] + share * (map[i + 1] - map[i]);
    }

    /** All solutions of value = backup(value), [value, whether it attracts]. */
    fixedPoints(backup, temperature) {
      const key = backup + " " + temperature;
      if (this.fixed.has(key)) return this.fixed.get(key);
      const rest = (v) => this.backedUp(backup, v, temperature) - v, found = [], count = 500, far = 10;
      let before = rest(-far / count);
      for (let i = 0; i <= count; i++) {
        let low = (far * (i - 1)) / count, high = (far * i) / count;
        const after = rest(high);
        if (before * after < 0) {
          for (let k = 0; k < 45; k++) {
            const middle = (low + high) / 2;
            if (rest(middle) * before > 0) low = middle;
            else high = middle;
          }
          found.push([(low + high) / 2, before > 0]);
        }
        before = after;
      }
      this.fixed.set(key, found);
      return found;
    }

    /** Vertical lines from the axis to the critic at actions. */
    stems(actions, value, label, look) {
      const sorted = Array.from(actions).sort((a, b) => a - b);
      return {
        x: sorted.flatMap((a) => [a, a, a]), y: sorted.flatMap((a) => [0, this.q(a, value), 0]), label: label, look: look,
      };
    }

    learned(s) {
      const path = [s.start], sampled = s.backup === "boltzmann" && s.sampler !== "exact";
      const map = sampled ? this.mapOf(s.sampler, s.temperature) : null;
      for (let k = 0; k < s.sweeps; k++) {
        path.push(sampled ? this.between(map, path[k]) : this.backedUp(s.backup, path[k], s.temperature));
      }
      return path;
    }

    // The picture

    actions() {
      return [
        ["sweep", "One sweep", () => this.set("sweeps", (this.settings.sweeps + 1) % (this.spec("sweeps").high + 1))],
        ["again", "Another action", () => this.set("action", (this.settings.action % this.data.counts.draws) + 1)],
        ["reset", "Reset", () => this.restore()],
      ];
    }

    view(s) {
      const { counts, values, crossing } = this.data, path = this.learned(s), value = path[path.length - 1];
      const { bins, draws, cells } = counts, law = this.softmax(value, s.temperature);
      const actions = this.actionsOf(s.sampler, value, s.temperature, draws), taken = actions[s.action - 1];
      const line = Array.from(this.grid).filter((_, i) => i % 2 === 0);
      const critic = [{ x: line, y: line.map((a) => this.q(a, value)), label: "critic Q", look: "landscape" }];
      if (QGLG.includes(s.sampler)) {
        const ends = this.ends(s.action - 1, value, s.temperature, s.sampler === "gentle");
        critic.push(this.stems(ends, value, "ten ends of one action", "iterates"));
      }
      critic.push(this.stems([taken], value, "the action", "samples"));
      const marks = critic.slice(1).flatMap((curve) =>
        curve.x.filter((_, i) => i % 3 === 1).map((a) => [a, this.q(a, value), curve.look]));
      const top = 1.1 * Math.max(this.hills.height, this.right(Math.max(value, 1)));

      const seen = new Float64Array(bins), exact = new Float64Array(bins);
      let meanQ = 0, onRight = 0;
      for (const a of actions) {
        seen[Math.min(bins - 1, Math.floor(((a + 1) / 2) * bins))] += 1 / draws;
        meanQ += this.q(a, value) / draws;
        if (a > crossing) onRight += 1 / draws;
      }
      let softRight = 0, tv = 0;
      for (let i = 0; i < cells; i++) {
        exact[Math.floor((i * bins) / cells)] += law.p[i];
        if (this.grid[i] > crossing) softRight += law.p[i];
      }
      for (let i = 0; i < bins; i++) tv += Math.abs(seen[i] - exact[i]) / 2;
      const edges = [], steps = (mass) => Array.from(mass).flatMap((m) => [(m * bins) / 2, (m * bins) / 2]);
      for (let i = 0; i < bins; i++) edges.push((2 * i) / bins - 1, (2 * (i + 1)) / bins - 1);

      const high = values[values.length - 1], found = this.fixedPoints(s.backup, s.temperature), last = this.spec("sweeps").high;
      const fine = even(0, high, 97), gains = [
        { x: [0, high], y: [0, 0], label: "no change", look: "diagonal" },
        {
          x: fine, y: fine.map((v) => this.backedUp(s.backup, v, s.temperature) - v),
          label: "exact backup", look: s.backup,
        },
      ];
      if (s.backup === "boltzmann" && s.sampler !== "exact") {
        const map = this.mapOf(s.sampler, s.temperature);
        gains.push({ x: values, y: map.map((v, i) => v - values[i]), label: "as sampled", look: "samples" });
      }
      const best = this.hills.pay / (1 - this.hills.discount);
      const sweeps = [{ x: [0, last], y: [best, best], label: "best value", look: "maximum" }];
      found.forEach(([v, stable], i) => {
        if (stable) sweeps.push({ x: [0, last], y: [v, v], label: i ? "" : "fixed points", look: s.backup });
      });
      sweeps.push({ x: path.map((_, i) => i), y: path, label: "value of the state", look: "iterates" });

      const numbers = { "value of the state": value, "best value": best };
      found.forEach(([v, stable], i) => (numbers["fixed point " + (i + 1) + (stable ? "" : " (repels)")] = v));
      Object.assign(numbers, {
        "right hill, actions": onRight, "right hill, softmax": softRight, "TV to the softmax": tv,
        "mean Q, actions": meanQ, "mean Q, softmax": law.mean,
      });
      return {
        panels: [
          {
            xlabel: "action", ylabel: "critic Q", xlim: [-1, 1], ylim: [0, top], points: marks, curves: critic,
          },
          {
            xlabel: "action", ylabel: "density", xlim: [-1, 1],
            curves: [
              { x: edges, y: steps(exact), label: "softmax", look: "exact" },
              { x: edges, y: steps(seen), label: draws + " actions", look: "samples" },
            ],
          },
          {
            xlabel: "value of the state", ylabel: "gain in a sweep", xlim: [0, high], ylim: [-0.3, 0.3], sets: "start",
            curves: gains, points: found.map(([v]) => [v, 0, s.backup]),
          },
          {
            xlabel: "sweep", ylabel: "value of the state", xlim: [0, last], ylim: [0, high], sets: "sweeps",
            curves: sweeps, points: [[s.sweeps, value, "iterates"]],
          },
        ],
        numbers: numbers,
      };
    }
  }

  register("critic", CriticLab);
})();
