/* softq's lab of exact draws: the softmax of a landscape or a critic, and draws from it by the inverse of its law.
 *
 * The class `TemperatureLab` of softq/lab/temperature.py with sampler="exact", in the page. The draws keep their uniform
 * numbers, so they move with the temperature and with the hills.
 */
(function () {
  "use strict";

  const { ParticleLab, register, fixed } = window.softqLab;
  const { generator, cumulate, invert } = window.softqKit;

  class DrawsLab extends ParticleLab {
    prepare() {
      this.useStates(this.data);
      this.taken = 0;
    }

    get word() {
      return "draws";
    }

    actions() {
      return [
        ["draw", "Draw", () => this.set("seed", this.settings.seed + 1)],
        ["reset", "Reset", () => {
          this.restoreHills();
          this.restore();
        }],
      ];
    }

    start() {
      this.restart();
      this.refresh();
    }

    changed() {
      this.restart();
    }

    reshaped() {
      this.restart();
    }

    restart() {
      const s = this.settings, rng = generator(s.seed), { dim } = this, n = this.cells;
      this.solve();
      this.particles = Float64Array.from({ length: s.particles * dim }, () => rng.uniform());
      const { particles, law } = this;
      if (dim === 1) {
        const total = cumulate(law.p, 0, 1, n);
        for (let k = 0; k < particles.length; k++) particles[k] = invert(total, particles[k]);
        return;
      }
      const rows = Float64Array.from(this.marginals[0]), total = cumulate(rows, 0, 1, n), columns = new Map();
      for (let k = 0; k < particles.length; k += 2) {
        particles[k] = invert(total, particles[k]);
        const row = Math.min(n - 1, Math.floor(((particles[k] + 1) / 2) * n));
        if (!columns.has(row)) columns.set(row, cumulate(law.p, row * n, 1, n));
        particles[k + 1] = invert(columns.get(row), particles[k + 1]);
      }
    }

    statusText() {
      return "";
    }

    refresh() {
      super.refresh();
      this.buttons.draw.textContent = "Draw " + this.settings.particles;
      const masses = this.dim === 1 ? this.masses().map(({ name, share }) => name + " " + percent(share)).join(", ") : "";
      this.describe("temperature " + this.spoken("temperature") + (masses && ", mass: " + masses) + ", mean value of " +
        this.count + " draws " + this.seen.mean.toFixed(3) + ", exact " + this.law.mean.toFixed(3) + ".");
    }

    readouts() {
      const { law, seen } = this, masses = this.dim === 1 ? this.masses() : [];
      const drawn = ({ from, to }) => this.particles.filter((a) => a >= from && a < to).length / this.count;
      return [
        ...masses.map((part) => ["Mass of the " + part.name, percent(part.share) + " (draws " + percent(drawn(part)) + ")"]),
        ["Mean value E[Q]", fixed(law.mean, 3) + " (draws " + fixed(seen.mean, 3) + ")"],
        ["Entropy", fixed(law.entropy, 2) + " nats"],
        ["Total variation", fixed(seen.tv, 2) + " (by chance " + fixed(seen.floor, 2) + ")"],
      ];
    }

    report() {
      const report = super.report();
      if (this.dim === 1) report.masses = this.masses().map((part) => part.share);
      return report;
    }
  }

  /** A share in percent, with the digits that matter near 0 and 1. */
  function percent(share) {
    const p = 100 * share;
    return p > 0 && p < 0.01 ? "< 0.01\u00a0%" : p.toFixed(p < 1 || p > 99 ? 2 : 1) + "\u00a0%";
  }

  register("draws", DrawsLab);
  Object.assign(window.softqLab, { DrawsLab, percent });
})();
