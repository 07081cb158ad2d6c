"""The loops that need nothing but torch: plain, accumulated, timm's, with a GradScaler, compiled."""

import pytest
import torch

from examples import accumulation, compiled, grad_scaler, plain, problem, timm_loop
from tests.examples.comparing import STEPS, assert_b_differs, assert_runs, assert_same, loader, observe_the_last_only
from tests.optim.problems import COMPILES


def test_plain_is_the_literal_recurrence():
    model, optimizer = plain.train(loader())
    other, _ = plain.train([])
    b = 1.0
    for x, y in loader():
        loss = torch.nn.functional.cross_entropy(other(x), y)
        gradients = torch.autograd.grad(loss, list(other.parameters()))
        b = (b**2 + loss.item()) ** 0.5
        with torch.no_grad():
            for p, gradient in zip(other.parameters(), gradients, strict=True):
                p -= gradient / b
    assert float(optimizer.b) == pytest.approx(b, rel=1e-12)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-10)


def test_an_example_tells_how_it_goes(capsys, expected):
    plain.train(loader())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == STEPS // 20
    _, optimizer = expected
    assert lines[-1].startswith(f"step {STEPS}: loss ")
    assert lines[-1].endswith(f"b {optimizer.b:.3f}, step size {optimizer.effective_lr[0]:.4f}")


@pytest.mark.parametrize("parts", [1, 4])
def test_accumulated_micro_batches_are_one_batch(parts, expected):
    assert_same(accumulation.train(loader(parts), every=parts), expected)


def test_a_micro_batch_left_out_is_noticed(monkeypatch, expected):
    observe_the_last_only(monkeypatch, 4)
    assert_b_differs(accumulation.train(loader(4), every=4), expected)


@pytest.mark.parametrize(("parts", "clip"), [(1, None), (4, 0.1)])
def test_the_loop_of_timm(parts, clip, expected):
    if clip is not None:
        free, expected = expected, plain.train(loader(), clip)
        assert_b_differs(free, expected)  # the clipping is felt: later losses are others
    assert_same(timm_loop.train(loader(parts), accum_steps=parts, clip_grad=clip), expected)


def test_a_grad_scaler_changes_nothing(expected):
    assert_same(grad_scaler.train(loader()), expected)


def state(optimizer):
    parameters = [p.detach().flatten() for group in optimizer.param_groups for p in group["params"]]
    return torch.cat([*parameters, optimizer.b.reshape(1), torch.tensor([optimizer.param_groups[0]["t"]])])


def test_a_step_that_the_scaler_skips_leaves_parameters_and_b(monkeypatch):
    skipped, scaled_step, changed = (0, 7, 8), torch.amp.GradScaler.step, []

    def spoiling(scaler, optimizer, *args, **kwargs):
        if len(changed) in skipped:
            optimizer.param_groups[0]["params"][0].grad[0, 0] = torch.inf
        before = state(optimizer)
        scaled_step(scaler, optimizer, *args, **kwargs)
        changed.append(not torch.equal(state(optimizer), before))

    monkeypatch.setattr(torch.amp.GradScaler, "step", spoiling)
    batches = problem.loader(STEPS + len(skipped))
    trained = grad_scaler.train(batches)
    assert [i for i, moved in enumerate(changed) if not moved] == list(skipped)
    assert_same(trained, plain.train([batch for i, batch in enumerate(batches) if i not in skipped]))


def test_float16_overflows_by_itself_and_then_trains():
    torch.set_default_dtype(torch.float32)
    try:
        (model, optimizer), batches = grad_scaler.train(loader(), init_scale=2.0**40), list(loader())
        skipped = STEPS - optimizer.param_groups[0]["t"]
        assert 5 < skipped < 50
        reference, other = plain.train(batches[skipped:])
    finally:
        torch.set_default_dtype(torch.float64)
    assert float(optimizer.b) == pytest.approx(float(other.b), rel=1e-3)
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-2, atol=1e-2)


@COMPILES
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:torch", "ignore::UserWarning:torch", "ignore:Guards may run slower:RuntimeWarning"
)  # dynamo's own
def test_nothing_is_compiled_again_after_the_second_step(expected):
    torch._dynamo.reset()

    def guarded():
        for step, batch in enumerate(loader(), start=1):
            with torch._dynamo.config.patch(error_on_recompile=step > 2):
                yield batch

    # The compiled step is rounded to float32.
    assert_same(compiled.train(guarded(), backend="aot_eager"), expected, rtol=1e-6)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:torch", "ignore::UserWarning:torch", "ignore:Guards may run slower:RuntimeWarning"
)  # dynamo's own
@pytest.mark.parametrize(
    "name", ["plain", "accumulation", "grad_scaler", "timm_loop", pytest.param("compiled", marks=COMPILES)]
)
def test_the_scripts(name, capsys, monkeypatch):
    compiler = torch.compile  # the real backend takes half a minute
    monkeypatch.setattr(torch, "compile", lambda what, backend: compiler(what, backend="eager"))
    assert_runs(name, capsys)
