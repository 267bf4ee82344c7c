"""A shelf is a list outside of memory: order, length, and the last thing of a name."""

from recovery.shelf import Shelf


def test_things_come_back_in_their_order_and_by_their_names():
    shelf = Shelf()
    for number, name in enumerate(("a", "b", "a")):
        shelf.put(name, (name, number))
    assert list(shelf) == [("a", 0), ("b", 1), ("a", 2)] and len(shelf) == 3
    assert (shelf.get("a"), shelf.get("b"), shelf.get("c")) == (("a", 2), ("b", 1), None)


def test_an_empty_shelf_is_false():
    assert not Shelf() and list(Shelf()) == []
