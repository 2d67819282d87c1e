/* softq's lab of the temperature: the exact softmax of a landscape or a critic, and Langevin particles.
 *
 * The class `TemperatureLab` of softq/lab/temperature.py in the page.
 */
(function () {
  "use strict";

  const { ParticleLab, register, fixed } = window.softqLab;
  const { landscape, critic, network, floats, generator, BOUNDARIES } = window.softqKit;

  class TemperatureLab extends ParticleLab {
    prepare() {
      const { data } = this, net = data.network ? network(data.network) : null;
      this.dim = data.dim;
      this.qs = data.states.map((s) => (net ? critic(net, floats(s.features)) : landscape(s.landscape)));
      if (data.step_size === null) this.following.add("step");
    }

    get state() {
      return this.settings.state || 0;
    }

    q() {
      return this.qs[this.state];
    }

    get qName() {
      return String(this.state);
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
      this.solve();
    }

    /** One Langevin step of every particle: a <- B(a + step/2 * grad Q / temperature + sqrt(step) * noise). */
    move() {
      const s = this.settings, { dim, particles, rng } = this, q = this.q(), boundary = BOUNDARIES[s.boundary];
      const a = new Float64Array(dim), grad = new Float64Array(dim);
      const pull = s.step / (2 * s.temperature), noise = Math.sqrt(s.step);
      for (let k = 0; k < particles.length; k += dim) {
        for (let i = 0; i < dim; i++) a[i] = particles[k + i];
        q(a, grad);
        for (let i = 0; i < dim; i++) particles[k + i] = boundary(a[i] + pull * grad[i] + noise * rng.normal());
      }
      this.taken += 1;
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
  }

  register("temperature", TemperatureLab);
})();
