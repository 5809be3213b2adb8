"""The knobs of a scenario as widgets: when one changes, the history is replayed and the result shown again."""

from dataclasses import astuple, dataclass, fields, replace
from typing import TypedDict, cast

import ipywidgets as widgets
from IPython.display import clear_output, display

from invsync.lab.answers import ab_table
from invsync.lab.tables import summary
from invsync.simulate import POLICIES, History, Lives, Scenario, replay
from invsync.simulate.charts import POLICY_NAMES, by_day
from invsync.simulate.compared import ab
from invsync.simulate.scenario import VISIBLE_AFTER
from invsync.simulate.study import scaled

SEEDS = 5  # of the comparison with the baseline
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


def knobs(history: History, base: Scenario, baseline: Scenario | None = None) -> widgets.VBox:
    """The knobs of a scenario, with the measures and the days of its replay below, beside a pinned baseline."""
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
    output, pin = widgets.Output(), widgets.Button(description="Pin as baseline", layout=WIDE)
    desk = Desk(history, base, inputs, output, baseline or base)
    for one in inputs.values():
        one.observe(desk.draw, names="value")
    pin.on_click(desk.pin)
    desk.draw(None)
    return widgets.VBox([*inputs.values(), pin, output])


@dataclass
class Desk:
    """The knobs, where their replay is shown, and the baseline that it is compared with."""

    history: History
    base: Scenario
    inputs: dict[str, widgets.Widget]
    output: widgets.Output
    baseline: Scenario

    def chosen(self) -> Scenario:
        """The scenario that the knobs say."""
        return scenario(self.base, cast(Values, {name: one.value for name, one in self.inputs.items()}))

    def draw(self, change: object) -> None:
        """Replay and compare again, and show both."""
        chosen = self.chosen()
        result, both = replay(self.history, chosen), ab(self.history, self.baseline, chosen, seeds=SEEDS)
        with self.output:
            clear_output(wait=True)
            display(summary(result), ab_table(both, self.baseline, chosen), by_day(result.by_day()))

    def pin(self, button: object) -> None:
        """Make what the knobs say now the baseline."""
        self.baseline = self.chosen()
        self.draw(None)


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
