"""How a test run of its own is told of the plugin: not at all where the installed package announces it."""

from importlib.metadata import entry_points

PLUGIN_MODULE = "sandboxes.pytest_plugin"
IS_ANNOUNCED = any(entry.value == PLUGIN_MODULE for entry in entry_points(group="pytest11"))
PLUGIN_ARGUMENTS = ["-p", "no:randomly", "-p", "no:cacheprovider", *([] if IS_ANNOUNCED else ["-p", PLUGIN_MODULE])]
