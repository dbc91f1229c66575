"""Packed reading gives what plain reading gives, whatever shares what.

Most of it on a tiny random llama built here; the real model joins where its GGUF is found.
"""

import pytest

torch = pytest.importorskip("torch", reason="the torch backends need torch")
transformers = pytest.importorskip("transformers", reason="the torch backends need transformers")

from glider.backends import _torch, fast  # noqa: E402
from glider.backends.fast import PrefixReader, check_sharing  # noqa: E402
from glider.core.errors import SetupError, Unavailable  # noqa: E402


def tiny(dtype=torch.float32, attention=None):
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,  # far from uniform, so that a wrong mask shows
    )
    model = transformers.AutoModelForCausalLM.from_config(
        config, dtype=dtype, attn_implementation=attention or _torch._attention()
    )
    return model.eval()


def plainly(model, sequence):
    """Log-probabilities by torch's own attention, one whole sequence at a time."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([sequence])).logits[0, -1].float().log_softmax(-1)


def numbers(count, start):
    return tuple((start * 7 + 13 * n) % 97 for n in range(count))


CRITERION, ARTICLE_1, ARTICLE_2 = numbers(20, 1), numbers(15, 2), numbers(30, 3)
NESTED = [CRITERION + a + (i, i + 1, 5) for a in (ARTICLE_1, ARTICLE_2) for i in range(4)]

CASES = {
    "one": [(3,)],
    "nothing shared": [(1, 2, 3), (2, 3), (3, 1, 2, 9)],
    "criterion, article, summary": NESTED,
    "one begins another": [(1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "unsorted": NESTED[::-1],
    "unequal lengths": [CRITERION[:n] for n in (1, 7, 19)] + [(*CRITERION, 5)],
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Several threads wait by spinning: beside other jobs they are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, params=[4, 128])
def block(request, monkeypatch):
    monkeypatch.setattr(fast, "_BLOCK", request.param)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("pass_tokens", [1, 1000])
@pytest.mark.parametrize("case", CASES)
def test_packed_reading_is_plain_reading(case, pass_tokens, share):
    model, reference = tiny(), tiny(attention="sdpa")
    reader = PrefixReader(model, share=share, pass_tokens=pass_tokens)
    with torch.inference_mode():
        found = list(reader.read(CASES[case]))
    assert [sequence for sequence, _, _ in found] == CASES[case]
    for sequence, logits, _ in found:
        torch.testing.assert_close(
            logits.log_softmax(-1), plainly(reference, sequence), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize(
    ("sequences", "computed"),
    [
        ([(1, 2, 3), (1, 2, 4)], 4),  # 1 2 3, then 4
        (NESTED, 20 + 15 + 30 + 8 * 3),  # criterion once, each article once
        ([(1, 2), (1, 2, 3)], 3),
        ([(1, 2, 3), (4, 5)], 5),
    ],
)
@pytest.mark.parametrize("pass_tokens", [8, 1000])
def test_what_is_shared_is_computed_once(sequences, computed, pass_tokens):
    reader = PrefixReader(tiny(), pass_tokens=pass_tokens)
    with torch.inference_mode():
        shared = [shared for _, _, shared in reader.read(sorted(sequences))]
    assert reader.computed == computed
    assert sum(map(len, sequences)) - sum(shared) == computed


def test_a_later_call_goes_on_from_the_last_sequence():
    reader, reference = PrefixReader(tiny()), tiny(attention="sdpa")
    with torch.inference_mode():
        list(reader.read(NESTED[:4]))
        before = reader.computed
        ((_, logits, shared),) = reader.read([NESTED[3]])  # the same again: one token anew
        assert (reader.computed - before, shared) == (1, len(NESTED[3]) - 1)
        torch.testing.assert_close(
            logits.log_softmax(-1), plainly(reference, NESTED[3]), atol=1e-4, rtol=0
        )


def test_bf16_stays_near_fp32():
    model = tiny(torch.bfloat16)
    reference = tiny(attention="sdpa")
    with torch.inference_mode():
        found = list(PrefixReader(model, pass_tokens=16).read(NESTED))
    for sequence, logits, _ in found:
        likely = plainly(reference, sequence).topk(5).indices
        off = logits.float().log_softmax(-1)[likely] - plainly(reference, sequence)[likely]
        assert off.abs().max() < 0.5


def test_a_model_that_ignores_the_mask_is_refused():
    check_sharing(tiny())
    blind = tiny()
    forward = blind.forward
    blind.forward = lambda **given: forward(**{**given, "attention_mask": None, "blocks": None})
    with pytest.raises(SetupError, match="share a beginning"):
        check_sharing(blind)


class SmallDevice:
    """Room for so many items at once."""

    def __init__(self, room):
        self.room, self.done = room, []

    def work(self, items):
        if len(items) > self.room:
            raise torch.OutOfMemoryError("no room")
        self.done.append(items)
        return [item * 10 for item in items]


@pytest.mark.parametrize(
    ("room", "batches"),
    [(5, [[1, 2, 3, 4, 5]]), (3, [[1, 2, 3], [4, 5]]), (4, [[1, 2, 3], [4, 5]])],
)
def test_too_little_memory_halves_the_batch_once(room, batches):
    device = SmallDevice(room)
    assert _torch.halving([1, 2, 3, 4, 5], device.work) == [10, 20, 30, 40, 50]
    assert device.done == batches


def test_too_little_memory_for_a_half_is_unavailable():
    with pytest.raises(Unavailable, match="memory"):
        _torch.halving([1, 2, 3, 4, 5], SmallDevice(2).work)
