"""When a run ends and which saved states it passes through, on states written by hand."""

import math

import numpy as np
import pytest
import torch

from msat.geometry import decompose
from msat.langevin import stopping
from msat.langevin.chain_scalars import relative_errors
from msat.langevin.moments import CAPACITY, BlockMeans, Sums, record
from msat.langevin.potential import make_potential
from msat.langevin.settings import LangevinSettings
from msat.langevin.starts import start_names
from msat.langevin.state import BURN_IN_BLOCKS, Look, State
from msat.langevin.stopping import (
    FEWEST_STEPS,
    FIRST_LOOK,
    SHARES,
    block_steps,
    judge_burn_in,
    judge_sampling,
    passes_through,
    progress_of,
    segment_agrees,
    segment_is_full,
    steps_needed,
)
from msat.observables.registry import COMPARED

CHAINS, N_TRAIN, STEP = 16, 6, 0.05  # 10 steps are half a relaxation time


@pytest.fixture(scope="module")
def potential(small_task, small_network):
    return make_potential(decompose(small_task, small_network), small_network)


def _state(phase="sampling", base_blocks=0, length=10, **values):
    """A state after so many empty base blocks of a length."""
    blocks = BlockMeans()
    for _ in range(base_blocks):
        blocks.append({"x": torch.zeros(CHAINS)})
    weights = (torch.zeros(CHAINS, 3, 5), torch.zeros(CHAINS, 3))
    steps = {"burn_in_steps" if phase == "burn_in" else "steps": base_blocks * length}
    given = {"phase": phase, "blocks": blocks, "block": length, "starts": start_names(CHAINS, with_theory=False)}
    return State(weights, weights, torch.Generator(), STEP, 1.0, **(given | steps | values))


