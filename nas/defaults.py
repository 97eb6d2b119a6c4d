"""Every default that a search's price and result depend on, in one place, each with its reason.

"Measured" means: on the validation split of the real KWS recordings; the figures stand in docs/engines.md. Constants
that are no matter of taste or data (sizes of TFLM's structures, bounds of a check) stand where they are used.
"""

from __future__ import annotations

ENGINE = "dnas"
# Of networks that rebuild their input and are scored by ROC AUC, candidates of which are trained as long as winners:
# the loss that dnas descends is not the score, and the score moves up and down during a training. Measured on ToyCar.
REBUILDING_ENGINE = "tpe"
# Of spaces with a choice of kinds, strides and stages: dnas descends within one structure.
STRUCTURED_ENGINE = "evolution"

# Trainings; how weights learn stands in the recipe of the task, search_spaces/recipes
CANDIDATE_EPOCHS = 4  # of a candidate that is trained by itself, a tenth of a winner's
SUPERNET_EPOCHS = 15  # of shared weights, for one descent: 30 found networks that were no better, at twice the price
ONE_SHOT_EPOCHS = 80  # of shared weights that are to serve a whole budget: four networks share each batch

# Gradient search
HELD_OUT = 0.2  # share of the training samples that the choices learn from, and the shared weights never do (FBNet)
WEIGHT_STEPS = 4  # of the shared weights for each step of the choices: 80 % and 20 % of the samples
CHOICE_WARM_UP = 0.2  # share of the epochs in which only the weights learn: FBNet takes a ninth, of three times as many
CHOICE_LEARNING_RATE = 0.01  # per step, as a share of the range of options: FBNet's, for other parameters
DEPTH_START = 0.5  # of its range, at least: blocks that are hardly ever drawn are not trained, then unwanted; measured
HOT_SPREAD, COLD_SPREAD = 0.10, 0.02  # of widths and depths around their middle, as a share of the range
# Share of the range: widths that start below it have spreads and steps in proportion to their start. Searches that
# started at 0.17 were good without, those that started at 0.04 ended at half of their budget.
NARROW_START = 0.14
HOT_GUMBEL, COLD_GUMBEL = 1.0, 0.3  # temperature of the Gumbel-softmax
MULTIPLIER_RATE = 0.05  # a budget overspent by 10 % for 100 steps raises its multiplier by 0.5, about a task loss
MULTIPLIER_DAMPING = 2.0  # of the quadratic term, without which costs swing around their bounds

# Finals: short real trainings between the best candidates, the best even network among them
FINALISTS = 4
FINAL_SHARE = 0.25  # of the epochs of a winner; of scores after a tenth, the order is that of how fast networks learn
HALVINGS = 2  # of the budget, in which the winner's proportions are tried for a smaller network within noise of it
EVEN_CANDIDATES = 8  # at most, that every search scores first; at most a third of its candidates

TARGET_TRAININGS = 2.5  # full trainings on the way to a target: the winner, half of it and so on, and those in between

# Price of an epoch of shared weights, and of a score, in plain epochs of a network that uses the budget; told before a
# search
DESCENT_EPOCH_PRICE = 1.4  # one network a step, a mixture for every fourth: 1.2 to 1.7 measured, candidates included
SCORE_PRICE = 0.06  # of a score from inherited weights: statistics of 1,000 samples, answers for 1,200; measured
ONE_SHOT_EPOCH_PRICE = 1.5  # four networks a step, each on a quarter of the batch: 1.3 to 1.6 measured

# Numbers of candidates
DESCENT_CANDIDATES = 8  # the likeliest network and draws from around it, scored with inherited weights
INHERITED_CANDIDATES = 1000  # points that one set of shared weights scores
