"""Brings a promoted task hub back, and moves the work from one region to the other.

What ships with the app is only what it runs; the rest is for the operator: `python -m recovery COMMAND`.

    regions.py           the states of two regions together, and the next command: a table
    failover.py          stop the old, fail the account over, start the new
    failback.py          the same, home again
    reprotect.py         geo-redundancy after an unplanned failover
    settle.py            exactly one app runs, in the account's region
    status.py            what is true, and what to type next
    drill.py             a drill as a value; azure_drill.py runs it on Azure, drill_report.py makes its page
    steps.py             the steps the commands are made of
    azure_resources.py   the calls to Azure; arm.py tokens, retries, long operations
    azd_environment.py   the azd environment; operator_state.py what a killed command had begun
    guard.py             what azd up must not undo
    arm_fake.py          a small Azure to practise on; practise.py brings disasters over it

    doctor.py            what is wrong with a promoted hub, instance by instance; examination.py one look, and repairs
    snapshot.py          a hub as it lies in its account, with hubs.py, sweep.py and readers.py; observed.py and
                         facts.py one instance
    looks.py             what invisible messages can be, and what looks leave behind; second_look.py a hub at work
    rules.py             the verdicts: a table; findings.py what is wrong beside them
    awaits.py            what an instance waits for; replay.py asks its code
    plans.py             what would repair it; repair_steps.py, proofs.py; repairs.py does it, with a record
    journal.py           every accepted request, outside the hub's region; fence.py which region works (both ship)
    pages.py             what the HTML reports share; json_report.py long ones, shelf.py what grows with the hub
                         journal_entries.py one request on record, app_settings.py what the app's settings name,
                         silence.py an account that does not answer, records.py where the records are kept (all ship)
    reconcile.py         what the journal has and the hub has not; matching.py decides, passes.py when it was done,
                         reconciliation.py holds what was found, closing.py clears the journal on a hub at work
"""
