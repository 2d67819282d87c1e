/* softq's lab of the thermostat: a temperature that follows an estimated entropy.
 *
 * The class `ThermostatLab` of softq/lab/thermostat.py in the page.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { generator, extent } = window.softqKit;

  const maths = {};

  /** The estimated entropy of exp(Q / temperature) from values of Q at uniform actions (softq.samplers.entropy). */
  maths.estimate = function (values, dim, temperature) {
    const top = extent(values)[1];
    let total = 0, sum = 0;
    for (const value of values) {
      const logit = (value - top) / temperature, weight = Math.exp(logit);
      total += weight;
      if (weight > 0) sum += weight * logit;
    }
    return Math.log(total / values.length) + dim * Math.LN2 - sum / total;
  };

  maths.move = function (rule, temperature, rate, error, lowest) {
    if (rule === "log") return Math.min(1e3, Math.max(lowest, temperature * Math.exp(-rate * error)));
    return Math.max(temperature - rate * error, lowest);
  };

  class ThermostatLab extends CurveLab {
    view(s) {
      const { updates, first, lowest, last } = this.data, known = this.data.exact[s.dim], rng = generator(s.seed);
      const values = new Float64Array(s.num_candidates), temperatures = [], entropies = [];
      let temperature = first;
      for (let t = 0; t < updates; t++) {
        for (let c = 0; c < values.length; c++) {
          values[c] = 0;
          for (let i = 0; i < s.dim; i++) values[c] -= (2 * rng.uniform() - 1) ** 2;
        }
        const entropy = maths.estimate(values, s.dim, temperature);
        temperatures.push(temperature);
        entropies.push(entropy);
        temperature = maths.move(s.rule, temperature, s.rate, entropy + s.dim, lowest);
      }
      const x = temperatures.map((_, i) => i), floor = s.dim * Math.LN2 - Math.log(s.num_candidates);
      const flat = (value, label, look) => ({ x: [0, updates - 1], y: [value, value], label, look });
      const end = temperatures.slice(-last), [low, high] = extent([...entropies, floor, -s.dim]);
      return {
        panels: [
          {
            xlabel: "update", ylabel: "temperature", log: [false, true],
            curves: [
              { x: x, y: temperatures, label: "thermostat", look: "thermostat" },
              flat(known["right temperature"], "right temperature", "exact"),
            ],
          },
          {
            xlabel: "update", ylabel: "entropy (nats)", ylim: [low - 0.1 * (high - low), high + 0.1 * (high - low)],
            curves: [
              { x: x, y: entropies, label: "estimate", look: "thermostat" },
              flat(-s.dim, "target", "target"),
              flat(floor, "floor of the estimate", "floor"),
            ],
          },
        ],
        numbers: {
          "right temperature": known["right temperature"], "mean of the last 100": end.reduce((a, b) => a + b, 0) / last,
          "lowest of the last 100": extent(end)[0], "rates are stable below": known[s.rule], "floor of the estimate": floor,
        },
      };
    }
  }

  register("thermostat", ThermostatLab);
  window.softqLab.thermostat = maths;
})();
