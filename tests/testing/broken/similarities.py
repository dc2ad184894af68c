"""Similarities that mislead a search, or a verdict."""

import torch

from memtk.testing import Case


def distance(q, r):
    return -(q[:, None] - r[None]).square().sum(-1)


def correlated(self, rows):
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True)


def write_twice_as_much(self, queries, references, out):
    out.copy_(2 * distance(queries, references))


def cases(sound, folder):
    def case(**changes):
        return Case(type("Broken", (sound.similarity,), changes))

    def compare(measure):
        return case(compare=lambda self, q, r: measure(q, r))

    return {
        "space_is_known": case(space="pixels"),
        "dtypes_and_shapes_are_kept": case(prepare=lambda self, rows: rows.float()),
        "similarities_are_finite": compare(lambda q, r: q @ r.T / 0),
        "comparing_uses_no_global_random_state": compare(
            lambda q, r: distance(q, r) + torch.rand((), dtype=q.dtype)
        ),
        "rows_are_prepared_one_by_one": case(prepare=lambda self, rows: rows - rows.mean(0)),
        "tiles_make_the_whole": compare(lambda q, r: distance(q, r) - distance(q, r).mean()),
        "a_row_is_most_like_itself": compare(lambda q, r: -distance(q, r)),
        "either_order_gives_the_same_similarity": compare(
            lambda q, r: distance(q, r) + 0.1 * q.square().sum(1, keepdim=True)
        ),
        "float32_is_as_near_as_it_says": compare(
            lambda q, r: distance(q, r) * (1 + 1e-3 * (q.dtype == torch.float32))
        ),
        "pairs_give_what_compare_gives": case(pairs=lambda self, q, r: (q * r).sum(1)),
        "compare_into_writes_what_compare_gives": case(compare_into=write_twice_as_much),
        "constant_rows_are_compared_or_refused": case(
            prepare=correlated, compare=lambda self, q, r: q @ r.T, pairs=None, compare_into=None
        ),
        # what is coarse has ties everywhere: no stranger is ever flagged
        "strangers_are_flagged_at_the_nominal_rate": compare(
            lambda q, r: (distance(q, r) == 0).to(q.dtype)
        ),
        "set_sizes_change_no_rate": compare(lambda q, r: distance(q, r) + len(q)),
        "more_planted_copies_flag_more": compare(lambda q, r: -distance(q, r)),
        "duplicates_change_nothing": compare(
            lambda q, r: distance(q, r) if len(r) < 60 else -distance(q, r)
        ),
    }
