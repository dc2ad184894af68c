"""Records that are wrong."""

from memtk.component import Component
from memtk.plugins import Plugin
from memtk.registry import Entry
from memtk.testing import Case


def cases(sound, folder):
    (folder / "heavy_plugin.py").write_text("import numpy\n")
    (folder / "slow_plugin.py").write_text("import time\ntime.sleep(0.6)\n")

    def case(module="memtk_toy", **changes):
        record = {"name": "sound", "target": "sound:Sound", "summary": "A sound one.", **changes}
        plugin = Plugin("sound", module, "memtk-sound", "1.0")
        entry = Entry("generator", Component(**record), plugin)
        return Case(sound.generator, spec=sound.spec, entry=entry)

    return {
        "the_plugin_imports_nothing_heavy": case("heavy_plugin"),
        "the_plugin_is_imported_at_once": case("slow_plugin"),
        "its_name_is_its_own": case(name="copycat"),
        "it_is_written_for_this_interface": case(api=0),
        "its_summary_is_a_line": case(summary="No full stop"),
        "its_class_is_of_its_kind": Case(dict, kind="generator"),
    }
