"""The page at /: what a DBA sees and can do there, against the real server."""

import http.client
import json
import os
import re
import urllib.parse

import pytest
from playwright.sync_api import expect

from conftest import HOSTILE_TABLE, REHEARSAL_SECONDS_MAX, quoted

VERB_MS_MAX = REHEARSAL_SECONDS_MAX * 1_000

HOSTILE_REASON = """<img src=x onerror=alert(1)> "too" big & 'slow'"""


def row(page, item):
    return page.locator(f"tr.row[id='{item['id']}']")


def details(page, item):
    return page.locator(f"#details-{item['id']}")


def unfold(page, item):
    """Opens the details, and waits until statements and decisions are there."""
    page.get_by_role("button", name=f"{item['id']} details", exact=True).click()
    below = details(page, item)
    expect(below.locator(".decisions .hash code").first).to_be_visible()
    return below


def state(page, item):
    return row(page, item).locator(".state")


def tab_to(page, target):
    """Presses Tab until the target has the focus."""
    for _ in range(200):
        if target.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab never reached {target}")


def has_index(server, name):
    return int(server.sql(f"SELECT count(*) FROM pg_indexes WHERE indexname = '{name}'")[0][0]) == 1


def test_the_policy_lets_nothing_in_and_nobody_frame_the_page(open_page):
    page = open_page()
    policy = page.request.get(page.url).headers["content-security-policy"]
    for directive in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]:
        assert directive in policy, policy
    assert "unsafe" not in policy, policy


def test_recommendations_are_listed_with_their_evidence(open_page, evidence):
    useful, useless = evidence
    page = open_page()
    expect(state(page, useful)).to_have_text("ready")
    expect(state(page, useless)).to_have_text("rejected")
    shown = row(page, useful)
    expect(shown.locator(".kind")).to_have_text("index")
    expect(shown.locator(".what")).to_contain_text(useful["object"])
    expect(shown.locator(".what")).to_contain_text(useful["command"])
    expect(shown.locator(".speedup")).to_have_text(re.compile(r"^[\d.,]+x \([\d.,]+ to [\d.,]+\)$"))
    expect(shown.locator(".worst")).to_have_text(re.compile(r"^[\d.,]+x$"))
    expect(shown.locator(".cost")).to_have_text(re.compile(r"^[\d.]+ (B|kB|MB), inserts [+-]?[\d.,]+ %$"))
    expect(shown.locator(".samples")).to_have_text(f"{useful['samples']} pairs")
    expect(page.locator("#mode")).to_have_text("advise")
    expect(page.locator("#cpu")).to_have_text(re.compile(r"^[\d.,]+ s$"))
    expect(page.locator("#summary")).to_have_text(re.compile(r"^\d+ recommendations: .*\b\d+ ready\b"))
    if path := os.environ.get("AION_SCREENSHOT"):
        unfold(page, useful)
        page.screenshot(path=path, full_page=True)


def test_details_show_what_the_server_measured_and_decided(open_page, server, evidence):
    useful, _ = evidence
    told = server.recommendation(useful["id"])
    page = open_page()
    below = unfold(page, useful)
    expect(below).to_contain_text(f"ready: {useful['state_reason']}")
    expect(below.locator("pre").nth(0)).to_have_text(useful["command"])
    expect(below.locator("pre").nth(1)).to_have_text(useful["undo_command"])
    statements = below.locator(".statements tbody tr")
    expect(statements).to_have_count(len(told["statements"]))
    for shown, one in zip(statements.all(), told["statements"], strict=True):
        expect(shown.locator(".queryid")).to_have_text(one["queryid"])
        if one["excluded"]:
            expect(shown).to_contain_text(one["excluded"])
        else:
            expect(shown.locator(".speedup")).to_contain_text(re.compile(r"[\d.,]+x \([\d.,]+ to [\d.,]+\)"))
            expect(shown).to_contain_text(f"{one['equal']} of {one['compared']}")
            expect(shown).to_contain_text(f"{one['pairs']} pairs")
    hashes = below.locator(".decisions .hash code").all_text_contents()
    assert hashes == [decision["hash"] for decision in told["decisions"]]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in hashes)
    buttons = below.get_by_role("group").get_by_role("button")
    assert {button.get_attribute("data-verb") for button in buttons.all()} == set(told["recommendation"]["verbs"])


