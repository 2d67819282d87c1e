/* softq's lab of denoising: the class `DenoiseLab` of softq/lab/denoise.py in the page.
 *
 * Estimates of a score, whose moments are integrals, and the law of a reverse process after each step, on a grid.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { landscape, geometric, generator } = window.softqKit;
  const { erf } = window.softqSamplers.maths;

  const NODES = 200, LIGHTEST = -55, POINTS = 201, MOST = 20, LEAST = 0.02;
  const PLACES = even(-1.2, 1.2, 33);
  const TIMES = Float64Array.from({ length: 184 }, (_, i) => Math.exp(-30 + 0.5 * i));
  const ACTIONS = Float64Array.from({ length: 160 }, (_, i) => (i + 0.5) / 80 - 1);
  const QUANTILES = even(-5, 5, 361);
  const DRIVERS = { exact: "exact score", qne: "QNE", idem: "iDEM", combined: "combined" };
  const DRAWN = 400, BINS = 40; // samples, and the bins of their histogram
  const FLOWS = ["euler", "heun"]; // the rules without noise
  const RULES = { euler: "flow, Euler", heun: "flow, Heun", ancestral: "ancestral", sde: "SDE" };

  function even(low, high, count) {
    return Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
  }

  function clamp(v, low, high) {
    return Math.min(high, Math.max(low, v));
  }

  /** The exact score, and means and covariances of QNE and iDEM with `num` proposals, at one noisy action. */
  function moments(value, temperature, y, sigma, num) {
    const nearest = clamp(y, -1, 1);
    const low = Math.max(-1, nearest - 8 * sigma), high = Math.min(1, nearest + 8 * sigma);
    const a = new Float64Array(NODES), q = new Float64Array(NODES), slope = new Float64Array(NODES);
    const mass = new Float64Array(NODES), w = new Float64Array(NODES);
    let top = -Infinity, best = -Infinity;
    for (let i = 0; i < NODES; i++) {
      a[i] = low + ((i + 0.5) * (high - low)) / NODES;
      mass[i] = -0.5 * ((a[i] - y) / sigma) ** 2;
      [q[i], slope[i]] = value(a[i]);
      [top, best] = [Math.max(top, mass[i]), Math.max(best, q[i])];
    }
    let sum = 0, mean = 0;
    for (let i = 0; i < NODES; i++) sum += mass[i] = Math.exp(mass[i] - top);
    for (let i = 0; i < NODES; i++) mean += (mass[i] /= sum) * (w[i] = Math.exp((q[i] - best) / temperature));
    sum = 0;
    for (let i = 0; i < NODES; i++) {
      w[i] = Math.exp(Math.max(Math.log(Math.max(w[i] / mean, 1e-300)), LIGHTEST));
      sum += mass[i] * w[i];
    }
    const f = [new Float64Array(NODES), new Float64Array(NODES)], centre = [0, 0];
    for (let i = 0; i < NODES; i++) {
      w[i] /= sum;
      f[0][i] = (a[i] - y) / (sigma * sigma);
      f[1][i] = slope[i] / temperature;
      for (const j of [0, 1]) centre[j] += mass[i] * w[i] * f[j][i];
    }
    for (const j of [0, 1]) for (let i = 0; i < NODES; i++) f[j][i] -= centre[j];
    const first = [0, 0], second = [0, 0, 0];
    for (const t of TIMES) {
      let phi = 0, one0 = 0, one1 = 0, two00 = 0, two01 = 0, two11 = 0;
      for (let i = 0; i < NODES; i++) {
        const decay = mass[i] * Math.exp(-t * w[i]);
        if (decay === 0) continue;
        const x = decay * w[i], xx = x * w[i];
        phi += decay;
        one0 += x * f[0][i];
        one1 += x * f[1][i];
        two00 += xx * f[0][i] * f[0][i];
        two01 += xx * f[0][i] * f[1][i];
        two11 += xx * f[1][i] * f[1][i];
      }
      const left = 0.5 * num * Math.pow(phi, num - 1);
      first[0] += left * t * one0;
      first[1] += left * t * one1;
      const joint = num > 1 ? 0.5 * num * (num - 1) * Math.pow(phi, num - 2) * t * t : 0;
      second[0] += left * t * t * two00 + joint * one0 * one0;
      second[1] += left * t * t * two01 + joint * one0 * one1;
      second[2] += left * t * t * two11 + joint * one1 * one1;
    }
    const off = [centre[0] + first[0], centre[1] + first[1]];
    const cov = [second[0] - first[0] ** 2, second[1] - first[0] * first[1], second[2] - first[1] ** 2];
    return { score: centre[0], mean: off, covariance: cov };
  }

  /** The mean and the deviation of theta QNE + (1 - theta) iDEM. */
  function mixture(m, theta) {
    const rest = 1 - theta, [v00, v01, v11] = m.covariance;
    const variance = theta * theta * v00 + 2 * theta * rest * v01 + rest * rest * v11;
    return [theta * m.mean[0] + rest * m.mean[1], Math.sqrt(Math.max(variance, 0))];
  }

  function errorOf(m, theta) {
    const [mean, deviation] = mixture(m, theta);
    return Math.hypot(mean - m.score, deviation);
  }

  function bestShare(m) {
    const d0 = m.mean[0] - m.score, d1 = m.mean[1] - m.score, [v00, v01, v11] = m.covariance;
    const s00 = v00 + d0 * d0, s01 = v01 + d0 * d1, s11 = v11 + d1 * d1;
    return clamp((s11 - s01) / Math.max(s00 + s11 - 2 * s01, 1e-300), 0, 1);
  }

  // ----------------------------------------------------------------------------------------- the reverse process

  /** The mean clean action behind each noisy action. */
  function guess(logSoft, ys, sigma) {
    const logs = new Float64Array(ACTIONS.length);
    return Float64Array.from(ys, (y) => {
      let top = -Infinity, total = 0, mean = 0;
      for (let j = 0; j < logs.length; j++) {
        const z = (y - ACTIONS[j]) / sigma;
        logs[j] = logSoft[j] - 0.5 * z * z;
        if (logs[j] > top) top = logs[j];
      }
      for (let j = 0; j < logs.length; j++) {
        const p = logs[j] - top < -60 ? 0 : Math.exp(logs[j] - top);
        total += p;
        mean += p * ACTIONS[j];
      }
      return mean / total;
    });
  }

  function normal(z) {
    return z > 12 || z < -12 ? 0 : Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  }

  function gridAt(sigma) {
    return even(-(1 + 5 * sigma), 1 + 5 * sigma, POINTS);
  }

  /** The density on the grid of the normal quantiles after their map to `images`: mass between two spreads evenly. */
  function pushed(grid, images, mass) {
    const width = grid[1] - grid[0], out = new Float64Array(POINTS), start = grid[0] - width / 2;
    let total = 0;
    for (let i = 0; i + 1 < images.length; i++) {
      const low = Math.min(images[i], images[i + 1]), high = Math.max(images[i], images[i + 1]);
      const size = Math.max(high - low, 1e-12);
      const from = clamp(Math.floor((low - start) / width), 0, POINTS - 1);
      const to = clamp(Math.floor((high - start) / width), 0, POINTS - 1);
      for (let j = from; j <= to; j++) {
        const inside = clamp((start + (j + 1) * width - low) / size, 0, 1) - clamp((start + j * width - low) / size, 0, 1);
        out[j] += mass[i] * inside;
      }
      total += mass[i];
    }
    return out.map((p) => p / width / total);
  }

  /** The noise levels of a rule that asks for this many scores; Heun's asks for two in a step. */
  function levelsOf(rule, scores) {
    return geometric(MOST, LEAST, (rule === "heun" ? Math.floor(scores / 2) : scores) + 1);
  }

  /** A step of the probability flow, by Euler's rule or Heun's; `clean(ys, sigma)` are the clean actions behind. */
  function flow(rule, clean, ys, sigma, cleaner) {
    const there = clean(ys, sigma), end = ys.map((y, n) => y + ((cleaner - sigma) * (y - there[n])) / sigma);
    if (rule !== "heun") return end;
    const again = clean(end, cleaner);
    return ys.map((y, n) => y + ((cleaner - sigma) * ((y - there[n]) / sigma + (end[n] - again[n]) / cleaner)) / 2);
  }

  /** Means and standard deviation of a random step, ancestral or of the SDE. */
  function noisy(rule, clean, ys, sigma, cleaner) {
    const k = cleaner / sigma, there = clean(ys, sigma);
    return [
      ys.map((y, n) => there[n] + k * k * (y - there[n])),
      (rule === "ancestral" ? cleaner : sigma) * Math.sqrt(1 - k * k),
    ];
  }

  /** The law after each step of a rule, from N(0, MOST^2), with the exact score asked for `scores` times. */
  function chain(logSoft, rule, scores, mass) {
    const levels = levelsOf(rule, scores), clean = (ys, sigma) => guess(logSoft, ys, sigma);
    const top = Math.max(...logSoft), soft = logSoft.map((v) => Math.exp(v - top));
    const total = soft.reduce((sum, p) => sum + p, 0);
    const grids = Array.from(levels, gridAt), own = [grids[0].map((x) => normal(x / MOST) / MOST)];
    const exact = grids.map((grid, i) => grid.map((x) => {
      let sum = 0;
      for (let j = 0; j < soft.length; j++) sum += soft[j] * normal((x - ACTIONS[j]) / levels[i]);
      return sum / total / levels[i];
    }));
    let ys = QUANTILES.map((z) => MOST * z);
    for (let i = 0; i + 1 < levels.length; i++) {
      const step = [levels[i], levels[i + 1]], after = grids[i + 1];
      if (FLOWS.includes(rule)) {
        ys = flow(rule, clean, ys, ...step);
        own.push(pushed(after, ys, mass));
        continue;
      }
      const [mean, spread] = noisy(rule, clean, grids[i], ...step), last = own[i];
      const next = after.map((y) => {
        let sum = 0;
        for (let n = 0; n < POINTS; n++) sum += last[n] * normal((y - mean[n]) / spread);
        return sum;
      });
      const all = next.reduce((sum, p) => sum + p, 0) * (after[1] - after[0]);
      own.push(next.map((p) => p / all));
    }
    const tv = grids.map((grid, i) => {
      let sum = 0;
      for (let n = 0; n < POINTS; n++) sum += Math.abs(own[i][n] - exact[i][n]);
      return 0.5 * sum * (grid[1] - grid[0]);
    });
    return { soft: soft.map((p) => p / total), levels: levels, grids: grids, exact: exact, own: own, tv: tv };
  }

  /** Samples at each level, where `num` proposals estimate each score: theta QNE + (1 - theta) iDEM of them. */
  function sampled(logSoft, scoresAt, rule, scores, num, variance) {
    const rng = generator(0), n = ACTIONS.length, top = Math.max(...logSoft), below = new Float64Array(n);
    const weight = logSoft.map((v) => Math.exp(v - top));
    const clean = (ys, sigma) => ys.map((y) => {
      const nearest = clamp(y, ACTIONS[0], ACTIONS[n - 1]), least = ((y - nearest) / sigma) ** 2;
      let sum = 0, total = 0, action = 0, score = 0;
      for (let j = 0; j < n; j++) below[j] = sum += Math.exp(0.5 * (least - ((y - ACTIONS[j]) / sigma) ** 2));
      for (let i = 0; i < num; i++) {
        const u = rng.uniform() * sum;
        let low = 0, high = n - 1;
        while (low < high) {
          const middle = (low + high) >> 1;
          if (below[middle] > u) high = middle;
          else low = middle + 1;
        }
        total += weight[low];
        action += weight[low] * ACTIONS[low];
        score += weight[low] * scoresAt[low];
      }
      const theta = (sigma * sigma) / (sigma * sigma + variance);
      return theta * (action / total) + (1 - theta) * (y + (sigma * sigma * score) / total);
    });
    const levels = levelsOf(rule, scores), path = [Float64Array.from({ length: DRAWN }, () => MOST * rng.normal())];
    for (let i = 0; i + 1 < levels.length; i++) {
      const step = [path[i], levels[i], levels[i + 1]];
      if (FLOWS.includes(rule)) path.push(flow(rule, clean, ...step));
      else {
        const [mean, spread] = noisy(rule, clean, ...step);
        path.push(mean.map((m) => m + spread * rng.normal()));
      }
    }
    return path;
  }

  /** The samples in bins: the stairs of their density, their distance from the noised softmax, that of draws. */
  function histogram(ys, soft, sigma) {
    const width = 1 + 2.5 * sigma, edge = (b) => -width + (2 * width * b) / BINS, seen = new Float64Array(BINS + 1);
    for (const y of ys) {
      const bin = Math.floor(((y + width) / (2 * width)) * BINS);
      seen[bin >= 0 && bin < BINS ? bin : BINS] += 1 / ys.length; // the last one is what lies outside
    }
    const below = (x) => soft.reduce((sum, p, j) => sum + (p * (1 + erf((x - ACTIONS[j]) / sigma / Math.SQRT2))) / 2, 0);
    const cumulated = Array.from({ length: BINS + 1 }, (_, b) => below(edge(b)));
    let tv = 0, floor = 0, rest = 1;
    for (let b = 0; b <= BINS; b++) {
      const p = b < BINS ? cumulated[b + 1] - cumulated[b] : Math.max(0, rest);
      rest -= p;
      tv += 0.5 * Math.abs(seen[b] - p);
      floor += 0.5 * Math.sqrt((2 * p * (1 - p)) / (Math.PI * ys.length));
    }
    const x = [], y = [];
    for (let b = 0; b < BINS; b++) {
      x.push(edge(b), edge(b + 1));
      y.push((seen[b] * BINS) / (2 * width), (seen[b] * BINS) / (2 * width));
    }
    return { x: x, y: y, tv: tv, floor: floor };
  }

  // ------------------------------------------------------------------------------------------------------ the lab

  class DenoiseLab extends CurveLab {
    prepare() {
      this.kept = new Map(); // estimates and chains by the settings they depend on
      this.values = {};
      this.tables = {};
      for (const [name, spec] of Object.entries(this.data.landscapes)) {
        const q = landscape(spec), a = new Float64Array(1), grad = new Float64Array(1);
        this.values[name] = (x) => {
          a[0] = x;
          const value = q(a, grad);
          return [value, grad[0]];
        };
        this.tables[name] = Float64Array.from(ACTIONS, (x) => this.values[name](x)[0]);
      }
    }

    keep(key, compute) {
      if (!this.kept.has(key)) {
        if (this.kept.size > 60) this.kept.clear();
        this.kept.set(key, compute());
      }
      return this.kept.get(key);
    }

    estimates(s, places) {
      const at = (y) => moments(this.values[s.landscape], s.temperature, y, s.noise, s.num);
      return this.keep(["estimates", s.landscape, s.temperature, s.noise, s.num, places].join(), () => places.map(at));
    }

    chains(s) {
      const logSoft = this.tables[s.landscape].map((q) => q / s.temperature);
      const run = (rule) => [rule, chain(logSoft, rule, s.scores, this.data.normal)];
      const key = ["chains", s.landscape, s.temperature, s.scores].join();
      return this.keep(key, () => Object.fromEntries(Object.keys(RULES).map(run)));
    }

    /** The histogram at each level of the rule that an estimate drives, or null for the exact score. */
    driven(s, now) {
      if (s.driver === "exact") return null;
      const ofHill = s.theta ? (1 / s.theta - 1) * s.noise * s.noise : Infinity;
      const variance = { qne: 0, idem: Infinity, combined: ofHill }[s.driver];
      const key = ["driven", s.landscape, s.temperature, s.rule, s.scores, s.num, variance].join();
      return this.keep(key, () => {
        const logSoft = this.tables[s.landscape].map((q) => q / s.temperature);
        const scoresAt = ACTIONS.map((a) => this.values[s.landscape](a)[1] / s.temperature);
        const path = sampled(logSoft, scoresAt, s.rule, s.scores, s.num, variance);
        return path.map((ys, i) => histogram(ys, now.soft, now.levels[i]));
      });
    }

    get steps() {
      const { rule, scores } = this.settings;
      return rule === "heun" ? Math.floor(scores / 2) : scores;
    }

    actions() {
      return [["play", "Denoise", () => this.play()], ...super.actions()];
    }

    /** Step by step from noise to an action; where motion is unwelcome, at once to the end. */
    play() {
      if (this.playing || this.still) {
        this.playing = false;
        this.halt();
        if (this.still) this.set("step", this.steps);
        else this.refresh();
        return;
      }
      this.playing = true;
      this.set("step", 0);
      let frame = 0;
      const next = this.loop(() => {
        frame += 1;
        if (frame % 6 === 0) this.set("step", Math.min(this.settings.step + 1, this.steps));
        this.playing = this.settings.step < this.steps;
        if (!this.playing) this.refresh();
        return this.playing;
      });
      requestAnimationFrame(next);
    }

    view(s) {
      const estimates = this.estimates(s, PLACES), scores = estimates.map((m) => m.score);
      const curves = [{ x: PLACES, y: scores, label: "exact", look: "exact" }];
      for (const [label, look, theta] of [["QNE", "qne", 1], ["iDEM", "idem", 0], ["combined", "combined", s.theta]]) {
        const mixed = estimates.map((m) => mixture(m, theta));
        curves.push({ x: PLACES, y: mixed.map(([mean, off]) => mean + off), label: label, look: look });
        curves.push({ x: PLACES, y: mixed.map(([mean, off]) => mean - off), label: "", look: look });
      }
      const [here] = this.estimates(s, [s.place]);
      const inner = scores.filter((_, i) => Math.abs(PLACES[i]) < 0.95);
      const reach = 1.5 * Math.max(...inner.map(Math.abs)) + 1e-9;

      const chains = this.chains(s), now = chains[s.rule], step = Math.min(s.step, now.levels.length - 1);
      const width = 1 + 2.5 * now.levels[step];
      const driven = this.driven(s, now), tv = driven ? driven.map((seen) => seen.tv) : now.tv;
      const asked = (rule) => Array.from(chains[rule].levels, (_, i) => i * (rule === "heun" ? 2 : 1));
      return {
        panels: [
          {
            xlabel: "noisy action", ylabel: "score, give or take one deviation", curves: curves, sets: "place",
            xlim: [-1.2, 1.2], ylim: [-reach, reach], points: [[s.place, here.score, "exact"]],
          },
          {
            xlabel: "noisy action", ylabel: "density at this step", xlim: [-width, width],
            curves: [
              { x: now.grids[step], y: now.exact[step], label: "noised softmax", look: "exact" },
              driven
                ? { x: driven[step].x, y: driven[step].y, label: DRAWN + " samples, " + DRIVERS[s.driver], look: "samples" }
                : { x: now.grids[step], y: now.own[step], label: RULES[s.rule], look: "samples" },
            ],
          },
          {
            xlabel: "scores asked for", ylabel: "total variation", xlim: [0, s.scores],
            curves: Object.keys(RULES).map((rule) => (
              { x: asked(rule), y: chains[rule].tv, label: RULES[rule], look: rule })).concat(driven ? [
              { x: asked(s.rule), y: tv, label: "samples, " + DRIVERS[s.driver], look: "samples" }] : []),
            points: [[asked(s.rule)[step], tv[step], driven ? "samples" : s.rule]],
          },
        ],
        numbers: Object.assign({
          "exact score": here.score,
          "error of QNE": errorOf(here, 1),
          "error of iDEM": errorOf(here, 0),
          "error of the combination": errorOf(here, s.theta),
          "best share \u03b8": bestShare(here),
          "noise level of the step": now.levels[step],
          "TV at this step": tv[step],
          "TV at the end": tv[tv.length - 1],
        }, driven ? { ["TV of " + DRAWN + " exact draws"]: driven[step].floor } : {}),
      };
    }
  }

  register("denoise", DenoiseLab);
})();
