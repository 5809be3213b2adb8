"""The fixtures that several campaigns share."""

from campaign.cells import cells, templates

__all__ = ["cells", "templates"]
