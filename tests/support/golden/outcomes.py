"""Fixed outcomes of every kind, made in memory from the public event classes. After a move, re-point these imports."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from pipeline.errors import DeadLetterReason
from pipeline.events.calibration import Calibration, Isotonic, Platt
from pipeline.events.decisions import Decision, Ruling
from pipeline.events.images import DecodedImage, Picture
from pipeline.events.outcomes import DeadLetter, FlagEvent, PromptSimilarity, Raise, Verdict, flag_id
from pipeline.events.policies import (
    Aggregate,
    Background,
    Head,
    Mode,
    OnModelChange,
    Policy,
    PolicySet,
    ScoreKind,
    Severity,
)
from pipeline.events.records import ImageEvent, Origin, Record, Reference
from pipeline.events.scope import Scope
from pipeline.events.wire.handling import Action, Handling
from pipeline.policies.compile import compose, with_digest

MODEL = "0d" * 32
TIME = datetime(2031, 5, 20, 12, 30, 15, 123_456, tzinfo=UTC)

AIMED = with_digest(
    Policy(
        id="weapons.firearms.aimed",
        title="Aimed at someone",
        prompts=("a gun pointed at the camera",),
        contrast=(),
        templates=("a photo of {}",),
        score=ScoreKind.CONTRAST,
        threshold=3.5,
        severity=Severity.CRITICAL,
        action="review",
        owner="safety",
        mode=Mode.ENFORCE,
        provisional=True,
        digest="",
        parent="weapons.firearms",
    )
)
FIREARMS = with_digest(
    replace(
        AIMED,
        id="weapons.firearms",
        title="Firearms – naïve Übersicht",
        prompts=("a pistol", "a revolver"),
        contrast=("a water pistol",),
        templates=("a close-up photo of {}", "a photo of {}"),
        threshold=2.25,
        severity=Severity.MEDIUM,
        provisional=False,
        parent=None,
        model=MODEL,
        aggregate=Aggregate.MEAN,
        labels=(("queue", "weapons"), ("statute", "§ 52 WaffG")),
        rationale="the law of the land",
        audit_per_day=200,
        calibration=Calibration(
            digest="ca" * 32,
            data="da" * 32,
            prompts="ab" * 32,
            precision=0.95,
            confidence=0.9,
            probability=Isotonic(((0.0, 0.125), (2.0, 0.5), (4.0, 0.975))),
            stale=("prompts", "labels"),
        ),
    ),
    [AIMED],
)
BIG_CATS = with_digest(
    replace(
        FIREARMS,
        id="wildlife.big_cats",
        title="Big cats",
        mode=Mode.SHADOW,
        score=ScoreKind.SIMILARITY,
        contrast=(),
        aggregate=Aggregate.MAX,
        on_model_change=OnModelChange.REFUSE,
        expires=date(2032, 1, 31),
        audit_per_day=None,
        calibration=None,
        labels=(),
        scope=Scope(
            values=(("source", ("forum", "shop/*")),),
            some=(Scope(values=(("region", ("eu",)),)), Scope(values=(("age_gate", ("no",)),))),
            unless=Scope(values=(("surface", ("avatar",)),)),
        ),
    )
)
IVORY = with_digest(
    replace(
        FIREARMS,
        id="wildlife.ivory",
        title="Ivory",
        severity=Severity.LOW,
        score=ScoreKind.LINEAR,
        contrast=(),
        threshold=-0.5,
        audit_per_day=None,
        restricted=True,
        head=Head(weights=(0.5, -0.25, 1.0, 0.0), bias=-0.125, model=MODEL),
        calibration=Calibration("cb" * 32, "db" * 32, "ac" * 32, None, None, Platt(slope=1.5, intercept=-0.75)),
    )
)
POLICY_SET: PolicySet = compose(
    [BIG_CATS, IVORY, AIMED, FIREARMS], Background(("a car", "a chair"), ("a photo of {}",))
)


def verdicts() -> list[Verdict]:
    """
    Return three verdicts on images of one chunk.

    One flag is raised by a child, one image is out of a policy's scope and audited, and one is flagged by a restricted
    policy, so that its thumbnail is not sent on.
    """
    raised = _flag("img-1", FIREARMS, 2.75, (Raise(AIMED, 3.625),))
    return [
        _verdict(_image("img-1", 0), (2.75, 3.625, 2.5, -2.0), (1, 1, 1, 1), (1, 1, 1, 0), (raised,)),
        replace(_verdict(_reference("img-2", 1), (1.5, 3.75, 9.0, -2.0), (1, 1, 0, 1), (0, 0, 0, 0), ()), audit=0.0625),
        _verdict(
            _image("ïmg 3\n", 2),
            (-1e-7, 0.1, 0.30000000000000004, 1.0),
            (1, 1, 1, 1),
            (0, 0, 0, 1),
            (_flag("ïmg 3\n", IVORY, 1.0),),
        ),
    ]


def dead_letters() -> list[DeadLetter]:
    """Return a record kept whole, one that had neither key nor value, and one too large for the topic."""
    headers = (("ce_id", b"bad-1"), ("ce_source", b"forum"), ("watchword-reason", b"mine"))
    return [
        DeadLetter(
            Record(Origin("images", 3, 7), b"bad-1", b"\xff\xd8 no image", headers),
            DeadLetterReason.CORRUPT_IMAGE,
            "broken data stream – \udcff",
            TIME,
        ),
        DeadLetter(Record(Origin("images", 0, 0), None, None), DeadLetterReason.EMPTY, "the record has no value", TIME),
        DeadLetter(
            Record(Origin("images", 1, 9), b"k" * 900, b"\x00\xff" * 4000, (("note", b"n" * 3000), headers[0])),
            DeadLetterReason.TOO_LARGE,
            "d" * 1200,
            TIME,
        ),
    ]


def decisions() -> list[Decision]:
    """Return a decision with everything that one may say, and one with the least."""
    least = Decision(ruling=Ruling.MISSED, policy="wildlife.big_cats", source="forum", event_id="img-2", time=TIME)
    return [
        least,
        Decision(
            ruling=Ruling.OVERTURNED,
            policy=FIREARMS.id,
            source="forum",
            event_id="img-1",
            time=TIME,
            flag_id=str(_flag("img-1", FIREARMS, 2.75).flag_id),
            reviewer="ana",
            note="a toy – naïve",
            probability=0.0625,
            content="c0" * 32,
            picture="0123456789abcdef",
        ),
    ]


def handlings() -> list[Handling]:
    """Return the drop of a letter, and the requeue of one whose timestamp is not known."""
    dropped = Handling(
        origin=Origin("images", 3, 7),
        timestamp_ms=1_747_744_215_123,
        value_sha256="c0" * 32,
        reason=DeadLetterReason.CORRUPT_IMAGE,
        action=Action.DROPPED,
        time=TIME,
        by="ana",
        note="order 12/2031 – naïve",
    )
    return [dropped, replace(dropped, timestamp_ms=None, action=Action.REQUEUED, note="", attempt=2)]


def _flag(event_id: str, policy: Policy, score: float, raised_by: tuple[Raise, ...] = ()) -> FlagEvent:
    own = flag_id("forum", event_id, policy.id, policy.digest, MODEL)
    similarities = (
        PromptSimilarity("prompt", "a revolver", 0.3125),
        PromptSimilarity("contrast", "a water pistol", 0.2871093153953552),
        PromptSimilarity("background", "a car", -0.0625),
    )
    return FlagEvent(own, policy, score, similarities, raised_by)


def _image(event_id: str, offset: int) -> DecodedImage:
    event = ImageEvent(
        origin=Origin("images", 2, offset),
        id=event_id,
        source="forum",
        time=TIME,
        attributes={"region": "eu", "titel": "Über\u2028uns"},
        content=b"bytes",
    )
    picture = Picture(np.zeros((2, 2, 3), np.uint8), "JPEG", 320, 240, animated=False)
    return DecodedImage(event, picture, "c0" * 32, thumbnail=b"\xff\xd8 a thumbnail")


def _reference(event_id: str, offset: int) -> DecodedImage:
    image = _image(event_id, offset)
    event = replace(image.event, time=None, attributes={}, content=Reference("https://example.org/a.gif"))
    return replace(image, event=event, picture=replace(image.picture, format="GIF", animated=True), thumbnail=None)


def _verdict(
    image: DecodedImage,
    scores: tuple[float, ...],
    in_scope: tuple[int, ...],
    flagged: tuple[int, ...],
    flags: tuple[FlagEvent, ...],
) -> Verdict:
    return Verdict(
        image=image,
        embedding=np.array([0.5, -0.5, 0.1, 0.7], np.float16),
        scores=np.array(scores, np.float64),
        in_scope=np.array(in_scope, bool),
        flagged=np.array(flagged, bool),
        flags=flags,
        policy_set=POLICY_SET,
        model_digest=MODEL,
        time=TIME,
    )
