/* softq's lab of resampling.
 *
 * The class `ImportanceLab` of softq/lab/importance.py in the page: the formulas are those of softq/exact/importance.py.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { geometric } = window.softqKit;

  class ImportanceLab extends CurveLab {
    prepare() {
      this.laws = {};
      for (const [dim, law] of Object.entries(this.data.laws)) {
        const n = law.mass.length;
        this.laws[dim] = { regret: geometric(law.first, law.last, n), mass: law.mass };
      }
    }

    /** Weights W = p/q of the cells, and log E_q exp(-t W) for many t: all that follows is sums over t. */
    weigh(law, temperature) {
      const n = law.mass.length, w = new Float64Array(n), top = law.regret[0], step = 0.25;
      let sum = 0, variance = 0, mean = 0;
      for (let i = 0; i < n; i++) sum += law.mass[i] * Math.exp((top - law.regret[i]) / temperature);
      for (let i = 0; i < n; i++) {
        // weights below exp(-80) carry nothing and would only stretch the range of t
        w[i] = Math.exp(Math.max((top - law.regret[i]) / temperature - Math.log(sum), -80));
        variance += law.mass[i] * w[i] * (w[i] - 1);
        mean += law.mass[i] * w[i] * law.regret[i];
      }
      const t = [], logPhi = [], last = Math.log(750) - Math.log(w[n - 1]);
      for (let u = -80; u < last; u += step) {
        const scale = Math.exp(u);
        let phi = 0, loss = 0; // phi is raised to the power m - 1: near 1, what it lacks to 1 is what counts
        for (let i = 0; i < n; i++) {
          phi += law.mass[i] * Math.exp(-scale * w[i]);
          loss -= law.mass[i] * Math.expm1(-scale * w[i]);
        }
        t.push(scale);
        logPhi.push(loss < 0.5 ? Math.log1p(-loss) : Math.log(Math.max(phi, 1e-300)));
      }
      return { w: w, t: t, logPhi: logPhi, step: step, variance: variance, mean: mean };
    }

    /** omega_m / p at each cell: m int exp(-t W) phi(t)^(m-1) dt, by the trapezoidal rule in log t. */
    ratio(law, weights, m) {
      const out = new Float64Array(law.mass.length);
      for (let k = 0; k < weights.t.length; k++) {
        const factor = m * weights.t[k] * Math.exp((m - 1) * weights.logPhi[k]) * weights.step;
        if (factor < 1e-16) continue;
        for (let i = 0; i < out.length; i++) out[i] += factor * Math.exp(-weights.t[k] * weights.w[i]);
      }
      return out;
    }

    distances(law, weights, m) {
      const ratio = this.ratio(law, weights, m);
      let tv = 0, jensen = 0, regret = 0;
      for (let i = 0; i < ratio.length; i++) {
        const p = law.mass[i] * weights.w[i];
        tv += 0.5 * p * Math.abs(ratio[i] - 1);
        jensen += (p * Math.max(weights.w[i] - 1, 0)) / (weights.w[i] + m - 1);
        regret += p * ratio[i] * law.regret[i];
      }
      return { ratio: ratio, tv: tv, jensen: jensen, regret: regret };
    }

    view(s) {
      const { data } = this;
      const law = this.laws[s.dim], key = s.dim + "," + s.temperature;
      if (this.key !== key) {
        this.key = key;
        this.weights = this.weigh(law, s.temperature);
        const all = data.counts.map((m) => this.distances(law, this.weights, m));
        this.sweep = { tv: all.map((d) => d.tv), jensen: all.map((d) => d.jensen) };
      }
      const weights = this.weights, now = this.distances(law, weights, s.num_candidates);
      const scale = 1 / Math.log(law.regret[1] / law.regret[0]);
      const density = (f) => Array.from(law.mass, (q, i) => scale * q * f(i));
      return {
        panels: [
          {
            xlabel: "regret", ylabel: "density of log regret", log: [true, false],
            curves: [
              { x: law.regret, y: density(() => 1), label: "uniform", look: "uniform" },
              { x: law.regret, y: density((i) => weights.w[i]), label: "softmax", look: "exact" },
              {
                x: law.regret, y: density((i) => weights.w[i] * now.ratio[i]), label: "resampled", look: "samples",
              },
            ],
          },
          {
            xlabel: "candidates m", ylabel: "total variation", log: [true, false], sets: "num_candidates", ylim: [0, 1.02],
            curves: [
              { x: data.counts, y: this.sweep.tv, label: "exact", look: "tv" },
              { x: data.counts, y: this.sweep.jensen, label: "Jensen bound", look: "jensen" },
            ],
            points: [[s.num_candidates, now.tv, "tv"]],
          },
        ],
        numbers: {
          "total variation": now.tv, "Jensen bound": now.jensen,
          "effective sample size": s.num_candidates / (1 + weights.variance),
          "mean regret": now.regret, "mean regret of the softmax": weights.mean,
        },
      };
    }
  }

  register("importance", ImportanceLab);
})();
