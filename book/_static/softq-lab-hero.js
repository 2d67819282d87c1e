/* softq's front page: two hills and a thermometer to drag, and draws that fill the exact density.
 *
 * The class `HeroLab` of softq/lab/hero.py in the page. Every dot is an exact draw: its uniform number takes a small
 * reflected step in each frame, which leaves it uniform, so the dots move and have the softmax's law at every moment.
 * Needs softq-lab-draws.js before it.
 */
(function () {
  "use strict";

  const { DrawsLab, register, make, tidy, fixed, percent } = window.softqLab;
  const { generator, extent, cumulate, invert } = window.softqKit;
  const PACE = 0.004; // of a uniform number, a frame

  class HeroLab extends DrawsLab {
    get widest() {
      return 900;
    }

    height(width) {
      return Math.round(Math.min(400, Math.max(270, width * 0.5)));
    }

    actions() {
      return [
        ["draw", "Let the draws move", () => this.toggle()],
        ["reset", "Reset", () => {
          this.halt();
          this.restoreHills();
          this.restore();
        }],
      ];
    }

    build() {
      super.build();
      for (const name of ["particles", "seed"]) this.hideControl(name, true);
      this.readout.hidden = true;
      this.sentence = make("p", { class: "softq-lab-says", "aria-live": "polite" });
      this.stage.after(this.sentence);
    }

    /** Uniform numbers across and up, kept while the law changes. */
    restart() {
      const s = this.settings;
      this.solve();
      if (!this.across || this.drawn !== s.seed || this.across.length !== s.particles) {
        this.rng = generator(s.seed);
        this.across = Float64Array.from({ length: s.particles }, () => this.rng.uniform());
        this.up = Float64Array.from({ length: s.particles }, () => this.rng.uniform());
        this.particles = new Float64Array(s.particles);
        this.drawn = s.seed;
      }
      this.total = cumulate(this.law.p, 0, 1, this.cells);
      this.settle();
    }

    settle() {
      for (let k = 0; k < this.across.length; k++) this.particles[k] = invert(this.total, this.across[k]);
    }

    toggle() {
      if (this.running) {
        this.halt();
        this.refresh();
        return;
      }
      if (this.still) { // no motion: other draws at once
        this.set("seed", this.settings.seed + 1);
        return;
      }
      const next = this.loop(() => {
        for (let k = 0; k < this.across.length; k++) {
          const moved = Math.abs(this.across[k] + PACE * this.rng.normal());
          this.across[k] = moved > 1 ? 2 - moved : moved;
        }
        this.settle();
        this.redraw();
        return true;
      });
      this.buttons.draw.textContent = "Pause";
      window.requestAnimationFrame(next);
    }

    refresh() {
      super.refresh();
      this.buttons.draw.textContent = this.still ? "Draw again" : this.running ? "Pause" : "Let the draws move";
      const { law } = this, parts = this.masses(), share = parts.map((part) => percent(part.share));
      const masses = parts.length === 2
        ? "the left hill has " + share[0] + " of the mass and the right one " + share[1]
        : parts.map((part, k) => "the " + part.name + " has " + share[k]).join(", ") + " of the mass";
      const words = "At temperature " + tidy(this.settings.temperature) + " " + masses + "; the mean value is " +
        fixed(law.mean, 3) + " and the entropy " + fixed(law.entropy, 2) + " nats.";
      if (this.sentence.textContent !== words) this.sentence.textContent = words;
    }

    handles() {
      const s = this.settings, { low, high } = this.spec("temperature");
      const said = "temperature " + tidy(s.temperature);
      return [...super.handles(), { // along the logarithm, which arrow keys move in equal parts
        name: "heat", label: "Thermometer", frame: "thermometer", x: 0.5, y: s.temperature, text: said,
        low: low, high: high, now: s.temperature,
      }];
    }

    onHandle(name, x, y) {
      if (name === "heat") this.set("temperature", Number(tidy(y)));
      else super.onHandle(name, x, y);
    }

    draw(c, width, height, colours) {
      if (!this.law) return;
      const scale = width < 480 ? 44 : 64, left = scale + 8, right = width - 8, middle = Math.round(height * 0.42);
      const bottom = height - 22, table = this.table(), n = this.cells, [low, high] = extent(table.values);
      const peak = Math.max(1, extent(this.law.p)[1] / table.volume), density = (i) => this.law.p[i] / table.volume;
      const above = this.frame("value", { left, right, top: 20, bottom: middle }, [-1, 1], this.valueLimits(low, high));
      const below = this.frame("density", { left, right, top: middle + 24, bottom }, [-1, 1], [0, peak * 1.03]);
      this.drawThermometer(c, scale, bottom, colours);

      const path = (frame, value) => {
        for (let i = 0; i < n; i += 8) c.lineTo(frame.x(((i + 0.5) * 2) / n - 1), frame.y(value(i)));
      };
      c.lineWidth = 2.5;
      c.strokeStyle = this.look("landscape").colour;
      c.beginPath();
      path(above, (i) => table.values[i]);
      c.stroke();
      c.fillStyle = this.look("exact").colour;
      c.globalAlpha = 0.14;
      c.beginPath();
      c.moveTo(left, bottom);
      path(below, density);
      c.lineTo(right, bottom);
      c.fill();
      c.globalAlpha = 0.85;
      c.fillStyle = this.look("samples").colour;
      c.beginPath();
      this.particles.forEach((a, k) => {
        const i = Math.min(n - 1, Math.floor(((a + 1) / 2) * n)), px = below.x(a), py = below.y(this.up[k] * density(i));
        c.moveTo(px + 1.7, py);
        c.arc(px, py, 1.7, 0, 2 * Math.PI);
      });
      c.fill();
      c.globalAlpha = 1;
      c.strokeStyle = this.look("exact").colour;
      c.beginPath();
      path(below, density);
      c.stroke();
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(left, bottom + 0.5);
      c.lineTo(right, bottom + 0.5);
      c.stroke();
      c.textAlign = "left";
      c.fillStyle = colours.ink;
      c.fillText("value of each action (drag the hills)", left, 12);
      c.fillStyle = this.look("exact").colour;
      c.fillText("how often the softmax takes it", left, middle + 18);
      this.ticks(c, below, colours);
      this.drawCursor(c, colours);
    }

    drawThermometer(c, scale, bottom, colours) {
      const { low, high } = this.spec("temperature"), x = scale / 2 - 4, top = 26, bulb = 9;
      const frame = this.frame("thermometer", { left: x - 6, right: x + 6, top: top, bottom: bottom - 2 * bulb - 4 }, [0, 1],
        [low, high], [false, true]);
      const level = frame.y(this.settings.temperature), foot = bottom - bulb;
      c.lineCap = "round";
      c.strokeStyle = colours.quiet;
      c.lineWidth = 12;
      c.beginPath();
      c.moveTo(x, top);
      c.lineTo(x, foot);
      c.stroke();
      c.strokeStyle = colours.surface;
      c.lineWidth = 9;
      c.stroke();
      c.strokeStyle = c.fillStyle = this.look("samples").colour;
      c.lineWidth = 5;
      c.beginPath();
      c.moveTo(x, level);
      c.lineTo(x, foot);
      c.stroke();
      c.beginPath();
      c.arc(x, foot, bulb, 0, 2 * Math.PI);
      c.fill();
      c.lineCap = "butt";
      c.fillStyle = colours.quiet;
      c.textAlign = "left";
      for (const v of [0.01, 0.1, 1, 10]) if (v > low && v < high) c.fillText(String(v), x + 10, frame.y(v) + 4);
      c.textAlign = "center";
      c.fillStyle = colours.ink;
      c.fillText("\u03bb", x, 12);
      c.textAlign = "left";
    }

    hover(cursor) {
      return cursor.frame === "thermometer" ? "temperature " + tidy(cursor.y) : super.hover(cursor);
    }

    onPointer(event) {
      if (event.frame === "thermometer" && (event.type === "click" || event.type === "drag")) {
        this.set("temperature", Number(tidy(event.y)));
      } else super.onPointer(event);
    }
  }

  register("hero", HeroLab);
})();
