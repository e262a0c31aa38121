"""Rules and lists that analysts change while the system runs.

Every change is a message on ``rules.v1`` or ``lists.v1`` and stays there: current rules and lists and their history
follow from these topics and are the same for all readers. ``rules.status.v1`` keeps the state of each rule in each
detector.

principal   who makes a change
changes     one change of a rule
book        all changes in order: current rules and history
definitions rule files read into each rule's definition, version and mode
approvals   which changes another principal has approved, and what is in force without
planning    which change a request makes, given the current rulebook
lists       list entries, their checks and the current lists
status      the state of a rule in a detector
messages    records to and from messages; a bad one is skipped and counted
log         topics behind narrow interfaces: read to the end, append, follow
kafka_log   the same on Kafka
stores      reading and writing rules, lists and statuses
snapshot    rules and lists at one moment, updated with each change
follower    the thread that keeps the snapshot up to date
connect     wires stores and followers to a deployment's settings
"""
