"""Simulated failovers: a plan drawn from a seed, played in virtual time, and judged by what must hold in the end.

plan      what happens in one run, as data: drawn, stored, made simpler
programs  random orchestrator programs, and what is right of their results
parts     what stands around the run: the journal's account, processes that die
checks    the invariants
run       one run from its first start to the second failover
"""
