"""How many random examples a property is held against."""

from hypothesis import settings


def examples(count: int) -> settings:
    """This many, the same ones each time; ever new ones in a search.

    A search is a command of its own (see the README):
    ``pytest --hypothesis-profile=search``.
    """
    if settings.get_current_profile_name() == "search":
        return settings()
    return settings(max_examples=count)
