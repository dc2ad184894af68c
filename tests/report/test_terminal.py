from __future__ import annotations

from rich.console import Console

from memtk.report.terminal import summary


def shown(results, width=110):
    console = Console(record=True, width=width, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary(results))
    return console.export_text()


def test_every_checkpoint_has_its_numbers_with_their_nulls(results):
    text = shown(results)
    lines = [line for line in text.splitlines() if "[5%]" in line]
    assert len(lines) == 4 and "monai+aug" in lines[0] and "independent" in lines[2]
    dar = results[0].last.protocols.dar
    assert f"{dar.n_mem} {100 * dar.mem_fraction:.0f}% [5%]" in lines[1]
    assert " - " in lines[0] and " - " not in lines[1]  # the exposure was tested at the end


def test_the_sentence_of_every_generator_comes_last(results):
    text = " ".join(shown(results).split())
    assert "Memorized monai+aug:" in text and "No evidence found independent:" in text
    assert text.endswith("in any case.")


def test_names_are_not_read_as_markup(results):
    text = shown([results[0].model_copy(update={"cell": "[red]x"})])
    assert text.count("[red]x") == 2  # in the table and before the sentence


def test_a_narrow_terminal_cuts_no_number(results):
    text = shown(results, width=80)
    dar = results[0].last.protocols.dar
    assert f"{100 * dar.mem_fraction:.0f}% [5%]" in text and "…" not in text
