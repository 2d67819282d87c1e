"""Pictures of the built book for looking at: `make screenshots` writes _build/screenshots."""

from book_browser import HTML, chromium, pages, settle

LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 2},
}


def main() -> None:
    folder = HTML.parent / "screenshots"
    folder.mkdir(exist_ok=True)
    with chromium() as browser:
        for look, options in LOOKS.items():
            context = browser.new_context(**options)
            for name in pages():
                page = context.new_page()
                page.goto(f"{HTML.as_uri()}/{name}")
                settle(page)
                for lab in page.evaluate("window.softqLab ? softqLab.ids() : []"):
                    page.evaluate("id => softqLab.advance(id, 100)", lab)
                target = folder / f"{name.removesuffix('.html').replace('/', '-')}-{look}.png"
                page.screenshot(path=target, full_page=True)
                print(target)
                page.close()
            context.close()


if __name__ == "__main__":
    main()
