"""HotWax's own feeds beside the tables: an inventory reset, a variance, a configuration export."""

from dataclasses import dataclass
from random import Random

from campaign.damages import Damage, Target
from campaign.drawn_worlds import CONFIG, Row, Value, World
from campaign.exporters import Cell, Dialect, Sheet

RESETS = (
    "FacilityId,IdType,IdValue,AvailableQty,LocationSeqId",
    "facilityId,externalFacilityId,idValue,idType,locationSeqId,comments,availableQty",
)
VARIANCES = ("facilityId,externalFacilityId,idType,idValue,availableDelta,locationSeqId,varianceReasonId,comments",)
CONFIGURATIONS = (
    "product-id,internal-name,product-id-value,facility-id,external-id,ATP,minimum-stock,inv-group-member",
)
FORMS = {"reset": RESETS, "variance": VARIANCES, "configuration": CONFIGURATIONS}
NEEDED = {"availableqty", "availabledelta", "idtype", "idvalue", "product-id", "facility-id", "atp"}
KEYS = {"facilityid", "externalfacilityid", "idtype", "idvalue", "locationseqid", "product-id", "facility-id"}


@dataclass(frozen=True)
class Feed:
    """One feed: its form, its columns, its rows as they are spelt, and the same rows by product_id and facility_id."""

    form: str
    names: list[str]
    spelt: list[Row]
    plain: list[Row]

    def target(self, dialect: Dialect, zone: str, *, is_plain: bool = False) -> Target:
        """The feed's file."""
        rows = self.plain if is_plain else self.spelt
        values: list[list[Value]] = [[row.get(name.lower()) for name in self.names] for row in rows]
        cells: list[list[Cell]] = [
            [str(v) if isinstance(v, int) else str(v) if v else None for v in line] for line in values
        ]
        needed = {name for name in self.names if name.lower() in NEEDED}
        keys = [name for name in self.names if name.lower() in KEYS]
        unread = {
            "comments",
            "locationSeqId",
            "LocationSeqId",
            "product-id-value",
            "external-id",
            "inv-group-member",
            "externalFacilityId",
        }
        return Target(
            self.form,
            dialect,
            Sheet(self.form, [*self.names], cells),
            [*self.names],
            values,
            zone,
            needed,
            keys,
            unread,
            doubles=self.form != "variance",
        )


def draw(rng: Random, world: World) -> Feed:
    """A feed about some of the world's stock."""
    form = rng.choice(list(FORMS))
    names = rng.choice(FORMS[form]).split(",")
    stock = [row for row in world.tables["product_facility"] if form == "configuration" or row["facility_id"] != CONFIG]
    chosen = stock if form == "configuration" else rng.sample(stock, min(len(stock), rng.randint(1, 4)))
    made = [_rows(rng, world, form, row, "externalFacilityId" in names) for row in chosen]
    return Feed(form, names, [spelt for spelt, _ in made], [plain for _, plain in made])


def _rows(rng: Random, world: World, form: str, stock: Row, has_outside: bool) -> tuple[Row, Row]:
    """One row, spelt by a SKU or by what a facility is called outside, and plainly."""
    product, facility = str(stock["product_id"]), str(stock["facility_id"])
    sku = next(row["internal_name"] for row in world.tables["product"] if row["product_id"] == product)
    outside = next(row["external_id"] for row in world.tables["facility"] if row["facility_id"] == facility)
    if form == "configuration":
        both: Row = {
            "product-id": product,
            "internal-name": sku,
            "facility-id": facility,
            "external-id": outside,
            "atp": rng.choice([0, 4, 30, 1000]),
            "minimum-stock": rng.choice([0, 2, None]),
        }
        return both, both
    row: Row = {
        "availableqty": rng.choice([0, 1, 6, 1000]),
        "availabledelta": rng.choice([-3, -1, 2, 5]),
        "varianceReasonId".lower(): rng.choice(["VAR_MANUAL", "CYCLE_COUNT", "VAR_DAMAGED"]),
        "comments": rng.choice(["checked", "a, b", None]),
    }
    plain: Row = row | {"facilityid": facility, "idtype": "PRODUCT_ID", "idvalue": product}
    spelt = dict(plain) if rng.random() < 0.4 else plain | {"idtype": "SKU", "idvalue": sku}
    if has_outside and rng.random() < 0.4:
        spelt |= {"facilityid": None, "externalfacilityid": outside}
    return spelt, plain


def identifiers(rng: Random, target: Target, world: World) -> Damage | None:
    """A product named in another of HotWax's ways, or in none that it knows."""
    columns = {name.lower(): number for number, name in enumerate(target.names)}
    if "idtype" not in columns:
        return None
    sheet = target.sheet.copy()
    at = rng.randrange(len(sheet.records))
    record = sheet.records[at]
    product = _named(world, str(record[columns["idtype"]]), str(record[columns["idvalue"]]))
    item = world.items.get(product, 0)
    known = record[columns["idvalue"]]
    kinds = {
        "UPCA": world.upcs[product],
        "upca": world.upcs[product],
        "SHOPIFY_PROD_ID": f"4{item}",
        "SHOPIFY_PROD_SKU": known,
        "ERP_ID": f"E-{product}",
        "NETSUITE_PRODUCT_ID": f"N-{product}",
        "UNKNOWN": known,
        "": known,
        **{
            spelling(str(record[columns["idtype"]])): known
            for spelling in (str.lower, str.title, " {}".format, "{} ".format)
        },
    }
    word = rng.choice(list(kinds))
    if rng.random() < 0.15:
        word, kinds = "a product that nobody knows", kinds
        sheet.records.insert(at, [*record])
        sheet.records[at][columns["idvalue"]] = "NEW-IN-ERP"
    else:
        record[columns["idtype"]], record[columns["idvalue"]] = word, kinds[word]
    lines = [target.dialect.line(sheet, sheet.header, is_header=True), *map(target.line, sheet.records)]
    return Damage(
        f"id type: {word if word.startswith('a product') else repr(word)}",
        target.name,
        f"{target.sheet.records[at]}",
        f"{sheet.records[at]}",
        {target.file: target.joined(lines)},
    )


def _named(world: World, of: str, value: str) -> str:
    if of == "PRODUCT_ID":
        return value
    return next(str(row["product_id"]) for row in world.tables["product"] if row["internal_name"] == value)