def test_an_approval_makes_the_index_and_a_second_one_is_refused_with_its_hint(open_page, another_server):
    """Two people look at the same recommendation; the page of the second is not updated any more."""
    server = another_server
    item = server.rehearse("CREATE INDEX items_kind ON items (kind)")
    assert item["state"] == "ready", item
    assert not has_index(server, "items_kind")
    first, second = open_page(of=server), open_page(of=server)
    second.get_by_role("button", name="Pause updates").click()
    late = unfold(second, item).get_by_role("button", name="Approve")
    approve = unfold(first, item).get_by_role("button", name="Approve")
    with first.expect_response(f"**/v1/recommendations/{item['id']}/approve", timeout=VERB_MS_MAX):
        approve.click()
    expect(first.get_by_role("status")).to_contain_text(f"Recommendation {item['id']} is ")
    # It is watched, or has shown already that it keeps its promise.
    expect(state(first, item)).to_have_text(re.compile("^(watching|kept)$"))
    assert has_index(server, "items_kind")
    expect(details(first, item).get_by_role("button", name="Revert")).to_be_visible()
    expect(approve).to_be_hidden()
    expect(details(first, item).locator("h2")).to_be_focused()

    second.watch.expected.add("status of 409 ")
    with second.expect_response(f"**/v1/recommendations/{item['id']}/approve", timeout=VERB_MS_MAX) as refused:
        late.click()
    error = refused.value.json()["error"]
    assert (refused.value.status, error["sqlstate"]) == (409, "55000"), error
    alert = second.get_by_role("alert")
    expect(alert).to_contain_text(error["message"])
    expect(alert).to_contain_text(error["hint"])
    second.get_by_role("button", name="Close the error").click()
    expect(alert).to_be_hidden()


def test_while_a_verb_runs_its_buttons_are_off_and_say_so(open_page, server, evidence):
    """The answer is held back until the page was looked at."""
    useful, _ = evidence
    page = open_page()
    below = unfold(page, useful)
    held = []
    page.route("**/approve", lambda route: held.append(route))
    approve, verbs = below.get_by_role("button", name="Approve"), below.locator(".details > .verbs")
    with page.expect_request("**/approve"):
        approve.click()
    expect(verbs).to_have_attribute("aria-busy", "true")
    expect(approve).to_be_disabled()
    expect(approve).to_be_focused()
    expect(below.locator(".progress")).to_have_text(re.compile(r"^Making the change, \d+ s$"))
    # Pressed again, it is not asked again.
    approve.press("Enter")
    refusal = {"error": {"sqlstate": "42501", "message": "may not approve", "detail": "one of two", "hint": "Ask an admin."}}
    page.watch.expected.add("status of 403 ")
    held[0].fulfill(status=403, json=refusal)
    expect(page.get_by_role("alert")).to_contain_text("may not approve")
    expect(page.get_by_role("alert")).to_contain_text("one of two")
    expect(page.get_by_role("alert")).to_contain_text("Ask an admin.")
    expect(verbs).to_have_attribute("aria-busy", "false")
    expect(approve).to_be_enabled()
    expect(below.locator(".progress")).to_be_hidden()
    assert len(held) == 1


