"""Sets of texts: finitely many words, and languages of patterns.

A `TextUnion` is what one element of a policy lists: texts that match any of its entries. A `TextSet` is what is left of
all texts after several unions were required or excluded. Both operations keep only what is not empty, which
`pattern_search` determines exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.pattern_search import (
    beginning_of,
    find_text,
    guess,
    has_variable,
    includes,
    literal_of,
    matcher_of,
    may_overlap,
    variables_in,
)
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard

_MAX_RETRIES = 64
"""Up to this number of excluded words is excluded one by one, when a search finds them."""
_MAX_LANGUAGES = 8192
"""Maximum number of languages of one set."""


class TextUnion:
    """The texts that match any of some patterns; with `everything`, all texts."""

    def __init__(self, patterns: Iterable[Pattern], *, everything: bool = False) -> None:
        distinct = dict.fromkeys(patterns)
        self.everything = everything
        self.words = frozenset(text for pattern in distinct if (text := literal_of(pattern)) is not None)
        self.globs = tuple(pattern for pattern in distinct if literal_of(pattern) is None)
        self._words_near: dict[Pattern, list[str]] = {}
        self._globs_near: dict[Pattern, list[Pattern]] = {}

    def matches(self, word: str) -> bool:
        """Return whether a word is in the union."""
        return self.everything or word in self.words or self.has_glob_for(word)

    def matching(self, words: frozenset[str]) -> frozenset[str]:
        """Return the words that are in the union."""
        found = words if self.everything else words & self.words
        if not self.globs or len(found) == len(words):
            return found
        return found.union([word for word in words - found if self.has_glob_for(word)])

    def has_glob_for(self, word: str) -> bool:
        """Return whether a pattern with wildcards matches a word."""
        by_beginning = self._by_beginning
        for length in self._lengths:
            for pattern in by_beginning.get(word[:length], ()):
                if matcher_of(pattern)(word):
                    return True
        return False

    @cached_property
    def _by_beginning(self) -> dict[str, list[Pattern]]:
        found: dict[str, list[Pattern]] = {}
        for pattern in self.globs:
            found.setdefault(beginning_of(pattern), []).append(pattern)
        return found

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(beginning) for beginning in self._by_beginning})

    @cached_property
    def _sorted(self) -> tuple[list[str], list[str]]:
        return sorted(self.words), sorted(self._by_beginning)

    def words_in(self, language: Language) -> Iterator[str]:
        """Yield the words that are in a language."""
        near = self._words_near.get(language.source)
        if near is None:
            near = self._words_near[language.source] = [*_starting(self._sorted[0], beginning_of(language.source))]
        yield from (word for word in near if language.contains(word))

    def globs_near(self, language: Language) -> list[Pattern]:
        """Return the patterns with wildcards or variables that may overlap a language."""
        source = language.source
        near = self._globs_near.get(source)
        if near is None:
            beginning = beginning_of(source)
            shorter = (beginning[:length] for length in self._lengths)
            found = dict.fromkeys((*_starting(self._sorted[1], beginning), *shorter))
            patterns = [pattern for text in found for pattern in self._by_beginning.get(text, ())]
            near = self._globs_near[source] = [pattern for pattern in patterns if may_overlap(pattern, source)]
        return near

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """The variables, as `variable_text` wrote them."""
        texts = [piece for pattern in self.globs for piece in pattern if isinstance(piece, str)]
        return tuple(dict.fromkeys(name for text in texts for name in variables_in(text)))

    @cached_property
    def by_variables(self) -> list[TextUnion]:
        """The union in parts, each of patterns with the same variables."""
        found: dict[tuple[str, ...], list[Pattern]] = {(): [(word,) if word else () for word in self.words]}
        for pattern in self.globs:
            found.setdefault(tuple(sorted(TextUnion((pattern,)).variables)), []).append(pattern)
        return [TextUnion(patterns, everything=self.everything and not names) for names, patterns in found.items()]

    @cached_property
    def opened(self) -> TextUnion:
        """The union with a `*` in place of every variable."""
        if not any(map(has_variable, self.globs)):
            return self
        words = [(word,) if word else () for word in self.words]
        return TextUnion((*words, *map(open_variables, self.globs)), everything=self.everything)


def _starting(texts: list[str], beginning: str) -> Iterator[str]:
    for index in range(bisect_left(texts, beginning), len(texts)):
        if not texts[index].startswith(beginning):
            return
        yield texts[index]


def open_variables(pattern: Pattern) -> Pattern:
    """Return the pattern with a `*` in place of every variable."""
    if not has_variable(pattern):
        return pattern
    pieces: list[str | Wildcard] = []
    for piece in pattern:
        for part in _parts(piece) if isinstance(piece, str) else (piece,):
            if part is not Wildcard.RUN or not pieces or pieces[-1] is not Wildcard.RUN:
                pieces.append(part)
    return tuple(pieces)


def _parts(text: str) -> Iterator[str | Wildcard]:
    start = 0
    for index, char in enumerate(text):
        if has_variable((char,)):
            if index > start:
                yield text[start:index]
            yield Wildcard.RUN
            start = index + 1
    if start < len(text):
        yield text[start:]


class Language(NamedTuple):
    """The texts that `source` and all of `also` match, and none of `excluded` and `words`.

    Only `source` may introduce variables.
    """

    source: Pattern
    also: tuple[Pattern, ...] = ()
    excluded: frozenset[Pattern] = frozenset()
    words: frozenset[str] = frozenset()

    def contains(self, word: str) -> bool:
        """Return whether a word is in the language."""
        return (
            matcher_of(self.source)(word)
            and word not in self.words
            and all(matcher_of(pattern)(word) for pattern in self.also)
            and not any(matcher_of(pattern)(word) for pattern in self.excluded)
        )

    def find(self, work: Work) -> str | None:
        """Return a text of the language; None if it is empty."""
        excluded = self.excluded
        for retry in range(_MAX_RETRIES + 2):
            text, states = find_text(self.source, self.also, excluded)
            work.spend_states(states)
            if text is None or text not in self.words:
                return text
            more = self.words if retry == _MAX_RETRIES else (text,)
            excluded |= {(word,) if word else () for word in more}
        return None

    def meet(self, pattern: Pattern) -> Language:
        """Return the language of the texts that a pattern matches, too, which does not include the source."""
        if not has_variable(self.source) and not has_variable(pattern) and includes(self.source, pattern):
            return self._replace(source=pattern)
        return self._replace(also=tuple(sorted({*self.also, pattern}, key=str)))


class TextSet(NamedTuple):
    """Some words and some languages, of which none is empty; they may overlap."""

    words: frozenset[str]
    languages: tuple[Language, ...]

    def __bool__(self) -> bool:
        return bool(self.words or self.languages)

    def meet(self, union: TextUnion, work: Work) -> TextSet:
        """Return the texts that are in the union, too."""
        if union.everything:
            return self
        words = {*union.matching(self.words)}
        found: dict[Language, None] = {}
        for language in self.languages:
            words.update(union.words_in(language))
            found.update(dict.fromkeys(_pieces(language, union, work)))
        return _checked(frozenset(words), tuple(found))

    def introduce(self, union: TextUnion, work: Work) -> TextSet:
        """Return the texts that are in the union, too; they have the variables of its patterns.

        Where the set does not have all texts of a pattern, every text in place of its variables counts, since only
        some of their values are in the set. The set itself has no variables.
        """
        if union.everything:
            return self
        words = union.opened.matching(self.words).union(filter(self.contains, union.words))
        languages: dict[Language, None] = {}
        for language in self.languages:
            for pattern in union.globs:
                if includes(language.source, pattern) and not language.also:
                    introduced = language._replace(source=pattern)
                else:
                    introduced = language.meet(open_variables(pattern))
                if may_overlap(pattern, language.source) and introduced.find(work) is not None:
                    languages[introduced] = None
        return TextSet(words, tuple(languages))

    def contains(self, word: str) -> bool:
        """Return whether a word is in the set."""
        return word in self.words or any(language.contains(word) for language in self.languages)

    def minus(self, union: TextUnion, work: Work) -> TextSet:
        """Return the texts that are not in the union."""
        if union.everything:
            return NO_TEXT
        words = self.words - union.matching(self.words)
        found = []
        for language in self.languages:
            globs = union.globs_near(language)
            taken = [*union.words_in(language)]
            if globs or taken:
                left = language._replace(excluded=language.excluded.union(globs), words=language.words.union(taken))
                if left.find(work) is not None:
                    found.append(left)
            else:
                found.append(language)
        return _checked(words, tuple(found))

    def surely_not_in(self, union: TextUnion, work: Work) -> TextSet:
        """Return the texts that are not in the union, whatever values their variables have."""
        if not self.has_variables:
            return self.minus(union, work)
        plain, varying = self._split()
        out = [
            language for language in varying if not TextSet(frozenset(), (language,)).opened.meet(union.opened, work)
        ]
        return plain.minus(union, work).join(TextSet(frozenset(), tuple(out)))

    def perhaps_in(self, union: TextUnion, work: Work) -> TextSet:
        """Return the texts that are in the union, if their variables have certain values."""
        if not self.has_variables:
            return self.meet(union, work)
        plain, varying = self._split()
        found = [language for language in varying if TextSet(frozenset(), (language,)).opened.meet(union.opened, work)]
        return plain.meet(union, work).join(TextSet(frozenset(), tuple(found)))

    def _split(self) -> tuple[TextSet, list[Language]]:
        """Return the texts without variables, and the languages with variables."""
        plain = tuple(language for language in self.languages if not has_variable(language.source))
        return TextSet(self.words, plain), [language for language in self.languages if has_variable(language.source)]

    def join(self, other: TextSet) -> TextSet:
        """Return the texts of both sets."""
        return TextSet(self.words | other.words, tuple(dict.fromkeys((*self.languages, *other.languages))))

    @property
    def has_variables(self) -> bool:
        """Whether a text may contain a variable."""
        return any(has_variable(language.source) for language in self.languages)

    @property
    def opened(self) -> TextSet:
        """The set with every text that its variables may have; an excluded pattern with variables excludes nothing."""
        if not any(
            has_variable(pattern) for language in self.languages for pattern in (language.source, *language.excluded)
        ):
            return self
        languages = [
            Language(
                open_variables(language.source),
                tuple(map(open_variables, language.also)),
                frozenset(pattern for pattern in language.excluded if not has_variable(pattern)),
                language.words,
            )
            for language in self.languages
        ]
        return TextSet(self.words, tuple(languages))

    def samples(self, work: Work, preferred: Iterable[str] = ()) -> Iterator[str]:
        """Yield some texts of the set, the most readable first."""
        yield from sorted(self.words - _LAST_SAMPLES)
        for language in self.languages:
            yield from (word for word in preferred if language.contains(word))
            yield from (text for text in _guesses(language) if language.contains(text))
            text = language.find(work)
            if text is not None:
                yield text
        yield from sorted(self.words & _LAST_SAMPLES)


def _pieces(language: Language, union: TextUnion, work: Work) -> Iterable[Language]:
    """Return what the patterns of a union match of a language: all of it, or one piece per pattern."""
    near = union.globs_near(language)
    if language.source in near or any(includes(pattern, language.source) for pattern in near):
        return [language]
    pieces: dict[Language, None] = {}
    for pattern in near:
        met = language.meet(pattern)
        if met not in pieces and met.find(work) is not None:
            pieces[met] = None
    return pieces


_LAST_SAMPLES = frozenset({"", "*"})
"""Words that only a request without alternatives has."""


def _guesses(language: Language) -> Iterator[str]:
    for pattern in (*language.also, language.source):
        yield guess(pattern)


def _checked(words: frozenset[str], languages: tuple[Language, ...]) -> TextSet:
    if len(languages) > _MAX_LANGUAGES:
        raise Undecided("the patterns have too many combinations")
    return TextSet(words, languages)


NO_TEXT = TextSet(frozenset(), ())
