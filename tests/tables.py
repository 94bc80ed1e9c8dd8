"""Tables of arguments that are refused: one case a function, however many rows.

    @each_row(("arguments", "message"), [({"n": 0}, "n: got 0"), ({"seed": -1}, "seed: got -1")])
    def test_arguments_out_of_range_are_named(arguments, message): ...

is written as ``pytest.mark.parametrize`` is. Rows share the fixtures of the case; the row that fails is named.
"""

import functools
import inspect


def each_row(names, rows):
    """Run a test for each row of a table within one case."""
    names = tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else tuple(names)
    rows = list(rows)
    assert rows, "a table without rows tests nothing"

    def decorate(test):
        signature = inspect.signature(test)
        shared = [parameter for name, parameter in signature.parameters.items() if name not in names]

        @functools.wraps(test)
        def case(*own, **fixtures):
            for row in rows:
                given = dict(zip(names, row if len(names) > 1 else (row,), strict=True))
                try:
                    test(*own, **given, **fixtures)
                except BaseException as error:
                    error.add_note(f"in the row {given!r:.500}")
                    raise

        case.__signature__ = signature.replace(parameters=shared)
        return case

    return decorate