def test_a_dismissal_needs_no_mouse(open_page, server):
    """Its reason is hostile, and is shown as it was typed. It is on a small table, where a rehearsal ends soon."""
    item = server.rehearse(f"CREATE INDEX unwanted ON {quoted(HOSTILE_TABLE)} (kind)")
    page = open_page()
    expect(row(page, item)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the recommendations")).to_be_focused()
    page.keyboard.press("Enter")
    opener = page.get_by_role("button", name=f"{item['id']} details", exact=True)
    tab_to(page, opener)
    assert opener.evaluate("node => getComputedStyle(node).outlineStyle") == "solid", "the focus is to be seen"
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "true")
    dismiss = details(page, item).get_by_role("button", name="Dismiss")
    tab_to(page, dismiss)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Dismiss recommendation {item['id']}?")
    reason = dialog.get_by_label("Why it is not wanted")
    expect(reason).to_be_focused()

    # Escape thinks better of it, and gives the focus back.
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(dismiss).to_be_focused()
    expect(state(page, item)).not_to_have_text("dismissed")

    page.keyboard.press("Enter")
    expect(reason).to_be_focused()
    # Without a reason it does not go.
    tab_to(page, dialog.get_by_role("button", name="Dismiss"))
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    reason.focus()
    page.keyboard.type(HOSTILE_REASON)
    tab_to(page, dialog.get_by_role("button", name="Dismiss"))
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(state(page, item)).to_have_text("dismissed")
    expect(details(page, item).locator("h2")).to_be_focused()
    expect(details(page, item).locator(".decisions tbody tr").last).to_contain_text(HOSTILE_REASON)
    assert page.locator("main img, main script").count() == 0
    told = server.recommendation(item["id"])
    assert told["recommendation"]["state"] == "dismissed"
    assert told["decisions"][-1]["reason"] == HOSTILE_REASON


def test_a_rehearsal_ends_with_the_client_that_asked_for_it(server):
    """Nobody would see its end; and it would keep the next one waiting."""

    def left_alone():
        status, answer = server.ask("/v1/recommendations")
        assert status == 200, answer
        return next((one for one in answer["recommendations"] if "left_alone" in one["command"]), {"state": "unknown"})

    client = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc)
    body = json.dumps({"sql": "CREATE INDEX left_alone ON items (price, kind)"})
    client.request("POST", "/v1/recommendations", body, {"Content-Type": "application/json"})
    while left_alone()["state"] in ("unknown", "observed", "proposed"):
        pass
    client.close()
    while (item := left_alone())["state"] == "rehearsing":
        pass
    assert (item["state"], item["state_reason"]) == ("proposed", "its rehearsal was cancelled"), item
    # What is proposed the pipeline would rehearse by itself, in the middle of another test.
    status, answer = server.ask(f"/v1/recommendations/{item['id']}/dismiss", {"reason": "the test is over"})
    assert status == 200, answer
    assert server.rehearse("ANALYZE items")["state"] in ("ready", "rejected"), "the next one"


def test_a_hostile_name_is_shown_as_text(open_page, server):
    server.sql(f"SELECT count(*) FROM {quoted(HOSTILE_TABLE)} WHERE kind = 3")
    item = server.rehearse(f"CREATE INDEX hostile ON {quoted(HOSTILE_TABLE)} (kind, id)")
    page = open_page()
    assert "<script>alert(" in item["object"], item
    expect(row(page, item).locator(".object")).to_have_text(item["object"])
    expect(row(page, item).locator(".command")).to_have_text(item["command"])
    below = unfold(page, item)
    expect(below.locator("pre").nth(0)).to_have_text(item["command"])
    queries = [one["query"] for one in server.recommendation(item["id"])["statements"] if "<script>alert(" in one["query"]]
    assert len(queries) == 2, queries
    for query in queries:
        expect(below.locator(".statements")).to_contain_text(query)
    assert page.locator("main script").count() == 0


