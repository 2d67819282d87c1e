"""The laboratory figure: one object that every place renders in its own way.

- In Jupyter it is a live widget; each change of a control runs JAX (`live`).
- In the built book it is HTML with the formula or the weights inside (`export`); `book/_static/softq-lab.js`
  computes the same numbers in the page, also from `file://`.
- Anywhere else it is a picture with a description (`picture`).

All three show the exact softmax of a 1-D or 2-D landscape and particles that follow
`a <- boundary(a + step/2 * grad Q(a) / temperature + sqrt(step) * noise)` from a uniform start.
"""

from softq.lab.lab import TemperatureLab

__all__ = ["TemperatureLab"]
