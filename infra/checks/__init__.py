"""Checks of the templates that need neither a Bicep compiler nor a subscription: `python -m infra.checks`.

findings.py      what a check says: which check, where, what
syntax.py        1  every file parses, and nothing is glued together
symbols.py       2  every name is declared once, and used
modules.py       3  module files, parameters and outputs fit together
api_versions.py  4  every resource type has the one version that the schema knows
expansion.py        evaluates the templates: parameters in, resources out
properties.py    5  names, types and values of every property, against `schema/`
design_rules.py  6  the thirteen rules of the design, on the expanded resources
cross_files.py   7  azure.yaml, main.parameters.json, host.json, hooks and operator agree with the templates
published_types.py  what Azure publishes about a resource type
make_schema.py      how `schema/` was made
"""
