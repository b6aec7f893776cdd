"""The browser of these tests: steps in its thread, contexts that end with their test."""

import trio

from tests.web.browser import Browser


async def test_steps_run_while_the_event_loop_goes_on(browser: Browser) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await trio.lowlevel.checkpoint()

    def heading() -> str:
        page = browser.context().new_page()
        page.goto("data:text/html,<h1>hello</h1>")
        return page.inner_text("h1")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        assert await browser.run(heading) == "hello"
        nursery.cancel_scope.cancel()
    assert ticks > 1


async def test_storage_of_contexts_is_separate(browser: Browser) -> None:
    def names() -> list[str]:
        contexts = [browser.context() for _ in range(2)]
        for context in contexts:
            context.route("http://one.test/", lambda route: route.fulfill(body="<!doctype html>"))
        pages = [context.new_page() for context in contexts]
        for page in pages:
            page.goto("http://one.test/")
        pages[0].evaluate("localStorage.setItem('name', 'first')")
        return [page.evaluate("localStorage.getItem('name') ?? ''") for page in pages]

    assert await browser.run(names) == ["first", ""]
    await browser.run(browser.close_contexts)
    assert await browser.run(lambda: browser._chromium.contexts) == []
