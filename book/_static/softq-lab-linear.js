/* softq's lab of a linear map: the class `LinearMapLab` of softq/lab/linear.py in the page. */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { geometric } = window.softqKit;

  class LinearMapLab extends CurveLab {
    view(s) {
      const { dims, medians, counts, swarms, most } = this.data, { num, dim } = s, row = dims.indexOf(dim);
      const kernel = (k) => Math.pow(1 + (2 * Math.log(k + 1)) / medians[row], -0.5);
      /** The mean push on w at this variance, in each coordinate. */
      const push = (variance, same) => {
        const w = Math.sqrt(variance), c = kernel(num);
        const others = ((1 / variance - 1) * w * Math.pow(c, dim) * (1 - c * c)) / 2;
        return same ? (1 - 1 / num) * others - w / num : others;
      };
      const atRest = (k) => 1 / (1 + 2 / ((k - 1) * Math.pow(kernel(k), dim) * (1 - kernel(k) ** 2)));
      const variances = Array.from({ length: 149 }, (_, i) => 0.02 + (1.48 * i) / 148), rest = atRest(num);
      const line = (same, label, look) => ({ x: variances, y: variances.map((v) => push(v, same)), label, look });
      const reach = 1.3 * push(0.1, false), many = Array.from(geometric(2, most, 60));
      return {
        panels: [
          {
            xlabel: "variance over the exact one", ylabel: "push on w", xlim: [0, 1.5], ylim: [-reach, reach],
            curves: [
              { x: variances, y: variances.map(() => 0), look: "diagonal" },
              line(false, "different", "squared"), line(true, "the same", "printed"),
            ],
            points: [[1, 0, "squared"], [rest, 0, "printed"]],
          },
          {
            xlabel: "noises K", ylabel: "variance at rest", log: [true, false], sets: "num", xlim: [2, most], ylim: [0, 1.1],
            curves: [
              { x: [2, most], y: [1, 1], label: "different", look: "squared" },
              { x: many, y: many.map(atRest), label: "the same", look: "printed" },
              { x: counts, y: swarms[row], label: "swarm of K", look: "formula" },
            ],
            points: [[num, rest, "printed"]],
          },
        ],
        numbers: {
          "variance at rest, the same noises": rest,
          "kernel to all others (to itself 1)": (num - 1) * Math.pow(kernel(num), dim),
        },
      };
    }
  }

  register("linear", LinearMapLab);
})();
