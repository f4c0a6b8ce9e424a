"""The rule of each function of `keras.ops` that a model may call by itself.

Each module has a table: the name of an operation's class -> its rule, a function that
writes the ops of a call and returns what they compute. A rule receives the writer and
the arguments of the operation: those of the call, and those with which the operation
was made, by their names. Tensors of the graph are tuples, and sequences are lists.
`table.py` unites the tables.
"""
