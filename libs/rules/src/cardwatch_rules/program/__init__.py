"""Rules compiled to programs: typed instructions that every engine runs with the same meaning (docs/rule-program.md).

instructions       what a condition is compiled to
condition          SQL conditions compiled to instructions
compiled_rule      rules compiled, their measures' conditions included
document           programs as JSON, for the engine in the JVM
polars_conditions  instructions as Polars expressions
"""
