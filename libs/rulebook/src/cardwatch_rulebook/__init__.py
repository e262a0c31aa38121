"""Rules and lists that analysts change while the system runs.

Every change of a rule is a message on ``rules.v1`` and stays there: the current rules and their history are a fold over
that topic, the same for all who read it. ``lists.v1`` keeps the last entry of each value, ``rules.status.v1`` what each
detector does with each rule.

changes     one change of a rule
book        changes folded: current state and history
definitions rule files taken apart into what each rule says, its version and its mode
planning    which change a wish amounts to, given what there is
lists       list entries, their checks and their fold
status      what a detector does with a rule
messages    records to and from messages; a bad one is skipped and counted
log         topics behind narrow interfaces: read to the end, append, follow
kafka_log   the same on Kafka
stores      reading and writing rules, lists and statuses
snapshot    what a detector needs to know at one moment, kept up to date change by change
follower    the thread that does so
connect     all of it wired to a deployment's settings
"""
