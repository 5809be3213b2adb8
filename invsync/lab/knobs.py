"""The lab's knobs as widgets: turn one, and the history is replayed and drawn again."""

from collections.abc import Callable
from dataclasses import astuple, fields, replace
from typing import Any

import ipywidgets as widgets
from IPython.display import clear_output, display

from invsync.lab.tables import summary
from invsync.simulate import POLICIES, History, Lives, Scenario, replay
from invsync.simulate.charts import POLICY_NAMES, over_days
from invsync.simulate.scenario import VISIBLE_AFTER
from invsync.simulate.study import scaled

LABEL = {"description_width": "240px"}
LIVES = [field.name for field in fields(Lives)]
WIDE = widgets.Layout(width="620px")


def knobs(history: History, base: Scenario) -> widgets.VBox:
    """Policy, lags, cadence, buffer, safety stock, peak, lost webhooks, store sales and lives, with what they come to."""
    turned = {
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
    for name, one in turned.items():
        one.description, one.style, one.layout, one.continuous_update = NAMES[name], LABEL, WIDE, False
    drawn = widgets.Output()
    draw = _drawing(history, base, turned, drawn)
    for one in turned.values():
        one.observe(draw, names="value")
    draw(None)
    return widgets.VBox([*turned.values(), drawn])


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


def _drawing(history: History, base: Scenario, turned: dict[str, Any], drawn: widgets.Output) -> Callable[[Any], None]:
    def draw(_: Any) -> None:
        result = replay(history, scenario(base, {name: one.value for name, one in turned.items()}))
        with drawn:
            clear_output(wait=True)
            display(summary(result), over_days(result.by_day()))

    return draw


def scenario(base: Scenario, values: dict[str, Any]) -> Scenario:
    """The scenario that the knobs stand for; the lag keeps its shape."""
    lag, cadence, lives = values["lag"], float(values["cadence"]), Lives(**dict.fromkeys(LIVES, values["lives"]))
    rest = {name: value for name, value in values.items() if name not in ("lag", "cadence", "lives")}
    return replace(scaled(base, lag), cadence=cadence, lives=lives, **rest)
