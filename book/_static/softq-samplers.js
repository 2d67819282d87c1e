/* softq's samplers in the page.
 *
 * `samplers` has one object for each, `{start, step}`, with the name of its Python twin. They work on an ensemble `e` of n
 * particles and know nothing of the page; the browser tests compare their numbers with softq's. Constants come from
 * softq/lab/gallery_samplers.py. Needs softq-kit.js before it.
 */
(function () {
  "use strict";

  const { landscape, generator, BOUNDARIES } = window.softqKit;

  // ------------------------------------------------------------------------------------------ small mathematics

  /** What the samplers are made of; the tests look at each part, and break one to see that they notice. */
  const maths = {};

  /** The error function by the series whose terms are all positive. */
  maths.erf = function (x) {
    const z = Math.abs(x);
    if (z > 6) return Math.sign(x);
    let term = z, sum = z;
    for (let n = 1; term > 1e-17 * sum; n++) sum += term *= (2 * z * z) / (2 * n + 1);
    return (Math.sign(x) * 2 * Math.exp(-z * z) * sum) / Math.sqrt(Math.PI);
  };

  // Five Gauss-Hermite nodes: exact for polynomials of degree nine under a standard normal law.
  const HERMITE = [
    [0, 8 / 15],
    ...[-1, 1].map((s) => [s * Math.sqrt(5 - Math.sqrt(10)), (7 + 2 * Math.sqrt(10)) / 60]),
    ...[-1, 1].map((s) => [s * Math.sqrt(5 + Math.sqrt(10)), (7 - 2 * Math.sqrt(10)) / 60]),
  ];

  /** The slope of E[Q(a + sigma * xi)], xi standard normal: a function of (a, sigma, grad) that fills `grad`. */
  maths.blurredSlope = function (spec) {
    const dim = spec.dim, tent = spec.power && spec.power[1] === 1 ? spec.power[0] : 0;
    const power = tent ? null : spec.power, polynomial = power || spec.cassini;
    const q = landscape({ dim: dim, bumps: [], power: power, cassini: spec.cassini });
    const moved = new Float64Array(dim), slope = new Float64Array(dim);
    const nodes = dim === 1 ? HERMITE.map(([x, w]) => [[x], w])
      : HERMITE.flatMap(([x, w]) => HERMITE.map(([y, v]) => [[x, y], w * v]));
    return function (a, sigma, grad) {
      for (let i = 0; i < dim; i++) {
        grad[i] = (spec.slope ? spec.slope[i] : 0) - tent * maths.erf(a[i] / (sigma * Math.SQRT2));
      }
      for (const [height, centre, width] of spec.bumps) {
        const wider = width * width + sigma * sigma;
        let squared = 0;
        for (let i = 0; i < dim; i++) squared += (a[i] - centre[i]) ** 2;
        const bump = height * Math.pow((width * width) / wider, dim / 2) * Math.exp(-squared / (2 * wider));
        for (let i = 0; i < dim; i++) grad[i] -= (bump * (a[i] - centre[i])) / wider;
      }
      for (const [x, weight] of polynomial ? nodes : []) {
        for (let i = 0; i < dim; i++) moved[i] = a[i] + sigma * x[i];
        q(moved, slope);
        for (let i = 0; i < dim; i++) grad[i] += weight * slope[i];
      }
    };
  };

  const IMAGES = 10, gaps = new Float64Array(IMAGES); // both sheets of the fold, up to two periods away

  /** log density at `a` of a Gaussian step from `mean`, variance `step`, folded into the box (softq.samplers.mala). */
  maths.logFoldedNormal = function (a, mean, step) {
    let total = 0;
    for (let i = 0; i < a.length; i++) {
      const centre = BOUNDARIES.reflect(mean[i]);
      let sum = 0, nearest = Infinity;
      for (let m = 0; m < IMAGES; m++) {
        const image = (m % 2 ? 2 - a[i] : a[i]) + 4 * (m >> 1) - 8;
        gaps[m] = (image - centre) ** 2;
        nearest = Math.min(nearest, gaps[m]);
      }
      for (let m = 0; m < IMAGES; m++) sum += Math.exp((nearest - gaps[m]) / (2 * step));
      total += Math.log(sum) - nearest / (2 * step) - Math.log(2 * Math.PI * step) / 2;
    }
    return total;
  };

  /** log of the Metropolis-Hastings ratio of a step; values and slopes are those of Q, here and there. */
  maths.logAcceptance = function (here, there, temperature, step) {
    const ahead = (from) => from.a.map((x, i) => x + (step / 2) * (from.slope[i] / temperature));
    const back = maths.logFoldedNormal(here.a, ahead(there), step);
    const forth = maths.logFoldedNormal(there.a, ahead(here), step);
    return (there.value - here.value) / temperature + back - forth;
  };

  /** log of the probability with which a cold and a hot chain change places, before it is cut at 0. */
  maths.logSwap = function (coldValue, hotValue, cold, hot) {
    return (1 / cold - 1 / hot) * (hotValue - coldValue);
  };

  /** The k-th smallest entry, from 0, by Hoare's partitions; `array` is reordered. */
  function smallest(array, k) {
    let low = 0, high = array.length - 1;
    while (low < high) {
      const pivot = array[(low + high) >> 1];
      let i = low, j = high;
      while (i <= j) {
        while (array[i] < pivot) i++;
        while (array[j] > pivot) j--;
        if (i > j) break;
        const kept = array[i];
        array[i++] = array[j];
        array[j--] = kept;
      }
      if (k <= j) high = j;
      else if (k >= i) low = i;
      else break;
    }
    return array[k];
  }

  const SLICE = 100000; // pairs of particles between two stops

  /** The value that a generator returns, without stopping. */
  function exhaust(slices) {
    let step = slices.next();
    while (!step.done) step = slices.next();
    return step.value;
  }

  function* bandwidthSlices(particles, dim) {
    const n = particles.length / dim, squared = new Float64Array((n * (n - 1)) / 2);
    for (let j = 0, at = 0, stop = SLICE; j < n; j++) {
      for (let k = j + 1; k < n; k++, at++) {
        for (let i = 0; i < dim; i++) squared[at] += (particles[j * dim + i] - particles[k * dim + i]) ** 2;
      }
      if (at > stop) {
        stop = at + SLICE;
        yield;
      }
    }
    const last = squared.length - 1;
    const median = (smallest(squared, last >> 1) + smallest(squared, (last + 1) >> 1)) / 2;
    return Math.max(median, 1e-6) / Math.log(n + 1);
  }

  function* directionSlices(particles, scores, dim, bandwidth) {
    const n = particles.length / dim, out = new Float64Array(particles.length), offset = new Float64Array(dim);
    for (let j = 0, done = 0; j < n; j++) {
      for (let k = j; k < n; k++) {
        let squared = 0;
        for (let i = 0; i < dim; i++) {
          offset[i] = particles[j * dim + i] - particles[k * dim + i];
          squared += offset[i] * offset[i];
        }
        const kernel = Math.exp(-squared / bandwidth) / n;
        for (let i = 0; i < dim; i++) {
          const apart = (2 * offset[i]) / bandwidth;
          out[j * dim + i] += kernel * (scores[k * dim + i] + apart);
          if (k > j) out[k * dim + i] += kernel * (scores[j * dim + i] - apart);
        }
      }
      done += n - j;
      if (done > SLICE) {
        done = 0;
        yield;
      }
    }
    return out;
  }

  /** Kernel width of SVGD: the median squared distance of different particles over log(n + 1). */
  maths.medianBandwidth = (particles, dim) => exhaust(bandwidthSlices(particles, dim));

  /** mean_j [k(a_j, a) score(a_j) + grad_{a_j} k(a_j, a)] at every particle (softq.samplers.svgd_direction). */
  maths.svgdDirection = (particles, scores, dim, bandwidth) =>
    exhaust(directionSlices(particles, scores, dim, bandwidth));

  // --------------------------------------------------------------------------------------------------- ensembles

  /** n particles on a landscape, with what a sampler may ask for. `calls` counts values and gradients of Q. */
  function ensemble(spec, given, rng) {
    const dim = spec.dim, q = landscape(spec), blurred = maths.blurredSlope(spec);
    const calls = { values: 0, gradients: 0 };
    const e = Object.assign({ dim: dim, rng: rng, calls: calls, taken: 0 }, given);
    e.particles = new Float64Array(e.n * dim);
    e.at = (array, index) => array.subarray(index * dim, (index + 1) * dim);
    e.peek = (a) => q(a, null); // not counted
    e.value = (a) => (calls.values++, q(a, null));
    e.gradient = (a, grad) => (calls.gradients++, q(a, grad)); // the value comes with it
    e.blurredSlope = (a, sigma, grad) => (calls.gradients++, blurred(a, sigma, grad));
    e.uniform = (a) => {
      for (let i = 0; i < dim; i++) a[i] = 2 * rng.uniform() - 1;
      return a;
    };
    e.scatter = () => {
      for (let k = 0; k < e.n; k++) e.uniform(e.at(e.particles, k));
    };
    /** Q / temperature with Gumbel noise: the largest of several is drawn in proportion to exp(Q / temperature). */
    e.perturbed = (value) => value / e.temperature - Math.log(-Math.log(rng.uniform()));
    const candidate = new Float64Array(dim), kept = new Float64Array(dim);
    /** One of `candidates` uniform actions, chosen by its weight; the array is filled anew by the next call. */
    e.survivor = function () {
      let best = -Infinity;
      for (let c = 0; c < e.candidates; c++) {
        const score = e.perturbed(e.value(e.uniform(candidate)));
        if (score <= best) continue;
        best = score;
        kept.set(candidate);
      }
      return kept;
    };
    /** boundary(a + step / 2 * slope + sqrt(step) * noise), in place. */
    e.langevin = (a, slope, step, noise, boundary) => {
      for (let i = 0; i < dim; i++) {
        const xi = noise ? noise[i] : rng.normal();
        a[i] = boundary(a[i] + (step / 2) * slope[i] + Math.sqrt(step) * xi);
      }
    };
    return e;
  }

  /** `count` chains for Metropolis steps, each with the value and slope of Q where it stands. */
  function walkers(e, count) {
    const w = {
      a: new Float64Array(count * e.dim), value: new Float64Array(count), slope: new Float64Array(count * e.dim),
    };
    for (let c = 0; c < count; c++) w.value[c] = e.gradient(e.uniform(e.at(w.a, c)), e.at(w.slope, c));
    return w;
  }

  /** One MALA step of chain c. */
  function metropolis(e, w, c, temperature, step) {
    const here = { a: e.at(w.a, c), value: w.value[c], slope: e.at(w.slope, c) };
    const there = { a: here.a.slice(), slope: new Float64Array(e.dim) };
    e.langevin(there.a, here.slope.map((g) => g / temperature), step, null, BOUNDARIES.reflect);
    there.value = e.gradient(there.a, there.slope);
    if (Math.log(e.rng.uniform()) >= maths.logAcceptance(here, there, temperature, step)) return;
    here.a.set(there.a);
    here.slope.set(there.slope);
    w.value[c] = there.value;
  }

  // ---------------------------------------------------------------------------------------------------- samplers

  const samplers = {};

  /** softq.samplers.snis: after step t, the winner among t + 1 uniform candidates. */
  samplers.snis = {
    start: function (e) {
      e.best = new Float64Array(e.n).fill(-Infinity);
      this.step(e);
    },
    step: function (e) {
      const a = new Float64Array(e.dim);
      for (let k = 0; k < e.n; k++) {
        const score = e.perturbed(e.value(e.uniform(a)));
        if (score <= e.best[k]) continue;
        e.best[k] = score;
        e.at(e.particles, k).set(a);
      }
    },
  };

  /** softq.samplers.isir: the current action against m - 1 fresh candidates. */
  samplers.isir = {
    start: function (e) {
      e.scatter();
      e.values = Float64Array.from({ length: e.n }, (_, k) => e.value(e.at(e.particles, k)));
    },
    step: function (e) {
      const a = new Float64Array(e.dim);
      for (let k = 0; k < e.n; k++) {
        const current = e.at(e.particles, k);
        let best = e.perturbed(e.values[k]);
        for (let c = 1; c < e.candidates; c++) {
          const value = e.value(e.uniform(a)), score = e.perturbed(value);
          if (score <= best) continue;
          best = score;
          e.values[k] = value;
          current.set(a);
        }
      }
    },
  };

  /** softq.samplers.langevin: a <- boundary(a + step / 2 * grad Q / temperature + sqrt(step) * noise). */
  samplers.langevin = {
    start: (e) => e.scatter(),
    step: function (e) {
      const grad = new Float64Array(e.dim);
      for (let k = 0; k < e.n; k++) {
        const a = e.at(e.particles, k);
        e.gradient(a, grad);
        e.langevin(a, grad.map((g) => g / e.temperature), e.step, null, BOUNDARIES[e.boundary]);
      }
    },
  };

  /** softq.samplers.mala: a reflected Langevin step, accepted or refused. */
  samplers.mala = {
    start: function (e) {
      e.walkers = walkers(e, e.n);
      e.particles = e.walkers.a;
    },
    step: function (e) {
      for (let k = 0; k < e.n; k++) metropolis(e, e.walkers, k, e.temperature, e.step);
    },
  };

  /** softq.samplers.MALA from a draw of SNIS. */
  samplers["snis-mala"] = {
    start: function (e) {
      const w = { a: new Float64Array(e.n * e.dim), value: new Float64Array(e.n), slope: new Float64Array(e.n * e.dim) };
      for (let k = 0; k < e.n; k++) {
        e.at(w.a, k).set(e.survivor());
        w.value[k] = e.gradient(e.at(w.a, k), e.at(w.slope, k));
      }
      e.walkers = w;
      e.particles = w.a;
    },
    step: (e) => samplers.mala.step(e),
  };

  /** softq.samplers.tempering: MALA at each rung of a ladder, then even and odd pairs in turn offer to swap. */
  samplers.tempering = {
    start: function (e) {
      const rungs = e.constants.rungs, ratio = e.hottest / e.temperature;
      e.ladder = Array.from({ length: rungs }, (_, r) => e.temperature * Math.pow(ratio, r / (rungs - 1)));
      e.walkers = walkers(e, e.n * rungs);
      this.show(e);
    },
    step: function (e) {
      const w = e.walkers, rungs = e.ladder.length;
      for (let k = 0; k < e.n; k++) {
        e.ladder.forEach((t, r) => metropolis(e, w, k * rungs + r, t, Math.min(1, (e.step * t) / e.temperature)));
        for (let r = e.taken % 2; r + 1 < rungs; r += 2) {
          const c = k * rungs + r, gain = maths.logSwap(w.value[c], w.value[c + 1], e.ladder[r], e.ladder[r + 1]);
          if (Math.log(e.rng.uniform()) < gain) this.swap(e, c);
        }
      }
      this.show(e);
    },
    swap: function (e, c) {
      for (const array of [e.walkers.a, e.walkers.value, e.walkers.slope]) {
        const size = array === e.walkers.value ? 1 : e.dim, kept = array.slice(c * size, (c + 1) * size);
        array.copyWithin(c * size, (c + 1) * size, (c + 2) * size);
        array.set(kept, (c + 1) * size);
      }
    },
    show: function (e) {
      for (let k = 0; k < e.n; k++) e.at(e.particles, k).set(e.at(e.walkers.a, k * e.ladder.length));
    },
  };

  /** softq.samplers.annealed_langevin as NC-LQL prints it: blurred slope of length one, clipped, step after level. */
  samplers.annealed = {
    start: (e) => e.scatter(),
    step: function (e) {
      const levels = e.constants.levels, sigma = levels[Math.floor(e.taken / e.constants.steps_per_level)];
      const step = e.step * (sigma / levels[levels.length - 1]) ** 2, grad = new Float64Array(e.dim);
      for (let k = 0; k < e.n; k++) {
        const a = e.at(e.particles, k);
        e.blurredSlope(a, sigma, grad);
        const length = Math.hypot(...grad) + 1e-8;
        e.langevin(a, grad.map((g) => g / length / e.temperature), step, null, BOUNDARIES.project);
      }
    },
  };

  /** softq.samplers.qglg: an SNIS start, several schedules with the same noise, one end point. */
  const qglg = (argmax) => ({
    start: function (e) {
      const { schedules, shrink } = e.constants;
      e.first = Array.from({ length: schedules }, (_, s) => e.step * Math.pow(shrink, s / (schedules - 1)));
      e.ends = new Float64Array(e.n * schedules * e.dim);
      e.pick = new Int32Array(e.n);
      for (let k = 0; k < e.n; k++) {
        const a = e.survivor();
        for (let s = 0; s < schedules; s++) e.at(e.ends, k * schedules + s).set(a);
        if (!argmax) e.pick[k] = Math.floor(schedules * e.rng.uniform());
      }
      e.calls.values += e.n * schedules; // of the choice that ends it
      this.show(e);
    },
    step: function (e) {
      const { schedules, schedule_steps, shrink } = e.constants, share = e.taken / (schedule_steps - 1);
      const grad = new Float64Array(e.dim);
      for (let k = 0; k < e.n; k++) {
        const noise = Array.from({ length: e.dim }, () => e.rng.normal());
        e.first.forEach((first, s) => {
          const a = e.at(e.ends, k * schedules + s), step = first + share * (shrink * e.step - first);
          e.gradient(a, grad);
          e.langevin(a, grad.map((g) => g / e.temperature), step, noise, BOUNDARIES[e.boundary]);
        });
      }
      this.show(e);
    },
    show: function (e) {
      const count = e.first.length;
      for (let k = 0; k < e.n; k++) {
        if (argmax) {
          let top = -Infinity;
          for (let s = 0; s < count; s++) {
            const value = e.peek(e.at(e.ends, k * count + s));
            if (value > top) [top, e.pick[k]] = [value, s];
          }
        }
        e.at(e.particles, k).set(e.at(e.ends, k * count + e.pick[k]));
      }
    },
  });
  samplers["qglg-argmax"] = qglg(true);
  samplers["qglg-random"] = qglg(false);

  /** softq.samplers.svgd with the median rule "squared". */
  samplers.svgd = {
    start: (e) => e.scatter(),
    step: (e) => exhaust(samplers.svgd.slices(e)),
    slices: function* (e) {
      const scores = new Float64Array(e.particles.length), grad = new Float64Array(e.dim);
      for (let k = 0; k < e.n; k++) {
        e.gradient(e.at(e.particles, k), grad);
        for (let i = 0; i < e.dim; i++) scores[k * e.dim + i] = grad[i] / e.temperature;
      }
      const width = e.n === 1 ? 1 : yield* bandwidthSlices(e.particles, e.dim);
      const direction = yield* directionSlices(e.particles, scores, e.dim, width), boundary = BOUNDARIES[e.boundary];
      for (let i = 0; i < direction.length; i++) e.particles[i] = boundary(e.particles[i] + e.step * direction[i]);
    },
  };

  // ----------------------------------------------------------------------------------------------------- testing

  /** Random numbers from lists, in their order; when a list is spent, from a seed or not at all. */
  function listed(uniforms, normals, seed) {
    const rest = seed === null ? null : generator(seed), next = { uniform: 0, normal: 0 };
    const from = (list, kind) => () => {
      if (next[kind] < list.length) return list[next[kind]++];
      if (!rest) throw new Error("no " + kind + " number left");
      return rest[kind]();
    };
    return {
      uniform: from(uniforms, "uniform"), normal: from(normals, "normal"),
      left: () => uniforms.length - next.uniform + normals.length - next.normal,
    };
  }

  /** A sampler on a landscape with given random numbers: particles after each step, costs, numbers left over. */
  function trace(spec, sampler, given, steps, numbers) {
    const rng = listed(numbers.uniforms || [], numbers.normals || [], "seed" in numbers ? numbers.seed : null);
    const e = ensemble(spec, given, rng), path = [];
    for (let t = 0; t <= steps; t++) {
      if (t === 0) samplers[sampler].start(e);
      else samplers[sampler].step(e);
      e.taken = t;
      if (!numbers.last || t === steps) path.push(Array.from(e.particles));
    }
    return { path: path, calls: e.calls, left: rng.left() };
  }

  window.softqSamplers = { maths, samplers, ensemble, trace };
})();
