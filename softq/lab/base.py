"""What every lab has in common: one object, three renderings."""

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
    """A figure with controls. Subclasses say what it shows; Jupyter, the book and a PNG get it from here.

    `alt` describes the figure for those who do not see it, `caption` says what to try.
    """

    alt: str
    caption: str

    @abc.abstractmethod
    def figure(self, **settings: Any) -> Figure:
        """The picture at some settings; by default at those the lab starts with."""

    @abc.abstractmethod
    def content(self) -> dict[str, Any]:
        """What the page's script needs, as plain JSON values."""

    @abc.abstractmethod
    def _live(self, png: bytes) -> ipywidgets.VBox:
        """Controls and a picture that starts as `png`."""

    def png(self, **settings: Any) -> bytes:
        """`figure(**settings)` as a PNG."""
        buffer = io.BytesIO()
        self.figure(**settings).savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    def data(self) -> dict[str, Any]:
        """`content` with an id that is a digest of it."""
        content = self.content()
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return {"id": f"softq-lab-{digest[:10]}", **content}

    def html(self) -> str:
        """The figure of the built book: data, and a picture where no script runs."""
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
        """The live figure."""
        return self._live(self.png())

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        png = self.png()
        bundle = dict(self._live(png)._repr_mimebundle_())
        bundle["text/html"] = self._html(png)
        bundle["image/png"] = base64.b64encode(png).decode()
        bundle["text/plain"] = self.alt
        return bundle
