"""The default topology without its hub: what is promised holds, and every control is seen to fail."""

from __future__ import annotations

import pytest

from lab.workspace import Workspace
from tests.clusters.experiments import degrade, require_whole, verdicts
from tests.clusters.labs import invoke

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def with_controls(hub_spoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The default topology with every negative control, of which those with a time constant are quick."""
    text = hub_spoke.topology.path.read_text()
    for addon, options in (
        ("promtail", "control: true, control_period: 2s"),
        ("prometheus-agent", "control: true"),
        ("thanos", "control: true"),
    ):
        assert f"{{use: {addon}}}" in text
        text = text.replace(f"{{use: {addon}}}", f"{{use: {addon}, with: {{{options}}}}}")
    path = tmp_path_factory.mktemp("controls") / "topology.yaml"
    path.write_text(text)
    invoke("up", "-t", str(path), "--yes", name=hub_spoke.lab)
    return str(path)


PROMISES = ("C1", "C2", "C3", "C4", "C5", "C6", "C7")
CONTROLS = (
    "C2-one-tenant",
    "C2-restarted",
    "C2-truncated",
    "C3-delete",
    "C4-far",
    "C5-any-backend",
    "C6-ten-tries",
)


def test_the_hub_dies_and_every_promise_of_the_platform_holds(
    hub_spoke: Workspace, with_controls: str
) -> None:
    _, folder = degrade(hub_spoke, with_controls)
    found = verdicts(folder)
    assert {name: found[name]["verdict"] for name in PROMISES} == dict.fromkeys(PROMISES, "pass")
    assert {name: found[name]["verdict"] for name in CONTROLS} == dict.fromkeys(CONTROLS, "fail")
    for each in ("app1", "app2"):
        lines = found["C6"]["measured"][each]["lines"]
        assert (lines["missing"], lines["twice"]) == (0, 0)
        assert lines["looked_for"] >= 300
        assert found["C6-ten-tries"]["measured"][each]["lines"]["missing"] > 50
        samples = found["C2"]["measured"][each]["samples"]
        assert samples["lost"] == 0
        assert samples["series"] >= 4
        # One a second, through an outage of ninety; and as many of all series as the agent counted.
        assert samples["beats"] >= 90
        assert samples["missing"][0] == 0
        assert samples["appended"] > samples["found"] > 0
        assert found["C2-restarted"]["measured"][each]["samples"]["lost"] > 0
        cut = found["C2-truncated"]["measured"][each]
        assert cut["samples"]["lost"] > 0
        assert cut["log"]["lost_from"][0] <= cut["samples"]["first_lost"] <= cut["log"]["lost_from"][1] + 1
    require_whole(hub_spoke)
