"""Sizes of axes: integers, or expressions in unknown sizes.

Even if the input of a graph has no fixed size, relations between sizes are known. For
example, one feature map may be half as high as another. A `Symbolic` size is a
polynomial with rational coefficients over *atoms*: unknown sizes, and rounded sizes and
quotients that are not simplified further. Two sizes are equal if their expressions are
equal. Therefore, merges and splits of axes and the scale of a resize can be worked out
without numbers.

This file knows nothing about graphs or ops.
"""

from __future__ import annotations

import itertools
import math
import operator
import weakref
from collections.abc import Collection, Hashable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from receptive_field.threads import Lock


class Atom:
    """A size that is not simplified: an unknown size, a rounded size or a quotient.

    Atoms are interned (`_interned`): equal atoms are the same object. This makes it
    cheap to compare and sort deeply nested sizes.
    """

    __slots__ = ("__weakref__", "kind", "operands", "serial")

    def __init__(self, kind: str, operands: tuple[Size, ...], serial: int) -> None:
        self.kind = kind
        """The name, if the atom is an unknown size; otherwise "floor" or "quotient"."""
        self.operands = operands
        self.serial = serial

    def __str__(self) -> str:
        operands = ", ".join(map(str, self.operands))
        return f"{self.kind}({operands})" if operands else self.kind


_atoms: weakref.WeakValueDictionary[tuple[str, tuple[Size, ...]], Atom] = (
    weakref.WeakValueDictionary()
)
_serials = itertools.count()
_interning = Lock()


def _interned(kind: str, *operands: Size) -> Atom:
    key = (kind, operands)
    atom = _atoms.get(key)
    if atom is None:
        with _interning.held():
            atom = _atoms.get(key)  # Another thread may have made it.
            if atom is None:
                atom = _atoms[key] = Atom(kind, operands, next(_serials))
    return atom


Monomial = tuple[Atom, ...]


