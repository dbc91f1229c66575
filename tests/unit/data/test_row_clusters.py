"""Clusters: which rows are not independent."""

from glider.core.samples import Sample
from glider.data.clusters import Clusters


def codes(*samples):
    rows = list(range(len(samples)))
    return Clusters.of(zip(rows, samples, strict=True)).codes(rows)


def test_rows_share_an_input_and_a_context_or_all_of_their_texts():
    asked = [Sample.of(input=asked, output=said) for asked, said in ("ab", "ac", "db")]
    alone = [Sample.of(output=said) for said in "efe"]
    assert codes(*asked, *alone) == [0, 0, 1, 2, 3, 2]


def test_one_input_for_all_is_no_reason_to_be_alike():
    assert codes(*(Sample.of(input="Sum up.", output=said) for said in "abc")) == [0, 1, 2]