def _independent(potential, base_blocks, shift=0.0, drift=0.0, **values):
    """A state whose blocks are independent draws from the prior, but for a shift of one chain and a drift of all."""
    state = _state(base_blocks=0, **values)
    generator = torch.Generator().manual_seed(0)
    for block in range(base_blocks):
        shapes = (CHAINS, 7, potential.rank), (CHAINS, 7)
        weights = tuple(torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
        weights[0][3] *= 1 + shift
        weights[0][:] *= 1 + drift * block / base_blocks
        record(potential, weights, potential.outputs(weights)[None], generator, state.blocks, values.get("sums"))
    name = "burn_in_steps" if state.phase == "burn_in" else "steps"
    setattr(state, name, base_blocks * state.block)
    return state


@pytest.mark.parametrize(
    ("phase", "settings", "length"),
    [
        ("sampling", {}, 10),  # half a relaxation time
        ("sampling", {"steps": 5 * CAPACITY}, 5),  # a fixed run has at least CAPACITY blocks
        ("sampling", {"steps": 64}, 1),
        ("sampling", {"max_steps": 5 * CAPACITY}, 5),
        ("burn_in", {}, 10),
        ("burn_in", {"max_burn_in": 4 * BURN_IN_BLOCKS}, 4),
        ("burn_in", {"max_burn_in": 1}, 1),
        ("sampling", {"sampler": "hmc"}, 1),  # a trajectory
        ("sampling", {"sampler": "underdamped"}, 15),
    ],
)
def test_block_length(phase, settings, length):
    assert block_steps(LangevinSettings(**settings), _state(phase), N_TRAIN) == length


def test_block_length_is_bounded_by_memory():
    """Outputs of one block stay below 2^25 numbers."""
    n_train = 2**25 // (CHAINS * 3)
    assert block_steps(LangevinSettings(), _state(), n_train) == 3
    assert block_steps(LangevinSettings(), _state(), 2**26) == 1


def test_every_state_of_burn_in_is_on_the_way():
    assert passes_through(LangevinSettings(target_error=10.0), _state("burn_in", 40), N_TRAIN)
    assert passes_through(LangevinSettings(steps=64), _state(), N_TRAIN)


@pytest.mark.parametrize(
    ("settings", "lowest", "passes"),
    [
        ({"max_steps": 100_000}, math.inf, True),
        ({"max_steps": 6_000}, math.inf, True),  # the end lies at this state
        ({"max_steps": 5_990}, math.inf, True),  # the end lies inside a block, which is made whole
        ({"max_steps": 5_980}, math.inf, False),  # it ended one block before
        ({"steps": 6_000}, 0.0, True),  # a fixed run does not look at errors
        ({"steps": 640}, math.inf, False),  # its blocks are shorter
        ({"target_error": 0.01}, 0.02, True),
        ({"target_error": 0.02}, 0.02, True),
        ({"target_error": 0.03}, 0.02, False),  # it stopped where its error was below 3 per cent
    ],
)
def test_which_runs_pass_through_a_state(settings, lowest, passes):
    """6,000 steps in 600 base blocks, four to a block; runs that end by step 5,980 had ended before."""
    state = _state(base_blocks=600, lowest_error=lowest)
    assert state.blocks.merged == 4
    assert passes_through(LangevinSettings(**settings), state, N_TRAIN) is passes


def test_a_segment_of_burn_in_doubles_until_chains_agree_or_no_room_is_left():
    settings = LangevinSettings(max_burn_in=10 * BURN_IN_BLOCKS * 4)
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


def test_burn_in_goes_on_while_chains_are_apart_or_drift(potential):
    settings = LangevinSettings()
    assert segment_agrees(potential, settings, _independent(potential, BURN_IN_BLOCKS, phase="burn_in"))
    assert not segment_agrees(potential, settings, _independent(potential, BURN_IN_BLOCKS, shift=1.0, phase="burn_in"))
    assert not segment_agrees(potential, settings, _independent(potential, BURN_IN_BLOCKS, drift=9.0, phase="burn_in"))


def test_all_quantities_are_looked_at_each_against_its_share(potential):
    state = _independent(potential, 64)
    found = stopping.quantities(potential, state)
    assert len(found) == 9
    look = stopping.look(potential, state)
    relative = {
        name: series.mean(axis=1).std(ddof=1) / np.sqrt(CHAINS) / abs(series.mean()) for name, series in found.items()
    }
    if look.slowest not in relative:  # of the readout, drawn from the prior here
        assert look.slowest in ("readout_gap", "readout_norm_gap")
        state.blocks.blocks["along_draws"] = state.blocks.blocks["along"]
        state.blocks.blocks["readout_norm_draws"] = state.blocks.blocks["readout_norm"]
        look = stopping.look(potential, state)
    expected = max(relative, key=lambda name: relative[name] / SHARES[name])
    # the error from chain means alone has 15 degrees of freedom: known to a fifth
    assert look.error == pytest.approx(relative[look.slowest] / SHARES[look.slowest], rel=0.7)
    assert look.error >= 0.5 * relative[expected] / SHARES[expected]
    assert look.mixed
    assert look.ess >= 400


def test_every_compared_scalar_has_a_share():
    """Under the name of its series where it is a mean or a mean times a constant."""
    series = {
        "variance_along_target": "variance_along",
        "hidden_kernel_along_target": "hidden_along",
        "hidden_kernel_gain": "hidden_along",
        "weight_alignment": "weights_along",
    }
    assert {series.get(item.name, item.name) for item in COMPARED} <= set(SHARES)


def test_a_run_goes_on_while_a_jackknifed_scalar_has_not_reached_its_share(potential, monkeypatch):
    state = _independent(potential, 64, sums=Sums())
    name = "hidden_kernel_alignment"
    error = relative_errors(potential, state.sums)[name]
    monkeypatch.setattr(stopping, "SHARES", {**dict.fromkeys(SHARES, 1e9), name: 10})
    assert stopping.look(potential, state).slowest == name
    assert stopping.look(potential, state).error == pytest.approx(error / 10)
    for target, phase in ((0.09 * error, "sampling"), (0.11 * error, "done")):
        state.phase = "sampling"
        judge_sampling(potential, LangevinSettings(target_error=target), state)
        assert state.phase == phase


def test_a_quantity_that_is_not_there_is_not_looked_at(potential):
    state = _independent(potential, 40)
    for value in state.blocks.blocks["weights_along"]:
        value[:] = math.nan  # labels without a direction
    assert "weights_along" in SHARES
    assert "weights_along" not in stopping.quantities(potential, state)
    assert stopping.look(potential, state).mixed


@pytest.mark.parametrize(
    ("blocks", "target", "phase"), [(48, 1.0, "done"), (48, 1e-9, "sampling"), (FIRST_LOOK - 1, 1.0, "sampling")]
)
def test_a_run_stops_at_the_first_look_that_finds_it_good(potential, blocks, target, phase):
    state = _independent(potential, blocks)
    judge_sampling(potential, LangevinSettings(target_error=target), state)
    assert state.phase == phase


def test_hmc_keeps_a_least_number_of_trajectories(potential):
    """Its blocks are single ones; a run of fewer is looked at where it ends, and nowhere else."""
    for blocks, phase in ((FEWEST_STEPS - 1, "sampling"), (FEWEST_STEPS, "done")):
        state = _independent(potential, blocks, length=1)
        judge_sampling(potential, LangevinSettings(sampler="hmc", target_error=1.0), state)
        assert state.phase == phase
    state = _independent(potential, 70, length=1)
    judge_sampling(potential, LangevinSettings(sampler="hmc", target_error=1.0, max_steps=70), state)
    assert state.phase == "done"
    assert state.look.mixed


def test_looks_come_at_growing_intervals_wherever_the_end_lies(potential):
    looked = []
    for settings in (LangevinSettings(target_error=1e-9), LangevinSettings(target_error=1e-9, max_steps=450)):
        state, whole = _state(), _independent(potential, 60)
        looked.append([])
        rows = whole.blocks.blocks
        for count in range(1, 61):
            state.blocks.blocks = {name: means[:count] for name, means in rows.items()}
            state.steps, state.phase = 10 * count, "sampling"
            judge_sampling(potential, settings, state)
            looked[-1].append(state.looked)
    # the second would have ended at step 450, between two looks: it judged there, and later looks come as if it had not
    assert looked[0] == looked[1]
    assert sorted(set(looked[0])) == [0, 32, 40, 50]


def test_chains_apart_go_on_however_small_their_errors(potential):
    state = _independent(potential, 64, shift=1.0)
    judge_sampling(potential, LangevinSettings(target_error=10.0), state)
    assert state.phase == "sampling"
    assert not state.look.mixed
    assert state.look.excess > 1.01
    assert state.lowest_error == math.inf  # a larger target would not have stopped here
    fixed = _independent(potential, 64, shift=1.0)
    judge_sampling(potential, LangevinSettings(steps=640), fixed)
    assert fixed.phase == "done"


def test_a_sampler_that_measures_its_bias_goes_on_at_half_the_step(potential):
    state = _independent(potential, 64)
    judge_sampling(potential, LangevinSettings(sampler="underdamped", target_error=1.0), state)
    assert state.phase == "half_step"


def test_expected_steps_follow_the_error():
    settings = LangevinSettings(target_error=0.01, max_steps=100_000)
    state = _state(base_blocks=100, look=Look(error=0.02))
    assert steps_needed(settings, state) == progress_of(settings, state).total == 4000
    state.look.error = 0.0025  # four times better than asked for
    assert steps_needed(settings, state) == 63
    assert progress_of(settings, state).total == 1000
    state.look.error = 1.0
    assert progress_of(settings, state).total == 100_000
    assert progress_of(LangevinSettings(steps=640), state).total == 640
    assert progress_of(settings, _state("burn_in", 3)).total is None
    assert progress_of(settings, _state(base_blocks=3, half=_state("burn_in", 3))).phase == "half step"
