"""The base of all labs: one object that is a widget in Jupyter, HTML in the book and a picture elsewhere."""

import abc
import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from softq import plots
from softq.lab.controls import Control
from softq.lab.live import widget
from softq.utils.errors import SoftqError, suggest


class Lab(abc.ABC):
    """A figure with controls. Subclasses define what it shows; this class renders it as widget, HTML and PNG.

    `kind` is the name under which the script `book/_static/softq-lab-<kind>.js` registers the class that draws the same
    figure in a page. `controls` are declared once, with the values they start from, which are `settings`. `alt`
    describes the figure to readers who do not see it, and `caption` suggests what to try.
    """

    kind: str
    live_width: int = 900  # of the picture in Jupyter, in pixels

    def __init__(self, controls: Sequence[Control], alt: str, caption: str = ""):
        self.controls = tuple(controls)
        self.settings = {control.name: control.check(control.value) for control in self.controls}
        self.alt, self.caption = alt, caption

    # What a subclass defines

    @abc.abstractmethod
    def figure(self, **settings: Any) -> Figure:
        """The picture at `settings`; a setting that is not given has the value with which the lab starts."""

    def tables(self) -> dict[str, Any]:
        """What the script of the page needs besides settings and controls, as plain JSON values."""
        return {}

    def numbers(self, **settings: Any) -> dict[str, float]:
        """The numbers below the picture by their labels; a setting that is not given is as at the start."""
        return {}

    def follow(self, changed: str, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings that take a new value because that of `changed` is another one now."""
        return {}

    # What all labs have

    def complete(self, settings: dict[str, Any]) -> dict[str, Any]:
        """`settings` and, for all others, the values at the start. Raises `SoftqError` for a bad name or value."""
        for name in settings:
            if name not in self.settings:
                raise SoftqError(f"unknown setting '{name}'.{suggest(name, self.settings)}")
        chosen = self.settings | settings
        return {control.name: control.check(chosen[control.name]) for control in self.controls}

    def content(self) -> dict[str, Any]:
        """The data from which the script of the page computes the figure, as plain JSON values."""
        return {
            "kind": self.kind,
            "alt": self.alt,
            "settings": self.settings,
            "controls": [control.data() for control in self.controls],
            "looks": plots.CONCEPTS,
            **self.tables(),
        }

    def png(self, **settings: Any) -> bytes:
        """The bytes of `figure(**settings)` as a PNG file."""
        buffer = io.BytesIO()
        self.figure(**settings).savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    def data(self) -> dict[str, Any]:
        """`content` and, under "id", a name made from its digest, by which the page tells its figures apart."""
        content = self.content()
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return {"id": f"softq-lab-{digest[:10]}", **content}

    def html(self) -> str:
        """The HTML of the figure in the built book: its data, and a picture where the browser runs no script."""
        return self._html(self.png())

    def _html(self, png: bytes) -> str:
        data = json.dumps(self.data()).replace("</", "<\\/")
        still = base64.b64encode(png).decode()
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return (
            f'<div class="softq-lab" data-kind="{self.kind}"><figure><img class="softq-lab-still" '
            f'alt="{html.escape(self.alt)}" src="data:image/png;base64,{still}">{caption}</figure>'
            f'<script type="application/json">{data}</script></div>'
        )

    def widget(self) -> ipywidgets.VBox:
        """The live figure in Jupyter."""
        return widget(self, self.png())

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        png = self.png()
        bundle = dict(widget(self, png)._repr_mimebundle_())
        bundle["text/html"] = self._html(png)
        bundle["image/png"] = base64.b64encode(png).decode()
        bundle["text/plain"] = self.alt
        return bundle