class Symbolic:
    """A polynomial over atoms: ``terms`` maps products of atoms to their coefficients.

    >>> height = unknown("height")
    >>> str((height * 2 + 4) // 2)
    'height + 2'
    """

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: dict[Monomial, Fraction]) -> None:
        self.terms = terms
        self._hash: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbolic) and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __str__(self) -> str:
        def product(monomial: Monomial, factor: Fraction) -> str:
            names = [str(atom) for atom in monomial]
            return "*".join(names if factor == 1 and names else [str(factor), *names])

        ordered = sorted(
            self.terms.items(), key=lambda t: (not t[0], [a.serial for a in t[0]])
        )
        return " + ".join(product(*term) for term in ordered)

    __repr__ = __str__

    def __add__(self, other: Any) -> Size:
        if isinstance(other, int) and not other:
            return self
        terms = dict(self.terms)
        for monomial, factor in _terms(other).items():
            known = terms.get(monomial)
            terms[monomial] = factor if known is None else known + factor
        return _simplest(terms)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Size:
        if isinstance(other, (int, Fraction)):
            if other == 1:
                return self
            return _simplest({m: factor * other for m, factor in self.terms.items()})
        terms: dict[Monomial, Fraction] = {}
        for one, factor in self.terms.items():
            for two, times in _terms(other).items():
                monomial = tuple(sorted(one + two, key=_SERIAL))
                terms[monomial] = terms.get(monomial, Fraction(0)) + factor * times
        return _simplest(terms)

    __rmul__ = __mul__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Any) -> Size:
        return self + _exact(other) * -1

    def __rsub__(self, other: Any) -> Size:
        return (-self) + _exact(other)

    def __truediv__(self, other: Any) -> Size:
        quotient = divide(self, _exact(other))
        return _atom("quotient", self, other) if quotient is None else quotient

    def __rtruediv__(self, other: Any) -> Size:
        quotient = divide(_exact(other), self)
        return _atom("quotient", other, self) if quotient is None else quotient

    def __floordiv__(self, other: Any) -> Size:
        return rounded_down(self / other)

    def __rfloordiv__(self, other: Any) -> Size:
        quotient: Size = self.__rtruediv__(other)
        return rounded_down(quotient)

    def __mod__(self, other: Any) -> Size:
        whole: Size = (self // other) * _exact(other)
        return self - whole

    @property
    def is_integral(self) -> bool:
        """Whether the value is an integer for all integer values of the atoms."""
        whole = all(factor.denominator == 1 for factor in self.terms.values())
        return whole and not _has_quotient(self.terms)


Size = int | Fraction | Symbolic
"""The number of positions on an axis. Fractions occur in intermediate results only."""


def unknown(name: str) -> Symbolic:
    """Returns a size about which nothing is known except its name."""
    return Symbolic({(_interned(name),): Fraction(1)})


def divide(size: Size, by: Size) -> Size | None:
    """Returns the exact quotient ``size / by``, or None if it is not known.

    >>> divide(unknown("n") * 12, unknown("n") * 4)
    3
    >>> divide(7, 2)
    Fraction(7, 2)
    """
    if not isinstance(by, Symbolic):
        if by == 0:
            return None
        if isinstance(size, Symbolic):
            return size * (1 / Fraction(by))
        return _plain(Fraction(size) / by)
    if size == by:
        return 1
    if size == 0:
        return 0
    numerator = _terms(size)
    if len(by.terms) == 1:
        ((monomial, factor),) = by.terms.items()
        terms = {}
        for one, times in numerator.items():
            rest = list(one)
            for atom in monomial:
                if atom not in rest:
                    return None
                rest.remove(atom)
            terms[tuple(rest)] = times / factor
        return _simplest(terms)
    # One sum is a multiple of another if all pairs of terms have the same ratio.
    ratios = {numerator.get(m, Fraction(0)) / f for m, f in by.terms.items()}
    if len(ratios) == 1 and len(numerator) == len(by.terms):
        return _plain(ratios.pop())
    return None


def divides(by: Size, size: Size) -> Size | None:
    """Returns ``size / by`` if it is known to be an integer, else None."""
    quotient = divide(size, by)
    if isinstance(quotient, Symbolic):
        return quotient if quotient.is_integral else None
    return quotient if isinstance(quotient, int) else None


def rounded_down(size: Size) -> Size:
    """Returns the largest integer that is not larger than ``size``.

    >>> str(rounded_down(unknown("n") * 3 + Fraction(5, 2)))
    '3*n + 2'
    """
    if not isinstance(size, Symbolic):
        return math.floor(size)
    if size.is_integral:
        return size
    whole = {m: f for m, f in size.terms.items() if f.denominator == 1 and m}
    rest = {m: f for m, f in size.terms.items() if m not in whole}
    constant = rest.pop((), Fraction(0))
    if _has_quotient(whole):
        return _atom("floor", size)
    if not rest:
        return _simplest({**whole, (): Fraction(math.floor(constant))})
    rest[()] = constant - math.floor(constant)
    rounded = _atom("floor", _simplest(rest))
    return rounded + _simplest({**whole, (): Fraction(math.floor(constant))})


def rounded_up(size: Size) -> Size:
    """Returns the smallest integer that is not smaller than ``size``."""
    return -1 * rounded_down(size * -1)


def ceiling_division(size: Size, by: int) -> Size:
    """Returns ``ceil(size / by)``, for example the output size of a strided layer.

    >>> ceiling_division(7, 2)
    4
    """
    if isinstance(size, int):
        return -(-size // by)
    return size if by == 1 else rounded_up(size * Fraction(1, by))


def residue(size: Size, modulus: int) -> int | None:
    """Returns ``size mod modulus`` if it is known, else None.

    >>> residue(unknown("n") * 4 + 3, 2)
    1
    """
    if isinstance(size, int) or modulus == 1:
        return size % modulus if isinstance(size, int) else 0
    rest = _terms(size).copy()
    constant = rest.pop((), Fraction(0))
    multiple = _simplest({m: f / modulus for m, f in rest.items()})
    if isinstance(multiple, Symbolic) and not multiple.is_integral:
        return None
    return int(constant) % modulus if constant.denominator == 1 else None


def remainder_of(size: Symbolic, modulus: int) -> tuple[Hashable, int]:
    """Returns a name and a number that describe the remainder of a size.

    If two sizes have the same name, their difference is equal to the difference of
    their numbers, modulo ``modulus``.

    >>> n = unknown("n")
    >>> remainder_of(n + 3, 2) == (remainder_of(n * 5, 2)[0], 1)
    True
    """
    rest = size.terms.copy()
    known = rest.pop((), Fraction(0))
    terms = {m: f % modulus for m, f in rest.items() if f % modulus}
    if known.denominator > 1 or any(f.denominator > 1 for f in terms.values()):
        # The terms are fractions. Only their sum is an integer.
        terms[()], known = known % modulus, Fraction(0)
    return frozenset(terms.items()), int(known) % modulus


def bounds(size: Size) -> tuple[Fraction, Fraction] | None:
    """Returns a lower and an upper limit of a size for all values of unknown sizes.

    Returns None if no such limits are known.

    >>> n = unknown("n")
    >>> bounds(n - rounded_down(n * Fraction(1, 2)) * 2)
    (Fraction(0, 1), Fraction(1, 1))
    """
    low, high, rest = _unrounded(size)
    return None if rest else (low, high)


LARGEST_AGREEING = 1 << 10
"""The largest value of the unknown sizes at which `can_agree` compares two sizes."""


def can_agree(one: Size, two: Size) -> bool | None:
    """Returns whether two sizes are equal for all, some or no values of unknown sizes.

    Returns True if they are equal for all values, and None if they may be equal for
    some values. Returns False if they are equal for no values, except where both are 1.
    If the difference of the sizes grows without limit, they are compared up to
    `LARGEST_AGREEING` and assumed to differ beyond it.

    >>> n = unknown("n")
    >>> can_agree(n, rounded_down(n * Fraction(1, 2)) * 2) is None
    True
    >>> can_agree(ceiling_division(n, 4), ceiling_division(n, 8))
    False
    """
    if one == two:
        return True
    low, high, rest = _unrounded(one - two)
    if not rest:
        return None if low <= 0 <= high and low < high else low == high == 0
    if not _is_linear(rest):
        return None
    (slope,) = rest.values()
    last = min(math.ceil(max(-low / slope, -high / slope)), LARGEST_AGREEING)
    meet = (_at(one, n) for n in range(1, last + 1) if _at(one, n) == _at(two, n))
    return None if any(size > 1 for size in meet) else False


def last_not_above(size: Size, number: int, limit: int) -> int:
    """Returns the largest n up to ``limit`` for which a size is at most ``number``.

    All unknown sizes are set to n. Returns 0 if the size is larger than ``number`` for
    every n.

    >>> last_not_above(ceiling_division(unknown("n"), 2), 3, 100)
    6
    """
    low, _, rest = _unrounded(size)
    if _is_linear(rest) and min(rest.values()) > 0:
        (slope,) = rest.values()
        limit = min(limit, math.ceil((number - low) / slope))
    values = range(limit, 0, -1)
    return next((n for n in values if _at(size, n) <= number), 0)


def smaller(one: Size, two: Size) -> Size | None:
    """Returns the size that is smaller when the unknown sizes are large.

    Returns None if this is not known.

    >>> str(smaller(unknown("n"), unknown("n") * 2 - 3))
    'n'
    """
    low, high, rest = _unrounded(one - two)
    signs = {factor > 0 for factor in rest.values()}
    if len(signs) > 1 or not all(map(_is_never_negative, rest)):
        return None
    if not all(_has_quotient([monomial]) for monomial in rest):
        return two if signs.pop() else one
    # A quotient need not grow with the unknown sizes.
    if high <= 0 and True not in signs:
        return one
    return two if low >= 0 and False not in signs else None


def _is_never_negative(monomial: Monomial) -> bool:
    """Returns whether a product is known not to be negative for large unknown sizes."""
    operands = [operand for atom in monomial for operand in atom.operands]
    return all(smaller(0, operand) == 0 for operand in operands)


def shape_in_words(shape: Iterable[Size | None]) -> str:
    """Returns a shape as text, with a question mark for each unknown size.

    >>> shape_in_words((1, unknown("x[1]"), None, 3))
    '(1, ?, ?, 3)'
    """
    texts = (str(size) if isinstance(size, int) else "?" for size in shape)
    return f"({', '.join(texts)})"


def in_words(size: Size) -> str:
    """Returns a size as a formula, with n as the name of its only unknown size.

    If there is no simple formula, returns the text of the expression.

    >>> in_words(ceiling_division(ceiling_division(unknown("x[1]"), 2), 2))
    'ceil(n / 4)'
    """
    if not isinstance(size, Symbolic) or "quotient" in str(size):
        return str(size)
    length, slope = _period_and_slope(size)
    parts = slope.denominator
    at_zero = _at(size, 0)
    for shift in range(parts * at_zero, parts * (at_zero + 1)):
        if all(
            (n * slope.numerator + shift) // parts == _at(size, n)
            for n in range(length)
        ):
            times = "n" if slope.numerator == 1 else f"{slope.numerator} * n"
            if shift == parts - 1 > 0:
                return f"ceil({times} / {parts})"
            moved = (
                f"{times} {'+' if shift > 0 else '-'} {abs(shift)}" if shift else times
            )
            if parts == 1:
                return moved
            return (
                f"floor({moved} / {parts})"
                if not shift
                else f"floor(({moved}) / {parts})"
            )
    return str(size)


def _at(size: Size, number: int) -> int:
    """Returns the value of a size when all unknown sizes are ``number``."""
    return math.floor(_exactly_at(size, number))


def _exactly_at(size: Size, number: int) -> Fraction:
    whole = Fraction(0)
    for monomial, factor in _terms(size).items():
        for atom in monomial:
            factor *= _atom_at(atom, number)
        whole += factor
    return whole


def _atom_at(atom: Atom, number: int) -> Fraction | int:
    if not atom.operands:
        return number
    if atom.kind == "floor":
        return _at(atom.operands[0], number)
    one, two = (_exactly_at(operand, number) for operand in atom.operands)
    return one / (two or 1)


def period(size: Size) -> int:
    """Returns the period of a size.

    Each time all unknown sizes grow by this period, the size grows by a fixed amount.

    >>> period(ceiling_division(ceiling_division(unknown("n"), 2), 3))
    6
    """
    return _period_and_slope(size)[0] if isinstance(size, Symbolic) else 1


def _period_and_slope(size: Size) -> tuple[int, Fraction]:
    """Returns the period and slope of a size as all unknown sizes grow equally."""
    whole, slope = 1, Fraction(0)
    for monomial, factor in _terms(size).items():
        if len(monomial) != 1:
            continue
        (atom,) = monomial
        if atom.kind == "floor" and atom.operands:
            inner, steep = _period_and_slope(atom.operands[0])
            inner *= (steep * inner).denominator
        else:
            inner, steep = 1, Fraction(not atom.operands)
        whole, slope = math.lcm(whole, inner), slope + factor * steep
    return whole, slope


def limit_of_ratio(size: Size, by: Size) -> tuple[Fraction, Fraction, Fraction] | None:
    """Returns the ratio that ``size / by`` approaches for large unknown sizes.

    Also returns a lower and an upper limit of ``size - ratio * by`` for all values of
    unknown sizes. Returns None if the ratio has no limit, or if it is not known.

    >>> n = unknown("n")
    >>> limit_of_ratio(n * 2 + 1, n + 2)
    (Fraction(2, 1), Fraction(-3, 1), Fraction(-3, 1))
    """
    _, _, one = _unrounded(size)
    _, _, two = _unrounded(by)
    ratios = {factor / two[m] for m, factor in one.items() if m in two}
    if one.keys() != two.keys() or len(ratios) != 1:
        return None
    (ratio,) = ratios
    low, high, _ = _unrounded(size - ratio * by)
    return ratio, low, high


def _unrounded(size: Size) -> tuple[Fraction, Fraction, dict[Monomial, Fraction]]:
    """Returns ``low``, ``high`` and the terms of a sum without rounding.

    The size lies between ``sum + low`` and ``sum + high``. The most recently created
    rounding is undone first, so that its operand can cancel with other terms.
    """
    low = high = Fraction(0)
    terms = dict(_terms(size))
    while True:
        rounded = [m for m in terms if len(m) == 1 and m[0].kind == "floor"]
        if not rounded:
            break
        monomial = max(rounded, key=lambda m: m[0].serial)
        factor = terms.pop(monomial)
        operand = _terms(monomial[0].operands[0])
        # Rounding down an integer divided by d removes at most (d - 1) / d.
        parts = math.lcm(*(f.denominator for f in operand.values()))
        cut = factor * (1 if _has_quotient(operand) else Fraction(parts - 1, parts))
        if cut > 0:
            low -= cut
        else:
            high -= cut
        for one, times in operand.items():
            terms[one] = terms.get(one, Fraction(0)) + factor * times
        terms = {m: f for m, f in terms.items() if f}
    known = terms.pop((), Fraction(0))
    return low + known, high + known, terms


def _is_linear(terms: Collection[Monomial]) -> bool:
    """Returns whether a sum consists of a multiple of a single unknown size."""
    return [*map(len, terms)] == [1] and not _has_quotient(terms)


def product(sizes: Any) -> Size:
    """Returns the product of sizes, or 1 if there are none."""
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def _terms(value: Any) -> dict[Monomial, Fraction]:
    exact = _exact(value)
    if isinstance(exact, Symbolic):
        return exact.terms
    return {(): Fraction(exact)}


def _exact(value: Any) -> Size:
    """Converts a NumPy number or a float to an exact Python number."""
    if isinstance(value, (Symbolic, int, Fraction)):
        return value
    if hasattr(value, "__index__"):
        return operator.index(value)
    return _plain(Fraction(float(value)))


def _plain(value: Fraction) -> int | Fraction:
    return value.numerator if value.denominator == 1 else value


def _simplest(terms: dict[Monomial, Fraction]) -> Size:
    terms = {monomial: factor for monomial, factor in terms.items() if factor}
    if not terms:
        return 0
    if set(terms) == {()}:
        return _plain(terms[()])
    return Symbolic(terms)


def _atom(kind: str, *sizes: Any) -> Symbolic:
    return Symbolic({(_interned(kind, *map(_exact, sizes)),): Fraction(1)})


def _has_quotient(terms: Iterable[Monomial]) -> bool:
    """Returns whether any atom is a quotient, which may not be an integer."""
    return any(
        atom.kind == "quotient" and atom.operands
        for monomial in terms
        for atom in monomial
    )


_SERIAL = operator.attrgetter("serial")


def substituted(size: Size, values: Mapping[Atom, Size]) -> Size:
    """Returns the size with each atom in ``values`` replaced by its value."""
    if not isinstance(size, Symbolic):
        return size
    whole: Size = 0
    for monomial, factor in size.terms.items():
        term: Size = factor
        for atom in monomial:
            term = term * _value(atom, values)
        whole = whole + term
    return whole


def _value(atom: Atom, values: Mapping[Atom, Size]) -> Size:
    if atom in values:
        return values[atom]
    operands = [substituted(operand, values) for operand in atom.operands]
    if atom.kind == "floor" and operands:
        return rounded_down(operands[0])
    if atom.kind == "quotient" and operands:
        numerator, denominator = operands
        if isinstance(denominator, Symbolic):
            return numerator / denominator
        return numerator * Fraction(1, denominator)
    return Symbolic({(atom,): Fraction(1)})


def slope_and_offset(size: Size, symbol: Symbolic) -> tuple[int | None, int]:
    """Returns integers a and b such that the size is ``a * symbol + b``.

    Returns None and 0 if there are no such integers.
    """
    terms: dict[tuple[Atom, ...], Fraction] = {(): Fraction(0)}
    terms |= size.terms if isinstance(size, Symbolic) else {(): Fraction(size)}
    (monomial,) = symbol.terms
    slope, offset = terms.pop(monomial, Fraction(0)), terms.pop(())
    if terms or slope.denominator != 1 or offset.denominator != 1:
        return None, 0
    return int(slope), int(offset)
