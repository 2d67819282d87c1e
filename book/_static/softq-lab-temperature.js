/* softq's lab of the temperature: the exact softmax of a landscape or a critic, and Langevin particles.
 *
 * The class `TemperatureLab` of softq/lab/temperature.py in the page.
 */
(function () {
  "use strict";

  const { ParticleLab, register, fixed } = window.softqLab;
  const { generator, BOUNDARIES } = window.softqKit;

  const TRAIL = 40; // positions

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
      this.solve();
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
      this.droppedAt = point;
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
      return [
        ["Step", String(this.taken)],
        ["Mean value E[Q]", fixed(seen.mean, 3) + " (exact " + fixed(law.mean, 3) + ")"],
        ["Total variation", fixed(seen.tv, 2) + " (exact draws " + fixed(seen.floor, 2) + ")"],
        ["On a wall", (100 * seen.walls).toFixed(1) + " % (exact 0)"],
        ["Exact entropy", fixed(law.entropy, 2) + " nats"],
      ];
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
