/* softq's lab of the maze: a ball that is dropped by hand, and the trained policies that push it.
 *
 * The class `MazeLab` of softq/lab/ball.py in the page. The physics are those of softq/envs/maze.py, the networks those
 * of softq/networks; the browser test compares motions, routes and laws.
 */
(function () {
  "use strict";

  const { Lab, register, fixed, numeral } = window.softqLab;
  const { generator } = window.softqKit;
  const { erf } = window.softqSamplers.maths;
  const SIDE = 9, COUNT = SIDE * SIDE; // the forces of a softmax, as in `FORCES`
  const TOUCH = 1e-5;
  const SHORT = 560; // narrower than this, the tally stands below the maze
  const LINE = Array.from({ length: SIDE }, (_, i) => -1 + (2 * i) / (SIDE - 1));
  const forceOf = (k) => [LINE[Math.floor(k / SIDE)], LINE[k % SIDE]];

  // ------------------------------------------------------------------------------------------------- networks

  /** The numbers of base64 of little-endian half precision. */
  function halves(text) {
    const bytes = Uint8Array.from(atob(text), (ch) => ch.charCodeAt(0)), out = new Float64Array(bytes.length / 2);
    for (let i = 0; i < out.length; i++) {
      const bits = bytes[2 * i] | (bytes[2 * i + 1] << 8), power = (bits >> 10) & 31, rest = bits & 1023;
      const size = power ? (1 + rest / 1024) * Math.pow(2, power - 15) : rest * Math.pow(2, -24);
      out[i] = bits & 0x8000 ? -size : size;
    }
    return out;
  }

  const mish = function (x) {
    const e = Math.exp(Math.min(x, 20)), n = e * (e + 2);
    return (x * n) / (n + 2);
  };
  const ACTIVATIONS = { mish: mish, relu: (x) => Math.max(0, x), tanh: Math.tanh };

  /** out = x W + b for the network number k of a stack, with `kernel` (k, inputs, outputs). */
  function dense(layer, k, x, outputs, out) {
    const inputs = x.length, { kernel, bias } = layer;
    for (let j = 0; j < outputs; j++) out[j] = bias ? bias[k * outputs + j] : 0;
    for (let i = 0; i < inputs; i++) {
      const value = x[i], row = (k * inputs + i) * outputs;
      for (let j = 0; j < outputs; j++) out[j] += value * kernel[row + j];
    }
    return out;
  }

  /** The values of all forces at an observation: a function of `obs`, the smaller of the twins. */
  function criticOf(layers, act) {
    const [state, action, hidden, last] = layers, width = hidden.bias.length / 2;
    const first = [0, 1].map((k) => {
      const rows = new Float64Array(COUNT * width);
      for (let f = 0; f < COUNT; f++) {
        rows.set(dense(action, k, forceOf(f), width, new Float64Array(width)), f * width);
      }
      return rows;
    });
    const features = new Float64Array(width), h = new Float64Array(width), g = new Float64Array(width);
    return function (obs) {
      const q = new Float64Array(COUNT).fill(Infinity);
      for (let k = 0; k < 2; k++) {
        dense(state, k, obs, width, features);
        for (let f = 0; f < COUNT; f++) {
          for (let j = 0; j < width; j++) h[j] = act(features[j] + first[k][f * width + j]);
          dense(hidden, k, h, width, g);
          let value = last.bias[k];
          for (let j = 0; j < width; j++) value += act(g[j]) * last.kernel[k * width + j];
          if (value < q[f]) q[f] = value;
        }
      }
      return q;
    };
  }

  /** The outputs of an actor's perceptron. */
  function actorOf(layers, act) {
    return function (obs) {
      let x = obs;
      layers.forEach((layer, i) => {
        x = dense(layer, 0, x, layer.bias.length, new Float64Array(layer.bias.length));
        if (i < layers.length - 1) x = x.map(act);
      });
      return x;
    };
  }

  // -------------------------------------------------------------------------------------------------- the maze

  /** Position and velocity after a step at `velocity` from `start`: `Maze.slide`. */
  function slide(maze, start, velocity) {
    const reach = 0.5 + maze.radius, limit = maze.half - maze.radius;
    const wanted = [0, 1].map((i) => start[i] + maze.dt * velocity[i]);
    const stopped = (at, blocked) => at.map((v, i) => {
      let ceiling = limit, floor = -limit;
      for (const wall of maze.walls) {
        const side = blocked(wall, i);
        if (side < 0) ceiling = Math.min(ceiling, wall[i] - reach);
        if (side > 0) floor = Math.max(floor, wall[i] + reach);
      }
      return Math.min(ceiling, Math.max(floor, v));
    });
    const alone = stopped(wanted, (wall, i) => {
      if (Math.abs(wall[1 - i] - start[1 - i]) >= reach - TOUCH) return 0;
      return wall[i] - reach >= start[i] - TOUCH ? -1 : wall[i] + reach <= start[i] + TOUCH ? 1 : 0;
    });
    const speed = alone.map((v, i) => Math.abs(v - start[i]));
    const kept = stopped(alone, (wall, i) => {
      if (!alone.every((v, j) => Math.abs(wall[j] - v) < reach - TOUCH)) return 0; // no corner
      const passes = [0, 1].map((j) => Math.max(Math.abs(wall[j] - start[j]) - reach, 0) * speed[1 - j]);
      const later = passes[i] - passes[1 - i], tie = Math.abs(later) <= TOUCH * speed[0] * speed[1];
      if (tie ? speed[i] - speed[1 - i] >= TOUCH : later <= 0) return 0;
      return alone[i] < wall[i] ? -1 : alone[i] > wall[i] ? 1 : 0;
    });
    return { position: kept, velocity: kept.map((v, i) => (v === wanted[i] ? velocity[i] : 0)) };
  }

  /** One step of the environment, and its reward. */
  function step(maze, ball, action) {
    const velocity = ball.velocity.map((v, i) => {
      const a = Math.min(1, Math.max(-1, action[i]));
      const next = v + maze.dt * (maze.force * a - maze.damping * v);
      return Math.min(maze.max_speed, Math.max(-maze.max_speed, next));
    });
    const after = slide(maze, ball.position, velocity);
    const far = maze.goals.map((goal) => Math.hypot(after.position[0] - goal[0], after.position[1] - goal[1]));
    return { position: after.position, velocity: after.velocity, reward: -Math.min(...far) };
  }

  function observe(maze, ball) {
    return [...ball.position.map((v) => v / maze.half), ...ball.velocity.map((v) => v / maze.max_speed)];
  }

  /** The index of the route that a path took: `Maze.route`. */
  function route(maze, path) {
    const end = path[path.length - 1];
    const far = maze.goals.map((goal) => Math.hypot(end[0] - goal[0], end[1] - goal[1]));
    const goal = far[0] <= far[1] ? 0 : 1;
    if (far[goal] >= 0.5) return 4;
    const inside = goal === 0
      ? [([x, y]) => x < -1.5 && Math.abs(y - 1) < 0.5, ([x, y]) => y > 1.5 && Math.abs(x + 1) < 0.5]
      : [([x, y]) => x > 1.5 && Math.abs(y + 1) < 0.5, ([x, y]) => y < -1.5 && Math.abs(x - 1) < 0.5];
    const last = inside.map((holds) => path.reduce((found, point, t) => (holds(point) ? t + 1 : found), 0));
    if (Math.max(...last) === 0) return 4;
    return 2 * goal + (last[1] > last[0] ? 1 : 0);
  }

  // --------------------------------------------------------------------------------------------------- the lab

  class MazeLab extends Lab {
    prepare() {
      this.maze = this.data.maze;
      this.names = this.maze.routes.map((name) => name.replace("_", " "));
      this.policies = {};
      for (const spec of this.data.policies) {
        const layers = spec.layers.map((layer) => ({
          kernel: halves(layer.kernel), bias: layer.bias ? halves(layer.bias) : null,
        }));
        const act = ACTIVATIONS[spec.activation];
        const net = spec.type === "critic" ? criticOf(layers, act) : actorOf(layers, act);
        this.policies[spec.value] = { type: spec.type, net: net };
      }
      this.balls = [];
    }

    /** The name of a route in softq.plots. */
    concept(k) {
      return this.names[k].toLowerCase();
    }

    get policy() {
      return this.policies[this.settings.policy];
    }

    get widest() {
      return 760;
    }

    actions() {
      return [
        ["drop", "Drop the balls", () => (this.running ? this.pause() : this.drop(this.settings.balls))],
        ["one", "Drop one", () => this.drop(1)],
        ["clear", "Clear", () => this.clear()],
        ["reset", "Reset", () => {
          this.clear();
          this.restore();
        }],
      ];
    }

    // Policies

    /** Probabilities of the 81 forces at an observation, or of those nearest to the actions of an actor. */
    law(obs) {
      const { type, net } = this.policy, out = net(obs);
      if (type === "critic") return softmaxOf(out, this.settings.temperature);
      if (type === "point") {
        const p = new Float64Array(COUNT), action = Array.from(out, Math.tanh);
        let best = 0;
        const far = (k) => Math.hypot(forceOf(k)[0] - action[0], forceOf(k)[1] - action[1]);
        for (let k = 1; k < COUNT; k++) if (far(k) < far(best)) best = k;
        p[best] = 1;
        return p;
      }
      const below = (edge, i) => 0.5 * (1 + erf((edge - out[i]) / (Math.exp(logStd(out[2 + i])) * Math.SQRT2)));
      const cells = [0, 1].map((i) => LINE.map((v, j) => {
        const high = j === SIDE - 1 ? 1 : below(Math.atanh((v + LINE[j + 1]) / 2), i);
        return high - (j === 0 ? 0 : below(Math.atanh((v + LINE[j - 1]) / 2), i));
      }));
      return Float64Array.from({ length: COUNT }, (_, k) => cells[0][Math.floor(k / SIDE)] * cells[1][k % SIDE]);
    }

    force(obs, rng) {
      const { type, net } = this.policy;
      if (type === "point") return Array.from(net(obs), Math.tanh);
      if (type === "gaussian") {
        const out = net(obs);
        return [0, 1].map((i) => Math.tanh(out[i] + Math.exp(logStd(out[2 + i])) * rng.normal()));
      }
      const p = this.law(obs);
      let left = rng.uniform(), k = 0;
      while (k < COUNT - 1 && left >= p[k]) left -= p[k++];
      return forceOf(k);
    }

    // Balls

    changed(name) {
      if (name === "temperature" && this.running) return; // the balls on their way feel the new one
      if (name !== "balls") this.clear();
    }

    clear() {
      this.halt();
      this.balls = [];
      this.dropped = 0;
      this.status.textContent = "";
      this.buttons.drop.textContent = "Drop the balls";
      this.refresh();
    }

    start() {
      this.dropped = 0;
      this.refresh();
    }

    ball() {
      const { x, y, noise, seed } = this.settings, reach = this.data.reach;
      const rng = generator((seed * 7919 + this.dropped++) % 2147483647);
      const place = [x, y].map((v) => Math.min(reach, Math.max(-reach, v + (noise ? noise * rng.normal() : 0))));
      return { position: place, velocity: [0, 0], path: [place], total: 0, rng: rng, route: null };
    }

    push(ball) {
      const next = step(this.maze, ball, this.force(observe(this.maze, ball), ball.rng));
      Object.assign(ball, { position: next.position, velocity: next.velocity, total: ball.total + next.reward });
      ball.path.push(next.position);
      if (ball.path.length > this.maze.max_steps) ball.route = route(this.maze, ball.path);
    }

    /** Let `count` more balls go, drawn as they roll, or at once where motion is not wanted. */
    drop(count) {
      if (this.running) this.pause();
      for (let i = 0; i < count; i++) this.balls.push(this.ball());
      this.roll();
    }

    roll() {
      this.buttons.drop.textContent = "Pause";
      let at = 0; // the next ball of this sweep over all that still roll
      const frame = () => {
        const until = performance.now() + (this.still ? 60 : 20), going = this.balls.filter((b) => b.route === null);
        if (at >= going.length) at = 0;
        while (at < going.length && performance.now() < until) {
          this.push(going[at]);
          at += 1;
        }
        const left = this.balls.some((b) => b.route === null);
        if (!left) {
          this.buttons.drop.textContent = "Drop the balls";
          this.status.textContent = this.balls.length + " episodes have ended.";
          this.running = false;
          this.refresh();
          return false;
        }
        if (!this.still) this.refresh();
        return true;
      };
      this.status.textContent = "";
      const next = this.loop(frame);
      if (this.still) next();
      else window.requestAnimationFrame(next);
    }

    pause() {
      this.halt();
      this.buttons.drop.textContent = "Drop the balls";
      this.balls = this.balls.filter((b) => b.route !== null);
      this.refresh();
    }

    /** All balls of the settings from start to end, without animation: tally of routes and mean return. */
    played() {
      this.clear();
      for (let i = 0; i < this.settings.balls; i++) {
        const ball = this.ball();
        while (ball.route === null) this.push(ball);
        this.balls.push(ball);
      }
      this.status.textContent = "";
      this.refresh();
      return this.seen;
    }

    count() {
      const tally = this.names.map(() => 0), done = this.balls.filter((ball) => ball.route !== null);
      for (const ball of done) tally[ball.route] += 1;
      const mean = done.length ? done.reduce((sum, ball) => sum + ball.total, 0) / done.length : null;
      return { tally: tally, stopped: done.length, mean: mean };
    }

    refresh() {
      const { x, y } = this.settings, seen = (this.seen = this.count());
      this.first = this.law(observe(this.maze, { position: [x, y], velocity: [0, 0] }));
      this.showControls();
      for (const name of ["x", "y"]) this.hideControl(name, true); // the handle is their control
      this.hideControl("temperature", this.policy.type !== "critic");
      const mean = seen.mean === null ? "\u2013" : fixed(seen.mean, 1);
      this.showRows([["episodes ended", seen.stopped + " of " + this.balls.length], ["mean return", mean]]);
      if (!this.balls.length) this.status.textContent = "The ball rests. Drag its start, and drop.";
      const said = this.names.map((name, k) => seen.tally[k] + " " + name).join(", ");
      this.describe(seen.stopped + " balls from " + this.place() + ": " + said + ".");
      this.redraw();
    }

    place() {
      return "(" + numeral(this.settings.x) + ", " + numeral(this.settings.y) + ")";
    }

    handles() {
      const { x, y } = this.settings;
      return [{ name: "start", label: "start of the ball", frame: "maze", x: x, y: y, text: this.place() }];
    }

    onHandle(_name, x, y) {
      const near = (v) => Number((Math.abs(v) < 0.012 ? 0 : v).toFixed(3)); // the exact centre can be hit
      this.settings.x = this.fit(this.spec("x"), near(x));
      this.set("y", near(y));
    }

    // Drawing

    height(width) {
      return width < SHORT ? width + 190 : Math.round(width * 0.62);
    }

    draw(c, width, height, colours) {
      const narrow = width < SHORT, side = narrow ? width - 8 : Math.min(height - 8, width * 0.6);
      const half = this.maze.half, box = { left: 4, right: 4 + side, top: 4, bottom: 4 + side };
      const f = this.frame("maze", box, [-half, half], [-half, half]);
      c.fillStyle = colours.quiet;
      c.globalAlpha = 0.45;
      for (const [x, y] of this.maze.walls) c.fillRect(f.x(x - 0.5), f.y(y + 0.5), side / 5, side / 5);
      c.globalAlpha = 1;
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(box.left, box.top, side, side);
      this.drawPaths(c, f, colours);
      this.maze.goals.forEach(([x, y], i) => this.drawNamedGoal(c, f.x(x), f.y(y), "AB"[i], colours));
      const reach = this.data.reach;
      c.setLineDash([3, 3]);
      c.strokeStyle = colours.ink;
      c.strokeRect(f.x(-reach), f.y(reach), f.x(reach) - f.x(-reach), f.y(-reach) - f.y(reach));
      c.setLineDash([]);
      c.fillStyle = colours.ink;
      c.beginPath();
      c.arc(f.x(this.settings.x), f.y(this.settings.y), 4, 0, 2 * Math.PI);
      c.fill();
      if (narrow) {
        const top = side + 34, size = 140;
        this.drawLaw(c, 4, top, size, colours);
        this.drawTally(c, size + 30, top, width - size - 34, size, colours);
      } else {
        const left = side + 30, room = width - left - 4, size = Math.min(room, height / 2 - 24);
        this.drawLaw(c, left, 24, size, colours);
        this.drawTally(c, left, size + 60, room, height - size - 66, colours);
      }
    }

    drawPaths(c, f, colours) {
      const alpha = Math.max(0.2, Math.min(0.9, 12 / this.balls.length));
      c.lineWidth = 1.3;
      c.lineJoin = "round";
      for (const ball of this.balls) {
        const colour = ball.route === null ? colours.quiet : this.look(this.concept(ball.route)).colour;
        c.strokeStyle = colour;
        c.globalAlpha = ball.route === null ? 0.5 : alpha;
        c.beginPath();
        ball.path.forEach(([x, y], i) => (i ? c.lineTo(f.x(x), f.y(y)) : c.moveTo(f.x(x), f.y(y))));
        c.stroke();
      }
      c.globalAlpha = 1;
      const radius = Math.max(2, this.maze.radius * (f.x(1) - f.x(0)));
      for (const ball of this.balls) {
        if (ball.route !== null) continue;
        c.fillStyle = colours.ink;
        c.globalAlpha = 0.6;
        c.beginPath();
        c.arc(f.x(ball.position[0]), f.y(ball.position[1]), radius, 0, 2 * Math.PI);
        c.fill();
      }
      c.globalAlpha = 1;
    }

    drawNamedGoal(c, x, y, name, colours) {
      this.drawGoal(c, x, y);
      c.fillStyle = colours.ink;
      c.textAlign = "center";
      c.fillText(name, x, y + 24);
      c.textAlign = "left";
    }

    /** The law of the first force: each force is a cell, filled from the surface to the colour of the exact law. */
    drawLaw(c, left, top, size, colours) {
      const cell = size / SIDE, peak = Math.max(...this.first);
      c.fillStyle = colours.ink;
      c.textAlign = "left";
      c.fillText("law of the first force", left, top - 8);
      c.fillStyle = colours.exact;
      for (let k = 0; k < COUNT; k++) {
        c.globalAlpha = (0.9 * this.first[k]) / peak;
        const i = Math.floor(k / SIDE), j = k % SIDE;
        c.fillRect(left + i * cell, top + (SIDE - 1 - j) * cell, cell + 0.3, cell + 0.3);
      }
      c.globalAlpha = 1;
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(left, top, size, size);
      c.beginPath();
      c.moveTo(left + size / 2, top);
      c.lineTo(left + size / 2, top + size);
      c.moveTo(left, top + size / 2);
      c.lineTo(left + size, top + size / 2);
      c.globalAlpha = 0.4;
      c.stroke();
      c.globalAlpha = 1;
    }

    drawTally(c, left, top, width, height, colours) {
      const { tally } = this.seen, total = Math.max(1, this.balls.length), each = height / tally.length;
      const label = 62, room = width - label - 34;
      tally.forEach((count, k) => {
        const y = top + k * each, tall = Math.min(20, each * 0.7), middle = y + each / 2;
        c.fillStyle = colours.ink;
        c.fillText(this.names[k], left, middle + 4);
        c.fillStyle = this.look(this.concept(k)).colour;
        c.fillRect(left + label, middle - tall / 2, (room * count) / total, tall);
        c.fillStyle = colours.ink;
        c.fillText(String(count), left + label + (room * count) / total + 5, middle + 4);
      });
    }

    report() {
      return { settings: this.settings, tally: this.seen.tally, mean: this.seen.mean, law: Array.from(this.first) };
    }

    /** For tests: positions and velocities after one step from `balls` [[x, y, vx, vy, ax, ay], ...]. */
    stepped(balls) {
      return balls.map(([x, y, vx, vy, ax, ay]) => {
        const next = step(this.maze, { position: [x, y], velocity: [vx, vy] }, [ax, ay]);
        return [...next.position, ...next.velocity, next.reward];
      });
    }

    routeOf(path) {
      return route(this.maze, path);
    }
  }

  /** The log std of a Gaussian actor, clipped as in softq.networks. */
  function logStd(x) {
    return Math.min(2, Math.max(-20, x));
  }

  function softmaxOf(values, temperature) {
    let top = -Infinity, sum = 0;
    for (const v of values) top = Math.max(top, v);
    const p = values.map((v) => Math.exp((v - top) / temperature));
    for (const v of p) sum += v;
    return p.map((v) => v / sum);
  }

  register("ball", MazeLab);
})();
