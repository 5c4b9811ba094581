"""The templates this server knows: what a sandbox can be made from, found by id or by name.

A template is a file tree to begin with (or none), variables, a size that is shown, and maybe a command to start.
Three are built in, all of them the environment of the interpreter that runs the server. Snapshots and built
templates are added while the server runs.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio

CPU_COUNT_DEFAULT = 2
MEMORY_DEFAULT_MB = 512
DISK_DEFAULT_MB = 10_240
TAG_DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What sandboxes are made from."""

    id: str
    name: str | None = None
    """By which people know it; shown as the alias of its sandboxes."""
    cpu_count: int = CPU_COUNT_DEFAULT
    memory_mb: int = MEMORY_DEFAULT_MB
    disk_mb: int = DISK_DEFAULT_MB
    root: Path | None = None
    """The file tree that is copied into each sandbox, `None` for an empty home."""
    envs: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    """Where commands start and relative paths begin, `None` for the home."""
    start_command: str | None = None
    """Run in each new sandbox, in the background, as the template's builder asked."""
    ready_command: str | None = None
    origin: str = "base"
    """The built-in template that this one goes back to: its warm process serves this one too."""

    @property
    def is_built_in(self) -> bool:
        """Whether the server itself brings it, so that nobody may remove it."""
        return self.id in TEMPLATES


TEMPLATES = frozenset({"base", "code-interpreter-v1", "e2b-swarm-worker"})
"""The built-in templates' ids."""
BUILT_IN = tuple(Template(id=name, origin=name) for name in sorted(TEMPLATES))


class TemplateCatalog:
    """Finds templates by their id and by all their names."""

    def __init__(self, templates: Iterable[Template] = BUILT_IN) -> None:
        self._templates: dict[str, Template] = {}
        self._names: dict[str, Template] = {}
        for template in templates:
            self.add(template)

    def add(self, template: Template, *, names: Iterable[str] = ()) -> None:
        """Add a template, or another state of the one with its id; a name that was elsewhere comes to this one.

        The id means what was added last. Names given before stay with the state that they were given to.
        """
        self._templates[template.id] = template
        own = () if template.name is None else (template.name,)
        for name in (*own, *names):
            self._names[name] = template

    def find(self, name_or_id: str) -> Template | None:
        """Return a template by its id or one of its names; the tag `:default` may be left out or written."""
        for key in (name_or_id, name_or_id.removesuffix(f":{TAG_DEFAULT}"), f"{name_or_id}:{TAG_DEFAULT}"):
            found = self._names.get(key) or self._templates.get(key)
            if found is not None:
                return found
        return None

    def list_all(self) -> list[Template]:
        """Return all templates, the built-in ones first, then in the order in which they were added."""
        return list(self._templates.values())

    def remove(self, template: Template) -> list[Template]:
        """Forget a template and its names, and return all states of it; sandboxes made from it live on."""
        states = [self._templates.pop(template.id, template)]
        for name in [name for name, known in self._names.items() if known.id == template.id]:
            states.append(self._names.pop(name))
        return states

    async def delete(self, template: Template) -> None:
        """Forget a template and remove its files."""
        for root in sorted({state.root for state in self.remove(template) if state.root is not None}):
            await anyio.to_thread.run_sync(shutil.rmtree, root, True)
