"""Headless Chromium publishes its fake camera to us."""

from mediaserver.media import Track
from tests.support.whip.browser import RESTART, SELECTED_PORT, STATISTICS, browser_page, publish
from tests.support.whip.helpers import AUTH, KEY, serving


async def test_chromium_publishes_h264_and_keeps_its_session_through_an_ice_restart():
    """A browser that prefers VP8 sends H.264, answers PLI, sees our reports, and may roam."""
    async with serving() as (client, endpoint, sink), browser_page(client) as page:
        result = await publish(page, client)
        assert result["status"] == 201, result
        await sink.until(lambda: len(sink.of(Track.VIDEO)) >= 10)
        idrs = sum(unit.is_idr for unit in sink.of(Track.VIDEO))
        endpoint.request_keyframe()
        await sink.until(lambda: sum(unit.is_idr for unit in sink.of(Track.VIDEO)) > idrs)
        await sink.until(lambda: {report.track for report in sink.reports} == set(Track))
        statistics = await page.evaluate(STATISTICS)  # the restart begins them anew
        before = len(sink.units)
        restarted = await page.evaluate(RESTART, KEY)
        await sink.until(lambda: len(sink.units) > before + 150)
        port = await page.evaluate(SELECTED_PORT)
        facts = endpoint.facts()
        deleted = await client.delete(result["location"], headers=AUTH)

    offered = [line for line in result["offer"].splitlines() if line.startswith("a=rtpmap")]
    print(f"Chromium: answer {result['answered']:.0f} ms, connected {result['connected']:.0f} ms")
    print(facts, statistics)
    assert any("VP8" in line for line in offered)
    assert result["connected"] < 50 * 6  # 50 ms on a quiet machine; this one is shared
    assert sink.of(Track.VIDEO)[0].is_idr
    assert restarted["status"] == 200
    assert port == restarted["port"]
    assert restarted["etag"] not in (None, result["etag"])
    assert not any(unit.follows_loss for unit in sink.units)
    assert facts["lost"] == 0
    assert statistics["plis"] >= 1
    assert statistics["rtt"] >= 0
    assert deleted.status == 200
    assert sink.reasons() == ["deleted"]