def test_an_idea_of_ones_own_is_rehearsed(open_page):
    page = open_page()
    sql = page.get_by_label("Try an index of your own")
    sql.fill("CREATE INDEX my_idea ON items (kind, shelf)")
    with page.expect_response(lambda response: response.request.method == "POST", timeout=VERB_MS_MAX) as answered:
        page.get_by_role("button", name="Rehearse", exact=True).first.click()
        expect(page.locator("#idea")).to_have_attribute("aria-busy", "true")
        expect(page.locator("#idea-help")).to_have_text(re.compile(r"^Rehearsing on a clone, \d+ s$"))
    assert answered.value.status == 200, answered.value.text()
    item = answered.value.json()["recommendation"]
    expect(row(page, item).locator(".command")).to_contain_text("my_idea")
    expect(details(page, item)).to_be_visible()
    expect(sql).to_have_value("")
    expect(page.get_by_role("status")).to_contain_text(f"Recommendation {item['id']} is {item['state']}")


def test_an_idea_that_is_no_index_is_refused_and_stays_as_it_was_typed(open_page):
    page = open_page()
    page.watch.expected.add("status of 4")
    sql = page.get_by_label("Try an index of your own")
    sql.fill("DROP TABLE items")
    with page.expect_response(lambda response: response.request.method == "POST") as answered:
        sql.press("Control+Enter")
    error = answered.value.json()["error"]
    expect(page.get_by_role("alert")).to_contain_text(error["message"])
    expect(sql).to_have_value("DROP TABLE items")
    expect(page.locator("#idea-help")).to_contain_text("The database itself is not changed.")


def read_again(page):
    """Lets as much time pass as the page waits between two lists, and more; then the new list is shown, and the next one is due."""
    updated = page.locator("#updated")
    before = updated.text_content()
    page.clock.run_for(10_000)
    expect(updated).not_to_have_text(before)


def test_an_update_leaves_focus_typed_text_and_open_cards_alone(open_page, evidence):
    useful, useless = evidence
    page = open_page(clock=True)
    below = unfold(page, useful)
    sql = page.get_by_label("Try an index of your own")
    sql.fill("CREATE INDEX half")
    sql.evaluate("node => node.setSelectionRange(7, 12)")
    kept = [below.locator(".statements tbody tr").first, row(page, useful).locator(".factor"), row(page, useful).locator(".bar")]
    for part in kept:
        part.evaluate("node => { node.mark = 'the same node'; }")
    read_again(page)
    # What has changed is shown and told: here another state, which the server did not say.
    changed = page.request.get(page.url.split("#")[0] + "v1/recommendations").json()
    next(item for item in changed["recommendations"] if item["id"] == useless["id"])["state"] = "expired"
    page.route("**/v1/recommendations", lambda route: route.fulfill(json=changed))
    read_again(page)
    expect(state(page, useless)).to_have_text("expired")
    expect(page.get_by_role("status")).to_contain_text(f"Recommendation {useless['id']} is expired.")
    expect(sql).to_be_focused()
    assert sql.evaluate("node => [node.value, node.selectionStart, node.selectionEnd]") == ["CREATE INDEX half", 7, 12]
    expect(below).to_be_visible()
    for part in kept:
        assert part.evaluate("node => node.mark") == "the same node"


def assert_not_asked(page, before):
    """Nothing was asked for since `before` requests; a request of ours comes after those that were on their way."""
    page.evaluate("() => fetch('healthz').then(() => null)")
    assert page.watch.requested[before:] == [f"{page.url}healthz"]


def test_a_hidden_tab_and_a_paused_page_ask_for_nothing(open_page, evidence):
    useful, _ = evidence
    page = open_page(clock=True)
    expect(row(page, useful)).to_be_visible()
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    read_again(page)
    before = len(page.watch.requested)
    page.evaluate(hide, True)
    page.clock.run_for(120_000)
    assert_not_asked(page, before)
    with page.expect_request("**/v1/recommendations"):
        page.evaluate(hide, False)
    read_again(page)
    pause = page.get_by_role("button", name="Pause updates")
    before = len(page.watch.requested)
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "true")
    page.clock.run_for(120_000)
    assert_not_asked(page, before)
    with page.expect_request("**/v1/recommendations"):
        pause.click()


