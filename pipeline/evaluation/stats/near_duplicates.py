"""Near-duplicates among images: copies in another size, quality or format look alike to a small difference hash."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDE = 8
# Large images are reduced to this first: 72 averages need no more.
HASHED_SIDE = 256
# Of 64 bits. Of the sample photographs' copies at half the size and quality 40, 95 % differ in at most 6; of 46,000
# pairs of different ones, none in fewer than 8.
ALIKE_BITS = 6


def difference_hash(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """
    Return 64 bits of an image: whether each of 8 x 8 places is brighter than its neighbour to the right (dHash).

    `pixels`: uint8 [H, W, 3], RGB.
    """
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    rows = [part.mean(axis=0) for part in np.array_split(grey, SIDE, axis=0)]
    small = np.stack([part.mean(axis=1) for part in np.array_split(np.stack(rows), SIDE + 1, axis=1)], axis=1)
    return np.asarray(small[:, :-1] > small[:, 1:]).ravel()


def clusters_of(names: Sequence[str], hashes: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.intp]:
    """
    Return a number an image, int [N], equal for those that are one to a statistic.

    `names`: the cluster that each is said to be of; copies that `hashes` show, where there are any, are of the first
    one's.
    """
    said = list(names)
    hashed = [(place, each) for place, each in enumerate(hashes) if each is not None]
    firsts = near_duplicates([each for _, each in hashed]).tolist()
    for (place, _), first in zip(hashed, firsts, strict=True):
        said[place] = names[hashed[first][0]]
    return np.asarray(np.unique(said, return_inverse=True)[1], dtype=np.intp)


def written_hash(bits: NDArray[np.bool_]) -> str:
    """Return a difference hash as 16 hexadecimal digits."""
    return np.packbits(bits).tobytes().hex()


def read_hash(text: str) -> NDArray[np.bool_]:
    """Return the bits of `written_hash`."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).astype(bool)


def near_duplicates(hashes: Sequence[NDArray[np.bool_]]) -> NDArray[np.intp]:
    """
    Return, for each image, the place of the first one that it is a copy of, itself where there is none: int [N].

    `hashes`: bool [64] each, by `difference_hash`.
    """
    bits = np.array(hashes, dtype=np.int8).reshape(len(hashes), SIDE * SIDE)
    first = np.arange(len(hashes), dtype=np.intp)
    for place in range(1, len(hashes)):
        apart = (bits[:place] != bits[place]).sum(axis=1)
        nearest = int(apart.argmin())
        if apart[nearest] <= ALIKE_BITS:
            first[place] = first[nearest]
    return first
