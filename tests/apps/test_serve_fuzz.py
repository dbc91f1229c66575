"""Bodies that are nearly right: whatever is wrong is the caller's, and every one is answered."""

import random

import pytest
from serve_bodies import BODIES, spoilt, spoilt_once
from served import Engine, run, serving
from test_serve_policies import config


@pytest.mark.parametrize("number", range(len(BODIES)), ids=[path for path, _ in BODIES])
def test_each_place_of_each_body_may_be_left_out_or_odd(number):
    path, body = BODIES[number]

    async def told():
        async with serving(Engine(), config=config()) as client:
            for sent in spoilt_once(body):
                status, answer, _ = await client.post(path, sent)
                assert status in (200, 400, 404, 413, 422, 503), (path, sent, answer)

    run(told())


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_body_is_a_fault_of_ours(seed):
    draw, n = random.Random(seed), 400 if seed == 1 else 5000

    async def told():
        found = {}
        async with serving(Engine(), config=config()) as client:
            for number in range(n):
                path, body = BODIES[number % len(BODIES)]
                sent = spoilt(body, draw)
                status, answer, _ = await client.post(path, sent)
                assert status in (200, 400, 404, 413, 422, 503), (path, sent, answer)
                if status != 200:
                    assert answer["error"]["message"] and answer["error"]["code"]
                found[status] = found.get(status, 0) + 1
            for path, body in BODIES:
                assert (await client.post(path, body))[0] == 200, path
        return found

    found = run(told())
    assert found[200] > n / 20 and found[422] > n / 10