def test_a_server_that_is_gone_is_told_once_and_the_list_stays(open_page, evidence):
    useful, _ = evidence
    page = open_page(clock=True)
    expect(row(page, useful)).to_be_visible()
    page.watch.expected.add("net::ERR_FAILED")
    page.route("**/v1/recommendations", lambda route: route.abort())
    alert = page.get_by_role("alert")
    page.clock.run_for(10_000)
    expect(alert).to_contain_text("the server did not answer")
    page.get_by_role("button", name="Close the error").click()
    with page.expect_event("requestfailed"):
        page.clock.run_for(10_000)
    expect(page.locator("#updated")).to_have_class("lost")
    expect(alert).to_be_hidden()
    expect(row(page, useful)).to_be_visible()
    page.unroute("**/v1/recommendations")
    read_again(page)
    expect(page.locator("#updated")).not_to_have_class("lost")


@pytest.mark.parametrize("mode", ["off", "shadow", "advise"])
def test_an_empty_list_says_why_and_what_to_do(open_page, mode):
    page = open_page()
    empty = {"mode": mode, "ai_cpu_seconds": 0, "recommendations": []}
    page.route("**/v1/recommendations", lambda route: route.fulfill(json=empty))
    page.reload()
    expect(page.locator("#nothing-text")).to_contain_text("No recommendations")
    expect(page.locator("#nothing-text")).to_contain_text("try an index" if mode == "advise" else "--ai-mode advise")


def test_the_address_names_a_recommendation(open_page, evidence):
    _, useless = evidence
    page = open_page(f"#{useless['id']}")
    expect(details(page, useless).locator(".decisions .hash code").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_in_list_details_dialog_and_messages(open_page, evidence, assert_accessible, scheme, width):
    useful, useless = evidence
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(row(page, useful)).to_be_visible()
    assert_accessible(page, "the list")
    below = unfold(page, useful)
    unfold(page, useless)
    assert_accessible(page, "the details")
    refusal = {"error": {"sqlstate": "55000", "message": "stale", "hint": "Rehearse it."}}
    page.route("**/approve", lambda route: route.fulfill(status=409, json=refusal))
    page.watch.expected.add("status of 409 ")
    below.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("alert")).to_contain_text("Rehearse it.")
    assert_accessible(page, "the error")
    page.get_by_role("button", name="Close the error").click()
    below.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page, "the dialog")


@pytest.mark.parametrize("width", [360, 768, 1181, 1920])
def test_nothing_scrolls_sideways(open_page, server, evidence, width):
    useful, _ = evidence
    page = open_page(viewport={"width": width, "height": 740})
    expect(row(page, useful)).to_be_visible()
    unfold(page, useful)
    wide = """() => [...document.querySelectorAll("body *")].filter(node => {
        const box = node.getBoundingClientRect();
        return box.width > 1 && box.right > document.documentElement.clientWidth + 1;
    }).map(node => node.outerHTML.slice(0, 120))"""
    assert page.evaluate(wide) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_shifts_while_the_page_is_read_and_updated(open_page, evidence, width):
    useful, _ = evidence
    page = open_page(viewport={"width": width, "height": 800})
    page.add_init_script(
        """(() => {
            const note = list => window.shifts.push(...list.map(entry =>
                `${entry.value.toFixed(4)}: ${entry.sources.map(one => one.node?.id || one.node?.className || one.node?.nodeName)}`));
            window.shifts = [];
            window.observer = new PerformanceObserver(list => note(list.getEntries()));
            window.observer.observe({ type: "layout-shift", buffered: true });
            window.noted = () => { note(window.observer.takeRecords()); return window.shifts; };
        })()"""
    )
    # The same list each time: a move of the pipeline would be told, and what is told takes room of its own.
    same = page.request.get(page.url + "v1/recommendations").json()
    page.route("**/v1/recommendations", lambda route: route.fulfill(json=same))
    page.reload()
    expect(row(page, useful)).to_be_visible()
    with page.expect_response("**/v1/recommendations"):
        pass
    # Two frames later what the answer changed is laid out.
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("noted()") == []
