"""When a run ends and which saved states it passes through, on states written by hand."""

import math

import pytest
import torch

from msat.langevin.moments import CAPACITY, BlockMeans
from msat.langevin.settings import LangevinSettings
from msat.langevin.state import BURN_IN_BLOCKS, State
from msat.langevin.stopping import (
    block_length,
    judge_burn_in,
    largest_rhat,
    passes_through,
    progress_of,
    segment_is_full,
)

CHAINS, N_TRAIN, STEP = 4, 6, 0.05  # 20 steps are one relaxation time


def _state(phase="sampling", base_blocks=0, length=20, **values):
    """A state after so many base blocks of a length, its monitors all drawn from one law."""
    generator = torch.Generator().manual_seed(0)
    blocks = BlockMeans()
    for _ in range(base_blocks):
        draw = torch.randn(CHAINS, generator=generator, dtype=torch.float64)
        blocks.append(dict.fromkeys(("along", "readout_norm", "first_layer_variance"), draw))
    weights = (torch.zeros(CHAINS, 3, 5), torch.zeros(CHAINS, 3))
    steps = {"burn_in_steps" if phase == "burn_in" else "steps": base_blocks * length}
    return State(weights, weights, generator, STEP, 1.0, phase, blocks=blocks, **(steps | values))


@pytest.mark.parametrize(
    ("phase", "settings", "length"),
    [
        ("sampling", {}, 20),  # a relaxation time
        ("sampling", {"steps": 10 * CAPACITY}, 10),  # a fixed run has at least CAPACITY blocks
        ("sampling", {"steps": 64}, 1),
        ("sampling", {"max_steps": 5 * CAPACITY}, 5),
        ("burn_in", {}, 20),
        ("burn_in", {"max_burn_in": 4 * BURN_IN_BLOCKS}, 4),
        ("burn_in", {"max_burn_in": 1}, 1),
    ],
)
def test_block_length(phase, settings, length):
    assert block_length(LangevinSettings(**settings), _state(phase), N_TRAIN) == length


def test_block_length_is_bounded_by_memory():
    """Outputs of one block stay below 2^25 numbers."""
    n_train = 2**25 // (CHAINS * 3)
    assert block_length(LangevinSettings(), _state(), n_train) == 3
    assert block_length(LangevinSettings(), _state(), 2**26) == 1


def test_every_state_of_burn_in_is_on_the_way():
    assert passes_through(LangevinSettings(target_error=10.0), _state("burn_in", 40), N_TRAIN)
    assert passes_through(LangevinSettings(steps=64), _state(), N_TRAIN)


@pytest.mark.parametrize(
    ("settings", "lowest", "passes"),
    [
        ({"max_steps": 100_000}, math.inf, True),
        ({"max_steps": 12_000}, math.inf, True),  # the end lies at this state
        ({"max_steps": 11_980}, math.inf, True),  # the end lies inside a block, which is made whole
        ({"max_steps": 11_960}, math.inf, False),  # it ended one block before
        ({"steps": 12_000}, 0.0, True),  # a fixed run does not look at errors
        ({"steps": 640}, math.inf, False),  # its blocks are shorter
        ({"target_error": 0.01}, 0.02, True),
        ({"target_error": 0.02}, 0.02, True),
        ({"target_error": 0.03}, 0.02, False),  # it stopped where its error was below 3 per cent
    ],
)
def test_which_runs_pass_through_a_state(settings, lowest, passes):
    """12,000 steps in 600 base blocks, four to a block; runs that end by step 11,960 had ended before."""
    state = _state(base_blocks=600, lowest_error=lowest)
    assert state.blocks.merged == 4
    assert passes_through(LangevinSettings(**settings), state, N_TRAIN) is passes


def test_a_segment_of_burn_in_doubles_until_chains_agree_or_no_room_is_left():
    settings = LangevinSettings(max_burn_in=20 * BURN_IN_BLOCKS * 4)
    state = _state("burn_in", BURN_IN_BLOCKS)
    assert segment_is_full(state)
    assert not segment_is_full(_state("burn_in", BURN_IN_BLOCKS - 1))
    judge_burn_in(settings, state, N_TRAIN)
    assert (state.phase, state.segment_blocks) == ("burn_in", 2 * BURN_IN_BLOCKS)
    state.burn_in_steps *= 3
    judge_burn_in(settings, state, N_TRAIN)  # four times the first segment would not fit
    assert state.phase == "sampling"
    agreed = _state("burn_in", BURN_IN_BLOCKS, burn_in_converged=True)
    judge_burn_in(settings, agreed, N_TRAIN)
    assert agreed.phase == "sampling"


def test_monitors_see_a_chain_that_stands_apart():
    state = _state(base_blocks=64)
    assert largest_rhat(state) < 1.1
    for value in state.blocks.blocks["readout_norm"]:
        value[0] += 10
    assert largest_rhat(state) > 1.5


def test_expected_steps_follow_error_and_rhat():
    settings = LangevinSettings(target_error=0.01, max_steps=100_000)
    state = _state(base_blocks=100, relative_error=0.02, rhat=1.001)
    assert progress_of(settings, state).total == 8000  # half the error takes four times the steps
    state.rhat = 1.1
    assert progress_of(settings, state).total == pytest.approx(20_000, abs=1)
    state.rhat = 10.0
    assert progress_of(settings, state).total == 100_000
    assert progress_of(LangevinSettings(steps=640), state).total == 640
    assert progress_of(settings, _state("burn_in", 3)).total is None
