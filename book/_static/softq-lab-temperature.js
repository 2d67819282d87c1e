/* softq's lab of the temperature: the exact softmax of a landscape or a critic, and Langevin particles.
 *
 * The class `TemperatureLab` of softq/lab/temperature.py in the page.
 */
(function () {
  "use strict";

  const { ParticleLab, register, fixed, numeral, Frame, marks } = window.softqLab;
  const { generator, cumulate, invert, parts, transport, BOUNDARIES } = window.softqKit;

  const TRAIL = 40; // positions
  const STRIP = 130; // height of the picture of the distance on a line, in pixels

  class TemperatureLab extends ParticleLab {
    prepare() {
      this.useStates(this.data);
      if (this.data.step_size === null) this.following.add("step");
      this.chosen = 0; // the particle that is followed
      this.dropped = 0;
    }

    start() {
      this.followStep();
      this.restart();
      this.refresh();
    }

    followStep() {
      const s = this.settings;
      if (this.following.has("step")) s.step = Math.min(0.05, s.temperature / this.data.states[this.state].curvature);
    }

    changed(name) {
      if (name === "temperature" || name === "state") this.followStep();
      if (["seed", "particles", "state"].includes(name)) this.restart();
      else if (name === "temperature") this.solve();
    }

    restart() {
      const s = this.settings, rng = (this.rng = generator(s.seed));
      this.particles = Float64Array.from({ length: s.particles * this.dim }, () => 2 * rng.uniform() - 1);
      this.taken = 0;
      this.target = 0;
      this.dropped = 0;
      this.chosen = Math.min(this.chosen, s.particles - 1);
      this.forget();
      this.trace = [];
      this.solve();
    }

    /** On a line also the equal parts of the law, and how far as many exact draws are from it. */
    solve() {
      super.solve();
      if (this.dim > 1) return;
      const { seed, particles } = this.settings, rng = generator(seed), total = cumulate(this.law.p, 0, 1, this.cells);
      this.parts = parts(this.law.p, particles);
      this.ofDraws = transport(Float64Array.from({ length: particles }, () => invert(total, rng.uniform())), this.parts);
      this.record();
    }

    /** Keep the distance of the particles after this step; later ones at rounder numbers of steps. */
    record() {
      const { taken } = this, every = 10 ** Math.max(0, Math.floor(Math.log10(taken || 1)) - 1);
      if (this.dim === 1 && taken % every === 0) this.trace.push([taken, transport(this.particles, this.parts)]);
    }

    measure() {
      const seen = super.measure();
      if (this.dim === 1) seen.w2 = transport(this.particles, this.parts);
      return seen;
    }

    /** One Langevin step of every particle: a <- B(a + step/2 * grad Q / temperature + sqrt(step) * noise). */
    move() {
      const s = this.settings, { dim, particles, rng } = this, q = this.q(), boundary = BOUNDARIES[s.boundary];
      const a = new Float64Array(dim), grad = new Float64Array(dim), watched = this.chosen * dim;
      const pull = s.step / (2 * s.temperature), noise = Math.sqrt(s.step);
      for (let k = 0; k < particles.length; k += dim) {
        for (let i = 0; i < dim; i++) a[i] = particles[k + i];
        q(a, grad);
        for (let i = 0; i < dim; i++) particles[k + i] = boundary(a[i] + pull * grad[i] + noise * rng.normal());
        if (k === watched && dim === 2) this.watch(a, [pull * grad[0], pull * grad[1]]);
      }
      this.taken += 1;
      this.record();
    }

    /** Keep the last step of the particle that is followed: from where, its drift, and where it came to. */
    watch(from, drift) {
      const k = 2 * this.chosen, to = [this.particles[k], this.particles[k + 1]];
      this.last = { from: Array.from(from), drift: drift, to: to };
      if (!this.trail.length) this.trail.push(this.last.from);
      this.trail.push(to);
      if (this.trail.length > TRAIL) this.trail.shift();
    }

    forget() {
      this.trail = [];
      this.last = null;
    }

    /** A click near a particle follows it; elsewhere it drops a sixteenth of the particles there. */
    onPointer(event) {
      if (event.type === "click" && event.frame !== "value") {
        const point = this.actionAt(event), near = this.dim === 2 && this.settings.follow && this.nearest(point);
        if (near && near.distance < 0.03) {
          this.chosen = near.index;
          this.forget();
        } else this.drop(point);
        this.refresh();
      }
      super.onPointer(event);
    }

    nearest([x, y]) {
      let best = { distance: Infinity, index: 0 };
      for (let k = 0; k < this.count; k++) {
        const distance = Math.hypot(this.particles[2 * k] - x, this.particles[2 * k + 1] - y);
        if (distance < best.distance) best = { distance: distance, index: k };
      }
      return best;
    }

    drop(point) {
      const many = Math.ceil(this.count / 16);
      for (let j = 0; j < many; j++) {
        const k = this.dropped++ % this.count;
        for (let i = 0; i < this.dim; i++) this.particles[k * this.dim + i] = point[i];
      }
      this.forget();
      this.record();
    }

    statusText() {
      if (this.taken === 0 && !this.dropped) return "Particles start uniform. Press Run.";
      return "Step " + this.taken + ".";
    }

    hover(cursor) {
      return super.hover(cursor) + (cursor.frame === "value" ? "" : ". Click or Enter drops particles here.");
    }

    readouts() {
      const { law, seen } = this;
      const distance = this.dim > 1 ? [] : [
        ["W\u2082 to the softmax", numeral(seen.w2) + " (exact draws " + numeral(this.ofDraws) + ")"]];
      return [
        ["Step", String(this.taken)],
        ["Mean value E[Q]", fixed(seen.mean, 3) + " (exact " + fixed(law.mean, 3) + ")"],
        ["Total variation", fixed(seen.tv, 2) + " (exact draws " + fixed(seen.floor, 2) + ")"],
        ...distance,
        ["On a wall", (100 * seen.walls).toFixed(1) + " % (exact 0)"],
        ["Exact entropy", fixed(law.entropy, 2) + " nats"],
      ];
    }

    height(width) {
      return super.height(width) + (this.dim === 1 ? STRIP : 0);
    }

    drawPane(c, width, height, colours) {
      if (this.dim > 1) super.drawPane(c, width, height, colours);
      else {
        super.drawPane(c, width, height - STRIP, colours);
        this.drawDistance(c, { left: 46, right: width - 12, top: height - STRIP + 24, bottom: height - 22 }, colours);
      }
    }

    /** The distance of the particles from the softmax against the steps taken, on a logarithmic scale. */
    drawDistance(c, box, colours) {
      const { trace, ofDraws } = this, until = Math.max(this.settings.steps, this.taken);
      const seen = [ofDraws, ...trace.map(([, w2]) => w2)], ylim = [0.7 * Math.min(...seen), 1.4 * Math.max(...seen)];
      const frame = new Frame("distance", box, [0, until], ylim, [false, true]);
      c.lineWidth = 1;
      c.strokeStyle = c.fillStyle = colours.quiet;
      c.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
      c.textAlign = "center";
      for (const v of marks(0, until, false)) c.fillText(numeral(v), Math.min(frame.x(v), box.right - 8), box.bottom + 14);
      c.textAlign = "right";
      const ticks = [0.0001, 0.001, 0.01, 0.1, 1].flatMap((v) => [v, 3 * v]).filter((v) => v > ylim[0] && v < ylim[1]);
      for (const v of ticks) c.fillText(numeral(v), box.left - 5, frame.y(v) + 4);
      c.textAlign = "left";
      c.fillStyle = colours.sample;
      c.fillText("W\u2082 to the softmax, by step", 12, box.top - 8);
      c.fillStyle = colours.exact;
      c.fillText("of exact draws", 24 + c.measureText("W\u2082 to the softmax, by step").width, box.top - 8);
      c.lineWidth = 2;
      c.strokeStyle = colours.exact;
      c.setLineDash([7, 4]);
      c.beginPath();
      c.moveTo(box.left, frame.y(ofDraws));
      c.lineTo(box.right, frame.y(ofDraws));
      c.stroke();
      c.setLineDash([]);
      c.strokeStyle = c.fillStyle = colours.sample;
      c.beginPath();
      for (const [step, w2] of trace) c.lineTo(frame.x(step), frame.y(w2));
      c.stroke();
      const [step, w2] = trace[trace.length - 1];
      c.beginPath();
      c.arc(frame.x(step), frame.y(w2), 4, 0, 2 * Math.PI);
      c.fill();
    }

    drawParticles(c, frame, colours) {
      super.drawParticles(c, frame, colours);
      if (this.land && this.land.cassini) drawRidge(c, frame, this.land.cassini[1], colours);
      this.drawAtoms(c, frame, colours);
      if (this.settings.follow) this.drawFollowed(c, frame, colours);
    }

    /** Particles that sit in one corner, as a disc whose area is their number, with the number. */
    drawAtoms(c, frame, colours) {
      const counts = new Map(), { particles } = this;
      for (let k = 0; k < particles.length; k += 2) {
        if (Math.abs(particles[k]) < 1 || Math.abs(particles[k + 1]) < 1) continue;
        const key = particles[k] + "," + particles[k + 1];
        counts.set(key, (counts.get(key) || 0) + 1);
      }
      for (const [key, count] of counts) {
        const [x, y] = key.split(",").map(Number), radius = 2 * Math.sqrt(count), text = String(count);
        c.beginPath();
        c.arc(frame.x(x), frame.y(y), radius, 0, 2 * Math.PI);
        c.fillStyle = colours.sample;
        c.globalAlpha = 0.85;
        c.fill();
        c.globalAlpha = 1;
        if (count < 2) continue;
        const px = frame.x(x) - x * (radius + 12), py = frame.y(y) + y * (radius + 8);
        c.textAlign = "center";
        c.fillStyle = colours.surface;
        c.globalAlpha = 0.8;
        c.fillRect(px - 12, py - 8, 24, 15);
        c.globalAlpha = 1;
        c.fillStyle = colours.ink;
        c.fillText(text, px, py + 4);
      }
      c.textAlign = "left";
    }

    /** The trail of one particle, and its last step as two arrows: drift, then noise. */
    drawFollowed(c, frame, colours) {
      this.within(c, frame, () => {
        c.strokeStyle = colours.ink;
        c.lineWidth = 1;
        c.globalAlpha = 0.6;
        c.beginPath();
        this.trail.forEach(([x, y], i) => (i ? c.lineTo(frame.x(x), frame.y(y)) : c.moveTo(frame.x(x), frame.y(y))));
        c.stroke();
        c.globalAlpha = 1;
        if (this.last) {
          const { from, drift, to } = this.last, middle = [from[0] + drift[0], from[1] + drift[1]];
          arrow(c, frame, from, middle, colours.third, [], colours.surface);
          arrow(c, frame, middle, to, colours.fourth, [4, 3], colours.surface);
        }
      });
      const k = 2 * this.chosen;
      c.strokeStyle = colours.ink;
      c.lineWidth = 2;
      c.beginPath();
      c.arc(frame.x(this.particles[k]), frame.y(this.particles[k + 1]), 6, 0, 2 * Math.PI);
      c.stroke();
      c.textAlign = "left";
      const texts = [["drift", colours.third], ["noise and wall", colours.fourth]];
      let left = frame.left + 44;
      for (const [text, colour] of texts) {
        const width = c.measureText(text).width;
        c.fillStyle = colours.surface;
        c.globalAlpha = 0.8;
        c.fillRect(left - 3, frame.top + 4, width + 6, 16);
        c.globalAlpha = 1;
        c.fillStyle = colour;
        c.fillText(text, left, frame.top + 16);
        left += width + 10;
      }
    }

    report() {
      const report = super.report();
      if (this.dim === 1) Object.assign(report.particles, { w2: this.seen.w2, ofDraws: this.ofDraws, trace: this.trace });
      if (this.last) report.followed = { from: this.last.from, drift: this.last.drift, to: this.last.to };
      return report;
    }
  }

  function arrow(c, frame, from, to, colour, dash, edge) {
    const x0 = frame.x(from[0]), y0 = frame.y(from[1]), x1 = frame.x(to[0]), y1 = frame.y(to[1]);
    const length = Math.hypot(x1 - x0, y1 - y0), ux = (x1 - x0) / (length || 1), uy = (y1 - y0) / (length || 1);
    const head = Math.min(9, length / 2);
    for (const [width, stroke, pattern] of [[5, edge, []], [2.5, colour, dash]]) {
      c.lineWidth = width;
      c.strokeStyle = stroke;
      c.setLineDash(pattern);
      c.beginPath();
      c.moveTo(x0, y0);
      c.lineTo(x1, y1);
      c.stroke();
      c.setLineDash([]);
      c.beginPath();
      c.moveTo(x1 - head * (ux + 0.5 * uy), y1 - head * (uy - 0.5 * ux));
      c.lineTo(x1, y1);
      c.lineTo(x1 - head * (ux - 0.5 * uy), y1 - head * (uy + 0.5 * ux));
      c.stroke();
    }
  }

  /** The curve on which a Cassini ridge is highest. */
  function drawRidge(c, frame, reach, colours) {
    c.strokeStyle = colours.ink;
    c.lineWidth = 1.5;
    c.setLineDash([7, 4]);
    for (const side of [1, -1]) {
      c.beginPath();
      for (let i = 0; i <= 100; i++) {
        const angle = (Math.PI / 2) * (i / 100 - 0.5), radius = side * reach * Math.sqrt(Math.max(0, Math.cos(2 * angle)));
        c.lineTo(frame.x(radius * Math.cos(angle)), frame.y(radius * Math.sin(angle)));
      }
      c.stroke();
    }
    c.setLineDash([]);
  }

  register("temperature", TemperatureLab);
})();
