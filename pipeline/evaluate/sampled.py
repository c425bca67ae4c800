"""From what a plain sample shows to what the whole would: counts with exact intervals."""

from pipeline.evaluate.exact import exact_ends
from pipeline.evaluate.intervals import Interval


def scaled(count: int, sample: int, images: int) -> Interval:
    """
    Return how many of `images` there are of what was counted in a plain `sample` of them, with a 95 % interval.

    The exact binomial interval (Clopper and Pearson 1934) is wider than that of a draw without replacement, and no
    further than what was seen: what is counted is there, and what was looked at and is not, is not.
    """
    if sample >= images:
        return Interval(float(count), float(count), float(count))
    lower, upper = exact_ends(count, sample)
    return Interval(count * images / sample, max(count, lower * images), min(images - (sample - count), upper * images))
