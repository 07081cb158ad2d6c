"""How claims are decided: each measure is a function of a sweep's runs and of the claim's values.

A measure takes the sweep and, by name, the claim's parameters; ``paper`` and ``tolerance`` where it compares with them.
It returns a :class:`scripts.claim_measures.finding.Finding`.
"""

from collections.abc import Callable

from scripts.claim_measures import cost, errata, lstm, regression, table, two_layer
from scripts.claim_measures.finding import Finding
from scripts.claim_measures.from_scripts import messages

MEASURES: dict[str, Callable[..., Finding]] = {
    function.__name__: function
    for function in (
        messages,
        table.accuracy,
        table.least_spread,
        regression.not_better,
        regression.larger_steps,
        regression.settled,
        regression.smaller_limit,
        regression.first_addition,
        regression.gradient_bound,
        regression.slow,
        regression.exit_bound,
        regression.unviolated,
        two_layer.positive_gram,
        two_layer.norm_below_n,
        two_layer.bounded_labels,
        two_layer.linear_iterations,
        two_layer.converges,
        two_layer.log_linear,
        two_layer.same_rate,
        two_layer.step_settles,
        two_layer.within_bound,
        two_layer.loss_may_rise,
        two_layer.gram_stays_positive,
        two_layer.width_needed,
        errata.counterexample,
        errata.more_steps,
        errata.within_printed,
        lstm.robust_loss,
        lstm.better_accuracy,
        lstm.reaches,
        lstm.stabilizes,
        lstm.high_loss,
        lstm.decreases,
        cost.at_most,
        cost.at_least,
        cost.share_of_iteration,
    )
}
