"""Clearing up: one activity for every workflow that leaves blobs behind which nobody needs any more."""

from typing import TypedDict

from workflows import blobs, region

blueprint = region.Blueprint()


class Leftovers(TypedDict):
    """The names of blobs to delete."""

    names: list[str]


@blueprint.activity_trigger(input_name="leftovers")
def delete_blobs(leftovers: Leftovers) -> int:
    """Deletes the blobs; those already gone are fine, so it may run again."""
    for name in leftovers["names"]:
        blobs.container().delete(name)
    return len(leftovers["names"])
