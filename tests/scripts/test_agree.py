"""make agree: a wrong result is a contradiction, another machine's rounding is not."""

import pandas as pd

from scripts.claims import agree


def folder(root, verdicts, ranges=((0.0, 1.0),)):
    """A folder as the scripts write it, with these verdicts and a figure of these ranges."""
    root.mkdir()
    claims = pd.DataFrame({"id": [f"c{k}" for k in range(len(verdicts))], "verdict": verdicts})
    drawn = pd.DataFrame(ranges, columns=["loss_min", "loss_max"]).assign(b0=1.0)
    for name, frame in (("claims", claims), ("figure_0", drawn)):
        (root / f"{name}.csv").write_text("# mark\n" + frame.to_csv(index=False))
    return root


def test_what_agrees_and_what_does_not(tmp_path):
    theirs = ["reproduced", "partly", "undecided", "not reproduced", "not run at this scale"]
    ours = ["reproduced", "undecided", "reproduced", "reproduced", "reproduced"]
    published = folder(tmp_path / "published", theirs, [(0, 1), (0, 1), (0, 1)])
    found = agree.compare(folder(tmp_path / "made", ours, [(1, 2), (-1, 3), (1.1, 2)]), published)
    assert (found.equal, found.undecided, found.alone) == (1, ["c1", "c2"], 1)
    assert found.contradictions == ["c3: reproduced, published not reproduced"]
    assert (found.overlapping, found.points) == (2, 3)
