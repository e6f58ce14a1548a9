"""Pulumi's own engine, found or built, and driven on this project's stacks.

| file | what |
|---|---|
| `binary` | where the `pulumi` binary comes from |
| `project` | the project's folder, and the environment that the engine runs in |
| `locks` | who holds a stack: a living update, or one that was killed |
| `events`, `failures` | pure: what the engine reports, as lines and as errors |
| `workspace` | the Automation API, bent so that no tracked file changes |
| `stacks` | preview, up, refresh, destroy, outputs of one stack |
"""
