from memtk.events import Event
from memtk.training import watching
from memtk.training.plan import PhasePlan, describe
from memtk.training.seeding import seeded


def test_steps_are_told_a_few_times_a_second_and_the_rest_always(monkeypatch):
    clock, told = [0.0], []
    monkeypatch.setattr(watching.time, "monotonic", lambda: clock[0])
    stage = watching.Stage("x", told.append)
    stage.tell(Event("start", "x"))
    for step in range(10):
        clock[0] += 0.0625
        stage.tell(Event("step", "x", step))
    stage.tell(Event("end", "x"))
    assert [e.step for e in told if e.kind == "step"] == [0, 4, 8]
    assert [e.kind for e in told if e.kind != "step"] == ["start", "end"]


def test_only_the_first_process_speaks():
    told = []
    watching.Stage("x", told.append, speaks=False).tell(Event("start", "x"))
    assert told == []


def test_a_plan_names_phases_and_the_parameters_they_move(toy):
    assert describe(toy.make()) == [
        PhasePlan("autoencoder", 6, 4, {"autoencoder": 20 + 34 + 9 * 64, "critic": 65}),
        PhasePlan("denoiser", 9, 5, {"denoiser": 10 * 8 + 9 * 8}),
    ]


def test_a_seeded_block_depends_on_its_seed_and_leaks_nothing():
    import torch

    before = torch.get_rng_state()
    with seeded(3):
        one = torch.rand(2)
    with seeded(3):
        other = torch.rand(2)
    assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())
