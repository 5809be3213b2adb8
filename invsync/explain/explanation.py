"""The explanation of one level: its terms as a waterfall, the orders in flight, and what earlier runs saw and did."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property

from invsync.explain import bars, waterfall
from invsync.explain.bars import number
from invsync.explain.parts import Facility, LastLook, OrderInFlight, PastRun, SeenLevel, Step, Stock
from invsync.vocabulary import reason_words

WIDTH = 80  # characters


@dataclass(frozen=True, repr=False)
class Explanation:
    """One level taken apart; numbers are units, and `repr` is the explanation in words.

    `target` is what Shopify should show, `available` what it shows, and `held` the reason for which a job would not
    send the `difference`. `locations` are all locations of the product, `history` the last runs, newest first.
    `levels` are what runs saw, and `orders` those that were in flight then or are now, oldest first. Where a system
    does not answer, `last_look` is the run that these values are from; `at` is when they were read.
    """

    shop: str
    sku: str | None
    product_id: str
    inventory_item_id: int
    location_id: int
    mode: str
    locations: tuple[int, ...]
    target: float | None
    available: int | None
    difference: int | None
    oms: Stock
    in_flight: tuple[OrderInFlight, ...]
    set_aside: int
    buffer: int
    held: str | None
    tracked: bool | None
    active: bool | None
    history: tuple[PastRun, ...]
    at: datetime
    title: str | None = None
    location_name: str | None = None
    shopify_product_id: int | None = None
    shopify_variant_id: int | None = None
    levels: tuple[SeenLevel, ...] = ()
    orders: tuple[OrderInFlight, ...] = ()
    last_look: LastLook | None = None

    @property
    def moved_since(self) -> int | None:
        """Units by which Shopify's number differs from what the last run left; None where no run wrote it."""
        left = next((run.after for run in self.history if run.after is not None), None)
        return None if left is None or self.available is None else self.available - left

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The waterfall: steps whose units sum to the target; empty where the target is not known."""
        return waterfall.steps(
            self.oms, self.in_flight, set_aside=self.set_aside, buffer=self.buffer, target=self.target
        )

    @property
    def product(self) -> str:
        """The product's title, or its SKU, or its id in the OMS."""
        return self.title or self.sku or self.product_id

    @property
    def place(self) -> str:
        """The location's name, or its id."""
        return self.location_name or f"location {self.location_id}"

    @property
    def is_right(self) -> bool:
        """Whether Shopify shows what it should."""
        return self.target is not None and self.available is not None and not self.difference

    def finding(self, written: bars.Written = number) -> str:
        """What Shopify shows beside what it should show, as a sentence; `written` writes a number."""
        shows, should = ("showed", "should have shown") if self.last_look else ("shows", "should show")
        available = "nothing" if self.available is None else written(self.available)
        if self.target is None:
            return f"Shopify {shows} {available}; what it {should} is not known."
        if self.available is None:
            return f"Shopify {shows} nothing; it {should} {written(self.target)}."
        if not self.difference:
            return f"Shopify {shows} {available}, as it should."
        way = "few" if self.difference > 0 else "many"
        return f"Shopify {shows} {available}, {written(abs(self.difference))} too {way}: it {should} {written(self.target)}."

    def notes(self, written: bars.Written = number) -> list[str]:
        """What to know beside the numbers, as sentences: where they are from, what is held, what moved."""
        moved = self.moved_since
        return [
            *([self.last_look.sentence] if self.last_look else []),
            *([f"Nothing is sent ({reason_words(self.held)})."] if self.held else []),
            *([f"Moved by {written(moved, signed=True)} since the last run."] if moved else []),
        ]

    @property
    def lines(self) -> list[str]:
        """The explanation in words, one line each."""
        return self.text(WIDTH).splitlines()

    def text(self, width: int) -> str:
        """The explanation in words and bars of plain characters, at most `width` wide where its words allow that."""
        return "\n".join(_lines(self, width))

    def __repr__(self) -> str:
        return self.text(WIDTH)

    def _repr_html_(self) -> str:
        from invsync.explain import drawing  # it imports the charts, which take as long as all else

        return drawing.in_notebook(self)

    def to_dict(self) -> dict[str, object]:
        """The explanation as `invsync explain --json` prints it; stamps are datetimes."""
        return asdict(self) | {
            "oms": _stock(self.oms),
            "moved_since": self.moved_since,
            "steps": [asdict(step) for step in self.steps],
        }


def _stock(stock: Stock) -> dict[str, object]:
    facilities = [asdict(facility) for facility in stock.facilities]
    if stock.online is None:
        facilities = [{name: value for name, value in row.items() if name != "counts"} for row in facilities]
    terms = asdict(stock.online) if stock.online else {}
    return {"quantity": stock.quantity, **terms, "facilities": facilities}


def _lines(level: Explanation, width: int) -> Iterator[str]:
    code = f" ({level.sku or level.product_id})" if level.title else ""
    where = f" (location {level.location_id})" if level.location_name else ""
    yield f"{level.product}{code} at {level.place}{where}, shop {level.shop}"
    yield level.finding()
    yield from level.notes()
    yield ""
    yield from bars.waterfall(level.steps, level.target, level.available, width=width, past=level.last_look is not None)
    if level.oms.facilities:
        yield from ["", "Stock by facility", *map(_facility, level.oms.facilities)]
    if level.in_flight:
        yield from ["", "Orders in flight", *map(_order, level.in_flight)]
    if level.levels:
        yield from ["", "The level so far, newest first", *bars.levels(level.levels, level.orders, width=width)]
    if level.history:
        yield from ["", "What runs did, newest first", *map(_past, level.history)]


def _facility(facility: Facility) -> str:
    aside = ", not counted" if facility.counts is False else ""
    counted, kept = number(facility.last_inventory_count), number(facility.minimum_stock)
    sellable = number(facility.computed_last_inventory_count)
    return f"  {facility.label}: {sellable} ({counted} less safety stock {kept}{aside})"


def _order(order: OrderInFlight) -> str:
    if order.order_id is None:
        return f"  committed units: {number(order.units)}, {order.reason}"
    placed = f", placed {order.created_at:%Y-%m-%d %H:%M} UTC" if order.created_at else ""
    return f"  order {order.name or order.order_id}: {number(order.units)}{placed}: {order.reason}"


def _past(run: PastRun) -> str:
    line = f", line {(run.line or 0) + 1} of {run.file}" if run.file else ""
    words = f": {run.message}" if run.message else f" ({reason_words(run.reason)})" if run.reason else ""
    change = f" {number(run.available)} {number(run.delta, signed=True)}" if run.file and run.delta else ""
    when = run.finished_at[:16].replace("T", " ")
    return f"  {when}  {run.job} {run.run_id}{line}:{change} {run.outcome.replace('_', ' ')}{words}"
