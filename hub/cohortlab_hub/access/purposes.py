"""The Data Use Ontology (DUO, GA4GH): which purposes a dataset's codes allow. Pure functions.

A dataset has one permission code or more (each is a restriction: all must allow the purpose) and modifiers. A purpose is a DUO
code, a permission or an investigation, and for disease-specific research a disease: ``DUO:0000007/MONDO:0007254``. A disease is
within another one when workbench.yaml says so (``access.diseases``): no ontology is shipped, and none is guessed.

Of the modifiers, those that speak of the kind of research are enforced on the purpose (NMDS, GSO, NPOA, and CC which allows clinical
care). Those that speak of who asks, where, and what must be there before (ethics approval, collaboration, place, institution, project,
organisation) are enforced on the grant: a machine cannot know that an approval was given, so the grant must state that it was, with
the modifier's code in `fulfils`. Two it can know: a grant for an agreed time has an end, one for approved persons names a person.
What remains (publication, return of results, non-commercial use) is about what somebody will do: a decision lists it as an obligation.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

DISEASE = re.compile(r"[A-Za-z][A-Za-z0-9._:-]{1,47}")
PURPOSE = r"^DUO:\d{7}(/[A-Za-z][A-Za-z0-9._:-]{1,47})?$"

_CODE = re.compile(PURPOSE)

NO_RESTRICTION, GENERAL, HEALTH, DISEASE_SPECIFIC, ANCESTRY_ONLY = (
    "DUO:0000004",
    "DUO:0000042",
    "DUO:0000006",
    "DUO:0000007",
    "DUO:0000011",
)
METHODS, POPULATION, ANCESTRY, GENETIC, CLINICAL_CARE = "DUO:0000031", "DUO:0000032", "DUO:0000033", "DUO:0000038", "DUO:0000043"
_HEALTH_PURPOSES = {HEALTH, DISEASE_SPECIFIC, METHODS, GENETIC} | {f"DUO:00000{n}" for n in (34, 35, 36, 37, 39, 40)}
_RESEARCH = _HEALTH_PURPOSES | {GENERAL, ANCESTRY_ONLY, POPULATION, ANCESTRY}
_ALLOWED = {
    GENERAL: _RESEARCH,
    HEALTH: _HEALTH_PURPOSES,
    DISEASE_SPECIFIC: _HEALTH_PURPOSES,
    ANCESTRY_ONLY: {ANCESTRY_ONLY, POPULATION, ANCESTRY},
}

_MEANING = {
    NO_RESTRICTION: "any use",
    GENERAL: "general research",
    HEALTH: "health and biomedical research",
    DISEASE_SPECIFIC: "disease-specific research",
    ANCESTRY_ONLY: "research on population origins or ancestry",
    METHODS: "development of methods",
    POPULATION: "population research",
    ANCESTRY: "ancestry research",
    "DUO:0000034": "research on age categories",
    "DUO:0000035": "research on gender categories",
    "DUO:0000036": "use as research control",
    "DUO:0000037": "biomedical research",
    GENETIC: "genetic research",
    "DUO:0000039": "development of drugs",
    "DUO:0000040": "research on a disease category",
    CLINICAL_CARE: "clinical care",
}
_FORBIDS = {  # modifier -> (purposes that it forbids, what it says)
    "DUO:0000015": ({METHODS}, "no development of methods"),
    "DUO:0000044": ({ANCESTRY_ONLY, POPULATION, ANCESTRY}, "no research on population origins or ancestry"),
    "DUO:0000016": (_RESEARCH - {GENETIC}, "genetic studies only"),
}
TIME, PERSONS = "DUO:0000025", "DUO:0000026"
_NEEDS = {  # modifier -> what to do about a grant that does not state it
    "DUO:0000012": "Show a data steward that your research is of the kind that is allowed.",
    "DUO:0000018": "Show a data steward that your organisation and your use are not for profit.",
    "DUO:0000020": "Agree on the collaboration with the data's provider, and send that to a data steward.",
    "DUO:0000021": "Send your ethics approval to a data steward.",
    "DUO:0000022": "Tell a data steward from where you will work.",
    TIME: "Ask a data steward for a grant with the agreed end.",
    PERSONS: "Ask a data steward for a grant in your own name, a group's is not enough.",
    "DUO:0000027": "Tell a data steward which approved project it is for.",
    "DUO:0000028": "Show a data steward that you belong to an approved institution.",
    "DUO:0000045": "Show a data steward that your organisation is not for profit.",
}
STATED = frozenset(_NEEDS) - {TIME, PERSONS}
"""Modifiers that a grant states as fulfilled."""
_OBLIGATIONS = {
    "DUO:0000012": "research-specific restrictions apply",
    "DUO:0000018": "not for profit, non-commercial use only",
    "DUO:0000019": "results must be published",
    "DUO:0000020": "collaboration with the data's provider is required",
    "DUO:0000021": "ethics approval is required",
    "DUO:0000022": "only in the agreed places",
    "DUO:0000024": "no publication before the agreed day",
    "DUO:0000025": "only for the agreed time",
    "DUO:0000026": "only by the approved persons",
    "DUO:0000027": "only for the approved project",
    "DUO:0000028": "only at the approved institutions",
    "DUO:0000029": "results return to the data's provider",
    "DUO:0000045": "not-for-profit organisations only",
    "DUO:0000046": "non-commercial use only",
}


@dataclass(frozen=True, slots=True)
class Diseases:
    """Names of disease codes, and which lie within which."""

    titles: Mapping[str, str] = field(default_factory=dict)
    within: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def title(self, code: str) -> str:
        """The name for people, else the code."""
        return self.titles.get(code, code)

    def covers(self, wider: str, code: str) -> bool:
        """Whether `code` is `wider`, or lies within it by any number of steps."""
        seen, todo = set[str](), [code]
        while todo:
            one = todo.pop()
            if one == wider:
                return True
            if one not in seen:
                seen.add(one)
                todo += self.within.get(one, frozenset())
        return False


@dataclass(frozen=True, slots=True)
class Use:
    """What a dataset may be used for: DUO codes, and the diseases of DUO:0000007. Without codes it says nothing, and forbids nothing."""

    codes: frozenset[str] = frozenset()
    diseases: frozenset[str] = frozenset()


def parts(purpose: str) -> tuple[str, str | None]:
    """(DUO code, disease or None) of a purpose. Raises `ValueError` for a text that is none."""
    if not _CODE.fullmatch(purpose):
        raise ValueError("Not a purpose: write a DUO code, for disease-specific research with the disease: DUO:0000007/MONDO:0007254.")
    code, _, disease = purpose.partition("/")
    return code, disease or None


def says(purpose: str, diseases: Diseases) -> str:
    """A purpose in words, as in "breast cancer research (DUO:0000007)"."""
    code, disease = parts(purpose)
    words = f"{diseases.title(disease)} research" if disease else _MEANING.get(code, "a purpose of its own")
    return f"{words} ({code})"


def refusal(use: Use, purpose: str | None, diseases: Diseases) -> str:
    """Why `use` does not allow `purpose`, as "is for … , the project's purpose is …"; empty: it does.

    Without a stated purpose only what is open to all health research is allowed: a workbench is for nothing else.
    """
    allowed = [code for code in (NO_RESTRICTION, GENERAL, HEALTH, DISEASE_SPECIFIC, ANCESTRY_ONLY, CLINICAL_CARE) if code in use.codes]
    said = f"the project's purpose is {says(purpose, diseases)}" if purpose else "no purpose was stated"
    for code in allowed:
        if not _allows(code, use, purpose, diseases):
            if code == DISEASE_SPECIFIC and use.diseases:
                what = " or ".join(sorted(diseases.title(disease) for disease in use.diseases)) + f" research ({code})"
            else:
                what = f"{_MEANING[code]} ({code})"
            return f"is for {what}, {said}"
    code = parts(purpose)[0] if purpose else GENERAL
    for modifier, (forbidden, words) in _FORBIDS.items():
        if modifier in use.codes and code in forbidden:
            return f"is bound to: {words} ({modifier}), {said}"
    return ""


def _allows(permission: str, use: Use, purpose: str | None, diseases: Diseases) -> bool:
    code, disease = parts(purpose) if purpose else (None, None)
    if permission == NO_RESTRICTION or (code == CLINICAL_CARE and CLINICAL_CARE in use.codes):
        return True
    if permission == CLINICAL_CARE:  # it allows care beside what the other codes allow; alone it allows nothing else
        return not use.codes.isdisjoint(_ALLOWED)
    if permission == DISEASE_SPECIFIC and (disease is None or not any(diseases.covers(wider, disease) for wider in use.diseases)):
        return False
    return code in _ALLOWED[permission] or (code is None and permission in {GENERAL, HEALTH})


def obligations(use: Use) -> tuple[str, ...]:
    """What whoever uses the data has promised, in words with the code."""
    return tuple(f"{_OBLIGATIONS[code]} ({code})" for code in sorted(use.codes) if code in _OBLIGATIONS)


def unmet(use: Use, fulfils: Collection[str], *, personal: bool, ends: bool) -> tuple[str, ...]:
    """The modifiers of `use` that a grant does not meet, which states `fulfils`, is for one person or not, and has an end or not."""
    met = {*fulfils} & STATED | ({PERSONS} if personal else set()) | ({TIME} if ends else set())
    return tuple(sorted((use.codes & _NEEDS.keys()) - met))


def advice(modifier: str) -> tuple[str, str]:
    """Of a modifier that is not met: (what it says with its code, what to do)."""
    return f"{_OBLIGATIONS[modifier]} ({modifier})", _NEEDS[modifier]


def stateable() -> dict[str, str]:
    """The modifiers that a grant may state as fulfilled, with what they say."""
    return {code: _OBLIGATIONS[code] for code in sorted(STATED)}
