/* softq's lab of every method on multigoal: paths while it learns, moves beside the exact softmax, counts of goals.
 *
 * The class `PathsLab` of softq/lab/paths.py in the page, from the same stored tables; the softmax and the implied
 * temperature are computed here, and the browser test compares them.
 */
(function () {
  "use strict";

  const { Lab, register, numeral, fixed } = window.softqLab;
  const SHORT = 560; // narrower than this, the parts stand below one another
  const SCALE = 127 / 7;

  function bytes(text) {
    return Uint8Array.from(atob(text), (ch) => ch.charCodeAt(0)).buffer;
  }

  class PathsLab extends Lab {
    prepare() {
      const { data } = this;
      this.n = data.cells;
      this.middles = Float64Array.from({ length: this.n }, (_, i) => ((i + 0.5) * 2) / this.n - 1);
      this.methods = {};
      for (const [name, stored] of Object.entries(data.methods)) {
        const paths = stored.paths.map((text, k) => {
          const flat = new Int8Array(bytes(text));
          let at = 0;
          return stored.times[k].map((time) => {
            const path = Array.from({ length: time }, (_, t) => [flat[at + 2 * t] / SCALE, flat[at + 2 * t + 1] / SCALE]);
            at += 2 * time;
            return path;
          });
        });
        const places = stored.places.map((place) => {
          const q = Float64Array.from(new Uint16Array(bytes(place.q)), (v) => place.low + (v / 65535) * place.span);
          const moves = {};
          for (const [dial, text] of Object.entries(place.moves)) {
            moves[dial] = Float64Array.from(new Int8Array(bytes(text)), (v) => v / 127);
          }
          return { q: q, moves: moves, temperature: place.temperature };
        });
        this.methods[name] = Object.assign({}, stored, { paths: paths, places: places });
      }
      this.following.add("temperature");
    }

    get method() {
      return this.methods[this.settings.method];
    }

    get stored() {
      return this.method.places[this.settings.place];
    }

    get own() {
      const { moves } = this.stored;
      return moves[this.settings.dial] || moves["1"];
    }

    get widest() {
      return 780;
    }

    get above() {
      return ["method", "updates"];
    }

    get points() {
      return true;
    }

    start() {
      this.followTemperature();
      this.refresh();
    }

    changed(name) {
      if (name === "method" || name === "place") {
        this.following.add("temperature");
        this.followTemperature();
      }
    }

    followTemperature() {
      if (this.following.has("temperature")) this.settings.temperature = this.stored.temperature;
    }

    // Numbers

    softmax(temperature) {
      const { q } = this.stored;
      let top = -Infinity, sum = 0, mean = 0;
      for (const v of q) top = Math.max(top, v);
      const p = q.map((v) => Math.exp((v - top) / temperature));
      for (const v of p) sum += v;
      for (let i = 0; i < p.length; i++) mean += (p[i] /= sum) * q[i];
      return { p: p, mean: mean };
    }

    /** The temperature at which the exact softmax earns what the moves earn: `PathsLab.implied`. */
    implied() {
      const { own, n } = this, { q } = this.stored, cell = (v) => Math.min(n - 1, Math.max(0, Math.floor(((v + 1) * n) / 2)));
      let earned = 0;
      for (let i = 0; i < own.length; i += 2) earned += q[cell(own[i + 1]) * n + cell(own[i])];
      earned /= own.length / 2;
      let [low, high] = [Math.log(1e-4), Math.log(1e4)];
      if (this.softmax(Math.exp(low)).mean < earned) return 0;
      if (this.softmax(Math.exp(high)).mean > earned) return Infinity;
      for (let i = 0; i < 50; i++) {
        const middle = (low + high) / 2;
        if (this.softmax(Math.exp(middle)).mean > earned) low = middle;
        else high = middle;
      }
      return Math.exp((low + high) / 2);
    }

    /** The masses of the quarters east, north, west and south; a cell on a diagonal counts half for both. */
    sides(p) {
      const mass = [0, 0, 0, 0];
      for (let j = 0; j < this.n; j++) {
        for (let i = 0; i < this.n; i++) {
          const x = this.middles[i], y = this.middles[j];
          [x - Math.abs(y), y - Math.abs(x), -x - Math.abs(y), -y - Math.abs(x)].forEach((d, k) => {
            mass[k] += d > 1e-9 ? p[j * this.n + i] : Math.abs(d) <= 1e-9 ? p[j * this.n + i] / 2 : 0;
          });
        }
      }
      return mass;
    }

    ownSides() {
      const { own } = this, counts = [0, 0, 0, 0];
      for (let i = 0; i < own.length; i += 2) {
        counts[((Math.round((Math.atan2(own[i + 1], own[i]) * 2) / Math.PI) % 4) + 4) % 4] += 1;
      }
      return counts.map((count) => count / (own.length / 2));
    }

    get time() {
      return this.data.updates.indexOf(this.settings.updates);
    }

    refresh() {
      const s = this.settings, { method } = this;
      this.law = this.softmax(s.temperature);
      const goals = method.goals[this.time], reached = new Set(goals.filter((goal) => goal !== 4)).size;
      const dial = method.places[s.place].moves[s.dial] ? s.dial : 1;
      this.seen = {
        "goals reached": reached,
        "rarest side, exact softmax": Math.min(...this.sides(this.law.p)),
        "rarest side, policy": Math.min(...this.ownSides()),
        "implied temperature": this.implied(),
        "its own temperature": this.stored.temperature * dial,
      };
      this.showControls();
      this.hideControl("dial", Object.keys(this.stored.moves).length === 1);
      const percent = (v) => fixed(100 * v, 1) + " %";
      const { seen } = this;
      this.showRows([
        ["goals of these paths", String(reached) + " of 4"],
        ["rarest side", percent(seen["rarest side, exact softmax"]) + " softmax, " +
          percent(seen["rarest side, policy"]) + " policy"],
        ["temperature of the moves", numeral(seen["implied temperature"]) + " (own " +
          numeral(seen["its own temperature"]) + ")"],
        ["all four goals", this.allFour(method.counts) + " own" +
          (method.exact.length ? ", " + this.allFour(method.exact) + " exact softmax" : "")],
      ]);
      this.describe(this.title() + " after " + s.updates + " updates: " + reached + " goals; rarest side " +
        percent(seen["rarest side, exact softmax"]) + " by the softmax at temperature " + numeral(s.temperature) + ", " +
        percent(seen["rarest side, policy"]) + " by the policy.");
      this.redraw();
    }

    /** In how many trainings each goal has a twentieth of the episodes. */
    allFour(counts) {
      const all = counts.filter((row) => row.slice(0, 4).every((count) => count >= 10));
      return all.length + " of " + counts.length;
    }

    title() {
      return this.spec("method").options.find(([value]) => value === this.settings.method)[1];
    }

    placeName(k) {
      return this.spec("place").options[k][1];
    }

    // Pointer

    nearest(cursor) {
      const far = this.data.states.map(([x, y]) => Math.hypot(x - cursor.x, y - cursor.y));
      return far[0] <= far[1] ? 0 : 1;
    }

    onPointer(event) {
      if (event.type === "click" && event.frame === "world") this.set("place", this.nearest(event));
      else this.redraw();
    }

    hover(cursor) {
      if (cursor.frame === "world") return "A click chooses the state " + this.placeName(this.nearest(cursor)) + ".";
      if (cursor.frame !== "moves") return "";
      const cell = (v) => Math.min(this.n - 1, Math.max(0, Math.floor(((v + 1) * this.n) / 2)));
      const k = cell(cursor.y) * this.n + cell(cursor.x);
      return "Move (" + fixed(cursor.x, 2) + ", " + fixed(cursor.y, 2) + "): Q " + fixed(this.stored.q[k], 2) +
        ", density " + numeral((this.law.p[k] * this.n * this.n) / 4) + ".";
    }

    // Drawing

    height(width) {
      return width < SHORT ? 2 * width + 250 : Math.round(width / 2) + 190;
    }

    draw(c, width, height, colours) {
      if (!this.law) return;
      const narrow = width < SHORT, side = narrow ? width - 8 : width / 2 - 16;
      const world = { left: 4, right: 4 + side, top: 26, bottom: 26 + side };
      const left = narrow ? 4 : width - side - 4, top = narrow ? world.bottom + 34 : 26;
      const moves = { left: left, right: left + side, top: top, bottom: top + side };
      this.drawWorld(c, world, colours);
      this.drawMoves(c, moves, colours);
      const y = moves.bottom + 26, half = (width - 8) / 2 - 8;
      this.drawCounts(c, 4, y, half, height - y - 26, narrow ? "own policy" : "ten trainings, own policy", this.method.counts, colours);
      this.drawCounts(c, width - half - 4, y, half, height - y - 26, narrow ? "exact softmax" : "ten trainings, exact softmax",
        this.method.exact, colours);
      this.drawLegend(c, 4, height - 8, width, colours);
      if (this.cursor) this.drawCursor(c, colours);
    }

    colourOf(goal) {
      return this.look(this.data.names[goal]).colour;
    }

    box(c, box, title, colours) {
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
      c.fillStyle = colours.ink;
      c.textAlign = "left";
      c.fillText(title, box.left, box.top - 9);
    }

    drawWorld(c, box, colours) {
      const f = this.frame("world", box, [-7, 7], [-7, 7]), { method, time } = this;
      c.lineWidth = 1.4;
      c.globalAlpha = 0.75;
      method.paths[time].forEach((path, k) => {
        c.strokeStyle = this.colourOf(method.goals[time][k]);
        c.beginPath();
        path.forEach(([x, y], i) => (i ? c.lineTo(f.x(x), f.y(y)) : c.moveTo(f.x(x), f.y(y))));
        c.stroke();
      });
      c.globalAlpha = 1;
      for (const [x, y] of this.data.stars) this.drawGoal(c, f.x(x), f.y(y));
      this.data.states.forEach(([x, y], k) => {
        c.strokeStyle = colours.ink;
        c.lineWidth = k === this.settings.place ? 3 : 1;
        c.beginPath();
        c.arc(f.x(x), f.y(y), 6, 0, 2 * Math.PI);
        c.stroke();
      });
      this.box(c, box, this.title() + ", paths after " + this.settings.updates.toLocaleString("en") + " updates", colours);
    }

    drawMoves(c, box, colours) {
      const f = this.frame("moves", box, [-1, 1], [-1, 1]), { n, own } = this, { p } = this.law, { q } = this.stored;
      const peak = Math.max(...p), cell = (box.right - box.left) / n;
      c.fillStyle = colours.exact;
      for (let j = 0; j < n; j++) {
        for (let i = 0; i < n; i++) {
          c.globalAlpha = (0.85 * p[j * n + i]) / peak;
          c.fillRect(box.left + i * cell, box.bottom - (j + 1) * cell, cell + 0.3, cell + 0.3);
        }
      }
      c.globalAlpha = 0.6;
      c.strokeStyle = colours.quiet;
      c.lineWidth = 0.8;
      c.beginPath();
      let low = Infinity, high = -Infinity;
      for (const v of q) [low, high] = [Math.min(low, v), Math.max(high, v)];
      for (let k = 1; k <= this.data.levels; k++) this.contour(c, f, low + (k * (high - low)) / (this.data.levels + 1));
      c.stroke();
      c.fillStyle = colours.sample;
      for (let i = 0; i < own.length; i += 2) {
        c.beginPath();
        c.arc(f.x(own[i]), f.y(own[i + 1]), 1.8, 0, 2 * Math.PI);
        c.fill();
      }
      c.globalAlpha = 1;
      this.box(c, box, "moves at " + this.placeName(this.settings.place) + ", \u03bb = " + numeral(this.settings.temperature), colours);
    }

    /** One level line of the critic, cell by cell between the middles of the grid. */
    contour(c, f, level) {
      const { n, middles } = this, { q } = this.stored;
      for (let j = 0; j < n - 1; j++) {
        for (let i = 0; i < n - 1; i++) {
          const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], cuts = [];
          for (let k = 0; k < 4; k++) {
            const [a, b] = [corners[k], corners[(k + 1) % 4]], [u, v] = [q[a[1] * n + a[0]], q[b[1] * n + b[0]]];
            if ((u < level) === (v < level)) continue;
            const t = (level - u) / (v - u), at = (axis) => middles[a[axis]] + t * (middles[b[axis]] - middles[a[axis]]);
            cuts.push([f.x(at(0)), f.y(at(1))]);
          }
          for (let k = 0; k + 1 < cuts.length; k += 2) {
            c.moveTo(...cuts[k]);
            c.lineTo(...cuts[k + 1]);
          }
        }
      }
    }

    drawCounts(c, left, top, width, height, title, counts, colours) {
      c.fillStyle = colours.ink;
      c.textAlign = "left";
      c.fillText(title, left, top - 6);
      if (!counts.length) {
        c.fillStyle = colours.quiet;
        c.fillText("not counted", left, top + 16);
        return;
      }
      const each = height / counts.length;
      counts.forEach((row, k) => {
        const total = row.reduce((sum, v) => sum + v, 0);
        let x = left;
        row.forEach((count, goal) => {
          c.fillStyle = this.colourOf(goal);
          c.fillRect(x, top + k * each, (width * count) / total, each * 0.85);
          x += (width * count) / total;
        });
      });
    }

    drawLegend(c, left, y, width, colours) {
      const each = Math.min(86, (width - 8) / this.data.names.length);
      this.data.names.forEach((name, k) => {
        c.fillStyle = this.colourOf(k);
        c.fillRect(left + k * each, y - 9, 10, 10);
        c.fillStyle = colours.ink;
        c.fillText(name, left + k * each + 15, y);
      });
    }

    report() {
      return { settings: this.settings, numbers: this.seen };
    }
  }

  register("paths", PathsLab);
})();
