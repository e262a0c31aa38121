"""The state of the windows and the evaluation of rules over it."""
