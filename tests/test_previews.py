"""The copies of what links lead to, see book/_ext/previews.py."""

from bs4 import BeautifulSoup
from previews import copies, page_and_target


def test_links_within_the_book_have_a_key() -> None:
    assert page_and_target("notebooks/a", "../book/b.html#x") == "book/b.html#x"
    assert page_and_target("notebooks/a", "#x") == "notebooks/a.html#x"
    assert page_and_target("notebooks/a", "c.html") == "notebooks/c.html"
    for outside in ("https://example.org/b.html#x", "mailto:a@b", "../_static/a.png"):
        assert page_and_target("notebooks/a", outside) is None


def test_a_copy_says_its_part_and_nothing_else() -> None:
    page = BeautifulSoup(
        '<section id="top"><h1>Title<a class="headerlink" href="#top">#</a></h1>'
        '<p>First <a href="b.html">words</a>.</p>'
        '<div class="proof theorem" id="thm"><p>It holds.</p><div class="dropdown">Proof</div></div>'
        '<dl class="glossary"><dt id="term-gap">gap</dt><dd><p>The mean regret.</p></dd></dl>'
        '<figure id="fig"><span id="fig-name"></span><img alt="hills" src="../_images/a.png"></figure></section>',
        "html.parser",
    )
    found = copies("notebooks/a", page)
    assert found["notebooks/a.html"] == found["notebooks/a.html#top"]
    assert "First <span>words</span>." in found["notebooks/a.html"] and "#</" not in found["notebooks/a.html"]
    assert "It holds." in found["notebooks/a.html#thm"] and "Proof" not in found["notebooks/a.html#thm"]
    assert "gap" in found["notebooks/a.html#term-gap"] and "regret" in found["notebooks/a.html#term-gap"]
    assert found["notebooks/a.html#fig-name"] == found["notebooks/a.html#fig"]
    assert 'src="_images/a.png"' in found["notebooks/a.html#fig"]
    assert not any(" id=" in html for html in found.values())
