"""Ask systems whether they answer, all at once and only for a moment, before they are read."""

import threading
import time
from collections.abc import Callable, Mapping

from invsync import oms, shopify
from invsync.config.settings import ShopSettings
from invsync.errors import InvsyncError

SECONDS = 1.25  # which leaves time to show what the last run saw within two
HOTWAX, SHOPIFY = "HotWax", "Shopify"
Question = Callable[[], bool]


def silent(shop: ShopSettings, seconds: float = SECONDS) -> tuple[str, ...]:
    """Return which of HotWax and Shopify do not answer within these seconds."""
    return unanswered(
        {
            HOTWAX: lambda: oms.answers(shop.oms, seconds),
            SHOPIFY: lambda: shopify.answers(shop, seconds),
        },
        seconds,
    )


def silent_shops(shops: Mapping[str, ShopSettings], seconds: float = SECONDS) -> tuple[str, ...]:
    """Return the shops, as `Shopify of <name>`, whose Shopify does not answer within these seconds."""

    def question(shop: ShopSettings) -> Question:
        return lambda: shopify.answers(shop, seconds)

    return unanswered({f"{SHOPIFY} of {name}": question(shop) for name, shop in shops.items()}, seconds)


def unanswered(questions: Mapping[str, Question], seconds: float) -> tuple[str, ...]:
    """Return the names of the questions that are not answered with true within these seconds.

    A thread whose question takes longer ends by itself, and holds up no exit.
    """
    answered: set[str] = set()
    threads = [threading.Thread(target=_ask, args=(*item, answered), daemon=True) for item in questions.items()]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return tuple(name for name in questions if name not in answered)


def _ask(name: str, question: Question, answered: set[str]) -> None:
    """Note a system that answers; what is wrong with the configuration, the reading itself will say."""
    try:
        answers = question()
    except InvsyncError:
        answers = True
    if answers:
        answered.add(name)
