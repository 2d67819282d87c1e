"""Short films side by side, each with its caption."""

import base64
import html
from collections.abc import Mapping
from pathlib import Path

from softq.utils.errors import SoftqError


class Films:
    """Films in the mp4 format as HTML that holds them; none plays before the reader starts it.

    `films` has the file of each caption, and `alt` says what is to be seen. Raises `SoftqError` for a missing file.
    """

    def __init__(self, films: Mapping[str, Path | str], alt: str):
        self.films, self.alt = {caption: Path(file) for caption, file in films.items()}, alt
        for file in self.films.values():
            if not file.is_file():
                raise SoftqError(f"no film {file}; softq video records one.")

    def _repr_html_(self) -> str:
        figures = "".join(self._figure(caption, file) for caption, file in self.films.items())
        return f'<div class="softq-films" role="group" aria-label="{html.escape(self.alt)}">{figures}</div>'

    def _figure(self, caption: str, file: Path) -> str:
        source = "data:video/mp4;base64," + base64.b64encode(file.read_bytes()).decode()
        text = html.escape(caption)
        video = f'<video controls muted loop playsinline preload="metadata" aria-label="{text}" src="{source}"></video>'
        return f"<figure>{video}<figcaption>{text}</figcaption></figure>"

    def __repr__(self) -> str:
        return self.alt
