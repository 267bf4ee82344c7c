"""What the lab and the recovery tools share: storage accounts, the task hub's layout, and its messages.

accounts/          ONE STORAGE ACCOUNT, several ways: embedded (a SQLite file), azure (Azurite or a real account)
clock.py           where time comes from
layout.py          names, key escaping, instance id -> control queue
messages.py        the envelope of a queue message and the events inside
history.py         history events <-> rows of the History table
instances.py       rows of the Instances table <-> status documents
payloads.py        what is too large for a message or a column, as blobs
hub.py             one task hub in one account: create, send, read
client.py          what a client does to a hub: start, raise an event, terminate, purge, query
query.py           which instances to list, page by page
status_history.py  a history as status documents show it
rewind.py          a failed instance, taken back to before its failures
entities.py        an entity's state, read from its row
errors.py          every error raised here, drawn as a tree
"""
