"""Self-RAG: look up where needed, judge, answer with evidence, or abstain.

After Asai et al., "Self-RAG: Learning to Retrieve, Generate, and Critique
through Self-Reflection" (2023): its four judgements (retrieve, relevant,
supported, useful), made here by critics that can be exchanged instead of by
tokens of one language model.
"""
