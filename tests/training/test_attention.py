"""Our attention is attention: values and gradients of the plain form, and no padding is seen."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")

from transformers import AutoModelForCausalLM, LlamaConfig  # noqa: E402

from glider.training import attention  # noqa: E402


def plainly(query, key, value, scale):
    each = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(each, 1), value.repeat_interleave(each, 1)
    scores = query @ key.mT * scale
    ahead = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return (scores.masked_fill(ahead, -torch.inf).softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("n", [1, 5, 128, 129, 300])
@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (6, 2), (3, 1)])
def test_values_and_gradients_are_those_of_the_plain_form(n, heads, key_heads):
    torch.manual_seed(n)
    shapes = [(2, heads, n, 8), (2, key_heads, n, 8), (2, key_heads, n, 8)]
    ours = [torch.randn(shape, requires_grad=True) for shape in shapes]
    theirs = [one.detach().clone().requires_grad_() for one in ours]
    mine, plain = attention.causal(*ours, 0.3), plainly(*theirs, 0.3)
    assert mine.shape == (2, n, heads, 8)
    assert torch.allclose(mine, plain, atol=1e-5)
    weights = torch.randn_like(plain)
    (mine * weights).sum().backward()
    (plain * weights).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-5)


@pytest.mark.parametrize("which", ["tiny", "tiny_phi"])
def test_in_a_model_it_is_what_eager_is(which, request):
    folder = request.getfixturevalue(which)
    ids = torch.randint(3, 300, (2, 150))
    ids[1, 100:] = 0  # padding on the right
    losses, grads = [], []
    for name in ("eager", attention.register()):
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=name)
        states = model.base_model(ids, use_cache=False).last_hidden_state
        loss = states[0].pow(2).sum() + states[1, :100].pow(2).sum()
        loss.backward()
        losses.append(loss.item())
        grads.append([p.grad for p in model.base_model.parameters() if p.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"sliding_window": 1024}, True),
        ({"sliding_window": 100}, False),
        ({"attn_logit_softcapping": 50.0}, False),
        ({"attention_dropout": 0.1}, False),
    ],
)
def test_it_is_not_taken_where_attention_is_more(changes, fits):
    config = LlamaConfig()
    for name, value in changes.items():
        setattr(config, name, value)
    assert attention.fits(config, 1024) is fits
