"""The base of all labs: one object that is a widget in Jupyter, HTML in the book and a picture elsewhere."""

import abc
import base64
import hashlib
import html
import io
import json
from typing import Any

import ipywidgets
from matplotlib.figure import Figure


class Lab(abc.ABC):
    """A figure with controls. Subclasses define what it shows; this class renders it as widget, HTML and PNG.

    `alt` describes the figure to readers who do not see it, and `caption` suggests what to try.
    """

    alt: str
    caption: str

    @abc.abstractmethod
    def figure(self, **settings: Any) -> Figure:
        """The picture at `settings`; a setting that is not given has the value with which the lab starts."""

    @abc.abstractmethod
    def content(self) -> dict[str, Any]:
        """The data from which the script of the page computes the figure, as plain JSON values."""

    @abc.abstractmethod
    def _live(self, png: bytes) -> ipywidgets.VBox:
        """A widget of the controls and the picture, which is `png` until a control changes."""

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
            f'<div class="softq-lab"><figure><img class="softq-lab-still" alt="{html.escape(self.alt)}" '
            f'src="data:image/png;base64,{still}">{caption}</figure>'
            f'<script type="application/json">{data}</script></div>'
        )

    def widget(self) -> ipywidgets.VBox:
        """The live figure in Jupyter."""
        return self._live(self.png())

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        png = self.png()
        bundle = dict(self._live(png)._repr_mimebundle_())
        bundle["text/html"] = self._html(png)
        bundle["image/png"] = base64.b64encode(png).decode()
        bundle["text/plain"] = self.alt
        return bundle
