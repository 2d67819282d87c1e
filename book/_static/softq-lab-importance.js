/* softq's lab of resampling.
 *
 * The class `ImportanceLab` of softq/lab/importance.py in the page: the formulas are those of softq/exact/importance.py.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { geometric, resampling } = window.softqKit;

  class ImportanceLab extends CurveLab {
    prepare() {
      this.laws = {};
      for (const [dim, law] of Object.entries(this.data.laws)) {
        const n = law.mass.length;
        this.laws[dim] = { regret: geometric(law.first, law.last, n), mass: law.mass };
      }
    }

    /** The law of the weight W = p/q on the cells. */
    weigh(law, temperature) {
      const top = law.regret[0];
      let sum = 0;
      law.regret.forEach((regret, i) => (sum += law.mass[i] * Math.exp((top - regret) / temperature)));
      // weights below exp(-80) carry nothing and would only stretch the range of t
      const logW = law.regret.map((regret) => Math.max((top - regret) / temperature - Math.log(sum), -80));
      return resampling(logW, law.mass, 0.25);
    }

    distances(law, weights, m) {
      const ratio = weights.ratio(m);
      let tv = 0, jensen = 0, regret = 0, mean = 0;
      for (let i = 0; i < ratio.length; i++) {
        const p = law.mass[i] * weights.w[i];
        tv += 0.5 * p * Math.abs(ratio[i] - 1);
        jensen += (p * Math.max(weights.w[i] - 1, 0)) / (weights.w[i] + m - 1);
        regret += p * ratio[i] * law.regret[i];
        mean += p * law.regret[i];
      }
      return { ratio: ratio, tv: tv, jensen: jensen, regret: regret, mean: mean };
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
          "mean regret": now.regret, "mean regret of the softmax": now.mean,
        },
      };
    }
  }

  register("importance", ImportanceLab);
})();
