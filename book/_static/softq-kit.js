/* softq's mathematics in the page: landscapes, critics, the exact law on a grid, random numbers, the walls of the box.
 *
 * A classic script without modules, so that it also works from file://. The formulas are those of softq/landscapes,
 * softq/networks, softq/box.py and softq/lab/law.py, and the browser tests compare their numbers. Nothing here knows of
 * the page.
 */
(function () {
  "use strict";

  // ---------------------------------------------------------------------------------------------- values of Q

  /** Q and, when `grad` is given, its gradient: a sum of bumps, a power, a slope and a Cassini ridge. */
  function landscape(spec) {
    const dim = spec.dim, count = spec.bumps.length, { power, slope, cassini } = spec;
    const heights = Float64Array.from(spec.bumps, (bump) => bump[0]);
    const centres = Float64Array.from(spec.bumps.flatMap((bump) => Array.from(bump[1])));
    const inverse = Float64Array.from(spec.bumps, (bump) => 1 / (bump[2] * bump[2]));
    return function (a, grad) {
      let value = 0;
      if (grad) grad.fill(0);
      for (let b = 0, at = 0; b < count; b++, at += dim) {
        let squared = 0;
        for (let i = 0; i < dim; i++) squared += (a[i] - centres[at + i]) * (a[i] - centres[at + i]);
        const bump = heights[b] * Math.exp(-0.5 * squared * inverse[b]);
        value += bump;
        if (grad) for (let i = 0; i < dim; i++) grad[i] -= bump * inverse[b] * (a[i] - centres[at + i]);
      }
      if (power) {
        const [scale, p] = power;
        for (let i = 0; i < dim; i++) {
          const size = Math.abs(a[i]);
          value -= scale * Math.pow(size, p);
          if (grad) grad[i] -= scale * p * Math.pow(size, p - 1) * Math.sign(a[i]);
        }
      }
      if (slope) {
        for (let i = 0; i < dim; i++) {
          value += slope[i] * a[i];
          if (grad) grad[i] += slope[i];
        }
      }
      if (cassini) {
        const [scale, c] = cassini, x2 = a[0] * a[0], y2 = a[1] * a[1], r2 = x2 + y2;
        const level = r2 * r2 - c * c * (x2 - y2);
        value -= scale * level * level;
        if (grad) {
          grad[0] -= 2 * scale * level * (4 * r2 * a[0] - 2 * c * c * a[0]);
          grad[1] -= 2 * scale * level * (4 * r2 * a[1] + 2 * c * c * a[1]);
        }
      }
      return value;
    };
  }

  /** Activations as [value, slope]. */
  const ACTIVATIONS = {
    mish: function (x) {
      const e = Math.exp(Math.min(x, 20)), n = e * (e + 2);
      return [(x * n) / (n + 2), n / (n + 2) + (4 * x * e * (e + 1)) / ((n + 2) * (n + 2))];
    },
    relu: (x) => (x > 0 ? [x, 1] : [0, 0]),
    silu: function (x) {
      const s = 1 / (1 + Math.exp(-x));
      return [x * s, s * (1 + x * (1 - s))];
    },
    gelu: function (x) {
      const c = Math.sqrt(2 / Math.PI), t = Math.tanh(c * (x + 0.044715 * x * x * x));
      return [0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 0.134145 * x * x)];
    },
    tanh: function (x) {
      const t = Math.tanh(x);
      return [t, 1 - t * t];
    },
  };

  /** min of twin MLPs at one state, whose part of the first layer comes ready in `features`; gradient by hand. */
  function critic(net, features) {
    const act = ACTIVATIONS[net.activation];
    const widths = net.widths, depth = widths.length, dim = net.dim;
    const values = widths.map((w) => new Float64Array(w)); // after the activation
    const slopes = [0, 1].map(() => widths.map((w) => new Float64Array(w)));
    const back = widths.map((w) => new Float64Array(w));

    function forward(k, a) {
      for (let l = 0; l < depth; l++) {
        const out = values[l], width = widths[l], from = l === 0 ? a : values[l - 1];
        const inputs = l === 0 ? dim : widths[l - 1];
        const kernel = l === 0 ? net.action : net.hidden[l - 1].kernel;
        const bias = l === 0 ? features : net.hidden[l - 1].bias;
        for (let j = 0; j < width; j++) out[j] = bias[k * width + j];
        for (let i = 0; i < inputs; i++) {
          const x = from[i], row = (k * inputs + i) * width;
          for (let j = 0; j < width; j++) out[j] += x * kernel[row + j];
        }
        for (let j = 0; j < width; j++) [out[j], slopes[k][l][j]] = act(out[j]);
      }
      const last = widths[depth - 1];
      let q = net.out.bias[k];
      for (let j = 0; j < last; j++) q += values[depth - 1][j] * net.out.kernel[k * last + j];
      return q;
    }

    function backward(k, grad) {
      const last = widths[depth - 1];
      for (let j = 0; j < last; j++) back[depth - 1][j] = net.out.kernel[k * last + j];
      for (let l = depth - 1; l >= 0; l--) {
        const width = widths[l], inputs = l === 0 ? dim : widths[l - 1];
        const kernel = l === 0 ? net.action : net.hidden[l - 1].kernel, into = l === 0 ? grad : back[l - 1];
        for (let j = 0; j < width; j++) back[l][j] *= slopes[k][l][j];
        for (let i = 0; i < inputs; i++) {
          const row = (k * inputs + i) * width;
          let sum = 0;
          for (let j = 0; j < width; j++) sum += kernel[row + j] * back[l][j];
          into[i] = sum;
        }
      }
    }

    return function (a, grad) {
      const first = forward(0, a), second = forward(1, a);
      if (grad) backward(first <= second ? 0 : 1, grad);
      return Math.min(first, second);
    };
  }

  /** Numbers from base64 of little-endian float32, as softq.lab.export.floats writes them. */
  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  /** What softq.lab.export.network writes, as arrays. */
  function network(net) {
    return {
      dim: net.dim,
      activation: net.activation,
      widths: net.widths,
      action: floats(net.action),
      hidden: net.hidden.map((layer) => ({ kernel: floats(layer.kernel), bias: floats(layer.bias) })),
      out: { kernel: floats(net.out.kernel), bias: floats(net.out.bias) },
    };
  }

  // ------------------------------------------------------------------------------------- the exact law on a grid

  /** Midpoints of a regular grid on [-1, 1]^dim and Q there; the softmax at any temperature is then one pass. */
  function grid(q, dim, cells) {
    const count = cells ** dim, values = new Float64Array(count), a = new Float64Array(dim);
    for (let index = 0; index < count; index++) {
      place(index, cells, dim, a);
      values[index] = q(a, null);
    }
    return { cells: cells, dim: dim, values: values, volume: (2 / cells) ** dim };
  }

  /** The midpoint of a cell, into `a`. */
  function place(index, cells, dim, a) {
    for (let i = dim - 1; i >= 0; i--) {
      a[i] = ((index % cells) + 0.5) * (2 / cells) - 1;
      index = Math.floor(index / cells);
    }
  }

  /** Probabilities of the cells, E[Q], log partition function and entropy of exp(Q / temperature). */
  function softmax(table, temperature) {
    let top = -Infinity;
    for (const q of table.values) top = Math.max(top, q);
    const p = new Float64Array(table.values.length);
    let sum = 0;
    for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp((table.values[i] - top) / temperature);
    let mean = 0;
    for (let i = 0; i < p.length; i++) mean += (p[i] /= sum) * table.values[i];
    const logPartition = top / temperature + Math.log(sum * table.volume);
    return { p: p, mean: mean, logPartition: logPartition, entropy: logPartition - mean / temperature };
  }

  /** The density of one coordinate at the midpoints of a square grid of n by n cells. */
  function marginalLaw(law, n, axis) {
    const density = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) density[axis === 0 ? i : j] += (law.p[i * n + j] * n) / 2;
    }
    return density;
  }

  /** The bin, of `bins` along a side, in which a cell of the grid lies. */
  function binOf(index, cells, dim, bins) {
    if (dim === 1) return Math.floor((index * bins) / cells);
    return Math.floor((Math.floor(index / cells) * bins) / cells) * bins + Math.floor(((index % cells) * bins) / cells);
  }

  /** The smallest and the largest entry. */
  function extent(values) {
    let low = Infinity, high = -Infinity;
    for (const v of values) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    return [low, high];
  }

  /** The cells [from, to) of each hill of values on a line, as softq.lab.law.hills cuts them. */
  function hills(values) {
    const [least, most] = extent(values), rise = 0.01 * (most - least), cuts = [0], n = values.length;
    let low = 0, high = 0, up = true;
    for (let i = 0; i < n; i++) {
      const v = values[i];
      if (up) {
        if (v > values[high]) high = i;
        if (values[high] - v > rise) [up, low] = [false, i];
      } else {
        if (v < values[low]) low = i;
        if (v - values[low] > rise) {
          cuts.push(low);
          [up, high] = [true, i];
        }
      }
    }
    return cuts.map((cut, k) => [cut, k + 1 < cuts.length ? cuts[k + 1] : n]);
  }

  /** Running sums of n equal cells' masses from `from` on, `stride` apart, the last of them 1. */
  function cumulate(mass, from, stride, n) {
    const total = new Float64Array(n);
    let sum = 0;
    for (let i = 0; i < n; i++) total[i] = sum += mass[from + i * stride];
    for (let i = 0; i < n; i++) total[i] /= sum || 1;
    return total;
  }

  /** The point of [-1, 1] below which a share u of the mass lies, given the running sums over equal cells. */
  function invert(total, u) {
    let low = 0, high = total.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (total[middle] < u) low = middle + 1;
      else high = middle;
    }
    const before = low ? total[low - 1] : 0, mass = total[low] - before;
    return ((low + (mass > 0 ? (u - before) / mass : 0.5)) * 2) / total.length - 1;
  }

  // ------------------------------------------------------------------------------------------------ random numbers

  /** Seeded uniform numbers (sfc32) and, in pairs, normal ones (Box-Muller). */
  function generator(seed) {
    let a = 0x9e3779b9 ^ seed, b = 0x243f6a88, c = 0xb7e15162, d = 1, spare = null;
    function uniform() {
      const t = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + t | 0;
      return ((t >>> 0) + 0.5) / 4294967296;
    }
    for (let i = 0; i < 16; i++) uniform();
    function normal() {
      if (spare !== null) {
        const kept = spare;
        spare = null;
        return kept;
      }
      const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    }
    return { uniform: uniform, normal: normal };
  }

  // --------------------------------------------------------------------------------------------- walls, numbers

  /** softq.box.reflect: the line folded onto [-1, 1], whatever the length of the step. */
  function reflect(x) {
    if (x <= 1 && x >= -1) return x;
    const folded = (((x - 1) % 4) + 4) % 4;
    return Math.abs(folded - 2) - 1;
  }

  function project(x) {
    return Math.min(1, Math.max(-1, x));
  }

  /** `count` numbers from `low` to `high` with one ratio between neighbours. */
  function geometric(low, high, count) {
    return Array.from({ length: count }, (_, i) => low * Math.pow(high / low, i / (count - 1)));
  }

  // -------------------------------------------------------------------------------------------- resampling

  /** The exact law of resampling from cells with the weights W = exp(logW) and these masses, as in softq/exact/importance.py.
   *
   * `ratio(m)` is the survivor's density over the softmax's in each cell, m int exp(-t W) phi(t)^(m-1) dt, and
   * `sweep(m, f)` the density ratio one sweep of iterated resampling after f. The integrals are trapezoidal sums in
   * log t with the given step; exp(-t W) is kept, so that only the first of many questions is dear.
   */
  function resampling(logW, mass, step) {
    const n = mass.length, w = Float64Array.from(logW, Math.exp);
    let lowest = 0, variance = 0;
    for (let i = 0; i < n; i++) {
      lowest = Math.min(lowest, logW[i]);
      variance += mass[i] * w[i] * (w[i] - 1);
    }
    const rows = Math.ceil((Math.log(750) - lowest + 30) / step), decay = new Float64Array(rows * n);
    const logPhi = new Float64Array(rows), scale = new Float64Array(rows);
    for (let k = 0; k < rows; k++) {
      const t = Math.exp(-30 + k * step);
      let loss = 0, phi = 0; // phi is raised to the power m - 1: near 1, what it lacks to 1 is what counts
      for (let i = 0, at = k * n; i < n; i++, at++) {
        const x = t * w[i], e = x > 745 ? 0 : x < 1e-17 ? 1 : Math.exp(-x); // most need no exponential
        decay[at] = e;
        phi += mass[i] * e;
        loss += mass[i] * (1 - e);
      }
      scale[k] = t * step;
      logPhi[k] = loss < 0.5 ? Math.log1p(-loss) : Math.log(Math.max(phi, 1e-300));
    }

    function laplace(power, factor) {
      const out = new Float64Array(n);
      for (let k = 0; k < rows; k++) {
        const coefficient = scale[k] * Math.exp(power * logPhi[k]) * (factor ? factor[k] : 1);
        if (coefficient < 1e-18) continue;
        for (let i = 0, at = k * n; i < n; i++, at++) out[i] += coefficient * decay[at];
      }
      return out;
    }

    return {
      w: w,
      variance: variance,
      ratio: (m) => laplace(m - 1).map((v) => m * v),
      sweep: function (m, f) {
        const factor = new Float64Array(rows);
        for (let k = 0; k < rows; k++) {
          for (let i = 0, at = k * n; i < n; i++, at++) factor[k] += decay[at] * mass[i] * w[i] * f[i];
        }
        const stay = laplace(m - 1), come = laplace(m - 2, factor);
        return f.map((v, i) => v * w[i] * stay[i] + (m - 1) * come[i]);
      },
    };
  }

  /** The means of `count` equal parts of a law on a line, from its cells, and the mean variance within a part. */
  function parts(p, count) {
    const n = p.length, width = 2 / n, means = new Float64Array(count);
    let second = 0, all = 0;
    for (let i = 0; i < n; i++) {
      all += p[i];
      second += p[i] * ((-1 + (i + 0.5) * width) ** 2 + (width * width) / 12);
    }
    let cell = 0, below = 0, moment = 0, before = 0, squares = 0;
    for (let k = 1; k <= count; k++) {
      const level = (k / count) * all;
      while (cell < n - 1 && below + p[cell] <= level) {
        below += p[cell];
        moment += p[cell] * (-1 + (cell + 0.5) * width);
        cell += 1;
      }
      const inside = Math.min(level - below, p[cell]), edge = -1 + cell * width;
      const here = moment + inside * (edge + (inside * width) / (2 * p[cell]));
      means[k - 1] = (count * (here - before)) / all;
      squares += means[k - 1] ** 2 / count;
      before = here;
    }
    return { means: means, within: Math.max(0, second / all - squares) };
  }

  /** The Wasserstein distance W2 of equal point masses on a line from the law of these `parts`. */
  function transport(places, { means, within }) {
    const sorted = Float64Array.from(places).sort();
    let sum = 0;
    for (let k = 0; k < sorted.length; k++) sum += (sorted[k] - means[k]) ** 2;
    return Math.sqrt(sum / sorted.length + within);
  }

  /** A line through (xs, ys) in logarithmic axes; beyond its ends the nearest value. */
  function interpolate(xs, ys, x) {
    if (x <= xs[0]) return ys[0] * Math.pow(x / xs[0], Math.log(ys[1] / ys[0]) / Math.log(xs[1] / xs[0]));
    if (x >= xs[xs.length - 1]) return ys[ys.length - 1];
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle;
      else high = middle;
    }
    const share = Math.log(x / xs[low]) / Math.log(xs[high] / xs[low]);
    return ys[low] * Math.pow(ys[high] / ys[low], share);
  }

  window.softqKit = {
    landscape, critic, floats, network, grid, place, softmax, marginalLaw, binOf, extent, hills, cumulate, invert,
    resampling, generator, reflect, project, geometric, interpolate, parts, transport, BOUNDARIES: { reflect, project },
  };
})();
