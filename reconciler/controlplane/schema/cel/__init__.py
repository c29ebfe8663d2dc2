"""CEL rules of schemas (``x-kubernetes-validations``).

Expressions are parsed with cel-python's grammar and compiled to closures
here. Its evaluator is not used: it refuses to compare values of different
types, lets ``has()`` hide errors, and lacks Kubernetes' functions, lists
that are sets or maps, and optional values.
"""
