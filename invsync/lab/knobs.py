"""The knobs of a scenario as widgets: when one changes, the history is replayed and the result shown again."""

from collections.abc import Callable
from dataclasses import astuple, fields, replace
from typing import TypedDict, cast

import ipywidgets as widgets
from IPython.display import clear_output, display

from invsync.lab.tables import summary
from invsync.simulate import POLICIES, History, Lives, Scenario, replay
from invsync.simulate.charts import POLICY_NAMES, by_day
from invsync.simulate.scenario import VISIBLE_AFTER
from invsync.simulate.study import scaled

LABEL = {"description_width": "240px"}
LIVES = [field.name for field in fields(Lives)]
WIDE = widgets.Layout(width="620px")
NAMES = {
    "policy": "Policy",
    "lag": "Order lag, minutes on average",
    "cadence": "Job every, minutes",
    "buffer": "Buffer, units",
    "safety": "Safety stock, units",
    "peak": "Orders against the real ones",
    "loss": "Share of webhooks lost",
    "pos_share": "Share sold in stores",
    "lives": "Share of orders, of each life",
    "search_lag": "Order search, minutes behind",
}


class Values(TypedDict):
    """The values of the knobs: the mean lag, one share for all lives, and the rest as in a Scenario."""

    policy: str
    lag: float
    cadence: float
    buffer: int
    safety: int
    peak: float
    loss: float
    pos_share: float
    lives: float
    search_lag: float


def knobs(history: History, base: Scenario) -> widgets.VBox:
    """The knobs of a scenario, with the measures and the days of its replay below."""
    inputs = {
        "policy": widgets.Dropdown(options=[(POLICY_NAMES[name], name) for name in POLICIES], value=base.policy),
        "lag": widgets.FloatSlider(min=0, max=240, step=5, value=round(base.mean_lag)),
        "cadence": widgets.IntSlider(min=1, max=240, value=int(base.cadence)),
        "buffer": widgets.IntSlider(min=0, max=50, value=base.buffer),
        "safety": widgets.IntSlider(min=0, max=50, value=base.safety),
        "peak": widgets.FloatSlider(min=0.5, max=10, step=0.5, value=base.peak),
        "loss": widgets.FloatSlider(min=0, max=1, step=0.05, value=base.loss, readout_format=".0%"),
        "pos_share": widgets.FloatSlider(min=0, max=1, step=0.05, value=base.pos_share, readout_format=".0%"),
        "lives": widgets.FloatSlider(min=0, max=1, step=0.05, value=max(astuple(base.lives)), readout_format=".0%"),
        "search_lag": widgets.FloatSlider(min=0, max=VISIBLE_AFTER, step=0.5, value=base.search_lag),
    }
    for name, one in inputs.items():
        one.description, one.style, one.layout, one.continuous_update = NAMES[name], LABEL, WIDE, False
    output = widgets.Output()
    draw = _drawing(history, base, inputs, output)
    for one in inputs.values():
        one.observe(draw, names="value")
    draw(None)
    return widgets.VBox([*inputs.values(), output])


def _drawing(
    history: History, base: Scenario, inputs: dict[str, widgets.Widget], output: widgets.Output
) -> Callable[[object], None]:
    def draw(change: object) -> None:
        values = cast(Values, {name: one.value for name, one in inputs.items()})
        result = replay(history, scenario(base, values))
        with output:
            clear_output(wait=True)
            display(summary(result), by_day(result.by_day()))

    return draw


def scenario(base: Scenario, values: Values) -> Scenario:
    """The base with these values of its knobs; the lag keeps its shape."""
    return replace(
        scaled(base, values["lag"]),
        policy=values["policy"],
        cadence=float(values["cadence"]),
        buffer=values["buffer"],
        safety=values["safety"],
        peak=values["peak"],
        loss=values["loss"],
        pos_share=values["pos_share"],
        lives=Lives(**dict.fromkeys(LIVES, values["lives"])),
        search_lag=values["search_lag"],
    )
